"""Two writers at the same moment, on virtual time: one object per kind, and each row lands once."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow.parquet as pq
import pytest
from chain import KINDS, LISTS, Notes, by_hand, listed, marked, onboard, wanted

from airflow_provider_aep.client import catalog, flow_service, schema_registry
from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConflictError
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.ensure import ensure
from airflow_provider_aep.onboarding.identity import identity
from airflow_provider_aep.onboarding.profile import ensure_identity

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


@pytest.mark.parametrize("race", range(RACES))
def test_two_writers_at_the_same_moment_make_one_of_each(emulator, writer, race):
    name, barrier = f"Race {race}", threading.Barrier(2)
    emulator.fault("GET *", "lag", seconds=3)

    def chain(nonce):
        client = at_once(writer(), barrier)
        attempt = Attempt(nonce, concurrent_writers=True)
        ids = {}
        for part, kind in KINDS.items():
            body = wanted(part, name, ids, start=int(client.clock.now()) + 60)
            if part == "flow":
                body["start_in_minutes"] = 10
            ids[part] = ensure(client, kind, body, attempt).result
        return ids

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(chain, (FIRST, SECOND))
    assert one == other
    client = writer()
    emulator.advance(5)
    for part in KINDS:
        title = KINDS[part].title
        there = listed(client, part, {title: f"{name} {part}"})
        assert (one[part]["id"] if part == "mapping" else one[part]) in there
        assert len(there) == 1 or part == "mapping"
    assert client.send(flow_service.get_flow(one["flow"])).state == "enabled"
    emulator.advance(1200)  # its first run
    batches = list(client.items(catalog.list_batches(one["dataset"])))
    files = list(emulator.lake.rglob("*.parquet"))
    rows = [row["_id"] for file in files for row in pq.read_table(file).to_pylist()]
    assert len(batches) == 1
    assert len(rows) == len(set(rows)) > 100


@pytest.mark.parametrize("name", [n for n in KINDS if n != "schema"])  # whose titles AEP knows once
def test_one_that_comes_later_waits_until_an_elder_one_would_be_listed(emulator, writer, name):
    """Its own was made a moment ago; another's was made just before, and is not listed yet."""
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    kind, body = KINDS[name], {**bodies[name], KINDS[name].title: f"Y {name}"}
    elder = kind.created(client.send(kind.create(marked(client, kind, body, SECOND))))[0]
    emulator.advance(2)
    mine = kind.created(client.send(kind.create(marked(client, kind, body, FIRST))))[0]
    hidden = {"left": 1}
    items = client.items

    def lagging(call):
        found = list(items(call))
        if hidden["left"] and call.operation == kind.find("x").operation:
            hidden["left"] -= 1
            return iter([f for f in found if kind.found(f).id != elder])
        return iter(found)

    client.items = lagging
    outcome = ensure(client, kind, body, Attempt(FIRST, tried_before=True, concurrent_writers=True))
    assert outcome.id == elder
    assert sum(client.clock.slept) >= 58
    left = listed(client, name, body)
    assert left == [elder] if name != "mapping" else set(left) == {elder, mine}


def test_two_writers_make_one_identity_of_a_field(emulator, writer):
    """AEP does not refuse a second descriptor, and it carries no marker."""
    schema = ensure(writer(), kinds.SCHEMA, wanted("schema", "X", {})).id
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
        attempt = Attempt(nonce, concurrent_writers=True)
        return ensure_identity(client, schema, "person.name.firstName", "CRMID", True, attempt)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(identify, (FIRST, SECOND))
    assert one.id == other.id
    assert {one.action, other.action} == {"created", "found"}
    assert [d.id for d in writer().items(schema_registry.list_descriptors(schema))] == [one.id]


def test_of_two_identities_of_a_field_the_first_counts(writer):
    client = writer()
    schema = ensure(client, kinds.SCHEMA, wanted("schema", "X", {})).id
    made = ensure_identity(client, schema, "person.name.firstName", "CRMID", True).id
    second = client.send(
        schema_registry.create_descriptor(
            {
                "@type": "xdm:descriptorIdentity",
                "xdm:sourceSchema": schema,
                "xdm:sourceVersion": 1,
                "xdm:sourceProperty": "/person/name/firstName",
                "xdm:namespace": "CRMID",
                "xdm:property": "xdm:code",
                "xdm:isPrimary": True,
            }
        )
    ).id
    assert ensure_identity(client, schema, "person.name.firstName", "CRMID", True).id == min(made, second)


