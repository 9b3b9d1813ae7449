"""Real tasks of a real Airflow, each killed with -9 in the middle of its create; Airflow tries again.

Afterwards there is one object of each kind, it is what the task has returned, and each row has landed once.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

CRASHING = Path(__file__).with_name("crashing")
SETTLE = 4
CREATES = {
    "base": "connections", "class": "classes", "ad_hoc_schema": "schemas", "source": "sourceConnections",
    "schema": "schemas", "descriptor": "descriptors", "dataset": "dataSets", "dataset_base": "connections",
    "target": "targetConnections", "mapping": "mappingSets", "flow": "flows", "run": "runs",
}  # fmt: skip
AS_MANY = {"connections": 2, "schemas": 2, "runs": 2}  # of each onboarding; of other kinds one
OPERATIONS = sorted({f"POST */{kind}" for kind in CREATES.values()})


@pytest.fixture
def airflow(emulator, start_airflow, tmp_path):
    folder = shutil.copytree(CRASHING, tmp_path / "dags")
    options = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__AEP__SETTLE": str(SETTLE),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    }
    with start_airflow(emulator, "crashing", **options) as running:
        yield running


def of_onboarding(emulator, name):
    """Ids by kind of all that an onboarding has made."""
    found = {}
    for kind in {*CREATES.values()}:
        for _, body in emulator.world.store.everywhere(kind):
            titled = body.get("name") or body.get("title") or ""
            if titled.startswith(f"{name} "):
                found.setdefault(kind, []).append(body.get("id") or body["$id"])
    schema = set(found.get("schemas", ()))
    flows = set(found.get("flows", ()))
    found["descriptors"] = [
        d["@id"] for _, d in emulator.world.store.everywhere("descriptors") if d["xdm:sourceSchema"] in schema
    ]
    found["runs"] = [r["id"] for _, r in emulator.world.store.everywhere("runs") if r["flowId"] in flows]
    return found


def check(emulator, airflow, name, moment, died):
    """:param died: the tasks that were killed"""
    [run_id] = [r["dag_run_id"] for r in airflow.ask("GET", "/dags/crashing/dagRuns")["dag_runs"]
                if r["conf"]["name"] == name]  # fmt: skip
    path = f"/dags/crashing/dagRuns/{run_id}/taskInstances"
    tries = {t["task_id"]: t["try_number"] for t in airflow.ask("GET", path)["task_instances"]}
    assert {task for task, n in tries.items() if n > 1} == died, (moment, tries)
    found = of_onboarding(emulator, name)
    assert {kind: len(ids) for kind, ids in found.items()} == {k: AS_MANY.get(k, 1) for k in {*CREATES.values()}}
    for task, kind in CREATES.items():
        returned = airflow.ask("GET", f"{path}/{task}/xcomEntries/return_value")["value"]
        returned = returned["id"] if isinstance(returned, dict) else returned
        assert returned in found[kind], task
    [dataset] = found["dataSets"]
    files = [f for f in emulator.lake.rglob("*.parquet") if f.parent.name == dataset]
    assert len(files) == 2  # of the first run, and of the one on demand
    for file in files:
        rows = [row["_id"] for row in pq.read_table(file).to_pylist()]
        assert len(rows) == len(set(rows)) > 0


def faults(emulator, do, **rule):
    """What AEP does at each create of the onboarding that comes next."""
    emulator.world.faults.clear()
    for operation in OPERATIONS:
        calls = [1, 2] if operation.endswith(("/connections", "/schemas")) else [1]
        emulator.fault(operation, do, calls=calls, **rule)
        emulator.fault(operation.replace("POST", "GET"), "lag", seconds=1)


def crash(airflow, moment, **conf):
    state, tasks = airflow.run("crashing", {"name": f"Crash {moment}", "moment": moment, **conf}, seconds=300)
    assert state == "success", (moment, {t: s for t, s in tasks.items() if s == "failed"})


def test_every_kind_killed_at_every_moment(emulator, airflow):
    """What makes no sense: a start of the flow's first run, which is AEP's own; explore, which writes nothing."""
    quiet = ("before-send", "after-answer", "after-note")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda moment: crash(airflow, moment), quiet))
    for moment in quiet:
        check(emulator, airflow, f"Crash {moment}", moment, set(CREATES))
    faults(emulator, "hang", seconds=2, commit="now")
    crash(airflow, "after-commit")
    assert emulator.unfired() == []
    check(emulator, airflow, "Crash after-commit", "after-commit", set(CREATES))
    faults(emulator, "answer", status=504, commit=2)
    crash(airflow, "late-commit")
    assert emulator.unfired() == []
    check(emulator, airflow, "Crash late-commit", "late-commit", set(CREATES))
    emulator.world.faults.clear()
    crash(airflow, "supervisor", only="source")
    check(emulator, airflow, "Crash supervisor", "supervisor", {"source"})
