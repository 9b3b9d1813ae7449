"""What cannot change in place is replaced if asked for: the old is put aside, the new takes only what is new."""

import re
from contextlib import suppress
from copy import deepcopy

import pyarrow.parquet as pq
import pytest
from chain import KINDS, listed, onboard

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.ensure import Attempt, ensure
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
    """A list of flows that does not know of a change of name yet."""

    def __init__(self, client):
        self.client, self.items = client, client.items
        self.names = {f.id: f.name for f in client.items(flow_service.list_flows({}))}
        client.items = self

    def __call__(self, call):
        for item in self.items(call):
            if call.operation == "GET flows" and item.id in self.names:
                yield item.model_copy(update={"name": self.names[item.id]})
            elif call.operation != "GET flows":
                yield item

    def know(self):
        self.client.items = self.items


def test_a_list_that_knows_the_old_name_brings_no_backfill(together, running):
    _, flow = replaced(together, running)
    stale = Stale(together)
    outcome = ensure(together, FLOW_WITH_SUCCESSION, flow, REPLACE)
    stale.know()
    assert together.send(flow_service.get_flow(outcome.id)).scheduleParams["backfill"] is False


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
