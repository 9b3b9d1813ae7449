"""Replacement: a successor takes the place of an object whose immutable fields differ, and ingests no row again."""

import re
from contextlib import suppress
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from chain import ENTRY, RESOURCE_TYPES, StoredState, listed_ids, onboard

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError, AepUnavailableError
from airflow_provider_aep.naming import MAX_NAME, is_retired_name, retired_name
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.reconcile.marker import identity
from airflow_provider_aep.onboarding.reconcile.resource_type import at
from airflow_provider_aep.onboarding.reconcile.terms import Terms
from airflow_provider_aep.onboarding.resources import (
    BASE_CONNECTION,
    DATASET,
    FLOW,
    MAPPING_SET,
    SOURCE_CONNECTION,
    TARGET_CONNECTION,
)
from airflow_provider_aep.onboarding.resources.flow import Schedule

NONCE = "0123456789ab"
REPLACE = Attempt(NONCE), Terms(replace=True)
HOUR = 3600


def onboard_running(emulator, client, **schedule):
    """Create an onboarding whose flow starts in a minute, and return its desired states."""
    changes = {"start_time": int(emulator.world.clock.now()) + 60, **schedule}
    delta = {"delta_column": None} if changes.get("frequency") == "once" else {}

    def make(resource_type, state):
        if resource_type is FLOW:
            state = replace(state, schedule=replace(state.schedule, **changes), **delta)
        return reconcile(client, resource_type, state).result

    states = onboard("X", make)
    flow = states["flow"]
    return {**states, "flow": replace(flow, schedule=replace(flow.schedule, **changes), **delta)}


ONCE = {"frequency": "once", "interval": None, "backfill": None}


def starting_soon(flow, **changes):
    """Return the desired flow with a start one minute after its create request."""
    return replace(flow, schedule=replace(flow.schedule, start_time=None, start_in_minutes=1), **changes)


@pytest.fixture
def running(emulator, virtual):
    """An hourly flow that has run a few times."""
    states = onboard_running(emulator, virtual)
    emulator.advance(3 * HOUR + 600)
    return states


def with_other_table(client, states):
    """Replace the source connection by one of another table; return its desired state, and that of a flow of it."""
    source = replace(states["source"], table="incident")
    created = reconcile(client, SOURCE_CONNECTION, source, *REPLACE)
    return source, starting_soon(states["flow"], source_connection_id=created.id)


def flows(client):
    return {f.name: f for f in client.items(flow_service.list_flows({}))}


def test_replaced_objects_are_retired_and_the_next_run_writes_nothing(emulator, virtual, running):
    source, flow = with_other_table(virtual, running)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert outcome.action == "replaced"
    assert re.search(r"has ingested rows up to \d{4}-.* UTC\. .*are not ingested", outcome.remark)
    old = [f for name, f in flows(virtual).items() if name != "X flow"]
    assert [f.name for f in old] == ["X flow (replaced 1)"]
    assert old[0].state == "disabled"
    new = flows(virtual)["X flow"]
    assert (new.id, new.state, new.scheduleParams["backfill"]) == (outcome.id, "enabled", False)
    before = emulator.writes()
    for resource_type, state in ((SOURCE_CONNECTION, source), (FLOW, flow)):
        assert reconcile(virtual, resource_type, state, *REPLACE).action == "unchanged"
        assert reconcile(virtual, resource_type, state).action == "unchanged"
    assert emulator.writes() == before


def test_a_retired_object_is_marked_as_retired(virtual, running):
    with_other_table(virtual, running)
    [old] = [
        SOURCE_CONNECTION.observe(c)
        for c in virtual.items(flow_service.list_source_connections({}))
        if c.name != "X source"
    ]
    parent = at(old.fields, SOURCE_CONNECTION.parent)
    assert old.marker.identity == identity(virtual.settings, "source connection", parent, old.name)


