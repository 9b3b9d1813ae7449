"""What is done to a flow that exists: enable, disable, publish, update, run on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
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


class AepRunFlowOperator(AepOperator):
    """Start an on-demand run of a flow that is scheduled once; wait for it with
    :class:`~airflow_provider_aep.sensors.flow_run.AepFlowRunSensor`.

    What AEP would refuse is told before it is asked. A task starts one run, however often it is tried: where an answer
    was lost, or a try died, the run is looked for by its window.

    :param flow_id: (templated)
    :param window_start: rows from this moment on (templated): ISO 8601, or seconds since the epoch (as text, ten
        digits); everything unless given
    :param window_end: rows before this moment (templated); now unless given
    :param delta_column: date-time column that tells a row's moment (templated); needed with the first on-demand run of
        a flow, which keeps it
    :param on_ambiguous: what to do if a run may have been started and none is found ``[aep] settle`` seconds later:
        ``fail`` at once, for a person to look, or ``start`` one, which may ingest the window a second time (templated)
    :return: the run's id
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "flow_id",
        "window_start",
        "window_end",
        "delta_column",
        "on_ambiguous",
    )

    def __init__(
        self,
        *,
        flow_id: str,
        window_start: datetime | float | str | None = None,
        window_end: datetime | float | str | None = None,
        delta_column: str | None = None,
        on_ambiguous: str = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id
        self.on_ambiguous = on_ambiguous
        self.window_start = window_start
        self.window_end = window_end
        self.delta_column = delta_column

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.onboarding.control import settled_flow
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.on_demand import run_params, start_run

        with self.aep() as client:
            flow = settled_flow(client, checked_id(self.flow_id, "flow_id"))
            self._object = ("flow", flow.id)
            spec = client.send(flow_service.get_flow_spec(flow.flowSpec.id if flow.flowSpec else ""))
            origin = client.send(flow_service.get_source_connection(flow.sourceConnectionIds[0]))
            params = run_params(
                flow,
                takes_delta=spec.takes_delta,
                columns=origin.params.get("columns"),
                window_start=self.window_start,
                window_end=self.window_end,
                delta_column=native(self.delta_column),
                now=client.clock.now(),
            )
            run = start_run(
                client,
                flow,
                params,
                self.attempt(),
                open_end=self.window_end in {None, "", "None"},
                on_ambiguous=self.on_ambiguous,
            )
            self._object = ("run", flow.id, run.id)
            self.log.info("Run of flow %r %s: %s in sandbox %s", flow.name, run.action, run.id, client.settings.sandbox)
            return run.id
