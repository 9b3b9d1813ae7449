"""Find, compare, create or update: each resource type against the emulator over HTTP, counting what is written."""

from dataclasses import replace

import pytest
from chain import (
    CONTEXT,
    ENTRY,
    FIELD_GROUPS,
    LISTS,
    OPERATIONS,
    RESOURCE_TYPES,
    START,
    create_by_hand,
    create_with_marker,
    desired,
    listed_ids,
    onboard,
    renamed,
    with_field,
)

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.consistency import send_retrying_not_found
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepConflictError,
    AepLostResponseError,
    AepNotFoundError,
    AepUnavailableError,
)
from airflow_provider_aep.client.validation import validate_id
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.resources import BASE_CONNECTION, DATASET, FLOW, MAPPING_SET
from airflow_provider_aep.onboarding.xdm.fields import XdmField

TEXT = XdmField(type="string")
NUMBER = (ENTRY | {"source": "number"},)
"""Other mappings."""


@pytest.fixture
def states(aep):
    """Return the desired states of an onboarding whose objects all exist."""
    return onboard("X", lambda resource_type, state: reconcile(aep, resource_type, state).result)


def test_every_kind_is_created_once(emulator, aep, states):
    created = emulator.writes()
    outcomes = [reconcile(aep, resource_type, states[name]) for name, resource_type in RESOURCE_TYPES.items()]
    assert [o.action for o in outcomes] == ["unchanged"] * len(RESOURCE_TYPES)
    assert emulator.writes() == created
    resources = [OPERATIONS[name].rpartition("/")[2] for name in RESOURCE_TYPES]
    assert [w for w in created if not w.endswith("validate")] == [
        w for r in resources for w in created if w.endswith(f"/{r}")
    ]
    assert aep.clock.slept == []


CREATE_ONLY = [
    ("base", "auth.params.password", "rotated"),
    ("source", "columns", [{"name": "email", "type": "string"}, {"name": "added", "type": "string"}]),
    ("flow", "schedule.start_time", START + 3600),
    ("flow", "schedule.backfill", False),
    ("schema", "field_groups", ()),
    ("flow", "schedule.frequency", None),
    ("dataset", "description", ""),
]


@pytest.mark.parametrize(("name", "path", "value"), CREATE_ONLY)
def test_a_create_only_field_is_no_change(emulator, aep, states, name, path, value):
    before = emulator.writes()
    assert reconcile(aep, RESOURCE_TYPES[name], with_field(states[name], path, value)).action == "unchanged"
    assert emulator.writes() == before


MANAGED = [
    ("base", "description", "new", "description"),
    ("source", "description", "new", "description"),
    ("dataset", "description", "new", "description"),
    ("schema", "description", "new", "description"),
    ("target", "description", "new", "description"),
    ("schema", "field_groups", (*FIELD_GROUPS, f"{CONTEXT}profile-personal-details"), "refs"),
    ("mapping", "mappings", NUMBER, "mappings"),
    ("flow", "description", "new", "description"),
    ("flow", "schedule.frequency", "day", "scheduleParams.frequency"),
    ("flow", "schedule.interval", 2, "scheduleParams.interval"),
    ("class", "description", "new", "description"),
    ("class", "custom_fields", {"number": TEXT, "year": XdmField(type="integer")}, "fields.year"),
    ("group", "description", "new", "description"),
    ("group", "classes", (f"{CONTEXT}experienceevent",), "classes"),
    (
        "group",
        "custom_fields",
        {"ticket": XdmField(type="object", fields={"priority": TEXT, "state": TEXT})},
        "fields.ticket.state",
    ),
    ("namespace", "description", "new", "description"),
    ("namespace", "display_name", "Numbers", "name"),
]


@pytest.mark.parametrize(("name", "path", "value", "written"), MANAGED)
def test_a_managed_field_is_updated_by_one_write(emulator, aep, states, name, path, value, written):
    state, before = with_field(states[name], path, value), len(emulator.writes())
    outcome = reconcile(aep, RESOURCE_TYPES[name], state)
    assert (outcome.action, outcome.changed) == ("updated", (written,))
    writes = [w for w in emulator.writes()[before:] if not w.endswith("validate")]
    assert len(writes) == 1
    assert writes[0].startswith(("PATCH", "PUT"))
    assert reconcile(aep, RESOURCE_TYPES[name], state).action == "unchanged"
    assert reconcile(aep, RESOURCE_TYPES[name], state).id == outcome.id


