"""Airflow retry policy that respects the ``Retry-After`` of AEP's responses. It requires Airflow 3.3."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_aep.exceptions import AepRetryableError


class AepRetryPolicy(RetryPolicy):
    """Use AEP's ``Retry-After`` as the delay before the next try; without one, the task's ``retry_delay`` applies.

    The number of tries depends on the task's ``retries``. A :class:`~.exceptions.AepPermanentError` always fails the
    task without retries.

    :param longest: upper limit of the delay
    """

    def __init__(self, longest: timedelta = timedelta(hours=1)) -> None:
        """Keep the upper limit."""
        self.longest = longest

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """Return the delay for an exception, or Airflow's default decision if AEP sent no ``Retry-After``."""
        if not isinstance(exception, AepRetryableError) or exception.retry_after is None:
            return RetryDecision.default()
        delay = min(timedelta(seconds=max(exception.retry_after, 0)), self.longest)
        return RetryDecision.retry(delay=delay, reason=f"AEP sent Retry-After: {exception.retry_after:.0f} s")

    def serialize(self) -> dict[str, Any]:
        """Return the arguments as JSON."""
        return {"longest": self.longest.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AepRetryPolicy:
        """Return the policy of serialized arguments."""
        return cls(timedelta(seconds=data["longest"]))
