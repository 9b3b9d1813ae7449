"""The fixtures ``aep_emulator`` and ``aep_airflow``, used from a project of their own."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def test_the_fixtures_need_no_import(project):
    project.makepyfile(
        """
        import json, os, urllib.request

        import pytest

        FLOW = "/data/foundation/flowservice"

        def test_connections(aep_airflow):
            connection = json.loads(os.environ["AIRFLOW_CONN_AEP_DEFAULT"])
            assert connection["host"] == aep_airflow.url
            assert connection["login"] in aep_airflow.world.credentials
            assert "AIRFLOW_CONN_AEP_SERVICENOW" in os.environ

        def test_an_empty_sandbox(aep_emulator):
            assert "AIRFLOW_CONN_AEP_DEFAULT" not in os.environ
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
    result.assert_outcomes(passed=5)


def test_a_users_dag_runs_against_the_emulator(project, monkeypatch):
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

        def test_my_dag(aep_airflow):
            from mine import dag
            assert dag.test().state == "success"
            assert aep_airflow.writes() == ["POST /data/foundation/flowservice/connections"]
            assert dag.test().state == "success"
            assert len(aep_airflow.writes()) == 1
        """
    )
    project.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_fault_that_never_fired_fails_the_test(project):
    project.makepyfile(
        """
        def test_without_a_request(aep_emulator):
            aep_emulator.fault("POST */flows", "answer", status=503)
        """
    )
    result = project.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*faults never fired*answer at POST */flows*"])


def test_the_plugins_import_nothing_heavy_before_use(project):
    project.makepyfile(
        """
        import sys

        def test_light():
            heavy = {"pyarrow", "uvicorn", "starlette", "airflow", "httpx", "aep_emulator.gateway.app"}
            assert heavy & set(sys.modules) == set()
        """
    )
    project.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:schemathesis").assert_outcomes(passed=1)
