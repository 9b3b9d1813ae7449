"""Exactly one object of each kind, although tasks are killed, DAG runs race, and requests or responses are lost."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

CRASHING = Path(__file__).with_name("crashing")
CREATES = {
    "base": "connections", "class": "classes", "ad_hoc_schema": "schemas", "source": "sourceConnections",
    "schema": "schemas", "descriptor": "descriptors", "dataset": "dataSets", "dataset_base": "connections",
    "target": "targetConnections", "mapping": "mappingSets", "flow": "flows", "run": "runs",
}  # fmt: skip
ONE_OF_EACH = {**dict.fromkeys(CREATES.values(), 1), "connections": 2, "schemas": 2}
LOST_RESPONSE = {"do": "hang", "seconds": 2, "commit": "now"}
LATE_COMMIT = {"do": "answer", "status": 504, "commit": 1}
MOMENTS = {  # what the emulator does at a create
    "before-send": None,
    "after-answer": None,
    "after-note": None,
    "after-commit": LOST_RESPONSE,
    "late-commit": LATE_COMMIT,
}
STORM = (
    {"do": "reset", "commit": "never", "rate": 0.06},
    {"do": "reset", "commit": "now", "rate": 0.08},
    {"do": "answer", "status": 504, "commit": 1, "rate": 0.08},
    {"do": "answer", "status": 429, "retry_after": 0, "rate": 0.06},
    {"do": "answer", "status": 500, "commit": "now", "rate": 0.03},
)
CRASHES = int(os.environ.get("AEP_SOAK_CRASHES", "2"))
"""Number of onboardings. Each kind of object has another moment in each of them, so five are every combination."""
RACES = int(os.environ.get("AEP_SOAK_DAG_RACES", "1"))
STORMS = int(os.environ.get("AEP_SOAK_STORMS", "1"))


@pytest.fixture(scope="module", autouse=True)
def dags(airflow):
    files = {file.name: file.read_text() for file in CRASHING.glob("*.py")}
    with airflow.dags_in(files, "crashing", "racing", "storming"):
        yield


@pytest.fixture
def connect(airflow, make_emulator):
    """Start an emulator behind an Airflow connection of its own."""

    def start(conn_id):
        emulator = make_emulator()
        airflow.connect(conn_id, emulator.connection())
        return emulator

    return start


def created_by(emulator, name):
    """Return the ids of all that an onboarding has created, by kind."""
    found = {}
    for kind in {*CREATES.values()}:
        for _, body in emulator.world.store.everywhere(kind):
            titled = body.get("name") or body.get("title") or ""
            if titled.startswith(f"{name} "):
                found.setdefault(kind, []).append(body.get("id") or body["$id"])
    schemas, flows = found.get("schemas", ()), found.get("flows", ())
    found["descriptors"] = [
        d["@id"] for _, d in emulator.world.store.everywhere("descriptors") if d["xdm:sourceSchema"] in schemas
    ]
    found["runs"] = [r["id"] for _, r in emulator.world.store.everywhere("runs") if r["flowId"] in flows]
    return found


def count(found):
    return {kind: len(ids) for kind, ids in found.items()}


def files_in_lake(emulator, name):
    """Return the ids of the rows that have landed in an onboarding's dataset, by file."""
    [dataset] = created_by(emulator, name)["dataSets"]
    files = [f for f in emulator.lake.rglob("*.parquet") if f.parent.name == dataset]
    return [[row["_id"] for row in pq.read_table(file).to_pylist()] for file in files]


def fail_creates(emulator, kind, **rule):
    """Let the creates of a kind in one onboarding fail, and let its lists lag behind."""
    calls = [1, 2] if kind in {"connections", "schemas"} else [1]
    emulator.fault(f"POST */{kind}", calls=calls, **rule)
    emulator.fault(f"GET */{kind}", "lag", seconds=1)


def deaths_in(airflow, run_id):
    """Return the tasks of a DAG run that were killed."""
    lines = (airflow.home / "deaths").read_text().splitlines()
    return sorted(task for run, task in map(str.split, lines) if run == run_id)


def test_every_create_is_killed_and_leaves_one_object(airflow, connect):
    """Each create's first try is killed with SIGKILL, one with its supervisor, and Airflow tries again.

    Afterwards each task returns the one object of its kind, and each row has landed once. Airflow itself may retry a
    task for another reason, so a killed task is recognised by the line that it wrote before, not by its tries.
    """
    kinds = [*dict.fromkeys(CREATES.values())]
    emulators, runs = [], []
    for n in range(CRASHES):
        moment_of = {kind: [*MOMENTS][(n * 2 + k) % len(MOMENTS)] for k, kind in enumerate(kinds)}
        moments = {task: moment_of[kind] for task, kind in CREATES.items()}
        if n == 0:  # one only: Airflow notices after a minute
            supervised = next(task for task, moment in moments.items() if not MOMENTS[moment])
            moments[supervised] = "supervisor"
        emulator = connect(f"aep_crash_{n}")
        for kind, moment in moment_of.items():
            if rule := MOMENTS[moment]:
                fail_creates(emulator, kind, **rule)
        emulators.append(emulator)
        runs.append(airflow.trigger("crashing", {"conn_id": f"aep_crash_{n}", "name": "Crash", "moments": moments}))
    for n, (emulator, run_id) in enumerate(zip(emulators, runs, strict=True)):
        state, tasks = airflow.wait("crashing", run_id, may_fail=True)
        assert state == "success", (n, tasks)
        assert deaths_in(airflow, run_id) == sorted(CREATES), n
        assert emulator.unfired() == [], n
        check_objects(emulator, airflow, n, run_id)


def check_objects(emulator, airflow, n, run_id):
    found = created_by(emulator, "Crash")
    assert count(found) == {**ONE_OF_EACH, "runs": 2}, n
    for task, kind in CREATES.items():
        path = f"/dags/crashing/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value"
        returned = airflow.ask("GET", path)["value"]
        if isinstance(returned, dict):  # a mapping set, or a run
            returned = returned.get("id") or returned["run_id"]
        assert returned in found[kind], (n, task)
    files = files_in_lake(emulator, "Crash")
    assert len(files) == 2, n  # of the first run, and of the one on demand
    assert all(len(rows) == len(set(rows)) > 0 for rows in files), n


def test_two_dag_runs_at_the_same_moment(airflow, connect):
    emulator = connect("aep_race")
    for race in range(RACES):
        name = f"Race {race}"
        runs = [airflow.trigger("racing", {"conn_id": "aep_race", "name": name}) for _ in range(2)]
        ends = [airflow.wait("racing", run, may_fail=True) for run in runs]
        assert [state for state, _ in ends] == ["success"] * 2, ends
        check_onboarding(emulator, name)


def test_whole_onboardings_in_a_storm(airflow, connect):
    emulator = connect("aep_storm")
    for n, rule in enumerate(STORM):
        emulator.fault("* /data/*", **rule, seed=n)
    emulator.fault("GET /data/*", "lag", seconds=1)
    names = [f"Storm {n}" for n in range(STORMS)]

    def onboard(name):
        return airflow.run("storming", {"conn_id": "aep_storm", "name": name}, may_fail=True)

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(onboard, names))
    assert [state for state, _ in ends] == ["success"] * len(names), ends
    for name in names:
        check_onboarding(emulator, name)


def check_onboarding(emulator, name):
    found = count(created_by(emulator, name))
    assert found == ONE_OF_EACH | {"mappingSets": found["mappingSets"]}  # one that nothing uses does no harm
    [rows] = files_in_lake(emulator, name)
    assert len(rows) == len(set(rows)) > 0
