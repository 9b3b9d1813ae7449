"""The example DAG in real Airflow: its own process, metadata database, templates and XCom."""

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from airflow_forks import airflow_in

from airflow_provider_aep.emulator.demo import airflow_environment
from airflow_provider_aep.emulator.tables import sample_data

DAGS = Path(__file__).parents[2] / "dags"
SOURCE = {"conn_type": "http", "host": "https://x.service-now.com", "login": "u"}
ONBOARDING = "aep_customer_success_onboarding"
CONF = {"name": "X", "start_in_minutes": 0.02, "poke_interval": 0.2}


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    with airflow_in(tmp_path_factory.mktemp("airflow")) as there:
        yield there


@pytest.fixture
def dags_test(emulator, commands):
    """Run the DAG to its end with ``airflow dags test``; gives the exit code and all that was printed."""

    def run(conf, dags=DAGS, dag=ONBOARDING, **environment):
        env = airflow_environment(commands.home, dags, emulator.url, emulator.world.options) | environment
        return commands("dags", "test", dag, "-c", json.dumps({**CONF, **conf}), environment=env)

    return run


def xcom(commands, key):
    with sqlite3.connect(commands.home / "airflow.db") as db:
        rows = db.execute("SELECT task_id, value FROM xcom WHERE key = ?", (key,)).fetchall()
    # SQLite gives a number back as one.
    return {task: json.loads(value) if isinstance(value, str) else value for task, value in rows}


def test_the_examples_are_short_enough_to_copy():
    assert len((DAGS / f"{ONBOARDING}.py").read_text().splitlines()) < 40
    assert len([line for line in readme_dag().splitlines() if line]) <= 20


def readme_dag():
    return re.search(r"```python\n(.*?)```", (DAGS.parent / "README.md").read_text(), re.DOTALL)[1]


def test_the_readmes_dag_is_green(emulator, dags_test, tmp_path):
    soon = {
        "NAMES.flow, ": "NAMES.flow, start_in_minutes=0.02, ",
        "deferrable=True": "deferrable=True, poke_interval=0.2",
    }
    dag = readme_dag()
    for slow, quick in soon.items():
        assert slow in dag
        dag = dag.replace(slow, quick)
    (tmp_path / "contacts_to_aep.py").write_text(dag)
    code, said = dags_test({}, dags=tmp_path, dag="contacts_to_aep")
    assert code == 0, said
    assert "Accepted: run" in said
    assert [f["name"] for _, f in emulator.world.store.everywhere("flows")] == ["Contacts flow"]


def test_a_table_is_onboarded_and_a_second_run_writes_nothing(emulator, dags_test, commands):
    code, said = dags_test({})
    assert code == 0, said
    assert "partial: 995 of 1000 records landed" in said
    result = xcom(commands, "return_value")["first_run"]
    assert (result["verdict"], result["read"], result["written"], result["failed"]) == ("partial", 1000, 995, 5)
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
        ({"name": "a,b"}, "does not match"),
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
    assert "The source has no table 'gone'. Next step: Choose one of: customer_account" in said
    assert [w.rsplit("/", 1)[-1] for w in emulator.writes()] == ["connections"]  # without it nothing can be explored


@pytest.fixture
def source_with_a_canary(tmp_path):
    """The sample with a person in it whom nothing but the lake may know."""
    folder = tmp_path / "tables"
    folder.mkdir()
    lines = (sample_data() / "servicenow" / "customer_contact.csv").read_text().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[3], "Canaryperson")
    lines[8] = lines[8].replace("@", "Canarybroken")  # a row that AEP refuses
    lines[9] += ",Canaryragged"  # and one that is no row
    (folder / "customer_contact.csv").write_text("\n".join(lines))
    return folder


def test_no_secret_and_no_person_leaves_the_request(make_emulator, start_airflow, source_with_a_canary):
    """Planted: client secret, source password, token, a person in the rows. Searched: task logs and components' output
    at DEBUG, XCom, rendered templates, all else in the metadata database, the emulator's state but for its tokens
    and for the diagnostics of refused rows. (Not searched: ``airflow dags test`` at DEBUG, whose in-process supervisor
    prints what it is told to mask.)"""
    emulator = make_emulator(source_with_a_canary, client_secret="canary-client-secret")
    connections = {
        "aep_default": emulator.connection(),
        "aep_servicenow": {**SOURCE, "password": "canary-source-password"},
    }
    environment = {
        "AIRFLOW_CONN_AEP_DEFAULT": "",
        "AIRFLOW_CONN_AEP_SERVICENOW": "",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
    }
    with start_airflow(emulator, **environment) as airflow:
        for id_, fields in connections.items():
            body = {"connection_id": id_, **fields}
            airflow.ask("POST", "/connections", json={**body, "extra": json.dumps(fields.get("extra", {}))})
        given = [{**CONF, "name": "Green"}, {**CONF, "name": "Red", "table": "gone"}]
        with ThreadPoolExecutor(len(given)) as pool:
            (green, tasks), (red, others) = pool.map(lambda conf: airflow.run(ONBOARDING, conf), given)
        assert green == "success", tasks
        assert (red, others["explore"]) == ("failed", "failed")
    database = emulator.world.store._db
    tokens = [value for (value,) in database.execute("SELECT value FROM tokens")]
    assert tokens
    [lake] = emulator.lake.rglob("*.parquet")
    landed = {p["name"]["firstName"] for p in pq.read_table(lake).column("person").to_pylist()}
    assert "Canaryperson" in landed
    database.execute("DELETE FROM tokens")
    database.execute("DELETE FROM objects WHERE kind = 'diagnostics'")
    database.execute("VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    searched = {"state": emulator.state.read_bytes()}
    searched |= {str(f.relative_to(airflow.home)): f.read_bytes() for f in airflow.home.rglob("*") if f.is_file()}
    assert b"Accepted: run" in b"".join(searched.values())
    assert b"debug" in searched["standalone.log"].lower()
    assert b"aep_servicenow" in searched["airflow.db"] + searched.get("airflow.db-wal", b"")
    people = ["Canaryperson", "Canarybroken", "Canaryragged"]
    canaries = ["canary-client-secret", "canary-source-password", *people, *tokens]
    found = {(c, name) for c in canaries for name, content in searched.items() if c.encode() in content}
    assert not found
