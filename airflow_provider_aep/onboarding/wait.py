"""AEP does things in its own time: reads lag behind writes, and states pass into others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepInvalidRequestError, AepNotFoundError, AepUnavailableError
from airflow_provider_aep.client.steps import Steps, follow
from airflow_provider_aep.onboarding.kind import Found, Kind

T = TypeVar("T")

FRESH_WAITS = (1.0, 2.0, 4.0)
"""Seconds between looks at an object that AEP does not know yet."""

STATE_WAIT = 120.0
"""Seconds to wait for a transitional state to end."""

STATE_POLL = 5.0
GOING = "delete-finalizing"
_STABLE = frozenset({"", "enabled", "disabled", "draft"})
_OTHER_STATE = frozenset({"1420-400", "1421-400", "1422-400"})
"""AEP's codes for an action that does not fit the state an object is in."""


def freshly(call: Call[T]) -> Steps[T]:
    """A call that refers to an object which may have been made a moment ago: a 404 is looked at again.

    Safe for a create, too: one that is answered 404 has made nothing.

    :raises AepNotFoundError: still unknown after ``FRESH_WAITS``
    """
    for wait in FRESH_WAITS:
        try:
            return (yield call)
        except AepNotFoundError:
            yield wait
    return (yield call)


def fresh(client: AepClient, call: Call[T]) -> T:
    """:func:`freshly`, at once."""
    return follow(client, freshly(call))


def wait_until(client: AepClient, moment: float, longest: float) -> None:
    """Wait for a moment of the server's clock (seconds since the epoch), but no longer than so many seconds."""
    if (seconds := moment - client.server_now()) > 0:
        client.clock.sleep(min(seconds, longest))


def eventually(client: AepClient, there: Callable[[], bool]) -> bool:
    """Whether something that may have been written a moment ago is there: AEP's reads lag behind its writes."""
    for wait in FRESH_WAITS:
        if there():
            return True
        client.clock.sleep(wait)
    return there()


def settled(client: AepClient, kind: Kind, found: Found) -> Found:
    """Wait until a found object is in a state that can be used.

    :raises AepUnavailableError: it does not come to rest within ``STATE_WAIT``
    :raises AepNotFoundError: it is gone
    """
    started = client.clock.now()
    while found.state not in _STABLE:
        if client.clock.now() - started > STATE_WAIT:
            raise AepUnavailableError(
                f"The {kind.label} {found.name!r} ({found.id}) is still {found.state!r} after {STATE_WAIT:.0f} s",
                next_step="Try again later.",
            )
        client.clock.sleep(STATE_POLL)
        found = read(client, kind, found.id)
    return found


def gone(client: AepClient, kind: Kind, found: Found) -> bool:
    """Wait until an object that is being deleted is gone; whether it is.

    :raises AepUnavailableError: it does not go within ``STATE_WAIT``
    """
    try:
        settled(client, kind, found)
    except AepNotFoundError:
        return True
    return False


def act(client: AepClient, kind: Kind, id_: str, call: Callable[[str], Call[Any]], done: frozenset[str]) -> None:
    """Send an action that changes an object's state, and wait for the end of it.

    :param done: states in which there is nothing to do: the answer to an earlier try may have been lost, or somebody
        else was faster
    """
    try:
        client.send(call(id_))
    except AepInvalidRequestError as e:
        if e.code not in _OTHER_STATE or settled(client, kind, read(client, kind, id_)).state not in done:
            raise
    settled(client, kind, read(client, kind, id_))  # so that the next task can go on with it


def read(client: AepClient, kind: Kind, id_: str) -> Found:
    """An object by its id."""
    return kind.found(client.send(kind.get(id_)))
