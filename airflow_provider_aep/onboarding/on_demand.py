"""Runs on demand: at most once, found again. They have no name, and one started twice ingests its window twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepError,
    AepInvalidRequestError,
    AepNotFoundError,
    AepUnavailableError,
    AepUncertainError,
)
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.schedule import check_moment, check_no_delta
from airflow_provider_aep.onboarding.verdict import Verdict, judge
from airflow_provider_aep.onboarding.wait import STATE_POLL, wait_until
from airflow_provider_aep.onboarding.window import Window

_SECOND = 1000  # in milliseconds: what the server's clock is told to


@dataclass(frozen=True)
class Started:
    """:param action: ``started``, ``found``: an earlier try of this task started it; or ``triggered again``, which has
    failed before"""

    id: str
    action: str


def run_params(
    flow: Flow,
    *,
    takes_delta: bool,
    columns: list[dict[str, Any]] | None,
    window: Window,
    delta_column: str | None,
    now: float,
) -> dict[str, Any]:
    """The checked ``params`` of an on-demand run.

    :param takes_delta: whether the flow's spec has the ``Copy`` transformation
    :param columns: of the flow's table, ``None`` if unknown
    :param delta_column: needed with the first on-demand run of a flow, which keeps it
    :raises AepConfigurationError: naming the AEP code that the run would be refused with
    """
    if window.end < window.start:
        ends, starts = (datetime.fromtimestamp(at, UTC).isoformat() for at in (window.end, window.start))
        raise _refused(flow, f"its window ends at {ends}, before it starts at {starts}", "Swap them.", 1381)
    params: dict[str, Any] = {"startTime": int(now), "windowStartTime": window.start, "windowEndTime": window.end}
    kept = _kept_delta(flow)
    if not takes_delta:
        check_no_delta(delta_column)
        return params
    if not delta_column and not kept:
        raise _refused(flow, "no delta column is known", "Give delta_column with the first on-demand run.", 1383)
    if delta_column and kept and delta_column != kept:
        raise _refused(flow, f"its delta column is {kept!r}, not {delta_column!r}", "Leave delta_column out.", 1382)
    check_moment(str(delta_column or kept), columns, 1383, all_of=False)
    return {**params, "deltaColumn": {"name": delta_column or kept}}


def check_takes_runs(flow: Flow) -> None:
    """:raises AepConfigurationError: the flow never runs on demand, naming the AEP code it would be refused with"""
    frequency = flow.scheduleParams.get("frequency")
    if frequency != "once":
        raise _refused(flow, f"its frequency is {frequency!r}", "Only flows that are scheduled once take it.", 1386)


def start_run(
    client: AepClient,
    flow: Flow,
    params: Mapping[str, Any],
    attempt: Attempt | None = None,
    *,
    on_ambiguous: str = "fail",
    exclusive: bool = False,
) -> Started:
    """Start an on-demand run, or find the one that an earlier try of this task has started.

    :param params: as :func:`run_params` gives them
    :param on_ambiguous: what to do where a run may have been started and none is found: ``fail``, or ``start`` one
    :param exclusive: whether rows must not be taken that another run has taken
    :raises AepConfigurationError: ``on_ambiguous`` is another word, another run has taken some of the rows, or one
        must be started and the flow is not enabled
    :raises AepUnavailableError: another run is about to
    :raises AepUncertainError: it is not known whether one was started
    """
    if on_ambiguous not in {"fail", "start"}:
        raise AepConfigurationError(f"on_ambiguous is {on_ambiguous!r}", next_step="It must be fail or start.")
    return _Starting(client, flow, params, attempt or Attempt(), on_ambiguous, exclusive).started()


class _Starting:
    """One call of :func:`start_run`.

    It notes, by flow and window and before anything leaves: when it ``sent`` a create, the ``id`` it knows, and when it
    sent a failed run ``again``.
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
        self.note = Window(*self.window).note(attempt, flow.id)
        self.known = self.note.read()
        self.failed: set[str] = set()  # ids of what makes room for another
        # The DAG run's moment is of Airflow's clock; what is compared with it, of AEP's.
        self.since = attempt.since + client.server_now() - client.clock.now()

    def started(self) -> Started:
        there = self._read(self.known["id"]) if "id" in self.known else None
        there = there or self._sent_before()
        if there is None:
            return self._opened()
        if not _failed(there):
            return Started(there.id, "found")
        self._check_enabled()
        self._check_overlap(beside=self.window)
        return self._triggered_again(there.id) or self._opened()

    def _sent_before(self) -> Run | None:
        """The run that an earlier try has started; ``None`` if one may be opened."""
        if self.known:
            since, left = self.known["sent"], max(self.known["sent"], self.known.get("again", 0.0))
        elif self.attempt.memory is not None:  # it would have noted what it sent; what was noted long ago may be lost
            return self._found(self.since, 0.0) if self.attempt.tried_before else None
        elif self.attempt.tried_before:
            since, left = self.since, self.client.server_now()
        else:
            return None
        if (there := self._found(since, left)) is None and self.on_ambiguous == "fail":
            raise self._uncertain()
        return there

    def _keep(self, **facts: Any) -> None:
        self.known = facts
        self.note.write(**facts)

    def _check_enabled(self) -> None:
        """Only what is sent needs it: a run that is there is found whatever became of its flow."""
        if self.flow.state != "enabled":
            raise _refused(self.flow, f"it is {self.flow.state}", "Enable or publish it first.", 1388)

    def _check_overlap(self, beside: tuple[int, int] | None = None) -> None:
        """Rows that are in another run's window are not taken again where nobody has said which are wanted.

        :param beside: a window in which this task has a run of its own
        """
        if not self.exclusive:
            return
        first, last = self.window
        for run in self.client.items(flow_service.list_runs(self.flow.id)):
            start, end = run.window
            result = judge(run)
            waits = result.verdict == Verdict.WAITING.value
            # One that AEP does not tell the window of yet may take any rows.
            elsewhere = not waits if end is None else end <= first or (start or 0) >= last
            if (start, end) == beside or elsewhere or _failed(run):
                continue
            what = f"Run {run.id} of the flow {self.flow.name!r} ({self.flow.id})"
            if waits:
                raise AepUnavailableError(
                    f"{what} is under way, and takes rows of the window that this one would take",
                    next_step="Try again later: where it ends decides where this one begins.",
                )
            if result.verdict == Verdict.UNKNOWN.value:
                raise AepConfigurationError(
                    f"{what} has the status {result.status!r}, and may have taken rows of the window that this one "
                    "would take",
                    next_step="Look in AEP whether they are there, and give window_start and window_end.",
                )
            raise AepConfigurationError(
                f"{what} has taken rows of the window that this one would take",
                next_step="If they are there, mark the task as success; or give window_start and window_end.",
            )

    def _opened(self) -> Started:
        """A new run. One whose answer is lost is looked for, and not sent again on a guess."""
        self._check_enabled()
        self._check_overlap()
        left: list[float] = []

        def announce() -> None:
            """A throttled one leaves again, minutes later."""
            left.append(self.client.server_now())
            self._keep(sent=left[-1])

        for _ in range(2):
            before = self.known
            try:
                made = self.client.send(
                    replace(flow_service.create_run(self.flow.id, self.params), announce=announce)
                ).id
            except AepAnswerLostError:
                if (there := self._found(left[0], left[-1])) is not None:
                    return Started(there.id, "found")
                if self.on_ambiguous == "fail":
                    raise self._uncertain() from None
            except AepError:  # refused, or never left: nothing was made
                self._keep(**before)
                raise
            else:
                self._keep(id=made, sent=left[-1])
                return Started(made, "started")
        raise self._uncertain()

    def _found(self, since: float, left: float) -> Run | None:
        """The run of this window that was started since a moment; one that has failed, if there is no other.

        :param left: when it was last sent: it is looked for until it must be listed
        """
        runs = self._since(since)
        wait = min(left + self.attempt.settle - self.client.server_now(), self.attempt.settle)
        if all(map(_failed, runs)) and wait > 0:
            self.client.clock.sleep(wait)
            runs = self._since(since)
        there = next((run for run in runs if not _failed(run)), runs[-1] if runs else None)
        if there is not None:
            self._keep(**{**self.known, "id": there.id, "sent": since})
        return there

    def _triggered_again(self, id_: str) -> Started | None:
        """A failed run's window once more, as AEP does it itself; ``None`` if it does not, and one must be opened."""
        self.failed.add(id_)
        sent, lost = self.known.get("sent", self.client.server_now()), None

        def announce() -> None:
            self._keep(id=id_, sent=sent, again=self.client.server_now())

        if "again" in self.known:  # an earlier try did, of which reads may know nothing yet
            wait_until(self.client, self.known["again"] + self.attempt.settle, self.attempt.settle)
        for _ in range(2):
            if there := self._under_way(id_, sent):
                return there
            try:
                made = self.client.send(replace(flow_service.retrigger_run(id_), announce=announce)).id
            except (AepInvalidRequestError, AepNotFoundError):
                if there := self._under_way(id_, sent):
                    return there
                self.client.clock.sleep(self.attempt.settle)  # somebody may have triggered it just before
                return self._under_way(id_, sent)
            except AepAnswerLostError as e:
                lost = e
                self.client.clock.sleep(self.attempt.settle)
            else:
                self._keep(**{**self.known, "id": made})
                self._wait_until_it_runs(made)
                return Started(made, "triggered again")
        if there := self._under_way(id_, sent):
            return there
        assert lost is not None
        raise lost

    def _under_way(self, id_: str, sent: float) -> Started | None:
        """What was triggered again, by whomever: the failed run has left its state, or another has its window."""
        run = self._read(id_)
        # Where rows must not be taken twice, a run that somebody else had opened earlier has them, too.
        others = [r for r in self._since(0.0 if self.exclusive else sent) if r.id != id_]
        there = [r.id for r in (run, *others) if r is not None and not _failed(r)]
        if not there:
            return None
        self._keep(**{**self.known, "id": there[-1], "sent": sent})
        return Started(there[-1], "triggered again")

    def _wait_until_it_runs(self, id_: str) -> None:
        """Reads lag: a run that begins anew under its own id may still be said to have failed."""
        until = self.client.server_now() + self.attempt.settle
        while (run := self._read(id_)) is None or _failed(run):
            if (left := until - self.client.server_now()) <= 0:
                return
            self.client.clock.sleep(min(STATE_POLL, left))

    def _read(self, id_: str) -> Run | None:
        try:
            return self.client.send(flow_service.get_run(id_))
        except AepNotFoundError:
            return None

    def _since(self, since: float) -> list[Run]:
        """The runs of this window since a moment, the eldest first; the server tells whole seconds."""

        def is_one(run: Run) -> bool:
            young = run.createdAt >= since * _SECOND - _SECOND and run.id not in self.failed
            return run.flowId == self.flow.id and young and run.window == self.window

        return [run for run in self.client.items(flow_service.list_runs(self.flow.id)) if is_one(run)]

    def _uncertain(self) -> AepUncertainError:
        return AepUncertainError(
            f"A run of the flow {self.flow.name!r} ({self.flow.id}) may have started, and none of its window is found",
            next_step="Look at the flow's runs in AEP. If there is none of this window, run the task with "
            "on_ambiguous='start'.",
        )


def _failed(run: Run) -> bool:
    """Nothing of it has landed, so that its window may be taken again."""
    return judge(run).verdict == Verdict.FAILED.value


def _kept_delta(flow: Flow) -> str | None:
    copies = [t.params.get("deltaColumn") for t in flow.transformations if t.name == "Copy"]
    return next((str(c["name"]) for c in copies if isinstance(c, Mapping) and c.get("name")), None)


def _refused(flow: Flow, why: str, step: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(
        f"The flow {flow.name!r} ({flow.id}) cannot run on demand: {why} (AEP would refuse with {code}-400)",
        next_step=step,
    )
