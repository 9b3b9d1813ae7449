"""Whether a run went well: one closed table, used by every way of waiting.

AEP reports a run with failed records as ``success`` while they stay below a threshold, so a status alone says nothing.
Source: Adobe's "Monitor dataflows" samples and the StatusDTO of its flow-service OpenAPI file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Batch, Run, whole


class Verdict(StrEnum):
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"


LANDED = frozenset({Verdict.SUCCEEDED.value, Verdict.PARTIAL.value})
"""A partial run's rows have landed, too, but for those that never will."""

_TABLE = {
    "": Verdict.WAITING,
    "queued": Verdict.WAITING,
    "scheduled": Verdict.WAITING,
    "pending": Verdict.WAITING,
    "inprogress": Verdict.WAITING,
    "success": Verdict.SUCCEEDED,
    "completed": Verdict.SUCCEEDED,
    "partialsuccess": Verdict.PARTIAL,
    "partialfailure": Verdict.PARTIAL,
    "failed": Verdict.FAILED,
    "failure": Verdict.FAILED,
}
"""By status in lower case without separators: AEP's documents spell one status in several ways."""

_BATCHES = {
    "success": Verdict.SUCCEEDED,
    "active": Verdict.SUCCEEDED,
    "archived": Verdict.SUCCEEDED,
    "retained": Verdict.SUCCEEDED,
    "queued": Verdict.WAITING,
    "loading": Verdict.WAITING,
    "loaded": Verdict.WAITING,
    "staging": Verdict.WAITING,
    "staged": Verdict.WAITING,
    "processing": Verdict.WAITING,
    "retrying": Verdict.WAITING,
    "stalled": Verdict.WAITING,
    "failed": Verdict.FAILED,
    "failure": Verdict.FAILED,
    "aborted": Verdict.FAILED,
    "abandoned": Verdict.FAILED,
    "inactive": Verdict.FAILED,
    "deleted": Verdict.FAILED,
}
"""Whether a batch is in the data lake; an inactive one was taken back. Source: Catalog's list of batch statuses."""


_MEANING = {
    "CONNECTOR-1001-500": "copying from the source failed",
    "CONNECTOR-2001-500": "parsing, validating or transforming failed",
    "CONNECTOR-3001-500": "handing the batch over failed",
    "INGEST-1211-400": "rows were left out, and error diagnostics are off",
    "INGEST-1212-400": "a row does not fit the schema",
    "INGEST-1401-400": "a row cannot be read",
    "INGEST-1555-400": "a required field is empty",
    "MAPPER-3700-400": "a mapping could not be applied",
    "140": "AEP has taken in the same batch before",
}
"""Source: "Monitor dataflows" and the error pages of Adobe's ingestion guide."""


def explained(code: str) -> str:
    return f"{code} ({_MEANING[code]})" if code in _MEANING else code


_NEXT_STEP = {
    Verdict.SUCCEEDED: "Look whether the source had rows in the run's window; or accept an empty run with on_empty.",
    Verdict.PARTIAL: "Look at the failed records in AEP, which keeps them for 30 days; or accept them with "
    "max_failed_records, max_failed_ratio or on_partial.",
    Verdict.FAILED: "Look at the run's errors in AEP, mend what they name, and run the flow again "
    "(AepRunFlowOperator, where it runs once).",
    Verdict.UNKNOWN: "Look at the run in AEP, and report the status to this provider: it must not guess.",
}


class Judged:
    """What a run's and a batch's result have in common: counts and codes."""

    verdict: str
    read: int | None
    written: int | None
    failed: int | None
    failed_files: int
    errors: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    @property
    def is_empty(self) -> bool:
        """Whether it went well and had nothing to read; not where AEP does not count."""
        return self.verdict == Verdict.SUCCEEDED.value and self.read == 0

    @property
    def failed_ratio(self) -> float | None:
        """Failed records over read ones; ``None`` where AEP does not count both, or lost whole files."""
        if self.failed is None or not self.read or self.failed_files:
            return None
        return self.failed / self.read

    @property
    def _said(self) -> str:
        """Counts and codes, for a person."""
        named = (("read", self.read), ("written", self.written), ("failed", self.failed))
        counts = ", ".join(f"{name} {'unknown' if n is None else n}" for name, n in named)
        codes = ", ".join(explained(code) for code in sorted({str(e["code"]) for e in self.errors}))
        return f"records {counts}" + (f"; codes {codes}" if codes else "")


