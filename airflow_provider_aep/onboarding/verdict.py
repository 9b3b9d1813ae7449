"""Whether a run went well: one closed table, used by every way of waiting.

AEP reports a run with failed records as ``success`` while they stay below a threshold, so a status alone says nothing.
Source: Adobe's "Monitor dataflows" samples and the StatusDTO of its flow-service OpenAPI file.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Run


class Verdict(StrEnum):
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"


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


_MEANING = {
    "CONNECTOR-1001-500": "copying from the source failed",
    "CONNECTOR-2001-500": "parsing, validating or transforming failed",
    "CONNECTOR-3001-500": "handing the batch over failed",
    "INGEST-1212-400": "a row does not fit the schema",
    "MAPPER-3700-400": "a mapping could not be applied",
}
"""Source: "Monitor dataflows" and the error pages of Adobe's ingestion guide."""


def _explained(code: str) -> str:
    return f"{code} ({_MEANING[code]})" if code in _MEANING else code


_NEXT_STEP = {
    Verdict.SUCCEEDED: "Look whether the source had rows in the run's window; or accept an empty run with on_empty.",
    Verdict.PARTIAL: "Look at the failed records in AEP, which keeps them for 30 days; or accept them with "
    "max_failed_records, max_failed_ratio or on_partial.",
    Verdict.FAILED: "Look at the run's errors in AEP, mend what they name, and run the flow again "
    "(AepRunFlowOperator, where it runs once).",
    Verdict.UNKNOWN: "Look at the run in AEP, and report the status to this provider: it must not guess.",
}


@dataclass(frozen=True)
class RunResult:
    """What a finished, or still running, flow run came to.

    Record counts are ``None`` where AEP does not know them (it says -1); times are milliseconds since the epoch.
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

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def next_step(self) -> str:
        """What a person should do about a finished run that was not accepted."""
        return _NEXT_STEP[Verdict(self.verdict)]

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

    def summary(self) -> str:
        counts = ", ".join(
            f"{name} {'unknown' if n is None else n}"
            for name, n in (("read", self.read), ("written", self.written), ("failed", self.failed))
        )
        codes = ", ".join(_explained(code) for code in sorted({str(e["code"]) for e in self.errors}))
        try:
            since = f", started {datetime.fromtimestamp((self.started_at or 0) / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        except (ValueError, OverflowError, OSError):
            since = ""
        return (
            f"run {self.run_id} of flow {self.flow_id}{since if self.started_at else ''}: {self.verdict} "
            f"(status {self.status!r}), records {counts}" + (f"; codes {codes}" if codes else "")
        )


def judge(run: Run) -> RunResult:
    """Read everything that speaks for or against a run."""
    metrics = run.metrics
    raw = metrics.statusSummary.status or ""
    verdict = _TABLE.get(re.sub(r"[\s_-]", "", raw).lower(), Verdict.UNKNOWN)
    records = metrics.recordSummary
    failed_files = metrics.fileSummary.failedFileCount or 0
    errors = _errors(run)
    if verdict is Verdict.SUCCEEDED and ((records.failedRecordCount or 0) > 0 or failed_files > 0 or errors):
        verdict = Verdict.PARTIAL
    elif verdict is Verdict.SUCCEEDED and not run.activities and records.inputRecordCount is None:
        # AEP counts after it has said success, and what is not counted yet may have failed.
        verdict = Verdict.WAITING
    duration = metrics.durationSummary
    return RunResult(
        run_id=run.id,
        flow_id=run.flowId,
        verdict=verdict.value,
        status=raw,
        read=_count(records.inputRecordCount),
        written=_count(records.outputRecordCount),
        failed=_count(records.failedRecordCount),
        window_start=duration.extensions.get("windowStart"),
        window_end=duration.extensions.get("windowEnd"),
        started_at=duration.startedAtUTC,
        completed_at=duration.completedAtUTC,
        failed_files=max(failed_files, 0),
        batch_ids=[
            str(id_)
            for activity in run.activities
            for target in activity.targetInfo
            for id_ in (target.get("reference") or {}).get("ids") or []
        ],
        errors=errors,
    )


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

    def accepts(self, result: RunResult) -> bool:
        """Whether a finished run is good enough. A failed or unknown one never is."""
        if result.verdict == Verdict.SUCCEEDED.value:
            return self.on_empty != "fail" or not result.is_empty
        if result.verdict != Verdict.PARTIAL.value:
            return False
        return self.on_partial in {"warn", "succeed"} or self._within(result)

    def _within(self, result: RunResult) -> bool:
        """Whether a partial run keeps to every limit that is set, and one is."""
        if not result.failed or result.failed_files:  # it lost something that nobody counted
            return False
        limits = []
        if self.max_failed_ratio:
            limits.append(result.failed_ratio is not None and result.failed_ratio <= self.max_failed_ratio)
        if self.max_failed_records is not None:
            limits.append(result.failed <= self.max_failed_records)
        return bool(limits) and all(limits)

    def warns(self, result: RunResult) -> bool:
        """Whether a run that is accepted deserves a warning."""
        if result.is_empty:
            return self.on_empty == "warn"
        return result.verdict == Verdict.PARTIAL.value and self.on_partial != "succeed"