def test_no_row_lands_twice(emulator, virtual, running):
    _, flow = with_other_table(virtual, running)
    delta = {**flow.delta_column, "name": "sys_created_on"}
    source = running["flow"].source_connection_id
    reconcile(virtual, FLOW, replace(flow, source_connection_id=source, delta_column=delta), *REPLACE)
    emulator.advance(5 * HOUR)
    rows = [row["_id"] for file in emulator.lake.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len(set(rows)) > 0


def test_a_run_under_way_is_waited_for(emulator, virtual, running):
    _, flow = with_other_table(virtual, running)
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_time": 60.0})
    emulator.advance(HOUR - 600 + 61)  # a run has just begun
    reconcile(virtual, FLOW, flow, *REPLACE)
    [old] = [f for name, f in flows(virtual).items() if name != "X flow"]
    states = [r.metrics.statusSummary.status for r in virtual.items(flow_service.list_runs(old.id))]
    assert set(states) == {"success"}
    assert sum(virtual.clock.slept) > 0


def test_without_it_the_way_out_is_named(emulator, virtual, running):
    source = replace(running["source"], table="incident")
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="immutable fields differ: params.tableName.*replace=True"):
        reconcile(virtual, SOURCE_CONNECTION, source)
    assert emulator.writes() == before


OTHER_SCHEMA = "https://ns.adobe.com/xdm/context/experienceevent"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("schema", {"class_id": OTHER_SCHEMA}),
        ("dataset", {"schema_id": OTHER_SCHEMA}),
        ("base", {"connection_spec": {"id": OTHER_SCHEMA, "version": "1.0"}}),
        ("mapping", {"schema_id": OTHER_SCHEMA}),
    ],
)
def test_what_holds_data_is_never_replaced(emulator, virtual, running, name, change):
    state = replace(running[name], **change)
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="immutable fields differ") as caught:
        reconcile(virtual, RESOURCE_TYPES[name], state, *REPLACE)
    assert "replace" not in caught.value.next_step
    assert emulator.writes() == before


def test_of_another_scope_it_is_another_object(emulator, virtual, running):
    other = reconcile(virtual, BASE_CONNECTION, replace(running["base"], name="Y base")).id
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="baseConnectionId") as caught:
        reconcile(virtual, SOURCE_CONNECTION, replace(running["source"], base_connection_id=other), *REPLACE)
    assert "replace" not in caught.value.next_step
    assert emulator.writes() == before


def test_an_object_without_our_marker_is_not_retired(emulator, virtual, running):
    [(scope, stored)] = emulator.world.store.everywhere("sourceConnections")
    emulator.world.store.put("sourceConnections", scope, stored["id"], {**stored, "description": ""}, name="X source")
    with pytest.raises(AepConflictError):
        with_other_table(virtual, running)


def test_a_flow_that_ran_once_would_take_everything_again(emulator, virtual, running):
    _, flow = with_other_table(virtual, running)
    once = replace(flow, schedule=Schedule(frequency="once", start_in_minutes=1), delta_column=None)
    before = emulator.writes()
    with pytest.raises(AepConfigurationError, match="another flow with frequency once would ingest all rows"):
        reconcile(virtual, FLOW, once, *REPLACE)
    assert emulator.writes() == before


def test_one_that_never_ran_leaves_its_backfill_to_the_next(emulator, virtual):
    states = onboard("X", lambda resource_type, state: reconcile(virtual, resource_type, state).result)
    _, flow = with_other_table(virtual, states)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert (outcome.action, outcome.remark) == ("replaced", "")
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is True


class Killed(BaseException):
    pass


@pytest.mark.parametrize("nth", range(4))
def test_a_replacement_that_is_killed_is_gone_on_with(emulator, virtual, running, nth):
    """After each of its writes: the flow is disabled, retired, created again, or the replacement has ended."""
    _, flow = with_other_table(virtual, running)
    send, sent = virtual.send, []

    def dying(call):
        answer = send(call)
        if call.method != "GET":
            sent.append(call.operation)
            if len(sent) == nth + 1:
                raise Killed
        return answer

    virtual.send = dying
    with suppress(Killed):  # the last of them is none
        reconcile(virtual, FLOW, flow, *REPLACE)
    virtual.send = send
    again = Attempt(NONCE, tried_before=True), Terms(replace=True)
    outcome = reconcile(virtual, FLOW, flow, *again)
    assert listed_ids(virtual, "flow", flow) == [outcome.id]
    assert len(flows(virtual)) == 2
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_replacement_whose_create_was_lost_makes_one(emulator, virtual, running):
    _, flow = with_other_table(virtual, running)
    emulator.fault("POST */flows", "reset", commit="now", calls=[1])
    emulator.fault("GET */flows", "lag", seconds=20)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    emulator.world.faults.clear()
    emulator.advance(30)
    assert listed_ids(virtual, "flow", flow) == [outcome.id]


