"""Operator that starts an on-demand run of a flow for a window of rows, and waits for the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_aep.operators.base import AepOperator, optional_text
from airflow_provider_aep.runtime.dataset_events import EmitsDatasetEvents

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_aep.runs.observation import Observation, OutageBudget
    from airflow_provider_aep.runtime.run_wait import RunWait


class AepRunFlowOperator(EmitsDatasetEvents, AepOperator):
    """Start an on-demand run of a flow with the frequency ``once``, and wait until the run succeeds.

    The operator validates the run by AEP's rules before it starts the run. A task starts one run, also across
    crashes, lost responses and retries. A retry finds the run by its window. If the run has failed, a retry triggers
    it again.

    **Window.** The run reads the rows of a window, which is the first of these that applies:

    - ``window_start`` and ``window_end``;
    - the data interval of the DAG run, if it is not empty;
    - the inferred window: from the end of the last window whose rows have landed to the logical date.

    If the DAG run has no logical date, ``run_after`` replaces it. An inferred window needs DAG runs one after the
    other: set ``max_active_runs=1`` for the DAG and for each backfill. The task fails if no earlier run determines the
    start, or if another run has read rows of the window.

    Windows from arguments or data intervals may overlap those of other runs. For example, a manual DAG run without a
    data interval reads rows up to its logical date. The next scheduled DAG run reads some of them again, because its
    data interval contains them. In Airflow 3, ``@daily`` and cron expressions have empty data
    intervals. ``CronDataIntervalTimetable`` has the data intervals of Airflow 2.

    A source without a delta column, such as Zendesk, cannot select rows by time. A run may read all of its rows, also
    those outside the window; the log has a warning.

    If the dataset's asset or an asset alias is among the ``outlets``, an accepted run that wrote rows emits a dataset
    event; see :mod:`airflow_provider_aep.assets`.

    :param flow_id: id of the flow (templated)
    :param window_start: time of the first rows, inclusive (templated): ISO 8601, a datetime, or seconds since the
        epoch. As text, seconds have ten digits. 0 reads all rows
    :param window_end: time of the last rows, exclusive (templated), in the same form
    :param delta_column: date-time column by which AEP selects the rows of the window (templated); required for the
        first on-demand run of a flow, which stores it
    :param on_ambiguous: action after an ambiguous create, if no run is found within ``[aep] creation_grace_period``
        (templated). ``fail`` fails the task without a retry, so that a person can check AEP. ``start`` starts a run,
        which may ingest the window twice. Before Airflow 3.3, tasks have no task state, and each retry may follow an
        ambiguous create
    :param wait: whether to wait for the end of the run; ``False`` only starts the run
    :param deferrable: whether to wait in the triggerer; the default is ``[operators] default_deferrable``
    :param poke_interval: seconds between two polls
    :param timeout: seconds to wait for the end of the run. After a timeout the run continues in AEP, and a retry waits
        for it again
    :param on_partial: ``fail``, ``warn`` or ``succeed`` for a run with failed records
    :param max_failed_ratio: ratio of failed records (0 to 1) up to which a partial run is accepted with a warning
    :param max_failed_records: number of failed records up to which a partial run is accepted with a warning; if
        ``max_failed_ratio`` is also set, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a run that read no records
    :param check_batches: whether the run's batches must have landed before the task succeeds
    :param max_unreachable: outage budget: seconds for which AEP may be unreachable without a break
    :param log_sample_rows: number of failed rows in the log of a bad run; they may hold personal data
    :return: the run as a dict, as :class:`~.sensors.flow_run.AepFlowRunSensor` returns it; its ``verdict`` is
        ``waiting`` if ``wait`` is ``False``
    :raises AepRetryableError: the run failed, and a retry triggers it again. Or the run did not end in time, or the
        outage budget is used up, and a retry finds the run
    :raises AepPermanentError: a batch of the run failed; the run is partial, empty or unknown and not accepted; or the
        run cannot be started
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
        wait: bool = True,
        deferrable: bool | None = None,
        poke_interval: float = 60.0,
        timeout: float = 7 * 86_400.0,
        on_partial: str = "fail",
        max_failed_ratio: float = 0.0,
        max_failed_records: int | None = None,
        on_empty: str = "succeed",
        check_batches: bool = True,
        max_unreachable: float = 900.0,
        log_sample_rows: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id
        self.window_start = window_start
        self.window_end = window_end
        self.delta_column = delta_column
        self.on_ambiguous = on_ambiguous
        self.wait = wait
        self.deferrable = deferrable
        self.poke_interval = poke_interval
        self.timeout = timeout
        self.on_partial = on_partial
        self.max_failed_ratio = max_failed_ratio
        self.max_failed_records = max_failed_records
        self.on_empty = on_empty
        self.check_batches = check_batches
        self.max_unreachable = max_unreachable
        self.log_sample_rows = log_sample_rows

    def execute(self, context: Context) -> dict[str, Any]:
        """Start or find the run, wait for it, and return it as a dict."""
        from airflow_provider_aep.client.validation import validate_id, validate_seconds
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.onboarding.lifecycle.control import stable_flow
        from airflow_provider_aep.runs.observation import Observation, OutageBudget
        from airflow_provider_aep.runs.on_demand import start_run
        from airflow_provider_aep.runtime.task_attempt import attempt_of, dag_run_timing

        with airflow_errors():
            wait, outage_budget = self._run_wait(), OutageBudget(self.max_unreachable)
            interval = validate_seconds(self.poke_interval, "poke_interval")
        with self.aep() as client:
            flow = stable_flow(client, validate_id(self.flow_id, "flow_id"))
            self._link_target = ("flow", flow.id)
            started = start_run(
                client,
                flow,
                window_start=self.window_start,
                window_end=self.window_end,
                timing=dag_run_timing(context),
                delta_column=optional_text(self.delta_column),
                attempt=attempt_of(context),
                on_ambiguous=self.on_ambiguous,
                log=self.log,
            )
        self._link_target = ("run", started.flow_id, started.id)
        if not self.wait:
            return started.result.as_dict()
        deferrable = self.deferrable
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        clock = self.hook.clock
        deadline = clock.now() + self._wait_limit()
        observation = Observation(started.selector)
        while True:
            observation = wait.poll(observation.selector, outage_budget)
            if observation.is_final or deferrable:
                return self._end_or_defer(observation, deadline, outage_budget, context)
            self._check_deadline(deadline)
            self._log_waiting(observation)
            clock.sleep(interval)

    # -- the wait -----------------------------------------------------------------------------------------------------

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None, **_: Any
    ) -> dict[str, Any]:
        """Resume after the trigger fired, and return the accepted run as a dict.

        :param context: Airflow's context of the task
        :param event: of the trigger
        :param deadline: end of the wait in seconds since the epoch
        """
        from airflow_provider_aep.runs.observation import OutageBudget

        outage_budget = OutageBudget(self.max_unreachable)
        observation = self._run_wait().resume(event, outage_budget)
        if observation is None:
            raise self._timed_out()
        deadline = self.hook.clock.now() if deadline is None else deadline
        return self._end_or_defer(observation, deadline, outage_budget, context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume a deferred task. A trigger that failed or timed out raises a retryable error."""
        from airflow_provider_aep.runtime.compat import FAIL_METHOD
        from airflow_provider_aep.runtime.run_wait import trigger_failure

        if next_method == FAIL_METHOD:
            raise trigger_failure(next_kwargs, self._timed_out())
        return super().resume_execution(next_method, next_kwargs, context)

    def _end_or_defer(
        self, observation: Observation, deadline: float, outage_budget: OutageBudget, context: Context
    ) -> dict[str, Any]:
        from airflow_provider_aep.client.validation import validate_seconds
        from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
        from airflow_provider_aep.runtime.run_wait import GRACE
        from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

        selector, result = observation.selector, observation.result
        self._link_target = ("run", selector.flow_id, str(selector.run_id))
        if observation.is_final:
            # A retry triggers a failed run again. It cannot repair a partial run, nor a failed batch.
            is_retryable = result is not None and result.verdict == "failed" and not result.batches
            rejection = AepRetryableError if is_retryable else AepPermanentError
            return self._emit(self.hook, context, self._run_wait().accept(observation, rejection))
        self._check_deadline(deadline)
        self._log_waiting(observation)
        interval = validate_seconds(self.poke_interval, "poke_interval")
        return self.defer(
            trigger=AepFlowRunTrigger(
                flow_id=selector.flow_id,
                run_id=selector.run_id,
                aep_conn_id=self.aep_conn_id,
                poke_interval=interval,
                selector=selector.as_dict(),
                deadline=deadline,
                max_unreachable=self.max_unreachable,
                unreachable=outage_budget.since,
                complete=observation.ended,
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=timedelta(seconds=deadline - self.hook.clock.now() + interval + GRACE),
        )

    def _check_deadline(self, deadline: float) -> None:
        if self.hook.clock.now() >= deadline:
            raise self._timed_out()

    def _timed_out(self) -> Exception:
        from airflow_provider_aep.exceptions import AepRetryableError

        return AepRetryableError(
            f"The run of flow {self.flow_id} has not ended after {self._wait_limit():g} s; it continues in "
            "AEP. Next step: Set timeout to more seconds, or set retries, because a retry finds the run."
        )

    def _wait_limit(self) -> float:
        """Return the seconds to wait; Airflow does not enforce ``execution_timeout`` while a task is deferred."""
        limit = self.execution_timeout
        return self.timeout if limit is None else min(self.timeout, limit.total_seconds())

    def _log_waiting(self, observation: Observation) -> None:
        subject = observation.result.summary() if observation.result else str(observation.selector)
        self.log.info("Waiting for %s", "; ".join([subject, *observation.remarks]))

    def on_kill(self) -> None:
        """Log that the run continues in AEP, because AEP cannot cancel it."""
        from airflow_provider_aep.runtime.run_wait import RUN_CONTINUES

        self.log.info(RUN_CONTINUES)

    def _run_wait(self) -> RunWait:
        from airflow_provider_aep.links import page
        from airflow_provider_aep.runtime.run_wait import RunWait

        return RunWait.from_task(self, self.hook, page)
