"""A run on demand, however often its task is tried: started at most once, and found again."""

from contextlib import suppress

import pytest
from chain import KINDS, Notes, wanted

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepError, AepUnavailableError, AepUncertainError
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.ensure import ensure
from airflow_provider_aep.onboarding.on_demand import start_run
from airflow_provider_aep.onboarding.verdict import judge

RUNS = "POST */runs"
WINDOW = {"startTime": 1_700_000_000, "windowStartTime": 1_600_000_000, "windowEndTime": 1_700_000_000}
WINDOW |= {"deltaColumn": {"name": "sys_updated_on"}}
LATER = {**WINDOW, "windowStartTime": 2_000_000_000, "windowEndTime": 2_000_086_400}
"""After what the flow's own first run has taken."""


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


def key(flow, params=WINDOW):
    """What a task notes is by flow and window."""
    return f"aep:run:{flow.id}:{params['windowStartTime']}-{params['windowEndTime']}"


def runs(client, flow):
    """The ids of those on demand."""
    return [r.id for r in client.items(flow_service.list_runs(flow.id)) if r.params]


def test_a_run_is_started_once_and_noted(emulator, together, flow):
    notes = Notes()
    emulator.fault("GET */runs", "lag", seconds=30)  # its id is known, so nobody looks for it
    first = start_run(together, flow, WINDOW, Attempt(memory=notes))
    again = start_run(together, flow, WINDOW, Attempt(memory=notes))
    emulator.world.faults.clear()
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
def test_a_try_that_died_before_it_heard_is_found_again(emulator, together, flow, noted):
    """Noted: Airflow 3.3 and later. Before, it is looked for since the DAG run began."""
    began = together.server_now()
    made = together.send(flow_service.create_run(flow.id, WINDOW)).id
    emulator.advance(300)
    attempt = Attempt(memory=Notes({key(flow): {"sent": began}}) if noted else None, tried_before=True, since=began)
    started = start_run(together, flow, WINDOW, attempt)
    assert (started.id, started.action) == (made, "found")
    assert together.clock.slept == []


@pytest.mark.parametrize("ahead", [90, -90])
def test_a_dag_run_is_of_airflows_clock(emulator, together, flow, ahead):
    """Which need not be AEP's."""
    together.server_now()
    began, now = together.server_now(), together.clock.now
    together.send(flow_service.create_run(flow.id, {**WINDOW, "windowEndTime": 1_650_000_000}))
    together.clock.now = lambda: now() + ahead
    made = together.send(flow_service.create_run(flow.id, WINDOW)).id
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, since=began + ahead))
    assert (started.id, started.action) == (made, "found")
    emulator.advance(20)
    with pytest.raises(AepUncertainError):
        start_run(together, flow, WINDOW, Attempt(tried_before=True, since=began + ahead + 20))


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
    """The task was told another one since, and has sent nothing to this one."""
    notes = Notes()
    notes[key(flow).replace(flow.id, "another")] = {"id": "nothing", "sent": together.server_now()}
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (started.action, together.clock.slept) == ("started", [])


def test_a_noted_run_that_vanished_long_ago_is_for_a_person(emulator, together, flow):
    old = together.server_now() - 3600
    notes = Notes({key(flow): {"id": "vanished", "sent": old}})
    with pytest.raises(AepUncertainError):
        start_run(together, flow, WINDOW, Attempt(memory=notes))
    assert together.clock.slept == []
    assert start_run(together, flow, WINDOW, Attempt(memory=notes), on_ambiguous="start").action == "started"


def test_a_noted_run_that_cannot_be_read_yet_is_waited_for(emulator, together, flow):
    """Reads may lag, too, and so may lists."""
    notes = Notes()
    made = start_run(together, flow, WINDOW, Attempt(memory=notes)).id
    emulator.fault("GET */runs/{id}", "answer", status=404, calls=[1])
    emulator.fault("GET */runs", "lag", seconds=10)
    emulator.advance(3)
    assert start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes)).id == made
    emulator.world.faults.clear()
    assert runs(together, flow) == [made]


@pytest.mark.parametrize("heard", [True, False])
def test_a_task_that_is_told_another_window_starts_another_run_and_knows_the_first(emulator, together, flow, heard):
    notes, other = Notes(), {**WINDOW, "windowStartTime": WINDOW["windowStartTime"] + 3600}
    first = start_run(together, flow, WINDOW, Attempt(memory=notes)).id
    if not heard:
        del notes[key(flow)]["id"]
    again = start_run(together, flow, other, Attempt(tried_before=True, memory=notes))
    assert (again.action, again.id != first) == ("started", True)
    back = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (back.action, back.id) == ("found", first)
    assert together.clock.slept == []


def test_a_try_that_died_before_it_sent_anything_starts_one(emulator, together, flow):
    """It would have noted it before."""
    notes = Notes()
    assert start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes)).action == "started"
    assert together.clock.slept == []


