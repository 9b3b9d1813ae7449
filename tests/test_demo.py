"""``make demo``: what it prints, what it changes in AEP, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from aep_emulator.core.options import Options
from aep_emulator.core.store import Store
from aep_emulator.engine.source_data import sample_data
from airflow_provider_aep.demo import environment
from airflow_provider_aep.demo.__main__ import _Airflow, main

KINDS = ["Base connection", "Schema", "Dataset", "Source connection", "Target connection", "Mapping set", "Flow"]


@pytest.fixture
def run(tmp_path, capsys, monkeypatch, commands):
    """Run the demo in a terminal 100 columns wide, its Airflow in forks. Return its output."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # requests to the emulator must not go through a proxy

    def run_module(airflow, module):
        Path(airflow._environment["AIRFLOW_HOME"]).mkdir(exist_ok=True)  # Airflow has made its own
        code, output = commands.run_module(*module, environment=airflow._environment)
        airflow.log.write_text(output)
        airflow._print_events()
        if code:
            raise subprocess.CalledProcessError(code, module)

    monkeypatch.setattr(_Airflow, "_run", run_module)

    def demo_(*arguments):
        main(["--home", str(tmp_path / "demo"), *arguments])
        return capsys.readouterr().out

    return demo_


def writes(home):
    store = Store(home / "state.db")
    journal = store.journal()
    store.close()
    return [e["operation"] for e in journal if e["method"] != "GET" and e["operation"] != "POST token"]


def test_a_second_demo_sends_no_write(run, tmp_path):
    first = run()
    for kind in KINDS:
        assert f"│ {kind} " in first
    assert first.count("created") == 7
    assert "partial (status 'success'), records read 1000, written 997, failed 3" in first
    lake = tmp_path / "demo" / "lake"
    assert f"The lake has 997 rows of Parquet in total, in {lake}" in first
    assert "The DAG run sent 7 writes to AEP." in first
    made = writes(tmp_path / "demo")
    second = run()
    assert second.count("unchanged") == 7
    assert "The DAG run sent 0 writes to AEP." in second
    assert f"The lake has 997 rows of Parquet in total, in {lake}" in second
    assert writes(tmp_path / "demo") == made


def test_demo_with_the_users_own_table(run, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "people.csv").write_text("id,mail\n1,a@b.example\n2,c@d.example\n")
    said = run(
        "--source-data",
        str(folder),
        "--table",
        "people",
        "--map",
        "_id=id",
        "--map",
        'personalEmail.address={"expr": "lower(mail)"}',
    )
    assert "records read 2, written 2, failed 0" in said
    assert "The lake has 2 rows" in said


def test_a_failure_names_the_reason_and_the_log(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("--table", "gone")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "exit code 1: The source has no table 'gone'. Next step: Set table to one of: customer_account" in said
    assert "  explore failed\n" in said
    assert "  test_connection\n" in said
    assert f"The complete log is in {tmp_path / 'demo' / 'airflow.log'}" in said


def test_an_invalid_argument_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("--map", "email")
    assert "--map 'email' is not of the form FIELD=COLUMN" in capsys.readouterr().err


def test_a_name_that_the_dag_refuses_is_reported(run, capsys):
    with pytest.raises(SystemExit):
        run("--name", " A")
    assert "exit code 1: Invalid input for param name: ' A' does not match" in capsys.readouterr().out


def living(group):
    """Return the processes of a group that run. A zombie does not: its parent has yet to read its exit code."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_an_interrupted_demo_leaves_no_process_and_can_be_continued(tmp_path):
    command = [
        sys.executable,
        "-m",
        "airflow_provider_aep.demo",
        "--home",
        str(tmp_path / "demo"),
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A test run in the background of a shell ignores it, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    said = ""
    while "base_connection" not in said:
        said += (line := process.stdout.readline())
        assert line, said
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    said += process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert "Interrupted. Run the demo again" in said
    assert "Traceback" not in said
    deadline = time.monotonic() + 30
    while living(process.pid):  # its orphans end a little later
        assert time.monotonic() < deadline, living(process.pid)
        time.sleep(0.1)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.count("unchanged") + said.count("created") == 7
    assert "unchanged" in said
    assert "The lake has 997 rows" in said


def test_the_demo_ignores_the_users_airflow_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "TheirExecutor")
    monkeypatch.setenv("AIRFLOW_HOME", "/theirs")
    made = environment.airflow_environment(tmp_path, tmp_path / "dags", "http://127.0.0.1:1", Options())
    assert made["AIRFLOW_HOME"] == str(tmp_path)
    assert "AIRFLOW__CORE__EXECUTOR" not in made
    assert json.loads(made["AIRFLOW_CONN_AEP_DEFAULT"])["extra"]["sandbox"] == "dev"
    assert shutil.which("sh", path=made["PATH"])
    assert sample_data().is_dir()
