"""Onboarding files as DAGs: what a file becomes, and that one broken file breaks one DAG."""

import json
from pathlib import Path

import pytest

from airflow_provider_aep.demo.environment import airflow_environment
from airflow_provider_aep.onboarding.spec import loader
from airflow_provider_aep.task_groups import AepOnboarding, load_onboardings

FILES = Path(__file__).parents[2] / "onboardings"
BASE = ["base_connection", "explore", "source_connection", "schema", "dataset", "target_connection", "mapping_set",
        "flow_spec", "flow", "run"]  # fmt: skip


def loaded(folder, **arguments):
    namespace = {}
    load_onboardings(namespace, folder, env="dev", **arguments)
    return namespace


def test_each_file_is_a_dag():
    dags = loaded(FILES)
    assert list(dags) == ["aep_contacts", "aep_incidents"]
    assert sorted(dags["aep_contacts"].task_ids) == sorted(f"onboarding.{task}" for task in BASE)
    tasks = {task.removeprefix("onboarding.") for task in dags["aep_incidents"].task_ids}
    assert tasks == {*BASE, "field_group", "identity"}
    flow = dags["aep_incidents"].get_task("onboarding.flow")
    assert (flow.frequency, flow.interval, flow.delta_column) == ("hour", 6, "sys_updated_on")
    assert (flow.partial_ingestion_percent, flow.aep_conn_id) == (5, "aep_dev")
    run = dags["aep_incidents"].get_task("onboarding.run")
    assert run.max_failed_ratio == 0.01


def test_each_file_is_read_once(monkeypatch):
    read: list[str] = []
    original = loader.read_documents
    monkeypatch.setattr(loader, "read_documents", lambda file: read.append(file.name) or original(file))
    loaded(FILES)
    assert sorted(read) == ["aep.yaml", "contacts.yaml", "incidents.yaml"]


def test_a_broken_file_breaks_its_own_dag(tmp_path):
    for file in FILES.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "contacts.yaml").write_text((FILES / "contacts.yaml").read_text().replace("source:", "sources:"))
    dags = loaded(tmp_path)
    [problems] = dags["aep_contacts"].tasks
    assert "contacts.yaml:4:1 sources: There is no such key. Did you mean 'source'?" in "\n".join(problems.problems)
    with pytest.raises(Exception, match="There is no such key"):
        problems.execute({})
    assert len(dags["aep_incidents"].tasks) == len(BASE) + 2
    with pytest.raises(ValueError, match="contacts.yaml:4:1 sources"):
        AepOnboarding("x", file=tmp_path / "contacts.yaml", env="dev")


