"""What cannot change in place is replaced if asked for: the old is put aside, the new takes only what is new."""

import re
from contextlib import suppress
from copy import deepcopy

import pyarrow.parquet as pq
import pytest
from chain import KINDS, Notes, listed, onboard

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError, AepUnavailableError
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.ensure import ensure
from airflow_provider_aep.onboarding.identity import identity
from airflow_provider_aep.onboarding.succession import FLOW_WITH_SUCCESSION

REPLACE = Attempt("0123456789ab", replace=True)
HOUR = 3600


@pytest.fixture
def running(emulator, together):
    """An hourly flow that has run a few times."""
    start = int(emulator.world.clock.now()) + 60

    def make(kind, body):
        if kind is kinds.FLOW:
            body["scheduleParams"]["startTime"] = start
        return ensure(together, kind, body).result

    bodies = onboard("X", make)
    emulator.advance(3 * HOUR + 600)
    return bodies


def replaced(client, bodies, **changes):
    """The flow after a change of its source connection's table."""
    source = deepcopy(bodies["source"])
    source["params"]["tableName"] = "incident"
    made = ensure(client, kinds.SOURCE_CONNECTION, source, REPLACE)
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": int(client.clock.now()) + 60}
    flow = {**bodies["flow"], "sourceConnectionIds": [made.id], "scheduleParams": schedule, "start_in_minutes": 1}
    return source, {**flow, **changes}


def flows(client):
    return {f.name: f for f in client.items(flow_service.list_flows({}))}


def test_old_ones_are_put_aside_and_the_next_run_writes_nothing(emulator, together, running):
    source, flow = replaced(together, running)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert outcome.action == "replaced"
    assert re.search(r"ingested up to \d{4}-.*in no window", outcome.remark)
    old = [f for name, f in flows(together).items() if name != "X flow"]
    assert [bool(re.fullmatch(r"X flow \(replaced \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)", f.name)) for f in old] == [True]
    assert old[0].state == "disabled"
    new = flows(together)["X flow"]
    assert (new.id, new.state, new.scheduleParams["backfill"]) == (outcome.id, "enabled", False)
    before = emulator.writes()
    for kind, body in ((kinds.SOURCE_CONNECTION, source), (FLOW_WITH_SUCCESSION, flow)):
        assert ensure(together, kind, body, REPLACE).action == "found"
        assert ensure(together, kind, body).action == "found"
    assert emulator.writes() == before


def test_what_is_put_aside_is_marked_as_what_it_is(together, running):
    replaced(together, running)
    [old] = [
        kinds.SOURCE_CONNECTION.found(c)
        for c in together.items(flow_service.list_source_connections({}))
        if c.name != "X source"
    ]
    scope = at(old.fields, kinds.SOURCE_CONNECTION.scope)
    assert old.marker.identity == identity(together.settings, "source connection", scope, old.name)


def test_no_row_lands_twice(emulator, together, running):
    _, flow = replaced(together, running)
    ensure(together, FLOW_WITH_SUCCESSION, {**flow, "sourceConnectionIds": running["flow"]["sourceConnectionIds"],
                                             "steps": {**flow["steps"], "Copy": {"deltaColumn": {
                                                 "name": "sys_created_on", "dateFormat": "f", "timezone": "UTC"}}}},
           REPLACE)  # fmt: skip
    emulator.advance(5 * HOUR)
    rows = [row["_id"] for file in emulator.lake.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len(set(rows)) > 0


def test_a_run_under_way_is_waited_for(emulator, together, running):
    _, flow = replaced(together, running)
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_time": 60.0})
    emulator.advance(HOUR - 600 + 61)  # a run has just begun
    ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    [old] = [f for name, f in flows(together).items() if name != "X flow"]
    states = [r.metrics.statusSummary.status for r in together.items(flow_service.list_runs(old.id))]
    assert set(states) == {"success"}
    assert sum(together.clock.slept) > 0


def test_without_it_the_way_out_is_named(emulator, together, running):
    source = deepcopy(running["source"])
    source["params"]["tableName"] = "incident"
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="what cannot change: params.tableName.*replace=True"):
        ensure(together, kinds.SOURCE_CONNECTION, source)
    assert emulator.writes() == before


@pytest.mark.parametrize("name", ["schema", "dataset", "base", "mapping"])
def test_what_holds_data_is_never_replaced(emulator, together, running, name):
    paths = {"schema": "class", "dataset": "schemaRef", "base": "connectionSpec", "mapping": "outputSchema"}
    body = deepcopy(running[name])
    other = "https://ns.adobe.com/xdm/context/experienceevent"
    body[paths[name]] = other if name == "schema" else {"id": other, "schemaRef": {"id": other}}
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="what cannot change") as caught:
        ensure(together, KINDS[name], body, REPLACE)
    assert "replace" not in caught.value.next_step
    assert emulator.writes() == before


