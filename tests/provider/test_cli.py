"""The commands ``airflow-aep``: what they print, how they end, and what they write."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from airflow_provider_aep.cli.commands import json_schema
from airflow_provider_aep.cli.definitions import COMMANDS
from airflow_provider_aep.cli.main import main
from airflow_provider_aep.client.clock import SYSTEM_CLOCK

FILES = Path(__file__).parents[2] / "onboardings"


@pytest.fixture
def aep(emulator, monkeypatch):
    """An emulator behind the connection of the environment ``dev``."""
    for name in ("DEV", "PROD"):
        monkeypatch.setenv(f"AIRFLOW_CONN_AEP_{name}", json.dumps(emulator.connection(sandbox=name.lower())))
    source = {"conn_type": "http", "host": "https://x.service-now.com", "login": "u", "password": "source-canary"}
    monkeypatch.setenv("AIRFLOW_CONN_AEP_SERVICENOW", json.dumps(source))
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "0")
    return emulator


@pytest.fixture
def run(capsys):
    """``run(*arguments)`` returns the exit code, the output and the errors of a command."""

    def command(*arguments):
        code = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as e:
            code = int(e.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


# -- without AEP ------------------------------------------------------------------------------------------------------


def test_the_example_files_are_valid_and_pass_their_tests(run):
    assert run("validate", FILES)[0] == 0
    code, _, err = run("test", FILES)
    assert (code, err.strip().splitlines()[-1]) == (0, "0 errors, 0 other remarks; 4 of 4 tests passed.")


@pytest.mark.parametrize("output", ["text", "json", "github", "sarif"])
def test_a_mistake_is_reported_in_each_format(run, tmp_path, output):
    (tmp_path / "x.yaml").write_text((FILES / "contacts.yaml").read_text().replace("table:", "tables:"))
    code, out, _ = run("validate", tmp_path, "-o", output)
    assert code == 4
    place = f"{tmp_path}/x.yaml"
    message = "There is no such key. Did you mean 'table'?"
    if output == "json":
        assert json.loads(out) == [
            {"file": place, "line": 4, "column": 30, "key": "source.tables", "message": message, "grade": "error"}
        ]
    elif output == "sarif":
        region = {"startLine": 4, "startColumn": 30}
        location = {"physicalLocation": {"artifactLocation": {"uri": place}, "region": region}}
        result = {"level": "error", "message": {"text": f"source.tables: {message}"}, "locations": [location]}
        runs = [{"tool": {"driver": {"name": "airflow-aep"}}, "results": [result]}]
        assert json.loads(out) == {"version": "2.1.0", "runs": runs}
    else:
        assert (
            out.strip()
            == {
                "text": f"{place}:4:30 source.tables: {message}",
                "github": f"::error file={place},line=4,col=30::source.tables: {message}",
            }[output]
        )


def test_a_test_that_fails_is_reported(run, tmp_path):
    (tmp_path / "x.yaml").write_text((FILES / "contacts.yaml").read_text().replace("lower(trim(email))", "email"))
    code, out, err = run("test", tmp_path)
    assert code == 4
    assert "tests[0].expect.\"personalEmail.address\": expected 'a.lee@example.org'" in out
    assert "1 of 2 tests passed" in err


def test_explain_shows_each_value_with_its_place(run):
    code, out, _ = run("explain", FILES / "contacts.yaml", "--env", "dev")
    assert code == 0
    assert f'schedule.every: "once"  # {FILES}/contacts.yaml:20' in out
    assert f"quality.max_failed_ratio: 0.01  # {FILES}/aep.yaml:8" in out


def test_the_json_schema_accepts_the_example_files_and_refuses_unknown_keys(run):
    code, out, _ = run("schema")
    assert (code, out) == (0, json_schema())
    validator = jsonschema.Draft202012Validator(json.loads(out))
    for name in ("contacts", "incidents"):
        data = yaml.safe_load((FILES / f"{name}.yaml").read_text())
        assert list(validator.iter_errors(data)) == []
        assert list(validator.iter_errors({**data, "colour": "red"}))


def test_a_command_that_needs_no_airflow_does_not_import_it():
    code = (
        "import sys; from airflow_provider_aep.cli.main import main; "
        f"main(['validate', {str(FILES)!r}]); assert not [m for m in sys.modules if m.split('.')[0] == 'airflow']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_definitions_import_nothing_of_the_provider():
    code = (
        "import sys; import airflow_provider_aep.cli.definitions; "
        "print([m for m in sys.modules if m.split('.')[0] == 'airflow_provider_aep' and '.cli' not in m][1:])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


# -- with AEP ---------------------------------------------------------------------------------------------------------


def test_plan_apply_plan(aep, run):
    code, out, err = run("plan", FILES, "--env", "dev", "--exit-code")
    assert code == 2, err
    assert out.count("Plan: 7 to create.") == 1
    assert {r["method"] for r in aep.requests() if r["operation"] != "POST token"} == {"GET"}
    code, out, err = run("apply", FILES, "--env", "dev", "--yes")
    assert code == 0, err
    assert out.count(": created") == 7 + 9
    writes = aep.writes()
    code, out, _ = run("plan", FILES, "--env", "dev", "--exit-code", "-o", "json")
    assert code == 0
    plans = json.loads(out)
    assert {action["action"] for plan in plans for action in plan["actions"]} == {"unchanged"}
    assert {plan["format_version"] for plan in plans} == {1}
    assert run("apply", FILES, "--env", "dev", "--yes")[0] == 0
    assert aep.writes() == writes
    assert "source-canary" not in out


def test_an_apply_asks_and_production_wants_its_name(aep, run, monkeypatch):
    for answer, env, written in (("no", "dev", False), ("yes", "prod", False), ("prod", "prod", True)):
        asked = []
        monkeypatch.setattr("builtins.input", lambda text, answer=answer, asked=asked: asked.append(text) or answer)
        before = len(aep.writes())
        code, _, _ = run("apply", FILES / "contacts.yaml", "--env", env)
        assert len(asked) == 1
        assert (code == 0, len(aep.writes()) > before) == (written, written)


def test_what_a_person_must_decide_ends_with_its_code(aep, run):
    run("apply", FILES / "contacts.yaml", "--env", "dev", "--yes")
    scope, body = aep.world.store.everywhere("connections")[0]
    aep.world.store.put("connections", scope, body["id"], {**body, "description": ""}, name=body["name"])
    code, out, _ = run("plan", FILES / "contacts.yaml", "--env", "dev", "--exit-code")
    assert code == 5
    assert "Set adopt to true to use it as it is" in out
    before = aep.writes()
    assert run("apply", FILES / "contacts.yaml", "--env", "dev", "--yes")[0] == 5
    assert aep.writes() == before


def test_an_apply_of_several_files_waits_once(aep, run, monkeypatch):
    """The list of connections lags: another apply, which was killed, has just created the second base connection."""
    aep.freeze()
    run("apply", FILES / "contacts.yaml", "--env", "dev", "--yes")
    aep.advance(100)
    run("apply", FILES / "incidents.yaml", "--env", "dev", "--yes")
    for kind in (
        "flows",
        "sourceConnections",
        "targetConnections",
        "dataSets",
        "schemas",
        "fieldgroups",
        "mappingSets",
    ):
        for scope, body in aep.world.store.everywhere(kind):
            if "Incidents" in json.dumps(body):
                aep.world.store.delete(kind, scope, body.get("$id") or body["id"])
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "4")
    slept = []
    monkeypatch.setattr(
        type(SYSTEM_CLOCK), "sleep", lambda self, seconds: slept.append(seconds) or aep.world.faults.clear()
    )
    aep.fault("GET */flowservice/connections", "lag", seconds=50)
    code, _, err = run("apply", FILES, "--env", "dev", "--yes")
    assert code == 0, err
    assert slept == [4]
    assert len(aep.world.store.everywhere("connections")) == 2


@pytest.fixture
def saved(run, tmp_path):
    """A copy of a file, and its saved plan for ``dev``."""
    copy = tmp_path / "contacts.yaml"
    copy.write_text((FILES / "contacts.yaml").read_text())
    (tmp_path / "aep.yaml").write_text((FILES / "aep.yaml").read_text())

    def save():
        code, out, err = run("plan", copy, "--env", "dev", "--out", tmp_path / "plan.json")
        assert code == 0, err
        assert "Plan: " in out
        return copy, tmp_path / "plan.json"

    return save


def test_a_saved_plan_is_applied_and_can_be_applied_again(aep, run, saved):
    copy, plan = saved()
    assert [p["onboarding"] for p in json.loads(plan.read_text())] == ["Contacts of ServiceNow"]
    apply = ("apply", copy, "--env", "dev", "--plan", plan, "--yes")
    aep.fault("POST */dataSets", "answer", status=403, calls=[1])  # an apply that ends half-way
    assert run(*apply)[0] == 1
    code, _, err = run(*apply)
    assert code == 0, err
    writes = aep.writes()
    assert run(*apply)[0] == 0
    assert aep.writes() == writes


def changed_file(aep, copy, plan):
    copy.write_text(copy.read_text().replace("lower(trim(email))", "trim(lower(email))"))
    return "Contacts of ServiceNow: the file has changed"


def another_onboarding(aep, copy, plan):
    copy.write_text(copy.read_text().replace("onboarding: Contacts of ServiceNow", "onboarding: People"))
    return "Contacts of ServiceNow: is in the plan, but in none of the files\nPeople: is not in the plan"


def another_sandbox(aep, copy, plan):
    plan.write_text(plan.read_text().replace('"sandbox": "dev"', '"sandbox": "stage"'))
    return "Contacts of ServiceNow: the sandbox was 'stage', and is 'dev' now"


def fewer_actions(aep, copy, plan):
    [one] = json.loads(plan.read_text())
    del one["actions"][-1]
    plan.write_text(json.dumps([one]))
    return "was not planned, and is 'create' now"


def more_actions(aep, copy, plan):
    [one] = json.loads(plan.read_text())
    one["actions"].append({"kind": "flow", "name": "Other", "action": "create"})
    plan.write_text(json.dumps([one]))
    return "the flow 'Other' is not in the plan of now"


def an_object_was_made(aep, copy, plan):
    [one] = json.loads(plan.read_text())
    one["actions"][0] |= {"action": "update", "id": "x"}
    plan.write_text(json.dumps([one]))
    return "was 'update', and is 'create' now"


@pytest.mark.parametrize(
    "change", [changed_file, another_onboarding, another_sandbox, fewer_actions, more_actions, an_object_was_made]
)
def test_a_saved_plan_that_does_not_fit_is_refused(aep, run, saved, change):
    copy, plan = saved()
    says = change(aep, copy, plan)
    code, _, err = run("apply", copy, "--env", "dev", "--plan", plan, "--yes")
    assert code == 5
    assert "does not fit any more. Make a new plan. Nothing was written." in err
    assert says in err
    assert aep.writes() == []


def test_a_saved_plan_is_refused_after_a_change_in_aep(aep, run, saved):
    copy, _ = saved()
    run("apply", copy, "--env", "dev", "--yes")
    copy.write_text(copy.read_text().replace("lower(trim(email))", "trim(lower(email))"))
    copy, plan = saved()
    scope, body = aep.world.store.everywhere("mappingSets")[0]
    by_hand = json.loads(json.dumps(body).replace("lower(trim(email))", "email"))
    assert by_hand != body
    aep.world.store.put("mappingSets", scope, body["id"], by_hand, name=body.get("name", ""))
    before = aep.writes()
    code, _, err = run("apply", copy, "--env", "dev", "--plan", plan, "--yes")
    assert (code, aep.writes()) == (5, before), err
    assert "was 'update', and has other changes now" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("{}", "has no plans of format version 1"),
        ('[{"format_version": 2}]', "has no plans of format version 1"),
        ('[{"format_version": 1, "onboarding": "x", "actions": [1]}]', "has no plans of format version 1"),
    ],
)
def test_a_plan_that_is_none_is_one_sentence(aep, run, tmp_path, text, says):
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    code, _, err = run("apply", FILES, "--env", "dev", "--plan", tmp_path / "plan.json", "--yes")
    assert code == 4
    assert says in err
    assert "Next step: Make a plan with: plan --out FILE." in err
    assert aep.requests() == []


def test_a_plan_that_cannot_be_saved_is_one_sentence(aep, run, tmp_path):
    code, _, err = run("plan", FILES, "--env", "dev", "--out", tmp_path / "nowhere" / "plan.json")
    assert code == 1
    assert err.strip().endswith("plan.json: No such file or directory.")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("plan", FILES, "--env", "stage"), 4, "There is no environment 'stage'"),
        (("plan", FILES / "nothing", "--env", "dev"), 4, "cannot be read"),
    ],
)
def test_a_wrong_environment_or_file_is_one_line(aep, run, arguments, code, says):
    found, _, err = run(*arguments)
    assert found == code
    assert says in err
    assert aep.requests() == []


def test_a_missing_connection_is_one_sentence(run, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_AEP_DEV", raising=False)
    code, _, err = run("plan", FILES, "--env", "dev")
    assert code == 1
    assert err.strip().splitlines()[-1].startswith("There is no Airflow connection 'aep_dev'. Next step:")


def test_airflow_has_the_same_commands():
    from airflow.cli.cli_config import GroupCommand

    from airflow_provider_aep.cli.definitions import airflow_commands

    [group] = airflow_commands()
    assert isinstance(group, GroupCommand)
    assert group.name == "aep"
    assert [command.name for command in group.subcommands] == [command.name for command in COMMANDS]
