"""Eventual consistency of AEP: retry on not found, and the read lag of lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepNotFoundError
from airflow_provider_aep.client.steps import Steps, run_steps

T = TypeVar("T")

NOT_FOUND_WAITS = (1.0, 2.0, 4.0)
"""Seconds between attempts to read a new object that AEP does not return yet."""

STATE_POLL = 5.0
"""Seconds between polling requests for an object in a transitional state."""

LIST_LAG = 600
"""Longest read lag of AEP's lists, in seconds."""

DELETING = "delete-finalizing"
"""State of an object whose deletion is in progress."""


def retry_not_found(call: Call[T]) -> Steps[T]:
    """Send a call that refers to an object which may be new, and retry a 404 after ``NOT_FOUND_WAITS``.

    A create may be retried, too: a 404 proves that AEP did not execute it.

    :raises AepNotFoundError: AEP does not find the object after the last wait
    """
    for wait in NOT_FOUND_WAITS:
        try:
            return (yield call)
        except AepNotFoundError:
            yield wait
    return (yield call)


def send_retrying_not_found(client: AepClient, call: Call[T]) -> T:
    """Send a call, and retry a 404; see :func:`retry_not_found`."""
    return run_steps(client, retry_not_found(call))


def wait_until(client: AepClient, time: float, limit: float) -> None:
    """Sleep until AEP's clock shows a time.

    :param time: seconds since the epoch
    :param limit: longest sleep in seconds
    """
    if (seconds := time - client.server_now()) > 0:
        client.clock.sleep(min(seconds, limit))


def becomes_true(client: AepClient, condition: Callable[[], bool]) -> bool:
    """Poll a condition after ``NOT_FOUND_WAITS``, and return whether it becomes true."""
    for wait in NOT_FOUND_WAITS:
        if condition():
            return True
        client.clock.sleep(wait)
    return condition()
