"""Exceptions of operators, sensors and hooks: one class for permanent errors and one for retryable errors.

The ``__cause__`` is the client's error, whose status, AEP code, request id and next step are also in the message.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_aep.client.errors import AepError


class AepPermanentError(AirflowFailException):
    """A permanent error, such as wrong credentials or an invalid argument. The task fails without retries."""


class AepRetryableError(AirflowException):
    """A retryable error: AEP throttles requests, is not available, or cannot be reached.

    :param retry_after: seconds of the response's ``Retry-After``; ``None`` without one
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep the message and the seconds."""
        super().__init__(message)
        self.retry_after = retry_after


@contextmanager
def airflow_errors() -> Generator[None, None, None]:
    """Convert errors of the client into exceptions of Airflow.

    :raises AepPermanentError: a retry cannot succeed
    :raises AepRetryableError: a retry may succeed
    """
    try:
        yield
    except AepError as e:
        if e.retryable:
            raise AepRetryableError(str(e), e.retry_after) from e
        raise AepPermanentError(str(e)) from e
