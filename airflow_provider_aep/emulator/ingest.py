"""Flow runs: they read the rows of their window, map and check them, and write Parquet into the lake."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from airflow_provider_aep.emulator.mapping import ROW_REJECTED, Fault, Mapper
from airflow_provider_aep.emulator.refusals import Refusal
from airflow_provider_aep.emulator.service import World
from airflow_provider_aep.emulator.specs import SECONDS, connection_specs
from airflow_provider_aep.emulator.store import Scope
from airflow_provider_aep.emulator.tables import Records, Table, moment

log = logging.getLogger(__name__)

PARTIAL_INGESTION_PERCENT = 5.0
"""Share of failed rows up to which a run still succeeds; the default of AEP's own user interface."""

_POLL = 0.2
_ROW_GROUP = 50_000
_ARROW = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "date-time": pa.timestamp("us", tz="UTC"),
}


class Runner(threading.Thread):
    """Starts the runs that are due and finishes those that a restart interrupted."""

    def __init__(self, world: World) -> None:
        super().__init__(name="flow-runs", daemon=True)
        self._world = world
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=10)

    def run(self) -> None:
        while not self._ended.wait(_POLL):
            try:
                self.step()
            except Exception:
                log.exception("A flow run could not be processed")

    def step(self) -> None:
        """Do what was postponed to now, open every run that is due, then process every open run."""
        with self._world.stepping:
            self._step()

    def _step(self) -> None:
        now = self._world.clock.now()
        for at, act in [p for p in self._world.postponed if p[0] <= now]:
            self._world.postponed.remove((at, act))
            try:
                act()
            except Refusal as refusal:
                log.warning("What was asked for earlier was refused: %s", refusal.status)
        for scope, flow in self._world.store.everywhere("flows"):
            if flow["state"] == "enabled" and flow["_emulator"]["nextRunAt"] is not None:
                self._open_due(scope, flow["id"])
        for scope, run in self._world.store.everywhere("openRuns"):
            self._process(scope, run["id"])

    def _open_due(self, scope: Scope, flow_id: str) -> None:
        # Read again within the transaction: a request may have changed the flow meanwhile.
        with self._world.store.transaction():
            flow = self._world.store.get("flows", scope, flow_id)
            if flow and flow["state"] == "enabled":
                self._open(scope, flow)

    def _open(self, scope: Scope, flow: dict[str, Any]) -> None:
        world = self._world
        due = flow["_emulator"]["nextRunAt"]
        if due is None or world.clock.now() < due + world.options.run_delay:
            return
        schedule = flow["scheduleParams"]
        step = SECONDS.get(schedule["frequency"], 0) * int(schedule.get("interval", 0))
        start = int(schedule["startTime"])
        first = due == start
        backfill = schedule["frequency"] == "once" or str(schedule.get("backfill", True)).lower() == "true"
        window = (0 if backfill else start) if first else due - step, due
        flow["_emulator"]["nextRunAt"] = due + step if step else None
        world.store.put("flows", scope, flow["id"], flow)
        steps = {t["name"]: t["params"] for t in flow["transformations"]}
        # A one-time flow copies everything; its Copy, if any, is what an on-demand run left.
        delta = (
            None if schedule["frequency"] == "once" else (steps.get("Copy", {}).get("deltaColumn") or {}).get("name")
        )
        open_run(world, scope, flow, window, delta=delta)

    def _process(self, scope: Scope, id_: str) -> None:
        store = self._world.store
        run, open_run = store.get("runs", scope, id_), store.get("openRuns", scope, id_)
        assert run is not None
        assert open_run is not None
        flow = store.get("flows", scope, run["flowId"])
        rule = self._world.faults.take(f"RUN {(flow or {}).get('name', '')}")
        try:
            if rule and rule.outcome == "failed":
                raise Gone("a rule of the emulator says so")
            result = Ingestion(self._world, scope, flow or {}, open_run).execute()
        except Gone as e:
            result = failed(str(e))
        except Exception as e:
            # Its text may quote a row.
            log.warning("Run %s failed: %s", id_, type(e).__name__)
            result = failed("The source could not be read")
        now = self._world.now_ms()
        run["metrics"] = {
            "durationSummary": {**run["metrics"]["durationSummary"], "completedAtUTC": now},
            **result["metrics"],
        }
        run["activities"] = result["activities"]
        run["updatedAt"], run["etag"] = now, self._world.new_etag()
        if rule and rule.outcome:
            _spoil(run, rule.outcome)
        with store.transaction():
            if result["batch"]:
                store.add("batches", scope, open_run["batch"], result["batch"], parent=result["batch"]["dataSet"])
            if rule and rule.outcome in {"vanish", "renamed"}:
                store.delete("runs", scope, id_)
                if rule.outcome == "renamed":  # started again under another id
                    run["id"] = self._world.new_id()
                    store.add("runs", scope, run["id"], run, parent=run["flowId"])
            else:
                store.put("runs", scope, id_, run)
            if flow := store.get("flows", scope, run["flowId"]):  # as it is now, not as it was before the run
                flow["lastRunDetails"] = {
                    "id": run["id"],
                    "state": run["metrics"]["statusSummary"]["status"],
                    "startedAtUTC": run["metrics"]["durationSummary"]["startedAtUTC"],
                    "completedAtUTC": now,
                }
                store.put("flows", scope, flow["id"], flow)
            store.delete("openRuns", scope, id_)


