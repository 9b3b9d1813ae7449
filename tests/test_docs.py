"""Every code block of the documentation and the README is run, parsed by what it is for, or made of a tested DAG."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [(page.name, m["language"], m["code"]) for page in PAGES for m in BLOCK.finditer(page.read_text())]
KNOWN = {"python", "sh", "console", "ini", "text"}


def of(language):
    found = [(page, code) for page, lang, code in BLOCKS if lang == language]
    return pytest.mark.parametrize("code", [c for _, c in found], ids=[f"{p}-{n}" for n, (p, _) in enumerate(found)])


def test_there_is_no_other_kind_of_block():
    assert {language for _, language, _ in BLOCKS} <= KNOWN
    fences = [line for page in PAGES for line in page.read_text().splitlines() if line.startswith("```")]
    assert len(fences) == 2 * len(BLOCKS)


@of("python")
def test_python_is_run(code, tmp_path):
    (tmp_path / "block.py").write_text(code)
    environment = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "block.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@of("sh")
def test_shell_is_run_against_an_emulator(code, emulator, tmp_path):
    """As written, but for the emulator's port."""
    script = f"set -eu\n{code.replace('http://127.0.0.1:8787', emulator.url)}\n"
    python = Path(sys.executable).parent
    check = f"""
for name in $(compgen -v AIRFLOW_CONN_); do
  export "$name"
  {python}/python -c '
import os, sys
from airflow.sdk import Connection
text = os.environ[sys.argv[1]]
made = Connection.from_json(text) if text.startswith("{{") else Connection.from_uri(text, conn_id="x")
assert made.conn_type in ("aep", "http") and made.password
' "$name"
done
"""
    environment = {"PATH": f"{python}:{os.environ['PATH']}", "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"]}
    command = ["bash", "-c", script + check]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@of("console")
def test_a_command_is_one_that_there_is(code):
    """What runs for minutes has tests of its own; here it is asked whether it would run."""
    for line in code.splitlines():
        match line.split():
            case ["make", *arguments]:
                done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            case ["pip", "install", target]:
                assert target.strip("'") in {".", "DIR", "DIR[emulator]"}
            case ["docker", "compose", "up", "--build"]:
                assert (ROOT / "docker-compose.yaml").exists()  # what is in it is run by make cluster
            case [command, *_]:
                assert (Path(sys.executable).parent / Path(command).name).exists(), line


@of("ini")
def test_configuration_is_one_that_the_provider_declares(code):
    from airflow_provider_aep.get_provider_info import get_provider_info

    parser = configparser.ConfigParser()
    parser.read_string(code)
    declared = get_provider_info()["config"]
    for section in parser.sections():
        assert set(parser[section]) <= set(declared[section]["options"])


def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {file.name: file.read_text() for file in tmp_path.glob("*.html")}
    assert "<!-- example" not in "".join(pages.values())
    assert 'task_id="ad_hoc_class"' in re.sub("<[^>]+>", "", pages["onboarding.html"]).replace("&quot;", '"')


def test_every_operator_and_sensor_is_documented_and_in_the_xcom_table():
    from airflow_provider_aep.get_provider_info import get_provider_info

    info = get_provider_info()
    modules = [m for kind in ("operators", "sensors") for entry in info[kind] for m in entry["python-modules"]]
    names = {
        name
        for module in modules
        for name in re.findall(r"^class (Aep\w+)", (ROOT / f"{module.replace('.', '/')}.py").read_text(), re.MULTILINE)
    }
    documented = set(re.findall(r"^::: \S+\.(Aep\w+)", "".join(p.read_text() for p in PAGES), re.MULTILINE))
    assert names <= documented
    assert names <= set(re.findall(r"`(Aep\w+)`", (ROOT / "docs" / "xcom.md").read_text()))
