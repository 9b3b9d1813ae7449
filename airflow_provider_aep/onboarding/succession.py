"""When a flow takes another's place: the old one comes to rest first, and the new one takes only what is new."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace
from datetime import UTC, datetime

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepUnavailableError
from airflow_provider_aep.onboarding.control import ACTIONS, act
from airflow_provider_aep.onboarding.kind import Body, Found
from airflow_provider_aep.onboarding.kinds import FLOW, rename_with
from airflow_provider_aep.onboarding.names import is_put_aside
from airflow_provider_aep.onboarding.verdict import RunResult, Verdict, judge
from airflow_provider_aep.onboarding.wait import STATE_POLL, STATE_WAIT


def _come_to_rest(client: AepClient, found: Found, wanted: Body) -> None:
    """Disable a flow, and wait for the end of the run that is under way: its window is the last of the old ones.

    :raises AepConfigurationError: the new one would take everything again
    :raises AepUnavailableError: the run does not end; another try goes on from here
    """
    _check_that_it_takes_nothing_again(client, wanted, [found.id])
    if found.state == "enabled":
        act(client, ACTIONS["disable"], found.id)
    started, newest = client.clock.now(), flow_service.list_runs(found.id, orderby="-createdAt")
    while any(judge(run).verdict == Verdict.WAITING for run in client.send(newest).items):
        if client.clock.now() - started > STATE_WAIT:
            raise AepUnavailableError(
                f"A run of the flow {found.name!r} ({found.id}), which is to be replaced, is still under way",
                next_step="Try again later: the flow is disabled, and its run ends by itself.",
            )
        client.clock.sleep(STATE_POLL)
    _check_that_it_takes_nothing_again(client, wanted, [found.id])  # the run that was under way


def _succeed(client: AepClient, wanted: Body, replaced: Set[str]) -> tuple[Body, str]:
    """Without backfill, where one of this name that was replaced has ingested already.

    :param replaced: ids of those that a list may still show under their old name
    """
    flows = [FLOW.found(f) for f in client.items(flow_service.list_flows({}))]
    before = {f.id for f in flows if is_put_aside(f.name, wanted["name"]) and f.marker} | replaced
    _check_that_it_takes_nothing_again(client, wanted, before)
    ingested = [run for flow in before for run in _ingested(client, flow)]
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
    if wanted["runs"] == "once" and any(_ingested(client, flow) for flow in before):
        raise AepConfigurationError(
            f"A flow {wanted['name']!r} has run before, and another one that runs once would take every row again",
            next_step="Choose another name and dataset, or a frequency other than once.",
        )


def _ingested(client: AepClient, flow_id: str) -> list[RunResult]:
    """The runs of which something has landed."""
    results = map(judge, client.items(flow_service.list_runs(flow_id)))
    return [r for r in results if r.verdict not in {Verdict.FAILED.value, Verdict.WAITING.value}]


FLOW_WITH_SUCCESSION = replace(FLOW, rename=rename_with(flow_service.patch_flow), rest=_come_to_rest, succeed=_succeed)
