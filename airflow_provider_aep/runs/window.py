"""Window of an on-demand run: the time span of its rows, from arguments, a data interval or earlier runs."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_aep.attempt import Attempt, TaskState
from airflow_provider_aep.client.consistency import LIST_LAG
from airflow_provider_aep.client.errors import AepConfigurationError, AepUnavailableError
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.client.steps import Steps
from airflow_provider_aep.client.validation import validate_timestamp
from airflow_provider_aep.runs.observation import newest_runs, observe_batches
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runs.verdict import LANDED_VERDICTS, Verdict, evaluate_run

CREATION_SLACK = 3_600
"""Seconds by which a run may be older than the end of its window and still be considered.

AEP creates a run after its window ends. But a ``window_end`` argument may be in the future.
"""


@dataclass(frozen=True)
class DagRunTiming:
    """The times of a DAG run, in seconds since the epoch.

    :param interval: start and end of the data interval; ``None`` if the DAG run has none
    :param moment: the logical date, or ``run_after`` for a DAG run without one; ``None`` if unknown
    """

    interval: tuple[float, float] | None = None
    moment: float | None = None


@dataclass(frozen=True)
class Window:
    """The time span of the rows that a run reads.

    :param start: of the first rows, in seconds since the epoch, inclusive
    :param end: of the last rows, in seconds since the epoch, exclusive
    :param is_inferred: whether the start is the end of an earlier run's window, not an argument or a data interval
    """

    start: int
    end: int
    is_inferred: bool = False

    def state(self, attempt: Attempt, flow_id: str) -> TaskState:
        """Return the task state of a task's run of this window."""
        # guard: run: task state by window
        return attempt.state(f"aep:run:{flow_id}:{self.start}-{self.end}")


def resolve_window(
    flow: Flow, start: object, end: object, timing: DagRunTiming, now: float, attempt: Attempt
) -> Steps[Window]:
    """Return the window of a run.

    The arguments take precedence, then the data interval if it is not empty. Otherwise the window starts at the end
    of the flow's last window whose rows have landed, and ends at the logical date.

    :param flow: the flow that runs
    :param start: ISO 8601, a datetime, or seconds since the epoch; ``None`` if not set
    :param end: as ``start``
    :param timing: of the DAG run
    :param now: AEP's clock in seconds since the epoch
    :param attempt: this try of the task, whose task state stores an inferred start
    :raises AepConfigurationError: an argument is not a time, the start cannot be inferred, or the rows before it have
        not landed
    :raises AepUnavailableError: the start depends on a run that has not ended, or the window ends in the future
    """
    first, last = validate_timestamp(start, "window_start"), validate_timestamp(end, "window_end")
    if timing.interval and timing.interval[0] < timing.interval[1]:
        first = int(timing.interval[0]) if first is None else first
        last = int(timing.interval[1]) if last is None else last
    if last is None:
        last = int(now if timing.moment is None else timing.moment)
    if first is None:
        return (yield from _infer(flow, last, now, attempt))
    return Window(first, last)


def _infer(flow: Flow, end: int, now: float, attempt: Attempt) -> Steps[Window]:
    # guard: window: wait until it has ended
    if end > now:
        # The next window starts at this end. So rows that arrive between now and the end would be in no window.
        raise AepUnavailableError(
            f"The window of this run of the flow {flow.name!r} ({flow.id}) ends in the future, at {_iso(end)}",
            next_step="Run the task again after that time, or set window_end to a time in the past.",
        )
    state = attempt.state(f"aep:window:{flow.id}:{end}")
    start = state.read().get("start")
    # guard: window: infer again if unsent
    if start is None or not Window(start, end).state(attempt, flow.id).read():
        runs = yield from _recent_runs(flow, end, now)
        _check_first_run(flow, runs, now)
        start = _last_landed_end(flow, runs, end)
        previous = [run for run in runs if _has_verdict(run, LANDED_VERDICTS) and run.window[1] == start]
        # guard: window: start only after landed rows
        yield from _check_landed(flow, previous, now)
        # guard: window: same for all tries
        state.write(start=start)
    return Window(start, end, is_inferred=True)


def _recent_runs(flow: Flow, end: int, now: float) -> Steps[list[Run]]:
    """Return the newest runs of a flow, as many as the start of a window depends on.

    A window ends before AEP creates its run. So only runs created after the end of a landed window can have a later
    window, and years of history are not read.
    """
    due = float(flow.scheduleParams.get("startTime") or 0)

    def is_enough(runs: list[Run], page: list[Run]) -> bool:
        ends = [
            e for run in runs if _has_verdict(run, LANDED_VERDICTS) and (e := run.window[1]) is not None and e < end
        ]
        if not ends:
            return False
        needed: float = max(ends) - CREATION_SLACK
        needed = min(needed, due - 1) if now < due + LIST_LAG else needed
        return any(run.createdAt < needed * 1000 for run in page)

    return (yield from newest_runs(flow.id, is_enough))


