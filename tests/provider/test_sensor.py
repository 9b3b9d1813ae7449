"""The flow run sensor: poking, rescheduling and deferring end alike, for every outcome."""

import json
import time

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from waits import MODES, put_flow, put_run, sensor, wait

from aep_emulator.core.store import Scope
from airflow_provider_aep.client.errors import AepUnavailableError
from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor


@pytest.fixture
def aep(aep):
    put_flow(aep)
    return aep


@pytest.mark.parametrize("mode", MODES)
def test_a_good_run_is_returned(aep, mode):
    put_run(aep)
    result = wait(mode)
    assert (result["run_id"], result["verdict"], result["read"], result["written"]) == ("r1", "succeeded", 100, 100)


REFUSED = [
    (
        {"status": "failed"},
        {},
        r"Not accepted: run r1 of flow f: failed \(status 'failed'\).*Correct the errors that AEP shows for the run",
    ),
    (
        {"failed": 1},
        {},
        r"Not accepted: .*partial \(status 'success'\), records read 100, written 99, failed 1.*30 day",
    ),
    ({"failed": 2}, {"max_failed_ratio": 0.01}, "partial"),
    ({"failed": 3}, {"max_failed_records": 2}, "partial.*max_failed_records"),
    ({"read": 0}, {"on_empty": "fail"}, "records read 0.*on_empty"),
    ({"status": "partialSuccess"}, {}, "partial"),
    ({"status": "cancelled"}, {"on_partial": "succeed"}, r"unknown \(status 'cancelled'\).*report its status"),
]


@pytest.mark.parametrize(("made", "arguments", "says"), REFUSED)
def test_a_bad_run_fails_with_the_same_words_in_every_mode(aep, made, arguments, says):
    put_run(aep, **made)
    said = set()
    for mode in MODES:
        with pytest.raises(AepPermanentError, match=says) as caught:
            wait(mode, **arguments)
        said.add(str(caught.value))
    for mode in MODES:
        put_run(aep, status="inProgress")
        with pytest.raises(AepPermanentError) as caught:
            wait(mode, meanwhile=lambda: put_run(aep, **made), **arguments)
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        ({"on_partial": "warn"}, "warning"),
        ({"max_failed_ratio": 0.05}, "warning"),
        ({"max_failed_records": 5}, "warning"),
        ({"on_partial": "succeed"}, "info"),
    ],
)
def test_an_allowed_partial_run_passes_and_is_logged(aep, log_lines, mode, arguments, level):
    put_run(aep, failed=5)
    assert wait(mode, **arguments)["failed"] == 5
    assert [at for at, line in log_lines() if "Accepted: run r1 of flow f: partial" in line] == [level]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("softly", ["soft_fail", "never_fail"])
def test_a_bad_run_is_skipped_if_the_author_says_so(aep, mode, softly):
    put_run(aep, status="failed")
    with pytest.raises(AirflowSkipException):
        wait(mode, **{softly: True})


def test_a_bad_run_that_ends_while_deferred_is_skipped_too(aep):
    put_run(aep, status="inProgress")
    with pytest.raises(AirflowSkipException):
        wait("deferrable", meanwhile=lambda: put_run(aep, status="failed"), soft_fail=True)