class Stale:
    """A list of flows as it was: it knows of no change since, nor of what is new."""

    def __init__(self, client):
        self.client, self.items = client, client.items
        self.flows = [*client.items(flow_service.list_flows({}))]
        client.items = self

    def __call__(self, call):
        yield from self.flows if call.operation == "GET flows" else self.items(call)

    def know(self):
        self.client.items = self.items


def test_a_list_that_knows_the_old_name_brings_no_backfill(virtual, running):
    _, flow = with_other_table(virtual, running)
    stale = Stale(virtual)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    stale.know()
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_whole_list_that_knows_the_old_name_brings_no_backfill_either(virtual, running):
    """A try died once it had put the old one aside; the list by name knows that, and that of all flows does not."""
    _, flow = with_other_table(virtual, running)
    send, items = virtual.send, virtual.items
    before = [*items(flow_service.list_flows({}))]

    def dying(call):
        if call.operation == "POST flows":
            raise Killed
        return send(call)

    virtual.send = dying
    with pytest.raises(Killed):
        reconcile(virtual, FLOW, flow, *REPLACE)
    virtual.send = send
    whole = flow_service.list_flows({}).query
    virtual.items = lambda call: iter(before) if call.query == whole and "flows" in call.path else items(call)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_run_that_is_said_to_be_under_way_again_has_ingested(emulator, virtual, running):
    """A list that is behind, asked after one that was not."""
    _, flow = with_other_table(virtual, running)
    send, items = virtual.send, virtual.items
    before = [*items(flow_service.list_runs(running_flow(virtual)))]
    waiting = [run.model_copy(update={"metrics": type(run.metrics)()}) for run in before]

    def behind(call):
        if call.operation == "GET runs" and renamed(virtual, send):
            return iter(waiting)
        return items(call)

    virtual.items = behind
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def running_flow(client):
    return flows(client)["X flow"].id


def renamed(client, send):
    """Return whether the replaced flow is retired."""
    return "X flow" not in {f.name for f in send(flow_service.list_flows({})).items}


def test_a_replacement_killed_after_its_create_makes_one_object_with_either_name_listed(virtual, running):
    _, flow = with_other_table(virtual, running)
    stale, send = Stale(virtual), virtual.send

    def dying(call):
        answer = send(call)
        if call.method == "POST" and call.operation == "POST flows":
            raise Killed
        return answer

    virtual.send = dying
    with pytest.raises(Killed):
        reconcile(virtual, FLOW, flow, *REPLACE)
    virtual.send = send
    virtual.clock.sleep = lambda seconds, sleep=virtual.clock.sleep: (sleep(seconds), stale.know())
    again = Attempt(NONCE, tried_before=True), Terms(replace=True)
    outcome = reconcile(virtual, FLOW, flow, *again)
    assert listed_ids(virtual, "flow", flow) == [outcome.id]


def test_a_run_that_tells_no_window_has_ingested_too(emulator, virtual, running):
    for scope, run in emulator.world.store.everywhere("runs"):
        run["metrics"]["durationSummary"]["extensions"] = {}
        emulator.world.store.put("runs", scope, run["id"], run)
    _, flow = with_other_table(virtual, running)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_replacement_that_another_task_ends_has_no_backfill(virtual, running):
    """The try was killed after it had retired the old object, and the author has removed replace=True."""
    _, flow = with_other_table(virtual, running)
    send = virtual.send

    def dying(call):
        if call.operation == "POST flows":
            raise Killed
        return send(call)

    virtual.send = dying
    with pytest.raises(Killed):
        reconcile(virtual, FLOW, flow, *REPLACE)
    virtual.send = send
    outcome = reconcile(virtual, FLOW, flow)
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_flow_whose_only_run_ends_while_it_is_waited_for_is_not_replaced(emulator, virtual):
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_time": 60.0})
    states = onboard_running(emulator, virtual, **ONCE)
    emulator.advance(62)  # its run has begun
    _, flow = with_other_table(virtual, states)
    with pytest.raises(AepConfigurationError, match="would ingest all rows"):
        reconcile(virtual, FLOW, flow, *REPLACE)
    assert [f.name for f in virtual.items(flow_service.list_flows({}))] == ["X flow"]


