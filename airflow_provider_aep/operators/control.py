"""Operators that change an existing flow: enable, disable, publish or update it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _AepFlowActionOperator(AepOperator):
    """Base of the operators that change the state of a flow.

    :param flow_id: id of the flow (templated)
    """

    action: ClassVar[str]
    """A key of ``FLOW_ACTIONS`` in :mod:`~airflow_provider_aep.onboarding.lifecycle.control`."""

    template_fields: Sequence[str] = (*AepOperator.template_fields, "flow_id")

    def __init__(self, *, flow_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id

    def execute(self, context: Context) -> str:
        """Apply the action, log the outcome, and return the id of the flow."""
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.lifecycle.control import FLOW_ACTIONS, apply_action

        with self.aep() as client:
            flow_id = validate_id(self.flow_id, "flow_id")
            self._link_target = ("flow", flow_id)
            outcome = apply_action(client, FLOW_ACTIONS[self.action], flow_id)
            return self.log_outcome(client, "flow", outcome)


class AepEnableFlowOperator(_AepFlowActionOperator):
    """Enable a disabled flow. An enabled flow is not changed.

    :param flow_id: id of the flow (templated)
    :return: the id of the flow
    """

    action = "enable"


class AepDisableFlowOperator(_AepFlowActionOperator):
    """Disable an enabled flow, so that AEP starts no further runs. A disabled flow is not changed.

    :param flow_id: id of the flow (templated)
    :return: the id of the flow
    """

    action = "disable"


class AepPublishFlowOperator(_AepFlowActionOperator):
    """Publish a draft flow, so that it runs as scheduled. A published flow is not changed.

    :param flow_id: id of the flow (templated)
    :return: the id of the flow
    """

    action = "publish"


class AepUpdateFlowOperator(AepOperator):
    """Change the schedule or the mapping set of a flow.

    Arguments that are not set leave their values unchanged. The delta column never changes. The operator validates
    the change by the rules for a new flow before it writes. It cannot change a flow that runs once into one that runs
    repeatedly, or the reverse.

    :param flow_id: id of the flow (templated)
    :param mapping_set: ``{"id", "version"}`` of the new mapping set (templated)
    :param frequency: ``minute``, ``hour``, ``day`` or ``week`` (templated)
    :param interval: number of frequency units between two runs (templated); at least 15 with ``minute``
    :param start_in_minutes: minutes from now to the new start (templated)
    :return: the id of the flow
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "flow_id",
        "mapping_set",
        "frequency",
        "interval",
        "start_in_minutes",
    )

    def __init__(
        self,
        *,
        flow_id: str,
        mapping_set: Mapping[str, Any] | None = None,
        frequency: str | None = None,
        interval: int | None = None,
        start_in_minutes: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id
        self.mapping_set = mapping_set
        self.frequency = frequency
        self.interval = interval
        self.start_in_minutes = start_in_minutes

    def execute(self, context: Context) -> str:
        """Validate and write the change, log the outcome, and return the id of the flow."""
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.lifecycle.control import flow_update, stable_flow, update_flow

        with self.aep() as client:
            flow = stable_flow(client, validate_id(self.flow_id, "flow_id"))
            self._link_target = ("flow", flow.id)
            desired = flow_update(
                flow,
                mapping_set=native(self.mapping_set),
                frequency=native(self.frequency),
                interval=native(self.interval),
                start_in_minutes=native(self.start_in_minutes),
                now=client.clock.now(),
            )
            return self.log_outcome(client, "flow", update_flow(client, flow, desired))
