"""What stands on an object: what is in use is not taken away from under it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_aep.client import catalog, flow_service
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.onboarding.kind import Found, Kind


@dataclass(frozen=True)
class _Users:
    """What may stand on an object of a kind: everything there is of another, and the ids that one of it refers to."""

    label: str
    everything: Callable[[], Call[Page[Any]]]
    refers_to: Callable[[Any], Iterable[Any]]


def _flows() -> Call[Page[Any]]:
    return flow_service.list_flows({})


def _sources() -> Call[Page[Any]]:
    return flow_service.list_source_connections({})


def _targets() -> Call[Page[Any]]:
    return flow_service.list_target_connections({})


_USERS: dict[str, tuple[_Users, ...]] = {
    "source connection": (_Users("flow", _flows, lambda flow: flow.sourceConnectionIds),),
    "target connection": (_Users("flow", _flows, lambda flow: flow.targetConnectionIds),),
    "base connection": (
        _Users("source connection", _sources, lambda c: [c.baseConnectionId]),
        _Users("target connection", _targets, lambda c: [c.baseConnectionId]),
    ),
    "dataset": (_Users("target connection", _targets, lambda c: [c.params.get("dataSetId")]),),
    "mapping set": (_Users("flow", _flows, lambda flow: [t.params.get("mappingId") for t in flow.transformations]),),
    "schema": (
        _Users("dataset", lambda: catalog.list_datasets(), lambda d: [d.schemaRef and d.schemaRef.id]),
        _Users("source connection", _sources, lambda c: [(c.data.get("schema") or {}).get("id")]),
    ),
}
"""By the label of a kind. AEP itself refuses to delete some of what is in use, and not all of it."""


def users_of(client: AepClient, kind: str, id_: str) -> Iterator[tuple[str, Any]]:
    """What stands on an object: label and object of each, as far as it is asked for.

    :param kind: its label
    """
    for users in _USERS.get(kind, ()):
        for user in client.items(users.everything()):
            if id_ in users.refers_to(user):
                yield users.label, user


def user_of(client: AepClient, kind: Kind, found: Found, besides: Container[str] = ()) -> str:
    """What stands on an object, for a person; empty if nothing does.

    :param besides: ids of users that do not count
    """
    for label, user in users_of(client, kind.label, found.id):
        if user.id not in besides:
            return f"the {label} {user.name!r} ({user.id})"
    return ""
