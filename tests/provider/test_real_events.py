"""A real scheduler and triggerer: rows that land start a DAG, once, also where a triggerer was killed meanwhile."""

import shutil
import time
from pathlib import Path

import pytest
from real_airflow import PATIENCE

from airflow_provider_aep.assets import create_asset

DAGS = Path(__file__).parents[2] / "dags"
CONSUMER, ONBOARDING = "aep_rows_landed", "aep_customer_success_onboarding"

BY_RUN = """
from airflow.sdk import DAG, Asset, task

rows = Asset("{uri}")

with DAG("by_run", schedule=[rows]):
    @task
    def told(triggering_asset_events):
        return [event.extra["written"] for event in triggering_asset_events[rows]]

    told()
"""


@pytest.fixture
def folder(tmp_path):
    folder = shutil.copytree(DAGS, tmp_path / "dags")
    watcher = folder / f"{CONSUMER}.py"
    watcher.write_text(watcher.read_text().replace("poke_interval=15", "poke_interval=1"))
    onboarding = folder / f"{ONBOARDING}.py"
    given, told = 'task_id="first_run",', "outlets=[__import__('airflow_provider_aep.assets').assets.landed()],"
    assert given in onboarding.read_text()
    onboarding.write_text(onboarding.read_text().replace(given, f"{given} {told}"))
    return folder


@pytest.fixture
def airflow(emulator, start_airflow, folder):
    options = {"AIRFLOW__CORE__DAGS_FOLDER": str(folder), "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5"}
    with start_airflow(emulator, CONSUMER, **options) as running:
        yield running


def runs(airflow, dag, number):
    """The runs of a DAG, once there are so many, and no fewer are over."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = airflow.ask("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
        if len(found) >= number and all(r["state"] in {"success", "failed"} for r in found):
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {number} runs of {dag}; see {airflow.output}"
        time.sleep(0.5)


def returned(airflow, dag, task):
    path = f"/dags/{dag}/dagRuns/~/taskInstances/{task}/xcomEntries/return_value"
    runs = [r["dag_run_id"] for r in airflow.ask("GET", f"/dags/{dag}/dagRuns")["dag_runs"]]
    return [airflow.ask("GET", path.replace("~", run))["value"] for run in runs]


def onboard(airflow, **conf):
    given = {"start_in_minutes": 0.1, "poke_interval": 0.5, **conf}
    state, tasks = airflow.run(ONBOARDING, given)
    assert state == "success", tasks


def until(airflow, seen):
    deadline = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < deadline, airflow.output
        time.sleep(0.2)


def test_rows_that_land_start_a_dag_once(emulator, airflow, folder):
    until(airflow, lambda: emulator.requests("GET */dataSets"))  # the watcher looks for the dataset
    onboard(airflow)
    runs(airflow, CONSUMER, 1)
    [(_, dataset)] = emulator.world.store.everywhere("dataSets")
    [(_, batch)] = emulator.world.store.everywhere("batches")
    assert returned(airflow, CONSUMER, "use") == [batch["recordCount"]]

    def another_batch():
        """Lands while no triggerer is there."""
        scope, body = emulator.world.store.everywhere("batches")[0]
        now = int(time.time() * 1000)
        later = {**body, "id": "another", "created": now, "updated": now}
        emulator.world.store.add("batches", scope, "another", later, parent=dataset["id"])

    looked = len(emulator.requests("GET */batches"))
    # Until the first is noted: a kill before that may tell it twice, as is said.
    until(airflow, lambda: len(emulator.requests("GET */batches")) > looked + 3)
    airflow.restart_triggerer(another_batch)
    found = runs(airflow, CONSUMER, 2)
    assert {r["state"] for r in found} == {"success"}
    looks = len(emulator.requests("GET */batches"))
    until(airflow, lambda: len(emulator.requests("GET */batches")) > looks + 3)
    assert len(runs(airflow, CONSUMER, 2)) == 2

    # A task that watches a run tells of the dataset, too: for a DAG that knows its address.
    asset = create_asset(org_id=emulator.world.options.org_id, sandbox="dev", dataset_id=dataset["id"])
    (folder / "by_run.py").write_text(BY_RUN.format(uri=asset.uri))
    until(airflow, lambda: "by_run" in {d["dag_id"] for d in airflow.ask("GET", "/dags")["dags"]})
    onboard(airflow)
    runs(airflow, "by_run", 1)
    assert returned(airflow, "by_run", "told") == [[batch["recordCount"]]]
