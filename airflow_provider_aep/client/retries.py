"""Retry rules: which requests are sent again, after which pause, and until when."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tenacity import RetryCallState, retry_if_exception
from tenacity.wait import wait_exponential_jitter

from airflow_provider_aep.client.call import Call, Safety
from airflow_provider_aep.client.clock import Clock
from airflow_provider_aep.client.errors import AepError, AepThrottledError, AepUnavailableError, AepUnreachableError

log = logging.getLogger(__name__)

RETRIED: Mapping[type[AepError], frozenset[Safety]] = {
    AepUnreachableError: frozenset(Safety),  # the request was not sent
    AepThrottledError: frozenset(Safety),  # AEP has not executed it
    AepUnavailableError: frozenset(Safety) - {Safety.CREATE},  # AEP may have executed it
}
"""By error: the safety that a call must have to be sent again. Other errors are never retried."""

DEADLINE = 120.0
"""Seconds after which a call is no longer retried."""

POLL_DEADLINE = 30.0
"""The same for a call of the poller, whose round then continues without the response."""

CONNECTION_TEST_DEADLINE = 8.0
"""The same for each of the six calls of a connection test, which Airflow ends after 60 seconds."""

BACKOFF = wait_exponential_jitter(initial=1, max=30)
"""Seconds between two tries, unless AEP asks for more with ``Retry-After``."""


def retry_options(call: Call[Any], clock: Clock, deadline: float) -> dict[str, Any]:
    """Return tenacity's options for a call.

    :param deadline: seconds from now after which the call is no longer retried
    """
    started = clock.now()

    def is_retryable(error: BaseException) -> bool:
        return any(isinstance(error, kind) and call.safety in safeties for kind, safeties in RETRIED.items())

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, AepError) else None
        return max(retry_after or 0.0, BACKOFF(state))

    def stop(state: RetryCallState) -> bool:
        return clock.now() - started + state.upcoming_sleep > deadline

    def log_retry(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("%s failed and is sent again in %.0f s: %s", call.operation, state.upcoming_sleep, error)

    return {
        "retry": retry_if_exception(is_retryable),
        "wait": wait,
        "stop": stop,
        "before_sleep": log_retry,
        "reraise": True,
    }
