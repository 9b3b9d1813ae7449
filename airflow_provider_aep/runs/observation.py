"""Observation of a flow run: one poll of the run and its batches, for sensors, triggers and the poller."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from airflow_provider_aep.client import catalog, flow_service
from airflow_provider_aep.client.client import MAX_PAGES
from airflow_provider_aep.client.consistency import DELETING, LIST_LAG, retry_not_found
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepError,
    AepNotFoundError,
    AepPermissionError,
    AepResponseError,
    AepUnavailableError,
)
from airflow_provider_aep.client.models import Batch, Flow, Run
from airflow_provider_aep.client.steps import Steps
from airflow_provider_aep.runs.selector import CREATED, RunSelector
from airflow_provider_aep.runs.verdict import LANDED_VERDICTS, RunResult, Verdict, evaluate_batches, evaluate_run

MAX_UNREACHABLE = 900.0
"""Default outage budget: seconds for which AEP may be unreachable without a break before a wait fails."""


@dataclass(frozen=True)
class Observation:
    """The result of one poll of a run.

    :param selector: the run selector for the next poll
    :param result: of the run; ``None`` while the flow has no run that matches the selector
    :param remarks: sentences for the log about batches that AEP did not return
    :param ended: whether the run has ended, so that the wait continues only for its batches
    """

    selector: RunSelector
    result: RunResult | None = None
    remarks: tuple[str, ...] = field(default=())
    ended: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the verdict can no longer change, so that the wait ends."""
        return self.result is not None and self.result.verdict != Verdict.WAITING.value


def observe(
    selector: RunSelector, server_now: Callable[[], float], *, check_batches: bool = True
) -> Steps[Observation]:
    """Poll once for the selected run and, once it has ended, for its batches.

    :param selector: the run
    :param server_now: returns AEP's clock in seconds since the epoch; exact once AEP has answered
    :param check_batches: whether the run's batches must have landed before the observation is final
    :raises AepNotFoundError: the run or its flow was deleted
    :raises AepConfigurationError: the flow has no run and cannot start one, or the run belongs to another flow
    """
    run = yield from _selected_run(selector)
    if run is None:
        check_will_run((yield from retry_not_found(flow_service.get_flow(selector.flow_id))))
        if selector.since is None:  # A run that is not listed now is at most ``LIST_LAG`` old.
            selector = replace(selector, since=server_now() - LIST_LAG, since_of=CREATED)
        return Observation(selector)
    return (
        yield from observe_batches(selector.with_run(run), evaluate_run(run), server_now, check_batches=check_batches)
    )


def observe_batches(
    selector: RunSelector, result: RunResult, server_now: Callable[[], float], *, check_batches: bool = True
) -> Steps[Observation]:
    """Return the observation of a run whose status is known: check its batches, and follow a rerun of a failed run.

    :param selector: the run
    :param result: of the run, from its status and metrics alone
    :param server_now: returns AEP's clock in seconds since the epoch; exact once AEP has answered
    :param check_batches: whether the run's batches must have landed before the observation is final
    :raises AepError: AEP does not answer
    """
    if result.verdict in LANDED_VERDICTS and check_batches:
        observation = yield from _observe_landing(selector, result, server_now)
        result = observation.result or result
    else:
        observation = Observation(selector, result)
    if result.verdict == Verdict.FAILED.value and (rerun := (yield from _rerun_of(selector))):
        return (
            yield from observe_batches(
                selector.with_run(rerun), evaluate_run(rerun), server_now, check_batches=check_batches
            )
        )
    return observation


