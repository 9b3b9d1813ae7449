"""Running a flow on demand: which window, how often, and how the wait for it ends."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from chain import StoredState
from tasks import flow
from waits import fire, put_run

from airflow_provider_aep.client import client
from airflow_provider_aep.client.clock import ManualClock
from airflow_provider_aep.client.consistency import LIST_LAG
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.hooks.aep import AepHook
from airflow_provider_aep.operators.control import AepDisableFlowOperator
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.runs import verdict

DAY = datetime(2025, 7, 1, tzinfo=UTC)
MODES = [False, True]
HOUR = 3600.0


class Instance(SimpleNamespace):
    """What an operator asks of its task instance."""

    def __init__(self, try_number=1):
        super().__init__(dag_id="d", run_id="r", task_id="run", map_index=-1, try_number=try_number)


def context(interval=None, logical=None, after=None, try_number=1, notes=None):
    start, end = interval or (None, None)
    dag_run = SimpleNamespace(run_after=after or datetime.now(UTC))
    found = {"ti": Instance(try_number), "dag_run": dag_run, "logical_date": logical, "task_state_store": notes}
    return {**found, "data_interval_start": start, "data_interval_end": end}


@pytest.fixture
def once(aep, parts, monkeypatch):
    """A flow whose own first run was thirty days ago."""
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "0.2")
    aep.freeze(days(0).timestamp() - 60)
    made = flow(parts, start_in_minutes=1)
    aep.advance(600)
    aep.thaw()
    return made


def run(flow_id, around=None, deferrable=False, **arguments):
    """Carry a task out as Airflow does, through its trigger and through JSON if it defers."""
    around = around or context()
    given = {"max_failed_ratio": 1.0, "poke_interval": 0.1, "delta_column": "sys_updated_on", **arguments}

    def task():
        return AepRunFlowOperator(task_id="run", flow_id=flow_id, deferrable=deferrable, **given)

    resume = None
    while True:
        try:
            return task().resume_execution(*resume, around) if resume else task().execute(around)
        except TaskDeferred as deferred:
            event = fire(deferred.trigger)
            resume = deferred.method_name, {**json.loads(json.dumps(deferred.kwargs)), "event": event}


def windows(aep):
    """Of the runs on demand, in the order in which they were opened."""
    bodies = [r for _, r in aep.world.store.everywhere("runs") if r.get("params")]
    return [
        (r["params"]["windowStartTime"], r["params"]["windowEndTime"])
        for r in sorted(bodies, key=lambda r: r["createdAt"])
    ]


def seconds(*moments):
    return tuple(int(m.timestamp()) for m in moments)


# -- which window ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deferrable", MODES)
def test_a_data_interval_is_the_window(aep, once, deferrable):
    day = DAY, DAY + timedelta(days=1)
    result = run(once, context(day, DAY), deferrable)
    assert windows(aep) == [seconds(*day)]
    assert (result["window_start"] // 1000, result["window_end"] // 1000) == seconds(*day)
    assert result["duration"] is not None
    assert result["bytes_read"] > 0


def test_thirty_days_of_backfill_are_thirty_windows_without_a_gap(aep, once):
    for n in range(30):
        run(once, context((DAY + timedelta(days=n), DAY + timedelta(days=n + 1)), DAY), wait=False)
    found = windows(aep)
    assert len(set(found)) == 30
    assert [start for start, _ in found] == [found[0][0], *(end for _, end in found[:-1])]


def days(n):
    """Since the flow's own first run, which has taken everything before."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=n - 30)


def put_window(aep, id_, flow_id, start, end, status):
    put_run(aep, id_, flow_id, created=2 * 10**12, status=status, read=0)
    [(scope, made)] = [(s, b) for s, b in aep.world.store.everywhere("runs") if b["id"] == id_]
    params = dict(zip(("windowStartTime", "windowEndTime"), seconds(start, end), strict=True))
    aep.world.store.put("runs", scope, id_, {**made, "params": params})


@pytest.fixture
def landed(once):
    """The end of a window that has landed."""
    run(once, window_start=days(1), window_end=(end := days(2)))
    return end


def test_an_empty_interval_goes_on_from_the_last_window_that_landed(aep, once, landed):
    """As @daily has it in Airflow 3, and a manual run. One that fails leaves its rows to the next."""
    ends = days(3), days(4)
    for n, at in enumerate(ends):
        aep.fault("RUN *", "run", outcome="failed", calls=[1]) if n == 0 else None
        with suppress(AepRetryableError):
            run(once, context((at, at), at))
        aep.world.faults.clear()
    assert windows(aep)[1:] == [seconds(landed, at) for at in ends]


