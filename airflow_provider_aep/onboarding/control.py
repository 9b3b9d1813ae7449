"""What is done to a flow that exists: enable, disable, publish, run on demand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepInvalidRequestError,
    AepUncertainError,
)
from airflow_provider_aep.client.models import Flow, Ref
from airflow_provider_aep.onboarding.ensure import Body, Outcome, checked_reference, fresh, settled
from airflow_provider_aep.onboarding.kinds import FLOW, runs
from airflow_provider_aep.onboarding.schedule import check_moment, check_no_delta, schedule_params


@dataclass(frozen=True)
class Action:
    """An action, the state it needs, the one it leads to, and those in which there is nothing to do."""

    name: str
    call: Callable[[str], Call[Ref]]
    needs: str
    leads_to: str
    done: frozenset[str]


_OTHER_STATE = frozenset({"1420-400", "1421-400", "1422-400"})
"""AEP's codes for an action that does not fit the state an object is in."""

ACTIONS = {
    action.name: action
    for action in (
        Action("enable", flow_service.enable_flow, "disabled", "enabled", frozenset({"enabled"})),
        Action("disable", flow_service.disable_flow, "enabled", "disabled", frozenset({"disabled"})),
        # A flow that was disabled later has been published, too.
        Action("publish", flow_service.publish_flow, "draft", "enabled", frozenset({"enabled", "disabled"})),
    )
}


def settled_flow(client: AepClient, flow_id: str) -> Flow:
    """A flow in a state that can be used: AEP takes a while to update, enable and disable.

    :raises AepUnavailableError: it does not come to rest
    """
    flow = fresh(client, flow_service.get_flow(flow_id))
    found = settled(client, FLOW, FLOW.found(flow))
    return flow if found.state == flow.state else client.send(flow_service.get_flow(found.id))


def act(client: AepClient, action: Action, flow_id: str) -> Outcome:
    """Bring a flow into the state an action leads to; where it is there already, nothing is written.

    :raises AepConfigurationError: it is in a state from which the action does not lead there
    """
    found = FLOW.found(settled_flow(client, flow_id))
    if found.state in action.done:
        return Outcome(found.name, found.id, found.id, "found")
    if found.state != action.needs:
        raise AepConfigurationError(
            f"Cannot {action.name} the flow {found.name!r} ({found.id}): it is {found.state}",
            next_step="A draft does not run: publish it if it shall."
            if found.state == "draft"
            else f"It must be {action.needs}.",
        )
    try:
        client.send(action.call(flow_id))
    except AepInvalidRequestError as e:
        # The answer to an earlier try may have been lost, or somebody else was faster.
        if e.code not in _OTHER_STATE or settled_flow(client, flow_id).state not in action.done:
            raise
    settled_flow(client, flow_id)  # so that the next task can go on with it
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
    was = flow.scheduleParams.get("frequency")
    if frequency is not None and runs(frequency) != runs(was):
        raise AepConfigurationError(
            f"frequency is {frequency!r}, and that of the flow {flow.name!r} is {was!r}: neither becomes the other",
            next_step="Make a new flow.",
        )
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
        dropped = {"backfill", *(["startTime"] if start_in_minutes is None else [])}
        wanted["scheduleParams"] = {k: v for k, v in schedule.items() if k not in dropped}
    if len(wanted) == 1:
        raise AepConfigurationError(
            "Nothing is to be updated", next_step="Give mapping_set, frequency, interval or start_in_minutes."
        )
    return wanted


def run_params(
    flow: Flow,
    *,
    takes_delta: bool,
    columns: list[dict[str, Any]] | None,
    window_start: object,
    window_end: object,
    delta_column: str | None,
    now: float,
) -> dict[str, Any]:
    """The checked ``params`` of an on-demand run.

    :param takes_delta: whether the flow's spec has the ``Copy`` transformation
    :param columns: of the flow's table, ``None`` if unknown
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
        raise _refused(flow, f"its window ends at {window_end}, before it starts at {window_start}", "Swap them.", 1381)
    params: dict[str, Any] = {"startTime": int(now), "windowStartTime": start, "windowEndTime": end}
    kept = _kept_delta(flow)
    if not takes_delta:
        check_no_delta(delta_column)
        return params
    if not delta_column and not kept:
        raise _refused(flow, "no delta column is known", "Give delta_column with the first on-demand run.", 1383)
    if delta_column and kept and delta_column != kept:
        raise _refused(flow, f"its delta column is {kept!r}, not {delta_column!r}", "Leave delta_column out.", 1382)
    check_moment(str(delta_column or kept), columns, 1383, all_of=False)
    return {**params, "deltaColumn": {"name": delta_column or kept}}


def start_run(client: AepClient, flow: Flow, params: Mapping[str, Any]) -> Ref:
    """Start an on-demand run.

    :raises AepUncertainError: its answer was lost, so it may or may not have started
    """
    try:
        return client.send(flow_service.create_run(flow.id, params))
    except AepAnswerLostError as e:
        raise AepUncertainError(
            f"A run of the flow {flow.name!r} may have started, its answer was lost",
            where=e.where,
            next_step="Look at the flow's runs in AEP; run the task again if there is none of this window.",
        ) from None


def _kept_delta(flow: Flow) -> str | None:
    copies = [t.params.get("deltaColumn") for t in flow.transformations if t.name == "Copy"]
    return next((str(c["name"]) for c in copies if isinstance(c, Mapping) and c.get("name")), None)


def _refused(flow: Flow, why: str, step: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(
        f"The flow {flow.name!r} ({flow.id}) cannot run on demand: {why} (AEP would refuse with {code}-400)",
        next_step=step,
    )


def _seconds(moment: object, default: int, field: str) -> int:
    """Seconds since the epoch; without an offset a moment is UTC.

    A text of eight digits is a date without dashes, and thirteen are milliseconds; so a text that is meant as seconds
    has ten digits, or is 0 for everything.
    """
    text = str(moment)
    if moment is None or text in {"", "None"}:  # as templates render it
        return default
    if isinstance(moment, int | float) and not isinstance(moment, bool) and 0 <= moment < 10**10:
        return int(moment)
    if re.fullmatch(r"0|[0-9]{10}(\.[0-9]+)?", text):
        return int(float(text))
    try:
        if re.fullmatch(r"[0-9.]+", text) and len(text) != 8:  # which ISO 8601 would find some moment in
            raise ValueError(text)
        at = moment if isinstance(moment, datetime) else datetime.fromisoformat(text)
    except ValueError:
        raise AepConfigurationError(
            f"{field} is {moment!r}",
            next_step="It must be an ISO 8601 moment, or seconds (not milliseconds) since 1970; as text they have ten "
            "digits.",
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
