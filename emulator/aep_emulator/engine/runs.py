"""Flow runs: they start on schedule or on demand, change their state, and end with an ingestion."""

from __future__ import annotations

import logging
from typing import Any

from aep_emulator.core.store import Scope
from aep_emulator.core.world import World
from aep_emulator.data.specs import SECONDS
from aep_emulator.engine.ingest import Gone, Ingestion, failed
from aep_emulator.engine.source_data import TableError

log = logging.getLogger(__name__)

DIAGNOSTICS_KEPT = 30 * 86_400
"""Seconds after which failed rows are deleted. Source: "Retrieving error diagnostics" in Adobe's guide."""

Body = dict[str, Any]


def open_next(world: World, scope: Scope, flow: Body) -> None:
    """Start the scheduled run of a flow that is due."""
    due = flow["_emulator"]["nextRunAt"]
    params = flow["scheduleParams"]
    length = SECONDS.get(params["frequency"], 0) * int(params.get("interval", 0))
    start = int(params["startTime"])
    first = due == start
    backfill = params["frequency"] == "once" or str(params.get("backfill", True)).lower() == "true"
    window = (0 if backfill else start) if first else due - length, due
    flow["_emulator"]["nextRunAt"] = due + length if length else None
    steps = {t["name"]: t.get("params") or {} for t in flow["transformations"]}
    # A one-time flow copies everything. Its Copy, if it has one, belongs to on-demand runs.
    delta = None if params["frequency"] == "once" else (steps.get("Copy", {}).get("deltaColumn") or {}).get("name")
    open_run(world, scope, flow, window, delta=delta, everything=first and backfill)


def open_run(
    world: World,
    scope: Scope,
    flow: Body,
    window: tuple[int, int],
    *,
    delta: str | None,
    everything: bool = False,
    id_: str | None = None,
    params: Body | None = None,
    after: float = 0,
) -> None:
    """Start a run of a flow, or restart an existing run.

    :param window: the rows that it takes, in seconds since the epoch
    :param delta: the column that decides whether a row is in the window; ``None``: it takes all rows
    :param everything: take all files of a cloud storage, and not only those of the window
    :param id_: the id of the run to restart
    :param after: the time before which the run does not begin
    """
    now, id_ = world.now_ms(), id_ or world.new_id()
    begins = max(world.clock.now(), after)
    run = {
        "id": id_,
        "createdAt": now,
        "updatedAt": now,
        "createdBy": "system",
        "updatedBy": "system",
        "createdClient": "system",
        "updatedClient": "system",
        "sandboxId": flow["sandboxId"],
        "sandboxName": scope.sandbox,
        "imsOrgId": scope.org,
        "flowId": flow["id"],
        "flowSpec": flow["flowSpec"],
        "providerRefId": world.new_id(),
        "etag": world.new_etag(),
        "params": params or {},
        "metrics": {
            "durationSummary": {"startedAtUTC": now, "extensions": _window(window)},
            "statusSummary": {"status": "scheduled"},
        },
        "activities": [],
        "_emulator": {
            "delta": delta,
            "window": window,
            "everything": everything,
            "batch": world.new_hex(),
            "ends": begins + world.options.run_time,
            "due": begins + world.options.run_time / 4,
        },
    }
    if earlier := world.store.get("runs", scope, id_):
        world.store.put("runs", scope, id_, {**run, "createdAt": earlier["createdAt"]})
    else:
        world.store.add("runs", scope, id_, run, parent=flow["id"])


def _window(window: tuple[int, int]) -> dict[str, int]:
    return {"windowStart": window[0] * 1000, "windowEnd": window[1] * 1000}


def continue_run(world: World, scope: Scope, id_: str) -> None:
    """Move a run to its next state: in progress, ended, counted."""
    run = world.store.get("runs", scope, id_)
    if run is None:
        return
    notes = run["_emulator"]
    if "late" in notes:
        _count(world, scope, run, notes.pop("late"))
    elif run["metrics"]["statusSummary"]["status"] == "scheduled":
        run["metrics"]["statusSummary"]["status"] = "inProgress"
        run["updatedAt"], run["etag"] = world.now_ms(), world.new_etag()
        notes["due"] = notes["ends"]
        world.store.put("runs", scope, id_, run)
    else:
        _end(world, scope, run)


