"""What is done to a flow that exists."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tasks import flow, refused, run

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.clock import SystemClock
from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.onboarding.lifecycle import control
from airflow_provider_aep.operators.control import (
    AepDisableFlowOperator,
    AepEnableFlowOperator,
    AepPublishFlowOperator,
    AepUpdateFlowOperator,
)
from airflow_provider_aep.operators.flow import AepCreateMappingSetOperator
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

SOON = {"start_in_minutes": 0.01}
ALL = {"window_start": 0, "wait": False}


def stored(aep):
    [(_, body)] = aep.world.store.everywhere("flows")
    return body


@pytest.fixture
def once(aep, parts):
    return flow(parts, start_in_minutes=5)


@pytest.fixture
def hourly(aep, parts):
    return flow(parts, frequency="hour", delta_column="sys_updated_on", start_in_minutes=5)


def run_until(aep, flow_id, run_id=None):
    sensor = AepFlowRunSensor(
        task_id="s", flow_id=flow_id, run_id=run_id, max_failed_ratio=0.01, poke_interval=0.1, timeout=30
    )
    return sensor.execute({})


# -- states ---------------------------------------------------------------------------------------------------------


def test_disable_and_enable_and_neither_twice(aep, once):
    for operator, state in ((AepDisableFlowOperator, "disabled"), (AepEnableFlowOperator, "enabled")):
        for _ in range(2):
            assert run(operator, flow_id=once) == once
            assert stored(aep)["state"] == state
    assert len([w for w in aep.writes() if w.endswith("/action")]) == 2


def test_a_draft_runs_when_it_is_published(aep, parts):
    draft = flow(parts, draft=True, **SOON)
    assert stored(aep)["state"] == "draft"
    time.sleep(1.2)  # past its start time
    assert aep.world.store.everywhere("runs") == []
    refused(
        aep,
        "The flow .* is in the state 'draft', but AEP can enable.*Publish the draft first .AepPublishFlowOperator",
        AepEnableFlowOperator,
        flow_id=draft,
    )
    refused(aep, "is in the state 'draft', but AEP can disable", AepDisableFlowOperator, flow_id=draft)
    for _ in range(2):
        assert run(AepPublishFlowOperator, flow_id=draft) == draft
    assert flow(parts, draft=True, **SOON) == draft
    assert stored(aep)["state"] == "enabled"
    assert run_until(aep, draft)["written"] == 997


def test_a_flow_that_was_disabled_later_has_been_published(aep, once):
    run(AepDisableFlowOperator, flow_id=once)
    before = aep.writes()
    assert run(AepPublishFlowOperator, flow_id=once) == once
    assert aep.writes() == before


@pytest.fixture
def restless(aep, once, monkeypatch):
    """Put the flow into a state that ends while somebody waits."""

    def set_state(state):
        [(scope, body)] = aep.world.store.everywhere("flows")
        aep.world.store.put("flows", scope, once, {**body, "state": state})

    def becomes(passing, final):
        set_state(passing)
        monkeypatch.setattr(SystemClock, "sleep", lambda _, seconds: set_state(final))

    return becomes


@pytest.mark.parametrize(
    ("passing", "final", "operator", "more"),
    [
        ("disabling", "disabled", AepEnableFlowOperator, {}),
        ("enabled-finalizing", "enabled", AepDisableFlowOperator, {}),
        ("updating", "enabled", AepUpdateFlowOperator, {"start_in_minutes": 9}),
        ("enabled-finalizing", "enabled", AepRunFlowOperator, {"delta_column": "sys_updated_on", **ALL}),
    ],
)
def test_a_passing_state_is_waited_out(aep, once, restless, passing, final, operator, more):
    restless(passing, final)
    assert run(operator, flow_id=once, **more)


def test_an_action_is_over_when_the_flow_has_come_to_rest(aep, once, restless, monkeypatch):
    def slowly(id_):
        restless("disabling", "disabled")
        return flow_service.get_flow(id_)

    act = control.FLOW_ACTIONS["disable"]
    monkeypatch.setitem(control.FLOW_ACTIONS, "disable", replace(act, call=slowly))
    assert run(AepDisableFlowOperator, flow_id=once) == once
    assert stored(aep)["state"] == "disabled"


def test_an_action_whose_answer_was_lost_is_no_failure(aep, once, monkeypatch):
    disable = flow_service.disable_flow

    def twice(id_):
        with aep.client() as client:
            client.send(disable(id_))
        return disable(id_)

    monkeypatch.setitem(control.FLOW_ACTIONS, "disable", replace(control.FLOW_ACTIONS["disable"], call=twice))
    assert run(AepDisableFlowOperator, flow_id=once) == once


def test_a_flow_that_does_not_exist(aep):
    refused(aep, "1101-404", AepEnableFlowOperator, flow_id="nobody")
    refused(aep, "flow_id is ''", AepDisableFlowOperator, flow_id="")


# -- update ---------------------------------------------------------------------------------------------------------


def test_schedule_and_mapping_change_and_copy_stays_byte_equal(aep, parts, hourly):
    copy = json.dumps(stored(aep)["transformations"][0])
    mapping = {"name": "X mapping", "schema_id": parts["schema"], "mappings": {"_id": "sys_id"}}
    newer = run(AepCreateMappingSetOperator, **mapping)
    assert newer["version"] == 1
    changes = {"frequency": "day", "interval": 2, "mapping_set": newer}
    for _ in range(2):
        assert run(AepUpdateFlowOperator, flow_id=hourly, **changes) == hourly
    assert len([w for w in aep.writes() if w == "PATCH /data/foundation/flowservice/flows/{id}"]) == 1
    body = stored(aep)
    assert [t["name"] for t in body["transformations"]] == ["Copy", "Mapping"]
    assert json.dumps(body["transformations"][0]) == copy
    assert body["transformations"][1]["params"] == {"mappingId": newer["id"], "mappingVersion": 1}
    assert (body["scheduleParams"]["frequency"], body["scheduleParams"]["interval"]) == ("day", 2)


def test_the_mapping_is_found_by_name_wherever_it_stands(aep, parts, hourly):
    [(scope, body)] = aep.world.store.everywhere("flows")
    body["transformations"].reverse()
    aep.world.store.put("flows", scope, hourly, body)
    newer = run(AepCreateMappingSetOperator, name="X mapping", schema_id=parts["schema"], mappings={"_id": "sys_id"})
    run(AepUpdateFlowOperator, flow_id=hourly, mapping_set=json.dumps(newer))
    assert [t["name"] for t in stored(aep)["transformations"]] == ["Mapping", "Copy"]


def test_the_start_moves_and_the_run_with_it(aep, parts, once):
    start = stored(aep)["scheduleParams"]["startTime"]
    run(AepUpdateFlowOperator, flow_id=once, start_in_minutes="0.02")
    assert stored(aep)["scheduleParams"]["startTime"] < start
    assert run_until(aep, once)["written"] == 997


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "The update has no fields"),
        ({"frequency": "minute", "interval": 5}, "interval is 5,.*1362-400.*15 or more, as frequency is minute"),
        ({"frequency": "minute"}, "interval is 1,.*1362-400.*15 or more, as frequency is minute"),  # the flow has 1
        ({"frequency": "once"}, "frequency is 'once', but the flow .* has the frequency 'hour'"),
        ({"frequency": "hourly"}, "1397-400"),
        ({"start_in_minutes": -1}, "1360-400"),
        ({"mapping_set": "x"}, "mapping_set is 'x'"),
    ],
)
def test_an_update_that_aep_would_refuse_is_not_sent(aep, hourly, changes, says):
    refused(aep, says, AepUpdateFlowOperator, flow_id=hourly, **changes)


# -- runs on demand -------------------------------------------------------------------------------------------------


def test_a_run_on_demand_takes_the_window(aep, parts):
    flow_id = flow(parts, **SOON)
    run_until(aep, flow_id)
    window = {"window_start": "2025-07-01", "window_end": datetime(2025, 8, 1, tzinfo=UTC)}
    quickly = {"poke_interval": 0.1, "max_failed_ratio": 0.01}
    result = run(AepRunFlowOperator, flow_id=flow_id, delta_column="sys_updated_on", **window, **quickly)
    assert (result["window_start"], result["window_end"]) == (1_751_328_000_000, 1_754_006_400_000)
    assert 0 < result["read"] < 1000
    assert stored(aep)["transformations"][0] == {
        "name": "Copy",
        "params": {"deltaColumn": {"name": "sys_updated_on"}},
    }
    again = run(AepRunFlowOperator, flow_id=flow_id, **ALL)["run_id"]  # the flow has kept the delta column
    assert again != result["run_id"]
    assert run_until(aep, flow_id, again)["read"] > 900
    run(AepUpdateFlowOperator, flow_id=flow_id, mapping_set=parts["mapping_set"])  # the flow can still be written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "it has no delta column .AEP would refuse with 1383-400"),
        ({"window_start": "2026-02-01", "window_end": "2026-01-01", "delta_column": "sys_updated_on"}, "1381-400"),
        ({"window_start": "yesterday", "delta_column": "sys_updated_on"}, "window_start is 'yesterday'"),
    ],
)
def test_a_run_that_aep_would_refuse(aep, once, arguments, says):
    refused(aep, says, AepRunFlowOperator, flow_id=once, **{**ALL, **arguments})


def test_a_delta_column_that_is_no_moment_is_refused_with_those_that_are(aep, once):
    says = "delta_column is 'email'.*.AEP: 1383-400.*one of sys_created_on, sys_updated_on"
    refused(aep, says, AepRunFlowOperator, flow_id=once, delta_column="email", **ALL)


def test_a_delta_column_that_only_aep_can_judge(aep, once):
    [(scope, source)] = aep.world.store.everywhere("sourceConnections")
    del source["params"]["columns"]
    aep.world.store.put("sourceConnections", scope, source["id"], source)
    with pytest.raises(AepPermanentError, match="1383-400.*Set delta_column to a date-time column"):
        run(AepRunFlowOperator, flow_id=once, delta_column="email", **ALL)


def test_only_enabled_flows_that_run_once_run_on_demand(aep, parts, hourly):
    refused(aep, "its frequency is 'hour'.*1386-400", AepRunFlowOperator, flow_id=hourly)


def test_a_disabled_flow_does_not_run_on_demand(aep, once):
    run(AepDisableFlowOperator, flow_id=once)
    refused(aep, "it is disabled.*1388-400", AepRunFlowOperator, flow_id=once, delta_column="sys_updated_on", **ALL)


def test_the_kept_delta_column_cannot_change(aep, once):
    run(AepRunFlowOperator, flow_id=once, delta_column="sys_updated_on", **ALL)
    says = "its delta column is 'sys_updated_on', not 'sys_created_on'.*1382-400"
    refused(aep, says, AepRunFlowOperator, flow_id=once, delta_column="sys_created_on", **ALL)


def test_a_run_whose_answer_was_lost_is_not_started_again(aep, once, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "0.05")
    aep.fault("POST */runs", "reset", commit="never")
    with pytest.raises(AepPermanentError, match="may have started.*Look at the flow's runs.*on_ambiguous='start'"):
        run(AepRunFlowOperator, flow_id=once, delta_column="sys_updated_on", **ALL)
    assert len(aep.requests("POST */runs")) == 1


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("20260101", 1_767_225_600),  # a date without dashes, not a number
        ("2026-01-01T01:00:00+01:00", 1_767_225_600),
        ("1767225600", 1_767_225_600),
        (1_767_225_600.5, 1_767_225_600),
        (datetime(2026, 1, 1, tzinfo=UTC), 1_767_225_600),
        (946_684_800, 946_684_800),
        (0, 0),
        ("0", 0),
    ],
)
def test_a_windows_moment(aep, once, moment, seconds):
    given = {**ALL, "window_start": moment, "delta_column": "sys_updated_on"}
    started = run(AepRunFlowOperator, flow_id=once, **given)
    [(_, made)] = [(s, r) for s, r in aep.world.store.everywhere("runs") if r["id"] == started["run_id"]]
    assert made["params"]["windowStartTime"] == seconds


@pytest.mark.parametrize(
    "moment", [1_767_225_600_000, "1767225600000", "1712011200000", "1e999", True, "soon", "12", -1]
)
def test_what_is_no_moment_is_refused(aep, once, moment):
    says = "window_start is .*not milliseconds"
    refused(aep, says, AepRunFlowOperator, flow_id=once, window_start=moment, delta_column="sys_updated_on")
