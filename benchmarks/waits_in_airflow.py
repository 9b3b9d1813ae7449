"""From the end of a run in AEP to the end of its task, in a real Airflow: scheduler, triggerer, API server, database.

All waits are under way before the first run ends; the runs then end one after the other. ``start_in_triggerer`` has its
tasks end in the triggerer; ``deferrable`` needs a worker's process to begin each, and another one to end it.

    make bench-airflow
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("", "provider", "system")]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp()  # of this process; the Airflow that is measured has its own

from real_airflow import RealAirflow, whole_airflow  # what the tests run Airflow with
from rich.console import Console
from rich.table import Table
from waits import put_run

from aep_emulator.core.options import Options
from aep_emulator.core.store import Store
from aep_emulator.core.world import World
from aep_emulator.engine.source_data import Sources, sample_data
from aep_emulator.server import running
from aep_emulator.testing import AepEmulator
from airflow_provider_aep.testing import connection

CAPACITY = 1000
"""Triggers that one triggerer takes at once: Airflow's default, said here so that it is."""
PARALLELISM = 8
WAYS = ("start_in_triggerer", "deferrable")
DAG = """
from airflow.sdk import DAG
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

for way in {ways}:
    with DAG(way, schedule=None):
        for n in range({waits}):
            given = {{"poke_interval": {interval}, "timeout": 7200, "check_batches": False, way: True}}
            AepFlowRunSensor(task_id=f"{{way}}-{{n}}", flow_id="f", run_id=f"{{way}}-{{n}}", **given)
"""


def until(airflow: RealAirflow, path: str, states: set[str], seconds: float) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while True:
        found = airflow.tasks(path)
        if found and all(t["state"] in states for t in found):
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"Not all tasks are in {states}; see {airflow.output}")
        time.sleep(2)


def one(emulator: AepEmulator, airflow: RealAirflow, way: str, given: argparse.Namespace) -> dict[str, Any]:
    """Of one way of waiting: seconds until all wait, and from each run's end to its task's."""
    ids = [f"{way}-{n}" for n in range(given.waits)]
    for id_ in ids:
        put_run(emulator, id_, status="inProgress")
    began = time.monotonic()
    path = f"/dags/{way}/dagRuns/{airflow.trigger(way, {})}"
    until(airflow, path, {"deferred"}, 1800)
    wait = time.monotonic() - began
    asked = len(emulator.requests("GET */runs*"))
    ends, first = {}, time.monotonic()
    for n, id_ in enumerate(ids):
        time.sleep(max(0.0, first + given.over * n / len(ids) - time.monotonic()))
        put_run(emulator, id_)
        ends[id_] = time.time()
    over = until(airflow, path, {"success"}, 1800)
    late = sorted(datetime.fromisoformat(t["end_date"]).timestamp() - ends[t["task_id"]] for t in over)
    return {
        "waits": len(late),
        "until all wait": wait,
        "median": statistics.median(late),
        "p99": late[math.ceil(0.99 * len(late)) - 1],
        "longest": late[-1],
        "requests": len(emulator.requests("GET */runs*")) - asked,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="From the end of a run to the end of its task.")
    parser.add_argument("--waits", type=int, default=200)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks")
    parser.add_argument("--over", type=float, default=200.0, help="seconds in which the runs end, one after the other")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        dag = DAG.format(ways=WAYS, waits=given.waits, interval=given.interval)
        world = World(Store(Path(folder) / "state.db"), Sources(sample_data()), Options(lake=lake))
        options = {
            "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(max(given.waits, 1)),
            "AIRFLOW__TRIGGERER__CAPACITY": str(CAPACITY),
        }
        with running(world) as url:
            emulator = AepEmulator(url, world, lake)
            with whole_airflow(Path(folder) / "airflow", **options) as airflow:
                airflow.connect("aep_default", connection(emulator))
                with airflow.dags_in({"waits.py": dag}, *WAYS):
                    found = {way: one(emulator, airflow, way, given) for way in WAYS}
    if given.json:
        print(json.dumps(found))
        return
    table = Table("", "waits", "until all wait", "run end to task end: median", "p99", "longest", "requests meanwhile")
    for way, f in found.items():
        seconds = [f"{f[k]:.1f} s" for k in ("until all wait", "median", "p99", "longest")]
        table.add_row(way, str(f["waits"]), *seconds, str(f["requests"]))
    Console(width=132).print(table)
    print(f"Looks every {given.interval:g} s; triggerer capacity {CAPACITY}, parallelism {PARALLELISM}, PostgreSQL.")


if __name__ == "__main__":
    main()
