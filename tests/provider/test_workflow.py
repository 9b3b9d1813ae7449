"""The example workflow of GitHub Actions: valid, and each of its steps does what it says."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs" / "how-to" / "pre-commit-config.yaml"
WORKFLOW = ROOT / "docs" / "how-to" / "onboardings.yml"
INSTALLED = {'pip install "airflow-provider-aep[emulator]"', "pip install airflow-provider-aep"}


@pytest.fixture
def job(emulator, tmp_path):
    """``job(name)`` runs the steps of a job, and returns what each printed; ``${{ secrets }}`` are the emulator's."""
    shutil.copytree(ROOT / "onboardings", tmp_path / "onboardings")
    (tmp_path / "bin").mkdir()
    started = tmp_path / "bin" / "aep-emulator"  # the emulator of the test has its own port, and runs already
    started.write_text("#!/bin/sh\n")
    started.chmod(0o755)
    prod = json.dumps(emulator.connection(sandbox="prod"))
    servicenow = json.dumps({"conn_type": "http", "host": "https://x.service-now.com", "login": "u", "password": "p"})
    secrets = {"AEP_PROD": prod, "AEP_PROD_READ": prod, "AEP_SERVICENOW": servicenow}

    def run(name):
        definition = yaml.safe_load(WORKFLOW.read_text())["jobs"][name]
        variables = {"AIRFLOW__AEP__ALLOWED_HOSTS": "127.0.0.1", "AIRFLOW__AEP__CREATION_GRACE_PERIOD": "0"}
        for key, value in definition["env"].items():
            for secret, text in secrets.items():
                value = value.replace(f"${{{{ secrets.{secret} }}}}", text)
            assert "${{" not in value
            variables[key] = value.replace("http://127.0.0.1:8787", emulator.url)
        path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(tmp_path), "GITHUB_STEP_SUMMARY": "summary.md", **variables}
        printed = []
        for step in definition["steps"]:
            if "run" not in step:
                assert step["uses"].split("/")[0] == "actions"
            elif step["run"] not in INSTALLED:
                done = subprocess.run(
                    ["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, capture_output=True, text=True,
                    timeout=120,
                )  # fmt: skip
                printed.append(done.stdout + done.stderr)
                if done.returncode:
                    return done.returncode, printed
        return 0, printed

    return run


def test_the_jobs_check_plan_and_apply(emulator, job, tmp_path):
    code, printed = job("check")
    assert code == 0, printed
    assert "Plan: 7 unchanged." in printed[-1]
    checked = emulator.writes()
    code, printed = job("plan")
    assert code == 0, printed
    assert emulator.writes() == checked
    assert "Plan: 7 to create." in (tmp_path / "summary.md").read_text()
    code, printed = job("apply")
    assert code == 0, printed
    assert len(emulator.writes()) == 2 * len(checked)


def test_the_plan_job_fails_if_a_person_must_decide(emulator, job, tmp_path):
    job("plan")
    job("apply")
    for scope, body in emulator.world.store.everywhere("connections"):
        emulator.world.store.put("connections", scope, body["id"], {**body, "description": ""}, name=body["name"])
    assert job("plan")[0] == 1
    assert "Set adopt to true to use it as it is" in (tmp_path / "summary.md").read_text()


def test_the_check_job_shows_a_mistake_at_its_line(job, tmp_path):
    file = tmp_path / "onboardings" / "contacts.yaml"
    file.write_text(file.read_text().replace("table:", "tables:"))
    code, [printed] = job("check")
    assert code == 4
    assert printed.startswith("::error file=onboardings/contacts.yaml,line=4,")


def test_the_commit_hook_finds_a_mistake(tmp_path):
    folder = ROOT / "onboardings"
    shutil.copytree(folder, tmp_path / "onboardings")
    [[hook]] = [repo["hooks"] for repo in yaml.safe_load(HOOKS.read_text())["repos"]]
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def commit():
        return subprocess.run(shlex.split(hook["entry"]), cwd=tmp_path, env=environment, timeout=60).returncode

    assert commit() == 0
    file = tmp_path / "onboardings" / "contacts.yaml"
    file.write_text(file.read_text().replace("lower(trim(email))", "email"))
    assert commit() == 4


def test_the_workflow_is_valid():
    done = subprocess.run(
        [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