def test_it_is_noted_before_it_is_sent_and_after_it_is_made(emulator, together, flow):
    notes, seen, send = Notes(), [], together.send

    def watched(call):
        if call.announce:
            call.announce()
            seen.append(set(notes[key(flow)]))
        return send(call)

    together.send = watched
    made = start_run(together, flow, WINDOW, Attempt(memory=notes)).id
    assert seen == [{"sent"}]
    assert notes[key(flow)]["id"] == made


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
    emulator.fault("POST */runs/{id}/action", "answer", status=400, code="1387-400")
    first = start_run(together, flow, WINDOW, Attempt(memory=notes))
    assert start_run(together, flow, WINDOW, Attempt(memory=notes)).id == first.id  # it is under way
    emulator.advance(600)
    again = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (again.action, again.id != first.id) == ("started", True)
    assert emulator.unfired() == []


AGAIN = "POST */runs/{id}/action"


@pytest.fixture
def failed(emulator, together, flow):
    """A noted run that has failed, and what its task noted."""
    notes = Notes()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    made = start_run(together, flow, WINDOW, Attempt(memory=notes)).id
    emulator.advance(600)
    return made, notes


def killed_while_it_sends(emulator, client, flow, notes):
    """A try whose re-trigger is carried out, and which does not live to hear of it."""
    send = client.send

    def dying(call):
        answer = send(call)
        if call.method == "POST":
            raise Killed
        return answer

    client.send = dying
    with pytest.raises(Killed):
        start_run(client, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    client.send = send


class Killed(BaseException):
    pass


@pytest.mark.parametrize("which", ["same-run", "new-run"])
@pytest.mark.parametrize("refused", [True, False])
def test_a_re_trigger_that_nobody_heard_of_is_found(emulator, together, flow, failed, which, refused):
    """It is looked for until it must be listed, and AEP's refusal of a second one opens no other run."""
    emulator.world.choices["re-trigger"] = which
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_delay": 600.0})
    made, notes = failed
    killed_while_it_sends(emulator, together, flow, notes)
    if refused:
        emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    emulator.fault("GET */runs", "lag", seconds=10)
    emulator.fault("GET */runs/{id}", "lag", seconds=10)
    before = len(emulator.requests("POST */runs*"))
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (started.action in {"found", "triggered again"}, started.id == made) == (True, which == "same-run")
    assert len(emulator.requests("POST */runs*")) == before
    emulator.world.faults.clear()
    assert len(runs(together, flow)) == (1 if which == "same-run" else 2)


@pytest.mark.parametrize("which", ["same-run", "new-run"])
def test_a_re_triggered_run_that_failed_again_and_is_refused_makes_room_for_another(
    emulator, together, flow, failed, which
):
    emulator.world.choices["re-trigger"] = which
    _, notes = failed
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    again = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert again.action == "triggered again"
    emulator.advance(600)
    emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    third = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (third.action, third.id != again.id) == ("started", True)


class Behind:
    """Reads of one run by its id go on to say what they said, for a while."""

    def __init__(self, client, id_, seconds):
        self.client, self.send, self.id = client, client.send, id_
        self.until, self.old = client.clock.now() + seconds, client.send(flow_service.get_run(id_))
        client.send = self

    def __call__(self, call):
        answer = self.send(call)
        stale = call.method == "GET" and call.path.endswith(self.id) and self.client.clock.now() < self.until
        return self.old if stale else answer


@pytest.mark.parametrize("which", ["same-run", "new-run"])
def test_a_re_trigger_that_was_heard_and_cannot_be_read_yet_is_the_one(emulator, together, flow, failed, which):
    """The try after it reads what was before: a second re-trigger would take the window twice."""
    emulator.world.choices["re-trigger"] = which
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_delay": 600.0})
    made, notes = failed
    sleep, together.clock.sleep = together.clock.sleep, killing
    behind = Behind(together, made, 20)
    with suppress(Killed):
        start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    together.clock.sleep = sleep
    again = notes[key(flow)]["id"]
    emulator.fault("GET */runs", "lag", seconds=20)
    if which == "new-run":
        emulator.fault("GET */runs/{id}", "answer", status=404, calls=[1])
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    together.send = behind.send
    emulator.world.faults.clear()
    assert started.id == again
    assert len(runs(together, flow)) == (1 if which == "same-run" else 2)


def killing(_):
    raise Killed


def test_a_run_is_said_to_be_under_way_once_it_can_be_read(emulator, together, flow, failed):
    made, notes = failed
    emulator.world.choices["re-trigger"] = "same-run"
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_delay": 600.0})
    behind = Behind(together, made, 12)
    start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert together.clock.now() >= behind.until


@pytest.mark.parametrize("refused", [True, False])
def test_a_run_that_somebody_has_triggered_again_is_the_one(emulator, together, flow, failed, refused):
    """In AEP's own pages, under another id."""
    made, notes = failed
    emulator.world.choices["re-trigger"] = "new-run"
    again = together.send(flow_service.retrigger_run(made)).id
    emulator.advance(600)
    if refused:
        emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert (started.id, len(runs(together, flow))) == (again, 2)


@pytest.mark.parametrize("answer", [{"status": 403, "code": "403025"}, {"status": 429}, {"status": 400}])
@pytest.mark.parametrize("after_a_failure", [True, False])
def test_a_run_that_was_surely_not_started_is_not_suspicious(
    emulator, together, flow, answer, after_a_failure, request
):
    notes = request.getfixturevalue("failed")[1] if after_a_failure else Notes()
    before = dict(notes.get(key(flow), {}))
    if after_a_failure:
        emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    emulator.fault(RUNS, "answer", **answer)
    for _ in range(2):
        with pytest.raises(AepError):
            start_run(together, flow, WINDOW, Attempt(tried_before=after_a_failure, memory=notes))
    assert notes[key(flow)].get("id") == before.get("id")
    emulator.world.faults.clear()
    emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes))
    assert started.action == "started"


