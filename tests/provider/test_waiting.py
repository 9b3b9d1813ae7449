"""Which run a wait is bound to, and how it ends when that run, its flow, its batches or AEP itself do not stay put."""

import asyncio
import time
from datetime import timedelta
from threading import Timer

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent
from waits import LONG, MODES, put_flow, put_run, sensor, wait

from aep_emulator.core.store import Scope
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

HOUR = 3_600_000
BATCH = "01ES59WPQ9EZ28BQ5W9CNXB9R6"


@pytest.fixture
def aep(aep):
    put_flow(aep)
    return aep


def windowed(start, end):
    return {"durationSummary": {"startedAtUTC": 1, "extensions": {"windowStart": start, "windowEnd": end}}}


def scope(aep):
    return Scope(aep.world.options.org_id, "dev")


def vanish(aep, id_="r1", kind="runs"):
    aep.world.store.delete(kind, scope(aep), id_)


def ended(mode, error=AepPermanentError, **arguments):
    """How a wait ends that does not end well."""
    with pytest.raises(error) as caught:
        wait(mode, **arguments)
    return str(caught.value)


# -- which run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("check_batches", [True, False])
def test_a_failed_run_that_was_triggered_again_is_followed_to_the_new_one(aep, mode, named, check_batches):
    put_run(aep, "r1", status="failed", created=10, **windowed(0, HOUR))
    put_run(aep, "r2", status="inProgress", created=20, **windowed(0, HOUR))
    put_run(aep, "r3", status="success", created=30, **windowed(HOUR, 2 * HOUR))

    def again():
        put_run(aep, "r2", created=20, **windowed(0, HOUR))

    given = {"run_id": "r1"} if named else {}
    assert wait(mode, meanwhile=again, check_batches=check_batches, **given)["run_id"] == "r2"


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_fails_and_is_triggered_again_meanwhile_is_followed(aep, mode):
    put_run(aep, "r1", status="inProgress", created=10, **windowed(0, HOUR))

    def again():
        put_run(aep, "r1", status="failed", created=10, **windowed(0, HOUR))
        put_run(aep, "r2", created=20, **windowed(0, HOUR))

    assert wait(mode, meanwhile=again, check_batches=False)["run_id"] == "r2"


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_goes_on_under_another_id_is_followed(aep, mode):
    put_run(aep, "r1", status="inProgress", created=10, **windowed(0, HOUR))

    def renamed():
        vanish(aep)
        put_run(aep, "r2", created=20, **windowed(0, HOUR))

    assert wait(mode, meanwhile=renamed, run_id="r1")["run_id"] == "r2"


GONE = {"vanished": "has vanished", "deleted": "is gone: the flow was deleted"}


