"""When a failed task is tried again: as soon as AEP has said. Needs Airflow 3.3, which has retry policies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_aep.exceptions import AepRetryableError


class AepRetryPolicy(RetryPolicy):
    """Turns the ``Retry-After`` of AEP's answer into the delay before the next try; else the task's own rules hold.

    ``retries`` says how often, as always. What a retry cannot mend (:class:`~.exceptions.AepPermanentError`) fails at
    once, with this policy and without.

    :param longest: no wait is longer, whatever AEP says
    """

    def __init__(self, longest: timedelta = timedelta(hours=1)) -> None:
        self.longest = longest

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        if not isinstance(exception, AepRetryableError) or exception.retry_after is None:
            return RetryDecision.default()
        delay = min(timedelta(seconds=max(exception.retry_after, 0)), self.longest)
        return RetryDecision.retry(delay=delay, reason=f"AEP asked to wait {exception.retry_after:.0f} s")

    def serialize(self) -> dict[str, Any]:
        return {"longest": self.longest.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AepRetryPolicy:
        return cls(timedelta(seconds=data["longest"]))