def _observe_landing(selector: RunSelector, result: RunResult, server_now: Callable[[], float]) -> Steps[Observation]:
    """Return the observation of a succeeded or partial run, including its batches in Catalog."""
    batches: list[Batch] = []
    remarks, may_appear = [], False
    for id_ in dict.fromkeys(result.batch_ids):
        try:
            batches.append((yield catalog.get_batch(id_)))
        except (AepNotFoundError, AepPermissionError) as e:
            remarks.append(f"Cannot check whether the batch {id_} has landed: {e.message} [{e.where}]")
            # guard: landing: wait for an unlisted batch
            may_appear = may_appear or isinstance(e, AepNotFoundError)
    if not result.batch_ids and result.written != 0:
        remarks.append(f"Cannot check whether the rows of run {result.run_id} have landed: AEP names no batch of it")
        # guard: landing: wait for an unnamed batch
        may_appear = True
    result = evaluate_batches(result, batches) if batches else result
    is_recent = (result.completed_at or selector.created) / 1000 > server_now() - LIST_LAG
    # A batch that is not listed after the read lag never is.
    # guard: landing: wait no longer than Catalog lags
    if result.verdict in LANDED_VERDICTS and may_appear and is_recent:
        result = replace(result, verdict=Verdict.WAITING.value)
    return Observation(selector, result, tuple(remarks), ended=result.verdict == Verdict.WAITING.value)


def _selected_run(selector: RunSelector) -> Steps[Run | None]:
    """Return the run, or the rerun of a deleted run; ``None`` while the flow has no run that matches."""
    if selector.run_id is None:
        return (yield from _first_run(selector))
    try:
        run: Run = yield from retry_not_found(flow_service.get_run(selector.run_id))
    except AepNotFoundError as e:
        if rerun := (yield from _rerun_of(selector)):
            return rerun
        raise (yield from _missing_run_error(selector, e)) from e
    if run.flowId and run.flowId != selector.flow_id:
        raise AepConfigurationError(
            f"The run {run.id} belongs to the flow {run.flowId}, not to {selector.flow_id}",
            next_step="Set run_id and flow_id to values of the same run.",
        )
    return run


def _missing_run_error(selector: RunSelector, error: AepError) -> Steps[AepError]:
    """Return the error for a run that AEP does not return, with the reason if an earlier poll observed the run."""
    if not selector.created:
        return error
    reason = "no longer exists"
    try:
        flow: Flow = yield flow_service.get_flow(selector.flow_id)
        if flow.state == DELETING:
            raise AepNotFoundError("")
    except AepNotFoundError:
        reason = "no longer exists, because the flow was deleted"
    return AepNotFoundError(
        f"The {selector} {reason}: {error.message}",
        where=error.where,
        next_step="Look at the flow's runs in AEP. The rows that the run ingested stay in the dataset.",
    )


def _first_run(selector: RunSelector) -> Steps[Run | None]:
    """Return the first run of the flow since the selector's time; ``None`` if the flow has no such run yet."""
    if selector.since is None:
        page = yield flow_service.list_runs(selector.flow_id, orderby="createdAt")
        return min((r for r in page.items if r.flowId == selector.flow_id), key=lambda r: r.createdAt, default=None)
    # A flow may have years of runs. Runs created before ``since`` cannot match, because AEP creates a run after
    # its window ends.
    runs = yield from runs_since(selector.flow_id, selector.since * 1000)
    return select_run(selector, runs)


def select_run(selector: RunSelector, runs: list[Run]) -> Run | None:
    """Return the run that matches a selector without a run id; ``None`` if no run matches yet.

    :param selector: the selector
    :param runs: of the flow, in any order
    """
    since = (selector.since or 0) * 1000
    if selector.since_of == CREATED:
        return min((run for run in runs if run.createdAt >= since), key=lambda run: run.createdAt, default=None)
    starts = [(start * 1000, run.createdAt, n) for n, run in enumerate(runs) if (start := run.window[0]) is not None]
    first = runs[min(due)[-1]] if (due := [s for s in starts if s[0] >= since]) else None
    # AEP may not report a run's window until later, so an earlier run without a window may be the match. A later run
    # must not replace it. If it has landed, its verdict says nothing about the selected window, so it is skipped.
    until = first.createdAt if first else math.inf
    windowless = [
        run
        for run in runs
        if run.window[0] is None and since <= run.createdAt < until and evaluate_run(run).verdict not in LANDED_VERDICTS
    ]
    if not windowless:
        return first
    oldest = min(windowless, key=lambda run: run.createdAt)
    return None if evaluate_run(oldest).verdict == Verdict.WAITING.value else oldest


