"""Sensor that waits for a batch of a dataset, and accepts or rejects it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepBatchSensor(BaseSensorOperator):
    """Wait until a batch has landed in the data lake, and fail unless its verdict is accepted.

    A batch with failed records is partial, also if AEP reports the status ``success``.

    :param batch_id: id of the batch (templated)
    :param aep_conn_id: id of an Airflow connection of type ``aep`` (templated)
    :param on_partial: ``fail``, ``warn`` or ``succeed`` for a batch with failed records
    :param max_failed_ratio: ratio of failed records (0 to 1) up to which a partial batch is accepted with a warning
    :param max_failed_records: number of failed records up to which a partial batch is accepted with a warning; if
        ``max_failed_ratio`` is also set, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a batch without records
    :param max_unreachable: outage budget: seconds for which AEP may be unreachable without a break. It applies in
        ``poke`` mode
    :return: the batch as a dict: id, ``verdict``, ``status``, counts ``read``, ``written`` and ``failed``, error codes
    :raises AepPermanentError: the batch failed, its status is unknown, or it is partial or empty and not accepted
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
        """Poll the batch once, and return it as a dict if it has landed and is accepted."""
        from airflow_provider_aep.client import catalog
        from airflow_provider_aep.client.consistency import send_retrying_not_found
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.exceptions import AepPermanentError, airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook
        from airflow_provider_aep.runs.observation import OutageBudget
        from airflow_provider_aep.runs.verdict import Tolerance, Verdict, evaluate_batch

        with airflow_errors():
            tolerance = Tolerance(self.on_partial, self.max_failed_ratio, self.max_failed_records, self.on_empty)
            outage_budget = OutageBudget(self.max_unreachable, self._unreachable)
            batch_id = validate_id(self.batch_id, "batch_id")
            with AepHook(self.aep_conn_id).get_conn() as client:
                asked_at = client.clock.now()
                try:
                    result = evaluate_batch(send_retrying_not_found(client, catalog.get_batch(batch_id)))
                except AepError as e:
                    outage_budget.spend(e, asked_at, client.clock.now())
                    self._unreachable = outage_budget.since
                    self.log.warning("AEP is unreachable; the wait for batch %s continues: %s", batch_id, e)
                    return PokeReturnValue(False)
        self._unreachable = None
        if result.verdict == Verdict.WAITING.value:
            self.log.info("Waiting for %s", result.summary())
            return PokeReturnValue(False)
        if not tolerance.accepts(result):
            raise AepPermanentError(f"Not accepted: {result.summary()}. Next step: {result.next_step}")
        (self.log.warning if tolerance.warns(result) else self.log.info)("Accepted: %s", result.summary())
        return PokeReturnValue(True, result.as_dict())
