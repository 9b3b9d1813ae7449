"""Find, compare, create or mend: each kind against the emulator over HTTP, counting what is written."""

from copy import deepcopy

import pytest
from chain import CONTEXT, KINDS, LISTS, OPERATIONS, REFS, START, listed, marked, onboard

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepConflictError,
    AepNotFoundError,
    AepUnavailableError,
)
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.ensure import ensure
from airflow_provider_aep.onboarding.given import checked_id
from airflow_provider_aep.onboarding.wait import fresh


@pytest.fixture
def wanted(aep):
    """By kind, a body that fits the bodies before it; all exist."""
    return onboard("X", lambda kind, body: ensure(aep, kind, body).result)


def changed(body, path, value):
    """A copy with another value at a dot path."""
    copy = deepcopy(body)
    *parents, last = path.split(".")
    node = copy
    for step in parents:
        node = node[step]
    node[last] = value
    return copy


def test_every_kind_is_created_once(emulator, aep, wanted):
    created = emulator.writes()
    outcomes = [ensure(aep, kind, wanted[name]) for name, kind in KINDS.items()]
    assert [o.action for o in outcomes] == ["found"] * 7
    assert emulator.writes() == created
    resources = ["connections", "sourceConnections", "schemas", "dataSets", "targetConnections", "mappingSets", "flows"]
    assert [w for w in created if not w.endswith("validate")] == [
        w for r in resources for w in created if w.endswith(f"/{r}")
    ]
    assert aep.clock.slept == []


NOT_A_CHANGE = [
    ("base", "auth.params.password", "rotated"),
    ("source", "params.columns", [{"name": "email", "type": "string"}, {"name": "added", "type": "string"}]),
    ("flow", "scheduleParams.startTime", START + 3600),
    ("flow", "scheduleParams.backfill", False),
    ("schema", "refs", []),
    ("flow", "scheduleParams.frequency", None),
    ("dataset", "description", ""),
]


@pytest.mark.parametrize(("kind", "path", "value"), NOT_A_CHANGE)
def test_what_is_used_at_birth_only_is_no_change(emulator, aep, wanted, kind, path, value):
    before = emulator.writes()
    assert ensure(aep, KINDS[kind], changed(wanted[kind], path, value)).action == "found"
    assert emulator.writes() == before