def test_of_another_scope_it_is_another_object(emulator, together, running):
    other = ensure(together, kinds.BASE_CONNECTION, {**running["base"], "name": "Y base"}).id
    before = emulator.writes()
    with pytest.raises(AepConflictError, match="baseConnectionId") as caught:
        ensure(together, kinds.SOURCE_CONNECTION, {**running["source"], "baseConnectionId": other}, REPLACE)
    assert "replace" not in caught.value.next_step
    assert emulator.writes() == before


def test_what_is_not_ours_is_not_put_aside(emulator, together, running):
    [(scope, stored)] = emulator.world.store.everywhere("sourceConnections")
    emulator.world.store.put("sourceConnections", scope, stored["id"], {**stored, "description": ""}, name="X source")
    with pytest.raises(AepConflictError):
        replaced(together, running)


def test_a_flow_that_ran_once_would_take_everything_again(emulator, together, running):
    _, flow = replaced(together, running)
    schedule = {"startTime": flow["scheduleParams"]["startTime"], "frequency": "once"}
    steps = {"Mapping": flow["steps"]["Mapping"]}
    before = emulator.writes()
    with pytest.raises(AepConfigurationError, match="would take every row again"):
        ensure(
            together,
            FLOW_WITH_SUCCESSION,
            {**flow, "runs": "once", "scheduleParams": schedule, "steps": steps},
            REPLACE,
        )
    assert emulator.writes() == before


def test_one_that_never_ran_leaves_its_backfill_to_the_next(emulator, together):
    bodies = onboard("X", lambda kind, body: ensure(together, kind, body).result)
    _, flow = replaced(together, bodies)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert (outcome.action, outcome.remark) == ("replaced", "")
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is True


class Killed(BaseException):
    pass


@pytest.mark.parametrize("nth", range(4))
def test_a_replacement_that_is_killed_is_gone_on_with(emulator, together, running, nth):
    """After each of its writes: the flow is disabled, put aside, made anew, or it is over."""
    _, flow = replaced(together, running)
    send, sent = together.send, []

    def dying(call):
        answer = send(call)
        if call.method != "GET":
            sent.append(call.operation)
            if len(sent) == nth + 1:
                raise Killed
        return answer

    together.send = dying
    with suppress(Killed):  # the last of them is none
        ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    together.send = send
    again = Attempt(REPLACE.nonce, tried_before=True, replace=True)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, again)
    assert listed(together, "flow", flow) == [outcome.id]
    assert len(flows(together)) == 2
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_replacement_whose_create_was_lost_makes_one(emulator, together, running):
    _, flow = replaced(together, running)
    emulator.fault("POST */flows", "reset", commit="now", calls=[1])
    emulator.fault("GET */flows", "lag", seconds=20)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    emulator.world.faults.clear()
    emulator.advance(30)
    assert listed(together, "flow", flow) == [outcome.id]


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


def test_a_list_that_knows_the_old_name_brings_no_backfill(together, running):
    _, flow = replaced(together, running)
    stale = Stale(together)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    stale.know()
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_whole_list_that_knows_the_old_name_brings_no_backfill_either(together, running):
    """A try died once it had put the old one aside; the list by name knows that, and that of all flows does not."""
    _, flow = replaced(together, running)
    send, items = together.send, together.items
    before = [*items(flow_service.list_flows({}))]

    def dying(call):
        if call.operation == "POST flows":
            raise Killed
        return send(call)

    together.send = dying
    with pytest.raises(Killed):
        ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    together.send = send
    whole = flow_service.list_flows({}).query
    together.items = lambda call: iter(before) if call.query == whole and "flows" in call.path else items(call)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_run_that_is_said_to_be_under_way_again_has_ingested(emulator, together, running):
    """A list that is behind, asked after one that was not."""
    _, flow = replaced(together, running)
    send, items = together.send, together.items
    before = [*items(flow_service.list_runs(running_flow(together)))]
    waiting = [run.model_copy(update={"metrics": type(run.metrics)()}) for run in before]

    def behind(call):
        if call.operation == "GET runs" and renamed(together, send):
            return iter(waiting)
        return items(call)

    together.items = behind
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def running_flow(client):
    return flows(client)["X flow"].id


def renamed(client, send):
    """Whether the flow that is replaced has been put aside."""
    return "X flow" not in {f.name for f in send(flow_service.list_flows({})).items}