def test_the_mapping_set_of_a_flow_that_was_replaced_can_change(virtual, running):
    _, flow = with_other_table(virtual, running)
    reconcile(virtual, FLOW, flow, *REPLACE)
    for n, flow_name in enumerate(("X flow", None)):
        state = replace(running["mapping"], flow_name=flow_name, mappings=(ENTRY | {"source": f"number{n}"},))
        assert reconcile(virtual, MAPPING_SET, state).action == "updated"


@pytest.mark.parametrize("frequency", ["hour", "once"])
def test_a_first_run_that_is_not_listed_yet_counts(emulator, virtual, frequency):
    """Lists lag: a flow that should have run is not taken for one that never has."""
    states = onboard_running(emulator, virtual, **(ONCE if frequency == "once" else {}))
    emulator.advance(62)  # its first run has begun
    other = reconcile(virtual, SOURCE_CONNECTION, replace(states["source"], name="Y source")).id
    state = starting_soon(states["flow"], source_connection_id=other)
    emulator.fault("GET */runs", "lag", seconds=3)
    if frequency == "once":
        with pytest.raises(AepConfigurationError, match="would ingest all rows"):
            reconcile(virtual, FLOW, state, *REPLACE)
        assert flows(virtual)["X flow"].state == "enabled"
    else:
        made = reconcile(virtual, FLOW, state, *REPLACE).id
        assert virtual.send(flow_service.get_flow(made)).scheduleParams["backfill"] is False
    emulator.world.faults.clear()
    emulator.advance(2 * HOUR)
    rows = [row["_id"] for file in emulator.lake.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len(set(rows)) > 0


def test_a_new_dataset_gets_what_the_old_one_has(emulator, virtual, running):
    dataset = reconcile(virtual, DATASET, replace(running["dataset"], name="Z dataset")).id
    to = replace(running["target"], name="Z target", dataset_id=dataset)
    target = reconcile(virtual, TARGET_CONNECTION, to).id
    flow = starting_soon(running["flow"], target_connection_id=target)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert (outcome.action, outcome.remark) == ("replaced", "")
    emulator.advance(2 * HOUR)
    landed = {file.parent.name for file in emulator.lake.rglob("*.parquet") if pq.read_table(file).num_rows}
    assert dataset in landed


def test_one_that_another_task_replaces_at_the_same_moment_is_waited_for(emulator, virtual, running):
    """It has put the old one aside and made a new one, which no list shows yet."""
    source = replace(running["source"], table="incident")
    old, send = StoredState(), virtual.send
    reconcile(virtual, SOURCE_CONNECTION, running["source"], Attempt(NONCE, store=old))
    [note] = old
    old[note] |= {"id": running["flow"].source_connection_id, "sent": 1.0}
    made, reads = [], []

    def crossed(call):
        reads.extend([call] if call.path.endswith(old[note]["id"]) else [])
        if len(reads) == 2 and not made:  # before it is retired
            virtual.send = send
            made.append(reconcile(virtual, SOURCE_CONNECTION, source, Attempt("ba9876543210"), Terms(replace=True)).id)
            emulator.fault("GET */sourceConnections", "lag", seconds=10)
        return send(call)

    virtual.send = crossed
    again = Attempt(NONCE, tried_before=True, store=old), Terms(replace=True)
    outcome = reconcile(virtual, SOURCE_CONNECTION, source, *again)
    emulator.world.faults.clear()
    assert [outcome.id] == made == listed_ids(virtual, "source", source)


@pytest.mark.parametrize("what", ["flow", "target"])
def test_one_that_is_gone_is_taken_to_have_filled_the_same_dataset(emulator, virtual, running, what):
    """A person deletes the retired flow: its successor must not ingest its rows again on a guess."""
    other = reconcile(virtual, TARGET_CONNECTION, replace(running["target"], name="Z target")).id
    _, flow = with_other_table(virtual, running)
    flow = replace(flow, target_connection_id=other)
    send, old = virtual.send, next(iter(flows(virtual).values()))

    def deleting(call):
        if call.operation == "POST flows":
            raise Killed
        return send(call)

    virtual.send = deleting
    with pytest.raises(Killed):
        reconcile(virtual, FLOW, flow, *REPLACE)
    virtual.send = send
    resource_type, id_ = ("flows", old.id) if what == "flow" else ("targetConnections", old.targetConnectionIds[0])
    [scope] = [scope for scope, state in emulator.world.store.everywhere(resource_type) if state["id"] == id_]
    Stale(virtual)  # the list of flows does not know yet
    emulator.world.store.delete(resource_type, scope, id_)
    outcome = reconcile(virtual, FLOW, flow, *REPLACE)
    assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_first_run_that_failed_does_not_hide_the_second(emulator, virtual):
    """The second is under way, and not listed yet when the flow is to be replaced."""
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    states = onboard_running(emulator, virtual)
    emulator.advance(62 + HOUR)  # its second run has begun
    other = reconcile(virtual, SOURCE_CONNECTION, replace(states["source"], name="Y source")).id
    state = starting_soon(states["flow"], source_connection_id=other)
    emulator.fault("GET */runs", "lag", seconds=3)
    made = reconcile(virtual, FLOW, state, *REPLACE).id
    emulator.world.faults.clear()
    assert virtual.send(flow_service.get_flow(made)).scheduleParams["backfill"] is False


def test_retiring_can_be_retried_after_two_concurrent_changes(emulator, virtual, running):
    source = replace(running["source"], table="incident")
    emulator.fault("PATCH */sourceConnections/{id}", "race", calls=[1, 2])
    with pytest.raises(AepUnavailableError, match="changed twice"):
        reconcile(virtual, SOURCE_CONNECTION, source, *REPLACE)
    assert reconcile(virtual, SOURCE_CONNECTION, source, *REPLACE).action == "replaced"


def test_one_that_is_still_listed_by_its_old_name_is_no_second_one(emulator, virtual, running):
    source = replace(running["source"], table="incident")
    old = virtual.send(flow_service.get_source_connection(running["flow"].source_connection_id))
    made = reconcile(virtual, SOURCE_CONNECTION, source, *REPLACE).id
    items = virtual.items

    def behind(call):
        yield from items(call)
        if call.operation == "GET sourceConnections":
            yield old

    virtual.items = behind
    outcome = reconcile(virtual, SOURCE_CONNECTION, source, *REPLACE)
    assert (outcome.id, outcome.action) == (made, "unchanged")


def test_a_flow_create_costs_the_same_in_a_sandbox_with_many_flows(emulator, virtual, running):
    def requests_of_a_create(name):
        before = len(emulator.requests())
        assert reconcile(virtual, FLOW, starting_soon(running["flow"], name=name)).action == "created"
        return [request["operation"] for request in emulator.requests()[before:]]

    few = requests_of_a_create("Y flow")
    store = emulator.world.store
    scope, flow = store.everywhere("flows")[0]
    for number in range(500):
        body = {**flow, "id": f"flow-{number}", "name": f"Other flow {number}"}
        store.add("flows", scope, body["id"], body, name=body["name"])
    assert requests_of_a_create("Z flow") == few


def test_a_flow_of_the_longest_name_is_replaced_again_and_again(emulator, virtual, running):
    flow = starting_soon(running["flow"], name="x" * 100)
    reconcile(virtual, FLOW, flow)
    for column in ("sys_created_on", "sys_updated_on", "sys_created_on"):
        emulator.advance(2 * HOUR)
        delta = {**flow.delta_column, "name": column}
        outcome = reconcile(virtual, FLOW, replace(flow, delta_column=delta), *REPLACE)
        assert outcome.action == "replaced"
        assert virtual.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False
    names = {name for name in flows(virtual) if is_retired_name(name, "x" * 100)}
    assert names == {retired_name("x" * 100, number) for number in (1, 2, 3)}
    assert all(len(name) <= MAX_NAME for name in names)
