"""What is done to a flow that exists: enable, disable, publish, run on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepInvalidRequestError
from airflow_provider_aep.client.models import Flow, Ref
from airflow_provider_aep.onboarding.ensure import Body, Outcome, checked_reference, fresh, settled
from airflow_provider_aep.onboarding.kinds import FLOW, runs
from airflow_provider_aep.onboarding.schedule import schedule_params


@dataclass(frozen=True)
class Action:
    """An action, the state it needs and the state it leads to."""

    name: str
    call: Callable[[str], Call[Ref]]
    needs: str
    leads_to: str


ENABLE = Action("enable", flow_service.enable_flow, "disabled", "enabled")
DISABLE = Action("disable", flow_service.disable_flow, "enabled", "disabled")
PUBLISH = Action("publish", flow_service.publish_flow, "draft", "enabled")


def act(client: AepClient, action: Action, flow_id: str) -> Outcome:
    """Bring a flow into the state an action leads to; where it is there already, nothing is written.

    :raises AepConfigurationError: it is in a state from which the action does not lead there
    """
    found = settled(client, FLOW, FLOW.found(fresh(client, flow_service.get_flow(flow_id))))
    if found.state == action.leads_to:
        return Outcome(found.name, found.id, found.id, "found")
    if found.state != action.needs:
        raise AepConfigurationError(
            f"Cannot {action.name} the flow {found.name!r} ({found.id}): it is {found.state}",
            next_step="Publish it first." if found.state == "draft" else f"It must be {action.needs}.",
        )
    try:
        client.send(action.call(flow_id))
    except AepInvalidRequestError as e:
        # The answer to an earlier try may have been lost, or somebody else was faster.
        if e.code != "1422-400" or client.send(flow_service.get_flow(flow_id)).state != action.leads_to:
            raise
    return Outcome(found.name, found.id, found.id, "updated", (action.leads_to,))


def changes(
    flow: Flow,
    *,
    mapping_set: object,
    frequency: str | None,
    interval: int | None,
    start_in_minutes: float | None,
    now: float,
) -> Body:
    """The checked fields of a flow that an update asks for.

    :raises AepConfigurationError: nothing is asked for, or the schedule would be none that AEP takes
    """
    wanted: Body = {"name": flow.name}
    if mapping_set is not None:
        mapping = checked_reference(mapping_set, "mapping_set")
        wanted["steps"] = {"Mapping": {"mappingId": mapping["id"], "mappingVersion": mapping["version"]}}
    if not (frequency is None and interval is None and start_in_minutes is None):
        have = flow.scheduleParams
        once = (frequency or have.get("frequency")) == "once"
        schedule = schedule_params(
            frequency=frequency or str(have.get("frequency")),
            start_in_minutes=1 if start_in_minutes is None else start_in_minutes,
            now=now,
            interval=interval if once or interval is not None else int(have.get("interval") or 1),
        )
        wanted["runs"] = runs(schedule["frequency"])
        dropped = {"backfill", *(["startTime"] if start_in_minutes is None else [])}
        wanted["scheduleParams"] = {k: v for k, v in schedule.items() if k not in dropped}
    if len(wanted) == 1:
        raise AepConfigurationError(
            "Nothing is to be updated", next_step="Give mapping_set, frequency, interval or start_in_minutes."
        )
    return wanted


def run_params(
    flow: Flow, *, takes_delta: bool, window_start: object, window_end: object, delta_column: str | None, now: float
) -> dict[str, Any]:
    """The checked ``params`` of an on-demand run.

    :param takes_delta: whether the flow's spec has the ``Copy`` transformation
    :param window_start: moment (ISO 8601, a datetime, or seconds since the epoch); ``None`` takes everything
    :param window_end: likewise; ``None`` is ``now``
    :param delta_column: needed with the first on-demand run of a flow, which keeps it
    :raises AepConfigurationError: naming the AEP code that the run would be refused with
    """
    frequency = flow.scheduleParams.get("frequency")
    if frequency != "once":
        raise _refused(flow, f"its frequency is {frequency!r}", "Only flows that are scheduled once take it.", 1386)
    if flow.state != "enabled":
        raise _refused(flow, f"it is {flow.state}", "Enable or publish it first.", 1388)
    start, end = _seconds(window_start, 0, "window_start"), _seconds(window_end, int(now), "window_end")
    if end < start:
        raise _refused(flow, f"its window ends at {end}, before it starts at {start}", "Swap them.", 1381)
    params: dict[str, Any] = {"startTime": int(now), "windowStartTime": start, "windowEndTime": end}
    kept = _kept_delta(flow)
    if not takes_delta:
        if delta_column:
            raise AepConfigurationError(
                f"delta_column is {delta_column!r}", next_step="Leave it out: a REST source has no delta column."
            )
        return params
    if not delta_column and not kept:
        raise _refused(flow, "no delta column is known", "Give delta_column with the first on-demand run.", 1383)
    if delta_column and kept and delta_column != kept:
        raise _refused(flow, f"its delta column is {kept!r}, not {delta_column!r}", "Leave delta_column out.", 1382)
    return {**params, "deltaColumn": {"name": delta_column or kept}}


def _kept_delta(flow: Flow) -> str | None:
    copies = [t.params.get("deltaColumn") for t in flow.transformations if t.name == "Copy"]
    return next((str(c["name"]) for c in copies if isinstance(c, Mapping) and c.get("name")), None)


def _refused(flow: Flow, why: str, step: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(
        f"The flow {flow.name!r} ({flow.id}) cannot run on demand: {why} (AEP would refuse with {code}-400)",
        next_step=step,
    )


def _seconds(moment: object, default: int, field: str) -> int:
    """Seconds since the epoch; without an offset a moment is UTC."""
    if moment is None or moment == "":
        return default
    if isinstance(moment, int | float) and not isinstance(moment, bool):
        return int(moment)
    try:
        at = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    except ValueError:
        raise AepConfigurationError(
            f"{field} is {moment!r}", next_step="It must be an ISO 8601 moment or seconds since the epoch."
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
