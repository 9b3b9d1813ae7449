"""A real scheduler: which window each kind of DAG run gives, and the example DAGs that ingest and watch."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from real_airflow import PATIENCE
from tasks import flow

from airflow_provider_aep.client.models import Run
from airflow_provider_aep.onboarding.verdict import judge

DAGS = Path(__file__).parents[2] / "dags"
DAYS = int(os.environ.get("AEP_SOAK_DAYS", "7"))
ON_DEMAND, MONITOR = "aep_ingest_on_demand", "aep_monitor"

CASES = """
from datetime import datetime, timedelta, timezone
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, CronTriggerTimetable, task
from airflow_provider_aep.operators.run import AepRunFlowOperator

DAY = datetime(2025, 3, 1, tzinfo=timezone.utc)
TIMETABLES = {
    "interval": CronDataIntervalTimetable("@daily", timezone="UTC"),
    "trigger": CronTriggerTimetable("@daily", timezone="UTC", interval=timedelta(0)),
    "trigger_with_interval": CronTriggerTimetable("@daily", timezone="UTC", interval=timedelta(days=1)),
    "text": "@daily",
    "by_asset": [Asset("rows_came")],
    "manual": None,
}
for name, schedule in TIMETABLES.items():
    span = {} if name in ("by_asset", "manual") else {"start_date": DAY}
    if "interval" in name:
        span["end_date"] = DAY + timedelta(days=2)
    with DAG(name, schedule=schedule, catchup=False, max_active_runs=1, params={"flow": ""}, **span):
        flow_id = "{{ var.value.get('flow_' + dag.dag_id) }}"
        AepRunFlowOperator(task_id="run", flow_id=flow_id, delta_column="sys_updated_on", wait=False)

with DAG("rows_come", schedule=None):
    task(task_id="come", outlets=[Asset("rows_came")])(lambda: None)()
