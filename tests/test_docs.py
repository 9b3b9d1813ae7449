"""Code on the documentation pages is run, or is taken from tested code."""

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "extensions"))

import code_sources  # noqa: E402 - an extension of the site, outside the packages
import diagrams  # noqa: E402

ROOT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *ROOT_PAGES,
    ROOT / "data_prep" / "README.md",
    ROOT / "emulator" / "README.md",
]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\S+).*?\n(?P<code>.*?)^ *```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(page.stem, m["language"], m["code"]) for page in PAGES for m in BLOCK.finditer(page.read_text())]
LANGUAGES = {"python", "sh", "console", "ini", "mermaid"}


def blocks_of(language):
    found = [(page, code) for page, other, code in BLOCKS if other == language]
    return pytest.mark.parametrize("code", [c for _, c in found], ids=[f"{p}-{n}" for n, (p, _) in enumerate(found)])


def test_every_block_is_of_a_tested_language():
    assert {language for _, language, _ in BLOCKS if not language.startswith("{")} <= LANGUAGES
    fences = [line for page in PAGES for line in page.read_text().splitlines() if line.strip().startswith("```")]
    assert len(fences) == 2 * len(BLOCKS)


@blocks_of("python")
def test_python_block_runs(code):
    exec(compile(code, "block.py", "exec"), {"__name__": "block"})


@blocks_of("sh")
def test_shell_block_runs_against_an_emulator(code, emulator, tmp_path):
    """The block runs unchanged, except for the emulator's port. Airflow can read each connection that it exports."""
    from airflow.sdk import Connection

    script = f"""
set -eu
{code.replace("http://127.0.0.1:8787", emulator.url)}
for name in $(compgen -v AIRFLOW_CONN_); do printf '%s\\0' "${{!name}}"; done > connections
"""
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for text in (tmp_path / "connections").read_text().split("\0")[:-1]:
        connection = Connection.from_json(text) if text.startswith("{") else Connection.from_uri(text, conn_id="x")
        assert connection.conn_type in {"aep", "http"}
        assert connection.password


@blocks_of("console")
def test_command_exists(code):
    """Commands that run for minutes have their own tests; here make and the shell only look them up."""
    for line in code.splitlines():
        match shlex.split(line):
            case ["make", *arguments]:
                done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            case ["pip", "install", *targets]:
                assert set(targets) <= {".", "./data_prep", "./emulator"}
            case ["docker", "compose", "up", "--build"]:
                assert (ROOT / "docker-compose.yaml").exists()  # make cluster runs its services
            case [command, *_]:
                assert (Path(sys.executable).parent / Path(command).name).exists(), line


@blocks_of("ini")
def test_configuration_is_declared(code):
    from airflow_provider_aep.get_provider_info import get_provider_info

    parser = configparser.ConfigParser()
    parser.read_string(code)
    declared = {"core": {"options": {"test_connection"}}, **get_provider_info()["config"]}
    for section in parser.sections():
        assert set(parser[section]) <= set(declared[section]["options"])


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_make_targets_on_a_page_exist(page):
    targets = set(re.findall(r"`make ([a-z-]+)", page.read_text())) | set(
        re.findall(r"^    make ([a-z-]+)", page.read_text(), re.MULTILINE)
    )
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= known


@pytest.mark.parametrize("page", ROOT_PAGES, ids=[page.stem for page in ROOT_PAGES])
def test_links_of_a_root_page_exist(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_operator_and_sensor_is_in_the_reference():
    from airflow_provider_aep.get_provider_info import get_provider_info

    info = get_provider_info()
    modules = [m for kind in ("operators", "sensors") for entry in info[kind] for m in entry["python-modules"]]
    names = {
        name
        for module in modules
        for name in re.findall(r"^class (Aep\w+)", (ROOT / f"{module.replace('.', '/')}.py").read_text(), re.MULTILINE)
    }
    text = "".join(page.read_text() for page in PAGES)
    assert names <= set(re.findall(r"autoclass:: \S+\.(Aep\w+)", text))
    assert names <= set(re.findall(r"`(Aep\w+)`", (ROOT / "docs" / "reference" / "task-results.md").read_text()))


def test_every_code_with_a_next_step_is_in_the_reference():
    from airflow_provider_aep.client import errors

    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    codes = {*errors._GATEWAY, *(code for code, _ in errors._SERVICE)}
    assert {code for code in codes if not re.search(rf"\b{code}\b", page)} == set()


def test_every_configuration_option_on_a_page_is_declared():
    from airflow_provider_aep.get_provider_info import get_provider_info

    declared = set(get_provider_info()["config"]["aep"]["options"])
    named = {name for page in PAGES for name in re.findall(r"`\[aep\] (\w+)", page.read_text())}
    assert named <= declared


# -- the extensions


def test_task_statements():
    source = 'def dag():\n    a = B(\n        task_id="a",\n    )\n    B(task_id="b")\n    a >> b\n'
    assert code_sources.task_statements(source) == {"a": 'a = B(\n    task_id="a",\n)', "b": 'B(task_id="b")'}


def test_task_graph():
    source = 'def dag():\n    a = B(task_id="a")\n    C(task_id="c", one=a.output, two=a.output)\n'
    assert code_sources.task_graph(source) == "flowchart LR\na --> c"


def test_table_escapes_bars_and_joins_lists():
    rows = [{"a": "x|y", "b": ["1", "2"]}]
    assert code_sources.table(rows, {"a": "`{}`", "b": "{}"}) == "| a | b |\n|---|---|\n| `x\\|y` | 1, 2 |"


@blocks_of("mermaid")
def test_diagram_is_drawn(code):
    drawing = diagrams.draw(code)
    assert drawing.startswith("<svg")
    for label in re.findall(r'\["([^"<]+)"\]', code):
        assert f">{label}</text>" in drawing


def test_boxes_of_a_flowchart_do_not_overlap():
    graph = diagrams.parse_flowchart("flowchart LR\n a --> b --> d\n a --> c --> d\n a -->|far| d\n")
    diagrams.lay_out(graph)
    boxes = [box for box in graph.boxes.values() if not box.is_bend]
    assert len(boxes) == 4
    assert graph.edges.count(("a", "b", "")) == 1
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
            apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
            assert apart_x or apart_y


@pytest.mark.parametrize("text", ["pie\n a", "flowchart LR\n a ==> b", "sequenceDiagram\n participant A\n A to B: no"])
def test_unknown_syntax_of_a_diagram_is_an_error(text):
    with pytest.raises(diagrams.DiagramError):
        diagrams.draw(text)