def test_a_new_version_of_a_mapping_set_reaches_the_flow(aep, states):
    newer = reconcile(aep, MAPPING_SET, with_field(states["mapping"], "mappings", NUMBER)).result
    assert newer["version"] == 1
    outcome = reconcile(aep, FLOW, replace(states["flow"], mapping_set=newer))
    assert outcome.changed == ("steps.Mapping",)
    transformations = aep.send(flow_service.get_flow(outcome.id)).transformations
    assert [(t.name, t.params.get("mappingVersion")) for t in transformations] == [("Copy", None), ("Mapping", 1)]


OTHER = {"id": "other", "version": "1.0"}
IMMUTABLE = [
    ("base", "connection_spec", OTHER, "connectionSpec.id"),
    ("base", "auth.specName", "OAuth", "auth.specName"),
    ("source", "connection_spec", OTHER, "connectionSpec.id"),
    ("source", "table", "incident", "params.tableName"),
    ("source", "base_connection_id", "other", "baseConnectionId"),
    ("source", "source_params", {}, "data.format"),
    ("source", "source_params", {"path": "x"}, "params.path"),
    ("source", "schema_id", "other", "data.schema.id"),
    ("dataset", "schema_id", "other", "schemaRef.id"),
    ("target", "dataset_id", "other", "params.dataSetId"),
    ("target", "schema_id", "other", "data.schema.id"),
    ("target", "base_connection_id", "other", "baseConnectionId"),
    ("target", "data_format", "json", "data.format"),
    ("mapping", "schema_id", "other", "outputSchema.schemaRef.id"),
    ("flow", "source_connection_id", "other", "sourceConnectionIds"),
    ("flow", "target_connection_id", "other", "targetConnectionIds"),
    ("flow", "flow_spec", OTHER, "flowSpec.id"),
    ("flow", "schedule.frequency", "once", "runs"),
    ("schema", "class_id", f"{CONTEXT}experienceevent", "class"),
    ("flow", "delta_column.name", "sys_created_on", "steps.Copy.deltaColumn.name"),
    ("class", "behavior", "https://ns.adobe.com/xdm/data/time-series", "behavior"),
    ("namespace", "id_type", "EMAIL", "idType"),
]


@pytest.mark.parametrize(("name", "path", "value", "compared"), IMMUTABLE)
def test_an_immutable_field_that_differs_is_an_error_and_nothing_is_written(
    emulator, aep, states, name, path, value, compared
):
    before = emulator.writes()
    with pytest.raises(
        AepConflictError, match=rf"already exists, and its immutable fields differ: .*{compared} is .*, desired is"
    ):
        reconcile(aep, RESOURCE_TYPES[name], with_field(states[name], path, value))
    assert emulator.writes() == before


def test_several_of_one_name_stop_everything(aep, states):
    create_by_hand(aep, BASE_CONNECTION, states["base"])
    with pytest.raises(
        AepConflictError, match="2 base connections have the name 'X base': .*, .*all of them except one"
    ):
        reconcile(aep, BASE_CONNECTION, states["base"])


def test_another_name_is_another_object(emulator, aep, states):
    assert reconcile(aep, BASE_CONNECTION, replace(states["base"], name="Y base")).action == "created"
    assert len(emulator.writes()) == len(RESOURCE_TYPES) + 1  # validations are no writes


def test_a_name_that_could_not_be_found_again_is_refused_before_the_first_request(emulator, aep):
    with pytest.raises(AepConfigurationError, match=r"flow name is 'a\\nb'"):
        reconcile(
            aep,
            FLOW,
            replace(
                desired("flow", "X", {"source": "s", "target": "t", "mapping": {"id": "m", "version": 0}}), name="a\nb"
            ),
        )
    assert emulator.requests() == []


