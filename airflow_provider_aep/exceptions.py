"""What Airflow sees of AEP's errors: one class that a retry cannot mend and one that it can.

The client's error, with status, AEP code, request id and next step, is the ``__cause__`` and in the message.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_aep.client.errors import AepError


class AepPermanentError(AirflowFailException):
    """Credentials, permission, validation or conflict: the task fails at once, without its retries."""


class AepRetryableError(AirflowException):
    """Throttled, unavailable or unreachable.

    :param retry_after: seconds that AEP asked to wait, if it did
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@contextmanager
def airflow_errors() -> Generator[None, None, None]:
    """The seam: errors of the client become Airflow's."""
    try:
        yield
    except AepError as e:
        if e.retryable:
            raise AepRetryableError(str(e), e.retry_after) from e
        raise AepPermanentError(str(e)) from e
