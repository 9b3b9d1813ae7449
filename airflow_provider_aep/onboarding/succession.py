"""When a flow takes another's place: the old one comes to rest first, and the new one takes only what is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepUnavailableError
from airflow_provider_aep.onboarding.control import ACTIONS, act
from airflow_provider_aep.onboarding.ensure import REPLACED
from airflow_provider_aep.onboarding.kind import Body, Found
from airflow_provider_aep.onboarding.kinds import FLOW, rename_with
from airflow_provider_aep.onboarding.verdict import Verdict, judge
from airflow_provider_aep.onboarding.wait import STATE_POLL, STATE_WAIT

_INGESTED = {Verdict.SUCCEEDED.value, Verdict.PARTIAL.value}


def _come_to_rest(client: AepClient, found: Found, wanted: Body) -> None:
    """Disable a flow, and wait for the end of the run that is under way: its window is the last of the old ones.

    :raises AepConfigurationError: the new one would take everything again
    :raises AepUnavailableError: the run does not end; another try goes on from here
    """
    if wanted["runs"] == "once" and _ingested_until(client, found.id):
        raise AepConfigurationError(
            f"The flow {found.name!r} ({found.id}) has run, and another one that runs once would take every row again",
            next_step="Choose another name and dataset, or a frequency other than once.",
        )
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


def _succeed(client: AepClient, wanted: Body) -> tuple[Body, str]:
    """Without backfill, where one of this name that was replaced has ingested already."""
    flows = client.items(flow_service.list_flows({}))
    before = [f for f in flows if f.name.startswith(f"{wanted['name']}{REPLACED}") and FLOW.found(f).marker]
    ends = [end for flow in before if (end := _ingested_until(client, flow.id))]
    if not ends:
        return wanted, ""
    last = datetime.fromtimestamp(max(ends) / 1000, UTC)
    return {**wanted, "scheduleParams": {**wanted["scheduleParams"], "backfill": False}}, (
        f"The flow before it has ingested up to {last:%Y-%m-%d %H:%M:%S} UTC, and AEP lets none start in the past: "
        "rows that changed between then and its start are in no window"
    )


def _ingested_until(client: AepClient, flow_id: str) -> int:
    """The end of the last window that was ingested, in milliseconds since the epoch; 0 if none was."""
    results = map(judge, client.items(flow_service.list_runs(flow_id)))
    return max((r.window_end or 0 for r in results if r.verdict in _INGESTED), default=0)


FLOW_WITH_SUCCESSION = replace(FLOW, rename=rename_with(flow_service.patch_flow), rest=_come_to_rest, succeed=_succeed)
