"""Runs a flow on demand, with a window, and waits for the run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_aep.assets import LandsRows
from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_aep.client.client import AepClient
    from airflow_provider_aep.hooks.watching import Watching
    from airflow_provider_aep.onboarding.attempt import Attempt
    from airflow_provider_aep.onboarding.watch import Awaited, Patience, Seen


class AepRunFlowOperator(LandsRows, AepOperator):
    """Start an on-demand run of a flow that is scheduled once, and wait until it has ended well.

    What AEP would refuse is told before it is asked. A task starts one run, however often it is tried: where an answer
    was lost, or a try died, the run is looked for by its window; one that has failed is triggered again rather than
    joined by a second one.

    The window is what is given; else the DAG run's data interval, if it is longer than zero; else from the end of the
    flow's last window that has landed to the logical date (of a DAG run without one, what it was to run after): for one
    DAG run after the other, ``max_active_runs=1`` of the DAG and of a backfill, which has a limit of its own. Nothing
    that says where it begins is an error, and so are rows that another run has taken. ``@daily`` and cron texts give
    empty intervals in Airflow 3; ``CronDataIntervalTimetable`` gives those of old.

    A window that is given, or is a data interval, is taken whatever other runs have taken: a DAG run without an
    interval beside those that have one takes rows that the next interval takes again. Sources without a delta column
    (Zendesk) tell rows by no moment, and a run may take all of them, whatever its window; the log warns.

    With the dataset's asset or an asset alias among its ``outlets`` (:mod:`~.assets`), a run that was accepted emits an
    event there.

    :param flow_id: (templated)
    :param window_start: rows from this moment on (templated): ISO 8601, or seconds since the epoch (as text, ten
        digits); 0 takes everything
    :param window_end: rows before this moment (templated)
    :param delta_column: date-time column that tells a row's moment (templated); needed with the first on-demand run of
        a flow, which keeps it
    :param on_ambiguous: what to do if a run may have been started and none is found ``[aep] settle`` seconds later:
        ``fail`` at once, for a person to look, or ``start`` one, which may ingest the window a second time (templated).
        Before Airflow 3.3 nothing outlives a try, and any retry may be such
    :param wait: whether to wait for the run's end; without it, the run is started and no more
    :param deferrable: wait in the triggerer; default is ``[operators] default_deferrable``
    :param poke_interval: seconds between two looks
    :param timeout: seconds to wait for the end of the run; the run itself goes on, and a retry waits for it again
    :param on_partial: as for :class:`~.sensors.flow_run.AepFlowRunSensor`, and so are the following
    :param max_failed_ratio: share of failed records (0 to 1) up to which a partial run passes with a warning
    :param max_failed_records: number of failed records up to which it does
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a run that had nothing to read
    :param check_batches: whether the run's batches must have landed, too
    :param max_unreachable: seconds for which AEP may fail to answer without a break
    :param log_sample_rows: how many failed rows the log of a bad run shows; they may hold personal data
    :return: the run as a dict, as of :class:`~.sensors.flow_run.AepFlowRunSensor`; its ``verdict`` is ``waiting`` if it
        is not waited for
    :raises AepRetryableError: the run has failed, and a retry triggers it again; or it has not ended in time, or AEP
        has not answered for too long, and a retry finds it
    :raises AepPermanentError: its batch has failed; it was partial, empty or unknown beyond what is
        allowed, or cannot be started
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
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.onboarding.verdict import judge
        from airflow_provider_aep.onboarding.watch import Patience, Seen

        with airflow_errors():
            attempt = self.attempt()
            watching, patience = self._watching(), Patience(self.max_unreachable)
        with self.aep() as client:
            awaited, run = self._started(client, attempt, context)
        if not self.wait:
            return judge(run).as_dict()
        deferrable = self.deferrable
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        deadline = time.time() + self._longest()
        seen = Seen(awaited)
        while True:
            seen = watching.look(seen.awaited, patience)
            if seen.over or deferrable:
                return self._ended_or_deferred(seen, deadline, patience, context)
            self._check_time(deadline)
            self._tell(seen)
            time.sleep(self.poke_interval)

    def _started(self, client: AepClient, attempt: Attempt, context: Context) -> tuple[Awaited, Any]:
        """Start the run, or find it."""
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.models import Run
        from airflow_provider_aep.client.steps import follow
        from airflow_provider_aep.hooks.attempt import occasion_of
        from airflow_provider_aep.onboarding.control import settled_flow
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.on_demand import check_takes_runs, run_params, start_run
        from airflow_provider_aep.onboarding.watch import Awaited
        from airflow_provider_aep.onboarding.window import window_of

        flow = settled_flow(client, checked_id(self.flow_id, "flow_id"))
        self._object = ("flow", flow.id)
        check_takes_runs(flow)
        now = client.server_now()
        times = self.window_start, self.window_end, occasion_of(context)
        window = follow(client, window_of(flow, *times, now, attempt))
        spec = client.send(flow_service.get_flow_spec(flow.flowSpec.id if flow.flowSpec else ""))
        origin = client.send(flow_service.get_source_connection(flow.sourceConnectionIds[0]))
        if not spec.takes_delta:
            self.log.warning(
                "The source of flow %r takes no delta column: a run may take all of its rows, whatever its window",
                flow.name,
            )
        params = run_params(
            flow,
            takes_delta=spec.takes_delta,
            columns=origin.params.get("columns"),
            window=window,
            delta_column=native(self.delta_column),
            now=now,
        )
        exclusive = window.found_out
        run = start_run(client, flow, params, attempt, on_ambiguous=self.on_ambiguous, exclusive=exclusive)
        self._object = ("run", flow.id, run.id)
        rows = " to ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" for at in (window.start, window.end))
        sandbox = client.settings.sandbox
        self.log.info(
            "Run of flow %r %s: %s in sandbox %s, rows of %s UTC", flow.name, run.action, run.id, sandbox, rows
        )
        return Awaited(flow.id, run.id), Run.model_validate({"id": run.id, "flowId": flow.id, "params": params})

    # -- the wait ---------------------------------------------------------------------------------------------------

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        """Resume after the trigger fired."""
        from airflow_provider_aep.onboarding.watch import Patience

        patience = Patience(self.max_unreachable)
        seen = self._watching().resumed(event, patience)
        if seen is None:
            raise self._late()
        return self._ended_or_deferred(seen, time.time() if deadline is None else deadline, patience, context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        from airflow_provider_aep.hooks.watching import LOST, lost

        if next_method == LOST:
            raise lost(next_kwargs, self._late())
        return super().resume_execution(next_method, next_kwargs, context)

    def _ended_or_deferred(self, seen: Seen, deadline: float, patience: Patience, context: Context) -> dict[str, Any]:
        from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
        from airflow_provider_aep.hooks.watching import GRACE
        from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

        self._object = ("run", seen.awaited.flow_id, str(seen.awaited.run_id))
        if seen.over:
            # A retry triggers a failed run again; it cannot mend what a partial one has left out, nor a batch.
            failed = seen.result is not None and seen.result.verdict == "failed" and not seen.result.batches
            result = self._watching().accepted(seen, AepRetryableError if failed else AepPermanentError)
            return self._landed(context, result)
        self._check_time(deadline)
        self._tell(seen)
        return self.defer(
            trigger=AepFlowRunTrigger(
                flow_id=seen.awaited.flow_id,
                run_id=seen.awaited.run_id,
                aep_conn_id=self.aep_conn_id,
                poke_interval=self.poke_interval,
                seen=seen.awaited.as_dict(),
                deadline=deadline,
                max_unreachable=self.max_unreachable,
                unreachable=patience.since,
                complete=seen.ended,
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=timedelta(seconds=deadline - time.time() + self.poke_interval + GRACE),
        )

    def _check_time(self, deadline: float) -> None:
        if time.time() >= deadline:
            raise self._late()

    def _late(self) -> Exception:
        from airflow_provider_aep.exceptions import AepRetryableError

        return AepRetryableError(
            f"Waited {self._longest():g} s for the run of flow {self.flow_id}, and it has not ended. A retry "
            "finds it: it goes on in AEP. Next step: give it more time."
        )

    def _longest(self) -> float:
        """Where a task defers, Airflow does not watch over ``execution_timeout`` itself."""
        limit = self.execution_timeout
        return self.timeout if limit is None else min(self.timeout, limit.total_seconds())

    def _tell(self, seen: Seen) -> None:
        what = seen.result.summary() if seen.result else str(seen.awaited)
        self.log.info("Waiting: %s", "; ".join([what, *seen.remarks]))

    def on_kill(self) -> None:
        from airflow_provider_aep.hooks.watching import GOES_ON

        self.log.info(GOES_ON)

    def _watching(self) -> Watching:
        from airflow_provider_aep.hooks.watching import Watching
        from airflow_provider_aep.links import page

        return Watching.of(self, page)
