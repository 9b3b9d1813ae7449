"""Plan and apply of onboarding files against the emulator: a plan reads, an apply writes once."""

import pytest
from chain import SERVICENOW

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConflictError, AepLostResponseError
from airflow_provider_aep.onboarding.spec.apply import apply
from airflow_provider_aep.onboarding.spec.loader import load
from airflow_provider_aep.onboarding.spec.plan import make_plan

FILE = """\
version: 1
onboarding: Incidents
description: Incidents of ServiceNow
source: {system: servicenow, table: incident}
schema:
  fields:
    incident.number: {type: string, required: true}
    incident.openedAt: date-time
mappings:
  _id: sys_id
  personalEmail.address: {expr: lower(caller_email)}
  "_{tenant}.incident.number": number
  "_{tenant}.incident.openedAt": opened_at
identities:
  - {path: personalEmail.address, namespace: Email, primary: true}
profile: {enabled: true, irreversible: true, upsert: true}
schedule: {every: hour}
options: {partial_ingestion_percent: 5, error_diagnostics: true}
"""
LABELS = [
    "base connection", "source connection", "field group", "schema", "identity descriptor", "profile", "dataset",
    "profile", "target connection", "mapping set", "flow",
]  # fmt: skip


def credentials(login, params):
    values = {"endpoint": "https://x", "username": "u", "password": "canary-secret"}
    return {param: values[param] for param in params}


@pytest.fixture
def one(tmp_path):
    """``one(change, ...)`` returns the onboarding of the file with changes of its text."""

    def read(*changes):
        text = FILE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "x.yaml").write_text(text)
        [loaded], problems = load([tmp_path], "dev")
        assert problems == []
        return loaded

    return read


def apply_at_once(client, loaded, credentials, *report):
    """No apply ran a moment ago."""
    return apply(client, loaded, credentials, *report, grace_period=0)


def actions(plan):
    return [action.action for action in plan.actions]


def changed(plan):
    return {a.kind: [c.path for c in a.changes] for a in plan.actions if a.action != "unchanged"}


def test_a_plan_reads_and_an_apply_makes_the_plan_empty(emulator, aep, one):
    loaded = one()
    plan = make_plan(aep, loaded, credentials)
    assert [a.kind for a in plan.actions] == LABELS
    assert actions(plan) == ["create" if label != "profile" else "enable" for label in LABELS]
    assert plan.summary() == "Plan: 9 to create, 2 irreversible."
    assert {r["method"] for r in emulator.requests() if r["operation"] != "POST token"} == {"GET"}
    reported = []
    assert apply_at_once(
        aep, loaded, credentials, lambda kind, outcome: reported.append((kind, outcome.action))
    ) == len(LABELS)
    assert [kind for kind, _ in reported] == LABELS
    before = emulator.writes()
    again = make_plan(aep, loaded, credentials)
    assert set(actions(again)) == {"unchanged"}
    assert not again.has_changes
    assert apply_at_once(aep, loaded, credentials) == 0
    assert [w for w in emulator.writes()[len(before) :] if not w.endswith("validate")] == []


def test_no_secret_is_in_a_plan(aep, one):
    plan = make_plan(aep, one(), credentials)
    assert "canary-secret" not in plan.text() + str(plan.as_dict())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("every: hour", "every: 6 hours"), {"flow": ["scheduleParams.interval"]}),
        (("date-time", "date-time\n    incident.state: string"), {"field group": ["fields.incident.state"]}),
        (
            ("lower(caller_email)", "lower(trim(caller_email))"),
            {"mapping set": ["mappings.personalEmail.address"], "flow": ["steps.Mapping"]},
        ),
        (("schema:", "schema:\n  field_groups: [identitymap, profile-personal-details]"), {"schema": ["refs"]}),
    ],
)
def test_one_change_of_the_file_is_one_change_of_the_plan(aep, one, change, expected):
    apply_at_once(aep, one(), credentials)
    loaded = one(change)
    plan = make_plan(aep, loaded, credentials)
    assert changed(plan) == expected
    assert apply_at_once(aep, loaded, credentials) == len(expected)
    assert not make_plan(aep, loaded, credentials).has_changes


def test_a_change_that_aep_refuses_is_for_a_person(aep, one):
    apply_at_once(aep, one(), credentials)
    plan = make_plan(aep, one(("incident.openedAt: date-time", "incident.openedAt: string")), credentials)
    [refused] = [a for a in plan.actions if a.action == "refuse"]
    assert refused.kind == "field group"
    assert "it is date-time, declared is string" in refused.reason
    assert plan.needs_decision
    assert "?" in plan.text()


