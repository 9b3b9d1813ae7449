"""Runs on demand: at most once, found again. They have no name, and one started twice ingests its window twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepNotFoundError,
    AepUncertainError,
)
from airflow_provider_aep.client.models import Flow, Run
from airflow_provider_aep.onboarding.ensure import Attempt
from airflow_provider_aep.onboarding.schedule import check_moment, check_no_delta
from airflow_provider_aep.onboarding.verdict import Verdict, judge

_KEY = "aep:run"
_SECOND = 1000  # in milliseconds: what the server's clock is told to


class Failed:
    """There were runs of a window, and nothing of any has landed."""


@dataclass(frozen=True)
class Started:
    """:param action: ``started``, or ``found``: an earlier try of this task started it"""

    id: str
    action: str


def run_params(
    flow: Flow,
    *,
    takes_delta: bool,
    columns: list[dict[str, Any]] | None,
    window_start: object,
    window_end: object,
    delta_column: str | None,
    now: float,
) -> dict[str, Any]:
    """The checked ``params`` of an on-demand run.

    :param takes_delta: whether the flow's spec has the ``Copy`` transformation
    :param columns: of the flow's table, ``None`` if unknown
    :param window_start: moment (ISO 8601, a datetime, or seconds since the epoch); ``None`` takes everything
    :param window_end: likewise; ``None`` is ``now``
    :param delta_column: needed with the first on-demand run of a flow, which keeps it
    :raises AepConfigurationError: naming the AEP code that the run would be refused with
    """
    frequency = flow.scheduleParams.get("frequency")
    if frequency != "once":
        raise _refused(flow, f"its frequency is {frequency!r}", "Only flows that are scheduled once take it.", 1386)
    if flow.state != "enabled":
        raise _refused(flow, f"it is {flow.state}", "Enable or publish it first.", 1388)
    start, end = _seconds(window_start, 0, "window_start"), _seconds(window_end, int(now), "window_end")
    if end < start:
        raise _refused(flow, f"its window ends at {window_end}, before it starts at {window_start}", "Swap them.", 1381)
    params: dict[str, Any] = {"startTime": int(now), "windowStartTime": start, "windowEndTime": end}
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


def start_run(
    client: AepClient,
    flow: Flow,
    params: Mapping[str, Any],
    attempt: Attempt | None = None,
    *,
    open_end: bool = False,
    on_ambiguous: str = "fail",
) -> Started:
    """Start an on-demand run, or find the one that an earlier try of this task has started.

    :param params: as :func:`run_params` gives them
    :param open_end: the window ends when it is asked for, so that of an earlier try ended earlier
    :param on_ambiguous: what to do where a run may have been started and none is found: ``fail``, or ``start`` one
    :raises AepConfigurationError: ``on_ambiguous`` is another word
    :raises AepUncertainError: it is not known whether one was started
    """
    if on_ambiguous not in {"fail", "start"}:
        raise AepConfigurationError(f"on_ambiguous is {on_ambiguous!r}", next_step="It must be fail or start.")
    attempt = attempt or Attempt()
    note = _note(attempt, flow)
    if "id" in note and (known := _remembered(client, note["id"])) and not _failed(known):
        return Started(known.id, "found")
    since = note.get("sent")
    if attempt.tried_before and not note:  # nothing is noted, or what was is lost
        since = attempt.since
    elif not note:
        _remember(attempt, flow=flow.id, began=client.server_now())
    if since is not None:
        there = _found(client, attempt, flow, note.get("params") or params, since, open_end and not note)
        if isinstance(there, Started):
            return there
        if there is None and on_ambiguous == "fail":
            raise _uncertain(flow)
    left: list[float] = []

    def announce() -> None:
        """A throttled one leaves again, minutes later."""
        left.append(client.server_now())
        _remember(attempt, flow=flow.id, sent=left[-1], params=dict(params))

    for _ in range(2):
        try:
            made = client.send(replace(flow_service.create_run(flow.id, params), announce=announce))
        except AepAnswerLostError:
            there = _found(client, attempt, flow, params, left[0], False, left[-1])
            if isinstance(there, Started):
                return there
            if there is None and on_ambiguous == "fail":
                raise _uncertain(flow) from None
            continue
        _remember(attempt, flow=flow.id, id=made.id)
        return Started(made.id, "started")
    raise _uncertain(flow)


def _note(attempt: Attempt, flow: Flow) -> dict[str, Any]:
    note = (attempt.memory.get(_KEY) if attempt.memory is not None else None) or {}
    return note if note.get("flow") == flow.id else {}


def _remember(attempt: Attempt, **note: Any) -> None:
    if attempt.memory is not None:
        attempt.memory.set(_KEY, note)


def _failed(run: Run) -> bool:
    """Nothing of it has landed, so that its window may be taken again."""
    return judge(run).verdict == Verdict.FAILED.value


def _remembered(client: AepClient, id_: str) -> Run | None:
    try:
        return client.send(flow_service.get_run(id_))
    except AepNotFoundError:
        return None


def _found(
    client: AepClient,
    attempt: Attempt,
    flow: Flow,
    params: Mapping[str, Any],
    since: float,
    open_end: bool,
    left: float | None = None,
) -> Started | Failed | None:
    """The run of a window that was started since a moment, looked for until it must be listed.

    :param left: when it was last sent, if not at that moment
    """
    if not (runs := _since(client, flow, params, since, open_end)):
        wait = min((left or since) + attempt.settle - client.server_now(), attempt.settle)
        if wait > 0:
            client.clock.sleep(wait)
            runs = _since(client, flow, params, since, open_end)
    if not runs:
        return None
    if (there := next((run for run in runs if not _failed(run)), None)) is None:
        return Failed()
    _remember(attempt, flow=flow.id, id=there.id)
    return Started(there.id, "found")


def _since(client: AepClient, flow: Flow, params: Mapping[str, Any], since: float, open_end: bool) -> list[Run]:
    """The runs of a window since a moment, the eldest first; the server tells whole seconds."""
    wanted = int(params["windowStartTime"]), int(params["windowEndTime"])

    def is_one(run: Run) -> bool:
        start, end = _window(run)
        young = run.createdAt >= since * _SECOND - _SECOND
        return run.flowId == flow.id and young and start == wanted[0] and (open_end or end == wanted[1])

    return [run for run in client.items(flow_service.list_runs(flow.id)) if is_one(run)]


def _window(run: Run) -> tuple[int | None, int | None]:
    """Of a run, in seconds since the epoch: as it was asked for, or else as AEP has understood it."""
    if {"windowStartTime", "windowEndTime"} <= set(run.params):
        return int(float(run.params["windowStartTime"])), int(float(run.params["windowEndTime"]))
    known = run.metrics.durationSummary.extensions
    start, end = known.get("windowStart"), known.get("windowEnd")
    return start and start // _SECOND, end and end // _SECOND


def _uncertain(flow: Flow) -> AepUncertainError:
    return AepUncertainError(
        f"A run of the flow {flow.name!r} ({flow.id}) may have started, and none of its window is found",
        next_step="Look at the flow's runs in AEP. If there is none of this window, run the task with "
        "on_ambiguous='start'.",
    )


def _kept_delta(flow: Flow) -> str | None:
    copies = [t.params.get("deltaColumn") for t in flow.transformations if t.name == "Copy"]
    return next((str(c["name"]) for c in copies if isinstance(c, Mapping) and c.get("name")), None)


def _refused(flow: Flow, why: str, step: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(
        f"The flow {flow.name!r} ({flow.id}) cannot run on demand: {why} (AEP would refuse with {code}-400)",
        next_step=step,
    )


def _seconds(moment: object, default: int, field: str) -> int:
    """Seconds since the epoch; without an offset a moment is UTC.

    A text of eight digits is a date without dashes, and thirteen are milliseconds; so a text that is meant as seconds
    has ten digits, or is 0 for everything.
    """
    text = str(moment)
    if moment is None or text in {"", "None"}:  # as templates render it
        return default
    if isinstance(moment, int | float) and not isinstance(moment, bool) and 0 <= moment < 10**10:
        return int(moment)
    if re.fullmatch(r"0|[0-9]{10}(\.[0-9]+)?", text):
        return int(float(text))
    try:
        if re.fullmatch(r"[0-9.]+", text) and len(text) != 8:  # which ISO 8601 would find some moment in
            raise ValueError(text)
        at = moment if isinstance(moment, datetime) else datetime.fromisoformat(text)
    except ValueError:
        raise AepConfigurationError(
            f"{field} is {moment!r}",
            next_step="It must be an ISO 8601 moment, or seconds (not milliseconds) since 1970; as text they have ten "
            "digits.",
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
