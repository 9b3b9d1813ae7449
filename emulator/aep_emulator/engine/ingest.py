"""Ingestion: a run reads the rows of its window, maps and checks them, and writes Parquet to the lake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from aep_data_prep.context import lookup
from aep_data_prep.mapping import attribute_source
from aep_emulator.core.ids import sandbox_id
from aep_emulator.core.store import Scope
from aep_emulator.core.validation import plain
from aep_emulator.core.world import World
from aep_emulator.data.specs import flow_spec_of, folder_of
from aep_emulator.data.xdm import Registry
from aep_emulator.engine.mapping import REQUIRED_EMPTY, TRANSFORM_FAILED, Mapper
from aep_emulator.engine.parquet import arrow_schema
from aep_emulator.engine.source_data import Records, Table, column_delimiter, date_time, is_recursive, read_file

KEPT_ERRORS = 1000
"""Maximum number of failed rows in the diagnostics of a batch."""

EXPORT = "https://platform.adobe.io/data/foundation/export"
"""The prefix of AEP's manifest links."""

_ROW_GROUP = 50_000
UNREADABLE = "INGEST-1401-400"
"""Code of a row that cannot be read, or that has no time for a window."""

MEANING = {
    UNREADABLE: "The row has corrupted data and cannot be read or parsed.",
    REQUIRED_EMPTY: "A required field is either missing or has a value of null.",
    TRANSFORM_FAILED: "Mapper Transform Error",
}
_PROMOTION_ERROR = {"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}


class Gone(Exception):
    """An object that a run needs does not exist any more, or a fault simulates that."""


def failed(message: str) -> dict[str, Any]:
    """Return the result of a run that read nothing: counts are -1, AEP's value for unknown, and no batch exists."""
    error = {"code": "CONNECTOR-1001-500", "message": message}
    unknown = {"inputRecordCount": -1, "outputRecordCount": -1, "failedRecordCount": -1}
    return {
        "metrics": {
            "sizeSummary": {"inputBytes": -1, "outputBytes": -1},
            "recordSummary": unknown,
            "fileSummary": {"inputFileCount": -1, "outputFileCount": -1},
            "statusSummary": {"status": "failed", "errors": [error]},
        },
        "activities": [
            {"id": "copyActivity", "name": "Copy Activity", "statusSummary": {"status": "failed", "errors": [error]}}
        ],
        "batch": None,
        "diagnostics": None,
    }


class _Tally:
    """Counters of rows, and the first failed rows."""

    def __init__(self) -> None:
        self.read = self.written = 0
        self.incomplete = 0
        """Rows that were written with fields that became null."""

        self.codes: dict[str, int] = {}
        self.errors: list[dict[str, Any]] = []
        """The first rows with errors, in the format of the diagnostics."""

    def report(self, row: dict[str, Any] | None, errors: list[tuple[str, str]], count: int = 1) -> None:
        """Count rows by the codes of their errors.

        :param errors: code and message of each
        """
        for code in {code for code, _ in errors}:
            self.codes[code] = self.codes.get(code, 0) + count
        if len(self.errors) < KEPT_ERRORS:
            content = {"_corrupt_record": None} if row is None else plain(row)
            shown = [{"code": code.split("-")[1], "message": message} for code, message in errors]
            self.errors.append({**content, "_errors": shown})

    @property
    def bad(self) -> int:
        return self.read - self.written

    @property
    def is_clean(self) -> bool:
        return not self.bad and not self.incomplete


class Ingestion:
    """The ingestion of one flow run."""

    def __init__(self, world: World, scope: Scope, flow: dict[str, Any], run: dict[str, Any]) -> None:
        self._world, self._scope, self._flow = world, scope, flow
        notes = run["_emulator"]
        self._batch: str = notes["batch"]
        self._delta: str | None = notes["delta"]
        self._everything: bool = notes["everything"]
        start, end = notes["window"]
        self._window = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        self._inclusive = world.choices["window-end"] == "inclusive"
        options = flow.get("options") or {}
        # Adobe's defaults: without the first a run with a failed row fails, without the second no failed row is kept.
        self._percent = float(options.get("partialIngestionPercent") or 0)
        self._diagnosed = bool(options.get("errorDiagnosticsEnabled"))

    def execute(self) -> dict[str, Any]:
        """Ingest, and return the run's metrics and activities, its batch, and diagnostics.

        :raises Gone: an object that the run needs does not exist
        """
        source = self._object("sourceConnections", self._flow["sourceConnectionIds"][0])
        target = self._object("targetConnections", self._flow["targetConnectionIds"][0])
        dataset_id = target["params"]["dataSetId"]
        dataset = self._object("dataSets", dataset_id)
        registry = Registry(self._world, self._scope)
        schema = registry.schema(dataset["schemaRef"]["id"])
        readers = self._readers(source)
        if schema is None or readers is None:
            raise Gone("the target schema or the table of the source does not exist")
        mapping = next(t["params"] for t in self._flow["transformations"] if t["name"] == "Mapping")
        versions = self._object("mappingSets", str(mapping["mappingId"]).replace("-", ""))["_emulator"]["versions"]
        mappings = versions[int(mapping["mappingVersion"])]["mappings"]
        world = self._world
        mapper = Mapper(mappings, registry.target(schema), world.choices, world.now, world.new_id)
        tally, size = self._copy(readers, mapper, dataset_id)
        return self._result(source, target, dataset_id, readers, tally, size)

    def _object(self, kind: str, id_: str) -> dict[str, Any]:
        found = self._world.store.get(kind, self._scope, id_)
        if found is None:
            raise Gone(f"{kind} {id_} does not exist")
        return found

    def _readers(self, source: dict[str, Any]) -> list[Table | Records] | None:
        """Return what the run reads; ``None`` if the table of the source connection does not exist."""
        spec, kind, params = source["connectionSpec"]["id"], source["data"]["format"], source["params"]
        name = folder_of(spec)
        if flow_spec_of(spec) == "CloudStorageToAEP":
            files = self._world.sources.files_of(name).matching(params["path"], kind, is_recursive(params))
            return [read_file(n, f, kind, column_delimiter(source)) for n, f in files if self._is_due(f)]
        tables = self._world.sources.of(name)
        table = tables.records if kind == "json" else tables.get(params["tableName"])
        return [table] if table else None

    def _is_due(self, file: Path) -> bool:
        """Return whether the run takes a file: it changed in the window, or the run takes all files."""
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        return self._everything or self._holds(changed)

    def _copy(self, readers: list[Table | Records], mapper: Mapper, dataset_id: str) -> tuple[_Tally, int]:
        """Map and write the rows; return the counters and the number of bytes written."""
        tally = _Tally()
        schema = arrow_schema(mapper.schema, mapper.destinations)
        lake = _Lake(self._world.lake_of(self._scope, dataset_id), self._batch, schema)
        steps, column = attribute_source(self._delta) if self._delta else ((), "")
        with lake:
            for rows, unreadable in self._batches(readers):
                if unreadable:
                    # Such a line has no time, so it is in no window, and each run counts it.
                    tally.read += unreadable
                    tally.report(None, [(UNREADABLE, "Row is corrupted and cannot be read")], unreadable)
                kept = []
                for row in rows:
                    if self._delta:
                        at = _moment(lookup(row, steps, column))
                        if at is None:
                            tally.read += 1
                            tally.report(row, [(UNREADABLE, f"{self._delta} is no date-time")])
                            continue
                        if not self._holds(at):
                            continue
                    tally.read += 1
                    mapped = mapper.apply(row)
                    if mapped.faults:
                        tally.report(row, [(f.code, f"{f.field}: {f.message}") for f in mapped.faults])
                    if mapped.row is not None:
                        kept.append(mapped.row)
                        tally.incomplete += bool(mapped.faults)
                lake.write(kept)
                tally.written += len(kept)
            lake.keep = not self._is_over(tally)
        return tally, lake.size

    @staticmethod
    def _batches(readers: list[Table | Records]) -> Iterator[tuple[list[dict[str, Any]], int]]:
        for reader in readers:
            yield from reader.rows()

    def _is_over(self, tally: _Tally) -> bool:
        """Return whether so many rows failed that the batch fails."""
        return tally.bad > self._percent / 100 * tally.read

    def _holds(self, at: datetime) -> bool:
        start, end = self._window
        return start <= at < end or (self._inclusive and at == end)

    def _result(
        self,
        source: dict[str, Any],
        target: dict[str, Any],
        dataset_id: str,
        readers: list[Table | Records],
        tally: _Tally,
        size: int,
    ) -> dict[str, Any]:
        """Return the run's metrics and activities, its batch, and the diagnostics of failed rows."""
        over, now = self._is_over(tally), self._world.now_ms()
        written = 0 if over else tally.written
        status = "failed" if over else self._world.choices["partial-status"] if tally.bad else "success"
        errors = [_PROMOTION_ERROR] if tally.bad else []
        counts = {"inputRecordCount": tally.read, "outputRecordCount": written, "failedRecordCount": tally.bad}
        files = {"inputFileCount": len(readers), "outputFileCount": 1 if written else 0}
        bytes_read = sum(r.file.stat().st_size for r in readers)
        sizes = {"inputBytes": bytes_read, "outputBytes": 0 if over else size}
        summary = self._errors(tally)
        window = {"windowStart": _ms(self._window[0]), "windowEnd": _ms(self._window[1])}
        extensions: dict[str, Any] = {"errors": summary} if summary else {}
        manifest = f"{EXPORT}/batches/{self._batch}/meta?path="
        if self._diagnosed and not tally.is_clean:
            extensions["manifest"] = {
                "failedRecords": f"{manifest}row_errors",
                "sampleErrors": f"{manifest}row_error_samples.json",
            }
        copy = {
            "id": "copyActivity",
            "name": "Copy Activity",
            "updatedAtUTC": now,
            "durationSummary": {"startedAtUTC": now, "completedAtUTC": now, "extensions": window},
            "sizeSummary": {"inputBytes": bytes_read, "outputBytes": bytes_read},
            "recordSummary": {"inputRecordCount": tally.read, "outputRecordCount": tally.read},
            "fileSummary": {"inputFileCount": len(readers), "outputFileCount": len(readers)},
            "statusSummary": {"status": "success"},
            "sourceInfo": [{"id": source["id"], "type": "SourceConnection"}],
        }
        promotion = {
            "id": "promotionActivity",
            "name": "Promotion Activity",
            "updatedAtUTC": now,
            "durationSummary": {"startedAtUTC": now, "completedAtUTC": now},
            "sizeSummary": sizes,
            "recordSummary": counts,
            "fileSummary": {**files, "extensions": {"manifest": {"fileInfo": f"{manifest}input_files"}}},
            "statusSummary": {"status": status, "errors": errors, "extensions": extensions},
            "targetInfo": [
                {
                    "id": target["id"],
                    "type": "TargetConnection",
                    "reference": {"type": "Batch", "ids": [self._batch]},
                }
            ],
        }
        return {
            "metrics": {
                "sizeSummary": sizes,
                "recordSummary": counts,
                "fileSummary": files,
                "statusSummary": {"status": status, "errors": errors},
            },
            "activities": [copy, promotion],
            "batch": self._catalogued(dataset_id, tally, over, counts, sizes, files, now),
            "diagnostics": {
                "input_files": [{"path": r.file.name} for r in readers],
                "row_errors": tally.errors if self._diagnosed else [],
            },
        }

    def _errors(self, tally: _Tally) -> list[dict[str, Any]]:
        """Return a batch's errors: the sum, then each code; or a notice that diagnostics are disabled."""
        if tally.is_clean:
            return []
        if not self._diagnosed:
            return [{"code": "INGEST-1211-400", "message": "Encountered errors; diagnostics are not enabled."}]
        errors = tally.bad + tally.incomplete
        total = f"Encountered {errors} errors in the data. Successfully ingested {tally.written} rows."
        each = [{"code": c, "recordCount": n, "message": MEANING[c]} for c, n in sorted(tally.codes.items())]
        return [{"code": "INGEST-1212-400", "message": total}, *each]

    def _catalogued(
        self,
        dataset_id: str,
        tally: _Tally,
        over: bool,
        counts: dict[str, int],
        sizes: dict[str, int],
        files: dict[str, int],
        now: int,
    ) -> dict[str, Any]:
        """Return the batch as Catalog stores it."""
        errors = [
            {**{k: v for k, v in e.items() if k != "message"}, "description": e["message"]} for e in self._errors(tally)
        ]
        return {
            "id": self._batch,
            "externalId": self._batch,
            "status": "failure" if over else "success",
            "dataSet": dataset_id,
            "tags": {
                "acp_enableErrorDiagnostics": [str(self._diagnosed).lower()],
                "acp_partialIngestionPercent": [f"{self._percent:g}"],
                "flowId": [self._flow["id"]],
            },
            "relatedObjects": [{"type": "dataSet", "id": dataset_id}],
            "inputFormat": {"format": "parquet"},
            "metrics": {
                **counts,
                "inputByteSize": sizes["inputBytes"],
                "outputByteSize": sizes["outputBytes"],
                "inputFileCount": files["inputFileCount"],
                "outputFileCount": files["outputFileCount"],
                "startTime": now,
                "endTime": now,
            },
            "errors": errors,
            "created": now,
            "updated": now,
            "started": now,
            "completed": now,
            "version": "1.0.0",
            "imsOrg": self._scope.org,
            "sandboxId": sandbox_id(self._scope.sandbox),
            "createdClient": "system",
            "createdUser": "system",
            "updatedUser": "system",
            "recordCount": counts["outputRecordCount"],
            "failedRecordCount": counts["failedRecordCount"],
            "size": sizes["outputBytes"],
        }


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _moment(value: Any) -> datetime | None:
    """Return the time in a delta column; ``None`` if it is none."""
    at = value if isinstance(value, datetime) else date_time(str(value))
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


class _Lake:
    """The Parquet file of one batch: it appears when it is complete, and a repeated batch replaces it."""

    def __init__(self, folder: Path | None, batch: str, schema: pa.Schema) -> None:
        self._schema = schema
        self.keep = True
        self.size = 0
        """Bytes of the complete file."""

        self._file: Path | None = None
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        if folder is not None and batch.isalnum():
            self._file = folder / f"{batch}.parquet"

    def __enter__(self) -> _Lake:
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pyarrow.parquet.ParquetWriter(self._part, self._schema)
        return self

    @property
    def _part(self) -> Path:
        assert self._file is not None
        return self._file.with_suffix(".part")

    def write(self, rows: list[dict[str, Any]]) -> None:
        if self._writer and rows:
            self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema), row_group_size=_ROW_GROUP)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        if kind is None and self.keep:
            self._part.replace(self._file)
            self.size = self._file.stat().st_size
        else:
            self._part.unlink(missing_ok=True)
