"""The example DAG in real Airflow: its own process, metadata database, templates and XCom."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from airflow_provider_aep.demo.environment import airflow_environment

DAGS = Path(__file__).parents[2] / "dags"
ONBOARDING = "aep_customer_success_onboarding"
CONTACTS = "aep_contacts_onboarding"
CONF = {"name": "X", "start_in_minutes": 0.02, "poke_interval": 0.2}


@pytest.fixture
def dags_test(emulator, commands, tmp_path):
    """Run the DAG to its end with ``airflow dags test``. Return the exit code and all that was printed."""
    alone = tmp_path / "alone"  # the command stores all DAGs of a folder
    alone.mkdir()

    def run(conf, dags=alone, dag=ONBOARDING, **environment):
        if dags == alone:
            shutil.copy(DAGS / f"{dag}.py", alone)
        env = airflow_environment(commands.home, dags, emulator.url, emulator.world.options) | environment
        return commands("dags", "test", dag, "-c", json.dumps({**CONF, **conf}), environment=env)

    return run


def xcom(commands, key):
    with sqlite3.connect(commands.home / "airflow.db") as db:
        rows = db.execute("SELECT task_id, value FROM xcom WHERE key = ?", (key,)).fetchall()
    # SQLite gives a number back as one.
    return {task: json.loads(value) if isinstance(value, str) else value for task, value in rows}


def test_readme_shows_an_example_dag():
    [shown] = re.findall(r"```python\n(.*?)```", (DAGS.parent / "README.md").read_text(), re.DOTALL)
    assert shown == (DAGS / f"{CONTACTS}.py").read_text()


def test_contacts_are_onboarded(emulator, dags_test, tmp_path):
    dag = (DAGS / f"{CONTACTS}.py").read_text()
    for slow, quick in {
        '"once",': '"once", start_in_minutes=0.02,',
        "deferrable=True,": "deferrable=True, poke_interval=0.2,",
    }.items():
        assert dag.count(slow) == 1
        dag = dag.replace(slow, quick)
    (tmp_path / f"{CONTACTS}.py").write_text(dag)
    code, said = dags_test({}, dags=tmp_path, dag=CONTACTS)
    assert code == 0, said
    assert "Accepted: run" in said
    assert [f["name"] for _, f in emulator.world.store.everywhere("flows")] == ["Contacts flow"]


def test_incidents_get_a_custom_schema_and_a_second_run_writes_nothing(emulator, dags_test, tmp_path):
    name = "aep_incidents_custom_schema"
    dag = (DAGS / f"{name}.py").read_text()
    for slow, quick in {
        "partial_ingestion_percent=5,": "partial_ingestion_percent=5, start_in_minutes=0.02,",
        "deferrable=True,": "deferrable=True, poke_interval=0.2,",
    }.items():
        assert dag.count(slow) == 1
        dag = dag.replace(slow, quick)
    (tmp_path / f"{name}.py").write_text(dag)
    code, said = dags_test({}, dags=tmp_path, dag=name)
    assert code == 0, said
    [(_, group)] = emulator.world.store.everywhere("fieldgroups")
    assert group["title"] == "X field group"
    writes = emulator.writes()
    assert dags_test({}, dags=tmp_path, dag=name)[0] == 0
    assert emulator.writes() == writes


def test_a_table_is_onboarded_and_a_second_run_writes_nothing(emulator, dags_test, commands):
    code, said = dags_test({})
    assert code == 0, said
    assert "partial: 997 of 1000 records landed" in said
    result = xcom(commands, "return_value")["first_run"]
    assert (result["verdict"], result["read"], result["written"], result["failed"]) == ("partial", 1000, 997, 3)
    writes = emulator.writes()
    assert len(writes) == 7
    code, said = dags_test({})
    assert code == 0, said
    assert emulator.writes() == writes


def test_a_flow_is_operated(emulator, dags_test, commands):
    code, said = dags_test({})
    assert code == 0, said
    [(_, flow)] = emulator.world.store.everywhere("flows")
    code, said = dags_test({"flow_id": flow["id"]}, dag="aep_flow_control")
    assert code == 0, said
    [(_, flow)] = emulator.world.store.everywhere("flows")
    assert [t["name"] for t in flow["transformations"]] == ["Copy", "Mapping"]
    assert len(emulator.world.store.everywhere("runs")) == 2
    assert xcom(commands, "return_value")["batches"] == 2


def test_a_dataset_is_let_into_profile_and_no_second_time(emulator, dags_test):
    for _ in range(2):
        code, said = dags_test({}, dag="aep_to_profile")
        assert code == 0, said
        assert len(emulator.writes()) == 5
    [(_, dataset)] = emulator.world.store.everywhere("dataSets")
    assert dataset["tags"]["unifiedProfile"] == ["enabled:true"]


def test_the_tutorial_is_green_and_a_second_run_writes_nothing(emulator, dags_test):
    for _ in range(2):
        code, said = dags_test({}, dag="aep_customer_success_tutorial")
        assert code == 0, said
        assert len(emulator.writes()) == 10
    [(_, source)] = emulator.world.store.everywhere("sourceConnections")
    assert source["data"]["schema"]["id"] in {s["$id"] for _, s in emulator.world.store.everywhere("schemas")}


@pytest.mark.parametrize("table", ["incident", "customer_account"])
def test_the_other_tables_and_schedules_work_too(emulator, dags_test, table):
    code, said = dags_test({"table": table, "frequency": "hour"}, AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE="True")
    assert code == 0, said
    _, flow = emulator.world.store.everywhere("flows")[0]
    assert flow["scheduleParams"]["interval"] == 1
    assert [t["name"] for t in flow["transformations"]] == ["Copy", "Mapping"]


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"frequency": "hourly"}, "'hourly' is not one of"),
        ({"start_in_minutes": -1}, "-1 is less than or equal to the minimum of 0"),
        ({"name": " A"}, "does not match"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_is_sent(emulator, dags_test, conf, says):
    code, said = dags_test(conf)
    assert code != 0
    assert says in said
    assert emulator.requests() == []


def test_a_permanent_error_fails_at_once_with_one_sentence(emulator, dags_test):
    code, said = dags_test({"table": "gone"})
    assert code != 0
    assert "The source has no table 'gone'. Next step: Set table to one of: customer_account" in said
    assert [w.rsplit("/", 1)[-1] for w in emulator.writes()] == ["connections"]  # without it nothing can be explored
