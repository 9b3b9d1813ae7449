"""Taking down what was onboarded: only what is ours, and nobody else uses; data only when it is asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_aep.client import catalog, flow_service, sandboxes
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError, AepNotFoundError
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.control import ACTIONS, act
from airflow_provider_aep.onboarding.ensure import Outcome
from airflow_provider_aep.onboarding.identity import identity
from airflow_provider_aep.onboarding.kind import Found, Kind
from airflow_provider_aep.onboarding.names import Names
from airflow_provider_aep.onboarding.wait import GOING, gone, read, settled


@dataclass(frozen=True)
class _Users:
    """What may stand on an object of a kind: everything there is of another, and the ids that one of it refers to."""

    label: str
    everything: Callable[[], Call[Page[Any]]]
    refers_to: Callable[[Any], Iterable[Any]]


_FLOWS = "flow"
_USERS: dict[str, tuple[_Users, ...]] = {
    kinds.SOURCE_CONNECTION.label: (
        _Users(_FLOWS, lambda: flow_service.list_flows({}), lambda flow: flow.sourceConnectionIds),
    ),
    kinds.TARGET_CONNECTION.label: (
        _Users(_FLOWS, lambda: flow_service.list_flows({}), lambda flow: flow.targetConnectionIds),
    ),
    kinds.BASE_CONNECTION.label: (
        _Users("source connection", lambda: flow_service.list_source_connections({}), lambda c: [c.baseConnectionId]),
        _Users("target connection", lambda: flow_service.list_target_connections({}), lambda c: [c.baseConnectionId]),
    ),
    kinds.DATASET.label: (
        _Users(
            "target connection", lambda: flow_service.list_target_connections({}), lambda c: [c.params.get("dataSetId")]
        ),
    ),
    kinds.SCHEMA.label: (
        _Users("dataset", lambda: catalog.list_datasets(), lambda d: [d.schemaRef and d.schemaRef.id]),
        _Users(
            "source connection",
            lambda: flow_service.list_source_connections({}),
            lambda c: [(c.data.get("schema") or {}).get("id")],
        ),
    ),
}


def teardown(
    client: AepClient, onboarding: str, *, data: Sequence[str] = (), production: bool = False
) -> list[Outcome]:
    """Delete what an onboarding has made, the flow first. What is gone already is passed over.

    Mapping sets stay: AEP does not document that they can be deleted, and they do no harm.

    :param onboarding: as in :class:`~airflow_provider_aep.onboarding.names.Names`
    :param data: names of the dataset and of schemas and class to delete, too; a dataset takes its rows with it
    :param production: whether it may be done in a production sandbox
    :return: what was deleted, in order
    :raises AepConfigurationError: ``data`` names something else, or the sandbox is a production one
    :raises AepConflictError: something is not ours, or others use it; nothing is deleted then
    """
    names = Names(onboarding)
    with_rows = {
        names.dataset: kinds.DATASET,
        names.schema: kinds.SCHEMA,
        names.source_schema: kinds.SCHEMA,
        names.source_class: kinds.AD_HOC_CLASS,
    }
    if unknown := [name for name in data if name not in with_rows]:
        raise AepConfigurationError(
            f"data is {', '.join(map(repr, unknown))}, which this onboarding has not made",
            next_step=f"Choose among {', '.join(map(repr, with_rows))}.",
        )
    _check_sandbox(client, production)
    order = [
        (kinds.FLOW, names.flow),
        (kinds.SOURCE_CONNECTION, names.source),
        (kinds.TARGET_CONNECTION, names.target),
        (kinds.BASE_CONNECTION, names.base),
        (kinds.BASE_CONNECTION, names.dataset_base),
        *((kind, name) for name, kind in with_rows.items() if name in data),
    ]
    doomed = [(kind, found) for kind, name in order for found in _named(client, kind, name)]
    _check(client, doomed)
    return [_delete(client, kind, found) for kind, found in doomed]


def delete(client: AepClient, kind: Kind, id_: str, *, name: str | None = None, production: bool = False) -> Outcome:
    """Delete one object that is ours; one that is gone already is passed over.

    :param name: which it must have: so that data is not deleted by a wrong id
    :raises AepConfigurationError: it has another name, or the sandbox is a production one
    :raises AepConflictError: it is not ours, or others use it
    """
    _check_sandbox(client, production)
    try:
        found = read(client, kind, id_)
    except AepNotFoundError:
        return Outcome(name or id_, id_, id_, "gone already")
    if name is not None and found.name != name:
        raise AepConfigurationError(
            f"The {kind.label} {id_} is {found.name!r}, not {name!r}", next_step="Check which one is to be deleted."
        )
    _check(client, [(kind, found)])
    return _delete(client, kind, found)


def _named(client: AepClient, kind: Kind, name: str) -> list[Found]:
    found = [f for f in map(kind.found, client.items(kind.find(name))) if f.name == name]
    return [read(client, kind, f.id) for f in found] if kind.short else found


def _check_sandbox(client: AepClient, allowed: bool) -> None:
    here = client.settings.sandbox
    is_production = any(s.name == here and s.type == "production" for s in client.send(sandboxes.list_sandboxes()))
    if is_production and not allowed:
        raise AepConfigurationError(
            f"{here} is a production sandbox, and nothing is deleted there",
            next_step="The deployer can allow it: allow_production_teardown in section [aep] of Airflow's "
            "configuration.",
        )


def _check(client: AepClient, doomed: Sequence[tuple[Kind, Found]]) -> None:
    """Everything before the first write."""
    ids = {found.id for _, found in doomed}
    for kind, found in doomed:
        said = f"The {kind.label} {found.name!r} ({found.id})"
        own = identity(client.settings, kind.label, at(found.fields, kind.scope), found.name)
        if found.marker is None or found.marker.identity != own:
            raise AepConflictError(f"{said} is not ours", next_step="Delete it in AEP, if that is what you want.")
        if found.fields.get("union"):
            raise AepConflictError(f"{said} is enabled for Profile", next_step="It stays: AEP cannot undo that.")
        for users in _USERS.get(kind.label, ()):
            for user in client.items(users.everything()):
                if user.id not in ids and found.id in users.refers_to(user):
                    raise AepConflictError(
                        f"{said} is used by the {users.label} {user.name!r} ({user.id})",
                        next_step="Delete that one first, if it is not needed.",
                    )


def _delete(client: AepClient, kind: Kind, found: Found) -> Outcome:
    outcome = Outcome(found.name, found.id, found.id, "deleted")
    try:
        if found.state != GOING:
            found = settled(client, kind, found)
            if kind is kinds.FLOW and found.state == "enabled":
                act(client, ACTIONS["disable"], found.id)  # so that no run begins meanwhile
            assert kind.remove
            client.send(kind.remove(found.id))
        gone(client, kind, read(client, kind, found.id))
    except AepNotFoundError:
        pass  # the answer to an earlier try was lost, or somebody else was faster
    return outcome
