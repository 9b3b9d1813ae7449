"""The sensors that watch over a scheduled flow, and over one batch."""

import time

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout
from waits import put_run

from aep_emulator.core.store import Scope
from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.sensors.batch import AepBatchSensor
from airflow_provider_aep.sensors.flow_health import AepFlowHealthSensor

HOUR = 3600
POLLED_ONCE = 0.001
"""A timeout that has passed once a sensor has polled: a run that is accepted is so at the first poll."""


def scope(aep):
    return Scope(aep.world.options.org_id, "dev")


def put_flow(aep, state="enabled", started=10 * HOUR, **schedule):
    when = {"frequency": "hour", "interval": 1, "startTime": int(time.time() - started), **schedule}
    body = {"id": "f", "name": "W flow", "state": state, "scheduleParams": when, "_emulator": {"nextRunAt": None}}
    store = aep.world.store
    (store.put if store.get("flows", scope(aep), "f") else store.add)("flows", scope(aep), "f", body, name="W flow")


def ago(seconds):
    """Milliseconds since the epoch."""
    return int((time.time() - seconds) * 1000)


def health(**arguments):
    return AepFlowHealthSensor(task_id="t", flow_id="f", poke_interval=0.1, timeout=POLLED_ONCE, **arguments).execute(
        {}
    )


def test_a_flow_that_does_its_work_is_well(aep):
    put_flow(aep)
    put_run(aep, "r1", created=ago(2 * HOUR), status="failed")
    put_run(aep, "r2", created=ago(HOUR))
    put_run(aep, "r3", created=ago(60), status="inProgress")
    assert health()["run_id"] == "r2"


ILL = [
    ({"state": "disabled"}, {"created": ago(60)}, {}, "it is disabled.*Enable it"),
    ({}, {"created": ago(3 * HOUR)}, {}, r"no run has started within 8100 s: the last was 20\d\d-.*UTC.*log in"),
    ({}, {"created": ago(60)}, {"max_age": 30}, "within 30 s"),
    ({"interval": 3}, {"created": ago(7 * HOUR)}, {}, "within 22500 s"),
    ({}, None, {}, "within 8100 s: it has no run"),
    ({}, {"created": ago(60), "status": "failed"}, {}, "Not accepted: run r1 of flow f.*: failed"),
    ({}, {"created": ago(60), "failed": 1}, {}, "partial"),
    ({}, {"created": ago(60), "read": 0}, {"on_empty": "fail"}, "records read 0"),
    ({"frequency": "once"}, {"created": ago(60)}, {}, "has the frequency 'once'.*AepFlowRunSensor"),
]


@pytest.mark.parametrize(("flow", "run", "arguments", "says"), ILL)
def test_what_is_wrong_is_said(aep, flow, run, arguments, says):
    put_flow(aep, **flow)
    if run:
        put_run(aep, **run)
    with pytest.raises(AepPermanentError, match=says):
        health(**arguments)


@pytest.mark.parametrize(
    ("made", "arguments"),
    [({"failed": 1}, {"on_partial": "warn"}), ({"failed": 1}, {"max_failed_records": 1}), ({"read": 0}, {})],
)
def test_what_the_author_allows_is_well(aep, made, arguments):
    put_flow(aep)
    put_run(aep, created=ago(60), **made)
    assert health(**arguments)["run_id"] == "r1"


def test_the_first_run_of_a_new_flow_is_waited_for(aep):
    put_flow(aep, started=60)
    with pytest.raises(AirflowSensorTimeout):
        health()
    put_run(aep, created=ago(1), status="inProgress")
    with pytest.raises(AirflowSensorTimeout):
        health()


def test_a_short_outage_does_not_make_a_flow_unhealthy(aep):
    put_flow(aep)
    put_run(aep, created=ago(60))
    aep.fault("GET */runs", "answer", status=503, calls=[1])
    assert AepFlowHealthSensor(task_id="t", flow_id="f", poke_interval=0.1, timeout=300).execute({})["run_id"] == "r1"


# -- a batch --------------------------------------------------------------------------------------------------------


def put_batch(aep, status, read=9, failed=0, **more):
    counts = {"inputRecordCount": read, "outputRecordCount": read - failed, "failedRecordCount": failed}
    body = {"id": "b", "status": status, "metrics": counts, **more}
    store = aep.world.store
    (store.put if store.get("batches", scope(aep), "b") else store.add)("batches", scope(aep), "b", body)


def batch(**arguments):
    given = {"batch_id": "b", "poke_interval": 0.05, "timeout": POLLED_ONCE, **arguments}
    return AepBatchSensor(task_id="t", **given).execute({})


@pytest.mark.parametrize("status", ["success", "active", "ACTIVE"])
def test_a_batch_that_has_landed(aep, status):
    put_batch(aep, status)
    assert batch() == {
        "batch_id": "b",
        "verdict": "succeeded",
        "status": status,
        "read": 9,
        "written": 9,
        "failed": 0,
        "errors": [],
        "failed_files": 0,
    }


@pytest.mark.parametrize(
    "status", ["queued", "loading", "loaded", "staging", "staged", "processing", "retrying", "stalled"]
)
def test_one_that_is_on_its_way_is_waited_for(aep, status):
    put_batch(aep, status)
    with pytest.raises(AirflowSensorTimeout):
        batch()


@pytest.mark.parametrize(
    ("made", "arguments", "says"),
    [
        *(({"status": s}, {}, "failed.*ingest the rows again") for s in ("failed", "failure", "aborted", "abandoned")),
        *(({"status": s}, {}, "failed") for s in ("inactive", "deleted")),
        ({"status": "new"}, {"on_partial": "succeed"}, "unknown"),
        ({"status": "success", "failed": 1}, {}, "partial"),
        ({"status": "success", "failed": 2}, {"max_failed_ratio": 0.1}, "partial"),
        ({"status": "success", "errors": [{"code": "INGEST-1212-400"}]}, {}, r"partial.*INGEST-1212-400 \(a row"),
        ({"status": "success", "read": 0}, {"on_empty": "fail"}, "records read 0"),
    ],
)
def test_one_that_is_not_good_enough(aep, made, arguments, says):
    put_batch(aep, **made)
    with pytest.raises(AepPermanentError, match=says):
        batch(**arguments)


def test_what_is_allowed_passes(aep):
    put_batch(aep, "success", failed=1)
    assert batch(on_partial="warn")["failed"] == 1
    assert batch(max_failed_records=1)["verdict"] == "partial"


@pytest.mark.parametrize(
    "arguments", [{"batch_id": ""}, {"on_partial": "maybe"}, {"max_unreachable": -1}, {"batch_id": "x"}]
)
def test_what_can_never_work(aep, arguments):
    with pytest.raises(AepPermanentError):
        batch(**arguments)