@dataclass(frozen=True)
class RunResult(Judged):
    """What a finished, or still running, flow run came to.

    Counts of records and bytes are ``None`` where AEP does not know them (it says -1); times are milliseconds since
    the epoch.

    :param duration: seconds from its start to its end, ``None`` where AEP does not say both
    :param batches: status by batch id, as far as Catalog was asked
    """

    run_id: str
    flow_id: str
    verdict: str
    status: str
    read: int | None
    written: int | None
    failed: int | None
    window_start: int | None
    window_end: int | None
    started_at: int | None
    completed_at: int | None
    failed_files: int = 0
    batch_ids: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    batches: dict[str, str] = field(default_factory=dict)
    bytes_read: int | None = None
    bytes_written: int | None = None
    duration: float | None = None

    @property
    def next_step(self) -> str:
        """What a person should do about a finished run that was not accepted."""
        if self.verdict == Verdict.FAILED.value and self.batches:  # the run itself went well
            start, end = _moment(self.window_start), _moment(self.window_end)
            window = f" ({start.isoformat()} to {end.isoformat()})" if start and end else ""
            return (
                f"Look at the batch's errors in AEP, mend what they name, and ingest the run's window{window} anew: a "
                "retry finds this run again. Where the flow runs on demand, let another DAG run do it, with that "
                "window_start and window_end; when its rows have landed, clear this task."
            )
        return _NEXT_STEP[Verdict(self.verdict)]

    def summary(self) -> str:
        since = f", started {at:%Y-%m-%d %H:%M:%S} UTC" if (at := _moment(self.started_at)) else ""
        not_there = [f"{id_} {s!r}" for id_, s in self.batches.items() if _batch_verdict(s) is not Verdict.SUCCEEDED]
        return (
            f"run {self.run_id} of flow {self.flow_id}{since}: {self.verdict} "
            f"(status {self.status!r}), {self._said}" + (f"; batches {', '.join(not_there)}" if not_there else "")
        )


@dataclass(frozen=True)
class BatchResult(Judged):
    """What a batch came to; as :class:`RunResult`."""

    batch_id: str
    verdict: str
    status: str
    read: int | None
    written: int | None
    failed: int | None
    errors: list[dict[str, Any]] = field(default_factory=list)
    failed_files: int = 0

    @property
    def next_step(self) -> str:
        """What a person should do about a batch that was not accepted."""
        if self.verdict == Verdict.FAILED.value:
            return "Look at the batch's errors in AEP, mend what they name, and ingest the rows again."
        return _NEXT_STEP[Verdict(self.verdict)]

    def summary(self) -> str:
        return f"batch {self.batch_id}: {self.verdict} (status {self.status!r}), {self._said}"


def judge(run: Run) -> RunResult:
    """Read everything that speaks for or against a run."""
    metrics = run.metrics
    raw = metrics.statusSummary.status or ""
    verdict = _TABLE.get(_plain(raw), Verdict.UNKNOWN)
    records = metrics.recordSummary
    failed_files = metrics.fileSummary.failedFileCount or 0
    errors = _errors(run)
    if verdict is Verdict.SUCCEEDED and ((records.failedRecordCount or 0) > 0 or failed_files > 0 or errors):
        verdict = Verdict.PARTIAL
    elif verdict is Verdict.SUCCEEDED and not run.activities and records.inputRecordCount is None:
        # AEP counts after it has said success, and what is not counted yet may have failed.
        verdict = Verdict.WAITING
    duration, size = metrics.durationSummary, metrics.sizeSummary
    told = (whole(duration.extensions.get(name)) for name in ("windowStart", "windowEnd"))
    asked = (at if at is None else at * 1000 for at in run.window)
    start, end = (a if t is None else t for t, a in zip(told, asked, strict=True))
    return RunResult(
        run_id=run.id,
        flow_id=run.flowId,
        verdict=verdict.value,
        status=raw,
        read=_count(records.inputRecordCount),
        written=_count(records.outputRecordCount),
        failed=_count(records.failedRecordCount),
        window_start=start,
        window_end=end,
        started_at=duration.startedAtUTC,
        completed_at=duration.completedAtUTC,
        bytes_read=_count(size.inputBytes),
        bytes_written=_count(size.outputBytes),
        duration=(
            (duration.completedAtUTC - duration.startedAtUTC) / 1000
            if duration.startedAtUTC and duration.completedAtUTC
            else None
        ),
        failed_files=max(failed_files, 0),
        batch_ids=[
            str(id_)
            for activity in run.activities
            for target in activity.targetInfo
            for id_ in (target.get("reference") or {}).get("ids") or []
        ],
        errors=errors,
    )


