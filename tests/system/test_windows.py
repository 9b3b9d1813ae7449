"""The window of each kind of DAG run, and the example DAGs that ingest on demand and monitor."""

import os
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from real_airflow import until
from tasks import create_parts, flow

from airflow_provider_aep.client.models import Run
from airflow_provider_aep.runs.verdict import evaluate_run

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
INFERRED = ("trigger", "text", "by_asset", "manual")
SCHEDULED = ("well", "partial", "disabled")
NAMES = ("interval", "trigger_with_interval", *INFERRED)


@pytest.fixture
def flows(airflow, connected, connect):
    """The ids of a flow for each DAG, whose own first run has taken everything."""
    connect(connected)  # of the operators that make them, in this process
    parts = create_parts()
    ids = {name: flow(parts, start_in_minutes=0.01, name=f"{name} flow") for name in (*NAMES, "example")}
    hourly = {"frequency": "hour", "start_in_minutes": 0.01, "delta_column": "sys_updated_on"}
    ids |= {name: flow(parts, name=f"{name} flow", **hourly) for name in SCHEDULED}
    variables = {"aep_flow_id": ids["example"], **{f"flow_{name}": ids[name] for name in NAMES}}
    for key, value in variables.items():
        airflow.ask("POST", "/variables", json={"key": key, "value": value})

    def without_run():
        landed = {r["flowId"] for _, r in connected.world.store.everywhere("runs") if "recordSummary" in r["metrics"]}
        return {*ids.values()} - landed

    until(lambda: not without_run(), without_run)
    return ids


@pytest.fixture
def dags(airflow, flows, examples):
    files = examples(ON_DEMAND, MONITOR)
    slow = files[f"{ON_DEMAND}.py"]
    assert "deferrable=True" in slow
    files[f"{ON_DEMAND}.py"] = slow.replace("deferrable=True", "deferrable=True, poke_interval=0.5")
    with airflow.dags_in({**files, "cases.py": CASES}, *NAMES, "rows_come", ON_DEMAND, MONITOR):
        yield


def windows(emulator, flow_id):
    runs = [r["params"] for _, r in emulator.world.store.everywhere("runs") if r["flowId"] == flow_id and r["params"]]
    return sorted((r["windowStartTime"], r["windowEndTime"]) for r in runs)


def over(airflow, dag, number=1):
    """Return the runs of a DAG that are over, once there are that many. All must have succeeded."""

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
        if e.response.status_code != 409 or not airflow.database.is_sqlite:  # made, although a lock had it answer 500
            raise


@pytest.mark.usefixtures("dags")
def test_the_windows_of_every_kind_of_dag_run(connected, airflow, flows):
    emulator = connected
    day = datetime(2025, 3, 1, tzinfo=UTC)

    def at(n):
        return int((day + timedelta(days=n)).timestamp())

    for name in ("interval", "trigger_with_interval"):
        backfill(airflow, name, day, day + timedelta(days=2))
    backfill(airflow, ON_DEMAND, day, day + timedelta(days=DAYS - 1))
    now = datetime.now(UTC) + timedelta(seconds=1)  # after what the first runs have taken
    until(lambda: datetime.now(UTC) > now, "a second")  # no window ends in the future
    manual = {name: airflow.trigger(name, {}, now.isoformat()) for name in INFERRED if name != "by_asset"}
    rows_come = airflow.trigger("rows_come", {})

    # Intervals of a day each: of a backfill, without a gap and without an overlap.
    for name in ("interval", "trigger_with_interval"):
        over(airflow, name, 3)
        found = windows(emulator, flows[name])
        assert len(found) >= 3
        assert all(end - start == 86_400 for start, end in found)
        assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]], found
        assert at(0) in {found[0][0], found[0][1]}

    # Without an interval, a window begins at the end of what has landed and ends at the DAG run's moment.
    airflow.wait("rows_come", rows_come)
    over(airflow, "by_asset")
    for name in INFERRED:
        if name in manual:
            state, _ = airflow.wait(name, manual[name])
            assert state == "success", name
        first = next(r for _, r in emulator.world.store.everywhere("runs") if r["flowId"] == flows[name])
        landed = first["metrics"]["durationSummary"]["extensions"]["windowEnd"] // 1000
        found = windows(emulator, flows[name])
        assert [start for start, _ in found] == [landed], name
        assert abs(found[0][1] - now.timestamp()) < 120

    # The example DAGs.
    over(airflow, ON_DEMAND, DAYS + 1)  # and that of yesterday
    found = windows(emulator, flows["example"])
    assert len({*found}) == len(found) >= DAYS
    days = [w for w in found if w[1] <= at(DAYS + 1)]
    assert [start for start, _ in days[1:]] == [end for _, end in days[:-1]]
    assert days[-1][1] - days[0][0] == DAYS * 86_400

    watched_over(emulator, airflow, flows)


def watched_over(emulator, airflow, flows):
    """The monitor fails for unhealthy flows, and for no other."""
    store = emulator.world.store
    for scope, run in store.everywhere("runs"):
        if run["flowId"] == flows["well"]:
            run["metrics"]["recordSummary"]["failedRecordCount"] = 0
            run["metrics"]["statusSummary"] = {"status": "success"}
            activities = [{**a, "statusSummary": {"status": "success"}} for a in run["activities"]]
            store.put("runs", scope, run["id"], {**run, "activities": activities})
            for id_ in evaluate_run(Run.model_validate(run)).batch_ids:
                batch = store.get("batches", scope, id_)
                store.put("batches", scope, id_, {**batch, "metrics": {}, "errors": []})
    for scope, body in store.everywhere("flows"):
        if body["id"] == flows["disabled"]:
            store.put("flows", scope, body["id"], {**body, "state": "disabled"})
    run = f"/dags/{MONITOR}/dagRuns/{airflow.trigger(MONITOR, {})}"
    until(lambda: airflow.ask("GET", run)["state"] in {"success", "failed"}, airflow.output)
    found = {t["map_index"]: t["state"] for t in airflow.tasks(run) if t["task_id"] == "health"}
    watched = airflow.ask("GET", f"{run}/taskInstances/scheduled_flows/xcomEntries/return_value")["value"]
    by_name = {name: found[watched.index(flows[name])] for name in SCHEDULED}
    assert by_name == {"well": "success", "partial": "failed", "disabled": "failed"}
    assert len(watched) == len(SCHEDULED)
