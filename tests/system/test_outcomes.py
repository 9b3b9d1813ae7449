"""Each end of a wait for a run is the same in each way of waiting, although the triggerer is killed meanwhile."""

import pytest
from real_airflow import until
from waits import put_run

MODES = {
    "poke": {"deferrable": False},
    # Each poll is a process. Airflow fails a task that it reschedules before it hears of the last one's end.
    "reschedule": {"deferrable": False, "mode": "reschedule", "poke_interval": 45},
    "deferrable": {"deferrable": True},
    "triggerer": {"start_in_triggerer": True},
}
WAITING = {"poke": "running", "reschedule": "up_for_reschedule", "deferrable": "deferred", "triggerer": "deferred"}
OVER = {"success", "failed", "skipped", "upstream_failed"}
BAD, LATE, SOFT = "AepPermanentError", "AirflowSensorTimeout", {"soft_fail": True}
# How the run ends, the arguments of the wait, the state of its task, and what it raises.
OUTCOMES = {
    "good": ({"status": "success"}, {}, "success", None),
    "partial": ({"status": "success", "failed": 1}, {}, "failed", BAD),
    "soft": ({"status": "success", "failed": 1}, SOFT, "skipped", None),
    "failed": ({"status": "failed"}, {}, "failed", BAD),
    "cancelled": ({"status": "cancelled"}, {}, "failed", BAD),
    "unknown": ({"status": "new"}, {}, "failed", BAD),
    "marked": (None, {}, "failed", None),
    "cleared": ({"status": "success"}, {}, "success", None),
}
# These end by themselves, so they are a DAG run of their own, which starts when all the others wait.
DEADLINES = {
    "late": (None, {"timeout": 20}, "failed", LATE),
    "late_soft": (None, {"timeout": 20, **SOFT}, "skipped", None),
    "unreachable": (None, {"aep_conn_id": "aep_dead", "max_unreachable": 20}, "failed", "AepRetryableError"),
}
DAGS = f"""
from airflow.sdk import DAG
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

for dag_id, outcomes in {{"outcomes": {OUTCOMES!r}, "deadlines": {DEADLINES!r}}}.items():
    with DAG(dag_id, schedule=None):
        for outcome, (_, arguments, *_) in outcomes.items():
            for mode, how in {MODES!r}.items():
                given = {{"timeout": 3600, "poke_interval": 2, "check_batches": False, "retries": 0}}
                given |= {{"aep_conn_id": "aep_outcomes", **how, **arguments}}
                AepFlowRunSensor(task_id=f"{{outcome}}-{{mode}}", flow_id="f", run_id=outcome, **given)
"""
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def dags(airflow, emulator):
    airflow.connect("aep_outcomes", emulator.connection())
    airflow.connect("aep_dead", emulator.connection(host=NOBODY, extra={"ims_url": NOBODY}))
    for outcome in (*OUTCOMES, *DEADLINES):
        put_run(emulator, outcome, status="inProgress")
    with airflow.dags_in({"outcomes.py": DAGS}, "outcomes", "deadlines"):
        yield


def raised(airflow, task):
    """Return the class and the message of the error in which a task's first try ended."""
    errors = [line for line in airflow.log(task) if line.get("event") == "Task failed with exception"]
    details = [e["error_detail"][0] for e in errors]
    return [(d["exc_type"], d["exc_value"]) for d in details][-1:] or None


@pytest.mark.usefixtures("dags")
def test_each_end_is_the_same_in_each_way_of_waiting(emulator, airflow):
    runs = {"outcomes": f"/dags/outcomes/dagRuns/{airflow.trigger('outcomes', {})}"}

    def all_wait(states, *, may_be_over=()):
        return all(s in {WAITING[task.split("-")[1]], "running", *may_be_over} for task, s in states.items())

    until(lambda: all_wait(airflow.states(runs["outcomes"])), lambda: airflow.states(runs["outcomes"]))
    runs["deadlines"] = f"/dags/deadlines/dagRuns/{airflow.trigger('deadlines', {})}"
    until(
        lambda: all_wait(airflow.states(runs["deadlines"]), may_be_over=OVER),
        lambda: airflow.states(runs["deadlines"]),
    )

    def runs_end():
        for outcome, (ends, *_) in OUTCOMES.items():
            if ends:
                put_run(emulator, outcome, **ends)

    for mode in MODES:
        airflow.ask("PATCH", f"{runs['outcomes']}/taskInstances/marked-{mode}", json={"new_state": "failed"})
    cleared = {"dag_run_id": runs["outcomes"].rpartition("/")[2], "task_ids": [f"cleared-{mode}" for mode in MODES]}
    airflow.ask("POST", "/dags/outcomes/clearTaskInstances", json={**cleared, "dry_run": False, "only_failed": False})
    airflow.restart_triggerer(runs_end)
    for dag, expected in (("outcomes", OUTCOMES), ("deadlines", DEADLINES)):
        until(lambda: {*airflow.states(runs[dag]).values()} <= OVER, lambda: airflow.states(runs[dag]))  # noqa: B023
        states = airflow.states(runs[dag])
        assert {t: s for t, s in states.items() if s != expected[t.split("-")[0]][2]} == {}
        for outcome, (*_, error) in expected.items():
            if error:
                said = {mode: raised(airflow, f"{runs[dag]}/taskInstances/{outcome}-{mode}") for mode in MODES}
                assert len({str(s) for s in said.values()}) == 1, said
                assert [kind for kind, _ in said["poke"]] == [error], said