@pytest.mark.parametrize("name", [n for n in KINDS if n not in {"schema", "mapping"}])
def test_one_that_died_while_it_waited_looks_for_an_elder_one(emulator, writer, name):
    """Its own was made and noted; another's was made just before, and was not listed then."""
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    kind, body = KINDS[name], {**bodies[name], KINDS[name].title: f"Y {name}"}
    elder = by_hand(client, kind, marked(client, kind, body, SECOND))
    emulator.advance(2)
    mine = by_hand(client, kind, marked(client, kind, body, FIRST))
    me = identity(client.settings, kind.label, at(body, kind.scope), body[kind.title])
    notes = Notes({f"aep:{me}": {"id": mine}})
    emulator.advance(300)  # Airflow's usual delay before a retry
    attempt = Attempt(FIRST, tried_before=True, memory=notes, concurrent_writers=True)
    assert ensure(client, kind, body, attempt).id == elder
    assert listed(client, name, body) == [elder]


def test_one_that_wants_it_made_by_itself_removes_what_lost(emulator, writer):
    client, body = writer(), wanted("base", "X", {})
    elder = by_hand(client, kinds.BASE_CONNECTION, marked(client, kinds.BASE_CONNECTION, body, SECOND))
    emulator.advance(1)
    by_hand(client, kinds.BASE_CONNECTION, marked(client, kinds.BASE_CONNECTION, body, FIRST))
    emulator.advance(100)
    with pytest.raises(AepConflictError, match="not by this task"):
        ensure(client, kinds.BASE_CONNECTION, body, Attempt(FIRST, concurrent_writers=True, if_exists="fail"))
    assert listed(client, "base", body) == [elder]


def test_a_strangers_is_not_the_eldest_of_ours(emulator, writer):
    client, body = writer(), wanted("base", "X", {})
    by_hand(client, kinds.BASE_CONNECTION, body)
    emulator.advance(1)
    by_hand(client, kinds.BASE_CONNECTION, marked(client, kinds.BASE_CONNECTION, body, FIRST))
    emulator.advance(100)
    with pytest.raises(AepConflictError, match="2 base connections are named"):
        ensure(client, kinds.BASE_CONNECTION, body, Attempt(FIRST, concurrent_writers=True))
    assert len(listed(client, "base", body)) == 2


def test_a_draft_that_was_long_in_coming_gets_another_start(emulator, writer):
    """One that AEP would take for past when it is published."""
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    now = int(emulator.world.clock.now())
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": now + 61}
    body = {**bodies["flow"], "name": "Y flow", "scheduleParams": schedule, "start_in_minutes": 1}
    outcome = ensure(client, kinds.FLOW, body, Attempt(concurrent_writers=True))
    made = client.send(flow_service.get_flow(outcome.id))
    assert int(made.scheduleParams["startTime"]) > now + 61 + 50
    assert not emulator.requests("PATCH *")  # it has had that time from the beginning
    draft = ensure(client, kinds.FLOW, {**body, "name": "Z flow", "draft": True}).id
    emulator.advance(1000)
    outcome = ensure(client, kinds.FLOW, {**body, "name": "Z flow", "description": "changed, too"})
    made = client.send(flow_service.get_flow(draft))
    assert (outcome.id, made.state) == (draft, "enabled")
    assert int(made.scheduleParams["startTime"]) >= now + 1000 + 60


@pytest.mark.parametrize("name", [n for n in KINDS if n not in {"schema", "mapping"}])
def test_nobody_removes_what_is_anothers(emulator, writer, name):
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    kind, body = KINDS[name], bodies[name]
    emulator.advance(1)
    later = by_hand(client, kind, marked(client, kind, body, SECOND))
    emulator.advance(100)
    outcome = ensure(client, kind, body, Attempt(FIRST, concurrent_writers=True))
    assert outcome.spares == (later,)
    assert set(listed(client, name, body)) == {outcome.id, later}
    with pytest.raises(AepConflictError, match="2 .* are named"):  # who runs alone stops at it
        ensure(client, kind, body)
    outcome = ensure(client, kind, body, Attempt(SECOND, concurrent_writers=True))
    assert listed(client, name, body) == [outcome.id]


