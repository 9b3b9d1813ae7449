"""Watches over a scheduled flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_aep.links import AepLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepFlowHealthSensor(BaseSensorOperator):
    """Fail unless a scheduled flow is enabled, on time, and its last run was as good as it must be.

    It waits only for the first run of a new flow, and for the batches of the last to land. Put it into a DAG that runs
    as often as you want to know.

    :param flow_id: (templated)
    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    :param max_age: seconds since the last run has started; twice the flow's interval and a quarter of an hour unless
        given
    :param on_partial: ``fail``, ``warn`` or ``succeed`` if records failed in the last run
    :param max_failed_ratio: share of failed records (0 to 1) up to which it passes with a warning
    :param max_failed_records: number of failed records up to which it does; with a share, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` if the last run had nothing to read
    :param check_batches: whether its batches must have landed, too
    :param log_sample_rows: how many failed rows the log of a bad run shows; they may hold personal data
    :return: the last run that has ended, as :class:`~.flow_run.AepFlowRunSensor` returns it
    :raises AepPermanentError: the flow is disabled or late, or its last run is not accepted
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
        return ("flow", self.flow_id) if self.flow_id else None

    def poke(self, context: Context) -> PokeReturnValue:
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.client.steps import follow
        from airflow_provider_aep.exceptions import AepPermanentError, airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook
        from airflow_provider_aep.hooks.watching import Watching
        from airflow_provider_aep.links import page
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.health import checked
        from airflow_provider_aep.onboarding.watch import Awaited, Seen, concluded

        with airflow_errors():
            watching = Watching.of(self, page)
            flow_id = checked_id(self.flow_id, "flow_id")
            with AepHook(self.aep_conn_id).get_conn() as client:
                try:
                    health = follow(client, checked(flow_id, self.max_age, client.server_now))
                    result = health.result if health else None
                    seen = Seen(Awaited(flow_id))
                    if health and not health.ill and result:
                        awaited = Awaited(flow_id, result.run_id)
                        check = self.check_batches
                        seen = follow(client, concluded(awaited, result, client.server_now, check_batches=check))
                except AepError as e:
                    if not e.retryable:
                        raise
                    self.log.warning("Not known yet: %s", e)
                    return PokeReturnValue(False)
        if health and health.ill:
            raise AepPermanentError(f"The flow {flow_id} is not well: {health.ill}. Next step: {health.next_step}")
        if not seen.over:
            if seen.result:
                self.log.info("Waiting: %s", "; ".join([seen.result.summary(), *seen.remarks]))
            else:
                self.log.info("Flow %s has no run yet that has ended", flow_id)
            return PokeReturnValue(False)
        return PokeReturnValue(True, watching.accepted(seen))
