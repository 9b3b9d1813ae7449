"""Onboarding files: each mistake is reported at its place, all of them at once, and without AEP."""

from pathlib import Path

import pytest

from airflow_provider_aep.onboarding.spec import offline
from airflow_provider_aep.onboarding.spec.loader import load

GOOD = """\
version: 1
onboarding: Contacts
source: {system: servicenow, table: customer_contact}
mappings:
  _id: sys_id
"""
FOLDER = """\
version: 1
environments:
  dev: {connection: aep_dev}
  prod: {connection: aep_prod, type: production}
defaults:
  quality: {max_failed_ratio: 0.01}
"""


def reported(folder, text, env=None, name="x.yaml", **others):
    """Return the problems of a file, without its folder."""
    (folder / name).write_text(text)
    for other, content in others.items():
        (folder / f"{other}.yaml").write_text(content)
    loaded, problems = load([folder], env)
    found = [*problems, *(p for one in loaded for p in offline.check(one))]
    return [str(p).replace(f"{folder}/", "") for p in found if p.grade == "error"]


BROKEN = [
    ("", "x.yaml:1:1 The file is empty."),
    ("- a\n", "x.yaml:1:1 A document is a mapping of keys to values."),
    ("a: [\n", "x.yaml:2:1 This is no YAML: did not find expected node content"),
    (GOOD + "a: &x 1\nb: *y\n", "x.yaml:7:4 This is no YAML: found undefined alias"),
    (GOOD.replace("version: 1", "version: 2"), "x.yaml:1:1 version: 2 is not one of 1."),
    (GOOD.replace("version: 1\n", ""), "x.yaml:1:1 version: The key is missing."),
    (GOOD.replace("Contacts", '" Contacts"'), "x.yaml:2:1 onboarding: ' Contacts': a name has 1 to 80 printable"),
    (GOOD + "onboarding: Other\n", "x.yaml:6:1 onboarding: The key is repeated. Remove one of them."),
    (GOOD + "schedules: {every: day}\n", "x.yaml:6:1 schedules: There is no such key. Did you mean 'schedule'?"),
    (GOOD + "colour: red\n", "x.yaml:6:1 colour: There is no such key. Use one of adopt, description,"),
    (GOOD.replace("table:", "tables:"), "x.yaml:3:30 source.tables: There is no such key. Did you mean 'table'?"),
    (GOOD.replace("servicenow", "servicenaw"), "x.yaml:3:10 source.system: 'servicenaw' is not one of servicenow,"),
    (GOOD.replace(", table: customer_contact", ""), "x.yaml:3:1 source: The key table is missing."),
    (GOOD + "description: yes\n", "x.yaml:6:14 description: YAML reads yes as a boolean."),
    (GOOD + "description: 2026-01-31\n", "x.yaml:6:14 description: YAML reads 2026-01-31 as a date. Quote it."),
    (GOOD + "meta: {n: 010}\n", "x.yaml:6:11 meta.n: YAML reads 010 as another number."),
    (GOOD + "meta: {at: 12:30}\n", "x.yaml:6:12 meta.at: YAML reads 12:30 as another number."),
    (GOOD + "meta: {on: 1}\n", "x.yaml:6:8 meta.on: on is no text to YAML. Quote the key."),
    (GOOD + "meta: {x: !!python/name:os 1}\n", "x.yaml:6:11 meta.x: The tag tag:yaml.org,2002:python/name:os is not"),
    (GOOD + "  a: {exp: x}\n", "x.yaml:6:3 mappings.a: {'exp': 'x'}: a mapping is a column, {expr: ...},"),
    (GOOD + "  a: 5\n", "x.yaml:6:3 mappings.a: 5: a mapping is a column"),
    (GOOD + "  a.b: {expr: nvl(x)}\n", 'x.yaml:6:3 mappings."a.b": There is no function nvl.'),
    (GOOD + "  a.b: {expr: 'concat('}\n", 'x.yaml:6:3 mappings."a.b": column 8: The expression ends too early.'),
    (GOOD + "  _id: other\n", "x.yaml:6:3 mappings._id: The key is repeated."),
    (GOOD + "  a..b: x\n", "x.yaml:6:3 mappings.\"a..b\": 'a..b' is no path."),
    (GOOD + "schedule: {every: 5 fortnights}\n", "x.yaml:6:12 schedule.every: '5 fortnights': String should match"),
    (GOOD + "schedule: {every: 5 minutes}\n", "x.yaml:6:12 schedule.every: interval is 5"),
    (GOOD + "schedule: {backfill: true}\n", "x.yaml:6:12 schedule.backfill: backfill is True"),
    (GOOD + "quality: {max_failed_ratio: 2}\n", "x.yaml:6:11 quality.max_failed_ratio: 2: Input should be less than"),
    (GOOD + "profile: {enabled: true, irreversible: true}\n", "x.yaml:6:11 profile.enabled: Profile needs a primary"),
    (
        GOOD + "identities: [{path: _id, primary: true}]\nprofile: {enabled: true}\n",
        "x.yaml:7:11 profile.enabled: AEP cannot undo this. Add irreversible: true if you accept it.",
    ),
    (GOOD + "identities: [{path: a.b}]\n", "x.yaml:6:15 identities[0].path: No mapping fills a.b"),
    (
        GOOD + "identities: [{path: _id, primary: true}, {path: _id, primary: true}]\n",
        "x.yaml:6:54 identities[1].primary: A schema has one primary identity.",
    ),
    (GOOD + "schema: {fields: {a b: string}}\n", "x.yaml:6:19 schema.fields.a b: 'a b' is no name of a field."),
    (GOOD + "schema: {fields: {a.b: text}}\n", "x.yaml:6:19 schema.fields.\"a.b\": there is no type 'text'."),
    (GOOD + "tests: [{row: {}}]\n", "x.yaml:6:9 tests[0].name: The key is missing."),
    (GOOD + "names: {flaw: x}\n", "x.yaml:6:9 names.flaw:"),
    (
        GOOD.replace("contact}", "contact, columns: [{name: a}, {name: a}]}").replace("sys_id", "a"),
        "x.yaml:3:77 source.columns[1].name: The column 'a' is repeated.",
    ),
    (GOOD + "meta: {a: &x [*x]}\n", "x.yaml:6:11 meta.a[0]: The value contains itself"),
    (GOOD.replace("\n  _id: sys_id", " {}"), "x.yaml:4:1 mappings: There is no mapping."),
    (GOOD + '  "": x\n', "x.yaml:6:3 mappings.: The path of a field is empty."),
    (GOOD.replace("contact}", "contact, params: {}}"), "x.yaml:3:55 source.params: servicenow has tables"),
    (GOOD.replace("contact}", "contact, columns: []}"), "x.yaml:3:55 source.columns: The list is empty."),
    (GOOD.replace("servicenow", "zendesk"), "x.yaml:3:27 source.table: zendesk has no tables."),
    (GOOD + "names: {base: 'x '}\n", "x.yaml:6:9 names.base: base is 'x ', which is not a name"),
    (GOOD + "schedule: {delta_column: x}\n", "x.yaml:6:12 schedule.delta_column: A flow that runs once has no"),
    (
        GOOD.replace("contact}", "contact, columns: [{name: sys_id}]}") + "schedule: {every: hour}\n",
        "x.yaml:6:1 schedule: The delta column 'sys_updated_on' is not one of the columns.",
    ),
    (
        GOOD.replace("contact}", "contact, columns: [{name: sysid}]}"),
        "x.yaml:5:3 mappings._id: The source has no column 'sys_id'. Did you mean 'sysid'?",
    ),
]