def test_a_replacement_that_is_killed_after_its_create_makes_one_whatever_name_is_listed(together, running):
    _, flow = replaced(together, running)
    stale, send = Stale(together), together.send

    def dying(call):
        answer = send(call)
        if call.method == "POST" and call.operation == "POST flows":
            raise Killed
        return answer

    together.send = dying
    with pytest.raises(Killed):
        ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    together.send = send
    together.clock.sleep = lambda seconds, sleep=together.clock.sleep: (sleep(seconds), stale.know())
    again = Attempt(REPLACE.nonce, tried_before=True, replace=True)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, again)
    assert listed(together, "flow", flow) == [outcome.id]


def test_a_run_that_tells_no_window_has_ingested_too(emulator, together, running):
    for scope, run in emulator.world.store.everywhere("runs"):
        run["metrics"]["durationSummary"]["extensions"] = {}
        emulator.world.store.put("runs", scope, run["id"], run)
    _, flow = replaced(together, running)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_replacement_that_was_begun_takes_no_backfill_whoever_ends_it(together, running):
    """The try was killed once the old one was put aside, and the author has taken replace=True out."""
    _, flow = replaced(together, running)
    send = together.send

    def dying(call):
        if call.operation == "POST flows":
            raise Killed
        return send(call)

    together.send = dying
    with pytest.raises(Killed):
        ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    together.send = send
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow)
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_flow_whose_only_run_ends_while_it_is_waited_for_is_not_replaced(emulator, together):
    start = int(emulator.world.clock.now()) + 60
    once = {"startTime": start, "frequency": "once"}

    def make(kind, body):
        if kind is kinds.FLOW:
            body |= {"scheduleParams": once, "runs": "once", "steps": {"Mapping": body["steps"]["Mapping"]}}
        return ensure(together, kind, body).result

    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_time": 60.0})
    bodies = onboard("X", make)
    emulator.advance(62)  # its run has begun
    _, flow = replaced(together, bodies, scheduleParams={**once, "startTime": start + 600})
    with pytest.raises(AepConfigurationError, match="would take every row again"):
        ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert [f.name for f in together.items(flow_service.list_flows({}))] == ["X flow"]