def newest_runs(flow_id: str, is_enough: Callable[[list[Run], list[Run]], bool]) -> Steps[list[Run]]:
    """Return the runs of a flow, newest first, page by page until enough are read.

    :param flow_id: id of the flow
    :param is_enough: called with all runs so far and those of the last page; returns whether to stop
    :raises AepResponseError: the list does not end after ``MAX_PAGES`` pages
    """
    call, runs = flow_service.list_runs(flow_id, orderby="-createdAt"), []
    for _ in range(MAX_PAGES):
        page = yield call
        runs += [run for run in page.items if run.flowId == flow_id]
        if page.next is None or is_enough(runs, page.items):
            return runs
        call = page.next(call)
    raise AepResponseError(
        f"The list of the runs of flow {flow_id} did not end after {MAX_PAGES} pages",
        next_step="Set run_id to the id of a run, or set since to a later time.",
    )


def runs_since(flow_id: str, created_since: float) -> Steps[list[Run]]:
    """Return the runs of a flow that were created at a time or later, newest first.

    :param flow_id: id of the flow
    :param created_since: milliseconds since the epoch
    :raises AepResponseError: the list does not end after ``MAX_PAGES`` pages
    """
    runs = yield from newest_runs(flow_id, lambda _, page: any(run.createdAt < created_since for run in page))
    return [run for run in runs if run.createdAt >= created_since]


def _rerun_of(selector: RunSelector) -> Steps[Run | None]:
    """Return the newest later run of the same window; AEP or a person may have triggered the run again."""
    if selector.window is None or not selector.created:
        return None
    runs = yield from runs_since(selector.flow_id, selector.created)
    later = [run for run in runs if (run.createdAt, run.id) > (selector.created, selector.run_id or "")]
    reruns = [run for run in later if run.window == selector.window]
    return max(reruns, key=lambda run: (run.createdAt, run.id), default=None)


def check_will_run(flow: Flow) -> None:
    """Raise if a flow without a run can start none.

    :param flow: as AEP returns it
    :raises AepConfigurationError: the flow is disabled, a draft or being deleted, so a wait cannot succeed
    """
    if flow.state in {"disabled", "draft", DELETING}:
        step = {
            "disabled": "Enable the flow with AepEnableFlowOperator.",
            "draft": "Publish the flow with AepPublishFlowOperator.",
        }.get(flow.state, "Set flow_id to a flow that is not being deleted.")
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) has no run and will have none: it is {flow.state}", next_step=step
        )


@dataclass(slots=True)
class OutageBudget:
    """The outage budget of a wait: how long AEP may be unreachable before the wait fails.

    :param limit: seconds without a break, 0 or more
    :param since: start of the current outage in seconds since the epoch; ``None`` while AEP answers
    """

    limit: float = MAX_UNREACHABLE
    since: float | None = None

    def __post_init__(self) -> None:
        """Validate the limit.

        :raises AepConfigurationError: the limit is not a number of seconds
        """
        if isinstance(self.limit, bool) or not isinstance(self.limit, int | float) or self.limit < 0:
            raise AepConfigurationError(
                f"max_unreachable is {self.limit!r}, not a number of seconds",
                next_step="Set max_unreachable to a number of seconds, 0 or more.",
            )

    def reset(self) -> None:
        """End the current outage, because AEP has answered."""
        self.since = None

    def spend(self, error: AepError, asked_at: float, now: float) -> None:
        """Count a failed request as part of an outage.

        :param error: of the request
        :param asked_at: when the request began, in seconds since the epoch
        :param now: in seconds since the epoch
        :raises AepError: ``error`` itself, if it is not retryable
        :raises AepUnavailableError: the outage budget is used up
        """
        if not error.retryable:
            raise error
        self.since = asked_at if self.since is None else self.since
        if now - self.since >= self.limit:
            raise AepUnavailableError(
                f"AEP has not answered for {self.limit:g} s; the last error: {error.message}",
                where=error.where,
                next_step="Run the task again when AEP is reachable, or set max_unreachable to more seconds.",
                retry_after=error.retry_after,
            ) from error
