"""Whether a scheduled flow does its work: enabled, on time, and nothing left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.client.steps import Steps
from airflow_provider_aep.onboarding.verdict import RunResult, Verdict, judge
from airflow_provider_aep.onboarding.wait import freshly

SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
GRACE = 900.0
"""Seconds that AEP may take, beside the schedule, from a run's time to its end."""


@dataclass(frozen=True)
class Health:
    """
    :param ill: what is wrong; empty if nothing is
    :param result: of the last run that has ended; ``None`` as long as there is none
    :param next_step: what a person should do
    """

    ill: str
    result: RunResult | None = None
    next_step: str = ""


def checked(flow_id: str, max_age: float | None, server_now: Callable[[], float]) -> Steps[Health | None]:
    """How a flow is; ``None`` as long as that cannot be told, because its first run is not due yet.

    :param max_age: seconds since the last run has started; twice the flow's interval and a quarter of an hour unless
        given
    :param server_now: in seconds since the epoch; right once the server has answered
    :raises AepConfigurationError: the flow is not scheduled repeatedly
    """
    flow: Flow = yield from freshly(flow_service.get_flow(flow_id))
    schedule = flow.scheduleParams
    length = SECONDS.get(str(schedule.get("frequency")), 0) * int(schedule.get("interval") or 0)
    if not length:
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) is scheduled {schedule.get('frequency')!r}: it has no next run",
            next_step="Watch its run with AepFlowRunSensor.",
        )
    if flow.state != "enabled":
        return Health(f"it is {flow.state}", next_step="Enable it (AepEnableFlowOperator), or stop watching it.")
    longest = 2 * length + GRACE if max_age is None else max_age
    page = yield flow_service.list_runs(flow.id, orderby="-createdAt")
    runs: list[Run] = [run for run in page.items if run.flowId == flow.id]
    now = server_now()
    ended = next((r for r in map(judge, runs) if r.verdict != Verdict.WAITING.value), None)
    last = max((run.createdAt / 1000 for run in runs), default=None)
    if last is None and now - float(schedule.get("startTime") or 0) <= longest:
        return None
    if last is None or now - last > longest:
        since = (
            "there was none" if last is None else f"the last was {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC"
        )
        return Health(
            f"no run has started within {longest:g} s: {since}",
            ended,
            "Look at the flow in AEP, and whether its base connection can still log in (AepTestConnectionOperator).",
        )
    return Health("", ended) if ended else None