def test_a_mapping_that_aep_refuses_is_named_and_nothing_is_written(emulator, aep, states):
    entry = {"sourceType": "STATIC", "source": "no date", "destination": "person.birthDate"}
    with pytest.raises(
        AepConfigurationError, match=r"The mapping set 'Y mapping' is rejected by AEP's validation.*person\.birthDate"
    ):
        reconcile(aep, MAPPING_SET, replace(states["mapping"], name="Y mapping", mappings=(entry,)))
    assert not [w for w in emulator.writes()[len(RESOURCE_TYPES) + 1 :] if not w.endswith("validate")]


# -- what AEP does in its own time ----------------------------------------------------------------------------------


def set_field(emulator, kind, **fields):
    scope, body = emulator.world.store.everywhere(kind)[0]
    emulator.world.store.put(kind, scope, body["id"], {**body, **fields})


def test_a_transitional_state_is_waited_out(emulator, aep, states):
    set_field(emulator, "flows", state="updating")
    aep.clock.meanwhile = lambda: set_field(emulator, "flows", state="enabled")
    assert reconcile(aep, FLOW, states["flow"]).action == "unchanged"
    assert aep.clock.slept == [5]


def test_a_transitional_state_that_does_not_end_is_said(emulator, aep, states):
    set_field(emulator, "flows", state="updating")
    with pytest.raises(AepUnavailableError, match=r"flow 'X flow' .* is still 'updating' after 120 s"):
        reconcile(aep, FLOW, states["flow"])
    assert 120 <= sum(aep.clock.slept) <= 130


def test_what_is_being_deleted_is_waited_for_and_then_absent(emulator, aep, states):
    set_field(emulator, "flows", state="delete-finalizing")
    [(scope, flow)] = emulator.world.store.everywhere("flows")
    aep.clock.meanwhile = lambda: emulator.world.store.delete("flows", scope, flow["id"])
    outcome = reconcile(aep, FLOW, states["flow"])
    assert outcome.action == "created"
    assert [f["id"] for _, f in emulator.world.store.everywhere("flows")] == [outcome.id]


def test_what_does_not_end_being_deleted_is_said_and_nothing_is_made_beside_it(emulator, aep, states):
    set_field(emulator, "flows", state="delete-finalizing")
    before = emulator.writes()
    with pytest.raises(AepUnavailableError, match="still 'delete-finalizing' after 120 s"):
        reconcile(aep, FLOW, states["flow"])
    assert emulator.writes() == before


def test_an_etag_that_moves_meanwhile_is_read_again_once(emulator, aep, states, monkeypatch):
    send, patches = aep.send, []

    def moving(call):
        if call.method == "PATCH":
            patches.append(dict(call.headers)["If-Match"])
            if len(patches) == 1:
                set_field(emulator, "flows", etag='"moved"')
        return send(call)

    monkeypatch.setattr(aep, "send", moving)
    assert reconcile(aep, FLOW, with_field(states["flow"], "description", "new")).action == "updated"
    assert len(patches) == 2
    assert patches[1] == '"moved"'


def test_an_etag_that_keeps_moving_is_an_error(emulator, aep, states, monkeypatch):
    send, patches = aep.send, []

    def moving(call):
        if call.method == "PATCH":
            patches.append(call)
            set_field(emulator, "flows", etag=f'"{len(patches)}"')
        return send(call)

    monkeypatch.setattr(aep, "send", moving)
    with pytest.raises(AepUnavailableError, match="changed twice.*1404-412.*Try again later"):
        reconcile(aep, FLOW, with_field(states["flow"], "description", "new"))
    assert len(patches) == 2


def test_a_patch_whose_answer_was_lost_is_no_failure(emulator, aep, states, monkeypatch):
    """AEP carried it out and answered 503; sent again it is refused for its etag, and then there is nothing to do."""
    send, patches = aep._plan.read, []

    def lossy(call, response):
        if call.method == "PATCH":
            patches.append(response.status_code)
            if len(patches) == 1:
                raise AepUnavailableError("lost")
        return send(call, response)

    monkeypatch.setattr(aep._plan, "read", lossy)
    assert reconcile(aep, FLOW, with_field(states["flow"], "description", "new")).action == "unchanged"
    assert patches == [200, 412]
    assert reconcile(aep, FLOW, with_field(states["flow"], "description", "new")).action == "unchanged"


