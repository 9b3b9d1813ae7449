"""Waits for a batch of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepBatchSensor(BaseSensorOperator):
    """Wait until a batch has landed in the data lake, and fail unless it has landed well.

    A batch with failed records is partial, also where AEP calls it ``success``.

    :param batch_id: (templated)
    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    :param on_partial: ``fail``, ``warn`` or ``succeed`` for a batch in which records failed
    :param max_failed_ratio: share of failed records (0 to 1) up to which it passes with a warning
    :param max_failed_records: number of failed records up to which it does; with a share, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a batch without records
    :param max_unreachable: seconds for which AEP may fail to answer without a break, where the sensor pokes
    :return: the batch as a dict: id, ``verdict``, ``status``, counts ``read``, ``written`` and ``failed``, error codes
    :raises AepPermanentError: it has failed, or is partial or empty beyond what is allowed, or in an unknown state
    """

    template_fields: Sequence[str] = ("batch_id", "aep_conn_id")
    ui_color = "#fbe9e7"

    def __init__(
        self,
        *,
        batch_id: str,
        aep_conn_id: str = "aep_default",
        on_partial: str = "fail",
        max_failed_ratio: float = 0.0,
        max_failed_records: int | None = None,
        on_empty: str = "succeed",
        max_unreachable: float = 900.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.aep_conn_id = aep_conn_id
        self.on_partial = on_partial
        self.max_failed_ratio = max_failed_ratio
        self.max_failed_records = max_failed_records
        self.on_empty = on_empty
        self.max_unreachable = max_unreachable
        self._unreachable: float | None = None

    def poke(self, context: Context) -> PokeReturnValue:
        from airflow_provider_aep.client import catalog
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.exceptions import AepPermanentError, airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.verdict import Tolerance, Verdict, judge_batch
        from airflow_provider_aep.onboarding.wait import fresh
        from airflow_provider_aep.onboarding.watch import Patience

        with airflow_errors():
            tolerance = Tolerance(self.on_partial, self.max_failed_ratio, self.max_failed_records, self.on_empty)
            patience = Patience(self.max_unreachable, self._unreachable)
            batch_id = checked_id(self.batch_id, "batch_id")
            with AepHook(self.aep_conn_id).get_conn() as client:
                asked = client.clock.now()
                try:
                    result = judge_batch(fresh(client, catalog.get_batch(batch_id)))
                except AepError as e:
                    patience.failed(e, asked, client.clock.now())
                    self._unreachable = patience.since
                    self.log.warning("Still waiting: %s", e)
                    return PokeReturnValue(False)
        self._unreachable = None
        if result.verdict == Verdict.WAITING.value:
            self.log.info("Waiting: %s", result.summary())
            return PokeReturnValue(False)
        if not tolerance.accepts(result):
            raise AepPermanentError(f"Not accepted: {result.summary()}. Next step: {result.next_step}")
        (self.log.warning if tolerance.warns(result) else self.log.info)("Accepted: %s", result.summary())
        return PokeReturnValue(True, result.as_dict())
