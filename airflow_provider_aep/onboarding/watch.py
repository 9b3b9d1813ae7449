"""Which run a wait is about, and what one look at AEP says of it: the same for poke, trigger and hub."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from airflow_provider_aep.client import catalog, flow_service
from airflow_provider_aep.client.client import MAX_PAGES
from airflow_provider_aep.client.errors import (
    AepAnswerError,
    AepConfigurationError,
    AepError,
    AepNotFoundError,
    AepPermissionError,
    AepUnavailableError,
)
from airflow_provider_aep.client.models import Batch, Flow, Run
from airflow_provider_aep.client.steps import Steps
from airflow_provider_aep.onboarding.given import checked_id, checked_moment
from airflow_provider_aep.onboarding.verdict import LANDED, RunResult, Verdict, judge, judge_batches
from airflow_provider_aep.onboarding.wait import GOING, freshly

MAX_UNREACHABLE = 900.0
"""Seconds for which AEP may fail to answer without a break before a wait gives up."""

LAG = 600
"""Seconds by which AEP's lists may be behind."""

CREATED, WINDOW = "created", "window"


@dataclass(frozen=True, slots=True)
class Awaited:
    """A run by its id, or the first run of a flow since a moment; and what was learnt of it so far.

    :param since: seconds since the epoch; ``None``: the flow's creation
    :param since_of: whether that is the moment a run was ``created`` at, or its ``window`` starts at
    :param window: of the run, in seconds since the epoch, once it was seen: a run of the same flow and window that was
        created later has taken its place
    :param created: when it was, in milliseconds since the epoch, likewise
    """

    flow_id: str
    run_id: str | None = None
    since: float | None = None
    since_of: str = CREATED
    window: tuple[int, int] | None = None
    created: int = 0

    def __post_init__(self) -> None:
        """:raises AepConfigurationError: ``since_of`` is another word"""
        if self.since_of not in {CREATED, WINDOW}:
            raise AepConfigurationError(
                f"since_of is {self.since_of!r}", next_step=f"It must be {CREATED} or {WINDOW}."
            )

    @classmethod
    def asked(cls, flow_id: object, run_id: object, since: object, since_of: str) -> Awaited:
        """What an author asks for, as templates render it.

        :raises AepConfigurationError: one of them is no id, no moment, or another word
        """
        named = None if run_id in {None, "", "None"} else checked_id(run_id, "run_id")
        return cls(checked_id(flow_id, "flow_id"), named, checked_moment(since, "since"), since_of)

    def __str__(self) -> str:
        if self.run_id:
            return f"run {self.run_id} of flow {self.flow_id}"
        return f"the first run of flow {self.flow_id}"

    def learnt(self, run: Run) -> Awaited:
        start, end = run.window
        window = None if start is None or end is None else (start, end)
        return replace(self, run_id=run.id, created=run.createdAt, window=window)

    def as_dict(self) -> dict[str, Any]:
        """JSON of what differs from the defaults."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Awaited:
        window = given.get("window")
        return cls(**{**given, "window": tuple(window) if window else None})


@dataclass(frozen=True)
class Seen:
    """What one look has shown.

    :param awaited: what to look at next
    :param result: of the run; ``None`` as long as there is none
    :param remarks: what could not be looked at, for the log
    :param ended: whether the run has, and only its batches are waited for
    """

    awaited: Awaited
    result: RunResult | None = None
    remarks: tuple[str, ...] = field(default=())
    ended: bool = False

    @property
    def over(self) -> bool:
        return self.result is not None and self.result.verdict != Verdict.WAITING.value


def look(awaited: Awaited, server_now: Callable[[], float], *, check_batches: bool = True) -> Steps[Seen]:
    """One look, from the run to what it left in the lake.

    :param server_now: in seconds since the epoch; right once the server has answered
    :raises AepNotFoundError: the run has vanished, or the flow was deleted
    :raises AepConfigurationError: there is no run and will be none, or it is another flow's
    """
    run = yield from _run(awaited)
    if run is None:
        check_that_it_will_run((yield from freshly(flow_service.get_flow(awaited.flow_id))))
        if awaited.since is None:  # its first run is younger than this look, but for the time that lists are behind
            awaited = replace(awaited, since=server_now() - LAG, since_of=CREATED)
        return Seen(awaited)
    return (yield from concluded(awaited.learnt(run), judge(run), server_now, check_batches=check_batches))


def concluded(
    awaited: Awaited, result: RunResult, server_now: Callable[[], float], *, check_batches: bool = True
) -> Steps[Seen]:
    """What else speaks for or against a run that was judged: its batches, another in its place."""
    if result.verdict in LANDED and check_batches:
        seen = yield from _with_batches(awaited, result, server_now)
        result = seen.result or result
    else:
        seen = Seen(awaited, result)
    if result.verdict == Verdict.FAILED.value and (other := (yield from _in_place_of(awaited))):
        return (yield from concluded(awaited.learnt(other), judge(other), server_now, check_batches=check_batches))
    return seen


def _with_batches(awaited: Awaited, result: RunResult, server_now: Callable[[], float]) -> Steps[Seen]:
    """A run that went well, and what became of its batches."""
    batches: list[Batch] = []
    remarks, may_come = [], False
    for id_ in dict.fromkeys(result.batch_ids):
        try:
            batches.append((yield catalog.get_batch(id_)))
        except (AepNotFoundError, AepPermissionError) as e:
            remarks.append(f"Whether the batch {id_} has landed is not known: {e.message} [{e.where}]")
            may_come = may_come or isinstance(e, AepNotFoundError)
    if not result.batch_ids and result.written != 0:
        remarks.append(f"Whether the rows of run {result.run_id} have landed is not known: AEP names no batch of it")
        may_come = True
    result = judge_batches(result, batches) if batches else result
    young = (result.completed_at or awaited.created) / 1000 > server_now() - LAG
    if result.verdict in LANDED and may_come and young:  # what AEP's lists do not show later, they never will
        result = replace(result, verdict=Verdict.WAITING.value)
    return Seen(awaited, result, tuple(remarks), ended=result.verdict == Verdict.WAITING.value)


def _run(awaited: Awaited) -> Steps[Run | None]:
    if awaited.run_id is None:
        return (yield from _first(awaited))
    try:
        run: Run = yield from freshly(flow_service.get_run(awaited.run_id))
    except AepNotFoundError as e:
        if other := (yield from _in_place_of(awaited)):
            return other
        raise (yield from _vanished(awaited, e)) from e
    if run.flowId and run.flowId != awaited.flow_id:
        raise AepConfigurationError(
            f"The run {run.id} is one of the flow {run.flowId}, not of {awaited.flow_id}",
            next_step="Give the run_id and the flow_id of one run.",
        )
    return run


def _vanished(awaited: Awaited, error: AepError) -> Steps[AepError]:
    """Why a run that was seen is not there any more."""
    if not awaited.created:  # it may never have been there
        return error
    why = "has vanished"
    try:
        flow: Flow = yield flow_service.get_flow(awaited.flow_id)
        if flow.state == GOING:
            raise AepNotFoundError("")
    except AepNotFoundError:
        why = "is gone: the flow was deleted"
    return AepNotFoundError(
        f"The {awaited} {why}: {error.message}",
        where=error.where,
        next_step="Look at the flow's runs in AEP. What it has ingested stays.",
    )


def _first(awaited: Awaited) -> Steps[Run | None]:
    """The first run of the flow since the moment, ``None`` if there is none yet."""
    if awaited.since is None:
        page = yield flow_service.list_runs(awaited.flow_id, orderby="createdAt")
        return min((r for r in page.items if r.flowId == awaited.flow_id), key=lambda r: r.createdAt, default=None)
    # Of a flow with years of runs, only the youngest are read: what was created before the moment is too old, and
    # so is its window, which ends before it is created.
    found = yield from _younger(awaited.flow_id, awaited.since * 1000)
    return chosen(awaited, found)


def chosen(awaited: Awaited, runs: list[Run]) -> Run | None:
    """The one that is waited for, of a flow's runs."""
    since = (awaited.since or 0) * 1000
    if awaited.since_of == CREATED:
        return min((run for run in runs if run.createdAt >= since), key=lambda run: run.createdAt, default=None)
    starts = [(start * 1000, run.createdAt, n) for n, run in enumerate(runs) if (start := run.window[0]) is not None]
    first = runs[min(due)[-1]] if (due := [s for s in starts if s[0] >= since]) else None
    # One whose window AEP does not tell may be the one. It will tell; where it never has, it must not be passed over
    # for a later one that is well; but that it is well itself says nothing of the window that is waited for.
    until = first.createdAt if first else math.inf
    odd = [r for r in runs if r.window[0] is None and since <= r.createdAt < until and judge(r).verdict not in LANDED]
    if not odd:
        return first
    eldest = min(odd, key=lambda run: run.createdAt)
    return None if judge(eldest).verdict == Verdict.WAITING.value else eldest


