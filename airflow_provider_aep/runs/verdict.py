"""Verdict of a flow run or batch: succeeded, partial, failed, empty or unknown, and the tolerance that accepts it.

AEP reports a run with failed records as ``success`` while they stay below a threshold. So the verdict depends on the
status, the counts and the errors. An empty run is a succeeded run that read no records.
Source: Adobe's "Monitor dataflows" samples and the StatusDTO of its flow-service OpenAPI file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Batch, Run, parse_int


class Verdict(StrEnum):
    """The result of evaluating a run or batch; ``waiting`` while it has not ended."""

    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"


LANDED_VERDICTS = frozenset({Verdict.SUCCEEDED.value, Verdict.PARTIAL.value})
"""Verdicts of runs whose rows are in the data lake; the failed records of a partial run never are."""

_RUN_VERDICTS = {
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
"""Verdict by run status, in lower case without separators: AEP's documents spell one status in several ways."""

_BATCH_VERDICTS = {
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
"""Verdict by batch status. AEP has reverted an inactive batch. Source: Catalog's list of batch statuses."""

_CODE_MEANINGS = {
    "CONNECTOR-1001-500": "AEP could not copy the data from the source",
    "CONNECTOR-2001-500": "AEP could not parse, validate or transform the data",
    "CONNECTOR-3001-500": "AEP could not hand the batch over to the data lake",
    "INGEST-1211-400": "rows have errors, and AEP does not keep them: the flow has no error_diagnostics",
    "INGEST-1212-400": "a row does not fit the schema",
    "INGEST-1401-400": "a row cannot be read",
    "INGEST-1555-400": "a required field is empty",
    "MAPPER-3700-400": "a mapping could not be applied",
    "140": "AEP has already ingested the same batch",
}
"""Meaning of AEP's error codes. Source: "Monitor dataflows" and the error pages of Adobe's ingestion guide."""


def explain_code(code: str) -> str:
    """Return an error code of AEP, followed by its meaning if it is known."""
    return f"{code} ({_CODE_MEANINGS[code]})" if code in _CODE_MEANINGS else code


_NEXT_STEPS = {
    Verdict.SUCCEEDED: "Check whether the source had rows in the run's window, or set on_empty to warn or succeed.",
    Verdict.PARTIAL: "Look at the failed records in AEP, which keeps them for 30 days, or accept them with "
    "max_failed_records, max_failed_ratio or on_partial.",
    Verdict.FAILED: "Correct the errors that AEP shows for the run, and run the flow again. AepRunFlowOperator runs a "
    "flow that is scheduled once.",
    Verdict.UNKNOWN: "Look at the run or batch in AEP, and report its status to the maintainers of this provider.",
}


class Result:
    """Base of the results of runs and batches: verdict, record counts and error codes."""

    verdict: str
    read: int | None
    written: int | None
    failed: int | None
    failed_files: int
    errors: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON, as tasks return it."""
        return asdict(self)  # type: ignore[call-overload]

    @property
    def is_empty(self) -> bool:
        """Whether the verdict is succeeded and AEP counted no record to read."""
        return self.verdict == Verdict.SUCCEEDED.value and self.read == 0

    @property
    def faulty(self) -> int | None:
        """Records that failed, and those that AEP wrote without a value that it could not transform.

        AEP counts the latter with the error code alone. ``None`` as for ``failed``.
        """
        by_activity: Counter[str] = Counter()
        for error in self.errors:
            if isinstance(records := error.get("records"), int):
                by_activity[error["activity"]] += records
        counted = max(by_activity.values(), default=0)
        if not counted:
            return self.failed
        # A record with two errors is counted with each of them.
        return max(self.failed or 0, counted if self.read is None else min(counted, self.read))

    @property
    def failed_ratio(self) -> float | None:
        """Faulty records divided by read records; ``None`` if AEP does not count both, or if whole files failed."""
        if self.faulty is None or not self.read or self.failed_files:
            return None
        return self.faulty / self.read

    @property
    def _counts_and_codes(self) -> str:
        records = (("read", self.read), ("written", self.written), ("failed", self.failed))
        counts = ", ".join(f"{name} {'unknown' if n is None else n}" for name, n in records)
        codes = ", ".join(explain_code(code) for code in sorted({str(e["code"]) for e in self.errors}))
        return f"records {counts}" + (f"; codes {codes}" if codes else "")


@dataclass(frozen=True)
class RunResult(Result):
    """The result of a flow run.

    Times are milliseconds since the epoch.

    :param run_id: id of the run
    :param flow_id: id of its flow
    :param verdict: a value of :class:`Verdict`
    :param status: the status as AEP spells it
    :param read: records read; ``None`` if AEP does not count them, which it reports as -1
    :param written: records written; ``None`` as for ``read``
    :param failed: records failed; ``None`` as for ``read``
    :param window_start: start of the run's window
    :param window_end: end of the run's window
    :param started_at: start of the run
    :param completed_at: end of the run
    :param failed_files: files that failed as a whole
    :param batch_ids: ids of the batches that the run wrote
    :param errors: one dict per error, with ``activity``, ``code`` and, if AEP counts them, ``records``
    :param batches: status by batch id, for batches that Catalog returned
    :param bytes_read: bytes read; ``None`` as for ``read``
    :param bytes_written: bytes written; ``None`` as for ``read``
    :param duration: seconds from start to end; ``None`` if AEP does not report both
    """

    run_id: str
    flow_id: str
    verdict: str
    status: str
    read: int | None = None
    written: int | None = None
    failed: int | None = None
    window_start: int | None = None
    window_end: int | None = None
    started_at: int | None = None
    completed_at: int | None = None
    failed_files: int = 0
    batch_ids: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    batches: dict[str, str] = field(default_factory=dict)
    bytes_read: int | None = None
    bytes_written: int | None = None
    duration: float | None = None

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RunResult:
        """Return the result that :meth:`as_dict` wrote, perhaps in another release: unknown keys are ignored."""
        return cls(**{f.name: stored[f.name] for f in fields(cls) if f.name in stored})

    @property
    def next_step(self) -> str:
        """An instruction for a person whose task did not accept the run."""
        if self.verdict == Verdict.FAILED.value and self.batches:  # The run succeeded, and a batch failed.
            start, end = _utc_datetime(self.window_start), _utc_datetime(self.window_end)
            window = f" ({start.isoformat()} to {end.isoformat()})" if start and end else ""
            return (
                "Correct the errors that AEP shows for the batch. A retry finds this run again, so ingest its "
                f"window{window} with another DAG run that sets window_start and window_end, if the flow runs on "
                "demand. When those rows have landed, clear this task."
            )
        return _NEXT_STEPS[Verdict(self.verdict)]

    def summary(self) -> str:
        """Return a clause for logs and errors: run, flow, verdict, status, counts and codes."""
        since = f", started {at:%Y-%m-%d %H:%M:%S} UTC" if (at := _utc_datetime(self.started_at)) else ""
        missing = [f"{id_} {s!r}" for id_, s in self.batches.items() if _batch_verdict(s) is not Verdict.SUCCEEDED]
        return (
            f"run {self.run_id} of flow {self.flow_id}{since}: {self.verdict} "
            f"(status {self.status!r}), {self._counts_and_codes}"
            + (f"; batches {', '.join(missing)}" if missing else "")
        )


@dataclass(frozen=True)
class BatchResult(Result):
    """The result of a batch. The fields have the meaning that they have in :class:`RunResult`."""

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
        """An instruction for a person whose task did not accept the batch."""
        if self.verdict == Verdict.FAILED.value:
            return "Correct the errors that AEP shows for the batch, and ingest the rows again."
        return _NEXT_STEPS[Verdict(self.verdict)]

    def summary(self) -> str:
        """Return a clause for logs and errors: batch, verdict, status, counts and codes."""
        return f"batch {self.batch_id}: {self.verdict} (status {self.status!r}), {self._counts_and_codes}"


def evaluate_run(run: Run) -> RunResult:
    """Return the result of a run, with the verdict from its status, counts and errors."""
    metrics = run.metrics
    status = metrics.statusSummary.status or ""
    verdict = _RUN_VERDICTS.get(_normalize_status(status), Verdict.UNKNOWN)
    records = metrics.recordSummary
    failed_files = metrics.fileSummary.failedFileCount or 0
    errors = _errors(run)
    if verdict is Verdict.SUCCEEDED and ((records.failedRecordCount or 0) > 0 or failed_files > 0 or errors):
        verdict = Verdict.PARTIAL
    elif verdict is Verdict.SUCCEEDED and not run.activities and records.inputRecordCount is None:
        # AEP reports success before it counts, and records that are not counted yet may have failed.
        verdict = Verdict.WAITING
    duration, size = metrics.durationSummary, metrics.sizeSummary
    reported = (parse_int(duration.extensions.get(name)) for name in ("windowStart", "windowEnd"))
    requested = (at if at is None else at * 1000 for at in run.window)
    start, end = (
        from_params if from_metrics is None else from_metrics
        for from_metrics, from_params in zip(reported, requested, strict=True)
    )
    return RunResult(
        run_id=run.id,
        flow_id=run.flowId,
        verdict=verdict.value,
        status=status,
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


def evaluate_batches(result: RunResult, batches: Iterable[Batch]) -> RunResult:
    """Return a run's result with its batches considered, because AEP ends a run before its batches have landed.

    :param result: of a succeeded or partial run
    :param batches: of the run, as Catalog returns them
    """
    results = [evaluate_batch(batch) for batch in batches]
    result = replace(result, batches={batch.batch_id: batch.status for batch in results})
    verdicts = {batch.verdict for batch in results}
    # The worst verdict decides: a failed batch must not wait for another that has not landed yet.
    for verdict in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.WAITING):
        if verdict.value in verdicts:
            return replace(result, verdict=verdict.value)
    if Verdict.PARTIAL.value not in verdicts:
        return result
    counts = [batch.failed or 0 for batch in results if batch.verdict == Verdict.PARTIAL.value]
    failed = max(result.failed or 0, sum(counts))
    if not result.failed and 0 in counts:  # AEP lost rows that it did not count.
        failed = 0
    named = {error["code"] for error in result.errors}  # The run reports these with activity and count.
    errors = result.errors + [e for batch in results for e in batch.errors if e["code"] not in named]
    return replace(result, verdict=Verdict.PARTIAL.value, failed=failed or None, errors=errors)


def evaluate_batch(batch: Batch) -> BatchResult:
    """Return the result of a batch. A batch that AEP calls a success is partial if records failed."""
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


def _utc_datetime(milliseconds: int | None) -> datetime | None:
    try:
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _normalize_status(status: str) -> str:
    return re.sub(r"[\s_-]", "", status).lower()


def _batch_verdict(status: str) -> Verdict:
    return _BATCH_VERDICTS.get(_normalize_status(status), Verdict.UNKNOWN)


def _count(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def _errors(run: Run) -> list[dict[str, Any]]:
    # AEP's messages may quote rows, so only codes and counts are kept.
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
    """The partial and empty runs or batches that a task accepts.

    :param on_partial: ``fail``, ``warn`` or ``succeed`` if records failed
    :param max_failed_ratio: ratio of :attr:`Result.faulty` records, 0 to 1, up to which a partial run is accepted with
        a warning; 0 sets no limit
    :param max_failed_records: number of failed records up to which a partial run is accepted with a warning; ``None``
        sets no limit. If both limits are set, both must hold
    :param on_empty: ``fail``, ``warn`` or ``succeed`` if the run read no records
    """

    on_partial: str = "fail"
    max_failed_ratio: float = 0.0
    max_failed_records: int | None = None
    on_empty: str = "succeed"

    def __post_init__(self) -> None:
        """Validate the arguments.

        :raises AepConfigurationError: an argument has a value that is not allowed
        """
        for name in ("on_partial", "on_empty"):
            if getattr(self, name) not in {"fail", "warn", "succeed"}:
                raise AepConfigurationError(
                    f"{name} is {getattr(self, name)!r}, which is not supported",
                    next_step=f"Set {name} to fail, warn or succeed.",
                )
        records = self.max_failed_records
        if records is not None and (isinstance(records, bool) or not isinstance(records, int) or records < 0):
            raise AepConfigurationError(
                f"max_failed_records is {records!r}, not a number of records",
                next_step="Set max_failed_records to a number of records, 0 or more.",
            )
        if not isinstance(self.max_failed_ratio, int | float) or not 0 <= self.max_failed_ratio <= 1:
            raise AepConfigurationError(
                f"max_failed_ratio is {self.max_failed_ratio!r}, not a ratio",
                next_step="Set max_failed_ratio to a number from 0 to 1.",
            )

    def accepts(self, result: Result) -> bool:
        """Return whether a task accepts a finished run or batch. A failed or unknown one is never accepted."""
        if result.verdict == Verdict.SUCCEEDED.value:
            return self.on_empty != "fail" or not result.is_empty
        if result.verdict != Verdict.PARTIAL.value:
            return False
        return self.on_partial in {"warn", "succeed"} or self._is_within_limits(result)

    def _is_within_limits(self, result: Result) -> bool:
        """Return whether at least one limit is set, and a partial result keeps within all that are."""
        if not result.faulty or result.failed_files:  # AEP lost records that it did not count.
            return False
        limits = []
        if self.max_failed_ratio:
            limits.append(result.failed_ratio is not None and result.failed_ratio <= self.max_failed_ratio)
        if self.max_failed_records is not None:
            limits.append(result.faulty <= self.max_failed_records)
        return bool(limits) and all(limits)

    def warns(self, result: Result) -> bool:
        """Return whether a task logs an accepted run or batch as a warning."""
        if result.is_empty:
            return self.on_empty == "warn"
        return result.verdict == Verdict.PARTIAL.value and self.on_partial != "succeed"
