"""Waits for a flow run and judges it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_aep.links import AepLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_aep.onboarding.verdict import RunResult, Tolerance


class AepFlowRunSensor(BaseSensorOperator):
    """Wait for a flow run to end, and fail unless it went well.

    A run with failed records is partial, also where AEP calls it ``success``; it fails the task unless the author
    allows it. A status that is not known fails the task, too. Poking, rescheduling and deferring decide alike.

    :param flow_id: (templated)
    :param run_id: the run to wait for (templated); without it, the flow's first run since its creation
    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    :param on_partial: ``fail``, ``warn`` or ``succeed`` for a run in which records failed
    :param max_failed_ratio: share of failed records (0 to 1) up to which a partial run passes with a warning
    :param max_failed_records: number of failed records up to which it does; with a share, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a run that had nothing to read
    :param deferrable: wait in the triggerer; default is ``[operators] default_deferrable``. Airflow's
        ``exponential_backoff`` and ``max_wait`` count where the sensor pokes.
    :param poke_interval: seconds between two looks (templated)
    :return: the run as a dict: ids, ``verdict``, ``status``, counts ``read``, ``written`` and ``failed``, times in
        milliseconds since the epoch, batch ids, error codes by activity
    :raises AepPermanentError: the run failed, was partial or empty beyond what is allowed, or is in an unknown state
    :raises AirflowSensorTimeout: the run has not ended in time
    """

    template_fields: Sequence[str] = ("flow_id", "run_id", "aep_conn_id", "poke_interval")
    operator_extra_links = (AepLink(),)
    ui_color = "#fbe9e7"

    def __init__(
        self,
        *,
        flow_id: str,
        run_id: str | None = None,
        aep_conn_id: str = "aep_default",
        on_partial: str = "fail",
        max_failed_ratio: float = 0.0,
        max_failed_records: int | None = None,
        on_empty: str = "succeed",
        deferrable: bool | None = None,
        poke_interval: float | str | timedelta = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Airflow takes numbers only; a template is a number once it is rendered.
        self.poke_interval = poke_interval  # type: ignore[assignment]
        self.flow_id = flow_id
        self.run_id = run_id
        self.aep_conn_id = aep_conn_id
        self.on_partial = on_partial
        self.max_failed_ratio = max_failed_ratio
        self.max_failed_records = max_failed_records
        self.on_empty = on_empty
        self.deferrable = deferrable

    def link_target(self) -> tuple[str, ...] | None:
        """The run once it is known, else the flow."""
        if self.run_id:
            return ("run", self.flow_id, self.run_id)
        return ("flow", self.flow_id) if self.flow_id else None

    def execute(self, context: Context) -> Any:
        from airflow_provider_aep.exceptions import airflow_errors

        # What can never work is told before anything is waited for.
        with airflow_errors():
            self._tolerance()
            self.poke_interval = self._rendered_interval()
        deferrable = self.deferrable
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        if not deferrable:
            return super().execute(context)
        try:
            done = self.poke(context)
        except AirflowFailException as e:
            # What Airflow does around a poke of its own.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException("Skipping: soft_fail or never_fail is set.") from e
            raise
        if done:
            return done.xcom_value
        from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

        return self.defer(
            trigger=AepFlowRunTrigger(
                flow_id=self.flow_id,
                run_id=self.run_id,
                aep_conn_id=self.aep_conn_id,
                poke_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _tolerance(self) -> Tolerance:
        from airflow_provider_aep.onboarding.verdict import Tolerance

        return Tolerance(self.on_partial, self.max_failed_ratio, self.max_failed_records, self.on_empty)

    def _rendered_interval(self) -> float:
        from airflow_provider_aep.client.errors import AepConfigurationError

        given = self.poke_interval
        try:
            seconds = given.total_seconds() if isinstance(given, timedelta) else float(given)
        except (TypeError, ValueError):
            seconds = 0.0
        if not 0 < seconds < math.inf:
            raise AepConfigurationError(
                f"poke_interval is {given!r}", next_step="It must be a number of seconds above 0."
            )
        return seconds

    def poke(self, context: Context) -> PokeReturnValue:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.hooks.aep import AepHook
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.verdict import Verdict, judge
        from airflow_provider_aep.onboarding.wait import fresh
        from airflow_provider_aep.onboarding.watch import check_that_it_will_run, run_of

        with airflow_errors(), AepHook(self.aep_conn_id).get_conn() as client:
            flow_id = checked_id(self.flow_id, "flow_id")
            try:
                run = fresh(client, run_of(flow_id, self.run_id))
                if run is None:
                    check_that_it_will_run(fresh(client, flow_service.get_flow(flow_id)))
            except AepError as e:
                if not e.retryable:
                    raise
                # A blip is no verdict on the run; the sensor's timeout bounds how long it may last.
                self.log.warning("Still waiting: %s", e)
                return PokeReturnValue(False)
        if run is None:
            self.log.info("Flow %s has no run yet", self.flow_id)
            return PokeReturnValue(False)
        result = judge(run)
        if result.verdict == Verdict.WAITING:
            self.log.info("Waiting: %s", result.summary())
            return PokeReturnValue(False)
        return PokeReturnValue(True, self._decided(result))

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Resume after the trigger fired."""
        from airflow_provider_aep.exceptions import AepPermanentError
        from airflow_provider_aep.onboarding.verdict import RunResult

        if event and "result" in event:
            return self._decided(RunResult(**event["result"]))
        raise AepPermanentError(str(event["error"]) if event and "error" in event else f"Unknown event: {event!r}")

    def _decided(self, result: RunResult) -> dict[str, Any]:
        from airflow_provider_aep.exceptions import AepPermanentError

        self.run_id, tolerance = result.run_id, self._tolerance()  # the id is for the link
        if not tolerance.accepts(result):
            raise AepPermanentError(f"Not accepted: {result.summary()}. Next step: {result.next_step}")
        (self.log.warning if tolerance.warns(result) else self.log.info)("Accepted: %s", result.summary())
        return result.as_dict()
