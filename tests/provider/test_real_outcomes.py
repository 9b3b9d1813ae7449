"""A real scheduler and triggerer: each way a wait can end, in each way of waiting, comes to the same.

All waits are under way when the triggerer is killed with -9; then their runs end, and another triggerer goes on.
"""

import json
import shutil
import time
from pathlib import Path

import pytest
from real_airflow import PATIENCE
from waits import put_run

DAGS = Path(__file__).parents[2] / "dags"
MODES = {
    "poke": {"deferrable": False},
    # Airflow fails a task that it reschedules faster than it hears of its executor. Each look is a process of its own.
    "reschedule": {"deferrable": False, "mode": "reschedule", "poke_interval": 20},
    "deferrable": {"deferrable": True},
    "triggerer": {"start_in_triggerer": True},
}
BAD, LATE, SOFT = "AepPermanentError", "AirflowSensorTimeout", {"soft_fail": True}
# How the run ends, the arguments of the wait, the state of its task, and what it raises.
OUTCOMES = {
    "good": ({"status": "success"}, {}, "success", None),
    "partial": ({"status": "success", "failed": 1}, {}, "failed", BAD),
    "soft": ({"status": "success", "failed": 1}, SOFT, "skipped", None),
    "failed": ({"status": "failed"}, {}, "failed", BAD),
    "cancelled": ({"status": "cancelled"}, {}, "failed", BAD),
    "unknown": ({"status": "new"}, {}, "failed", BAD),
    "late": (None, {"timeout": 45}, "failed", LATE),
    "late_soft": (None, {"timeout": 45, **SOFT}, "skipped", None),
    "unreachable": (None, {"aep_conn_id": "aep_dead", "max_unreachable": 20}, "failed", "AepRetryableError"),
    "marked": (None, {}, "failed", None),
    "cleared": ({"status": "success"}, {}, "success", None),
}
DAG = f"""
from airflow.sdk import DAG
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

with DAG("outcomes", schedule=None):
    for outcome, (_, arguments, *_) in {OUTCOMES!r}.items():
        for mode, how in {MODES!r}.items():
            given = {{"timeout": 600, "poke_interval": 2, "check_batches": False, "retries": 0, **how, **arguments}}
            AepFlowRunSensor(task_id=f"{{outcome}}-{{mode}}", flow_id="f", run_id=outcome, **given)
"""
DEAD = {
    "conn_type": "aep",
    "login": "client",
    "password": "secret",
    "extra": {"org_id": "EMULATOR@AdobeOrg", "sandbox": "dev", "ims_url": "http://127.0.0.1:9"},
    "host": "http://127.0.0.1:9",
}


@pytest.fixture
def airflow(emulator, start_airflow, tmp_path):
    folder = shutil.copytree(DAGS, tmp_path / "dags")
    (folder / "outcomes.py").write_text(DAG)
    for outcome in OUTCOMES:
        put_run(emulator, outcome, status="inProgress")
    options = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
        "AIRFLOW_CONN_AEP_DEAD": json.dumps(DEAD),
    }
    with start_airflow(emulator, "outcomes", **options) as running:
        yield running


class Run:
    """The DAG run of the waits."""

    def __init__(self, airflow):
        self.airflow = airflow
        self.id = airflow.trigger("outcomes", {})
        self.path = f"/dags/outcomes/dagRuns/{self.id}/taskInstances"

    def states(self):
        tasks = self.airflow.ask("GET", self.path, params={"limit": 100})["task_instances"]
        return {t["task_id"]: t["state"] for t in tasks}

    def until(self, seen):
        deadline = time.monotonic() + PATIENCE
        while not seen(states := self.states()):
            assert time.monotonic() < deadline, (states, self.airflow.output)
            time.sleep(0.5)

    def raised(self, task):
        """The class and the message of the error in which a task's first try ended."""
        log = self.airflow.log(f"{self.path}/{task}")
        errors = [line for line in log if line.get("event") == "Task failed with exception"]
        detail = [e["error_detail"][0] for e in errors]
        return [(d["exc_type"], d["exc_value"]) for d in detail][-1:] or None


def test_each_end_is_the_same_in_each_way_of_waiting(emulator, airflow):
    run = Run(airflow)
    waits = {"poke": "running", "reschedule": "up_for_reschedule", "deferrable": "deferred", "triggerer": "deferred"}
    long = {f"{o}-{m}": state for o, (_, a, *_) in OUTCOMES.items() for m, state in waits.items() if len(a) < 2}
    run.until(lambda states: all(states[t] in {state, "running"} for t, state in long.items()))

    def runs_end():
        for outcome, (ends, *_) in OUTCOMES.items():
            if ends:
                put_run(emulator, outcome, **ends)

    for mode in MODES:
        airflow.ask("PATCH", f"{run.path}/marked-{mode}", json={"new_state": "failed"})
    cleared = {"dag_run_id": run.id, "task_ids": [f"cleared-{mode}" for mode in MODES], "dry_run": False}
    airflow.ask("POST", "/dags/outcomes/clearTaskInstances", json={**cleared, "only_failed": False})
    airflow.restart_triggerer(runs_end)
    over = {"success", "failed", "skipped", "upstream_failed"}
    run.until(lambda s: all(state in over for state in s.values()))

    states = run.states()
    assert {t: s for t, s in states.items() if s != OUTCOMES[t.split("-")[0]][2]} == {}
    for outcome, (*_, error) in OUTCOMES.items():
        if error:
            said = {mode: run.raised(f"{outcome}-{mode}") for mode in MODES}
            assert len({str(s) for s in said.values()}) == 1, said
            assert [kind for kind, _ in said["poke"]] == [error], said
