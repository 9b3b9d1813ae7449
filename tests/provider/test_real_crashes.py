"""Real tasks of a real Airflow, each killed with -9 in the middle of its create; Airflow tries again.

Afterwards there is one object of each kind, it is what the task has returned, and each row has landed once.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from emulators import emulators

CRASHING = Path(__file__).with_name("crashing")
SETTLE = 4
CREATES = {
    "base": "connections", "class": "classes", "ad_hoc_schema": "schemas", "source": "sourceConnections",
    "schema": "schemas", "descriptor": "descriptors", "dataset": "dataSets", "dataset_base": "connections",
    "target": "targetConnections", "mapping": "mappingSets", "flow": "flows", "run": "runs",
}  # fmt: skip
AS_MANY = {"connections": 2, "schemas": 2, "runs": 2}  # of each onboarding; of other kinds one
STORM = (
    {"do": "reset", "commit": "never", "rate": 0.06},
    {"do": "reset", "commit": "now", "rate": 0.08},
    {"do": "answer", "status": 504, "commit": 2, "rate": 0.08},
    {"do": "answer", "status": 429, "retry_after": 0, "rate": 0.06},
    {"do": "answer", "status": 500, "commit": "now", "rate": 0.03},
)
RACES = int(os.environ.get("AEP_SOAK_DAG_RACES", "1"))
STORMS = int(os.environ.get("AEP_SOAK_STORMS", "1"))
OPERATIONS = sorted({f"POST */{kind}" for kind in CREATES.values()})


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with emulators(tmp_path_factory.mktemp("aep")) as make:
        yield make()


@pytest.fixture(scope="module")
def airflow(emulator, start_airflow, tmp_path_factory):
    folder = shutil.copytree(CRASHING, tmp_path_factory.mktemp("crashes") / "dags")
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
        if isinstance(returned, dict):  # a mapping set, or a run
            returned = returned.get("id") or returned["run_id"]
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
    state, tasks = airflow.run("crashing", {"name": f"Crash {moment}", "moment": moment, **conf}, may_fail=True)
    assert state == "success", (moment, {t: s for t, s in tasks.items() if s == "failed"})


def test_every_kind_killed_at_every_moment(emulator, airflow):
    """What makes no sense: a start of the flow's first run, which is AEP's own; explore, which writes nothing."""
    quiet = ("before-send", "after-answer", "after-note")
    with ThreadPoolExecutor(4) as pool:
        supervisor = pool.submit(crash, airflow, "supervisor", only="source")
        list(pool.map(lambda moment: crash(airflow, moment), quiet))
        supervisor.result()
    for moment in quiet:
        check(emulator, airflow, f"Crash {moment}", moment, set(CREATES))
    check(emulator, airflow, "Crash supervisor", "supervisor", {"source"})
    faults(emulator, "hang", seconds=2, commit="now")
    crash(airflow, "after-commit")
    assert emulator.unfired() == []
    check(emulator, airflow, "Crash after-commit", "after-commit", set(CREATES))
    faults(emulator, "answer", status=504, commit=2)
    crash(airflow, "late-commit")
    assert emulator.unfired() == []
    check(emulator, airflow, "Crash late-commit", "late-commit", set(CREATES))


def rows_landed(emulator, name):
    [dataset] = of_onboarding(emulator, name)["dataSets"]
    return [
        row["_id"]
        for file in emulator.lake.rglob("*.parquet")
        if file.parent.name == dataset
        for row in pq.read_table(file).to_pylist()
    ]


ONE_OF_EACH = {k: AS_MANY.get(k, 1) for k in {*CREATES.values()}} | {"runs": 1}


def test_two_dag_runs_at_the_same_moment(emulator, airflow):
    emulator.world.faults.clear()
    for race in range(RACES):
        name = f"Race {race}"
        with ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(lambda _: airflow.run("racing", {"name": name}, may_fail=True), range(2)))  # noqa: B023
        assert [state for state, _ in ends] == ["success"] * 2, ends
        found = {kind: len(ids) for kind, ids in of_onboarding(emulator, name).items()}
        assert found == ONE_OF_EACH | {"mappingSets": found["mappingSets"]}  # one that nothing uses does no harm
        rows = rows_landed(emulator, name)
        assert len(rows) == len(set(rows)) > 0


def test_whole_onboardings_in_a_storm(emulator, airflow):
    emulator.world.faults.clear()
    for n, rule in enumerate(STORM):
        emulator.fault("* /data/*", **rule, seed=n)
    emulator.fault("GET /data/*", "lag", seconds=1)
    names = [f"Storm {n}" for n in range(STORMS)]
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda name: airflow.run("storming", {"name": name}, may_fail=True), names))
    emulator.world.faults.clear()
    assert [state for state, _ in ends] == ["success"] * len(names), ends
    for name in names:
        found = {kind: len(ids) for kind, ids in of_onboarding(emulator, name).items()}
        assert found == ONE_OF_EACH | {"mappingSets": found["mappingSets"]}
        rows = rows_landed(emulator, name)
        assert len(rows) == len(set(rows)) > 0