@pytest.mark.parametrize(("text", "says"), BROKEN, ids=[says[:60] for _, says in BROKEN])
def test_a_mistake_is_reported_at_its_place(tmp_path, text, says):
    found = reported(tmp_path, text)
    assert len(found) == 1, found
    assert found[0].startswith(says)


def test_all_mistakes_of_all_files_are_reported_at_once(tmp_path):
    found = reported(
        tmp_path, GOOD.replace("table:", "tables:") + "colour: red\nmeta: {a: 2026-01-31}\n",
        y=GOOD.replace("servicenow", "servicenaw"), z="version: 1\n",
    )  # fmt: skip
    assert [line.split(" ")[0] for line in found] == [
        "x.yaml:7:11", "z.yaml:1:1", "z.yaml:1:1", "z.yaml:1:1", "y.yaml:3:10",
    ]  # fmt: skip


def test_two_onboardings_of_one_name_are_reported(tmp_path):
    [found] = reported(tmp_path, GOOD, y=GOOD)
    assert found == "y.yaml:2:1 onboarding: x.yaml:2 has an onboarding of this name, too. Choose another."


# -- environments -----------------------------------------------------------------------------------------------------


def loaded(folder, text, env, **others):
    assert reported(folder, text, env, **others) == []
    [one], _ = load([folder / "x.yaml"], env)
    return one


def test_defaults_come_first_then_the_file_then_the_overlay(tmp_path):
    text = GOOD + "quality: {max_failed_records: 3}\nenvironments:\n  dev:\n    source: {table: incident}\n"
    one = loaded(tmp_path, text, "dev", aep=FOLDER)
    assert (one.spec.source.system, one.spec.source.table) == ("servicenow", "incident")
    assert (one.spec.quality.max_failed_ratio, one.spec.quality.max_failed_records) == (0.01, 3)
    assert (one.environment.connection, one.environment.type) == ("aep_dev", "development")
    places = {path: (Path(file).name, line) for path, (file, line, _) in one.origins.items()}
    assert places["source", "table"] == ("x.yaml", 9)
    assert places["quality", "max_failed_ratio"] == ("aep.yaml", 6)
    assert loaded(tmp_path, text, "prod").spec.source.table == "customer_contact"


