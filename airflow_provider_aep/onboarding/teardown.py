"""Taking down what was onboarded: only what is ours, and nobody else uses; data only when it is asked for by name."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_aep.client import flow_service, sandboxes
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepConflictError,
    AepNotFoundError,
    AepUnavailableError,
)
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.attempt import SETTLE
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.control import ACTIONS, act
from airflow_provider_aep.onboarding.ensure import Outcome
from airflow_provider_aep.onboarding.identity import identity
from airflow_provider_aep.onboarding.kind import Found, Kind
from airflow_provider_aep.onboarding.names import Names
from airflow_provider_aep.onboarding.users import user_of
from airflow_provider_aep.onboarding.wait import GOING, STATE_POLL, gone, read, settled


def teardown(
    client: AepClient,
    onboarding: str,
    *,
    data: Sequence[str] = (),
    keep: Sequence[str] = (),
    production: bool = False,
    settle: float = SETTLE,
) -> list[Outcome]:
    """Delete what an onboarding has made, the flow first. What is gone already is passed over.

    Mapping sets stay: AEP does not document that they can be deleted, and they do no harm.

    :param onboarding: as in :class:`~airflow_provider_aep.onboarding.names.Names`
    :param data: names of the dataset and of schemas and class to delete, too; a dataset takes its rows with it
    :param keep: names of what is passed over, because it was only used
    :param production: whether it may be done in a production sandbox
    :param settle: seconds after which AEP lists what was made a moment ago; waited for where something is missing
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
    order = [(kind, name) for kind, name in order if name not in keep]
    doomed = _listed(client, order, names)
    missing = {name for _, name in order} - {found.name for _, found in doomed} - {names.dataset_base}
    # What was made a moment ago may not be listed yet: what is to go, and what stands on data that cannot be had again.
    if missing or any(kind in with_rows.values() for kind, _ in doomed):
        client.clock.sleep(settle)
        doomed = _listed(client, order, names)
    _check(client, doomed)
    deleted = [_delete(client, kind, found) for kind, found in doomed]
    _wait_until_unlisted(client, order, {outcome.id for outcome in deleted}, settle)
    return deleted


def _wait_until_unlisted(
    client: AepClient, order: Sequence[tuple[Kind, str]], deleted: set[str], settle: float
) -> None:
    """So that an onboarding that follows at once does not find what is gone."""

    def is_listed() -> bool:
        return any(kind.found(o).id in deleted for kind, name in order for o in client.items(kind.find(name)))

    started = client.clock.now()
    while is_listed():
        if client.clock.now() - started >= settle:
            return
        client.clock.sleep(min(STATE_POLL, settle))


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


def _listed(client: AepClient, order: Sequence[tuple[Kind, str]], names: Names) -> list[tuple[Kind, Found]]:
    """What has these names; one onboarding may be called like a part of another."""

    def is_part(kind: Kind, found: Found) -> bool:
        if kind is kinds.BASE_CONNECTION:
            in_lake = at(found.fields, kind.scope) == flow_service.DATA_LAKE
            return in_lake == (found.name == names.dataset_base)
        return found.name != names.source_schema or "/classes/" in str(at(found.fields, kind.scope))

    return [(kind, found) for kind, name in order for found in _named(client, kind, name) if is_part(kind, found)]


def _named(client: AepClient, kind: Kind, name: str) -> list[Found]:
    found = [f for f in map(kind.found, client.items(kind.find(name))) if f.name == name]
    return [whole for f in found if (whole := _whole(client, kind, f))]


def _whole(client: AepClient, kind: Kind, found: Found) -> Found | None:
    """What a list shows in part; ``None`` if the list is behind, and it is gone."""
    try:
        return read(client, kind, found.id) if kind.short else found
    except AepNotFoundError:
        return None


def _check_sandbox(client: AepClient, allowed: bool) -> None:
    here = client.settings.sandbox
    kinds_of = {s.name: s.type for s in client.send(sandboxes.list_sandboxes())}
    if kinds_of.get(here) != "development" and not allowed:
        raise AepConfigurationError(
            f"{here} is {'a production' if here in kinds_of else 'not known to be a development'} sandbox, and nothing "
            "is deleted there",
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
            raise AepConflictError(f"{said} is not ours", next_step="Delete or rename it in AEP, or name it in keep.")
        if found.fields.get("union"):
            raise AepConflictError(f"{said} is enabled for Profile", next_step="It stays: AEP cannot undo that.")
        if user := user_of(client, kind, found, besides=ids):
            raise AepConflictError(f"{said} is used by {user}", next_step="Delete that one first, if it is not needed.")


def _delete(client: AepClient, kind: Kind, found: Found) -> Outcome:
    outcome = Outcome(found.name, found.id, found.id, "deleted")
    try:
        if found.state != GOING:
            found = settled(client, kind, found)
            if kind is kinds.FLOW and found.state == "enabled":
                act(client, ACTIONS["disable"], found.id)  # so that no run begins meanwhile
            assert kind.remove
            client.send(kind.remove(found.id))
        if not gone(client, kind, read(client, kind, found.id)):
            raise AepUnavailableError(
                f"The {kind.label} {found.name!r} ({found.id}) was deleted, and is still there",
                next_step="Try again later.",
            )
    except AepNotFoundError:
        pass  # the answer to an earlier try was lost, or somebody else was faster
    return outcome
