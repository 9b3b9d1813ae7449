"""Sensor that waits for a flow run, and accepts or rejects it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_aep.links import AepLink
from airflow_provider_aep.runtime.compat import task_state_store
from airflow_provider_aep.runtime.dataset_events import EmitsDatasetEvents

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_aep.hooks.aep import AepHook
    from airflow_provider_aep.runs.observation import Observation, OutageBudget
    from airflow_provider_aep.runs.selector import RunSelector
    from airflow_provider_aep.runtime.run_wait import RunWait

_STATE = "aep:wait"


class AepFlowRunSensor(EmitsDatasetEvents, BaseSensorOperator):
    """Wait until a flow run ends, and fail unless its verdict is accepted.

    A run with failed records is partial, also if AEP reports the status ``success``. A partial run fails the task
    unless the arguments accept it. A run with an unknown status fails the task. Poking, rescheduling and deferring
    tasks accept the same runs.

    AEP or a person may trigger a run again. So after a failed or deleted run, the sensor waits for a later run of the
    same window. Each of these events ends the wait with a specific error:

    - The run was deleted, and no later run has its window.
    - The flow was deleted.
    - The flow has no run, and is disabled, a draft or being deleted.
    - No run appears within ``no_run_timeout``.

    Airflow's ``timeout`` counts from the first poll, also across restarts of workers and triggerers.

    If the dataset's asset or an asset alias is among the ``outlets``, an accepted run that wrote rows emits a dataset
    event; see :mod:`airflow_provider_aep.assets`.

    :param flow_id: id of the flow (templated)
    :param run_id: id of the run (templated); the default is the flow's first run since ``since``
    :param since: start of the search for a run (templated): ISO 8601, a datetime, or seconds since the epoch; the
        default is the flow's creation
    :param since_of: whether ``since`` is compared with the time a run was ``created``, or with the start of its
        ``window``
    :param aep_conn_id: id of an Airflow connection of type ``aep`` (templated)
    :param on_partial: ``fail``, ``warn`` or ``succeed`` for a run with failed records
    :param max_failed_ratio: ratio of failed records (0 to 1) up to which a partial run is accepted with a warning
    :param max_failed_records: number of failed records up to which a partial run is accepted with a warning; if
        ``max_failed_ratio`` is also set, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a run that read no records
    :param check_batches: whether the run's batches must have landed. The sensor reads them from Catalog after the run
        has ended
    :param no_run_timeout: seconds within which a run must appear; the default is the sensor's ``timeout``. With
        ``start_in_triggerer`` they count from the start of the trigger, and again after a restart
    :param max_unreachable: outage budget: seconds for which AEP may be unreachable without a break. Then the task
        fails and may be retried
    :param log_sample_rows: number of failed rows in the log of a bad run; they may hold personal data
    :param deferrable: whether to wait in the triggerer; the default is ``[operators] default_deferrable``. Airflow's
        ``exponential_backoff`` and ``max_wait`` apply only to a sensor that is not deferred
    :param start_in_triggerer: whether the wait also starts in the triggerer. An accepted run without a warning ends the
        task there, without a worker and without a dataset event. In all other cases a worker continues. Templates in
        the arguments need Airflow 3.3. In earlier versions, and in a mapped task, a worker starts the wait
    :param poke_interval: seconds between two polls (templated)
    :return: the run as a dict: ids, ``verdict``, ``status``, counts ``read``, ``written`` and ``failed``, bytes,
        window, times, ``duration``, batches, error codes by activity. Window and times are milliseconds since the
        epoch; ``duration`` is in seconds
    :raises AepPermanentError: the run failed, its status is unknown, or it is partial or empty and not accepted. Or no
        later poll can succeed
    :raises AepRetryableError: the outage budget is used up; ``soft_fail`` does not change this
    :raises AirflowSensorTimeout: the run did not end in time, or no run appeared in time
    """

    template_fields: Sequence[str] = ("flow_id", "run_id", "since", "aep_conn_id", "poke_interval")
    operator_extra_links = (AepLink(),)
    ui_color = "#fbe9e7"

    def __init__(
        self,
        *,
        flow_id: str,
        run_id: str | None = None,
        since: Any = None,
        since_of: str = "created",
        aep_conn_id: str = "aep_default",
        on_partial: str = "fail",
        max_failed_ratio: float = 0.0,
        max_failed_records: int | None = None,
        on_empty: str = "succeed",
        check_batches: bool = True,
        no_run_timeout: float | None = None,
        max_unreachable: float = 900.0,
        log_sample_rows: int = 0,
        deferrable: bool | None = None,
        start_in_triggerer: bool = False,
        poke_interval: float | str | timedelta = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Airflow's type allows no template, which becomes a number when it is rendered.
        self.poke_interval = poke_interval  # type: ignore[assignment]
        self.flow_id = flow_id
        self.run_id = run_id
        self.since = since
        self.since_of = since_of
        self.aep_conn_id = aep_conn_id
        self.on_partial = on_partial
        self.max_failed_ratio = max_failed_ratio
        self.max_failed_records = max_failed_records
        self.on_empty = on_empty
        self.check_batches = check_batches
        self.no_run_timeout = no_run_timeout
        self.max_unreachable = max_unreachable
        self.log_sample_rows = log_sample_rows
        self.deferrable = deferrable
        self.start_in_triggerer = start_in_triggerer
        self._wait: tuple[RunSelector, OutageBudget] | None = None
        self._started_at: float | None = None
        if start_in_triggerer:
            self._start_in_triggerer()

    def link_target(self) -> tuple[str, ...] | None:
        """Return label and ids of the run, or of the flow while the run is unknown; the task's link opens it."""
        if self.run_id:
            return ("run", self.flow_id, self.run_id)
        return ("flow", self.flow_id) if self.flow_id else None

    @cached_property
    def hook(self) -> AepHook:
        """The hook of the sensor's connection, which is read once."""
        from airflow_provider_aep.hooks.aep import AepHook

        return AepHook(self.aep_conn_id)

    # -- modes of waiting -------------------------------------------------------------------------------------------

    def execute(self, context: Context) -> Any:
        """Validate the arguments, then poke, reschedule or defer until the run ends."""
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.runs.observation import OutageBudget

        # Invalid arguments fail before the first poll.
        with airflow_errors():
            run_wait = self._run_wait()
            self._wait = self._parse_selector(), OutageBudget(self.max_unreachable)
            self.poke_interval = self._rendered_interval()
        deferrable = self.deferrable
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        if deferrable or self.start_in_triggerer:
            with self._soften_failures():
                selector, outage_budget = self._wait
                deadline = self.hook.clock.now() + self._wait_limit()
                observation = run_wait.poll(selector, outage_budget)
                self._wait = observation.selector, outage_budget
                return self._end_or_defer(observation, deadline, self._no_run_deadline(None), outage_budget, context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as e:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from e
            raise self._timed_out() from None
        except AirflowSkipException as e:
            if e.__cause__ is None and self.soft_fail:  # Airflow skips like this after a timeout.
                raise AirflowSkipException("Skipping due to soft_fail is set to True.") from self._timed_out()
            raise

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll the run once, and return it as a dict if it has ended and is accepted."""
        assert self._wait is not None
        stored = self._restore(context)
        selector, outage_budget = self._wait
        observation = self._run_wait().poll(selector, outage_budget)
        self._wait = observation.selector, outage_budget
        if observation.is_final:
            return PokeReturnValue(True, self._accept(observation, context))
        self._store(stored, context)
        deadline = self._no_run_deadline(context)
        if observation.selector.run_id is None and deadline is not None and self.hook.clock.now() >= deadline:
            raise self._timed_out()
        self._log_waiting(observation)
        return PokeReturnValue(False)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None, **until: Any) -> Any:
        """Resume after the trigger fired, and return the accepted run as a dict.

        :param context: Airflow's context of the task
        :param event: of the trigger
        :param until: ``deadline`` and ``no_run_deadline`` in seconds since the epoch
        """
        from airflow_provider_aep.runs.observation import OutageBudget

        outage_budget = OutageBudget(self.max_unreachable)
        observation = self._run_wait().resume(event, outage_budget)
        if observation is None:
            raise self._timed_out(run_id=((event or {}).get("selector") or {}).get("run_id"))
        deadline = until.get("deadline")
        if deadline is None:  # The task started in the triggerer.
            deadline = self.hook.clock.now() + self._wait_limit()
        return self._end_or_defer(observation, deadline, until.get("no_run_deadline"), outage_budget, context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume a deferred task, with ``soft_fail`` and ``never_fail`` as for a poke."""
        from airflow_provider_aep.runtime.compat import FAIL_METHOD
        from airflow_provider_aep.runtime.run_wait import trigger_failure

        with self._soften_failures():
            if next_method == FAIL_METHOD:
                raise trigger_failure(next_kwargs, self._timed_out(has_run=True))
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def _end_or_defer(
        self,
        observation: Observation,
        deadline: float,
        no_run_deadline: float | None,
        outage_budget: OutageBudget,
        context: Context,
    ) -> Any:
        if observation.is_final:
            return self._accept(observation, context)
        if self.hook.clock.now() >= deadline:
            raise self._timed_out()
        self._log_waiting(observation)
        from airflow_provider_aep.runtime.run_wait import GRACE
        from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

        interval = self._rendered_interval()  # A resumed task has its unrendered template.
        timeout = timedelta(seconds=deadline - self.hook.clock.now() + interval + GRACE)
        trigger = AepFlowRunTrigger(
            flow_id=self.flow_id,
            run_id=self.run_id,
            aep_conn_id=self.aep_conn_id,
            poke_interval=interval,
            selector=observation.selector.as_dict(),
            deadline=deadline,
            no_run_deadline=no_run_deadline,
            max_unreachable=self.max_unreachable,
            unreachable=outage_budget.since,
            complete=observation.ended,
        )
        return self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"deadline": deadline, "no_run_deadline": no_run_deadline},
            timeout=timeout,
        )

    def _start_in_triggerer(self) -> None:
        from airflow_provider_aep.runtime.compat import start_trigger_args, triggers_render_templates

        arguments = {name: _as_template(getattr(self, name)) for name in self.template_fields}
        if any("{{" in str(value) for value in arguments.values()) and not triggers_render_templates():
            return  # Then a worker starts the wait.
        self.start_from_trigger = True
        self.start_trigger_args = start_trigger_args(
            trigger_cls="airflow_provider_aep.triggers.flow_run.AepFlowRunTrigger",
            trigger_kwargs={
                **arguments,
                "since_of": self.since_of,
                "no_run_timeout": self.no_run_timeout,
                "max_unreachable": self.max_unreachable,
                "complete": self.check_batches,
                "tolerance": {
                    "on_partial": self.on_partial,
                    "max_failed_ratio": self.max_failed_ratio,
                    "max_failed_records": self.max_failed_records,
                    "on_empty": self.on_empty,
                },
            },
            next_method="execute_complete",
            timeout=timedelta(seconds=self._wait_limit()),
        )

    # -- end of the wait ----------------------------------------------------------------------------------------------

    @contextmanager
    def _soften_failures(self) -> Generator[None, None, None]:
        """Convert a rejection or timeout to a skip if ``soft_fail`` is set, and any error if ``never_fail`` is set."""
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout) as e:
            if self.soft_fail or self.never_fail:
                argument = "soft_fail" if self.soft_fail else "never_fail"
                raise AirflowSkipException(f"Skipping due to {argument} is set to True.") from e
            raise
        except AirflowSkipException:
            raise
        except Exception as e:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from e
            raise

    def _accept(self, observation: Observation, context: Context) -> dict[str, Any]:
        self.run_id = observation.selector.run_id  # The task's link needs it.
        return self._emit(self.hook, context, self._run_wait().accept(observation))

    def _timed_out(self, has_run: bool = False, run_id: str | None = None) -> AirflowSensorTimeout:
        """Return the exception for a timeout.

        :param has_run: whether a run may exist that this task does not know
        :param run_id: the run that the trigger has observed
        """
        run_id = run_id or self.run_id or (self._wait[0].run_id if self._wait else None)
        has_run = has_run or run_id is not None
        if self.no_run_timeout is not None and self.no_run_timeout <= self._wait_limit() and not has_run:
            return AirflowSensorTimeout(f"No run of flow {self.flow_id} appeared within {self.no_run_timeout:g} s")
        subject = f"Run {run_id} of flow {self.flow_id}" if run_id else f"A run of flow {self.flow_id}"
        return AirflowSensorTimeout(f"{subject} has not ended after {self._wait_limit():g} s")

    def on_kill(self) -> None:
        """Log that the run continues in AEP, because AEP cannot cancel it."""
        from airflow_provider_aep.runtime.run_wait import RUN_CONTINUES

        self.log.info(RUN_CONTINUES)

    # -- arguments and task state -------------------------------------------------------------------------------------

    def _run_wait(self) -> RunWait:
        from airflow_provider_aep.links import page
        from airflow_provider_aep.runtime.run_wait import RunWait

        return RunWait.from_task(self, self.hook, page)

    def _parse_selector(self) -> RunSelector:
        from airflow_provider_aep.runs.selector import RunSelector

        return RunSelector.parse(self.flow_id, self.run_id, self.since, self.since_of)

    def _rendered_interval(self) -> float:
        from airflow_provider_aep.client.validation import validate_seconds

        return validate_seconds(self.poke_interval, "poke_interval")

    def _wait_limit(self) -> float:
        """Return the seconds to wait; Airflow does not enforce ``execution_timeout`` while a task is deferred."""
        limit = self.execution_timeout
        longest = float(self.timeout)
        return longest if limit is None or self.reschedule else min(longest, limit.total_seconds())

    def _no_run_deadline(self, context: Any) -> float | None:
        if self.no_run_timeout is None:
            return None
        first_poll = context["ti"].get_first_reschedule_date(context) if context and self.reschedule else None
        if first_poll is None:
            self._started_at = self._started_at or self.hook.clock.now()
            return self._started_at + self.no_run_timeout
        return float(first_poll.timestamp()) + self.no_run_timeout

    # A rescheduled sensor starts in a new process at each poll, so the task state keeps its observations.

    def _restore(self, context: Any) -> dict[str, Any]:
        """Continue where an earlier poll of this try ended, and return what it stored."""
        store = task_state_store(context) if self.reschedule else None
        if store is None:
            return {}
        stored = store.get(_STATE) or {}
        if stored.get("about") == self._state_identity(context) and stored.get("selector") and self._wait is not None:
            selector, outage_budget = self._wait
            self._wait = type(selector).from_dict(stored["selector"]), outage_budget
            outage_budget.since = stored.get("unreachable")
        return dict(stored)

    def _store(self, stored: dict[str, Any], context: Any) -> None:
        store = task_state_store(context) if self.reschedule else None
        if store is None or self._wait is None:
            return
        selector, outage_budget = self._wait
        state = {
            "about": self._state_identity(context),
            "selector": selector.as_dict(),
            "unreachable": outage_budget.since,
        }
        if state != stored:
            store.set(_STATE, state)

    def _state_identity(self, context: Any) -> list[Any]:
        """Return the arguments and try that a stored state must match."""
        return [self.flow_id, self.run_id, str(self.since), self.since_of, getattr(context["ti"], "try_number", 0)]

    def _log_waiting(self, observation: Observation) -> None:
        if observation.result is not None:
            self.log.info("Waiting for %s", "; ".join([observation.result.summary(), *observation.remarks]))
        elif observation.selector.run_id is not None:
            self.log.info("Waiting for %s", observation.selector)
        else:
            self.log.info("Waiting for a run of flow %s: AEP lists none yet", self.flow_id)


def _as_template(value: Any) -> Any:
    """Return an argument as JSON; the output of another task becomes its template."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if value is None or isinstance(value, str | int | float) else str(value)