def test_a_window_that_was_sent_is_that_of_all_tries(aep, once, landed):
    """Another run of the flow lands, and its window ends later than the one that this task went on from."""
    notes, at, between = StoredState(), days(9), days(5)
    first = run(once, context((at, at), at, notes=notes), wait=False)
    run(once, window_start=landed, window_end=between)
    assert run(once, context((at, at), at, None, 2, notes))["run_id"] == first["run_id"]
    assert windows(aep)[1:] == [seconds(landed, at), seconds(landed, between)]


def test_a_window_that_was_not_sent_is_found_out_anew(aep, once, landed):
    notes, at, between = StoredState(), days(9), days(5)
    aep.fault("POST */runs", "answer", status=403, code="403025", calls=[1])
    with pytest.raises(AepPermanentError):
        run(once, context((at, at), at, notes=notes))
    run(once, window_start=landed, window_end=between)
    run(once, context((at, at), at, None, 2, notes))
    assert windows(aep)[1:] == [seconds(landed, between), seconds(between, at)]


def test_the_latest_end_counts_wherever_it_is_listed(aep, once, landed):
    """A backfill of the past is younger than it, and fills a page."""
    for n in range(101):
        put_window(aep, f"past{n}", once, *(datetime.fromtimestamp(n + m, UTC) for m in (0, 1)), status="success")
    at = days(9)
    run(once, context((at, at), at), wait=False)
    assert seconds(landed, at) in windows(aep)


def test_rows_that_another_run_is_about_to_take_are_not_taken(aep, once, landed):
    """The run before has not ended: where it ends decides where this one begins."""
    aep.fault("RUN *", "run", outcome="stuck", calls=[1])
    run(once, context((days(3), days(3)), days(3)), wait=False)
    before = aep.writes()
    with pytest.raises(AepRetryableError, match="under way.*Try again later"):
        run(once, context((days(4), days(4)), days(4)))
    assert aep.writes() == before


def test_rows_that_another_run_has_taken_are_not_taken_again(aep, once, landed):
    """A red task is cleared after the next DAG run has gone on from where this one began."""
    notes, red = StoredState(), context((days(3), days(3)), days(3), notes=StoredState())
    red["task_state_store"] = notes
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    with pytest.raises(AepRetryableError):
        run(once, red)
    run(once, context((days(4), days(4)), days(4)))
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="has read rows.*Mark the task as success"):
        run(once, {**red, "ti": Instance(2)})
    assert aep.writes() == before


def test_rows_that_the_same_window_of_another_dag_run_has_taken_are_not_taken_again(aep, once, landed):
    """Two DAGs that run the flow at the same moments, or one under a new name: neither has the other's notes."""
    at = days(3)
    run(once, context((at, at), at, notes=StoredState()))
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="has read rows.*Mark the task as success"):
        run(once, context((at, at), at, notes=StoredState()))
    assert aep.writes() == before


def test_rows_that_another_run_may_have_taken_are_for_a_person(aep, once, landed):
    put_window(aep, "odd", once, landed, days(5), status="cancelled")
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="odd.*'cancelled', and may have read rows.*window_start and window"):
        run(once, context((days(9), days(9)), days(9)))
    assert aep.writes() == before


@pytest.mark.parametrize("emulator", [{"run_delay": 150.0}], indirect=True)
@pytest.mark.parametrize("others", [False, True])
def test_the_first_run_is_waited_for(aep, parts, others):
    """Its end is the start of the next window. It reads all earlier rows, also those that other runs have read."""
    aep.freeze()
    new_flow = flow(parts, start_in_minutes=1)
    at, empty = aep.world.clock.now(), context((DAY, DAY), DAY)
    if others:
        put_window(aep, "other", new_flow, datetime.fromtimestamp(0, UTC), DAY - timedelta(days=1), status="success")
    before = aep.writes()
    aep.fault("RUN *", "run", outcome="stuck")
    for moment in (0, 70, 200):  # it is due, but AEP has not begun it yet
        aep.advance(at + moment - aep.world.clock.now())
        with pytest.raises(AepRetryableError, match="first run of the flow .* is due at .*Try again later"):
            run(new_flow, empty)
    aep.advance(30)
    with pytest.raises(AepRetryableError, match="[Rr]un .* (has not ended|is under way).*Try again later"):
        run(new_flow, empty)
    assert aep.writes() == before