def _check_first_run(flow: Flow, runs: list[Run], now: float) -> None:
    """Raise if AEP does not list the scheduled first run yet, because its window may contain any earlier rows."""
    due = int(flow.scheduleParams.get("startTime") or 0)
    # guard: window: on-demand runs are no first run
    is_listed = any("windowStartTime" not in run.params and run.createdAt >= (due - 1) * 1000 for run in runs)
    # guard: window: wait for an unlisted first run
    # guard: window: wait no longer than lists lag
    if flow.state == "enabled" and now < due + LIST_LAG and not is_listed:
        raise AepUnavailableError(
            f"The window depends on the first run of the flow {flow.name!r} ({flow.id}), which is due at {_iso(due)} "
            "and not listed by AEP yet",
            next_step="Try again later.",
        )


def _last_landed_end(flow: Flow, runs: Sequence[Run], end: int) -> int:
    """Return the end of the last window whose rows have landed and that ends before ``end``."""
    ends = [e for run in runs if _has_verdict(run, LANDED_VERDICTS) and (e := run.window[1]) is not None]
    # A run whose window has the same end may be from an earlier try of this task.
    if earlier := [e for e in ends if e < end]:
        return max(earlier)
    if ends:
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) has read rows up to {_iso(min(ends))}, but the window of this run "
            f"would end at {_iso(end)}, which is not later",
            next_step="Mark the task as success if its rows have landed, or set window_start and window_end.",
        )
    # guard: window: wait for the first run
    if waiting := [run.id for run in runs if _has_verdict(run, {Verdict.WAITING.value})]:
        raise AepUnavailableError(
            f"The window depends on the first landed run of the flow {flow.name!r} ({flow.id}), and run {waiting[0]} "
            "has not ended",
            next_step="Try again later.",
        )
    problem = f"Cannot infer where the window of a run of the flow {flow.name!r} ({flow.id}) starts: "
    # guard: window: refuse unknown rows
    if unclear := [
        f"{run.id} {evaluate_run(run).status!r}" for run in runs if not _has_verdict(run, {Verdict.FAILED.value})
    ]:
        raise AepConfigurationError(
            f"{problem}these runs have an unknown status and may have read any rows: {', '.join(unclear)}",
            next_step="Look at the runs in AEP, and set window_start and window_end.",
        )
    raise AepConfigurationError(
        f"{problem}the DAG run's data interval is empty, and no run of the flow has landed",
        next_step="Schedule the DAG with CronDataIntervalTimetable, because cron expressions and presets such as "
        "@daily have empty data intervals in Airflow 3. Or set window_start and window_end; window_start=0 reads all "
        "rows.",
    )


def _check_landed(flow: Flow, runs: Sequence[Run], now: float) -> Steps[None]:
    """Raise if the rows before a window have not landed, because AEP reports success before the batches land.

    :param flow: the flow that runs
    :param runs: those whose window ends at the start of this window; one may have landed rows that another has not
    :param now: AEP's clock in seconds since the epoch
    """
    landed_starts, missing = [], []
    for run in runs:
        observation = yield from observe_batches(
            RunSelector(flow.id, run.id, created=run.createdAt), evaluate_run(run), lambda: now
        )
        if observation.result and observation.result.verdict in LANDED_VERDICTS:
            landed_starts.append(run.window[0] or 0)
        else:
            missing.append((run.window[0] or 0, observation))
    # guard: window: a narrower run leaves a gap
    gaps = [observation for start, observation in missing if not any(other <= start for other in landed_starts)]
    if not gaps:
        return
    detail = "; ".join(
        text
        for observation in gaps
        if observation.result
        for text in (observation.result.summary(), *observation.remarks)
    )
    if not all(observation.is_final for observation in gaps):
        raise AepUnavailableError(
            f"The rows before the window of this run have not landed yet: {detail}",
            next_step="Try again later.",
        )
    raise AepConfigurationError(
        f"The rows before the window of this run have not landed: {detail}",
        next_step="Ingest that window again by setting window_start and window_end. Then run this task again.",
    )


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat()


def _has_verdict(run: Run, verdicts: Set[str]) -> bool:
    return evaluate_run(run).verdict in verdicts