def _younger(flow_id: str, moment: float) -> Steps[list[Run]]:
    """The runs of a flow that were created at a moment (milliseconds since the epoch) or later."""
    call, found = flow_service.list_runs(flow_id, orderby="-createdAt"), []
    for _ in range(MAX_PAGES):
        page = yield call
        found += [run for run in page.items if run.flowId == flow_id and run.createdAt >= moment]
        if page.next is None or any(run.createdAt < moment for run in page.items):
            return found
        call = page.next(call)
    raise AepAnswerError(
        f"The list of the runs of flow {flow_id} did not end after {MAX_PAGES} pages",
        next_step="Wait for a run by its id, or since a later moment.",
    )


def _in_place_of(awaited: Awaited) -> Steps[Run | None]:
    """The youngest run of the same window that was created later: AEP or a person has had its rows taken again."""
    if awaited.window is None or not awaited.created:
        return None
    runs = yield from _younger(awaited.flow_id, awaited.created)
    others = [run for run in runs if (run.createdAt, run.id) > (awaited.created, awaited.run_id or "")]
    same = [run for run in others if run.window == awaited.window]
    return max(same, key=lambda run: (run.createdAt, run.id), default=None)


def check_that_it_will_run(flow: Flow) -> None:
    """For a flow without a run yet.

    :raises AepConfigurationError: it is disabled, a draft or being deleted, so waiting is in vain
    """
    if flow.state in {"disabled", "draft", GOING}:
        step = {
            "disabled": "Enable the flow (AepEnableFlowOperator).",
            "draft": "Publish the flow (AepPublishFlowOperator).",
        }.get(flow.state, "Wait for another flow.")
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) has no run and will have none: it is {flow.state}", next_step=step
        )