def test_an_object_of_a_person_needs_a_word(emulator, aep, one):
    auth = {"specName": "Basic Authentication", "params": credentials("", ("endpoint", "username", "password"))}
    body = {
        "name": "Incidents base",
        "description": "Incidents of ServiceNow",
        "auth": auth,
        "connectionSpec": SERVICENOW,
    }
    aep.send(flow_service.create_connection(body))
    plan = make_plan(aep, one(), credentials)
    assert (plan.actions[0].action, plan.needs_decision) == ("refuse", True)
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="was not created by this onboarding. Next step: Set adopt to true"):
        apply_at_once(aep, one(), credentials)
    assert emulator.writes() == before
    loaded = one(("version: 1", "version: 1\nadopt: true"))
    assert not make_plan(aep, loaded, credentials).needs_decision
    apply_at_once(aep, loaded, credentials)
    assert set(actions(make_plan(aep, loaded, credentials))) == {"adopt", "unchanged"}


def test_a_new_field_is_made_with_its_mapping_and_its_identity(aep, one):
    first = one(("    incident.openedAt: date-time\n", ""), ('  "_{tenant}.incident.openedAt": opened_at\n', ""))
    apply_at_once(aep, first, credentials)
    later = one(
        ("openedAt: date-time", "openedAt: date-time\n    incident.caller: string"),
        ("opened_at", 'opened_at\n  "_{tenant}.incident.caller": caller_id'),
        ("profile: {", '  - {path: "_{tenant}.incident.caller", namespace: Phone}\nprofile: {'),
    )
    plan = make_plan(aep, later, credentials)
    assert not plan.needs_decision, plan.text()
    assert [a.kind for a in plan.actions if a.action != "unchanged"][:3] == [
        "field group", "identity descriptor", "mapping set",
    ]  # fmt: skip
    apply_at_once(aep, later, credentials)
    assert not make_plan(aep, later, credentials).has_changes


def test_what_refers_to_a_replaced_object_needs_a_word_before_the_first_write(emulator, aep, one):
    apply_at_once(aep, one(), credentials)
    renamed = (
        ("table: incident}", "table: customer_contact}"),
        ("caller_email", "email"),
        ("opened_at", "sys_created_on"),
    )
    before = emulator.writes()
    plan = make_plan(aep, one(*renamed, ("version: 1", "version: 1\nreplace: [source]")), credentials)
    assert [a.kind for a in plan.actions if a.action == "replace"] == ["source connection"]
    [flow] = [a for a in plan.actions if a.kind == "flow"]
    assert (flow.action, "Add replace: [flow]" in flow.reason) == ("refuse", True)
    both = one(*renamed, ("version: 1", "version: 1\nreplace: [source, flow]"))
    plan = make_plan(aep, both, credentials)
    assert [a.kind for a in plan.actions if a.action == "replace"] == ["source connection", "flow"]
    assert not plan.needs_decision
    assert emulator.writes() == before


@pytest.mark.parametrize("kind", ["dataSets", "flows"])
def test_an_object_of_the_name_of_one_that_would_be_new_needs_a_word(emulator, aep, one, kind):
    apply_at_once(aep, one(), credentials)
    store = emulator.world.store
    for other in (
        "flows",
        "targetConnections",
        "dataSets",
        "schemas",
        "sourceConnections",
        "connections",
        "mappingSets",
    ):
        for scope, body in store.everywhere(other) if other != kind else ():
            store.delete(other, scope, body.get("$id") or body["id"])
    plan = make_plan(aep, one(), credentials)
    [refused] = [a for a in plan.actions if a.action == "refuse"]
    assert "refers to another object than the new one" in refused.reason
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="refers to another object"):
        apply_at_once(aep, one(), credentials)
    assert emulator.writes() == before


class Killed(BaseException):
    """The process ends at once."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(len(LABELS)))
def test_an_apply_that_is_killed_at_any_write_is_finished_by_another(emulator, virtual, one, moment, number):
    """The lists show an object half a minute after its creation, and the second apply begins at once."""
    send, seen = virtual.send, []

    def killing(call):
        if call.method == "GET" or call.path.endswith("validate"):
            return send(call)
        seen.append(call.path)
        if len(seen) == number + 1 and moment == "before":
            raise Killed
        answer = send(call)
        if len(seen) == number + 1:
            raise Killed
        return answer

    virtual.send = killing
    with pytest.raises(Killed):
        apply(virtual, one(), credentials)
    virtual.send = send
    for path in (
        "*/connections",
        "*Connections",
        "*/tenant/schemas",
        "*/tenant/fieldgroups",
        "*/dataSets",
        "*/mappingSets",
        "*/flows",
    ):
        emulator.fault(f"GET {path}", "lag", seconds=30)
    apply(virtual, one(), credentials)
    emulator.world.faults.clear()
    emulator.advance(120)
    assert not make_plan(virtual, one(), credentials).has_changes
    kinds = ("connections", "sourceConnections", "fieldgroups", "schemas", "dataSets", "targetConnections", "flows",
             "descriptors", "mappingSets")  # fmt: skip
    assert {kind: len(emulator.world.store.everywhere(kind)) for kind in kinds} == dict.fromkeys(kinds, 1)


def test_a_lost_response_makes_one_object(emulator, virtual, one):
    emulator.fault("POST */flows", "reset", commit="now", calls=[1])
    try:
        apply(virtual, one(), credentials)
    except AepLostResponseError:
        apply(virtual, one(), credentials)
    assert len(emulator.world.store.everywhere("flows")) == 1
