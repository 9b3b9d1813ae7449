"""Rows that land in a dataset start a DAG once, although the triggerer is killed meanwhile."""

import time

import pytest
from real_airflow import until

from airflow_provider_aep.assets import create_asset

CONSUMER, ONBOARDING = "aep_rows_landed", "aep_customer_success_onboarding"
WATCHED = "watched_onboarding"
QUICK = {"start_in_minutes": 0.05, "poke_interval": 0.5}

BY_RUN = """
from airflow.sdk import DAG, Asset, task

rows = Asset("{uri}")

with DAG("by_run", schedule=[rows]):
    @task
    def written(triggering_asset_events):
        return [event.extra["written"] for event in triggering_asset_events[rows]]

    written()
"""


def replace(text, old, new):
    assert old in text
    return text.replace(old, new)


@pytest.fixture
def dags(airflow, connected, examples):
    [onboarding] = examples(ONBOARDING).values()
    [consumer] = examples(CONSUMER).values()
    outlets = "outlets=[__import__('airflow_provider_aep.assets').assets.any_dataset()],"
    onboarding = replace(onboarding, 'task_id="first_run",', f'task_id="first_run", {outlets}')
    files = {
        f"{WATCHED}.py": replace(onboarding, ONBOARDING, WATCHED),  # another test runs the example itself
        f"{CONSUMER}.py": replace(consumer, "poke_interval=15", "poke_interval=1"),
    }
    with airflow.dags_in(files, WATCHED, CONSUMER):
        yield


def runs(airflow, dag, number):
    """Return the runs of a DAG, once there are that many or more, and all are over."""

    def found():
        found = airflow.ask("GET", f"/dags/{dag}/dagRuns")["dag_runs"]
        return len(found) >= number and all(r["state"] in {"success", "failed"} for r in found) and found

    return until(found, f"There are fewer than {number} runs of {dag}; see {airflow.output}")


def returned(airflow, dag, task):
    path = f"/dags/{dag}/dagRuns/~/taskInstances/{task}/xcomEntries/return_value"
    return [airflow.ask("GET", path.replace("~", r["dag_run_id"]))["value"] for r in runs(airflow, dag, 1)]


def onboard(airflow):
    state, tasks = airflow.run(WATCHED, QUICK)
    assert state == "success", tasks


def wait_for_polls(emulator, operation, number):
    before = len(emulator.requests(operation))
    until(lambda: len(emulator.requests(operation)) >= before + number, f"No {number} more of {operation}")


@pytest.mark.usefixtures("dags")
def test_rows_that_land_start_a_dag_once(connected, airflow):
    emulator = connected
    wait_for_polls(emulator, "GET */dataSets", 1)  # the watcher looks for the dataset
    onboard(airflow)
    runs(airflow, CONSUMER, 1)
    [(_, dataset)] = emulator.world.store.everywhere("dataSets")
    [(scope, batch)] = emulator.world.store.everywhere("batches")
    assert returned(airflow, CONSUMER, "log_batches") == [batch["recordCount"]]

    def another_batch_lands():
        now = int(time.time() * 1000)
        later = {**batch, "id": "another", "created": now, "updated": now}
        emulator.world.store.add("batches", scope, "another", later, parent=dataset["id"])

    # The watcher has stored that it reported the first batch: a kill before that may report it twice, as documented.
    wait_for_polls(emulator, "GET */batches", 4)
    airflow.restart_triggerer(another_batch_lands)
    assert {r["state"] for r in runs(airflow, CONSUMER, 2)} == {"success"}
    wait_for_polls(emulator, "GET */batches", 4)
    assert len(runs(airflow, CONSUMER, 2)) == 2

    # A task that waits for a run emits an event of the dataset, too, for DAGs that know its address.
    asset = create_asset(org_id=emulator.world.options.org_id, sandbox="dev", dataset_id=dataset["id"])
    with airflow.dags_in({"by_run.py": BY_RUN.format(uri=asset.uri)}, "by_run"):
        onboard(airflow)
        assert returned(airflow, "by_run", "written") == [[batch["recordCount"]]]
