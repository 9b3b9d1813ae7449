"""Sensor that checks the health of a scheduled flow: enabled, on time, and its last run accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_aep.links import AepLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepFlowHealthSensor(BaseSensorOperator):
    """Check that a scheduled flow is enabled and on time, and that its last run is accepted.

    The sensor waits only for the first run of a new flow, and for the batches of the last run to land. Schedule its DAG
    as often as the health is to be checked.

    :param flow_id: id of the flow (templated)
    :param aep_conn_id: id of an Airflow connection of type ``aep`` (templated)
    :param max_age: seconds since the start of the last run, at most; the default is twice the flow's interval plus 15
        minutes
    :param on_partial: ``fail``, ``warn`` or ``succeed`` if the last run has failed records
    :param max_failed_ratio: ratio of failed records (0 to 1) up to which a partial run is accepted with a warning
    :param max_failed_records: number of failed records up to which a partial run is accepted with a warning; if
        ``max_failed_ratio`` is also set, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` if the last run read no records
    :param check_batches: whether the batches of the last run must have landed
    :param log_sample_rows: number of failed rows in the log of a bad run; they may hold personal data
    :return: the last run that has ended, as :class:`~.flow_run.AepFlowRunSensor` returns it
    :raises AepPermanentError: the flow is disabled, late or not scheduled repeatedly, or its last run is not accepted
    """

    template_fields: Sequence[str] = ("flow_id", "aep_conn_id")
    operator_extra_links = (AepLink(),)
    ui_color = "#fbe9e7"

    def __init__(
        self,
        *,
        flow_id: str,
        aep_conn_id: str = "aep_default",
        max_age: float | None = None,
        on_partial: str = "fail",
        max_failed_ratio: float = 0.0,
        max_failed_records: int | None = None,
        on_empty: str = "succeed",
        check_batches: bool = True,
        log_sample_rows: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id
        self.aep_conn_id = aep_conn_id
        self.max_age = max_age
        self.on_partial = on_partial
        self.max_failed_ratio = max_failed_ratio
        self.max_failed_records = max_failed_records
        self.on_empty = on_empty
        self.check_batches = check_batches
        self.log_sample_rows = log_sample_rows

    def link_target(self) -> tuple[str, ...] | None:
        """Return the label and the id of the flow, which the task's link opens."""
        return ("flow", self.flow_id) if self.flow_id else None

    def poke(self, context: Context) -> PokeReturnValue:
        """Check the health once, and return the last run as a dict if it is accepted."""
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.client.steps import run_steps
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.exceptions import AepPermanentError, airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook
        from airflow_provider_aep.links import page
        from airflow_provider_aep.runs.health import check_health
        from airflow_provider_aep.runs.observation import Observation, observe_batches
        from airflow_provider_aep.runs.selector import RunSelector
        from airflow_provider_aep.runtime.run_wait import RunWait

        with airflow_errors():
            hook = AepHook(self.aep_conn_id)
            run_wait = RunWait.from_task(self, hook, page)
            flow_id = validate_id(self.flow_id, "flow_id")
            with hook.get_conn() as client:
                try:
                    health = run_steps(client, check_health(flow_id, self.max_age, client.server_now))
                    result = health.result if health else None
                    observation = Observation(RunSelector(flow_id))
                    if health and not health.problem and result:
                        selector = RunSelector(flow_id, result.run_id)
                        steps = observe_batches(selector, result, client.server_now, check_batches=self.check_batches)
                        observation = run_steps(client, steps)
                except AepError as e:
                    if not e.retryable:
                        raise
                    self.log.warning("AEP is unreachable; the health of flow %s is checked again: %s", flow_id, e)
                    return PokeReturnValue(False)
        if health and health.problem:
            raise AepPermanentError(f"The flow {flow_id} is unhealthy: {health.problem}. Next step: {health.next_step}")
        if not observation.is_final:
            if observation.result:
                self.log.info("Waiting for %s", "; ".join([observation.result.summary(), *observation.remarks]))
            else:
                self.log.info("Waiting for the first run of flow %s to end", flow_id)
            return PokeReturnValue(False)
        return PokeReturnValue(True, run_wait.accept(observation))
