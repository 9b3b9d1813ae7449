"""When a flow takes another's place: the old one comes to rest first, and the new one takes only what is new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepNotFoundError, AepUnavailableError
from airflow_provider_aep.onboarding.control import ACTIONS, act
from airflow_provider_aep.onboarding.kind import Body, Found
from airflow_provider_aep.onboarding.kinds import FLOW, rename_with
from airflow_provider_aep.onboarding.names import is_put_aside
from airflow_provider_aep.onboarding.verdict import RunResult, Verdict, judge
from airflow_provider_aep.onboarding.wait import STATE_POLL, STATE_WAIT


def _come_to_rest(client: AepClient, found: Found, wanted: Body, settle: float) -> None:
    """Disable a flow, and wait for the end of the run that is under way: its window is the last of the old ones.

    :param settle: seconds after which a run is listed
    :raises AepConfigurationError: the new one would take everything again
    :raises AepUnavailableError: the run does not end; another try goes on from here
    """
    _wait_for_its_first_run(client, found, settle)
    _check_that_it_takes_nothing_again(client, wanted, [found.id])
    if found.state == "enabled":
        act(client, ACTIONS["disable"], found.id)
        _wait_for_its_first_run(client, found, settle)  # one may have begun before it was disabled
    started, newest = client.clock.now(), flow_service.list_runs(found.id, orderby="-createdAt")
    while any(judge(run).verdict == Verdict.WAITING for run in client.send(newest).items):
        if client.clock.now() - started > STATE_WAIT:
            raise AepUnavailableError(
                f"A run of the flow {found.name!r} ({found.id}), which is to be replaced, is still under way",
                next_step="Try again later: the flow is disabled, and its run ends by itself.",
            )
        client.clock.sleep(STATE_POLL)
    _check_that_it_takes_nothing_again(client, wanted, [found.id])  # the run that was under way


def _wait_for_its_first_run(client: AepClient, found: Found, settle: float) -> None:
    """Wait until the first run would be listed of a flow that should have had one: lists lag behind.

    One that has failed says nothing of the next.
    """
    due = float(found.fields["scheduleParams"].get("startTime") or 0) <= client.server_now()
    if due and all(judge(run).verdict == Verdict.FAILED for run in client.items(flow_service.list_runs(found.id))):
        client.clock.sleep(settle)


def _succeed(client: AepClient, wanted: Body) -> tuple[Body, str]:
    """Without backfill, where one of this name that was replaced has ingested already."""
    flows = [FLOW.found(f) for f in client.items(flow_service.list_flows({}))]
    # A list may still show what was put aside under its old name, and as under way what has ended.
    names = [f for f in flows if f.name == wanted["name"] or is_put_aside(f.name, wanted["name"])]
    before = {f.id for f in names if f.marker}
    _check_that_it_takes_nothing_again(client, wanted, before)
    ingested = [run for flow in before for run in _ingested(client, wanted, flow)]
    if not ingested:
        return wanted, ""
    last = max(run.window_end or run.completed_at or 0 for run in ingested)
    said = f"up to {datetime.fromtimestamp(last / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" if last else "already"
    return {**wanted, "scheduleParams": {**wanted["scheduleParams"], "backfill": False}}, (
        f"The flow before it has ingested {said}, and AEP lets none start in the past: rows that changed between then "
        "and its start are in no window"
    )


def _check_that_it_takes_nothing_again(client: AepClient, wanted: Body, before: Iterable[str]) -> None:
    """:raises AepConfigurationError: a flow that runs once has no choice but to take everything"""
    done = (run for flow in before for run in _ingested(client, wanted, flow) if run.verdict != Verdict.WAITING.value)
    if wanted["runs"] == "once" and any(done):
        raise AepConfigurationError(
            f"A flow {wanted['name']!r} has run before, and another one that runs once would take every row again",
            next_step="Choose another name and dataset, or a frequency other than once.",
        )


def _ingested(client: AepClient, wanted: Body, flow_id: str) -> list[RunResult]:
    """The runs of a flow of which something has landed, or may land, in the dataset that is wanted now."""
    if _is_elsewhere(client, flow_id, wanted["targetConnectionIds"]):
        return []
    results = map(judge, client.items(flow_service.list_runs(flow_id)))
    return [r for r in results if r.verdict != Verdict.FAILED.value]


def _is_elsewhere(client: AepClient, flow_id: str, targets: list[str]) -> bool:
    """Whether a flow is known to write into other datasets; one that is gone, or whose target is, may not have."""
    try:
        its = client.send(flow_service.get_flow(flow_id)).targetConnectionIds
        return its != targets and _datasets(client, its) != _datasets(client, targets)
    except AepNotFoundError:
        return False


def _datasets(client: AepClient, targets: Iterable[str]) -> list[object]:
    return [client.send(flow_service.get_target_connection(id_)).params.get("dataSetId") for id_ in targets]


FLOW_WITH_SUCCESSION = replace(FLOW, rename=rename_with(flow_service.patch_flow), rest=_come_to_rest, succeed=_succeed)