@dataclass(slots=True)
class Patience:
    """How long AEP may fail to answer: a blip is no verdict on a run.

    :param limit: seconds without a break
    :param since: of the first failure since it answered, in seconds since the epoch
    """

    limit: float = MAX_UNREACHABLE
    since: float | None = None

    def __post_init__(self) -> None:
        """:raises AepConfigurationError: the limit is no number of seconds"""
        if isinstance(self.limit, bool) or not isinstance(self.limit, int | float) or self.limit < 0:
            raise AepConfigurationError(
                f"max_unreachable is {self.limit!r}", next_step="It must be a number of seconds, not below 0."
            )

    def heard(self) -> None:
        self.since = None

    def failed(self, error: AepError, asked: float, now: float) -> None:
        """
        :param asked: when AEP was asked, in seconds since the epoch
        :raises AepError: ``error`` itself if waiting cannot mend it
        :raises AepUnavailableError: it has been so for too long
        """
        if not error.retryable:
            raise error
        self.since = asked if self.since is None else self.since
        if now - self.since >= self.limit:
            raise AepUnavailableError(
                f"AEP has not answered for {self.limit:g} s; at last: {error.message}",
                where=error.where,
                next_step="Try again when AEP is reachable; max_unreachable is the time to wait for it.",
                retry_after=error.retry_after,
            ) from error