def _spoil(run: dict[str, Any], outcome: str) -> None:
    """What AEP's runs are seen to end with now and then."""
    metrics = run["metrics"]
    counts = metrics["recordSummary"]
    if outcome == "no-completion":
        del metrics["durationSummary"]["completedAtUTC"]
    elif outcome == "unknown-counts":
        metrics["recordSummary"] = dict.fromkeys(counts, -1)
    elif outcome == "partial" and counts["outputRecordCount"] > 0:
        counts["outputRecordCount"] -= 1
        counts["failedRecordCount"] += 1
        error = {"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}
        metrics["statusSummary"]["errors"] = [error]


def next_due(world: World) -> float | None:
    """When the next thing happens by itself, in seconds since the epoch; ``None`` if nothing will."""
    moments = [at for at, _ in world.postponed]
    moments += [world.clock.now() for _ in world.store.everywhere("openRuns")]
    for _, flow in world.store.everywhere("flows"):
        due = flow["_emulator"]["nextRunAt"]
        if flow["state"] == "enabled" and due is not None:
            moments.append(due + world.options.run_delay)
    return min(moments, default=None)


def step(world: World) -> None:
    """Let happen what is due."""
    Runner(world).step()


def open_run(
    world: World,
    scope: Scope,
    flow: dict[str, Any],
    window: tuple[int, int],
    *,
    delta: str | None,
    id_: str | None = None,
    params: dict[str, Any] | None = None,
) -> None:
    """Start a run of a flow; one that exists starts over.

    :param window: of the rows it takes, in seconds since the epoch
    :param delta: the column that tells whether a row is in the window; ``None`` takes all rows
    """
    now, id_ = world.now_ms(), id_ or world.new_id()
    run = {
        "id": id_,
        "createdAt": now,
        "updatedAt": now,
        "createdBy": "system",
        "updatedBy": "system",
        "sandboxName": scope.sandbox,
        "imsOrgId": scope.org,
        "flowId": flow["id"],
        "flowSpec": flow["flowSpec"],
        "providerRefId": world.new_id(),
        "etag": world.new_etag(),
        "params": params or {},
        "metrics": {
            "durationSummary": {"startedAtUTC": now, "extensions": _window(window)},
            "statusSummary": {"status": "inProgress"},
        },
        "activities": [],
        "_emulator": {"delta": delta},
    }
    if earlier := world.store.get("runs", scope, id_):
        world.store.put("runs", scope, id_, {**run, "createdAt": earlier["createdAt"]})
    else:
        world.store.add("runs", scope, id_, run, parent=flow["id"])
    batch = world.new_id().replace("-", "")
    world.store.add("openRuns", scope, id_, {"id": id_, "window": window, "batch": batch, "delta": delta})


def _window(window: tuple[int, int]) -> dict[str, int]:
    return {"windowStart": window[0] * 1000, "windowEnd": window[1] * 1000}


def failed(message: str) -> dict[str, Any]:
    """A run that read nothing: counts are -1, as AEP reports what it does not know."""
    error = {"code": "CONNECTOR-1001-500", "message": message}
    return {
        "metrics": {
            "recordSummary": {"inputRecordCount": -1, "outputRecordCount": -1, "failedRecordCount": -1},
            "statusSummary": {"status": "failed", "errors": [error]},
        },
        "activities": [{"id": "copyActivity", "statusSummary": {"status": "failed", "errors": [error]}}],
        "batch": None,
    }


class Gone(Exception):
    """Something that a run needs is not there any more, or is said not to be."""


class Ingestion:
    """One run's way from source rows to the lake."""

    def __init__(self, world: World, scope: Scope, flow: dict[str, Any], open_run: dict[str, Any]) -> None:
        self._world, self._scope, self._flow = world, scope, flow
        self._batch: str = open_run["batch"]
        self._delta: str | None = open_run["delta"]
        start, end = open_run["window"]
        self._window = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)

    def execute(self) -> dict[str, Any]:
        source = self._object("sourceConnections", self._flow["sourceConnectionIds"][0])
        target = self._object("targetConnections", self._flow["targetConnectionIds"][0])
        dataset_id = target["params"]["dataSetId"]
        dataset = self._object("dataSets", dataset_id)
        registry = self._world.registry(self._scope)
        schema = registry.schema(dataset["schemaRef"]["id"])
        tables = self._world.sources.of(connection_specs()[source["connectionSpec"]["id"]]["name"])
        table = tables.records if source["data"]["format"] == "json" else tables.get(source["params"]["tableName"])
        if schema is None or table is None:
            raise Gone("the target schema or the source table is gone")
        steps = {t["name"]: t["params"] for t in self._flow["transformations"]}
        wanted = steps["Mapping"]
        versions = self._object("mappingSets", wanted["mappingId"])["_emulator"]["versions"]
        mapper = Mapper(versions[int(wanted["mappingVersion"])]["mappings"], registry.resolve(schema))
        read, written, faults, samples = self._copy(table, self._delta, mapper, dataset_id)
        return self._result(source, target, dataset_id, read, written, faults, samples)

    def _object(self, kind: str, id_: str) -> dict[str, Any]:
        found = self._world.store.get(kind, self._scope, id_)
        if found is None:
            raise Gone(f"{kind} {id_} is gone")
        return found

    def _copy(
        self, table: Table | Records, delta: str | None, mapper: Mapper, dataset_id: str
    ) -> tuple[int, int, dict[str, int], list[dict[str, Any]]]:
        read = written = 0
        faults: dict[str, int] = {}
        samples: list[dict[str, Any]] = []
        writer = _Lake(self._world.lake_of(self._scope, dataset_id), self._batch, _arrow(mapper.fields))
        with writer:
            for rows, unreadable in table.rows():
                kept = []
                if unreadable and not delta:  # a line without a moment is in no window
                    read += unreadable
                    faults[ROW_REJECTED] = faults.get(ROW_REJECTED, 0) + unreadable
                for row in rows:
                    if delta and not self._in_window(row.get(delta)):
                        continue
                    read += 1
                    mapped = mapper.apply(row)
                    if isinstance(mapped, Fault):
                        faults[mapped.code] = faults.get(mapped.code, 0) + 1
                        if len(samples) < 10:
                            samples.append({"code": mapped.code, "field": mapped.field, "message": mapped.message})
                    else:
                        kept.append(mapped)
                writer.write(kept)
                written += len(kept)
            threshold = PARTIAL_INGESTION_PERCENT / 100 * read
            writer.keep = read - written <= threshold
        return read, written, faults, samples

    def _in_window(self, value: Any) -> bool:
        at = value if isinstance(value, datetime) else moment(str(value))
        if at is None:
            return False
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return self._window[0] <= at < self._window[1]

    def _result(
        self,
        source: dict[str, Any],
        target: dict[str, Any],
        dataset_id: str,
        read: int,
        written: int,
        faults: dict[str, int],
        samples: list[dict[str, Any]],
    ) -> dict[str, Any]:
        bad = read - written
        over = bad > PARTIAL_INGESTION_PERCENT / 100 * read
        status = "failed" if over else "success"
        written = 0 if over else written
        errors = [{"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}] if bad else []
        now = self._world.now_ms()
        counts = {"inputRecordCount": read, "outputRecordCount": written, "failedRecordCount": bad}
        rows = {
            "errors": [{"code": c, "recordCount": n, "message": _MEANING[c]} for c, n in sorted(faults.items())],
        }
        copy = {
            "id": "copyActivity",
            "name": "Copy Activity",
            "recordSummary": {"inputRecordCount": read, "outputRecordCount": read},
            "statusSummary": {"status": "success"},
            "sourceInfo": [{"id": source["id"], "type": "SourceConnection"}],
        }
        promotion = {
            "id": "promotionActivity",
            "name": "Promotion Activity",
            "recordSummary": counts,
            "statusSummary": {"status": status, "errors": errors, "extensions": rows},
            "targetInfo": [
                {
                    "id": target["id"],
                    "type": "TargetConnection",
                    "reference": {"type": "Batch", "ids": [self._batch]},
                }
            ],
        }
        batch = {
            "id": self._batch,
            "status": "failure" if over else "success",
            "dataSet": dataset_id,
            "relatedObjects": [{"type": "dataSet", "id": dataset_id}],
            "metrics": counts,
            "errors": [{"code": s["code"], "description": f"{s['field']} {s['message']}"} for s in samples],
            "created": now,
            "updated": now,
            "imsOrg": self._scope.org,
        }
        return {
            "metrics": {
                "recordSummary": counts,
                "statusSummary": {"status": status, "errors": errors},
            },
            "activities": [copy, promotion],
            "batch": batch,
        }


_MEANING = {"INGEST-1212-400": "A row does not fit the schema", "MAPPER-3700-400": "Mapper Transform Error"}


def _arrow(fields: dict[str, dict[str, Any]]) -> pa.Schema:
    """The Parquet schema of the mapped fields, by dot path: nested as XDM is."""
    tree: dict[str, Any] = {}
    for path, field in fields.items():
        *parents, leaf = path.split(".")
        node = tree
        for name in parents:
            node = node.setdefault(name, {})
        node[leaf] = _ARROW.get(field.get("format", ""), _ARROW.get(field.get("type", ""), pa.string()))
    return pa.schema(_fields(tree))


def _fields(tree: dict[str, Any]) -> list[pa.Field]:
    return [pa.field(n, pa.struct(_fields(t)) if isinstance(t, dict) else t) for n, t in tree.items()]


class _Lake:
    """One Parquet file of one batch; it appears whole or not at all, and a repeated batch replaces itself."""

    def __init__(self, folder: Path | None, batch: str, schema: pa.Schema) -> None:
        self._schema = schema
        self.keep = True
        self._file: Path | None = None
        self._writer: pyarrow.parquet.ParquetWriter | None = None
        if folder is not None:
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
        else:
            self._part.unlink(missing_ok=True)
