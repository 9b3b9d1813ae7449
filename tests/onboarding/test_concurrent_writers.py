"""Two writers at the same moment, on virtual time: one object of each resource type, and each row lands once."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pyarrow.parquet as pq
import pytest
from chain import (
    LISTS,
    RESOURCE_TYPES,
    UNIQUE,
    StoredState,
    create_by_hand,
    create_with_marker,
    desired,
    listed_ids,
    marker_of,
    onboard,
)

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import catalog, flow_service, schema_registry
from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConflictError, AepUnavailableError
from airflow_provider_aep.onboarding.lifecycle.profile import create_identity_descriptor
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.reconcile.terms import Terms
from airflow_provider_aep.onboarding.resources import BASE_CONNECTION, DATASET, FLOW, SCHEMA, TARGET_CONNECTION
from airflow_provider_aep.onboarding.resources.flow import Schedule

RACES = int(os.environ.get("AEP_SOAK_RACES", "8"))
FIRST, SECOND = "000000000001", "000000000002"


@pytest.fixture
def writer(emulator, shared_clock):
    """``writer(nonce)`` is a client of its own."""
    emulator.freeze()
    clients = []

    def make():
        clients.append(AepClient(emulator.settings(), tokens=TokenCache(), clock=shared_clock()))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def at_once(client, barrier):
    """Let a client's first create of each ensure wait until the other one is there, too; it need not come."""
    send = client.send

    def waiting(call):
        if call.method == "POST" and call.safety.value == "create":
            try:
                barrier.wait(2)
            except threading.BrokenBarrierError:
                barrier.reset()
        return send(call)

    client.send = waiting
    return client


def starting_in(flow, minutes):
    """Return a desired flow whose start is relative to its create request."""
    return replace(flow, schedule=replace(flow.schedule, start_time=None, start_in_minutes=minutes))


@pytest.mark.parametrize("race", range(RACES))
def test_two_writers_at_the_same_moment_make_one_of_each(emulator, writer, race):
    name, barrier = f"Race {race}", threading.Barrier(2)
    emulator.fault("GET *", "lag", seconds=3)

    def chain(nonce):
        client = at_once(writer(), barrier)
        attempt, terms = Attempt(nonce), Terms(concurrent_writers=True)
        ids = {}
        for part, resource_type in RESOURCE_TYPES.items():
            state = desired(part, name, ids)
            if part == "flow":
                state = starting_in(state, 10)
            ids[part] = reconcile(client, resource_type, state, attempt, terms).result
        return ids

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(chain, (FIRST, SECOND))
    assert one == other
    client = writer()
    emulator.advance(5)
    for part in RESOURCE_TYPES:
        there = listed_ids(client, part, desired(part, name, one))
        assert part == "namespace" or id_of(one[part]) in there  # whose result is its code
        assert len(there) == 1 or part == "mapping"
    assert client.send(flow_service.get_flow(one["flow"])).state == "enabled"
    emulator.advance(1200)  # its first run
    batches = list(client.items(catalog.list_batches(one["dataset"])))
    files = list(emulator.lake.rglob("*.parquet"))
    rows = [row["_id"] for file in files for row in pq.read_table(file).to_pylist()]
    assert len(batches) == 1
    assert len(rows) == len(set(rows)) > 100


def id_of(result):
    """Return the id in a task's result."""
    return result["id"] if isinstance(result, dict) else result


@pytest.mark.parametrize("name", [n for n in RESOURCE_TYPES if n not in UNIQUE])
def test_one_that_comes_later_waits_until_an_elder_one_would_be_listed(emulator, writer, name):
    """Its own was made a moment ago; another's was made just before, and is not listed yet."""
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    resource_type, state = RESOURCE_TYPES[name], replace(states[name], name=f"Y {name}")
    elder = id_of(create_with_marker(client, resource_type, state, SECOND))
    emulator.advance(2)
    mine = id_of(create_with_marker(client, resource_type, state, FIRST))
    hidden = {"left": 1}
    items = client.items

    def lagging(call):
        found = list(items(call))
        if hidden["left"] and call.operation == resource_type.find("x").operation:
            hidden["left"] -= 1
            return iter([f for f in found if resource_type.observe(f).id != elder])
        return iter(found)

    client.items = lagging
    outcome = reconcile(client, resource_type, state, Attempt(FIRST, tried_before=True), Terms(concurrent_writers=True))
    assert outcome.id == elder
    assert sum(client.clock.slept) >= 58
    left = listed_ids(client, name, state)
    assert left == [elder] if name != "mapping" else set(left) == {elder, mine}


