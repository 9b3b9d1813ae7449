"""Waits for a flow run and judges it."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
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

from airflow_provider_aep.assets import LandsRows
from airflow_provider_aep.links import AepLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_aep.hooks.watching import Watching
    from airflow_provider_aep.onboarding.watch import Awaited, Patience, Seen

_NOTES = "aep:wait"


class AepFlowRunSensor(LandsRows, BaseSensorOperator):
    """Wait for a flow run to end, and fail unless it went well.

    A run with failed records is partial, also where AEP calls it ``success``; it fails the task unless the author
    allows it. A status that is not known fails the task, too. Poking, rescheduling and deferring decide alike.

    A run that was triggered again under another id is followed there. A run that vanishes, a flow that was deleted or
    is disabled and has no run, and a time in which none appears: each ends the wait with words of its own. Airflow's
    ``timeout`` counts from the first look, whatever is restarted meanwhile.

    With the dataset's asset or an asset alias among its ``outlets`` (:mod:`~.assets`), a run that was accepted emits an
    event there.

    :param flow_id: (templated)
    :param run_id: the run to wait for (templated); without it, the flow's first run since a moment
    :param since: the moment (templated): ISO 8601, a datetime, or seconds since the epoch; the flow's creation unless
        given
    :param since_of: whether that is when the run was ``created``, or where its ``window`` starts
    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    :param on_partial: ``fail``, ``warn`` or ``succeed`` for a run in which records failed
    :param max_failed_ratio: share of failed records (0 to 1) up to which a partial run passes with a warning
    :param max_failed_records: number of failed records up to which it does; with a share, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` for a run that had nothing to read
    :param check_batches: whether the run's batches must have landed, too; Catalog is asked, once the run has ended
    :param no_run_timeout: seconds in which a run must appear; the sensor's ``timeout`` unless given. Where a task
        starts in the triggerer, they count from when that begins to watch, and anew if it is restarted
    :param max_unreachable: seconds for which AEP may fail to answer without a break, before the task fails and may be
        tried again
    :param log_sample_rows: how many failed rows the log of a bad run shows; they may hold personal data
    :param deferrable: wait in the triggerer; default is ``[operators] default_deferrable``. Airflow's
        ``exponential_backoff`` and ``max_wait`` count where the sensor pokes.
    :param start_in_triggerer: start there, too, and let a good run end the task there: a wait that takes no worker, and
        tells of no dataset. Whatever is not good goes on in a worker. Arguments can be templates from Airflow 3.3 on;
        before, and in a mapped task, a worker starts it.
    :param poke_interval: seconds between two looks (templated)
    :return: the run as a dict: ids, ``verdict``, ``status``, counts ``read``, ``written`` and ``failed``, bytes, window
        and times in milliseconds since the epoch, ``duration`` in seconds, batches, error codes by activity
    :raises AepPermanentError: the run failed, was partial or empty beyond what is allowed, or is in an unknown state;
        or it cannot be waited for
    :raises AepRetryableError: AEP has not answered for ``max_unreachable``; with ``soft_fail`` it is raised, too
    :raises AirflowSensorTimeout: the run has not ended in time, or none has appeared
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
        # Airflow takes numbers only; a template is a number once it is rendered.
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
        self._wait: tuple[Awaited, Patience] | None = None
        self._began: float | None = None
        if start_in_triggerer:
            self._start_in_triggerer()

    def link_target(self) -> tuple[str, ...] | None:
        """The run once it is known, else the flow."""
        if self.run_id:
            return ("run", self.flow_id, self.run_id)
        return ("flow", self.flow_id) if self.flow_id else None

    # -- the ways to wait -------------------------------------------------------------------------------------------

    def execute(self, context: Context) -> Any:
        from airflow_provider_aep.exceptions import airflow_errors
        from airflow_provider_aep.onboarding.watch import Patience

        # What can never work is told before anything is waited for.
        with airflow_errors():
            watching = self._watching()
            self._wait = self._awaited(), Patience(self.max_unreachable)
            self.poke_interval = self._rendered_interval()
        deferrable = self.deferrable
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        if deferrable or self.start_in_triggerer:
            with self._softly():
                awaited, patience = self._wait
                deadline = time.time() + self._longest()
                seen = watching.look(awaited, patience)
                return self._ended_or_deferred(seen, deadline, self._no_run_deadline(None), patience, context)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as e:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from e
            raise self._timed_out() from None
        except AirflowSkipException as e:
            if e.__cause__ is None and self.soft_fail:  # that is how it skips when its time is over
                raise AirflowSkipException("Skipping due to soft_fail is set to True.") from self._timed_out()
            raise

    def poke(self, context: Context) -> PokeReturnValue:
        assert self._wait is not None
        note = self._remembered(context)
        awaited, patience = self._wait
        seen = self._watching().look(awaited, patience)
        self._wait = seen.awaited, patience
        if seen.over:
            return PokeReturnValue(True, self._accepted(seen, context))
        self._remember(note, context)
        deadline = self._no_run_deadline(context)
        if seen.awaited.run_id is None and deadline is not None and time.time() >= deadline:
            raise self._timed_out()
        self._tell(seen)
        return PokeReturnValue(False)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None, **until: Any) -> Any:
        """Resume after the trigger fired; :meth:`resume_execution` does what Airflow does around a poke."""
        from airflow_provider_aep.onboarding.watch import Patience

        patience = Patience(self.max_unreachable)
        seen = self._watching().resumed(event, patience)
        if seen is None:
            raise self._timed_out(has_run="run_id" in ((event or {}).get("awaited") or {}))
        deadline = until.get("deadline")
        if deadline is None:  # it has started in the triggerer
            deadline = time.time() + self._longest()
        return self._ended_or_deferred(seen, deadline, until.get("no_run_deadline"), patience, context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        from airflow_provider_aep.hooks.watching import LOST, lost

        with self._softly():
            if next_method == LOST:
                raise lost(next_kwargs, self._timed_out(has_run=True))
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def _ended_or_deferred(
        self, seen: Seen, deadline: float, no_run_deadline: float | None, patience: Patience, context: Context
    ) -> Any:
        if seen.over:
            return self._accepted(seen, context)
        if time.time() >= deadline:
            raise self._timed_out()
        self._tell(seen)
        from airflow_provider_aep.hooks.watching import GRACE
        from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

        interval = self._rendered_interval()  # a task that is resumed has its template again
        within = timedelta(seconds=deadline - time.time() + interval + GRACE)
        trigger = AepFlowRunTrigger(
            flow_id=self.flow_id,
            run_id=self.run_id,
            aep_conn_id=self.aep_conn_id,
            poke_interval=interval,
            seen=seen.awaited.as_dict(),
            deadline=deadline,
            no_run_deadline=no_run_deadline,
            max_unreachable=self.max_unreachable,
            unreachable=patience.since,
            complete=seen.ended,
        )
        return self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"deadline": deadline, "no_run_deadline": no_run_deadline},
            timeout=within,
        )

    def _start_in_triggerer(self) -> None:
        from airflow.triggers.base import BaseTrigger, StartTriggerArgs

        given = {name: _as_template(getattr(self, name)) for name in self.template_fields}
        if not hasattr(BaseTrigger, "render_template_fields") and any("{{" in str(value) for value in given.values()):
            return  # before Airflow 3.3 no trigger renders a template, so a worker starts it
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="airflow_provider_aep.triggers.flow_run.AepFlowRunTrigger",
            trigger_kwargs={
                **given,
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
            timeout=timedelta(seconds=self._longest()),
        )

    # -- how it ends ------------------------------------------------------------------------------------------------

    @contextmanager
    def _softly(self) -> Generator[None, None, None]:
        """What Airflow does around a poke of its own: a verdict is softened, an error that may pass is not."""
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout) as e:
            if self.soft_fail or self.never_fail:
                which = "soft_fail" if self.soft_fail else "never_fail"
                raise AirflowSkipException(f"Skipping due to {which} is set to True.") from e
            raise
        except AirflowSkipException:
            raise
        except Exception as e:
            if self.never_fail:
                raise AirflowSkipException("Skipping due to never_fail is set to True.") from e
            raise

    def _accepted(self, seen: Seen, context: Context) -> dict[str, Any]:
        self.run_id = seen.awaited.run_id  # for the link
        return self._landed(context, self._watching().accepted(seen))

    def _timed_out(self, has_run: bool = False) -> AirflowSensorTimeout:
        """:param has_run: whether one has appeared, where this task has not looked itself"""
        has_run = has_run or bool(self._wait and self._wait[0].run_id) or bool(self.run_id)
        if self.no_run_timeout is not None and self.no_run_timeout <= self._longest() and not has_run:
            return AirflowSensorTimeout(f"No run of flow {self.flow_id} has appeared within {self.no_run_timeout:g} s")
        what = f"run {self.run_id} of flow {self.flow_id}" if self.run_id else f"a run of flow {self.flow_id}"
        return AirflowSensorTimeout(f"Waited {self._longest():g} s for {what}, and it has not ended")

    def on_kill(self) -> None:
        from airflow_provider_aep.hooks.watching import GOES_ON

        self.log.info(GOES_ON)

    # -- what is needed ---------------------------------------------------------------------------------------------

    def _watching(self) -> Watching:
        from airflow_provider_aep.hooks.watching import Watching
        from airflow_provider_aep.links import page

        return Watching.of(self, page)

    def _awaited(self) -> Awaited:
        from airflow_provider_aep.onboarding.watch import Awaited

        return Awaited.asked(self.flow_id, self.run_id, self.since, self.since_of)

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

    def _longest(self) -> float:
        """Seconds to wait; where a task defers, Airflow does not watch over ``execution_timeout`` itself."""
        limit = self.execution_timeout
        longest = float(self.timeout)
        return longest if limit is None or self.reschedule else min(longest, limit.total_seconds())

    def _no_run_deadline(self, context: Any) -> float | None:
        if self.no_run_timeout is None:
            return None
        first = context["ti"].get_first_reschedule_date(context) if context and self.reschedule else None
        if first is None:
            self._began = self._began or time.time()
            return self._began + self.no_run_timeout
        return float(first.timestamp()) + self.no_run_timeout

    # A sensor that is rescheduled begins anew at each look; what it knows is kept where Airflow has a place for it.

    def _remembered(self, context: Any) -> dict[str, Any]:
        store = context.get("task_state_store") if self.reschedule else None
        if store is None:
            return {}
        note = store.get(_NOTES) or {}
        if note.get("about") == self._about(context) and self._wait is not None:
            awaited, patience = self._wait
            self._wait = type(awaited).of(note["seen"]), patience
            patience.since = note.get("unreachable")
        return dict(note)

    def _remember(self, known: dict[str, Any], context: Any) -> None:
        store = context.get("task_state_store") if self.reschedule else None
        if store is None or self._wait is None:
            return
        awaited, patience = self._wait
        note = {"about": self._about(context), "seen": awaited.as_dict(), "unreachable": patience.since}
        if note != known:
            store.set(_NOTES, note)

    def _about(self, context: Any) -> list[Any]:
        """What a note must be about: this try's wait, and no other's."""
        return [self.flow_id, self.run_id, str(self.since), self.since_of, getattr(context["ti"], "try_number", 0)]

    def _tell(self, seen: Seen) -> None:
        if seen.result is not None:
            self.log.info("Waiting: %s", "; ".join([seen.result.summary(), *seen.remarks]))
        elif seen.awaited.run_id is not None:
            self.log.info("Waiting: %s", seen.awaited)
        else:
            self.log.info("Waiting: no run of flow %s is there yet", self.flow_id)


def _as_template(value: Any) -> Any:
    """An argument as JSON can carry it; what another task returns is a template, too."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if value is None or isinstance(value, str | int | float) else str(value)
