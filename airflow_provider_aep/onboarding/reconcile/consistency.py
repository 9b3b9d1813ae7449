"""Transitional states of objects: wait until an object is stable or deleted, or until an action is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import STATE_POLL
from airflow_provider_aep.client.errors import AepInvalidRequestError, AepNotFoundError, AepUnavailableError
from airflow_provider_aep.onboarding.reconcile.resource_type import Observed, ResourceType

STATE_WAIT = 120.0
"""Longest wait for the end of a transitional state, in seconds."""

_STABLE = frozenset({"", "enabled", "disabled", "draft"})
_OTHER_STATE = frozenset({"1420-400", "1421-400", "1422-400"})
"""AEP's codes for an action that is not allowed in the object's state."""


def read(client: AepClient, resource_type: ResourceType[Any], id_: str) -> Observed:
    """Read an object, and return its observed state."""
    return resource_type.observe(client.send(resource_type.read(id_)))


def wait_until_stable(client: AepClient, resource_type: ResourceType[Any], observed: Observed) -> Observed:
    """Wait until an object has left any transitional state, and return its observed state.

    :raises AepUnavailableError: the transitional state does not end within ``STATE_WAIT``
    :raises AepNotFoundError: the object is deleted
    """
    started = client.clock.now()
    # guard: wait out a transitional state
    while observed.state not in _STABLE:
        if client.clock.now() - started > STATE_WAIT:
            raise AepUnavailableError(
                f"The {resource_type.label} {observed.name!r} ({observed.id}) is still {observed.state!r} after "
                f"{STATE_WAIT:.0f} s",
                next_step="Try again later.",
            )
        client.clock.sleep(STATE_POLL)
        observed = read(client, resource_type, observed.id)
    return observed


def wait_until_deleted(client: AepClient, resource_type: ResourceType[Any], observed: Observed) -> bool:
    """Wait until the deletion of an object ends, and return whether the object is deleted.

    :raises AepUnavailableError: the transitional state does not end within ``STATE_WAIT``
    """
    try:
        wait_until_stable(client, resource_type, observed)
    except AepNotFoundError:
        return True
    return False


def transition(
    client: AepClient,
    resource_type: ResourceType[Any],
    id_: str,
    action: Callable[[str], Call[Any]],
    done: frozenset[str],
) -> None:
    """Send an action that changes an object's state, and wait until the object is stable.

    :param action: takes the object's id, and returns the call of the action
    :param done: states in which the action is already complete, for instance by an earlier try
    """
    try:
        client.send(action(id_))
    except AepInvalidRequestError as e:
        if e.code not in _OTHER_STATE:
            raise
        if wait_until_stable(client, resource_type, read(client, resource_type, id_)).state not in done:
            raise
    wait_until_stable(client, resource_type, read(client, resource_type, id_))  # the next task needs a stable object
