"""Teardown: delete the objects of an onboarding. Data is deleted only if it is named explicitly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_aep.attempt import CREATION_GRACE_PERIOD
from airflow_provider_aep.client import flow_service, sandboxes
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import DELETING, STATE_POLL
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepConflictError,
    AepNotFoundError,
    AepUnavailableError,
)
from airflow_provider_aep.naming import Names
from airflow_provider_aep.onboarding.lifecycle.control import FLOW_ACTIONS, apply_action
from airflow_provider_aep.onboarding.reconcile.act import Outcome
from airflow_provider_aep.onboarding.reconcile.consistency import read, wait_until_deleted, wait_until_stable
from airflow_provider_aep.onboarding.reconcile.lookup import describe_dependent
from airflow_provider_aep.onboarding.reconcile.marker import identity
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Deletable,
    Observed,
    ResourceType,
    SupportsEnabling,
    at,
)
from airflow_provider_aep.onboarding.resources import (
    AD_HOC_CLASS,
    BASE_CONNECTION,
    CLASS,
    DATASET,
    FIELD_GROUP,
    FLOW,
    SCHEMA,
    SOURCE_CONNECTION,
    TARGET_CONNECTION,
)

Candidate = tuple[ResourceType[Any], str]
Existing = tuple[ResourceType[Any], Observed]


def teardown(
    client: AepClient,
    onboarding: str,
    *,
    data: Sequence[str] = (),
    keep: Sequence[str] = (),
    production: bool = False,
    grace_period: float = CREATION_GRACE_PERIOD,
) -> list[Outcome]:
    """Delete the objects of an onboarding, the flow first. Objects that do not exist are skipped.

    Mapping sets are kept: AEP documents no deletion, and unused mapping sets have no effect. AEP deletes no identity
    namespace.

    :param onboarding: name of the onboarding, as in :class:`~airflow_provider_aep.naming.Names`
    :param data: names of the dataset, schemas, field group and classes that are deleted, too. A dataset is deleted with
        its rows. Default: none
    :param keep: names of objects to keep; default: none
    :param production: whether deletions in a production sandbox are allowed
    :param grace_period: read lag of AEP's lists after a create, in seconds
    :return: the deleted objects, in order
    :raises AepConfigurationError: ``data`` names another object, or the sandbox is not a development sandbox
    :raises AepConflictError: an object lacks our marker or has dependents. Then nothing is deleted
    """
    names = Names(onboarding)
    data_types: dict[str, ResourceType[Any]] = {
        names.dataset: DATASET,
        names.schema: SCHEMA,
        names.source_schema: SCHEMA,
        names.source_class: AD_HOC_CLASS,
        names.field_group: FIELD_GROUP,
        names.xdm_class: CLASS,
    }
    if unknown := [name for name in data if name not in data_types]:
        raise AepConfigurationError(
            f"data contains {', '.join(map(repr, unknown))}, which this onboarding does not create",
            next_step=f"Set data to names from {', '.join(map(repr, data_types))}.",
        )
    _check_sandbox(client, production)
    candidates: list[Candidate] = [
        (FLOW, names.flow),
        (SOURCE_CONNECTION, names.source),
        (TARGET_CONNECTION, names.target),
        (BASE_CONNECTION, names.base),
        (BASE_CONNECTION, names.dataset_base),
        *((resource_type, name) for name, resource_type in data_types.items() if name in data),
    ]
    order = [entry for entry in candidates if entry[1] not in keep]
    order.sort(key=lambda entry: entry[0].deletion_order)
    existing = _list(client, order, names)
    missing = {name for _, name in order} - {observed.name for _, observed in existing} - {names.dataset_base}
    # Lists have a read lag. So an object may be missing, and so may a dependent of data, which cannot be restored.
    # guard: teardown: wait for recent creates
    # guard: teardown: wait for recent dependents
    if missing or any(resource_type in data_types.values() for resource_type, _ in existing):
        client.clock.sleep(grace_period)
        existing = _list(client, order, names)
    _check(client, existing)
    deleted = [_delete(client, resource_type, observed) for resource_type, observed in existing]
    _wait_until_unlisted(client, order, {outcome.id for outcome in deleted}, grace_period)
    return deleted


def delete(
    client: AepClient, resource_type: ResourceType[Any], id_: str, *, name: str | None = None, production: bool = False
) -> Outcome:
    """Delete one object that has our marker. An object that does not exist is skipped.

    :param name: expected name of the object, so that a wrong id deletes no data; ``None`` accepts any name
    :param production: whether deletions in a production sandbox are allowed
    :raises AepConfigurationError: the object has another name, or the sandbox is not a development sandbox
    :raises AepConflictError: the object lacks our marker or has dependents
    """
    _check_sandbox(client, production)
    try:
        observed = read(client, resource_type, id_)
    except AepNotFoundError:
        return Outcome(name or id_, id_, id_, "not found")
    # guard: delete: compare the name
    if name is not None and observed.name != name:
        raise AepConfigurationError(
            f"The {resource_type.label} {id_} has the name {observed.name!r}, not {name!r}",
            next_step="Set the id and the name of the same object.",
        )
    _check(client, [(resource_type, observed)])
    return _delete(client, resource_type, observed)


def _wait_until_unlisted(client: AepClient, order: Sequence[Candidate], deleted: set[str], grace_period: float) -> None:
    """Wait until no list shows a deleted object, so that a later onboarding does not find it."""

    def is_listed() -> bool:
        return any(
            resource_type.observe(answer).id in deleted
            for resource_type, name in order
            for answer in client.items(resource_type.find(name))
        )

    started = client.clock.now()
    # guard: teardown: wait until unlisted
    while is_listed():
        if client.clock.now() - started >= grace_period:
            return
        client.clock.sleep(min(STATE_POLL, grace_period))


def _list(client: AepClient, order: Sequence[Candidate], names: Names) -> list[Existing]:
    """Return the objects of this onboarding. An object of another onboarding may have the same name."""

    def is_part(resource_type: ResourceType[Any], observed: Observed) -> bool:
        parent = at(observed.fields, resource_type.parent)
        if resource_type is BASE_CONNECTION:
            return (parent == flow_service.DATA_LAKE) == (observed.name == names.dataset_base)
        return observed.name != names.source_schema or "/classes/" in str(parent)

    return [
        (resource_type, observed)
        for resource_type, name in order
        for observed in _find_exactly(client, resource_type, name)
        # guard: teardown: skip another onboarding's parts
        if is_part(resource_type, observed)
    ]


def _find_exactly(client: AepClient, resource_type: ResourceType[Any], name: str) -> list[Observed]:
    candidates = map(resource_type.observe, client.items(resource_type.find(name)))
    # guard: teardown: compare names exactly
    exact = [observed for observed in candidates if observed.name == name]
    return [complete for observed in exact if (complete := _read_complete(client, resource_type, observed))]


def _read_complete(client: AepClient, resource_type: ResourceType[Any], observed: Observed) -> Observed | None:
    """Return the complete object for a list's short form; ``None`` if the object is already deleted."""
    try:
        return read(client, resource_type, observed.id) if observed.is_partial else observed
    except AepNotFoundError:
        return None