def test_what_is_none_is_neither_sent_nor_compared(emulator, aep, states):
    reconcile(aep, DATASET, with_field(states["dataset"], "description", "by Bob"))
    state = replace(states["dataset"], description=None)
    assert reconcile(aep, DATASET, state).action == "unchanged"
    assert emulator.world.store.everywhere("dataSets")[0][1]["description"].startswith("by Bob [aep:1:")


def test_a_404_on_something_just_made_is_looked_at_again(aep, states):
    hidden = {"left": 2}

    class Lagging:
        clock = aep.clock

        def send(self, call):
            if hidden["left"]:
                hidden["left"] -= 1
                raise AepNotFoundError("not yet")
            return aep.send(call)

    assert [t.name for t in send_retrying_not_found(Lagging(), flow_service.list_flows({"name": "X flow"})).items] == [
        "X flow"
    ]
    assert aep.clock.slept == [1.0, 2.0]


def test_a_404_that_stays_is_permanent(aep):
    with pytest.raises(AepNotFoundError, match="connections has no object with id nope") as caught:
        send_retrying_not_found(aep, flow_service.test_connection("nope"))
    assert aep.clock.slept == [1.0, 2.0, 4.0]
    assert not caught.value.retryable


@pytest.mark.parametrize("value", [None, "", 5])
def test_an_id_that_no_task_delivered_is_said(value):
    with pytest.raises(AepConfigurationError, match=f"flow_id is {value!r}, not an id.*output of the task"):
        validate_id(value, "flow_id")


# -- lost answers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def lost(virtual, states):
    """A client on the emulator's clock, and what is states under names that nobody has."""
    return virtual, {name: renamed(name, state) for name, state in states.items()}


NONCE = "0123456789ab"


@pytest.mark.parametrize("name", RESOURCE_TYPES)
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
    client, states = lost
    emulator.fault(OPERATIONS[name], calls=[1], **fault)
    if fault.get("commit") == "now" or fault["do"] == "cut":
        emulator.fault(LISTS[name], "lag", seconds=30)
    outcome = reconcile(client, RESOURCE_TYPES[name], states[name])
    assert emulator.unfired() == []
    assert listed_ids(client, name, states[name]) == [outcome.id]
    assert sum(client.clock.slept) == 60
    emulator.world.faults.clear()
    assert reconcile(client, RESOURCE_TYPES[name], states[name]).action == "unchanged"
    assert sum(client.clock.slept) == 60  # a re-run does not wait


@pytest.mark.parametrize("name", RESOURCE_TYPES)
def test_a_second_try_waits_before_it_creates(emulator, lost, name):
    """The first try died after its create was sent; it is carried out later, and listed later still."""
    client, states = lost
    emulator.fault(OPERATIONS[name], "answer", status=504, commit=20, calls=[1])
    with pytest.raises(AepLostResponseError):
        create_with_marker(client, RESOURCE_TYPES[name], states[name], NONCE)
    emulator.fault(LISTS[name], "lag", seconds=30)
    outcome = reconcile(client, RESOURCE_TYPES[name], states[name], Attempt(NONCE, tried_before=True))
    assert outcome.action == "unchanged"
    assert listed_ids(client, name, states[name]) == [outcome.id]


def test_a_quiet_first_run_never_waits(lost):
    client, states = lost
    for name, resource_type in RESOURCE_TYPES.items():
        assert reconcile(client, resource_type, states[name]).action == "created"
    assert client.clock.slept == []


def test_two_lost_answers_are_an_error_that_a_retry_helps(emulator, lost):
    client, states = lost
    emulator.fault(OPERATIONS["base"], "reset", commit="never")
    with pytest.raises(AepLostResponseError):
        reconcile(client, RESOURCE_TYPES["base"], states["base"])
    assert listed_ids(client, "base", states["base"]) == []
    assert client.clock.slept == [60, 60]