@pytest.mark.parametrize("gone", GONE)
def test_a_run_that_vanishes_ends_the_wait_with_the_same_words_in_every_mode(aep, gone):
    said = set()
    for mode in MODES:
        put_flow(aep)
        put_run(aep, "r1", status="inProgress", created=10)
        put_run(aep, "r2", created=20)  # of another window

        def going():
            vanish(aep)
            if gone == "deleted":
                vanish(aep, "f", "flows")

        said.add(ended(mode, meanwhile=going).split("request id")[0])
    [words] = said
    assert words.startswith(
        "The run r1 of flow f no longer exists" + (": " if gone == "vanished" else ", because the flow was deleted: ")
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_run_of_another_flow_fails_the_wait(aep, mode):
    put_run(aep, "r1", flow="other")
    assert ended(mode, run_id="r1").startswith("The run r1 belongs to the flow other, not to f.")


SINCE = [
    ({"since": "1970-01-01T02:00:00Z"}, "r2"),
    ({"since": 7201}, "r3"),
    ({"since": "1970-01-01T01:00:00Z", "since_of": "window"}, "r3"),
    ({"since": "1970-01-01T00:30:00Z", "since_of": "window"}, "r3"),
    ({"since": 0, "since_of": "window"}, "r1"),
    ({}, "r1"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("arguments", "which"), SINCE)
def test_the_first_run_since_a_moment(aep, mode, arguments, which):
    put_run(aep, "r1", created=HOUR, **windowed(0, HOUR))
    put_run(aep, "r2", created=2 * HOUR, **windowed(0, 2 * HOUR))
    put_run(aep, "r3", created=3 * HOUR, **windowed(HOUR, 3 * HOUR))
    assert wait(mode, **arguments)["run_id"] == which


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_does_not_tell_its_window_may_be_the_one(aep, mode):
    """It is not passed over for a later one that does; one that is under way will tell."""
    window = {"since": 3600, "since_of": "window"}
    put_run(aep, "r1", status="inProgress", created=2 * HOUR)
    put_run(aep, "r2", created=3 * HOUR, **windowed(HOUR, 2 * HOUR))
    said = ended(mode, meanwhile=lambda: put_run(aep, "r1", status="failed", created=2 * HOUR), **window)
    assert said.startswith("Not accepted: run r1 of flow f")
    put_run(aep, "r1", created=2 * HOUR)  # that it is well says nothing of the window
    assert wait(mode, **window)["run_id"] == "r2"
    put_run(aep, "r1", status="inProgress", created=2 * HOUR)
    tells = {"created": 2 * HOUR, **windowed(0, HOUR)}
    assert wait(mode, meanwhile=lambda: put_run(aep, "r1", **tells), **window)["run_id"] == "r2"


@pytest.mark.parametrize("mode", MODES)
def test_the_first_run_since_a_moment_may_be_yet_to_come(aep, mode):
    put_run(aep, "r1", status="failed", created=HOUR)
    assert wait(mode, since=2 * 3600, meanwhile=lambda: put_run(aep, "r2", created=2 * HOUR))["run_id"] == "r2"


def test_a_run_is_found_on_a_later_page(aep):
    for n in range(230):
        put_run(aep, f"r{n}", created=HOUR + n)
    assert wait("poke", since=3600)["run_id"] == "r0"
    assert len({entry["query"] for entry in aep.requests("GET */runs")}) == 3
    assert wait("poke", since="1970-01-01T01:00:00.000+00:00")["run_id"] == "r0"


@pytest.mark.parametrize("mode", MODES)
def test_that_none_appears_has_an_end_of_its_own(aep, mode):
    said = ended(mode, AirflowSensorTimeout, no_run_timeout=0.2)
    assert said == "No run of flow f appeared within 0.2 s"
    put_run(aep, status="inProgress")
    assert (
        ended(mode, AirflowSensorTimeout, no_run_timeout=0.2, timeout=0.5)
        == "Run r1 of flow f has not ended after 0.5 s"
    )
    vanish(aep)
    assert (
        ended(mode, AirflowSensorTimeout, no_run_timeout=60, timeout=0.2) == "A run of flow f has not ended after 0.2 s"
    )


@pytest.mark.parametrize("given", [{"since_of": "end"}, {"since": "soon"}, {"max_unreachable": -1}])
def test_meaningless_arguments_fail_before_the_wait(aep, given):
    for mode in MODES:
        assert next(iter(given)) in ended(mode, **given)
    assert aep.requests() == []


# -- its batches ----------------------------------------------------------------------------------------------------


def put_batch(aep, status, **more):
    body = {"id": BATCH, "status": status, "metrics": {}, **more}
    store, where = aep.world.store, scope(aep)
    (store.put if store.get("batches", where, BATCH) else store.add)("batches", where, BATCH, body)


def put_run_with_batch(aep, status="success", **more):
    put_run(aep, status=status, **more)
    body = aep.world.store.get("runs", scope(aep), "r1")
    body["activities"] = [{"id": "promotion", "targetInfo": [{"reference": {"type": "Batch", "ids": [BATCH]}}]}]
    aep.world.store.put("runs", scope(aep), "r1", body)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("status", "says"),
    [("failure", "failed.*batches 01ES59WPQ9EZ28BQ5W9CNXB9R6 'failure'"), ("new", "unknown.*'new'.*report its status")],
)
def test_a_success_whose_batch_did_not_land_is_none(aep, mode, status, says):
    put_run_with_batch(aep)
    put_batch(aep, "staging")
    with pytest.raises(AepPermanentError, match=says):
        wait(mode, meanwhile=lambda: put_batch(aep, status))


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_is_on_its_way_is_waited_for(aep, mode):
    put_run_with_batch(aep, status="inProgress")
    put_batch(aep, "loading")

    def lands():
        put_run_with_batch(aep)
        Timer(0.5, put_batch, (aep, "success")).start()

    assert wait(mode, meanwhile=lands)["batches"] == {BATCH: "success"}


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_with_failed_rows_makes_a_success_partial(aep, mode):
    put_run_with_batch(aep)
    put_batch(aep, "active", metrics={"failedRecordCount": 2}, errors=[{"code": "INGEST-1212-400"}])
    assert "partial" in ended(mode)


def now():
    """In milliseconds since the epoch."""
    return int(time.time() * 1000)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("status", ["success", "failed"])
def test_a_batch_that_aep_does_not_show_yet_is_waited_for(aep, mode, named, status):
    """A run is called a success before Catalog knows its batches, or before it says itself which they are."""
    (put_run_with_batch if named else put_run)(aep, created=now())

    def shown():
        put_batch(aep, status)
        put_run_with_batch(aep, created=now())

    if status == "success":
        assert wait(mode, meanwhile=shown)["batches"] == {BATCH: "success"}
    else:
        assert "'failed'" in ended(mode, meanwhile=shown)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_names_no_batch_long_after_its_end_is_said(aep, log_lines, mode):
    put_run(aep)
    assert wait(mode)["run_id"] == "r1"
    assert [level for level, text in log_lines() if "AEP names no batch of it" in text] == ["warning"]
    put_run(aep, "r1", read=0)
    assert wait(mode)["run_id"] == "r1"
    assert [text for level, text in log_lines() if level == "warning"] == []


@pytest.mark.parametrize("interval", ["0.05", timedelta(seconds=0.05)])
def test_a_task_that_is_resumed_has_its_template_again(aep, interval):
    put_run_with_batch(aep, status="inProgress")
    put_batch(aep, "loading")

    def lands():
        put_run_with_batch(aep)
        Timer(0.5, put_batch, (aep, "success")).start()

    assert wait("deferrable", meanwhile=lands, poke_interval=interval)["run_id"] == "r1"


@pytest.mark.parametrize("mode", MODES)
def test_a_catalog_that_does_not_answer_for_too_long_is_an_error_too(aep, impatient, mode):
    put_run_with_batch(aep, status="inProgress")

    def breaks():
        put_run_with_batch(aep)
        aep.fault("GET */catalog/*", "answer", status=503)

    said = ended(mode, AepRetryableError, meanwhile=breaks, max_unreachable=0.3)
    assert said.startswith("AEP has not answered for 0.3 s; the last error: ")


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_catalog_does_not_know_is_said_and_no_more(aep, log_lines, mode):
    put_run_with_batch(aep)
    assert wait(mode)["batches"] == {}
    assert [level for level, text in log_lines() if f"Cannot check whether the batch {BATCH} has landed" in text] == [
        "warning"
    ]
    assert wait(mode, check_batches=False)["run_id"] == "r1"


# -- AEP itself -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"do": "answer", "status": 503}, {"do": "answer", "status": 429}, {"do": "reset"}])
def test_an_aep_that_does_not_answer_for_too_long_is_an_error_that_may_pass(aep, impatient, fault):
    said = set()
    for mode in MODES:
        put_run(aep, status="inProgress")
        with pytest.raises(AepRetryableError, match="^AEP has not answered for 0.01 s; the last error: ") as caught:
            wait(mode, meanwhile=lambda: aep.fault("GET */flowservice/*", **fault), max_unreachable=0.01)
        said.add(str(caught.value).split(" [")[0])
        aep.world.faults.clear()
    assert len(said) == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_in_between_begins_the_patience_anew(aep, impatient, mode):
    put_run(aep, status="inProgress")
    aep.fault("GET */flowservice/*", "answer", status=503, calls=[2, 4, 6, 8])
    result = wait(mode, max_unreachable=0.2, meanwhile=lambda: late(aep))
    assert result["verdict"] == "succeeded"
    aep.world.faults.clear()


def late(aep):
    Timer(0.7, put_run, (aep,)).start()


SOFT = [
    ({"status": "failed"}, {}, AirflowSkipException, AirflowSkipException),
    ({"failed": 1}, {}, AirflowSkipException, AirflowSkipException),
    ({"status": "inProgress"}, {"timeout": 0.01}, AirflowSkipException, AirflowSkipException),
    ({"status": "inProgress"}, {"max_unreachable": 0.0}, AepRetryableError, AirflowSkipException),
]


@pytest.mark.parametrize(("made", "arguments", "softly", "never"), SOFT)
def test_soft_fail_and_never_fail_mean_the_same_in_every_mode(aep, impatient, made, arguments, softly, never):
    for option, error in (("soft_fail", softly), ("never_fail", never)):
        said = set()
        for mode in MODES:
            put_run(aep, status="inProgress")

            def bad():
                put_run(aep, **made)
                if "max_unreachable" in arguments:
                    aep.fault("GET */flowservice/*", "answer", status=503)

            said.add(ended(mode, error, meanwhile=bad, **{option: True}, **arguments).split(" [")[0])
            aep.world.faults.clear()
        assert len(said) == 1, said


FOREVER = [
    ({"do": "answer", "status": 403, "code": "403025"}, AepPermanentError, 2),
    ({"do": "answer", "status": 401}, AepPermanentError, 2),
    ({"do": "answer", "status": 404}, AepPermanentError, 6),
    ({"do": "answer", "status": 429}, AepRetryableError, 60),
    ({"do": "answer", "status": 500}, AepRetryableError, 60),
    ({"do": "cut", "bytes": 3}, AepRetryableError, 60),
    (None, AepPermanentError, 6),  # an answer in a shape that is not documented
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("fault", "error", "most"), FOREVER)
def test_no_answer_makes_a_hot_loop(aep, impatient, mode, fault, error, most):
    """At a look every 0.1 s for a second: a permanent error is asked for once, the others per look."""
    put_run(aep, status="inProgress")

    def breaks():
        if fault:
            aep.fault("GET */flowservice/*", **fault)
        else:
            body = aep.world.store.get("runs", scope(aep), "r1")
            aep.world.store.put("runs", scope(aep), "r1", {**body, "metrics": "garbage"})

    with pytest.raises(error):
        wait(mode, meanwhile=breaks, poke_interval=0.1, max_unreachable=1.0)
    assert len(aep.requests("GET */flowservice/*")) <= most


# -- started in the triggerer ---------------------------------------------------------------------------------------


def started(aep, **arguments):
    """The event of a trigger as the scheduler makes it."""
    args = sensor("poke", start_in_triggerer=True, **arguments).start_trigger_args
    assert args.timeout.total_seconds() == LONG

    async def first():
        return await anext(AepFlowRunTrigger(**args.trigger_kwargs).run())

    return asyncio.run(asyncio.wait_for(first(), LONG))


def test_a_good_run_ends_a_task_that_started_in_the_triggerer(aep):
    put_run_with_batch(aep)
    put_batch(aep, "success")
    event = started(aep)
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms["return_value"] == wait("poke")


@pytest.mark.parametrize(
    ("made", "arguments"), [({"failed": 1}, {}), ({"status": "failed"}, {}), ({"failed": 1}, {"on_partial": "warn"})]
)
def test_other_verdicts_resume_in_a_worker(aep, made, arguments):
    put_run(aep, **made)
    event = started(aep, **arguments)
    resumed = sensor("poke", start_in_triggerer=True, **arguments)
    if arguments:
        assert resumed.resume_execution("execute_complete", {"event": event.payload}, {})["verdict"] == "partial"
    else:
        with pytest.raises(AepPermanentError, match="Not accepted: run r1"):
            resumed.resume_execution("execute_complete", {"event": event.payload}, {})


def test_an_outage_of_catalog_ends_a_wait_there_too(aep, impatient):
    put_run_with_batch(aep)
    aep.fault("GET */catalog/*", "answer", status=503)
    payload = started(aep, run_id="r1", max_unreachable=0.3).payload
    with pytest.raises(AepRetryableError, match="AEP has not answered for 0.3 s"):
        sensor("poke", start_in_triggerer=True).resume_execution("execute_complete", {"event": payload}, {})


@pytest.mark.parametrize("down", [True, False])
def test_a_wait_that_goes_on_from_there_has_an_end(aep, impatient, down):
    """Its run has failed, and another of its window is under way; or AEP does not say whether."""
    put_run(aep, "r1", status="failed", created=10, **windowed(0, HOUR))
    put_run(aep, "r2", status="inProgress", created=20, **windowed(0, HOUR))
    payload = started(aep, run_id="r1", check_batches=False).payload
    if down:
        aep.fault("GET */runs", "answer", status=503)
    task = sensor("poke", start_in_triggerer=True, run_id="r1", check_batches=False)
    with pytest.raises(TaskDeferred) as caught:
        task.resume_execution("execute_complete", {"event": payload}, {})
    assert 0 < caught.value.trigger.deadline - time.time() <= LONG
    assert not caught.value.trigger.complete
    assert (caught.value.trigger.unreachable is not None) == down


def test_an_outage_between_triggerer_and_worker_counts_as_one(aep, impatient):
    """The list answers and the look of the worker does not, again and again."""
    put_run(aep, "r1", status="inProgress", created=10, **windowed(0, HOUR))

    def fails():
        put_run(aep, "r1", status="failed", created=10, **windowed(0, HOUR))
        aep.fault("GET */runs", "answer", status=503, calls=range(2, 1000, 2))

    said = ended("deferrable", AepRetryableError, meanwhile=fails, max_unreachable=0.3, check_batches=False)
    assert said.startswith("AEP has not answered for 0.3 s")


def test_that_the_time_is_over_is_said_there_too(aep):
    task = sensor("poke", start_in_triggerer=True, no_run_timeout=2)
    with pytest.raises(AirflowSensorTimeout, match="^A run of flow f has not ended after 300 s"):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_that_no_run_appears_ends_a_wait_there_too(aep):
    payload = started(aep, no_run_timeout=0.2).payload
    with pytest.raises(AirflowSensorTimeout, match="No run of flow f appeared within 0.2 s"):
        sensor("poke", start_in_triggerer=True, no_run_timeout=0.2).resume_execution(
            "execute_complete", {"event": payload}, {}
        )


def test_an_interval_of_any_kind_arrives_there_as_a_number():
    for given in (60, "60", timedelta(minutes=1)):
        kwargs = sensor("poke", start_in_triggerer=True, poke_interval=given).start_trigger_args.trigger_kwargs
        assert float(kwargs["poke_interval"]) == 60


def test_where_triggers_render_no_templates_a_worker_starts_it(monkeypatch):
    monkeypatch.delattr(BaseTrigger, "render_template_fields", raising=False)
    assert not sensor("poke", start_in_triggerer=True, flow_id="{{ params.flow }}").start_from_trigger
    assert sensor("poke", start_in_triggerer=True, flow_id="f").start_from_trigger


def test_a_template_that_came_to_nothing_is_an_error_there_too(aep):
    event = started(aep, flow_id="")
    with pytest.raises(AepPermanentError, match="flow_id is ''"):
        sensor("poke", start_in_triggerer=True).resume_execution("execute_complete", {"event": event.payload}, {})


# -- what the log says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_log_of_a_bad_run_says_what_a_person_needs(aep, parts, log_lines, mode):
    from tasks import flow

    made = flow(parts, start_in_minutes=0.01)
    log_lines()
    with pytest.raises(AepPermanentError, match="partial"):
        wait(mode, flow_id=made, timeout=60)
    said = "\n".join(text for level, text in log_lines() if level == "warning")
    assert "MAPPER-3700-400 (a mapping could not be applied), 2 records" in said
    assert "AEP shows 3 failed rows, with these errors: personalEmail.address (3700) 2, _id (1555) 1" in said
    assert f"/platform/source/dataflows/{made}/activity/" in said
    assert "for 30 days, until 20" in said
    assert "@" not in said.replace("@EMULATOR@AdobeOrg", "")  # no address of a row


def test_rows_are_shown_if_they_are_asked_for(aep, parts, log_lines):
    from tasks import flow

    made = flow(parts, start_in_minutes=0.01)
    with pytest.raises(AepPermanentError):
        wait("poke", flow_id=made, timeout=60, log_sample_rows=2)
    assert len([text for _, text in log_lines() if text.startswith('{"')]) == 2


def test_diagnostics_that_cannot_be_had_change_nothing(aep, parts, log_lines):
    from tasks import flow

    made = flow(parts, start_in_minutes=0.01)
    aep.fault("GET */export/*", "answer", status=403)
    assert wait("poke", flow_id=made, timeout=60, on_partial="warn")["verdict"] == "partial"
    assert any("AEP returned no details of the failed rows" in text for _, text in log_lines())
