"""Health check of a scheduled flow: whether it is enabled, and whether its last run started on time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.consistency import retry_not_found
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.client.steps import Steps
from airflow_provider_aep.runs.verdict import RunResult, Verdict, evaluate_run

SECONDS_PER_UNIT = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
"""Length of each repeated frequency of a flow's schedule."""

GRACE = 900.0
"""Seconds that AEP may take, in addition to the schedule, from a run's scheduled time to its end."""


@dataclass(frozen=True)
class Health:
    """The health of a scheduled flow.

    :param problem: a clause that completes "The flow is unhealthy:"; empty if the flow is healthy
    :param result: of the last run that has ended; ``None`` if no run has ended
    :param next_step: an instruction that resolves the problem
    """

    problem: str
    result: RunResult | None = None
    next_step: str = ""


def check_health(flow_id: str, max_age: float | None, server_now: Callable[[], float]) -> Steps[Health | None]:
    """Return the health of a flow; ``None`` while it is unknown, because the first run is not due or has not ended.

    :param flow_id: id of the flow
    :param max_age: seconds since the last run started, at most; ``None`` for twice the flow's interval plus ``GRACE``
    :param server_now: returns AEP's clock in seconds since the epoch; exact once AEP has answered
    :raises AepConfigurationError: the flow's schedule does not repeat
    """
    flow: Flow = yield from retry_not_found(flow_service.get_flow(flow_id))
    schedule = flow.scheduleParams
    interval = SECONDS_PER_UNIT.get(str(schedule.get("frequency")), 0) * int(schedule.get("interval") or 0)
    if not interval:
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) has the frequency {schedule.get('frequency')!r}, so no run "
            "is due regularly",
            next_step="Wait for its run with AepFlowRunSensor.",
        )
    if flow.state != "enabled":
        return Health(f"it is {flow.state}", next_step="Enable it with AepEnableFlowOperator, or remove this sensor.")
    longest = 2 * interval + GRACE if max_age is None else max_age
    page = yield flow_service.list_runs(flow.id, orderby="-createdAt")
    runs: list[Run] = [run for run in page.items if run.flowId == flow.id]
    now = server_now()
    ended = next((r for r in map(evaluate_run, runs) if r.verdict != Verdict.WAITING.value), None)
    last = max((run.createdAt / 1000 for run in runs), default=None)
    if last is None and now - float(schedule.get("startTime") or 0) <= longest:
        return None
    if last is None or now - last > longest:
        detail = (
            "it has no run" if last is None else f"the last was {datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M} UTC"
        )
        return Health(
            f"no run has started within {longest:g} s: {detail}",
            ended,
            "Look at the flow in AEP, and check with AepTestConnectionOperator that its base connection can log in.",
        )
    return Health("", ended) if ended else None
