"""``make demo``, as a person reads it."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from airflow_provider_aep.emulator import demo
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.tables import sample_data

KINDS = ["Base connection", "Schema", "Dataset", "Source connection", "Target connection", "Mapping set", "Flow"]


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Run the demo in a terminal 100 columns wide; gives what it printed."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # a company's proxy must not stand between

    def demo_(*arguments):
        demo.main(["--dags", "dags", "--home", str(tmp_path / "demo"), *arguments])
        return capsys.readouterr().out

    return demo_


def writes(home):
    store = Store(home / "state.db")
    journal = store.journal()
    store.close()
    return [e["operation"] for e in journal if e["method"] != "GET" and e["operation"] != "POST token"]


def test_the_demo_creates_then_finds(run, tmp_path):
    first = run()
    for kind in KINDS:
        assert f"│ {kind} " in first
    assert first.count("created") == 7
    assert "partial (status 'success'), records read 1000, written 995, failed 5" in first
    lake = tmp_path / "demo" / "lake"
    assert f"The lake has 995 rows of Parquet in all, in {lake}" in first
    assert "This run sent 7 writes to AEP." in first
    made = writes(tmp_path / "demo")
    second = run()
    assert second.count("found") == 7
    assert "This run sent 0 writes to AEP." in second
    assert f"The lake has 995 rows of Parquet in all, in {lake}" in second
    assert writes(tmp_path / "demo") == made


def test_a_table_of_the_users_own(run, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "people.csv").write_text("id,mail\n1,a@b.example\n2,c@d.example\n")
    said = run(
        "--source-data", str(folder), "--table", "people", "--map", "id=_id", "--map", "mail=personalEmail.address"
    )
    assert "records read 2, written 2, failed 0" in said
    assert "The lake has 2 rows" in said


def test_a_failure_names_the_reason_and_the_log(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("--table", "gone")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "exit code 1: The source has no table 'gone'. Next step: Choose one of: customer_account" in said
    assert "  explore failed\n" in said
    assert "  test_connection\n" in said
    assert f"The whole log is in {tmp_path / 'demo' / 'airflow.log'}" in said


def test_an_argument_that_is_none_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run("--map", "email")
    assert "--map 'email' is not of the form COLUMN=FIELD" in capsys.readouterr().err


def test_a_name_that_the_dag_refuses_is_told(run, capsys):
    with pytest.raises(SystemExit):
        run("--name", "A, B")
    assert "exit code 1: Invalid input for param name: 'A, B' does not match" in capsys.readouterr().out


def test_an_interrupted_demo_leaves_no_process_and_goes_on_later(run, tmp_path):
    command = [
        sys.executable,
        "-m",
        "airflow_provider_aep.emulator.demo",
        "--dags",
        "dags",
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
    assert "Interrupted. Run it again" in said
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert "found" in run()


def test_the_users_own_airflow_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "TheirExecutor")
    monkeypatch.setenv("AIRFLOW_HOME", "/theirs")
    made = demo.airflow_environment(tmp_path, tmp_path / "dags", "http://127.0.0.1:1", demo.Options())
    assert made["AIRFLOW_HOME"] == str(tmp_path)
    assert "AIRFLOW__CORE__EXECUTOR" not in made
    assert json.loads(made["AIRFLOW_CONN_AEP_DEFAULT"])["extra"]["sandbox"] == "dev"
    assert shutil.which("sh", path=made["PATH"])
    assert sample_data().is_dir()