def _end(world: World, scope: Scope, run: Body) -> None:
    """Ingest, and set the outcome. A process that is killed here ends the run after its restart."""
    notes = run["_emulator"]
    flow = world.store.get("flows", scope, run["flowId"])
    rule = world.faults.take(f"RUN {(flow or {}).get('name', '')}")
    outcome = rule.outcome if rule else None
    if outcome == "stuck":
        notes["due"] = None
        world.store.put("runs", scope, run["id"], run)
        return
    try:
        if outcome == "failed":
            raise Gone("a fault rule of the emulator requests this failure")
        result = Ingestion(world, scope, flow or {}, run).execute()
    except (Gone, TableError) as e:
        result = failed(str(e))
    except Exception as e:
        # The exception's text may contain a row.
        log.warning("Run %s failed: %s", run["id"], type(e).__name__)
        result = failed("The source could not be read")
    now = world.now_ms()
    counted = {
        "metrics": {
            "durationSummary": {**run["metrics"]["durationSummary"], "completedAtUTC": now},
            **result["metrics"],
        },
        "activities": result["activities"],
        "ended": now,
    }
    if outcome:
        _apply_outcome(counted["metrics"], outcome, world.choices["partial-status"])
    notes["due"] = None
    run["updatedAt"], run["etag"] = now, world.new_etag()
    with world.store.transaction():
        if batch := result["batch"]:
            world.store.add("batches", scope, notes["batch"], batch, parent=batch["dataSet"])
            kept = {**result["diagnostics"], "_emulator": {"due": world.clock.now() + DIAGNOSTICS_KEPT}}
            world.store.add("diagnostics", scope, notes["batch"], kept, parent=batch["dataSet"])
            _store_last_batch(world, scope, batch)
        if outcome == "vanish":
            world.store.delete("runs", scope, run["id"])
            return
        if outcome == "renamed":  # restarted with another id
            world.store.delete("runs", scope, run["id"])
            run["id"] = world.new_id()
            world.store.add("runs", scope, run["id"], run, parent=run["flowId"])
        if world.options.lag:
            run["metrics"]["statusSummary"]["status"] = counted["metrics"]["statusSummary"]["status"]
            notes["late"], notes["due"] = counted, world.clock.now() + world.options.lag
            world.store.put("runs", scope, run["id"], run)
        else:
            _count(world, scope, run, counted)


def _store_last_batch(world: World, scope: Scope, batch: Body) -> None:
    """Store a dataset's last batch."""
    if dataset := world.store.get("dataSets", scope, batch["dataSet"]):
        outcome = "lastSuccessfulBatch" if batch["status"] == "success" else "lastFailedBatch"
        dataset |= {"lastBatchId": batch["id"], "lastBatchStatus": batch["status"], outcome: batch["id"]}
        world.store.put("dataSets", scope, dataset["id"], dataset)


def _count(world: World, scope: Scope, run: Body, counted: Body) -> None:
    """Store a run's counts, and the last run of its flow."""
    run["metrics"], run["activities"] = counted["metrics"], counted["activities"]
    run["_emulator"]["due"] = None
    with world.store.transaction():
        world.store.put("runs", scope, run["id"], run)
        if flow := world.store.get("flows", scope, run["flowId"]):  # a request may have changed it during the run
            flow["lastRunDetails"] = {
                "id": run["id"],
                "state": run["metrics"]["statusSummary"]["status"],
                "startedAtUTC": run["metrics"]["durationSummary"]["startedAtUTC"],
                "completedAtUTC": counted["ended"],
            }
            world.store.put("flows", scope, flow["id"], flow)


def _apply_outcome(metrics: Body, outcome: str, partial: str) -> None:
    """Change the metrics to an irregular outcome that AEP's runs sometimes have."""
    counts = metrics["recordSummary"]
    if outcome == "no-completion":
        del metrics["durationSummary"]["completedAtUTC"]
    elif outcome == "unknown-counts":
        metrics["recordSummary"] = dict.fromkeys(counts, -1)
    elif outcome == "partial" and counts["outputRecordCount"] > 0:
        counts["outputRecordCount"] -= 1
        counts["failedRecordCount"] += 1
        metrics["statusSummary"] = {
            "status": partial,
            "errors": [{"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}],
        }