@pytest.mark.parametrize("emulator", [{"run_delay": 10_000.0}], indirect=True)
def test_a_first_run_that_aep_does_not_list_is_not_waited_for_without_end(aep, parts):
    """It may have been so long ago that AEP has forgotten it."""
    aep.freeze()
    new_flow = flow(parts, start_in_minutes=1)
    aep.advance(62 + LIST_LAG)
    with pytest.raises(AepPermanentError, match="Cannot infer where the window"):
        run(new_flow, context((DAY, DAY), DAY))


@pytest.mark.parametrize("params", ["echoed", "dropped"])
@pytest.mark.parametrize("status", ["cancelled", "success"])
def test_rows_without_a_known_end_need_a_person(aep, parts, status, params):
    """Everything would be taken once more by window_start=0."""
    aep.freeze()
    new_flow = flow(parts, start_in_minutes=1)
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    aep.advance(600)
    put_run(aep, "odd", new_flow, created=2 * 10**12, status=status)
    with pytest.raises(
        AepPermanentError,
        match=f"these runs have an unknown status and may have read any rows: odd '{status}'.*set window_start and",
    ) as caught:
        run(new_flow, context((DAY, DAY), DAY))
    assert "window_start=0" not in str(caught.value)


def test_a_window_that_is_found_out_does_not_end_later_than_now(aep, once, landed):
    """What arrives in between would be in no window."""
    at, notes = days(40), StoredState()
    before = aep.writes()
    with pytest.raises(
        AepRetryableError, match="ends in the future.*Run the task again after that time, or set window_end to"
    ):
        run(once, context((at, at), at, notes=notes))
    assert aep.writes() == before
    aep.freeze(at.timestamp())
    run(once, context((at, at), at, None, 2, notes), wait=False)
    assert windows(aep)[-1] == seconds(landed, at)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        ("failed", AepPermanentError, "have not landed.*'failed'.*Ingest that window again"),
        ("loading", AepRetryableError, "have not landed yet.*Try again later"),
    ],
)
def test_rows_whose_batch_has_not_landed_are_not_passed_over(aep, once, landed, status, error, says):
    """AEP calls their run a success all the same."""
    at, [*_, (scope, batch)] = days(9), aep.world.store.everywhere("batches")
    aep.world.store.put("batches", scope, batch["id"], {**batch, "status": status})
    before = aep.writes()
    with pytest.raises(error, match=says):
        run(once, context((at, at), at))
    assert aep.writes() == before
    run(once, window_start=days(1), window_end=landed)  # the window once more, and this time it lands
    run(once, context((at, at), at))
    assert windows(aep)[-1] == seconds(landed, at)


def test_rows_that_a_narrower_run_has_landed_are_not_all_of_them(aep, once, landed):
    at, [*_, (scope, batch)] = days(9), aep.world.store.everywhere("batches")
    aep.world.store.put("batches", scope, batch["id"], {**batch, "status": "failed"})
    run(once, window_start=days(1) + timedelta(hours=1), window_end=landed)
    with pytest.raises(AepPermanentError, match="have not landed.*'failed'.*Ingest that window again"):
        run(once, context((at, at), at))
    run(once, window_start=days(1) - timedelta(hours=1), window_end=landed)
    run(once, context((at, at), at))
    assert windows(aep)[-1] == seconds(landed, at)


def test_a_batch_that_catalog_does_not_show_yet_is_waited_for(aep, once, landed):
    """Its run is a success to AEP, but it may still fail. It is not waited for without end."""
    at = days(9)
    aep.fault("GET */batches/{id}", "answer", status=404)
    with pytest.raises(AepRetryableError, match="have not landed yet.*Cannot check whether the batch .* has landed"):
        run(once, context((at, at), at))
    aep.freeze()
    aep.advance(LIST_LAG + 1)
    run(once, context((at, at), at), wait=False)
    assert windows(aep)[-1] == seconds(landed, at)


def test_a_run_without_a_logical_date_ends_at_what_it_was_to_run_after(aep, once, landed):
    """As one that an asset has triggered."""
    after = days(9)
    run(once, context(after=after), wait=False)
    assert windows(aep)[1] == seconds(landed, after)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"window_start": DAY - timedelta(days=1)}, (DAY - timedelta(days=1), DAY + timedelta(days=1))),
        ({"window_end": "2025-07-01T12:00:00+00:00"}, (DAY, DAY + timedelta(hours=12))),
    ],
)
def test_what_is_given_counts_and_the_rest_is_the_interval(aep, once, arguments, expected):
    run(once, context((DAY, DAY + timedelta(days=1)), DAY), wait=False, **arguments)
    assert windows(aep) == [seconds(*expected)]


