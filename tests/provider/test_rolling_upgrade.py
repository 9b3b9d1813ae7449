"""Rolling upgrades: a release reads the events, triggers and task states that another release wrote."""

import asyncio
import json

import pytest
from chain import StoredState
from waits import Instance, fired, put_flow, put_run, sensor

from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.runs.batches import Watermark
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.triggers.dataset import AepDatasetTrigger
from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

SELECTOR = {"flow_id": "f", "run_id": "r1"}
RESULT = {"run_id": "r1", "flow_id": "f", "verdict": "succeeded", "status": "success"}
NEWER = {"version": 99, "from_a_newer_release": {"nested": [1]}}
TOLERANCE = {"on_partial": "warn", "from_a_newer_release": 1}


@pytest.fixture
def aep(aep):
    put_flow(aep)
    put_run(aep)
    return aep


def with_newer_keys(value):
    return {**value, **NEWER}


EVENTS = {
    "newer": with_newer_keys({"selector": with_newer_keys(SELECTOR), "result": with_newer_keys(RESULT)}),
    "older": {"selector": SELECTOR, "result": RESULT},
}


@pytest.mark.parametrize("which", EVENTS)
def test_an_event_of_another_release_resumes_a_sensor(aep, which):
    task = sensor("deferrable", check_batches=False)
    deadlines = {"deadline": 4e9, "no_run_deadline": None, "from_a_newer_release": 1}
    result = task.resume_execution("execute_complete", {"event": EVENTS[which], **deadlines}, {"ti": Instance()})
    assert (result["run_id"], result["verdict"]) == ("r1", "succeeded")


@pytest.mark.parametrize("which", EVENTS)
def test_an_event_of_another_release_resumes_an_operator(aep, which):
    task = AepRunFlowOperator(task_id="t", flow_id="f", check_batches=False)
    kwargs = {"event": EVENTS[which], "deadline": 4e9, "from_a_newer_release": 1}
    assert task.resume_execution("execute_complete", kwargs, {})["run_id"] == "r1"


@pytest.mark.parametrize("change", ["newer", "older"])
def test_a_serialized_trigger_of_another_release_fires(aep, change):
    trigger = AepFlowRunTrigger(flow_id="f", poke_interval=1, selector=SELECTOR, tolerance=TOLERANCE)
    _, kwargs = trigger.serialize()
    if change == "newer":
        kwargs |= NEWER
    else:
        kwargs = {"flow_id": "f", "poke_interval": 1, "selector": SELECTOR}
    event = asyncio.run(fired(AepFlowRunTrigger(**json.loads(json.dumps(kwargs)))))
    assert (event.get("result") or event["return_value"])["run_id"] == "r1"


def test_a_serialized_dataset_trigger_of_a_newer_release_is_read():
    _, kwargs = AepDatasetTrigger(dataset_id="d").serialize()
    assert AepDatasetTrigger(**kwargs, from_a_newer_release=1).dataset_id == "d"


@pytest.mark.parametrize("trigger", [AepDatasetTrigger, AepFlowRunTrigger])
def test_an_author_who_misspells_an_argument_gets_an_error(trigger):
    with pytest.raises(TypeError, match="Unknown arguments of an AEP trigger: pokeinterval"):
        trigger(**{"dataset_id" if trigger is AepDatasetTrigger else "flow_id": "x"}, pokeinterval=5)


@pytest.mark.parametrize("selector", [with_newer_keys(SELECTOR), SELECTOR])
def test_a_task_state_of_another_release_continues_a_wait(aep, selector):
    """A rescheduled sensor stored which run it waits for. The flow has an earlier run, too."""
    put_run(aep, "r0", created=0, status="failed")
    about = ["f", None, "None", "created", 1]
    state = StoredState({"aep:wait": {"about": about, "selector": selector, "from_a_newer_release": 1}})
    task = sensor("reschedule", check_batches=False)
    assert task.execute({"ti": Instance(), "task_state_store": state})["run_id"] == "r1"


def test_a_run_selector_ignores_unknown_keys_and_has_defaults():
    assert RunSelector.from_dict(with_newer_keys({"flow_id": "f"})) == RunSelector("f")


@pytest.mark.parametrize("stored", [{"since": 5}, with_newer_keys({"since": 5, "reported": {}, "open": {}})])
def test_a_watermark_ignores_unknown_keys_and_has_defaults(stored):
    assert Watermark.from_dict(stored) == Watermark(5)
