"""Flow runs: they open by their flow's schedule or on demand, go through their states, and end with what was ingested.

Everything that happens by itself in the emulator happens here, at a moment that is noted with the object it happens to.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from airflow_provider_aep.emulator.flow_service import schedule
from airflow_provider_aep.emulator.ingest import Gone, Ingestion, failed
from airflow_provider_aep.emulator.refusals import Refusal
from airflow_provider_aep.emulator.service import World
from airflow_provider_aep.emulator.specs import SECONDS
from airflow_provider_aep.emulator.store import Scope

log = logging.getLogger(__name__)

_POLL = 0.2
DIAGNOSTICS_KEPT = 30 * 86_400
"""Seconds that failed rows can be read. Source: "Retrieving error diagnostics" in Adobe's guide."""

_MOST_STEPS = 10_000
"""Of one call: a clock that jumps over years opens no more runs at once."""

Body = dict[str, Any]


class Runner(threading.Thread):
    """Lets happen what is due, as long as the clock goes by itself; a frozen one is moved, and steps, on command."""

    def __init__(self, world: World) -> None:
        super().__init__(name="flow-runs", daemon=True)
        self._world = world
        self._ended = threading.Event()

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=10)

    def run(self) -> None:
        while not self._ended.wait(_POLL):
            if self._world.clock.frozen:
                continue
            try:
                step(self._world)
            except Exception:
                log.exception("What was due could not be done")


def step(world: World) -> None:
    """Let happen what is due: what was postponed to now, changes of state that end, runs."""
    with world.stepping:
        now = world.clock.now()
        for at, act in [p for p in world.postponed if p[0] <= now]:
            world.postponed.remove((at, act))
            try:
                act()
            except Refusal as refusal:
                log.warning("What was asked for earlier was refused: %s", refusal.status)
        for _ in range(_MOST_STEPS):
            due = world.store.due(now)
            for kind, scope, id_ in due:
                _happen(world, kind, scope, id_, now)
            if not due:
                return


def _happen(world: World, kind: str, scope: Scope, id_: str, now: float) -> None:
    """What is due to one object; that it goes wrong there keeps nothing else from happening."""
    try:
        with world.store.drawing("runs"):
            if kind == "runs":
                _go_on(world, scope, id_)
            elif kind == "diagnostics":  # their time is over
                world.store.delete(kind, scope, id_)
            else:
                _settle_or_open(world, kind, scope, id_, now)
    except Exception:
        log.exception("What was due to %s %s could not be done; it stays as it is", kind, id_)
        world.store.park(kind, scope, id_)


def next_due(world: World) -> float | None:
    """When the next thing happens by itself, in seconds since the epoch; ``None`` if nothing will."""
    moments = [at for at, _ in world.postponed]
    if (due := world.store.next_due()) is not None:
        moments.append(due)
    return min(moments, default=None)


def _settle_or_open(world: World, kind: str, scope: Scope, id_: str, now: float) -> None:
    # Read within the transaction: a request may have changed it meanwhile.
    with world.store.transaction():
        body = world.store.get(kind, scope, id_)
        if body is None:
            return
        notes = body["_emulator"]
        settles = notes.get("settles")
        if settles and settles["at"] <= now:
            del notes["settles"]
            if settles["state"] is None:
                world.store.delete(kind, scope, id_)
                return
            body["state"] = settles["state"]
            body["etag"] = body["version"] = world.new_etag()
        elif kind == "flows" and body["state"] == "enabled" and notes.get("nextRunAt") is not None:
            _open_next(world, scope, body)
        schedule(world, body)
        world.store.put(kind, scope, id_, body)


def _open_next(world: World, scope: Scope, flow: Body) -> None:
    """The run of a flow's schedule whose time has come."""
    due = flow["_emulator"]["nextRunAt"]
    params = flow["scheduleParams"]
    length = SECONDS.get(params["frequency"], 0) * int(params.get("interval", 0))
    start = int(params["startTime"])
    first = due == start
    backfill = params["frequency"] == "once" or str(params.get("backfill", True)).lower() == "true"
    window = (0 if backfill else start) if first else due - length, due
    flow["_emulator"]["nextRunAt"] = due + length if length else None
    steps = {t["name"]: t.get("params") or {} for t in flow["transformations"]}
    # A one-time flow copies everything; its Copy, if any, is what an on-demand run left.
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
    """Start a run of a flow; one that exists starts over.

    :param window: of the rows it takes, in seconds since the epoch
    :param delta: the column that tells whether a row is in the window; ``None`` takes all rows
    :param after: the moment before which it does not begin
    :param everything: of a cloud storage, take every file, and not only those of the window
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


def _go_on(world: World, scope: Scope, id_: str) -> None:
    """A run's next state: in progress, ended, counted."""
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
    """Ingest, and say how it went; a kill meanwhile leaves the run in progress, and it ends after the restart."""
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
            raise Gone("a rule of the emulator says so")
        result = Ingestion(world, scope, flow or {}, run).execute()
    except Gone as e:
        result = failed(str(e))
    except Exception as e:
        # Its text may quote a row.
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
        _spoil(counted["metrics"], outcome, world.choices["partial-status"])
    notes["due"] = None
    run["updatedAt"], run["etag"] = now, world.new_etag()
    with world.store.transaction():
        if batch := result["batch"]:
            world.store.add("batches", scope, notes["batch"], batch, parent=batch["dataSet"])
            kept = {**result["diagnostics"], "_emulator": {"due": world.clock.now() + DIAGNOSTICS_KEPT}}
            world.store.add("diagnostics", scope, notes["batch"], kept, parent=batch["dataSet"])
            _note_batch(world, scope, batch)
        if outcome == "vanish":
            world.store.delete("runs", scope, run["id"])
            return
        if outcome == "renamed":  # started again under another id
            world.store.delete("runs", scope, run["id"])
            run["id"] = world.new_id()
            world.store.add("runs", scope, run["id"], run, parent=run["flowId"])
        if world.options.lag:
            run["metrics"]["statusSummary"]["status"] = counted["metrics"]["statusSummary"]["status"]
            notes["late"], notes["due"] = counted, world.clock.now() + world.options.lag
            world.store.put("runs", scope, run["id"], run)
        else:
            _count(world, scope, run, counted)


def _note_batch(world: World, scope: Scope, batch: Body) -> None:
    """What a dataset knows of its last batch."""
    if dataset := world.store.get("dataSets", scope, batch["dataSet"]):
        outcome = "lastSuccessfulBatch" if batch["status"] == "success" else "lastFailedBatch"
        dataset |= {"lastBatchId": batch["id"], "lastBatchStatus": batch["status"], outcome: batch["id"]}
        world.store.put("dataSets", scope, dataset["id"], dataset)


def _count(world: World, scope: Scope, run: Body, counted: Body) -> None:
    """Write a run's counts, and what its flow knows of its last run."""
    run["metrics"], run["activities"] = counted["metrics"], counted["activities"]
    run["_emulator"]["due"] = None
    with world.store.transaction():
        world.store.put("runs", scope, run["id"], run)
        if flow := world.store.get("flows", scope, run["flowId"]):  # as it is now, not as it was before the run
            flow["lastRunDetails"] = {
                "id": run["id"],
                "state": run["metrics"]["statusSummary"]["status"],
                "startedAtUTC": run["metrics"]["durationSummary"]["startedAtUTC"],
                "completedAtUTC": counted["ended"],
            }
            world.store.put("flows", scope, flow["id"], flow)


def _spoil(metrics: Body, outcome: str, partial: str) -> None:
    """What AEP's runs are seen to end with now and then."""
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