def test_two_writers_make_one_identity_of_a_field(emulator, writer):
    """AEP does not refuse a second descriptor, and it carries no marker."""
    schema = reconcile(writer(), SCHEMA, desired("schema", "X", {})).id
    barrier = threading.Barrier(2)

    def both_create(send, call):
        if call.method != "POST":
            return send(call)
        barrier.wait(60)
        made = send(call)
        barrier.wait(60)  # settling takes no time here: the other's create is no later than that
        return made

    def identify(nonce):
        client = writer()
        client.send = partial(both_create, client.send)
        terms = Attempt(nonce), Terms(concurrent_writers=True)
        return create_identity_descriptor(client, schema, "person.name.firstName", "Phone", True, *terms)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(identify, (FIRST, SECOND))
    assert one.id == other.id
    assert {one.action, other.action} == {"created", "unchanged"}
    assert [d.id for d in writer().items(schema_registry.list_descriptors(schema))] == [one.id]


def test_of_two_identities_of_a_field_the_first_counts(writer):
    client = writer()
    schema = reconcile(client, SCHEMA, desired("schema", "X", {})).id
    made = create_identity_descriptor(client, schema, "person.name.firstName", "Phone", True).id
    second = client.send(
        schema_registry.create_descriptor(
            {
                "@type": "xdm:descriptorIdentity",
                "xdm:sourceSchema": schema,
                "xdm:sourceVersion": 1,
                "xdm:sourceProperty": "/person/name/firstName",
                "xdm:namespace": "Phone",
                "xdm:property": "xdm:code",
                "xdm:isPrimary": True,
            }
        )
    ).id
    assert create_identity_descriptor(client, schema, "person.name.firstName", "Phone", True).id == min(made, second)


@pytest.mark.parametrize("name", [n for n in RESOURCE_TYPES if n not in {*UNIQUE, "mapping"}])
def test_one_that_died_while_it_waited_looks_for_an_elder_one(emulator, writer, name):
    """Its own was made and noted; another's was made just before, and was not listed then."""
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    resource_type, state = RESOURCE_TYPES[name], replace(states[name], name=f"Y {name}")
    elder = create_with_marker(client, resource_type, state, SECOND)
    emulator.advance(2)
    mine = create_with_marker(client, resource_type, state, FIRST)
    identity = marker_of(client, resource_type, state, FIRST).identity
    stored = StoredState({f"aep:{identity}": {"id": mine}})
    emulator.advance(300)  # Airflow's usual delay before a retry
    attempt, terms = Attempt(FIRST, tried_before=True, store=stored), Terms(concurrent_writers=True)
    assert reconcile(client, resource_type, state, attempt, terms).id == elder
    assert listed_ids(client, name, state) == [elder]


def test_one_that_wants_it_made_by_itself_removes_what_lost(emulator, writer):
    client, state = writer(), desired("base", "X", {})
    elder = create_with_marker(client, BASE_CONNECTION, state, SECOND)
    emulator.advance(1)
    create_with_marker(client, BASE_CONNECTION, state, FIRST)
    emulator.advance(100)
    with pytest.raises(AepConflictError, match="exists, and this task did not create it"):
        reconcile(client, BASE_CONNECTION, state, Attempt(FIRST), Terms(concurrent_writers=True, if_exists="fail"))
    assert listed_ids(client, "base", state) == [elder]


def test_a_strangers_is_not_the_eldest_of_ours(emulator, writer):
    client, state = writer(), desired("base", "X", {})
    create_by_hand(client, BASE_CONNECTION, state)
    emulator.advance(1)
    create_with_marker(client, BASE_CONNECTION, state, FIRST)
    emulator.advance(100)
    with pytest.raises(AepConflictError, match="2 base connections have the name"):
        reconcile(client, BASE_CONNECTION, state, Attempt(FIRST), Terms(concurrent_writers=True))
    assert len(listed_ids(client, "base", state)) == 2


def test_a_draft_that_was_long_in_coming_gets_another_start(emulator, writer):
    """One that AEP would take for past when it is published."""
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    now = int(emulator.world.clock.now())
    state = starting_in(replace(states["flow"], name="Y flow"), 1)
    outcome = reconcile(client, FLOW, state, terms=Terms(concurrent_writers=True))
    made = client.send(flow_service.get_flow(outcome.id))
    assert int(made.scheduleParams["startTime"]) > now + 61 + 50
    assert not emulator.requests("PATCH *")  # it has had that time from the beginning
    draft = reconcile(client, FLOW, replace(state, name="Z flow", draft=True)).id
    emulator.advance(1000)
    outcome = reconcile(client, FLOW, replace(state, name="Z flow", description="changed, too"))
    made = client.send(flow_service.get_flow(draft))
    assert (outcome.id, made.state) == (draft, "enabled")
    assert int(made.scheduleParams["startTime"]) >= now + 1000 + 60