MENDED = [
    ("base", "description", "new"),
    ("source", "description", "new"),
    ("dataset", "description", "new"),
    ("schema", "description", "new"),
    ("target", "description", "new"),
    ("schema", "refs", [*REFS, f"{CONTEXT}profile-personal-details"]),
    ("mapping", "mappings", [{"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}]),
    ("flow", "description", "new"),
    ("flow", "scheduleParams.frequency", "day"),
    ("flow", "scheduleParams.interval", 2),
]


@pytest.mark.parametrize(("kind", "path", "value"), MENDED)
def test_an_owned_field_is_mended_with_one_write(emulator, aep, wanted, kind, path, value):
    body, before = changed(wanted[kind], path, value), len(emulator.writes())
    outcome = ensure(aep, KINDS[kind], body)
    assert (outcome.action, outcome.changed) == ("updated", (path,))
    writes = [w for w in emulator.writes()[before:] if not w.endswith("validate")]
    assert len(writes) == 1
    assert writes[0].startswith(("PATCH", "PUT"))
    assert ensure(aep, KINDS[kind], body).action == "found"
    assert ensure(aep, KINDS[kind], body).id == outcome.id


def test_a_new_version_of_a_mapping_set_reaches_the_flow(aep, wanted):
    entry = {"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}
    newer = ensure(aep, kinds.MAPPING_SET, changed(wanted["mapping"], "mappings", [entry])).result
    assert newer["version"] == 1
    step = {"mappingId": newer["id"], "mappingVersion": 1}
    outcome = ensure(aep, kinds.FLOW, changed(wanted["flow"], "steps.Mapping", step))
    assert outcome.changed == ("steps.Mapping",)
    transformations = aep.send(flow_service.get_flow(outcome.id)).transformations
    assert [(t.name, t.params.get("mappingVersion")) for t in transformations] == [("Copy", None), ("Mapping", 1)]


FIXED = [
    ("base", "connectionSpec.id", "other"),
    ("base", "auth.specName", "OAuth"),
    ("source", "params.tableName", "incident"),
    ("source", "baseConnectionId", "other"),
    ("source", "data.format", "json"),
    ("dataset", "schemaRef.id", "other"),
    ("target", "params.dataSetId", "other"),
    ("target", "data.schema.id", "other"),
    ("mapping", "outputSchema.schemaRef.id", "other"),
    ("flow", "sourceConnectionIds", ["other"]),
    ("flow", "targetConnectionIds", ["other"]),
    ("flow", "flowSpec.id", "other"),
    ("flow", "runs", "once"),
    ("schema", "class", f"{CONTEXT}experienceevent"),
    ("flow", "steps.Copy.deltaColumn.name", "sys_created_on"),
]


@pytest.mark.parametrize(("kind", "path", "value"), FIXED)
def test_what_cannot_change_in_place_is_said_and_nothing_is_written(emulator, aep, wanted, kind, path, value):
    before = emulator.writes()
    with pytest.raises(AepConflictError, match=rf"exists and differs in what cannot change: {path} is .*, wanted"):
        ensure(aep, KINDS[kind], changed(wanted[kind], path, value))
    assert emulator.writes() == before


def test_several_of_one_name_stop_everything(aep, wanted):
    aep.send(flow_service.create_connection(wanted["base"]))
    with pytest.raises(AepConflictError, match="2 base connections are named 'X base': .*, .*all but the one"):
        ensure(aep, kinds.BASE_CONNECTION, wanted["base"])


def test_another_name_is_another_object(emulator, aep, wanted):
    assert ensure(aep, kinds.BASE_CONNECTION, {**wanted["base"], "name": "Y base"}).action == "created"
    assert len(emulator.writes()) == 8  # validations are no writes


def test_a_name_that_could_not_be_found_again_is_refused_before_the_first_request(emulator, aep):
    with pytest.raises(AepConfigurationError, match="flow name is 'a,b'"):
        ensure(aep, kinds.FLOW, {"name": "a,b"})
    assert emulator.requests() == []


def test_a_mapping_that_aep_refuses_is_named_and_nothing_is_written(emulator, aep, wanted):
    entry = {"sourceType": "STATIC", "source": "no date", "destination": "person.birthDate"}
    with pytest.raises(AepConfigurationError, match=r"AEP refuses the mapping set 'Y mapping'.*person\.birthDate"):
        ensure(aep, kinds.MAPPING_SET, {**wanted["mapping"], "name": "Y mapping", "mappings": [entry]})
    assert not [w for w in emulator.writes()[8:] if not w.endswith("validate")]


# -- what AEP does in its own time ----------------------------------------------------------------------------------


def set_field(emulator, kind, **fields):
    scope, body = emulator.world.store.everywhere(kind)[0]
    emulator.world.store.put(kind, scope, body["id"], {**body, **fields})


def test_a_transitional_state_is_waited_out(emulator, aep, wanted):
    set_field(emulator, "flows", state="updating")
    aep.clock.meanwhile = lambda: set_field(emulator, "flows", state="enabled")
    assert ensure(aep, kinds.FLOW, wanted["flow"]).action == "found"
    assert aep.clock.slept == [5]


def test_a_transitional_state_that_does_not_end_is_said(emulator, aep, wanted):
    set_field(emulator, "flows", state="updating")
    with pytest.raises(AepUnavailableError, match=r"flow 'X flow' .* is still 'updating' after 120 s"):
        ensure(aep, kinds.FLOW, wanted["flow"])
    assert 120 <= sum(aep.clock.slept) <= 130


def test_what_is_being_deleted_is_waited_for_and_then_absent(emulator, aep, wanted):
    set_field(emulator, "flows", state="delete-finalizing")
    [(scope, flow)] = emulator.world.store.everywhere("flows")
    aep.clock.meanwhile = lambda: emulator.world.store.delete("flows", scope, flow["id"])
    outcome = ensure(aep, kinds.FLOW, wanted["flow"])
    assert outcome.action == "created"
    assert [f["id"] for _, f in emulator.world.store.everywhere("flows")] == [outcome.id]


def test_what_does_not_end_being_deleted_is_said_and_nothing_is_made_beside_it(emulator, aep, wanted):
    set_field(emulator, "flows", state="delete-finalizing")
    before = emulator.writes()
    with pytest.raises(AepUnavailableError, match="still 'delete-finalizing' after 120 s"):
        ensure(aep, kinds.FLOW, wanted["flow"])
    assert emulator.writes() == before


def test_an_etag_that_moves_meanwhile_is_read_again_once(emulator, aep, wanted, monkeypatch):
    send, patches = aep.send, []

    def moving(call):
        if call.method == "PATCH":
            patches.append(dict(call.headers)["If-Match"])
            if len(patches) == 1:
                set_field(emulator, "flows", etag='"moved"')
        return send(call)

    monkeypatch.setattr(aep, "send", moving)
    assert ensure(aep, kinds.FLOW, changed(wanted["flow"], "description", "new")).action == "updated"
    assert len(patches) == 2
    assert patches[1] == '"moved"'


def test_an_etag_that_keeps_moving_is_an_error(emulator, aep, wanted, monkeypatch):
    send, patches = aep.send, []

    def moving(call):
        if call.method == "PATCH":
            patches.append(call)
            set_field(emulator, "flows", etag=f'"{len(patches)}"')
        return send(call)

    monkeypatch.setattr(aep, "send", moving)
    with pytest.raises(AepUnavailableError, match="changed twice.*1404-412.*Try again later"):
        ensure(aep, kinds.FLOW, changed(wanted["flow"], "description", "new"))
    assert len(patches) == 2


def test_a_patch_whose_answer_was_lost_is_no_failure(emulator, aep, wanted, monkeypatch):
    """AEP carried it out and answered 503; sent again it is refused for its etag, and then there is nothing to do."""
    send, patches = aep._plan.read, []

    def lossy(call, response):
        if call.method == "PATCH":
            patches.append(response.status_code)
            if len(patches) == 1:
                raise AepUnavailableError("lost")
        return send(call, response)

    monkeypatch.setattr(aep._plan, "read", lossy)
    assert ensure(aep, kinds.FLOW, changed(wanted["flow"], "description", "new")).action == "found"
    assert patches == [200, 412]
    assert ensure(aep, kinds.FLOW, changed(wanted["flow"], "description", "new")).action == "found"


def test_what_is_none_is_neither_sent_nor_compared(emulator, aep, wanted):
    ensure(aep, kinds.DATASET, changed(wanted["dataset"], "description", "by Bob"))
    body = {k: v for k, v in wanted["dataset"].items() if k != "description"}
    assert ensure(aep, kinds.DATASET, body).action == "found"
    assert emulator.world.store.everywhere("dataSets")[0][1]["description"].startswith("by Bob [aep:1:")


def test_a_404_on_something_just_made_is_looked_at_again(aep, wanted):
    hidden = {"left": 2}

    class Lagging:
        clock = aep.clock

        def send(self, call):
            if hidden["left"]:
                hidden["left"] -= 1
                raise AepNotFoundError("not yet")
            return aep.send(call)

    assert [t.name for t in fresh(Lagging(), flow_service.list_flows({"name": "X flow"})).items] == ["X flow"]
    assert aep.clock.slept == [1.0, 2.0]


def test_a_404_that_stays_is_permanent(aep):
    with pytest.raises(AepNotFoundError, match="There is nothing with id nope in connections") as caught:
        fresh(aep, flow_service.test_connection("nope"))
    assert aep.clock.slept == [1.0, 2.0, 4.0]
    assert not caught.value.retryable


@pytest.mark.parametrize("value", [None, "", 5])
def test_an_id_that_no_task_delivered_is_said(value):
    with pytest.raises(AepConfigurationError, match=f"flow_id is {value!r}, not an id.*output of the task"):
        checked_id(value, "flow_id")


# -- lost answers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(together, wanted):
    """A client on the emulator's clock, and what is wanted under names that nobody has."""
    return together, {n: changed(b, KINDS[n].title, f"Y {n}") for n, b in wanted.items()}


NONCE = "0123456789ab"


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "fault",
    [
        {"do": "reset", "commit": "never"},
        {"do": "reset", "commit": "now"},
        {"do": "answer", "status": 504, "commit": "never"},
        {"do": "answer", "status": 504, "commit": "now"},
        {"do": "answer", "status": 504, "commit": 45},
        {"do": "cut", "bytes": 5},
    ],
    ids=lambda f: "-".join(map(str, f.values())),
)
def test_a_lost_answer_makes_one_object(emulator, lost, name, fault):
    client, bodies = lost
    emulator.fault(OPERATIONS[name], calls=[1], **fault)
    if fault.get("commit") == "now" or fault["do"] == "cut":
        emulator.fault(LISTS[name], "lag", seconds=30)
    outcome = ensure(client, KINDS[name], bodies[name])
    assert emulator.unfired() == []
    assert listed(client, name, bodies[name]) == [outcome.id]
    assert sum(client.clock.slept) == 60
    emulator.world.faults.clear()
    assert ensure(client, KINDS[name], bodies[name]).action == "found"
    assert sum(client.clock.slept) == 60  # a re-run does not wait


@pytest.mark.parametrize("name", KINDS)
def test_a_second_try_waits_before_it_creates(emulator, lost, name):
    """The first try died after its create was sent; it is carried out later, and listed later still."""
    client, bodies = lost
    emulator.fault(OPERATIONS[name], "answer", status=504, commit=20, calls=[1])
    with pytest.raises(AepAnswerLostError):
        client.send(KINDS[name].create(marked(client, KINDS[name], bodies[name], NONCE)))
    emulator.fault(LISTS[name], "lag", seconds=30)
    outcome = ensure(client, KINDS[name], bodies[name], Attempt(NONCE, tried_before=True))
    assert outcome.action == "found"
    assert listed(client, name, bodies[name]) == [outcome.id]


def test_a_quiet_first_run_never_waits(lost):
    client, bodies = lost
    for name, kind in KINDS.items():
        assert ensure(client, kind, bodies[name]).action == "created"
    assert client.clock.slept == []


def test_two_lost_answers_are_an_error_that_a_retry_helps(emulator, lost):
    client, bodies = lost
    emulator.fault(OPERATIONS["base"], "reset", commit="never")
    with pytest.raises(AepAnswerLostError):
        ensure(client, KINDS["base"], bodies["base"])
    assert listed(client, "base", bodies["base"]) == []
    assert client.clock.slept == [60, 60]