def test_the_mapping_set_of_a_flow_that_was_replaced_can_change(together, running):
    _, flow = replaced(together, running)
    ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    entry = {"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}
    for n, kind in enumerate((kinds.mapping_set_for("X flow"), kinds.mapping_set_for(None))):
        body = {**running["mapping"], "mappings": [entry | {"source": f"number{n}"}]}
        assert ensure(together, kind, body).action == "updated"


@pytest.mark.parametrize("frequency", ["hour", "once"])
def test_a_first_run_that_is_not_listed_yet_counts(emulator, together, frequency):
    """Lists lag: a flow that should have run is not taken for one that never has."""
    start = int(emulator.world.clock.now()) + 60

    def make(kind, body):
        if kind is kinds.FLOW:
            body["scheduleParams"]["startTime"] = start
            if frequency == "once":
                schedule = {"startTime": start, "frequency": "once"}
                body |= {"scheduleParams": schedule, "runs": "once", "steps": {"Mapping": body["steps"]["Mapping"]}}
        return ensure(together, kind, body).result

    bodies = onboard("X", make)
    emulator.advance(62)  # its first run has begun
    other = ensure(together, kinds.SOURCE_CONNECTION, {**bodies["source"], "name": "Y source"}).id
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": int(together.server_now()) + 60}
    body = {**bodies["flow"], "sourceConnectionIds": [other], "scheduleParams": schedule, "start_in_minutes": 1}
    emulator.fault("GET */runs", "lag", seconds=3)
    if frequency == "once":
        with pytest.raises(AepConfigurationError, match="would take every row again"):
            ensure(together, FLOW_WITH_SUCCESSION, body, REPLACE)
        assert flows(together)["X flow"].state == "enabled"
    else:
        made = ensure(together, FLOW_WITH_SUCCESSION, body, REPLACE).id
        assert together.send(flow_service.get_flow(made)).scheduleParams["backfill"] is False
    emulator.world.faults.clear()
    emulator.advance(2 * HOUR)
    rows = [row["_id"] for file in emulator.lake.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(rows) == len(set(rows)) > 0


def test_a_new_dataset_gets_what_the_old_one_has(emulator, together, running):
    dataset = ensure(together, kinds.DATASET, {**running["dataset"], "name": "Z dataset"}).id
    to = {**running["target"], "name": "Z target", "params": {"dataSetId": dataset}}
    target = ensure(together, kinds.TARGET_CONNECTION, to).id
    _, flow = replaced(together, running, targetConnectionIds=[target])
    flow["sourceConnectionIds"] = running["flow"]["sourceConnectionIds"]
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert (outcome.action, outcome.remark) == ("replaced", "")
    emulator.advance(2 * HOUR)
    landed = {file.parent.name for file in emulator.lake.rglob("*.parquet") if pq.read_table(file).num_rows}
    assert dataset in landed


def test_one_that_another_task_replaces_at_the_same_moment_is_waited_for(emulator, together, running):
    """It has put the old one aside and made a new one, which no list shows yet."""
    source = deepcopy(running["source"])
    source["params"]["tableName"] = "incident"
    old, send = Notes(), together.send
    ensure(together, kinds.SOURCE_CONNECTION, running["source"], Attempt(REPLACE.nonce, memory=old))
    [note] = old
    old[note] |= {"id": running["flow"]["sourceConnectionIds"][0], "sent": 1.0}
    made, reads = [], []

    def crossed(call):
        reads.extend([call] if call.path.endswith(old[note]["id"]) else [])
        if len(reads) == 2 and not made:  # it is about to be put aside
            together.send = send
            made.append(ensure(together, kinds.SOURCE_CONNECTION, source, Attempt("ba9876543210", replace=True)).id)
            emulator.fault("GET */sourceConnections", "lag", seconds=10)
        return send(call)

    together.send = crossed
    again = Attempt(REPLACE.nonce, tried_before=True, replace=True, memory=old)
    outcome = ensure(together, kinds.SOURCE_CONNECTION, source, again)
    emulator.world.faults.clear()
    assert [outcome.id] == made == listed(together, "source", source)


@pytest.mark.parametrize("what", ["flow", "target"])
def test_one_that_is_gone_is_taken_to_have_filled_the_same_dataset(emulator, together, running, what):
    """Somebody deletes it after it was put aside: a flow in place of it takes nothing again on a guess."""
    other = ensure(together, kinds.TARGET_CONNECTION, {**running["target"], "name": "Z target"}).id
    source, flow = replaced(together, running, targetConnectionIds=[other])
    send, old = together.send, next(iter(flows(together).values()))

    def deleting(call):
        if call.operation == "POST flows":
            raise Killed
        return send(call)

    together.send = deleting
    with pytest.raises(Killed):
        ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    together.send = send
    kind, id_ = ("flows", old.id) if what == "flow" else ("targetConnections", old.targetConnectionIds[0])
    [scope] = [scope for scope, body in emulator.world.store.everywhere(kind) if body["id"] == id_]
    Stale(together)  # the list of flows does not know yet
    emulator.world.store.delete(kind, scope, id_)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


def test_a_first_run_that_failed_does_not_hide_the_second(emulator, together):
    """The second is under way, and not listed yet when the flow is to be replaced."""
    start = int(emulator.world.clock.now()) + 60

    def make(kind, body):
        if kind is kinds.FLOW:
            body["scheduleParams"]["startTime"] = start
        return ensure(together, kind, body).result

    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    bodies = onboard("X", make)
    emulator.advance(62 + HOUR)  # its second run has begun
    other = ensure(together, kinds.SOURCE_CONNECTION, {**bodies["source"], "name": "Y source"}).id
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": int(together.server_now()) + 60}
    body = {**bodies["flow"], "sourceConnectionIds": [other], "scheduleParams": schedule, "start_in_minutes": 1}
    emulator.fault("GET */runs", "lag", seconds=3)
    made = ensure(together, FLOW_WITH_SUCCESSION, body, REPLACE).id
    emulator.world.faults.clear()
    assert together.send(flow_service.get_flow(made)).scheduleParams["backfill"] is False


def test_a_put_aside_that_somebody_crosses_twice_may_be_tried_again(emulator, together, running):
    source = deepcopy(running["source"])
    source["params"]["tableName"] = "incident"
    emulator.fault("PATCH */sourceConnections/{id}", "race", calls=[1, 2])
    with pytest.raises(AepUnavailableError, match="changed twice"):
        ensure(together, kinds.SOURCE_CONNECTION, source, REPLACE)
    assert ensure(together, kinds.SOURCE_CONNECTION, source, REPLACE).action == "replaced"


def test_one_that_is_still_listed_by_its_old_name_is_no_second_one(emulator, together, running):
    source = deepcopy(running["source"])
    source["params"]["tableName"] = "incident"
    old = together.send(flow_service.get_source_connection(running["flow"]["sourceConnectionIds"][0]))
    made = ensure(together, kinds.SOURCE_CONNECTION, source, REPLACE).id
    items = together.items

    def behind(call):
        yield from items(call)
        if call.operation == "GET sourceConnections":
            yield old

    together.items = behind
    outcome = ensure(together, kinds.SOURCE_CONNECTION, source, REPLACE)
    assert (outcome.id, outcome.action) == (made, "found")
