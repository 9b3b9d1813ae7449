"""Start an on-demand run of a flow idempotently: one run per task and window, across crashes and lost responses.

A run has no name. So a task finds its run by flow, window and creation time. A second run of the same window would
ingest the same rows twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import STATE_POLL, wait_until
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepError,
    AepInvalidRequestError,
    AepLostResponseError,
    AepNotFoundError,
    AepUnavailableError,
    AepUncertainError,
)
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.client.steps import run_steps
from airflow_provider_aep.runs.delta_column import check_absent, check_date_time
from airflow_provider_aep.runs.observation import runs_since
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runs.verdict import RunResult, Verdict, evaluate_run
from airflow_provider_aep.runs.window import CREATION_SLACK, DagRunTiming, Window, resolve_window

_SECOND = 1000  # In milliseconds. AEP's clock has a resolution of one second.


@dataclass(frozen=True)
class StartedRun:
    """A run that this task started or found.

    :param id: id of the run
    :param flow_id: id of its flow
    :param action: ``started``, ``found`` if an earlier try started it, or ``triggered again`` after it failed
    :param params: of the create request
    """

    id: str
    flow_id: str
    action: str
    params: Mapping[str, Any]

    @property
    def selector(self) -> RunSelector:
        """The selector of the run."""
        return RunSelector(self.flow_id, self.id)

    @property
    def result(self) -> RunResult:
        """The result of the run at its start, with the verdict ``waiting``."""
        fields = {"id": self.id, "flowId": self.flow_id, "params": dict(self.params)}
        return evaluate_run(Run.model_validate(fields))


def run_params(
    flow: Flow,
    *,
    supports_delta: bool,
    columns: list[dict[str, Any]] | None,
    window: Window,
    delta_column: str | None,
    now: float,
) -> dict[str, Any]:
    """Return the validated ``params`` of an on-demand run.

    :param flow: as AEP returns it
    :param supports_delta: whether the flow's spec has the ``Copy`` transformation
    :param columns: of the flow's table; ``None`` if unknown
    :param window: the rows to read
    :param delta_column: required for the first on-demand run of a flow, which stores it
    :param now: AEP's clock in seconds since the epoch
    :raises AepConfigurationError: AEP would refuse the run; the message has AEP's code
    """
    if window.end < window.start:
        ends, starts = (datetime.fromtimestamp(at, UTC).isoformat() for at in (window.end, window.start))
        raise _refusal_error(
            flow,
            f"its window ends at {ends}, before it starts at {starts}",
            "Set window_end to a time after window_start.",
            1381,
        )
    params: dict[str, Any] = {"startTime": int(now), "windowStartTime": window.start, "windowEndTime": window.end}
    stored = _stored_delta_column(flow)
    if not supports_delta:
        check_absent(delta_column)
        return params
    if not delta_column and not stored:
        raise _refusal_error(
            flow, "it has no delta column", "Set delta_column for the first on-demand run of the flow.", 1383
        )
    if delta_column and stored and delta_column != stored:
        raise _refusal_error(
            flow, f"its delta column is {stored!r}, not {delta_column!r}", "Remove delta_column.", 1382
        )
    check_date_time(str(delta_column or stored), columns, 1383, is_complete=False)
    return {**params, "deltaColumn": {"name": delta_column or stored}}


def check_runs_on_demand(flow: Flow) -> None:
    """Raise if a flow does not support on-demand runs.

    :param flow: as AEP returns it
    :raises AepConfigurationError: the flow's frequency is not ``once``; the message has AEP's code
    """
    frequency = flow.scheduleParams.get("frequency")
    if frequency != "once":
        raise _refusal_error(
            flow, f"its frequency is {frequency!r}", "Set flow_id to a flow with the frequency once.", 1386
        )


def start_run(
    client: AepClient,
    flow: Flow,
    *,
    window_start: object,
    window_end: object,
    timing: DagRunTiming,
    delta_column: str | None,
    attempt: Attempt,
    on_ambiguous: str,
    log: Any,
) -> StartedRun:
    """Start an on-demand run of a flow that is scheduled once, or find the one that an earlier try started.

    :param client: of the flow's sandbox
    :param flow: in a stable state
    :param window_start: see :func:`~.window.resolve_window`
    :param window_end: see :func:`~.window.resolve_window`
    :param timing: of the DAG run
    :param delta_column: required for the first on-demand run of a flow, which stores it
    :param attempt: this try of the task
    :param on_ambiguous: see :func:`find_or_start`
    :param log: logger of the task
    :raises AepConfigurationError: AEP would refuse the run
    :raises AepUnavailableError: the window depends on a run that has not ended
    :raises AepUncertainError: a create is ambiguous, and no run is found
    """
    check_runs_on_demand(flow)
    if flow.flowSpec is None or not flow.sourceConnectionIds:
        missing = "flow spec" if flow.flowSpec is None else "source connection"
        raise AepConfigurationError(
            f"AEP returned no {missing} of the flow {flow.name!r} ({flow.id}), which an on-demand run needs",
            next_step="Look at the flow in AEP, and create it again if it is incomplete.",
        )
    now = client.server_now()
    window = run_steps(client, resolve_window(flow, window_start, window_end, timing, now, attempt))
    supports_delta = client.send(flow_service.get_flow_spec(flow.flowSpec.id)).supports_delta
    source = client.send(flow_service.get_source_connection(flow.sourceConnectionIds[0]))
    if not supports_delta:
        log.warning(
            "The source of flow %r (%s) has no delta column, so a run may read all of its rows, also those outside its "
            "window",
            flow.name,
            flow.id,
        )
    params = run_params(
        flow,
        supports_delta=supports_delta,
        columns=source.params.get("columns"),
        window=window,
        delta_column=delta_column,
        now=now,
    )
    started = find_or_start(client, flow, params, attempt, on_ambiguous=on_ambiguous, exclusive=window.is_inferred)
    window_text = " to ".join(
        f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}" for at in (window.start, window.end)
    )
    log.info(
        "Run %s of flow %r (%s) was %s in sandbox %s, for the window %s UTC",
        started.id,
        flow.name,
        flow.id,
        started.action,
        client.settings.sandbox,
        window_text,
    )
    return started


def find_or_start(
    client: AepClient,
    flow: Flow,
    params: Mapping[str, Any],
    attempt: Attempt | None = None,
    *,
    on_ambiguous: str = "fail",
    exclusive: bool = False,
) -> StartedRun:
    """Start an on-demand run, or find the run that an earlier try of this task started.

    :param client: of the flow's sandbox
    :param flow: in a stable state
    :param params: as :func:`run_params` returns them
    :param attempt: this try of the task; ``None`` for the first try of an unknown task
    :param on_ambiguous: action after an ambiguous create whose run is not found: ``fail``, or ``start`` a run
    :param exclusive: whether the window must not overlap the window of another run
    :raises AepConfigurationError: ``on_ambiguous`` has another value, another run has read some of the rows, or a run
        must be started and the flow is not enabled
    :raises AepUnavailableError: another run that has not ended reads some of the rows
    :raises AepUncertainError: a create is ambiguous, no run is found, and ``on_ambiguous`` is ``fail``
    """
    if on_ambiguous not in {"fail", "start"}:
        raise AepConfigurationError(
            f"on_ambiguous is {on_ambiguous!r}, which is not supported", next_step="Set on_ambiguous to fail or start."
        )
    return _RunStart(client, flow, params, attempt or Attempt(), on_ambiguous, exclusive).run()


class _RunStart:
    """One call of :func:`find_or_start`.

    The task state, by flow and window, has three values: ``sent``, the time of the create request; ``id`` of the run;
    and ``again``, the time of the request that triggers a failed run again. The times are stored before the requests
    are sent.
    """

    def __init__(
        self,
        client: AepClient,
        flow: Flow,
        params: Mapping[str, Any],
        attempt: Attempt,
        on_ambiguous: str,
        exclusive: bool,
    ) -> None:
        self.client, self.flow, self.params, self.attempt = client, flow, params, attempt
        self.on_ambiguous, self.exclusive = on_ambiguous, exclusive
        self.window = int(params["windowStartTime"]), int(params["windowEndTime"])
        self.state = Window(*self.window).state(attempt, flow.id)
        self.stored = self.state.read()
        self.replaced_ids: set[str] = set()  # Failed runs, which a run of the same window replaces.
        # Airflow's clock sets the time of the DAG run, and AEP's clock sets the times that are compared with it.
        # guard: run: translate Airflow's clock to AEP's
        self.since = attempt.since + client.server_now() - client.clock.now()

    def _started(self, id_: str, action: str) -> StartedRun:
        return StartedRun(id_, self.flow.id, action, self.params)

    def run(self) -> StartedRun:
        run = self._read(self.stored["id"]) if "id" in self.stored else None
        # guard: run: find after an ambiguous create
        run = run or self._find_earlier()
        if run is None:
            return self._create()
        if not _has_failed(run):
            return self._started(run.id, "found")
        # guard: re-trigger: refuse a flow that is not enabled
        self._check_enabled()
        self._check_overlap(own_window=self.window)
        return self._retrigger(run.id) or self._create()

    def _find_earlier(self) -> Run | None:
        """Return the run that an earlier try started; ``None`` if a run may be created."""
        if self.stored:
            since = self.stored.get("sent", self.since)
            sent_at = max(since, self.stored.get("again", 0.0))
        elif self.attempt.store is not None:  # A try stores its request first, but Airflow may delete old task state.
            # guard: run: find without task state
            return self._find(self.since, 0.0) if self.attempt.tried_before else None
        # guard: run: suspect earlier try
        elif self.attempt.tried_before:
            since, sent_at = self.since, self.client.server_now()
        else:
            return None
        if (run := self._find(since, sent_at)) is None and self.on_ambiguous == "fail":
            raise self._uncertain_error()
        return run

    def _store(self, **values: Any) -> None:
        self.stored = values
        self.state.write(**values)

    def _check_enabled(self) -> None:
        """Raise if the flow is not enabled. Only requests need this; a run is found in any state of its flow."""
        if self.flow.state != "enabled":
            raise _refusal_error(
                self.flow,
                f"it is {self.flow.state}",
                "Enable the flow with AepEnableFlowOperator, or publish its draft.",
                1388,
            )

    def _check_overlap(self, own_window: tuple[int, int] | None = None) -> None:
        """Raise if an inferred window overlaps the window of another run.

        :param own_window: the window of a run that this task started, which is no overlap
        """
        # guard: overlap: refuse rows of another run
        if not self.exclusive:
            return
        first, last = self.window
        # AEP creates a run after its window ends, so an older run has no later row.
        for run in run_steps(self.client, runs_since(self.flow.id, (first - CREATION_SLACK) * _SECOND)):
            start, end = run.window
            result = evaluate_run(run)
            is_waiting = result.verdict == Verdict.WAITING.value
            # A waiting run whose window AEP does not report yet may read any rows.
            # guard: overlap: an unknown window may be any
            is_disjoint = not is_waiting if end is None else end <= first or (start or 0) >= last
            # guard: overlap: refuse another DAG run's window
            if (start, end) == own_window or is_disjoint or _has_failed(run):
                continue
            subject = f"Run {run.id} of the flow {self.flow.name!r} ({self.flow.id})"
            if is_waiting:
                raise AepUnavailableError(
                    f"{subject} is under way, and reads rows in the window of this run",
                    next_step="Try again later, when that run has ended.",
                )
            if result.verdict == Verdict.UNKNOWN.value:
                raise AepConfigurationError(
                    f"{subject} has the status {result.status!r}, and may have read rows in the window of this run",
                    next_step="Check in AEP whether the rows have landed, and set window_start and window_end.",
                )
            raise AepConfigurationError(
                f"{subject} has read rows in the window of this run",
                next_step="Mark the task as success if the rows have landed, or set window_start and window_end.",
            )

    def _create(self) -> StartedRun:
        """Create a run. After a lost response, find the run before another create is sent."""
        # guard: run: refuse a flow that is not enabled
        self._check_enabled()
        self._check_overlap()
        sent_at: list[float] = []

        def before_send() -> None:
            # The client may send a throttled request again minutes later, so each time counts.
            sent_at.append(self.client.server_now())
            # guard: run: store before a create
            self._store(sent=sent_at[-1])

        for _ in range(2):
            before = self.stored
            try:
                id_ = self.client.send(
                    replace(flow_service.create_run(self.flow.id, self.params), before_send=before_send)
                ).id
            except AepLostResponseError:
                # guard: run: find after a lost response
                if (run := self._find(sent_at[0], sent_at[-1])) is not None:
                    return self._started(run.id, "found")
                # guard: run: no second start on a guess
                if self.on_ambiguous == "fail":
                    raise self._uncertain_error() from None
            except AepError:  # AEP refused the request or never received it, so it created no run.
                # guard: run: a refusal is not ambiguous
                self._store(**before)
                raise
            else:
                # guard: run: store the created id
                self._store(id=id_, sent=sent_at[-1])
                return self._started(id_, "started")
        raise self._uncertain_error()

    def _find(self, since: float, sent_at: float) -> Run | None:
        """Return the run of this window that was created since a time; a failed run only if all have failed.

        :param since: in seconds since the epoch
        :param sent_at: time of the last create request; the creation grace period begins then
        """
        runs = self._runs_since(since)
        wait = min(
            sent_at + self.attempt.creation_grace_period - self.client.server_now(), self.attempt.creation_grace_period
        )
        # guard: run: wait until listed
        # guard: run: a failed run does not hide the next
        if all(map(_has_failed, runs)) and wait > 0:
            self.client.clock.sleep(wait)
            runs = self._runs_since(since)
        # guard: run: prefer one that has not failed
        run = next((run for run in runs if not _has_failed(run)), runs[-1] if runs else None)
        if run is not None:
            self._store(**{**self.stored, "id": run.id, "sent": since})
        return run

    def _retrigger(self, id_: str) -> StartedRun | None:
        """Trigger a failed run again; return ``None`` if AEP refuses, so that a run must be created."""
        self.replaced_ids.add(id_)
        sent, lost = self.stored.get("sent", self.client.server_now()), None

        def before_send() -> None:
            # guard: re-trigger: store before it
            self._store(id=id_, sent=sent, again=self.client.server_now())

        # guard: re-trigger: wait for an earlier one
        if "again" in self.stored:  # An earlier try has sent this request, and reads may not show its effect yet.
            wait_until(
                self.client,
                self.stored["again"] + self.attempt.creation_grace_period,
                self.attempt.creation_grace_period,
            )
        for _ in range(2):
            # guard: re-trigger: find before
            if active := self._find_active(id_, sent):
                return active
            try:
                new_id = self.client.send(replace(flow_service.retrigger_run(id_), before_send=before_send)).id
            except (AepInvalidRequestError, AepNotFoundError):
                if active := self._find_active(id_, sent):
                    return active
                # AEP also refuses a run that somebody triggered immediately before.
                # guard: re-trigger: wait after a refusal
                self.client.clock.sleep(self.attempt.creation_grace_period)
                # guard: re-trigger: find after a refusal
                return self._find_active(id_, sent)
            except AepLostResponseError as e:
                lost = e
                self.client.clock.sleep(self.attempt.creation_grace_period)
            else:
                # guard: re-trigger: keep its stored time
                self._store(**{**self.stored, "id": new_id})
                # guard: re-trigger: wait until it is read as running
                self._wait_until_active(new_id)
                return self._started(new_id, "triggered again")
        if active := self._find_active(id_, sent):
            return active
        assert lost is not None
        raise lost

    def _find_active(self, id_: str, sent: float) -> StartedRun | None:
        """Return the failed run if it is active again, or another run of its window that has not failed."""
        run = self._read(id_)
        # An exclusive window must have one run, so a run that somebody else created earlier counts, too.
        # guard: re-trigger: count another task's run
        others = [
            r for r in self._runs_since(self.window[1] - CREATION_SLACK if self.exclusive else sent) if r.id != id_
        ]
        active_ids = [r.id for r in (run, *others) if r is not None and not _has_failed(r)]
        if not active_ids:
            return None
        self._store(**{**self.stored, "id": active_ids[-1], "sent": sent})
        return self._started(active_ids[-1], "triggered again")

    def _wait_until_active(self, id_: str) -> None:
        """Wait until a run no longer reads as failed, or the creation grace period ends. Reads may lag."""
        until = self.client.server_now() + self.attempt.creation_grace_period
        while (run := self._read(id_)) is None or _has_failed(run):
            if (remaining := until - self.client.server_now()) <= 0:
                return
            self.client.clock.sleep(min(STATE_POLL, remaining))

    def _read(self, id_: str) -> Run | None:
        try:
            return self.client.send(flow_service.get_run(id_))
        except AepNotFoundError:
            return None

    def _runs_since(self, since: float) -> list[Run]:
        """Return the runs of this window that were created since a time, oldest first."""

        def is_match(run: Run) -> bool:
            # guard: run: compare creation times
            is_new = run.createdAt >= since * _SECOND - _SECOND and run.id not in self.replaced_ids
            # guard: run: compare windows
            return run.flowId == self.flow.id and is_new and run.window == self.window

        newest_first = run_steps(self.client, runs_since(self.flow.id, since * _SECOND - _SECOND))
        return [run for run in reversed(newest_first) if is_match(run)]

    def _uncertain_error(self) -> AepUncertainError:
        return AepUncertainError(
            f"A run of the flow {self.flow.name!r} ({self.flow.id}) may have started, but AEP lists none with its "
            "window",
            next_step="Look at the flow's runs in AEP. If no run has this window, run the task with "
            "on_ambiguous='start'.",
        )


def _has_failed(run: Run) -> bool:
    """Return whether a run has failed, so that none of its rows landed and another run may read its window."""
    return evaluate_run(run).verdict == Verdict.FAILED.value


def _stored_delta_column(flow: Flow) -> str | None:
    copies = [t.params.get("deltaColumn") for t in flow.transformations if t.name == "Copy"]
    return next((str(c["name"]) for c in copies if isinstance(c, Mapping) and c.get("name")), None)


def _refusal_error(flow: Flow, reason: str, next_step: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(
        f"The flow {flow.name!r} ({flow.id}) cannot run on demand: {reason} (AEP would refuse with {code}-400)",
        next_step=next_step,
    )
