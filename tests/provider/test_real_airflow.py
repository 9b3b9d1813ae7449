"""A real scheduler and triggerer: both example DAGs for every system, and the link in every state of a task."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_airflow import PATIENCE

from airflow_provider_aep.onboarding.systems import SYSTEMS

DAGS = Path(__file__).parents[2] / "dags"
BOTH = ("aep_customer_success_onboarding", "aep_customer_success_tutorial")
QUICK = {"start_in_minutes": 0.1, "poke_interval": 0.5}

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
def airflow(emulator, start_airflow, tmp_path):
    folder = shutil.copytree(DAGS, tmp_path / "dags")
    (folder / "mapped.py").write_text(MAPPED)
    options = {"AIRFLOW__CORE__DAGS_FOLDER": str(folder), "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
    with start_airflow(emulator, **options) as running:
        yield running


def links(airflow, dag, run, task, *, seconds=0, **query):
    """The link of a task. Airflow writes it a moment after the state in which it ends, so it may be waited for."""
    path, deadline = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/links", time.monotonic() + seconds
    while True:
        link = airflow.ask("GET", path, params=query)["extra_links"]["Open in Experience Platform"]
        if link or time.monotonic() >= deadline:
            return link
        time.sleep(0.2)


def runs_of(airflow, dag):
    return [r["dag_run_id"] for r in airflow.ask("GET", f"/dags/{dag}/dagRuns")["dag_runs"]]


def test_both_dags_for_every_system_and_the_links(emulator, airflow):
    def onboard(dag):
        for system in SYSTEMS:
            conf = {**QUICK, "name": f"{dag[21:]} {system}", "system": system}
            state, tasks = airflow.run(dag, conf)
            assert state == "success", (system, tasks)
        return tasks

    with ThreadPoolExecutor(len(BOTH)) as pool:
        tasks = dict(zip(BOTH, pool.map(onboard, BOTH), strict=True))
    assert len(emulator.world.store.everywhere("flows")) == 8

    root = "https://experience.adobe.com/#/@EMULATOR@AdobeOrg/sname:dev/platform/"
    run = runs_of(airflow, BOTH[1])[0]
    pages = {
        task: links(airflow, BOTH[1], run, task, seconds=0 if task == "flow_spec" else 30)
        for task in tasks[BOTH[1]]
        if task != "verdict"
    }
    assert all(page.startswith(root) for task, page in pages.items() if task != "flow_spec"), pages
    assert not pages["flow_spec"]
    assert "/activity/" in pages["first_run"]  # the run, after the task was deferred

    link_of_waits(emulator, airflow, root)


def link_of_waits(emulator, airflow, root):
    """Mapped waits link to their flows while they are deferred, and still when they have failed."""
    scope, one = emulator.world.store.everywhere("flows")[0]
    ids = ["11111111-aaaa", "22222222-bbbb"]
    for id_ in ids:  # flows without a run
        emulator.world.store.add("flows", scope, id_, {**one, "id": id_, "_emulator": {"nextRunAt": None}}, name=id_)
    expected = [f"{root}source/dataflows/{id_}/activity" for id_ in ids]
    made = airflow.ask("POST", "/dags/waits/dagRuns", json={"conf": {"flows": ids}, "logical_date": None})
    run = made["dag_run_id"]

    def until(state):
        """Wait until both are in a state; gives their links."""
        path, deadline = f"/dags/waits/dagRuns/{run}/taskInstances", time.monotonic() + PATIENCE
        while [t["state"] for t in airflow.ask("GET", path)["task_instances"] if t["map_index"] >= 0] != [state] * 2:
            assert time.monotonic() < deadline, airflow.ask("GET", path)
            time.sleep(0.2)
        return [links(airflow, "waits", run, "t", map_index=n, seconds=30) for n in range(2)]

    assert until("deferred") == expected
    state, _ = airflow.run("disables", {"flows": ids})
    assert state == "success"
    assert until("failed") == expected
    [disabled] = runs_of(airflow, "disables")
    assert [links(airflow, "disables", disabled, "t", map_index=n, seconds=30) for n in range(2)] == expected