def _check_sandbox(client: AepClient, allowed: bool) -> None:
    name = client.settings.sandbox
    types = {sandbox.name: sandbox.type for sandbox in client.send(sandboxes.list_sandboxes())}
    # guard: teardown: refuse production
    if types.get(name) != "development" and not allowed:
        kind = "a production sandbox" if name in types else "not known to be a development sandbox"
        raise AepConfigurationError(
            f"The sandbox {name!r} is {kind}, so deletions are not allowed",
            next_step="Set allow_production_teardown in section [aep] of Airflow's configuration to True.",
        )


def _check(client: AepClient, existing: Sequence[Existing]) -> None:
    """Raise if an object must not be deleted. All objects are checked before the first deletion."""
    ids = {observed.id for _, observed in existing}
    for resource_type, observed in existing:
        subject = f"The {resource_type.label} {observed.name!r} ({observed.id})"
        parent = at(observed.fields, resource_type.parent)
        expected = identity(client.settings, resource_type.label, parent, observed.name)
        # guard: teardown: delete only our objects
        if observed.marker is None or observed.marker.identity != expected:
            raise AepConflictError(
                f"{subject} was not created by this onboarding",
                next_step="Delete or rename it in AEP, or add its name to keep.",
            )
        # guard: teardown: keep Profile schemas
        if observed.fields.get("union"):
            raise AepConflictError(
                f"{subject} is enabled for Profile, which is irreversible", next_step="Remove its name from data."
            )
        # guard: teardown: keep objects in use
        if dependent := describe_dependent(client, resource_type, observed, ids):
            raise AepConflictError(
                f"{subject} is used by {dependent}", next_step="Delete the dependent object first, or keep both."
            )


def _delete(client: AepClient, resource_type: ResourceType[Any], observed: Observed) -> Outcome:
    outcome = Outcome(observed.name, observed.id, observed.id, "deleted")
    assert isinstance(resource_type, Deletable)
    try:
        if observed.state != DELETING:
            observed = wait_until_stable(client, resource_type, observed)
            # guard: teardown: disable the flow first
            if isinstance(resource_type, SupportsEnabling) and observed.state == "enabled":
                apply_action(client, FLOW_ACTIONS["disable"], observed.id)  # no run begins during the deletion
            client.send(resource_type.delete(observed.id))
        if not wait_until_deleted(client, resource_type, read(client, resource_type, observed.id)):
            raise AepUnavailableError(
                f"The {resource_type.label} {observed.name!r} ({observed.id}) was deleted, but AEP still returns it",
                next_step="Try again later.",
            )
    except AepNotFoundError:
        pass  # an earlier try or another task has deleted it
    return outcome