def test_a_run_that_left_its_state_while_its_re_trigger_was_refused_is_the_one(emulator, together, flow, failed):
    made, notes = failed
    emulator.world.choices["re-trigger"] = "same-run"
    send = together.send

    def crossed(call):
        if call.method == "POST":
            together.send = send
            together.send(flow_service.retrigger_run(made))  # as somebody does in AEP's own pages
            emulator.fault(AGAIN, "answer", status=400, code="1387-400")
        return send(call)

    together.send = crossed
    assert start_run(together, flow, WINDOW, Attempt(tried_before=True, memory=notes)).id == made
    assert runs(together, flow) == [made]


def test_one_that_has_failed_does_not_hide_one_that_is_not_listed_yet(emulator, together, flow):
    """Two runs of one window: the first has failed long ago, the answer to the second was lost."""
    began = together.server_now()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    together.send(flow_service.create_run(flow.id, WINDOW))
    emulator.advance(600)
    second = together.send(flow_service.create_run(flow.id, WINDOW)).id
    emulator.fault("GET */runs", "lag", seconds=10)
    started = start_run(together, flow, WINDOW, Attempt(tried_before=True, since=began))
    emulator.world.faults.clear()
    assert started.id == second
    assert len(runs(together, flow)) == 2


def test_a_run_whose_notes_are_lost_is_looked_for(emulator, together, flow):
    began = together.server_now()
    made = together.send(flow_service.create_run(flow.id, WINDOW)).id
    attempt = Attempt(tried_before=True, since=began, memory=Notes())
    assert start_run(together, flow, WINDOW, attempt).id == made


@pytest.mark.parametrize("later", [True, False], ids=["and-a-later-one-has-not", "and-there-is-no-other"])
def test_without_notes_a_run_that_has_failed_is_passed_over(emulator, together, flow, later):
    began = together.server_now()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    emulator.fault("POST */runs/{id}/action", "answer", status=400, code="1387-400")
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
    assert notes[key(flow)]["id"] == found.id


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


# -- several DAGs on one flow -----------------------------------------------------------------------------------------


def landed_or_about_to(client, flow):
    return [r.id for r in client.items(flow_service.list_runs(flow.id)) if r.params and judge(r).verdict != "failed"]


@pytest.mark.parametrize("under_way", [False, True])
@pytest.mark.parametrize("which", ["same-run", "new-run"])
def test_of_two_that_failed_with_one_window_one_is_triggered_again(emulator, together, flow, which, under_way):
    """Of different DAGs: neither has the other's notes, and the elder is older than the younger's intent."""
    emulator.world.choices["re-trigger"] = which
    elder, younger = Notes(), Notes()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1, 2])
    for notes in (elder, younger):
        start_run(together, flow, LATER, Attempt(memory=notes), exclusive=True)
        emulator.advance(600)
    if under_way:
        emulator.fault("RUN *", "run", outcome="stuck")
    first = start_run(together, flow, LATER, Attempt(tried_before=True, memory=elder), exclusive=True)
    emulator.advance(600)
    second = start_run(together, flow, LATER, Attempt(tried_before=True, memory=younger), exclusive=True)
    assert second.id == first.id
    emulator.advance(600)
    assert landed_or_about_to(together, flow) == [first.id]


def test_one_that_somebody_triggered_just_before_is_not_opened_again(emulator, together, flow):
    """AEP refuses to trigger it, and reads still say that it has failed."""
    emulator.world.choices["re-trigger"] = "same-run"
    notes = Notes()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    made = start_run(together, flow, LATER, Attempt(memory=notes)).id
    emulator.advance(600)
    Behind(together, made, 20).send(flow_service.retrigger_run(made))
    started = start_run(together, flow, LATER, Attempt(tried_before=True, memory=notes))
    assert started.id == made
    assert landed_or_about_to(together, flow) == [made]


def test_a_run_under_way_whose_window_is_not_told_yet_may_take_any_rows(emulator, together, flow, monkeypatch):
    made = start_run(together, flow, LATER, Attempt(memory=Notes())).id
    send = together.send

    def bare(call):
        answer = send(call)
        for run in answer.items if call.operation == "GET runs" else ():
            if run.id == made:
                run.params, run.metrics.durationSummary.extensions = {}, {}
        return answer

    monkeypatch.setattr(together, "send", bare)
    later = {**LATER, "windowEndTime": LATER["windowEndTime"] + 5}
    with pytest.raises(AepUnavailableError, match="under way"):
        start_run(together, flow, later, Attempt(memory=Notes()), exclusive=True)
