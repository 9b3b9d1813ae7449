"""A wait for a run as Airflow carries it out, in each mode."""

import asyncio
import json
import time
from datetime import UTC, datetime
from unittest.mock import patch

from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.triggers.base import TaskSuccessEvent
from chain import StoredState

from aep_emulator.core.store import Scope
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor
from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

SLEEP = time.sleep
LONG = 300
"""Seconds that no wait of a test takes, however slow the machine is."""
MODES = ["poke", "reschedule", "deferrable"]


class Instance:
    """What a sensor asks of its task instance."""

    try_number = 1
    rescheduled = None

    def get_first_reschedule_date(self, context):
        return self.rescheduled


def put_run(emulator, id_="r1", flow="f", created=1, status="success", read=100, failed=0, **metrics):
    records = {"inputRecordCount": read, "outputRecordCount": read - failed, "failedRecordCount": failed}
    body = {
        "id": id_,
        "flowId": flow,
        "createdAt": created,
        "metrics": {"statusSummary": {"status": status}, "recordSummary": records, **metrics},
    }
    store, scope = emulator.world.store, Scope(emulator.world.options.org_id, "dev")
    if store.get("runs", scope, id_):
        store.put("runs", scope, id_, body)
    else:
        store.add("runs", scope, id_, body, parent=flow)


def put_flow(emulator, state="enabled", id_="f", name="W flow"):
    store, scope = emulator.world.store, Scope(emulator.world.options.org_id, "dev")
    body = {"id": id_, "name": name, "state": state, "_emulator": {"nextRunAt": None}}
    if store.get("flows", scope, id_):
        store.put("flows", scope, id_, body)
    else:
        store.add("flows", scope, id_, body, name=name)


def sensor(mode="poke", **arguments):
    given = {"task_id": "t", "flow_id": "f", "poke_interval": 0.05, "timeout": LONG, **arguments}
    if mode == "deferrable":
        return AepFlowRunSensor(deferrable=True, **given)
    return AepFlowRunSensor(mode=mode, deferrable=False, **given)


def wait(mode="poke", meanwhile=None, **arguments):
    """Run a sensor to its end as Airflow does: a new one after each reschedule and deferral, events through JSON.

    :param meanwhile: called once, after the first look
    """
    actions = [meanwhile] if meanwhile else []
    instance = Instance()
    context = {"ti": instance, "task_state_store": StoredState()}

    def pause(seconds=0.0):
        if actions:
            actions.pop()()
        SLEEP(seconds)

    task, resume = sensor(mode, **arguments), None
    with patch("time.sleep", pause):
        while True:
            try:
                return task.resume_execution(*resume, context) if resume else task.execute(context)
            except AirflowRescheduleException:
                instance.rescheduled = instance.rescheduled or datetime.now(UTC)
                pause(0.05)
                task = sensor(mode, **arguments)
            except TaskDeferred as deferred:
                pause()
                event = fire(deferred.trigger)
                task = sensor(mode, **arguments)
                resume = deferred.method_name, {**(deferred.kwargs or {}), "event": event}


def fire(trigger):
    return asyncio.run(asyncio.wait_for(fired(trigger), LONG))


async def fired(trigger):
    """The payload of a trigger's event, as it comes back from Airflow's database; of a task that it ends, its XComs."""
    path, kwargs = trigger.serialize()
    assert path == f"{AepFlowRunTrigger.__module__}.{AepFlowRunTrigger.__qualname__}"
    event = await anext(AepFlowRunTrigger(**json.loads(json.dumps(kwargs))).run())
    return json.loads(json.dumps(event.xcoms if isinstance(event, TaskSuccessEvent) else event.payload))
