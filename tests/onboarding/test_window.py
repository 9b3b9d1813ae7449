"""The inferred window of an on-demand run."""

import logging
from dataclasses import replace

import pytest
from chain import RESOURCE_TYPES, desired

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.resources.flow import Schedule
from airflow_provider_aep.runs.on_demand import start_run
from airflow_provider_aep.runs.window import DagRunTiming

HOUR = 3600
RUN_LISTS = "GET */runs"


@pytest.fixture
def flow(emulator, virtual):
    """Return a flow that is scheduled once, and whose first run has ended."""
    ids = {}
    for name, resource_type in RESOURCE_TYPES.items():
        state = desired(name, "X", ids)
        if name == "flow":
            schedule = Schedule(frequency="once", start_time=int(emulator.world.clock.now()) + 60)
            state = replace(state, schedule=schedule, delta_column=None)
        ids[name] = reconcile(virtual, resource_type, state).result
    emulator.advance(600)
    return virtual.send(flow_service.get_flow(ids["flow"]))


def add_hourly_runs(emulator, flow, count):
    """Add successful runs of adjacent windows, the last of which ends now; return the end of the last."""
    store, last = emulator.world.store, int(emulator.world.clock.now())
    scope = next(scope for scope, body in store.everywhere("flows") if body["id"] == flow.id)
    for number in range(count):
        end = last - (count - 1 - number) * HOUR
        records = {"inputRecordCount": 0, "outputRecordCount": 0, "failedRecordCount": 0}
        body = {
            "id": f"run-{number}",
            "flowId": flow.id,
            "createdAt": end * 1000,
            "params": {"windowStartTime": end - HOUR, "windowEndTime": end},
            "metrics": {"statusSummary": {"status": "success"}, "recordSummary": records},
        }
        store.add("runs", scope, body["id"], body, parent=flow.id)
    return last


def start(client, flow, **arguments):
    """Start a run of the window that follows the last one."""
    window = {"window_start": None, "window_end": None, "timing": DagRunTiming(moment=client.server_now()), **arguments}
    log = logging.getLogger("test")
    return start_run(
        client, flow, **window, delta_column="sys_updated_on", attempt=Attempt(), on_ambiguous="fail", log=log
    )


def test_a_window_is_inferred_from_the_newest_of_many_runs(emulator, virtual, flow):
    last = add_hourly_runs(emulator, flow, 1000)
    emulator.advance(HOUR)
    before = len(emulator.requests(RUN_LISTS))
    started = start(virtual, flow)
    window = started.params["windowStartTime"], started.params["windowEndTime"]
    assert (started.action, window) == ("started", (last, last + HOUR))
    assert len(emulator.requests(RUN_LISTS)) - before <= 3


@pytest.mark.parametrize(
    ("missing", "label"),
    [({"sourceConnectionIds": []}, "source connection"), ({"flowSpec": None}, "flow spec")],
)
def test_an_incomplete_flow_is_an_error_before_a_run_is_started(emulator, virtual, flow, missing, label):
    broken = flow.model_copy(update=missing)
    message = rf"AEP returned no {label} of the flow 'X flow' \({flow.id}\).*Look at the flow in AEP"
    with pytest.raises(AepConfigurationError, match=message):
        start(virtual, broken, window_start=0)
    assert emulator.requests("POST */runs") == []