FLOW_STATES = [("disabled", "has no run and will have none: it is disabled.*Enable"), ("draft", "it is draft.*Publish")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("state", "says"), FLOW_STATES)
def test_a_flow_that_will_not_run_is_not_waited_for(aep, mode, state, says):
    put_flow(aep, state=state)
    with pytest.raises(AepPermanentError, match=says):
        wait(mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_flow_that_does_not_exist_is_not_waited_for(aep, mode):
    with pytest.raises(AepPermanentError, match="flows has no object with id gone.*1101-404"):
        wait(mode, flow_id="gone")


def test_a_flow_that_is_disabled_while_deferred_is_not_waited_for(aep):
    with pytest.raises(AepPermanentError, match="it is disabled"):
        wait("deferrable", meanwhile=lambda: put_flow(aep, state="disabled"))


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_does_not_exist_is_permanent(aep, mode, monkeypatch):
    with pytest.raises(AepPermanentError, match="no Airflow connection 'gone'.*Admin, Connections"):
        wait(mode, aep_conn_id="gone")


def test_a_connection_that_vanishes_while_deferred_is_permanent(aep, monkeypatch):
    put_run(aep, status="inProgress")
    with pytest.raises(AepPermanentError, match="no Airflow connection 'aep_default'"):
        wait("deferrable", meanwhile=lambda: monkeypatch.delenv("AIRFLOW_CONN_AEP_DEFAULT"))


def test_the_first_run_of_the_flow_is_awaited_and_no_other(aep):
    put_run(aep, "later", created=9, status="failed")
    put_run(aep, "first", created=5)
    put_run(aep, "alien", flow="other", created=1, status="failed")
    assert {wait(mode)["run_id"] for mode in MODES} == {"first"}


@pytest.mark.parametrize("mode", MODES)
def test_a_success_is_believed_only_when_it_is_counted(aep, mode):
    """Counts come after the status; the rows that failed are among them."""
    put_run(aep, recordSummary={})
    with pytest.raises(AepPermanentError, match="partial.*failed 3"):
        wait(mode, meanwhile=lambda: put_run(aep, failed=3))


def test_a_run_can_be_named(aep):
    put_run(aep, "r1", status="failed")
    put_run(aep, "r2", created=2)
    assert {wait(mode, run_id="r2")["run_id"] for mode in MODES} == {"r2"}


@pytest.mark.parametrize("mode", MODES)
def test_a_named_run_that_does_not_exist_is_permanent(aep, mode):
    with pytest.raises(AepPermanentError, match="no object with id nope.*1101-404"):
        wait(mode, run_id="nope")


def test_a_named_run_that_vanishes_while_deferred_is_permanent(aep):
    put_run(aep, status="inProgress")
    scope = Scope(aep.world.options.org_id, "dev")
    with pytest.raises(AepPermanentError, match="1101-404"):
        wait("deferrable", meanwhile=lambda: aep.world.store.delete("runs", scope, "r1"), run_id="r1")


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_not_there_yet_is_waited_for(aep, mode):
    appears = {"created": int(time.time() * 1000), "read": 0}
    assert wait(mode, meanwhile=lambda: put_run(aep, **appears))["run_id"] == "r1"


def test_waiting_has_an_end(aep):
    for mode in MODES:
        with pytest.raises(AirflowSensorTimeout, match="^A run of flow f has not ended after 0.01 s$"):
            wait(mode, timeout=0.01, poke_interval=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_a_blip_does_not_end_a_wait(aep, mode, monkeypatch, capsys):
    from airflow_provider_aep.client.client import AepClient, AsyncAepClient

    put_run(aep, status="inProgress")
    blips = {"sync": 1, "async": 2}
    send, asend = AepClient.send, AsyncAepClient.send

    def blip(kind):
        if blips[kind]:
            blips[kind] -= 1
            raise AepUnavailableError("blip")

    def sync(self, call):
        blip("sync")
        return send(self, call)

    async def asynchronous(self, call):
        blip("async")
        return await asend(self, call)

    monkeypatch.setattr(AepClient, "send", sync)
    monkeypatch.setattr(AsyncAepClient, "send", asynchronous)
    assert wait(mode, meanwhile=lambda: put_run(aep))["verdict"] == "succeeded"
    assert "AEP is unreachable; the wait for the first run of flow f continues: blip" in capsys.readouterr().out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"on_partial": "ignore"}, "on_partial is 'ignore'"),
        ({"max_failed_ratio": 2}, "max_failed_ratio is 2"),
        ({"max_failed_records": -1}, "max_failed_records is -1"),
        ({"on_empty": "skip"}, "on_empty is 'skip'"),
        ({"log_sample_rows": -1}, "log_sample_rows is -1"),
        ({"poke_interval": "often"}, "poke_interval is 'often'.*above 0"),
        ({"poke_interval": "0"}, "poke_interval is '0'"),
        ({"poke_interval": 0}, "poke_interval is 0"),
        ({"poke_interval": "-1"}, "poke_interval is '-1'"),
        ({"poke_interval": "inf"}, "poke_interval is 'inf'"),
        ({"poke_interval": "None"}, "poke_interval is 'None'"),
        ({"flow_id": None}, "flow_id is None, not an id"),
    ],
)
def test_impossible_arguments_fail_before_the_wait(aep, mode, arguments, says):
    with pytest.raises(AepPermanentError, match=says):
        wait(mode, **arguments)
    assert aep.requests() == []


def test_deferring_is_airflows_default_if_the_deployer_says_so(aep, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    task = AepFlowRunSensor(task_id="t", flow_id="f", poke_interval="7")
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    assert deferred.value.trigger.poke_interval == 7.0


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}])
def test_an_unknown_event_is_an_error(aep, event):
    with pytest.raises(AepPermanentError, match="Unknown event"):
        sensor().execute_complete({}, event)


def test_a_connection_that_is_wrong_while_deferred_is_an_error_event(aep, connect):
    put_run(aep, status="inProgress")
    with pytest.raises(AepPermanentError, match="has no sandbox"):
        wait("deferrable", meanwhile=lambda: connect(aep, extra={"sandbox": None}))


def test_a_trigger_carries_nothing_secret(aep):
    put_run(aep, status="inProgress")
    with pytest.raises(TaskDeferred) as deferred:
        sensor("deferrable").execute({})
    shown = repr(deferred.value.trigger) + json.dumps(deferred.value.trigger.serialize())
    assert "secret" not in shown
    assert json.loads(shown[shown.index("[") :])[1]["aep_conn_id"] == "aep_default"