@pytest.mark.parametrize("name", [n for n in RESOURCE_TYPES if n not in {*UNIQUE, "mapping"}])
def test_an_object_of_another_task_is_not_deleted(emulator, writer, name):
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    resource_type, state = RESOURCE_TYPES[name], states[name]
    emulator.advance(1)
    later = create_with_marker(client, resource_type, state, SECOND)
    emulator.advance(100)
    outcome = reconcile(client, resource_type, state, Attempt(FIRST), Terms(concurrent_writers=True))
    assert outcome.duplicates == (later,)
    assert set(listed_ids(client, name, state)) == {outcome.id, later}
    with pytest.raises(AepConflictError, match="2 .* have the name"):  # who runs alone stops at it
        reconcile(client, resource_type, state)
    outcome = reconcile(client, resource_type, state, Attempt(SECOND), Terms(concurrent_writers=True))
    assert listed_ids(client, name, state) == [outcome.id]


def test_what_came_into_use_is_not_removed(emulator, writer):
    """A source connection that another task's flow refers to; a dataset that a target connection refers to."""
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    emulator.advance(1)
    made = {n: create_with_marker(client, RESOURCE_TYPES[n], states[n], FIRST) for n in ("source", "dataset")}
    to = replace(states["target"], name="Y target", dataset_id=made["dataset"])
    target = reconcile(client, TARGET_CONNECTION, to).id
    schedule = Schedule(frequency="once", start_time=int(emulator.world.clock.now()) + 60)
    ends = {"source_connection_id": made["source"], "target_connection_id": target}
    create_by_hand(client, FLOW, replace(states["flow"], name="Y flow", schedule=schedule, delta_column=None, **ends))
    assert emulator.world.store.everywhere("batches") == []  # no rows yet: it is the users that keep them
    emulator.advance(59)
    for name, id_ in made.items():
        outcome = reconcile(client, RESOURCE_TYPES[name], states[name], Attempt(FIRST), Terms(concurrent_writers=True))
        assert outcome.duplicates == (id_,)
        assert id_ in listed_ids(client, name, states[name])


def test_what_aep_says_is_in_use_stays(emulator, writer):
    """Somebody has begun to use it since it was looked at."""
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    emulator.advance(1)
    later = create_with_marker(client, TARGET_CONNECTION, states["target"], FIRST)
    emulator.advance(100)
    emulator.fault("DELETE */targetConnections/{id}", "answer", status=400, code="1447-400")
    outcome = reconcile(client, TARGET_CONNECTION, states["target"], Attempt(FIRST), Terms(concurrent_writers=True))
    assert (outcome.duplicates, emulator.unfired()) == ((later,), [])


def test_what_rows_have_landed_in_is_not_removed(emulator, writer):
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    emulator.advance(1)
    made = create_with_marker(client, DATASET, states["dataset"], FIRST)
    [scope] = {s for s, _ in emulator.world.store.everywhere("dataSets")}
    batch = {"id": "b1", "status": "success", "dataSet": made, "created": 1}
    emulator.world.store.add("batches", scope, "b1", batch, parent=made)
    outcome = reconcile(client, DATASET, states["dataset"], Attempt(FIRST), Terms(concurrent_writers=True))
    assert outcome.duplicates == (made,)


def test_among_several_writers_a_flow_is_a_draft_until_it_has_won(emulator, writer):
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    before = len(emulator.requests())
    outcome = reconcile(client, FLOW, replace(states["flow"], name="Y flow"), terms=Terms(concurrent_writers=True))
    assert outcome.action == "created"
    writes = [r for r in emulator.requests()[before:] if r["method"] == "POST"]
    assert [(w["operation"].rsplit("/", 1)[-1], w["query"]) for w in writes] == [
        ("flows", "mode=draft"),
        ("action", "op=publish"),
    ]
    assert client.send(flow_service.get_flow(outcome.id)).state == "enabled"


def test_where_there_are_no_drafts_a_flow_starts_late_enough_to_be_gone_first(emulator, writer):
    client = writer()
    states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
    emulator.fault("POST */flows", "answer", status=400, code="1368-400", calls=[1])
    now = emulator.world.clock.now()
    state = starting_in(replace(states["flow"], name="Y flow"), 1)
    outcome = reconcile(client, FLOW, state, terms=Terms(concurrent_writers=True))
    made = client.send(flow_service.get_flow(outcome.id))
    assert (made.state, emulator.unfired()) == ("enabled", [])
    assert int(made.scheduleParams["startTime"]) >= int(now) + 60 + 3 * 60


def test_a_list_that_does_not_show_what_was_made_is_waited_for_and_then_said(emulator, writer):
    client = writer()
    emulator.fault(LISTS["base"], "lag", seconds=1000)
    with pytest.raises(AepUnavailableError, match="was created, but AEP does not list it after 60 s"):
        reconcile(client, BASE_CONNECTION, desired("base", "X", {}), terms=Terms(concurrent_writers=True))
    assert len([w for w in emulator.writes() if w.endswith("/connections")]) == 1
