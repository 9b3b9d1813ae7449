"""What is done to a flow that exists: enable, disable, publish, update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _AepFlowActionOperator(AepOperator):
    """:param flow_id: (templated)"""

    action: ClassVar[str]
    """One of :data:`~airflow_provider_aep.onboarding.control.ACTIONS`."""

    template_fields: Sequence[str] = (*AepOperator.template_fields, "flow_id")

    def __init__(self, *, flow_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.onboarding.control import ACTIONS, act
        from airflow_provider_aep.onboarding.given import checked_id

        with self.aep() as client:
            flow_id = checked_id(self.flow_id, "flow_id")
            self._object = ("flow", flow_id)
            return self.told(client, "flow", act(client, ACTIONS[self.action], flow_id))


class AepEnableFlowOperator(_AepFlowActionOperator):
    """Enable a disabled flow; an enabled one is left alone.

    :param flow_id: (templated)
    :return: the id
    """

    action = "enable"


class AepDisableFlowOperator(_AepFlowActionOperator):
    """Disable an enabled flow: it has no further runs; a disabled one is left alone.

    :param flow_id: (templated)
    :return: the id
    """

    action = "disable"


class AepPublishFlowOperator(_AepFlowActionOperator):
    """Publish a draft: from then on it runs as scheduled; a published one is left alone.

    :param flow_id: (templated)
    :return: the id
    """

    action = "publish"


class AepUpdateFlowOperator(AepOperator):
    """Change the schedule or the mapping set of a flow; what is left out stays, and so does its delta column.

    The same rules as for a new flow are checked first. A flow that runs once cannot become one that runs repeatedly,
    nor the other way round.

    :param flow_id: (templated)
    :param mapping_set: ``{"id", "version"}`` (templated)
    :param frequency: ``minute``, ``hour``, ``day`` or ``week`` (templated)
    :param interval: in units of frequency (templated); at least 15 with ``minute``
    :param start_in_minutes: from now to another start (templated)
    :return: the id
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
        from airflow_provider_aep.onboarding.control import changes, settled_flow
        from airflow_provider_aep.onboarding.ensure import mend
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.kinds import FLOW_UPDATE

        with self.aep() as client:
            flow = settled_flow(client, checked_id(self.flow_id, "flow_id"))
            self._object = ("flow", flow.id)
            wanted = changes(
                flow,
                mapping_set=native(self.mapping_set),
                frequency=native(self.frequency),
                interval=native(self.interval),
                start_in_minutes=native(self.start_in_minutes),
                now=client.clock.now(),
            )
            return self.told(client, "flow", mend(client, FLOW_UPDATE, flow.id, wanted))