def test_what_came_into_use_is_not_removed(emulator, writer):
    """A source connection that somebody's flow stands on; a dataset that a target connection does."""
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    emulator.advance(1)
    made = {n: by_hand(client, KINDS[n], marked(client, KINDS[n], bodies[n], FIRST)) for n in ("source", "dataset")}
    target = ensure(client, kinds.TARGET_CONNECTION, {
        **bodies["target"], "name": "Y target", "params": {"dataSetId": made["dataset"]}
    }).id  # fmt: skip
    schedule = {"startTime": int(emulator.world.clock.now()) + 60, "frequency": "once"}
    steps = {"Mapping": bodies["flow"]["steps"]["Mapping"]}
    by_hand(client, kinds.FLOW, {**bodies["flow"], "name": "Y flow", "steps": steps, "runs": "once",
                                 "scheduleParams": schedule, "sourceConnectionIds": [made["source"]],
                                 "targetConnectionIds": [target]})  # fmt: skip
    assert emulator.world.store.everywhere("batches") == []  # no rows yet: it is the users that keep them
    emulator.advance(59)
    for name, id_ in made.items():
        outcome = ensure(client, KINDS[name], bodies[name], Attempt(FIRST, concurrent_writers=True))
        assert outcome.spares == (id_,)
        assert id_ in listed(client, name, bodies[name])


def test_what_aep_says_is_in_use_stays(emulator, writer):
    """Somebody has begun to use it since it was looked at."""
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    emulator.advance(1)
    later = by_hand(client, kinds.TARGET_CONNECTION, marked(client, kinds.TARGET_CONNECTION, bodies["target"], FIRST))
    emulator.advance(100)
    emulator.fault("DELETE */targetConnections/{id}", "answer", status=400, code="1447-400")
    outcome = ensure(client, kinds.TARGET_CONNECTION, bodies["target"], Attempt(FIRST, concurrent_writers=True))
    assert (outcome.spares, emulator.unfired()) == ((later,), [])


def test_what_rows_have_landed_in_is_not_removed(emulator, writer):
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    emulator.advance(1)
    made = by_hand(client, kinds.DATASET, marked(client, kinds.DATASET, bodies["dataset"], FIRST))
    [scope] = {s for s, _ in emulator.world.store.everywhere("dataSets")}
    batch = {"id": "b1", "status": "success", "dataSet": made, "created": 1}
    emulator.world.store.add("batches", scope, "b1", batch, parent=made)
    outcome = ensure(client, kinds.DATASET, bodies["dataset"], Attempt(FIRST, concurrent_writers=True))
    assert outcome.spares == (made,)


def test_among_several_writers_a_flow_is_a_draft_until_it_has_won(emulator, writer):
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    before = len(emulator.requests())
    outcome = ensure(client, kinds.FLOW, {**bodies["flow"], "name": "Y flow"}, Attempt(concurrent_writers=True))
    assert outcome.action == "created"
    writes = [r for r in emulator.requests()[before:] if r["method"] == "POST"]
    assert [(w["operation"].rsplit("/", 1)[-1], w["query"]) for w in writes] == [
        ("flows", "mode=draft"),
        ("action", "op=publish"),
    ]
    assert client.send(flow_service.get_flow(outcome.id)).state == "enabled"


def test_where_there_are_no_drafts_a_flow_starts_late_enough_to_be_gone_first(emulator, writer):
    client = writer()
    bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
    emulator.fault("POST */flows", "answer", status=400, code="1368-400", calls=[1])
    now = emulator.world.clock.now()
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": int(now) + 61}
    body = {**bodies["flow"], "name": "Y flow", "scheduleParams": schedule, "start_in_minutes": 1}
    outcome = ensure(client, kinds.FLOW, body, Attempt(concurrent_writers=True))
    made = client.send(flow_service.get_flow(outcome.id))
    assert (made.state, emulator.unfired()) == ("enabled", [])
    assert int(made.scheduleParams["startTime"]) >= int(now) + 60 + 3 * 60


def test_a_list_that_does_not_show_what_was_made_is_waited_for_and_then_said(emulator, writer):
    client = writer()
    emulator.fault(LISTS["base"], "lag", seconds=1000)
    with pytest.raises(Exception, match="was created, and AEP does not list it after 60 s"):
        ensure(client, kinds.BASE_CONNECTION, wanted("base", "X", {}), Attempt(concurrent_writers=True))
    assert len([w for w in emulator.writes() if w.endswith("/connections")]) == 1