def test_files_of_one_name_and_of_odd_names_are_dags(tmp_path):
    text = (FILES / "contacts.yaml").read_text()
    for number, name in enumerate(("crm/contacts", "erp/contacts", "my contacts")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(
            text.replace("Contacts of ServiceNow", f"Contacts {number}", 1).replace(
                "onboarding: Contacts of ServiceNow", f"onboarding: Contacts {number}"
            )
        )
    assert set(loaded(tmp_path)) == {"aep_crm_contacts", "aep_erp_contacts", "aep_my_contacts"}
    (tmp_path / "erp" / "contacts.yaml").write_text((tmp_path / "crm" / "contacts.yaml").read_text())
    [task] = loaded(tmp_path)["aep_erp_contacts"].tasks
    assert "has an onboarding of this name, too" in task.problems[0]


def test_a_file_of_two_documents_is_a_mistake(tmp_path):
    text = (FILES / "contacts.yaml").read_text()
    (tmp_path / "two.yaml").write_text(f"{text}---\n{text.replace('onboarding: Contacts', 'onboarding: Other')}")
    [task] = loaded(tmp_path)["aep_two"].tasks
    assert "has 2 onboardings" in task.problems[0]


def test_a_text_of_a_file_is_no_template(tmp_path):
    text = (FILES / "contacts.yaml").read_text().replace("{expr: lower(trim(email))}", "{value: '{{ ds }}'}")
    (tmp_path / "x.yaml").write_text(text.replace("expect: {personalEmail.address: a.lee@example.org}", "expect: {}"))
    [dag] = loaded(tmp_path).values()
    task = dag.get_task("onboarding.mapping_set")
    rendered = task.render_template(task.mappings, {"ds": "2026-01-31"}, task.get_template_env())
    assert rendered["personalEmail.address"] == {"value": "{{ ds }}"}


def test_the_terms_of_a_file_are_those_of_its_tasks(tmp_path):
    text = (FILES / "contacts.yaml").read_text() + "adopt: true\ntake_over: [base]\nreplace: [flow]\n"
    (tmp_path / "x.yaml").write_text(text)
    [dag] = loaded(tmp_path).values()
    base, flow = (dag.get_task(f"onboarding.{name}") for name in ("base_connection", "flow"))
    assert (base.adopt, base.take_over) == (True, True)
    assert (flow.adopt, flow.take_over, flow.replace) == (True, False, True)
    assert loaded(FILES)["aep_contacts"].get_task("onboarding.flow").adopt is False


def test_profile_comes_after_the_identity_and_before_the_flow(tmp_path):
    text = (FILES / "incidents.yaml").read_text() + "profile: {enabled: true, irreversible: true, upsert: true}\n"
    (tmp_path / "x.yaml").write_text(text)
    [dag] = loaded(tmp_path).values()
    order = [task.task_id.removeprefix("onboarding.") for task in dag.topological_sort()]
    assert order.index("identity") < order.index("enable_schema") < order.index("enable_dataset") < order.index("flow")
    assert dag.get_task("onboarding.enable_dataset").upsert is True


@pytest.fixture
def dags_test(emulator, commands, tmp_path):
    """Run a DAG of a file in its own process, to its end."""

    def run(text, dag):
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        (folder / "dag.py").write_text(text)
        env = airflow_environment(commands.home, folder, emulator.url, emulator.world.options)
        env["AIRFLOW_CONN_AEP_DEV"] = json.dumps(emulator.connection())
        return commands("dags", "test", dag, environment={**env, "AIRFLOW__AEP__CREATION_GRACE_PERIOD": "0"})

    return run


def test_a_file_is_applied_by_one_task_and_a_second_run_writes_nothing(emulator, dags_test):
    dag = f"""
from airflow.sdk import DAG
from airflow_provider_aep.operators.onboarding import AepApplyOnboardingOperator

FILES = [{str(FILES / "contacts.yaml")!r}, {str(FILES / "incidents.yaml")!r}]
with DAG("bulk", schedule=None):
    AepApplyOnboardingOperator.partial(task_id="apply", env="dev").expand(file=FILES)
"""
    code, said = dags_test(dag, "bulk")
    assert code == 0, said
    assert len(emulator.world.store.everywhere("flows")) == 2
    writes = emulator.writes()
    code, said = dags_test(dag, "bulk")
    assert code == 0, said
    assert [w for w in emulator.writes()[len(writes) :] if not w.endswith("validate")] == []


def test_the_dag_of_a_file_onboards_its_table(emulator, dags_test, tmp_path):
    (tmp_path / "files").mkdir()
    for name, source in (("people", "contacts"), ("aep", "aep")):
        (tmp_path / "files" / f"{name}.yaml").write_text((FILES / f"{source}.yaml").read_text())
    dag = """
# One DAG for each file.
from airflow_provider_aep.task_groups import load_onboardings

load_onboardings(globals(), ".", env="dev", deferrable=False)
for task in globals()["aep_people"].tasks:
    if task.task_id.endswith(".flow"):
        task.start_in_minutes = 0.02
    if task.task_id.endswith(".run"):
        task.poke_interval = 0.2
"""
    code, said = dags_test(dag, "aep_people")
    assert code == 0, said
    assert "Accepted: run" in said or "records landed" in said
    [(_, run)] = emulator.world.store.everywhere("runs")
    assert run["metrics"]["recordSummary"]["inputRecordCount"] == 1000