"""
FOUND_OUT = ("trigger", "text", "by_asset", "manual")
SCHEDULED = ("well", "partial", "disabled")
NAMES = ("interval", "trigger_with_interval", *FOUND_OUT)


@pytest.fixture
def airflow(emulator, aep, parts, start_airflow, tmp_path):
    """With a flow for each DAG, whose own first run has taken everything."""
    folder = shutil.copytree(DAGS, tmp_path / "dags")
    example = folder / f"{ON_DEMAND}.py"
    example.write_text(example.read_text().replace("deferrable=True", "deferrable=True, poke_interval=0.5"))
    (folder / "cases.py").write_text(CASES)
    ids = {name: flow(parts, start_in_minutes=0.01, name=f"{name} flow") for name in (*NAMES, "example")}
    hourly = {"frequency": "hour", "start_in_minutes": 0.01, "delta_column": "sys_updated_on"}
    ids |= {name: flow(parts, name=f"{name} flow", **hourly) for name in SCHEDULED}
    variables = {f"AIRFLOW_VAR_FLOW_{name.upper()}": ids[name] for name in NAMES}
    options = {"AIRFLOW__CORE__DAGS_FOLDER": str(folder), "AIRFLOW_VAR_AEP_FLOW_ID": ids["example"], **variables}
    with start_airflow(emulator, "manual", **options) as running:
        running.flows = ids
        yield running


def until(seen, what):
    deadline = time.monotonic() + PATIENCE
    while not (found := seen()):
        assert time.monotonic() < deadline, what
        time.sleep(0.5)
    return found


def windows(emulator, flow_id):
    runs = [r["params"] for _, r in emulator.world.store.everywhere("runs") if r["flowId"] == flow_id and r["params"]]
    return sorted((r["windowStartTime"], r["windowEndTime"]) for r in runs)


def over(airflow, dag, number=1):
    def seen():
        found = airflow.ask("GET", f"/dags/{dag}/dagRuns", params={"limit": 100})["dag_runs"]
        done = [r for r in found if r["state"] in {"success", "failed"}]
        return len(done) >= number and done

    runs = until(seen, (dag, airflow.output))
    assert {r["state"] for r in runs} == {"success"}, (dag, runs)
    return runs


def backfill(airflow, dag, first, last):
    asked = {"dag_id": dag, "from_date": first.isoformat(), "to_date": last.isoformat(), "max_active_runs": 1}
    try:
        airflow.ask("POST", "/backfills", json={**asked, "run_backwards": False, "dag_run_conf": {}})
    except httpx.HTTPStatusError as e:
        if e.response.status_code != 409:  # it was made although SQLite was busy
            raise


def test_the_windows_of_every_kind_of_dag_run(emulator, airflow):
    ids = airflow.flows
    until(lambda: len(emulator.world.store.everywhere("runs")) == len(ids), "the flows' first runs")
    day = datetime(2025, 3, 1, tzinfo=UTC)

    def at(n):
        return int((day + timedelta(days=n)).timestamp())

    # Intervals of a day each: of a backfill, without a gap and without an overlap.
    for name in ("interval", "trigger_with_interval"):
        backfill(airflow, name, day, day + timedelta(days=2))
    for name in ("interval", "trigger_with_interval"):
        over(airflow, name, 3)
        found = windows(emulator, ids[name])
        assert len(found) >= 3
        assert all(end - start == 86_400 for start, end in found)
        assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]], found
        assert at(0) in {found[0][0], found[0][1]}

    # Nobody says where they begin: at the end of what has landed, up to the DAG run's moment.
    now = datetime.now(UTC) + timedelta(seconds=1)  # after what the first runs have taken
    until(lambda: datetime.now(UTC) > now, "a second")  # no window ends in the future
    airflow.run("rows_come", {})
    over(airflow, "by_asset")
    for name in FOUND_OUT:
        if name != "by_asset":
            asked = {"logical_date": now.isoformat(), "conf": {}}
            run = airflow.ask("POST", f"/dags/{name}/dagRuns", json=asked)["dag_run_id"]
            path = f"/dags/{name}/dagRuns/{run}"
            until(lambda path=path: airflow.ask("GET", path)["state"] == "success", (path, airflow.output))
        first = next(r for _, r in emulator.world.store.everywhere("runs") if r["flowId"] == ids[name])
        landed = first["metrics"]["durationSummary"]["extensions"]["windowEnd"] // 1000
        found = windows(emulator, ids[name])
        assert [start for start, _ in found] == [landed], name
        assert abs(found[0][1] - now.timestamp()) < 120

    # The example DAGs.
    backfill(airflow, ON_DEMAND, day, day + timedelta(days=DAYS - 1))
    over(airflow, ON_DEMAND, DAYS + 1)  # and that of yesterday
    found = windows(emulator, ids["example"])
    assert len({*found}) == len(found) >= DAYS
    days = [w for w in found if w[1] <= at(DAYS + 1)]
    assert [start for start, _ in days[1:]] == [end for _, end in days[:-1]]
    assert days[-1][1] - days[0][0] == DAYS * 86_400

    watched_over(emulator, airflow)


def watched_over(emulator, airflow):
    """The monitor fails for those that are not well, and for no other."""
    for scope, run in emulator.world.store.everywhere("runs"):
        if run["flowId"] == airflow.flows["well"]:
            run["metrics"]["recordSummary"]["failedRecordCount"] = 0
            run["metrics"]["statusSummary"] = {"status": "success"}
            activities = [{**a, "statusSummary": {"status": "success"}} for a in run["activities"]]
            emulator.world.store.put("runs", scope, run["id"], {**run, "activities": activities})
            for id_ in judge(Run.model_validate(run)).batch_ids:
                batch = emulator.world.store.get("batches", scope, id_)
                emulator.world.store.put("batches", scope, id_, {**batch, "metrics": {}, "errors": []})
    for scope, body in emulator.world.store.everywhere("flows"):
        if body["id"] == airflow.flows["disabled"]:
            emulator.world.store.put("flows", scope, body["id"], {**body, "state": "disabled"})
    run = airflow.trigger(MONITOR, {})
    path = f"/dags/{MONITOR}/dagRuns/{run}"
    assert until(lambda: airflow.ask("GET", path)["state"] in {"success", "failed"}, airflow.output)
    found = {
        t["map_index"]: t["state"]
        for t in airflow.ask("GET", f"{path}/taskInstances")["task_instances"]
        if t["task_id"] == "health"
    }
    flows = airflow.ask("GET", f"{path}/taskInstances/scheduled_flows/xcomEntries/return_value")["value"]
    by_name = {name: found[flows.index(airflow.flows[name])] for name in SCHEDULED}
    assert by_name == {"well": "success", "partial": "failed", "disabled": "failed"}
    assert len(flows) == len(SCHEDULED)
