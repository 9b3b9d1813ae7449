"""A run on demand, however often its task is tried: started at most once, and found again."""

import pytest
from chain import KINDS, Notes, wanted

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepUncertainError
from airflow_provider_aep.onboarding.ensure import Attempt, ensure
from airflow_provider_aep.onboarding.on_demand import start_run

RUNS = "POST */runs"
WINDOW = {"startTime": 1_700_000_000, "windowStartTime": 1_600_000_000, "windowEndTime": 1_700_000_000}
WINDOW |= {"deltaColumn": {"name": "sys_updated_on"}}


def flow_that_runs_once(emulator, client):
    ids = {}
    for name, kind in KINDS.items():
        body = wanted(name, "X", ids)
        if name == "flow":
            schedule = {"startTime": int(emulator.world.clock.now()) + 60, "frequency": "once"}
            body = {**body, "runs": "once", "scheduleParams": schedule, "steps": {"Mapping": body["steps"]["Mapping"]}}
        ids[name] = ensure(client, kind, body).result
    return client.send(flow_service.get_flow(ids["flow"]))


@pytest.fixture
def flow(emulator, together):
    made = flow_that_runs_once(emulator, together)
    emulator.advance(600)  # its first run is over
    return made


def runs(client, flow):
    """The ids of those on demand."""
    return [r.id for r in client.items(flow_service.list_runs(flow.id)) if r.params]


def test_a_run_is_started_once_and_noted(emulator, together, flow):
    notes = Notes()
    first = start_run(together, flow, WINDOW, Attempt(memory=notes))
    again = start_run(together, flow, WINDOW, Attempt(memory=notes))
    assert (first.action, again.action, again.id) == ("started", "found", first.id)
    assert runs(together, flow) == [first.id]
    assert together.clock.slept == []


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "reset", "commit": "now"},
        {"do": "answer", "status": 504, "commit": "now"},
        {"do": "answer", "status": 504, "commit": 45},
        {"do": "cut", "bytes": 5},
    ],
    ids=lambda f: "-".join(map(str, f.values())),
)
def test_a_run_whose_answer_was_lost_is_found(emulator, together, flow, fault):
    emulator.fault(RUNS, calls=[1], **fault)
    emulator.fault("GET */runs", "lag", seconds=10)
    started = start_run(together, flow, WINDOW)
    assert started.action == "found"
    assert runs(together, flow) == [started.id]
    assert emulator.unfired() == []


def test_where_none_is_found_a_person_has_to_look(emulator, together, flow):
    emulator.fault(RUNS, "reset", commit="never", calls=[1])
    with pytest.raises(AepUncertainError, match="may have started.*on_ambiguous='start'") as caught:
        start_run(together, flow, WINDOW)
    assert not caught.value.retryable
    assert together.clock.slept == [60]
    assert runs(together, flow) == []


def test_or_another_is_started_if_that_is_what_is_wanted(emulator, together, flow):
    emulator.fault(RUNS, "reset", commit="never", calls=[1])
    started = start_run(together, flow, WINDOW, on_ambiguous="start")
    assert (started.action, runs(together, flow)) == ("started", [started.id])
    assert together.clock.slept == [60]


def test_it_is_not_started_for_ever(emulator, together, flow):
    emulator.fault(RUNS, "reset", commit="never")
    with pytest.raises(AepUncertainError):
        start_run(together, flow, WINDOW, on_ambiguous="start")
    assert len(emulator.requests(RUNS)) == 2


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not-noted"])
@pytest.mark.parametrize("open_end", [True, False])
def test_a_try_that_died_before_it_heard_is_found_again(emulator, together, flow, noted, open_end):
    """Noted: Airflow 3.3 and later. Before, it is looked for since the DAG run began."""
    began = together.server_now()
    made = together.send(flow_service.create_run(flow.id, WINDOW)).id
    note = {"aep:run": {"flow": flow.id, "sent": began, "params": WINDOW}}
    emulator.advance(300)
    attempt = Attempt(memory=Notes(note) if noted else None, tried_before=True, since=began)
    asked = {**WINDOW, "windowEndTime": WINDOW["windowEndTime"] + (300 if open_end else 0)}
    started = start_run(together, flow, asked, attempt, open_end=open_end)
    assert (started.id, started.action) == (made, "found")
    assert together.clock.slept == []