def test_nothing_that_says_where_it_begins_is_an_error(aep, parts):
    aep.freeze()
    new_flow = flow(parts, start_in_minutes=1)
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    aep.advance(600)
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="CronDataIntervalTimetable.*window_start and window_end"):
        run(new_flow, context((DAY, DAY), DAY))
    assert aep.writes() == before


def test_rows_that_are_there_already_are_said_to_be(aep, once):
    """The run that a DAG has when it is switched on is one of the past: the flow's own first run has taken its rows."""
    before = aep.writes()
    with pytest.raises(
        AepPermanentError, match="has read rows up to .*, but the window of this run would end at .*Mark the task"
    ):
        run(once, context((DAY, DAY), DAY))
    assert aep.writes() == before


# -- how often ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deferrable", MODES)
@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("which", ["same-run", "new-run"])
def test_a_retry_triggers_the_failed_run_again(aep, once, which, noted, deferrable):
    aep.world.choices["re-trigger"] = which
    notes = StoredState() if noted else None
    began = datetime.now(UTC)
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    day = DAY, DAY + timedelta(days=1)
    with pytest.raises(AepRetryableError, match="Not accepted: .*failed"):
        run(once, context(day, DAY, began, notes=notes), deferrable)
    result = run(once, context(day, DAY, began, 2, notes), deferrable)
    assert result["verdict"] in {"succeeded", "partial"}
    assert len(aep.requests("POST */runs")) == 1
    assert set(windows(aep)) == {seconds(*day)}
    assert aep.unfired() == []


@pytest.mark.parametrize("which", ["same-run", "new-run"])
@pytest.mark.parametrize("commit", ["now", "never"])
def test_a_re_trigger_whose_answer_was_lost_is_looked_for(aep, once, which, commit):
    aep.world.choices["re-trigger"] = which
    notes = StoredState()
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    aep.fault("POST */runs/{id}/action", "reset", commit=commit, calls=[1])
    day = context((DAY, DAY + timedelta(days=1)), DAY, notes=notes)
    with pytest.raises(AepRetryableError):
        run(once, day)
    run(once, {**day, "ti": Instance(2)})
    assert len(windows(aep)) == (2 if which == "new-run" else 1)
    assert aep.unfired() == []


def test_a_run_that_aep_does_not_trigger_again_makes_room_for_another(aep, once):
    notes = StoredState()
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    aep.fault("POST */runs/{id}/action", "answer", status=400, code="1387-400")
    day = context((DAY, DAY + timedelta(days=1)), DAY, notes=notes)
    with pytest.raises(AepRetryableError):
        run(once, day)
    run(once, {**day, "ti": Instance(2)})
    assert len(windows(aep)) == 2


@pytest.mark.parametrize("deferrable", MODES)
def test_a_task_that_died_while_it_waited_finds_its_run_again(aep, once, monkeypatch, deferrable):
    notes, day = StoredState(), (DAY, DAY + timedelta(days=1))
    aep.freeze()
    given = {"deferrable": deferrable, "delta_column": "sys_updated_on", "poke_interval": 0.1}
    task, around = AepRunFlowOperator(task_id="run", flow_id=once, **given), context(day, DAY, notes=notes)
    with monkeypatch.context() as killed:
        killed.setattr("time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises((KeyboardInterrupt, TaskDeferred)):
            task.execute(around)
    aep.thaw()
    run(once, context(day, DAY, try_number=2, notes=notes), deferrable)
    assert len(aep.requests("POST */runs")) == 1


def test_a_run_is_found_in_every_state_of_its_flow(aep, once):
    """A task is cleared after somebody has disabled the flow. What would be sent is refused."""
    notes, day = StoredState(), (DAY, DAY + timedelta(days=1))
    first = run(once, context(day, DAY, notes=notes))
    AepDisableFlowOperator(task_id="d", flow_id=once).execute({})
    assert run(once, context(day, DAY, try_number=2, notes=notes))["run_id"] == first["run_id"]
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="it is disabled.*Enable"):
        run(once, context(day, DAY, notes=StoredState()))
    assert aep.writes() == before


def test_a_failed_run_of_a_flow_that_was_disabled_since_is_not_triggered_again(aep, once):
    notes, day = StoredState(), (DAY, DAY + timedelta(days=1))
    aep.fault("RUN *", "run", outcome="failed", calls=[1])
    with pytest.raises(AepRetryableError):
        run(once, context(day, DAY, notes=notes))
    AepDisableFlowOperator(task_id="d", flow_id=once).execute({})
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="it is disabled.*Enable"):
        run(once, context(day, DAY, try_number=2, notes=notes))
    assert aep.writes() == before