def test_an_overlay_replaces_a_source_of_a_field_and_a_list(tmp_path):
    text = (
        GOOD.replace("_id: sys_id", "_id: {expr: lower(sys_id)}")
        + "identities: [{path: _id}]\nenvironments:\n  dev: {mappings: {_id: {value: x}}, identities: []}\n"
    )
    one = loaded(tmp_path, text, "dev")
    assert (one.spec.mappings, one.spec.identities) == ({"_id": {"value": "x"}}, [])


def test_without_aep_yaml_an_environment_has_the_connection_of_its_name(tmp_path):
    assert loaded(tmp_path, GOOD, "dev").environment.connection == "aep_dev"


@pytest.mark.parametrize(
    ("text", "env", "says"),
    [
        (GOOD, "prd", "aep.yaml:2:1 environments: There is no environment 'prd'. Did you mean 'prod'?"),
        (GOOD + "only: [stage]\n", None, "x.yaml:6:1 only: aep.yaml has no environment 'stage'."),
        (GOOD + "environments: {stage: {}}\n", None, "x.yaml:6:16 environments.stage: aep.yaml has no environment"),
        (
            GOOD + "environments:\n  dev: {sourse: {table: x}}\n",
            None,
            "x.yaml:7:9 sourse: There is no such key. Did you mean 'source'?",
        ),
        (
            GOOD + "environments: {dev: {onboarding: X}}\n",
            "dev",
            "x.yaml:6:22 environments.dev.onboarding: An overlay cannot change this key.",
        ),
        (
            GOOD + "environments:\n  dev: {source: {tables: x}}\n",
            "dev",
            "x.yaml:7:18 source.tables: There is no such key. Did you mean 'table'?",
        ),
    ],
)
def test_a_mistake_about_environments_is_reported(tmp_path, text, env, says):
    found = reported(tmp_path, text, env, aep=FOLDER)
    assert found
    assert found[0].startswith(says)


def test_the_nearest_aep_yaml_above_a_file_counts(tmp_path):
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "deep.yaml").write_text(GOOD)
    (tmp_path / "aep.yaml").write_text(FOLDER)
    for given in (tmp_path, tmp_path / "crm", tmp_path / "crm" / "deep.yaml"):
        [one], problems = load([given], "prod")
        assert problems == []
        assert (one.environment.type, one.spec.quality.max_failed_ratio) == ("production", 0.01)


@pytest.mark.parametrize("key", ["only: [dev]", "environments: {dev: {}}", "onboarding: X", "version: 1"])
def test_some_keys_have_no_default(tmp_path, key):
    found = reported(tmp_path, GOOD, aep=f"version: 1\ndefaults:\n  {key}\n")
    assert f"aep.yaml:3:3 defaults.{key.split(':')[0]}: There is no default of this key." in found


def test_aep_yaml_has_one_document(tmp_path):
    assert "aep.yaml has one document" in reported(tmp_path, GOOD, aep=f"{FOLDER}---\n{FOLDER}")[0]


def test_a_test_may_fill_a_field_of_another_field_group(tmp_path):
    text = GOOD + '  "_{tenant}.c.d": x\nschema: {fields: {a.b: string}}\n'
    text += 'tests: [{name: t, row: {x: "1"}, expect: {"_{tenant}.c.d": "1"}}]\n'
    [result] = offline.run_tests(loaded(tmp_path, text, None))
    assert result.failures == ()


def test_a_file_may_belong_to_some_environments(tmp_path):
    text = GOOD + "only: [prod]\n"
    assert reported(tmp_path, text, "dev", aep=FOLDER) == []
    assert load([tmp_path], "dev")[0] == []
    assert len(load([tmp_path], "prod")[0]) == 1


# -- tests of mappings ------------------------------------------------------------------------------------------------

TESTED = """\
version: 1
onboarding: Tickets
source: {system: servicenow, table: incident}
schema: {fields: {ticket.major: boolean, ticket.opened: date-time, ticket.number: {type: string, required: true}}}
mappings:
  "_{tenant}.ticket.number": number
  "_{tenant}.ticket.major": is_major
  "_{tenant}.ticket.opened": {expr: 'date(opened, "dd.MM.yyyy")'}
tests:
  - name: converts
    row: {number: "1", is_major: "yes", opened: 31.01.2026}
    expect:
      "_{tenant}.ticket.major": true
      "_{tenant}.ticket.opened": "2026-01-31T00:00:00Z"
  - name: needs a number
    row: {is_major: "no"}
    rejected: true
  - name: fails
    row: {number: "1", is_major: maybe}
    expect: {"_{tenant}.ticket.major": false}
"""


def test_tests_run_without_aep(tmp_path):
    one = loaded(tmp_path, TESTED, None)
    first, second, third = offline.run_tests(one)
    assert (first.failures, second.failures) == ((), ())
    [failure] = third.failures
    assert str(failure).startswith(
        f'{tmp_path}/x.yaml:20:14 tests[2].expect."_{{tenant}}.ticket.major": expected False, found None (text'
    )
