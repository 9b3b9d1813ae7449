"""Both example DAGs onboard every system, and the link leads to the object in every state of a task."""

import time

import pytest
from real_airflow import until
from waits import put_flow

from airflow_provider_aep.systems import SYSTEMS

BOTH = ("aep_customer_success_onboarding", "aep_customer_success_tutorial")
QUICK = {"start_in_minutes": 0.05, "poke_interval": 0.5}
ROOT = "https://experience.adobe.com/#/@EMULATOR@AdobeOrg/sname:dev/platform/"

MAPPED = """
from airflow.sdk import DAG, task
from airflow_provider_aep.operators.control import AepDisableFlowOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

for name in ("waits", "disables"):
    with DAG(name, schedule=None, params={"flows": []}):
        flows = task(task_id="flows")(lambda params: params["flows"])()
        if name == "waits":
            AepFlowRunSensor.partial(task_id="t", poke_interval=1, deferrable=True).expand(flow_id=flows)
        else:
            AepDisableFlowOperator.partial(task_id="t").expand(flow_id=flows)
"""


@pytest.fixture
def dags(airflow, connected, examples):
    files = {name: text.replace("max_active_runs=1", "max_active_runs=4") for name, text in examples(*BOTH).items()}
    with airflow.dags_in({**files, "mapped.py": MAPPED}, *BOTH, "waits", "disables"):
        yield


def link(airflow, dag, run, task, *, seconds=60, **query):
    """Return a task's link. Airflow writes it after the state in which the task ends, so it may be waited for."""
    path, deadline = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/links", time.monotonic() + seconds
    while True:
        found = airflow.ask("GET", path, params=query)["extra_links"]["Open in Experience Platform"]
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)


@pytest.mark.usefixtures("dags")
def test_both_dags_for_every_system_and_their_links(connected, airflow):
    runs = {
        (dag, system): airflow.trigger(dag, {**QUICK, "name": f"{dag[21:]} {system}", "system": system})
        for dag in BOTH
        for system in SYSTEMS
    }
    for (dag, system), run in runs.items():
        state, tasks = airflow.wait(dag, run)
        assert state == "success", (dag, system, tasks)
    assert len(connected.world.store.everywhere("flows")) == 2 * len(SYSTEMS)

    without = {"flow_spec", "verdict"}
    pages = {task: link(airflow, BOTH[1], run, task) for task in tasks if task not in without}
    assert all(page.startswith(ROOT) for page in pages.values()), pages
    assert "/activity/" in pages["first_run"]  # the run, after the task was deferred
    assert not link(airflow, BOTH[1], run, "flow_spec", seconds=0)


@pytest.mark.usefixtures("dags")
def test_mapped_waits_link_to_their_flows(connected, airflow):
    """The links are there while the waits are deferred, and still when they have failed."""
    ids = ["11111111-aaaa", "22222222-bbbb"]
    for id_ in ids:
        put_flow(connected, id_=id_, name=id_)
    expected = [f"{ROOT}source/dataflows/{id_}/activity" for id_ in ids]
    run = airflow.trigger("waits", {"flows": ids})

    def states():
        tasks = airflow.tasks(f"/dags/waits/dagRuns/{run}")
        return [t["state"] for t in tasks if t["map_index"] >= 0]

    def links_when(state):
        until(lambda: states() == [state] * 2, states)
        return [link(airflow, "waits", run, "t", map_index=n) for n in range(2)]

    assert links_when("deferred") == expected
    disables = airflow.trigger("disables", {"flows": ids})
    state, _ = airflow.wait("disables", disables)
    assert state == "success"
    assert links_when("failed") == expected
    assert [link(airflow, "disables", disables, "t", map_index=n) for n in range(2)] == expected