def test_an_earlier_run_of_the_window_is_another_one(emulator, together, flow):
    together.send(flow_service.create_run(flow.id, WINDOW))
    emulator.advance(100)
    emulator.fault(RUNS, "reset", commit="never", calls=[1])
    with pytest.raises(AepUncertainError):
        start_run(together, flow, WINDOW)


def test_a_run_of_another_window_is_another_one(emulator, together, flow):
    began = together.server_now()
    together.send(flow_service.create_run(flow.id, {**WINDOW, "windowEndTime": 1_650_000_000}))
    with pytest.raises(AepUncertainError):
        start_run(together, flow, WINDOW, Attempt(tried_before=True, since=began))


def test_a_note_of_another_flow_is_no_note(together, flow):
    notes = Notes({"aep:run": {"flow": "another", "id": "nothing"}})
    assert start_run(together, flow, WINDOW, Attempt(memory=notes)).action == "started"


def test_a_noted_run_that_vanished_is_looked_for(emulator, together, flow):
    notes = Notes({"aep:run": {"flow": flow.id, "id": "vanished"}})
    assert start_run(together, flow, WINDOW, Attempt(memory=notes)).action == "started"


def test_a_run_that_was_throttled_for_long_is_waited_for_from_when_it_left(emulator, together, flow):
    emulator.fault(RUNS, "answer", status=429, retry_after=29, calls=[1, 2, 3])
    emulator.fault(RUNS, "reset", commit="now", calls=[4])
    emulator.fault("GET */runs", "lag", seconds=20)
    started = start_run(together, flow, WINDOW)
    emulator.world.faults.clear()
    assert started.action == "found"
    assert runs(together, flow) == [started.id]


def test_a_noted_run_that_has_failed_makes_room_for_another(emulator, together, flow):
    notes = Notes()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    first = start_run(together, flow, WINDOW, Attempt(memory=notes))
    assert start_run(together, flow, WINDOW, Attempt(memory=notes)).id == first.id  # it is under way
    emulator.advance(600)
    again = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (again.action, again.id != first.id) == ("started", True)


def test_a_run_whose_notes_are_lost_is_looked_for(emulator, together, flow):
    began = together.server_now()
    made = together.send(flow_service.create_run(flow.id, WINDOW)).id
    attempt = Attempt(tried_before=True, since=began, memory=Notes())
    assert start_run(together, flow, WINDOW, attempt).id == made


@pytest.mark.parametrize("later", [True, False], ids=["and-a-later-one-has-not", "and-there-is-no-other"])
def test_without_notes_a_run_that_has_failed_is_passed_over(emulator, together, flow, later):
    began = together.server_now()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    failed = together.send(flow_service.create_run(flow.id, WINDOW)).id
    emulator.advance(600)
    good = together.send(flow_service.create_run(flow.id, WINDOW)).id if later else None
    emulator.advance(600)
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, since=began))
    assert started.id != failed
    assert (started.action, started.id if later else None) == ("found" if later else "started", good)


def test_a_found_run_is_noted(emulator, together, flow):
    notes = Notes()
    emulator.fault(RUNS, "reset", commit="now", calls=[1])
    found = start_run(together, flow, WINDOW, Attempt(memory=notes))
    assert notes["aep:run"] == {"flow": flow.id, "id": found.id}


def test_where_aep_does_not_show_what_was_asked_the_window_is_that_of_the_run(make_emulator):
    emulator = make_emulator(assume=("run-params=dropped",))
    with emulator.client() as client:
        flow = flow_that_runs_once(emulator, client)
        began = client.server_now()
        made = client.send(flow_service.create_run(flow.id, WINDOW)).id
        assert start_run(client, flow, WINDOW, Attempt(tried_before=True, since=began)).id == made


def test_another_word_is_told_before_anything_is_asked(emulator, together, flow):
    before = len(emulator.requests())
    with pytest.raises(AepConfigurationError, match="on_ambiguous is 'maybe'.*fail or start"):
        start_run(together, flow, WINDOW, on_ambiguous="maybe")
    assert len(emulator.requests()) == before