def judge_batches(result: RunResult, batches: Iterable[Batch]) -> RunResult:
    """What the batches of a run say besides: a run is said to be over before they have landed, or failed to.

    :param result: of a run that has ended with something in the lake
    :param batches: those that Catalog knows
    """
    judged = [judge_batch(batch) for batch in batches]
    result = replace(result, batches={batch.batch_id: batch.status for batch in judged})
    verdicts = {batch.verdict for batch in judged}
    # The worst first: one batch that failed is not made good by another that is still on its way.
    for verdict in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.WAITING):
        if verdict.value in verdicts:
            return replace(result, verdict=verdict.value)
    if Verdict.PARTIAL.value not in verdicts:
        return result
    counts = [batch.failed or 0 for batch in judged if batch.verdict == Verdict.PARTIAL.value]
    failed = max(result.failed or 0, sum(counts))
    if not result.failed and 0 in counts:  # something was lost that nobody has counted
        failed = 0
    named = {error["code"] for error in result.errors}  # by the run, with the activity and how often
    errors = result.errors + [e for batch in judged for e in batch.errors if e["code"] not in named]
    return replace(result, verdict=Verdict.PARTIAL.value, failed=failed or None, errors=errors)


def judge_batch(batch: Batch) -> BatchResult:
    """One batch, for itself: also where AEP calls it a success, some of its rows may not have landed."""
    verdict = _batch_verdict(batch.status)
    errors = [{"activity": "batch", "code": e.code} for e in batch.errors]
    counts = batch.metrics
    if verdict is Verdict.SUCCEEDED and (errors or (counts.failedRecordCount or 0) > 0):
        verdict = Verdict.PARTIAL
    return BatchResult(
        batch.id,
        verdict.value,
        batch.status,
        read=_count(counts.inputRecordCount),
        written=_count(counts.outputRecordCount),
        failed=_count(counts.failedRecordCount),
        errors=errors,
    )


def _moment(milliseconds: int | None) -> datetime | None:
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _plain(status: str) -> str:
    return re.sub(r"[\s_-]", "", status).lower()


def _batch_verdict(status: str) -> Verdict:
    return _BATCHES.get(_plain(status), Verdict.UNKNOWN)


def _count(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def _errors(run: Run) -> list[dict[str, Any]]:
    """Codes by activity, with the number of records where AEP counts them; messages may quote rows and are left out."""
    found: list[dict[str, Any]] = [{"activity": "run", "code": e.code} for e in run.metrics.statusSummary.errors]
    for activity in run.activities:
        name = activity.name or activity.id
        found += [{"activity": name, "code": e.code} for e in activity.statusSummary.errors]
        classes = activity.statusSummary.extensions.get("errors")
        for e in classes if isinstance(classes, list) else []:
            if isinstance(e, dict):
                found.append({"activity": name, "code": str(e.get("code", "")), "records": e.get("recordCount")})
    return found


@dataclass(frozen=True)
class Tolerance:
    """What an author accepts of a run that is partial, or empty.

    :param on_partial: ``fail``, ``warn`` or ``succeed``
    :param max_failed_ratio: share of failed records up to which a partial run is accepted with a warning
    :param max_failed_records: number of them up to which it is; with a share, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed``, for a run that had nothing to read
    """

    on_partial: str = "fail"
    max_failed_ratio: float = 0.0
    max_failed_records: int | None = None
    on_empty: str = "succeed"

    def __post_init__(self) -> None:
        """:raises AepConfigurationError: a value that means nothing; told before anything is waited for"""
        for name in ("on_partial", "on_empty"):
            if getattr(self, name) not in {"fail", "warn", "succeed"}:
                raise AepConfigurationError(
                    f"{name} is {getattr(self, name)!r}", next_step="It must be fail, warn or succeed."
                )
        records = self.max_failed_records
        if records is not None and (isinstance(records, bool) or not isinstance(records, int) or records < 0):
            raise AepConfigurationError(
                f"max_failed_records is {records!r}", next_step="It must be a number of records, not below 0."
            )
        if not isinstance(self.max_failed_ratio, int | float) or not 0 <= self.max_failed_ratio <= 1:
            raise AepConfigurationError(
                f"max_failed_ratio is {self.max_failed_ratio!r}", next_step="It must be a number from 0 to 1."
            )

    def accepts(self, result: Judged) -> bool:
        """Whether a finished run, or batch, is good enough. A failed or unknown one never is."""
        if result.verdict == Verdict.SUCCEEDED.value:
            return self.on_empty != "fail" or not result.is_empty
        if result.verdict != Verdict.PARTIAL.value:
            return False
        return self.on_partial in {"warn", "succeed"} or self._within(result)

    def _within(self, result: Judged) -> bool:
        """Whether a partial run keeps to every limit that is set, and one is."""
        if not result.failed or result.failed_files:  # it lost something that nobody counted
            return False
        limits = []
        if self.max_failed_ratio:
            limits.append(result.failed_ratio is not None and result.failed_ratio <= self.max_failed_ratio)
        if self.max_failed_records is not None:
            limits.append(result.failed <= self.max_failed_records)
        return bool(limits) and all(limits)

    def warns(self, result: Judged) -> bool:
        """Whether a run that is accepted deserves a warning."""
        if result.is_empty:
            return self.on_empty == "warn"
        return result.verdict == Verdict.PARTIAL.value and self.on_partial != "succeed"
