"""The fixture that the package registers, as a project of its user's has it."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def test_it_is_there_without_an_import(project):
    project.makepyfile(
        """
        import json, os, urllib.request

        import pytest

        FLOW = "/data/foundation/flowservice"

        def test_a_fresh_sandbox(aep_emulator):
            connection = json.loads(os.environ["AIRFLOW_CONN_AEP_DEFAULT"])
            assert connection["host"] == aep_emulator.url
            assert "AIRFLOW_CONN_AEP_SERVICENOW" in os.environ
            assert aep_emulator.requests() == []
            urllib.request.urlopen(aep_emulator.url + "/_emulator/health")
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(aep_emulator.url + FLOW + "/flows")
            assert len(aep_emulator.requests("GET */flows", status=403)) == 1
            assert aep_emulator.writes() == []

        def test_another(aep_emulator):
            assert aep_emulator.requests() == []
            assert aep_emulator.snapshot()["objects"] == []
            assert aep_emulator.world.options.strict

        @pytest.mark.aep_emulator(strict=False, run_delay=150.0)
        def test_with_options(aep_emulator):
            assert not aep_emulator.world.options.strict

        def test_without():
            assert "AIRFLOW_CONN_AEP_DEFAULT" not in os.environ
        """
    )
    result = project.runpytest_subprocess("-q", "-p", "no:cacheprovider", "--strict-markers")
    result.assert_outcomes(passed=4)


def test_a_dag_of_a_user_runs_against_it(project, monkeypatch):
    (project.path / "dags").mkdir()
    (project.path / "dags" / "mine.py").write_text(
        """
from airflow.sdk import DAG
from airflow_provider_aep.operators.source import AepCreateBaseConnectionOperator

with DAG("mine") as dag:
    AepCreateBaseConnectionOperator(task_id="base", name="mine", system="servicenow")
"""
    )
    monkeypatch.setenv("AIRFLOW_HOME", str(project.path))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    monkeypatch.delenv("AIRFLOW__CORE__UNIT_TEST_MODE")
    for command in ("db migrate", "dags reserialize"):
        subprocess.run([sys.executable, "-m", "airflow", *command.split()], check=True, capture_output=True)
    project.makepyfile(
        """
        import sys
        sys.path.insert(0, "dags")

        def test_my_dag(aep_emulator):
            from mine import dag
            assert dag.test().state == "success"
            assert aep_emulator.writes() == ["POST /data/foundation/flowservice/connections"]
            assert dag.test().state == "success"
            assert len(aep_emulator.writes()) == 1
        """
    )
    project.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_fault_that_never_fired_fails_the_test(project):
    project.makepyfile(
        """
        def test_nothing_shown(aep_emulator):
            aep_emulator.fault("POST */flows", "answer", status=503)
        """
    )
    result = project.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*a fault never fired*answer at POST */flows*"])


def test_the_plugin_imports_nothing_before_it_is_used(project):
    project.makepyfile(
        """
        import sys

        def test_light():
            heavy = {"pyarrow", "uvicorn", "starlette", "airflow", "httpx", "airflow_provider_aep.emulator.app"}
            assert heavy & set(sys.modules) == set()
        """
    )
    project.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:schemathesis").assert_outcomes(passed=1)
