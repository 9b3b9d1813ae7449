"""Control of existing flows: enable, disable, publish and update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import send_retrying_not_found
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Flow, Ref
from airflow_provider_aep.client.validation import validate_reference
from airflow_provider_aep.onboarding.reconcile.act import Outcome, update
from airflow_provider_aep.onboarding.reconcile.consistency import transition, wait_until_stable
from airflow_provider_aep.onboarding.resources import FLOW
from airflow_provider_aep.onboarding.resources.flow import FlowUpdate, FlowUpdateType, Schedule, cadence
from airflow_provider_aep.onboarding.schedule import validate_schedule


@dataclass(frozen=True)
class FlowAction:
    """An action on a flow, such as enable.

    :param name: imperative, for messages
    :param call: takes the flow's id, and returns the call of the action
    :param required: state in which AEP accepts the action
    :param target: state after the action
    :param done: states in which the action is already complete
    """

    name: str
    call: Callable[[str], Call[Ref]]
    required: str
    target: str
    done: frozenset[str]


FLOW_ACTIONS = {
    action.name: action
    for action in (
        FlowAction("enable", flow_service.enable_flow, "disabled", "enabled", frozenset({"enabled"})),
        FlowAction("disable", flow_service.disable_flow, "enabled", "disabled", frozenset({"disabled"})),
        # A disabled flow has also been published.
        FlowAction("publish", flow_service.publish_flow, "draft", "enabled", frozenset({"enabled", "disabled"})),
    )
}


def stable_flow(client: AepClient, flow_id: str) -> Flow:
    """Return a flow after it has left any transitional state: updating, enabling and disabling take time.

    :raises AepUnavailableError: the flow stays in a transitional state
    """
    flow = send_retrying_not_found(client, flow_service.get_flow(flow_id))
    observed = wait_until_stable(client, FLOW, FLOW.observe(flow))
    return flow if observed.state == flow.state else client.send(flow_service.get_flow(observed.id))


def apply_action(client: AepClient, action: FlowAction, flow_id: str) -> Outcome:
    """Apply an action to a flow. A flow for which the action is already complete stays unchanged.

    :raises AepConfigurationError: AEP rejects the action in the state of the flow
    """
    observed = FLOW.observe(stable_flow(client, flow_id))
    if observed.state in action.done:
        return Outcome(observed.name, observed.id, observed.id, "unchanged")
    if observed.state != action.required:
        raise AepConfigurationError(
            f"The flow {observed.name!r} ({observed.id}) is in the state {observed.state!r}, but AEP can "
            f"{action.name} a flow only in the state {action.required!r}",
            next_step="Publish the draft first (AepPublishFlowOperator)."
            if observed.state == "draft"
            else f"Change the state of the flow to {action.required!r}, then try again.",
        )
    transition(client, FLOW, flow_id, action.call, action.done)
    return Outcome(observed.name, observed.id, observed.id, "updated", (action.target,))


def update_flow(client: AepClient, flow: Flow, desired: FlowUpdate) -> Outcome:
    """Write the fields of an update that differ from the flow."""
    return update(client, FlowUpdateType(), flow.id, desired)


def flow_update(
    flow: Flow,
    *,
    mapping_set: object,
    frequency: str | None,
    interval: int | None,
    start_in_minutes: float | None,
    now: float,
) -> FlowUpdate:
    """Return the validated fields of an update.

    :param mapping_set: ``{"id", "version"}``; ``None`` keeps the current one
    :param frequency: ``None`` keeps the current one
    :param interval: ``None`` keeps the current one
    :param start_in_minutes: new start in minutes from now; ``None`` keeps the current one
    :param now: AEP's time in seconds since the epoch
    :raises AepConfigurationError: all fields are ``None``, or AEP would reject the schedule
    """
    current = flow.scheduleParams
    if frequency is not None and cadence(frequency) != cadence(current.get("frequency")):
        raise AepConfigurationError(
            f"frequency is {frequency!r}, but the flow {flow.name!r} ({flow.id}) has the frequency "
            f"{current.get('frequency')!r}, and AEP cannot change between once and a schedule",
            next_step="Create a new flow with this frequency.",
        )
    mapping = None if mapping_set is None else validate_reference(mapping_set, "mapping_set")
    schedule: Schedule | None = None
    if not (frequency is None and interval is None and start_in_minutes is None):
        is_once = (frequency or current.get("frequency")) == "once"
        valid = validate_schedule(
            frequency=frequency or str(current.get("frequency")),
            start_in_minutes=1 if start_in_minutes is None else start_in_minutes,
            interval=interval if is_once or interval is not None else int(current.get("interval") or 1),
        )
        start = None if start_in_minutes is None else valid.with_start(now, 0).start_time
        schedule = Schedule(frequency=valid.frequency, interval=valid.interval, start_time=start)
    if mapping is None and schedule is None:
        raise AepConfigurationError(
            "The update has no fields", next_step="Set mapping_set, frequency, interval or start_in_minutes."
        )
    return FlowUpdate(name=flow.name, mapping_set=mapping, schedule=schedule)
