"""What is done to a flow that exists: enable, disable, publish, run on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
)
from airflow_provider_aep.client.models import Flow, Ref
from airflow_provider_aep.onboarding.ensure import Outcome
from airflow_provider_aep.onboarding.given import checked_reference
from airflow_provider_aep.onboarding.kind import Body
from airflow_provider_aep.onboarding.kinds import FLOW, runs
from airflow_provider_aep.onboarding.schedule import schedule_params
from airflow_provider_aep.onboarding.wait import act as change_state
from airflow_provider_aep.onboarding.wait import fresh, settled


@dataclass(frozen=True)
class Action:
    """An action, the state it needs, the one it leads to, and those in which there is nothing to do."""

    name: str
    call: Callable[[str], Call[Ref]]
    needs: str
    leads_to: str
    done: frozenset[str]


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
    change_state(client, FLOW, flow_id, action.call, action.done)
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