def test_a_first_try_that_could_ask_nothing_has_sent_nothing(aep, once):
    """Its connection was not there yet."""
    notes, day = StoredState(), (DAY, DAY + timedelta(days=1))
    with pytest.raises(AepPermanentError, match="no Airflow connection"):
        run(once, context(day, DAY, notes=notes), aep_conn_id="nothing")
    run(once, context(day, DAY, try_number=2, notes=notes))
    assert windows(aep) == [seconds(*day)]


# -- how it ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [0, -1, None, True, "often", float("inf")])
@pytest.mark.parametrize("deferrable", MODES)
def test_an_invalid_poke_interval_is_an_error_before_any_request(aep, interval, deferrable):
    with pytest.raises(AepPermanentError, match="poke_interval is .*Set poke_interval to a number of seconds above 0"):
        run("f", deferrable=deferrable, poke_interval=interval)
    assert aep.requests() == []


def test_modes_end_alike(aep, once):
    for outcome, error in (("failed", AepRetryableError), ("partial", AepPermanentError)):
        said = set()
        for n, deferrable in enumerate(MODES):
            aep.fault("RUN *", "run", outcome=outcome)
            with pytest.raises(error) as caught:
                run(once, context((DAY, DAY + timedelta(days=n + 1)), DAY), deferrable, max_failed_ratio=0.0)
            aep.world.faults.clear()
            said.add(str(caught.value).split(" UTC: ")[1].split("records")[0])
        assert len(said) == 1


def fail_batches(aep):
    for scope, batch in aep.world.store.everywhere("batches"):
        aep.world.store.put("batches", scope, batch["id"], {**batch, "status": "failed"})


@pytest.mark.parametrize("deferrable", MODES)
def test_a_batch_that_did_not_land_is_nothing_that_a_retry_mends(aep, once, deferrable):
    """The run itself went well, so AEP does not trigger it again."""
    notes, day = StoredState(), (DAY, DAY + timedelta(days=1))
    run(once, context(day, DAY, notes=notes))
    fail_batches(aep)
    with pytest.raises(AepPermanentError, match="failed .*batches"):
        run(once, context(day, DAY, try_number=2, notes=notes), deferrable)
    assert len(windows(aep)) == 1


@pytest.mark.parametrize("deferrable", MODES)
def test_what_has_landed_in_place_of_it_will_do(aep, once, deferrable):
    """Its rows were ingested by another DAG run, as the error said."""
    notes, day = StoredState(), (DAY, DAY + timedelta(days=1))
    run(once, context(day, DAY, notes=notes))
    fail_batches(aep)
    said = "ingest its window \\(2025-07-01T00:00:00\\+00:00 to 2025-07-02T00:00:00\\+00:00\\).*clear this task"
    with pytest.raises(AepPermanentError, match=said):
        run(once, context(day, DAY, try_number=2, notes=notes), deferrable)
    again = run(once, window_start=day[0], window_end=day[1])
    assert run(once, context(day, DAY, try_number=3, notes=notes), deferrable)["run_id"] == again["run_id"]
    assert len(windows(aep)) == 2


@pytest.mark.parametrize("deferrable", MODES)
def test_a_wait_that_times_out_may_be_tried_again(aep, once, monkeypatch, deferrable):
    """A poking task moves the hook's clock. That of a deferred task is an hour behind, so its deadline has passed."""
    aep.freeze()
    clock = ManualClock(time.time() - (HOUR if deferrable else 0))
    monkeypatch.setattr(AepHook, "clock", clock)
    with pytest.raises(
        AepRetryableError, match="^The run of flow .* has not ended after 3600 s.*a retry finds the run"
    ):
        run(
            once,
            context((DAY, DAY + timedelta(days=1)), DAY),
            deferrable,
            timeout=HOUR,
            poke_interval=1 if deferrable else 600,
        )
    assert clock.slept == ([] if deferrable else [600.0] * 6)


@pytest.mark.parametrize("deferrable", MODES)
def test_an_outage_ends_nothing_and_starts_nothing(aep, once, monkeypatch, deferrable):
    monkeypatch.setattr(client._Plan, "retry_options", _without_retries(client._Plan.retry_options))
    aep.fault("GET */runs*", "answer", status=503, calls=range(2, 6))
    run(once, context((DAY, DAY + timedelta(days=1)), DAY), deferrable)
    assert len(aep.requests("POST */runs")) == 1


def _without_retries(retry_options):
    def once(self, call):
        return {**retry_options(self, call), "stop": lambda _: True}

    return once


def test_every_verdict_has_a_next_step():
    assert set(verdict._NEXT_STEPS) == set(verdict.Verdict) - {verdict.Verdict.WAITING}
