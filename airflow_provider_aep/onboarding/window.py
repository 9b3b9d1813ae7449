"""Which rows a run on demand takes, where its author does not say."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepUnavailableError
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.client.steps import Steps, every
from airflow_provider_aep.onboarding.attempt import Attempt, Note
from airflow_provider_aep.onboarding.given import checked_moment
from airflow_provider_aep.onboarding.verdict import LANDED, Verdict, judge
from airflow_provider_aep.onboarding.watch import LAG, Awaited, concluded


@dataclass(frozen=True)
class Occasion:
    """What Airflow says of a DAG run's time, in seconds since the epoch.

    :param interval: its data interval
    :param moment: its logical date; for a DAG run that has none, what it was to run after
    """

    interval: tuple[float, float] | None = None
    moment: float | None = None


@dataclass(frozen=True)
class Window:
    """Rows from ``start`` on and before ``end``, in seconds since the epoch.

    :param found_out: whether it is nobody's word, but what the flow's runs say
    """

    start: int
    end: int
    found_out: bool = False

    def note(self, attempt: Attempt, flow_id: str) -> Note:
        """What the tries of a task know of their run of this window."""
        return attempt.note(f"aep:run:{flow_id}:{self.start}-{self.end}")


def window_of(
    flow: Flow, start: object, end: object, occasion: Occasion, now: float, attempt: Attempt
) -> Steps[Window]:
    """What is given; else the data interval, if it is longer than zero; else from the end of the flow's last window
    that has landed to the DAG run's moment.

    :param start: moment (ISO 8601, a datetime, or seconds since the epoch), or ``None``
    :param end: likewise
    :param now: of the server's clock
    :raises AepConfigurationError: one of them is no moment, or nothing says where the window begins
        or the rows before it have not landed
    :raises AepUnavailableError: a run says so that is under way or still to come, or its batches are; or the window
        would begin there and end later than now
    """
    first, last = checked_moment(start, "window_start"), checked_moment(end, "window_end")
    if occasion.interval and occasion.interval[0] < occasion.interval[1]:
        first = int(occasion.interval[0]) if first is None else first
        last = int(occasion.interval[1]) if last is None else last
    if last is None:
        last = int(now if occasion.moment is None else occasion.moment)
    if first is None:
        return (yield from _found_out(flow, last, now, attempt))
    return Window(first, last)


def _found_out(flow: Flow, last: int, now: float, attempt: Attempt) -> Steps[Window]:
    if last > now:  # what arrives in between would be in no window: the next begins where this one ends
        raise AepUnavailableError(
            f"The window of this run of the flow {flow.name!r} ({flow.id}) would end at {_told(last)}, which is still "
            "to come",
            next_step="Try again then; or give a window_end that has passed.",
        )
    runs = [run for run in (yield from every(flow_service.list_runs(flow.id))) if run.flowId == flow.id]
    chosen = attempt.note(f"aep:window:{flow.id}:{last}")
    first = chosen.read().get("start")
    if first is None or not Window(first, last).note(attempt, flow.id).read():  # no try has sent anything yet
        _check_first_run(flow, runs, now)
        first = _last_end(flow, runs, last)
        yield from _check_that_landed(flow, [r for r in runs if _is(r, LANDED) and r.window[1] == first], now)
        chosen.write(start=first)
    return Window(first, last, found_out=True)


def _check_first_run(flow: Flow, runs: list[Run], now: float) -> None:
    """The run that AEP starts of itself may take what is before its moment, whoever has taken of it before."""
    due = int(flow.scheduleParams.get("startTime") or 0)
    there = any("windowStartTime" not in run.params and run.createdAt >= (due - 1) * 1000 for run in runs)
    if flow.state == "enabled" and now < due + LAG and not there:
        raise AepUnavailableError(
            f"The first run of the flow {flow.name!r} ({flow.id}) will say where the window begins; it is due at "
            f"{_told(due)}, and AEP does not list it yet",
            next_step="Try again later.",
        )


def _last_end(flow: Flow, runs: list[Run], last: int) -> int:
    ends = [end for run in runs if _is(run, LANDED) and (end := run.window[1]) is not None]
    # One that ends where this window does may be this task's own, of another try.
    if before := [end for end in ends if end < last]:
        return max(before)
    if ends:
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) has taken rows up to {_told(min(ends))}, and this run would end at "
            f"{_told(last)}, before",
            next_step="If its rows are there, mark the task as success; or give window_start and window_end.",
        )
    if waits := [run.id for run in runs if _is(run, {Verdict.WAITING.value})]:
        raise AepUnavailableError(
            f"The first run of the flow {flow.name!r} ({flow.id}) to land will say where the window begins; "
            f"{waits[0]} is under way",
            next_step="Try again later.",
        )
    nothing = f"Nothing says where the window of a run of the flow {flow.name!r} ({flow.id}) begins: "
    if odd := [f"{run.id} {judge(run).status!r}" for run in runs if not _is(run, {Verdict.FAILED.value})]:
        raise AepConfigurationError(
            f"{nothing}which rows these have taken is not known: {', '.join(odd)}",
            next_step="Look at them in AEP, and give window_start and window_end.",
        )
    raise AepConfigurationError(
        f"{nothing}the DAG run's data interval is empty, and no run of the flow has landed before",
        next_step="Schedule the DAG with CronDataIntervalTimetable (a cron text or preset such as @daily gives empty "
        "intervals in Airflow 3), or give window_start and window_end; window_start=0 takes everything.",
    )


def _check_that_landed(flow: Flow, runs: list[Run], now: float) -> Steps[None]:
    """A run is called a success before its batches have landed, or failed to: then its rows would be in no window.

    :param runs: those whose window ends where this one would begin; what one has not landed, another may have
    """
    there, missing = [], []
    for run in runs:
        seen = yield from concluded(Awaited(flow.id, run.id, created=run.createdAt), judge(run), lambda: now)
        if seen.result and seen.result.verdict in LANDED:
            there.append(run.window[0] or 0)
        else:
            missing.append((run.window[0] or 0, seen))
    gaps = [seen for start, seen in missing if not any(other <= start for other in there)]
    if not gaps:
        return
    told = "; ".join(text for seen in gaps if seen.result for text in (seen.result.summary(), *seen.remarks))
    if not all(seen.over for seen in gaps):
        raise AepUnavailableError(
            f"Where this window begins is not known before the rows before it have landed: {told}",
            next_step="Try again later.",
        )
    raise AepConfigurationError(
        f"The rows before this window have not landed: {told}",
        next_step="Ingest that window again, with its window_start and window_end; then run this task again.",
    )


def _told(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _is(run: Run, verdicts: Set[str]) -> bool:
    return judge(run).verdict in verdicts
