"""On-demand runs: a run is started at most once, however often its task is tried, and is found again."""

from contextlib import suppress
from dataclasses import replace

import pytest
from chain import RESOURCE_TYPES, StoredState, desired

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepConfigurationError, AepError, AepUnavailableError, AepUncertainError
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.resources.flow import Schedule
from airflow_provider_aep.runs.on_demand import find_or_start
from airflow_provider_aep.runs.verdict import evaluate_run

RUNS = "POST */runs"
WINDOW = {"startTime": 1_700_000_000, "windowStartTime": 1_600_000_000, "windowEndTime": 1_700_000_000}
WINDOW |= {"deltaColumn": {"name": "sys_updated_on"}}


def flow_that_runs_once(emulator, client):
    ids = {}
    for name, resource_type in RESOURCE_TYPES.items():
        state = desired(name, "X", ids)
        if name == "flow":
            schedule = Schedule(frequency="once", start_time=int(emulator.world.clock.now()) + 60)
            state = replace(state, schedule=schedule, delta_column=None)
        ids[name] = reconcile(client, resource_type, state).result
    return client.send(flow_service.get_flow(ids["flow"]))


@pytest.fixture
def flow(emulator, virtual):
    made = flow_that_runs_once(emulator, virtual)
    emulator.advance(600)  # its first run is over
    return made


@pytest.fixture
def later(emulator, flow):
    """Return the parameters of a window that begins after the flow's own first run, and is over."""
    start = int(emulator.world.clock.now())
    emulator.advance(3600)
    return {**WINDOW, "windowStartTime": start, "windowEndTime": start + 3600}


def key(flow, params=WINDOW):
    """What a task stored is by flow and window."""
    return f"aep:run:{flow.id}:{params['windowStartTime']}-{params['windowEndTime']}"


def runs(client, flow):
    """The ids of those on demand."""
    return [r.id for r in client.items(flow_service.list_runs(flow.id)) if r.params]


def test_a_run_is_started_once_and_noted(emulator, virtual, flow):
    stored = StoredState()
    emulator.fault("GET */runs", "lag", seconds=30)  # its id is known, so nobody looks for it
    first = find_or_start(virtual, flow, WINDOW, Attempt(store=stored))
    again = find_or_start(virtual, flow, WINDOW, Attempt(store=stored))
    emulator.world.faults.clear()
    assert (first.action, again.action, again.id) == ("started", "found", first.id)
    assert runs(virtual, flow) == [first.id]
    assert virtual.clock.slept == []


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
def test_a_run_whose_answer_was_lost_is_found(emulator, virtual, flow, fault):
    emulator.fault(RUNS, calls=[1], **fault)
    emulator.fault("GET */runs", "lag", seconds=10)
    started = find_or_start(virtual, flow, WINDOW)
    assert started.action == "found"
    assert runs(virtual, flow) == [started.id]
    assert emulator.unfired() == []


def test_where_none_is_found_a_person_has_to_look(emulator, virtual, flow):
    emulator.fault(RUNS, "reset", commit="never", calls=[1])
    with pytest.raises(AepUncertainError, match="may have started.*on_ambiguous='start'") as caught:
        find_or_start(virtual, flow, WINDOW)
    assert not caught.value.retryable
    assert virtual.clock.slept == [60]
    assert runs(virtual, flow) == []


def test_or_another_is_started_if_that_is_what_is_wanted(emulator, virtual, flow):
    emulator.fault(RUNS, "reset", commit="never", calls=[1])
    started = find_or_start(virtual, flow, WINDOW, on_ambiguous="start")
    assert (started.action, runs(virtual, flow)) == ("started", [started.id])
    assert virtual.clock.slept == [60]


def test_it_is_not_started_for_ever(emulator, virtual, flow):
    emulator.fault(RUNS, "reset", commit="never")
    with pytest.raises(AepUncertainError):
        find_or_start(virtual, flow, WINDOW, on_ambiguous="start")
    assert len(emulator.requests(RUNS)) == 2


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not-noted"])
def test_a_try_that_died_before_it_heard_is_found_again(emulator, virtual, flow, noted):
    """Noted: Airflow 3.3 and later. Before, it is looked for since the DAG run began."""
    began = virtual.server_now()
    made = virtual.send(flow_service.create_run(flow.id, WINDOW)).id
    emulator.advance(300)
    attempt = Attempt(
        store=StoredState({key(flow): {"sent": began}}) if noted else None, tried_before=True, since=began
    )
    started = find_or_start(virtual, flow, WINDOW, attempt)
    assert (started.id, started.action) == (made, "found")
    assert virtual.clock.slept == []


@pytest.mark.parametrize("ahead", [90, -90])
def test_a_dag_run_is_of_airflows_clock(emulator, virtual, flow, ahead):
    """Which need not be AEP's."""
    virtual.server_now()
    began, now = virtual.server_now(), virtual.clock.now
    virtual.send(flow_service.create_run(flow.id, {**WINDOW, "windowEndTime": 1_650_000_000}))
    virtual.clock.now = lambda: now() + ahead
    made = virtual.send(flow_service.create_run(flow.id, WINDOW)).id
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, since=began + ahead))
    assert (started.id, started.action) == (made, "found")
    emulator.advance(20)
    with pytest.raises(AepUncertainError):
        find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, since=began + ahead + 20))


def test_an_earlier_run_of_the_window_is_another_one(emulator, virtual, flow):
    virtual.send(flow_service.create_run(flow.id, WINDOW))
    emulator.advance(100)
    emulator.fault(RUNS, "reset", commit="never", calls=[1])
    with pytest.raises(AepUncertainError):
        find_or_start(virtual, flow, WINDOW)


def test_a_run_of_another_window_is_another_one(emulator, virtual, flow):
    began = virtual.server_now()
    virtual.send(flow_service.create_run(flow.id, {**WINDOW, "windowEndTime": 1_650_000_000}))
    with pytest.raises(AepUncertainError):
        find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, since=began))


def test_a_note_of_another_flow_is_no_note(virtual, flow):
    """The task has got another flow since, and has sent nothing to this one."""
    stored = StoredState()
    stored[key(flow).replace(flow.id, "another")] = {"id": "nothing", "sent": virtual.server_now()}
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert (started.action, virtual.clock.slept) == ("started", [])


def test_a_noted_run_that_vanished_long_ago_is_for_a_person(emulator, virtual, flow):
    old = virtual.server_now() - 3600
    stored = StoredState({key(flow): {"id": "vanished", "sent": old}})
    with pytest.raises(AepUncertainError):
        find_or_start(virtual, flow, WINDOW, Attempt(store=stored))
    assert virtual.clock.slept == []
    assert find_or_start(virtual, flow, WINDOW, Attempt(store=stored), on_ambiguous="start").action == "started"


def test_a_noted_run_that_cannot_be_read_yet_is_waited_for(emulator, virtual, flow):
    """Reads may lag, too, and so may lists."""
    stored = StoredState()
    made = find_or_start(virtual, flow, WINDOW, Attempt(store=stored)).id
    emulator.fault("GET */runs/{id}", "answer", status=404, calls=[1])
    emulator.fault("GET */runs", "lag", seconds=10)
    emulator.advance(3)
    assert find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored)).id == made
    emulator.world.faults.clear()
    assert runs(virtual, flow) == [made]


@pytest.mark.parametrize("has_id", [True, False])
def test_a_changed_window_starts_another_run_and_keeps_the_first(emulator, virtual, flow, has_id):
    stored, other = StoredState(), {**WINDOW, "windowStartTime": WINDOW["windowStartTime"] + 3600}
    first = find_or_start(virtual, flow, WINDOW, Attempt(store=stored)).id
    if not has_id:
        del stored[key(flow)]["id"]
    again = find_or_start(virtual, flow, other, Attempt(tried_before=True, store=stored))
    assert (again.action, again.id != first) == ("started", True)
    back = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert (back.action, back.id) == ("found", first)
    assert virtual.clock.slept == []


def test_a_try_that_died_before_it_sent_anything_starts_one(emulator, virtual, flow):
    """It would have noted it before."""
    stored = StoredState()
    assert find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored)).action == "started"
    assert virtual.clock.slept == []


def test_it_is_noted_before_it_is_sent_and_after_it_is_made(emulator, virtual, flow):
    stored, stored_keys, send = StoredState(), [], virtual.send

    def watched(call):
        if call.before_send:
            call.before_send()
            stored_keys.append(set(stored[key(flow)]))
        return send(call)

    virtual.send = watched
    made = find_or_start(virtual, flow, WINDOW, Attempt(store=stored)).id
    assert stored_keys == [{"sent", "version"}]
    assert stored[key(flow)]["id"] == made


def test_a_run_that_was_throttled_for_long_is_waited_for_from_when_it_left(emulator, virtual, flow):
    emulator.fault(RUNS, "answer", status=429, retry_after=29, calls=[1, 2, 3])
    emulator.fault(RUNS, "reset", commit="now", calls=[4])
    emulator.fault("GET */runs", "lag", seconds=20)
    started = find_or_start(virtual, flow, WINDOW)
    emulator.world.faults.clear()
    assert started.action == "found"
    assert runs(virtual, flow) == [started.id]


def test_a_noted_run_that_has_failed_makes_room_for_another(emulator, virtual, flow):
    stored = StoredState()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    emulator.fault("POST */runs/{id}/action", "answer", status=400, code="1387-400")
    first = find_or_start(virtual, flow, WINDOW, Attempt(store=stored))
    assert find_or_start(virtual, flow, WINDOW, Attempt(store=stored)).id == first.id  # it is under way
    emulator.advance(600)
    again = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert (again.action, again.id != first.id) == ("started", True)
    assert emulator.unfired() == []


AGAIN = "POST */runs/{id}/action"


@pytest.fixture
def failed(emulator, virtual, flow):
    """A noted run that has failed, and what its task noted."""
    stored = StoredState()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    made = find_or_start(virtual, flow, WINDOW, Attempt(store=stored)).id
    emulator.advance(600)
    return made, stored


def killed_while_it_sends(emulator, client, flow, stored):
    """A try whose re-trigger is carried out, and which does not live to hear of it."""
    send = client.send

    def dying(call):
        answer = send(call)
        if call.method == "POST":
            raise Killed
        return answer

    client.send = dying
    with pytest.raises(Killed):
        find_or_start(client, flow, WINDOW, Attempt(tried_before=True, store=stored))
    client.send = send


class Killed(BaseException):
    pass


@pytest.mark.parametrize("which", ["same-run", "new-run"])
@pytest.mark.parametrize("refused", [True, False])
def test_a_re_trigger_with_a_lost_response_is_found(emulator, virtual, flow, failed, which, refused):
    """It is looked for until it must be listed, and AEP's refusal of a second one opens no other run."""
    emulator.world.choices["re-trigger"] = which
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_delay": 600.0})
    made, stored = failed
    killed_while_it_sends(emulator, virtual, flow, stored)
    if refused:
        emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    emulator.fault("GET */runs", "lag", seconds=10)
    emulator.fault("GET */runs/{id}", "lag", seconds=10)
    before = len(emulator.requests("POST */runs*"))
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert (started.action in {"found", "triggered again"}, started.id == made) == (True, which == "same-run")
    assert len(emulator.requests("POST */runs*")) == before
    emulator.world.faults.clear()
    assert len(runs(virtual, flow)) == (1 if which == "same-run" else 2)


@pytest.mark.parametrize("which", ["same-run", "new-run"])
def test_a_re_triggered_run_that_failed_again_and_is_refused_makes_room_for_another(
    emulator, virtual, flow, failed, which
):
    emulator.world.choices["re-trigger"] = which
    _, stored = failed
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    again = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert again.action == "triggered again"
    emulator.advance(600)
    emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    third = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
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
def test_a_re_trigger_that_was_heard_and_cannot_be_read_yet_is_the_one(emulator, virtual, flow, failed, which):
    """The try after it reads what was before: a second re-trigger would take the window twice."""
    emulator.world.choices["re-trigger"] = which
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_delay": 600.0})
    made, stored = failed
    sleep, virtual.clock.sleep = virtual.clock.sleep, killing
    behind = Behind(virtual, made, 20)
    with suppress(Killed):
        find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    virtual.clock.sleep = sleep
    again = stored[key(flow)]["id"]
    emulator.fault("GET */runs", "lag", seconds=20)
    if which == "new-run":
        emulator.fault("GET */runs/{id}", "answer", status=404, calls=[1])
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    virtual.send = behind.send
    emulator.world.faults.clear()
    assert started.id == again
    assert len(runs(virtual, flow)) == (1 if which == "same-run" else 2)


def killing(_):
    raise Killed


def test_a_run_is_said_to_be_under_way_once_it_can_be_read(emulator, virtual, flow, failed):
    made, stored = failed
    emulator.world.choices["re-trigger"] = "same-run"
    emulator.world.options = emulator.world.options.__class__(**{**vars(emulator.world.options), "run_delay": 600.0})
    behind = Behind(virtual, made, 12)
    find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert virtual.clock.now() >= behind.until


@pytest.mark.parametrize("refused", [True, False])
def test_a_run_that_somebody_has_triggered_again_is_the_one(emulator, virtual, flow, failed, refused):
    """In AEP's own pages, under another id."""
    made, stored = failed
    emulator.world.choices["re-trigger"] = "new-run"
    again = virtual.send(flow_service.retrigger_run(made)).id
    emulator.advance(600)
    if refused:
        emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert (started.id, len(runs(virtual, flow))) == (again, 2)


@pytest.mark.parametrize("answer", [{"status": 403, "code": "403025"}, {"status": 429}, {"status": 400}])
@pytest.mark.parametrize("after_a_failure", [True, False])
def test_a_run_that_was_surely_not_started_is_not_suspicious(emulator, virtual, flow, answer, after_a_failure, request):
    stored = request.getfixturevalue("failed")[1] if after_a_failure else StoredState()
    before = dict(stored.get(key(flow), {}))
    if after_a_failure:
        emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    emulator.fault(RUNS, "answer", **answer)
    for _ in range(2):
        with pytest.raises(AepError):
            find_or_start(virtual, flow, WINDOW, Attempt(tried_before=after_a_failure, store=stored))
    assert stored[key(flow)].get("id") == before.get("id")
    emulator.world.faults.clear()
    emulator.fault(AGAIN, "answer", status=400, code="1387-400")
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored))
    assert started.action == "started"


def test_a_run_that_left_its_state_while_its_re_trigger_was_refused_is_the_one(emulator, virtual, flow, failed):
    made, stored = failed
    emulator.world.choices["re-trigger"] = "same-run"
    send = virtual.send

    def crossed(call):
        if call.method == "POST":
            virtual.send = send
            virtual.send(flow_service.retrigger_run(made))  # as somebody does in AEP's own pages
            emulator.fault(AGAIN, "answer", status=400, code="1387-400")
        return send(call)

    virtual.send = crossed
    assert find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, store=stored)).id == made
    assert runs(virtual, flow) == [made]


def test_one_that_has_failed_does_not_hide_one_that_is_not_listed_yet(emulator, virtual, flow):
    """Two runs of one window: the first has failed long ago, the answer to the second was lost."""
    began = virtual.server_now()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    virtual.send(flow_service.create_run(flow.id, WINDOW))
    emulator.advance(600)
    second = virtual.send(flow_service.create_run(flow.id, WINDOW)).id
    emulator.fault("GET */runs", "lag", seconds=10)
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, since=began))
    emulator.world.faults.clear()
    assert started.id == second
    assert len(runs(virtual, flow)) == 2


def test_a_run_whose_notes_are_lost_is_looked_for(emulator, virtual, flow):
    began = virtual.server_now()
    made = virtual.send(flow_service.create_run(flow.id, WINDOW)).id
    attempt = Attempt(tried_before=True, since=began, store=StoredState())
    assert find_or_start(virtual, flow, WINDOW, attempt).id == made


@pytest.mark.parametrize("later", [True, False], ids=["and-a-later-one-has-not", "and-there-is-no-other"])
def test_without_notes_a_run_that_has_failed_is_passed_over(emulator, virtual, flow, later):
    began = virtual.server_now()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    emulator.fault("POST */runs/{id}/action", "answer", status=400, code="1387-400")
    failed = virtual.send(flow_service.create_run(flow.id, WINDOW)).id
    emulator.advance(600)
    good = virtual.send(flow_service.create_run(flow.id, WINDOW)).id if later else None
    emulator.advance(600)
    started = find_or_start(virtual, flow, WINDOW, Attempt(tried_before=True, since=began))
    assert started.id != failed
    assert (started.action, started.id if later else None) == ("found" if later else "started", good)


def test_a_found_run_is_noted(emulator, virtual, flow):
    stored = StoredState()
    emulator.fault(RUNS, "reset", commit="now", calls=[1])
    found = find_or_start(virtual, flow, WINDOW, Attempt(store=stored))
    assert stored[key(flow)]["id"] == found.id


def test_where_aep_does_not_show_what_was_asked_the_window_is_that_of_the_run(make_emulator):
    emulator = make_emulator(assume=("run-params=dropped",))
    with emulator.client() as client:
        flow = flow_that_runs_once(emulator, client)
        began = client.server_now()
        made = client.send(flow_service.create_run(flow.id, WINDOW)).id
        assert find_or_start(client, flow, WINDOW, Attempt(tried_before=True, since=began)).id == made


def test_an_unknown_word_fails_before_any_request(emulator, virtual, flow):
    before = len(emulator.requests())
    with pytest.raises(AepConfigurationError, match="on_ambiguous is 'maybe'.*fail or start"):
        find_or_start(virtual, flow, WINDOW, on_ambiguous="maybe")
    assert len(emulator.requests()) == before


# -- several DAGs on one flow -----------------------------------------------------------------------------------------


def landed_or_about_to(client, flow):
    return [
        r.id for r in client.items(flow_service.list_runs(flow.id)) if r.params and evaluate_run(r).verdict != "failed"
    ]


@pytest.mark.parametrize("under_way", [False, True])
@pytest.mark.parametrize("which", ["same-run", "new-run"])
def test_of_two_that_failed_with_one_window_one_is_triggered_again(emulator, virtual, flow, later, which, under_way):
    """Of different DAGs: neither has the other's stored, and the elder is older than the younger's intent."""
    emulator.world.choices["re-trigger"] = which
    elder, younger = StoredState(), StoredState()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1, 2])
    for stored in (elder, younger):
        find_or_start(virtual, flow, later, Attempt(store=stored), exclusive=True)
        emulator.advance(600)
    if under_way:
        emulator.fault("RUN *", "run", outcome="stuck")
    first = find_or_start(virtual, flow, later, Attempt(tried_before=True, store=elder), exclusive=True)
    emulator.advance(600)
    second = find_or_start(virtual, flow, later, Attempt(tried_before=True, store=younger), exclusive=True)
    assert second.id == first.id
    emulator.advance(600)
    assert landed_or_about_to(virtual, flow) == [first.id]


def test_one_that_somebody_triggered_just_before_is_not_opened_again(emulator, virtual, flow, later):
    """AEP refuses to trigger it, and reads still say that it has failed."""
    emulator.world.choices["re-trigger"] = "same-run"
    stored = StoredState()
    emulator.fault("RUN *", "run", outcome="failed", calls=[1])
    made = find_or_start(virtual, flow, later, Attempt(store=stored)).id
    emulator.advance(600)
    Behind(virtual, made, 20).send(flow_service.retrigger_run(made))
    started = find_or_start(virtual, flow, later, Attempt(tried_before=True, store=stored))
    assert started.id == made
    assert landed_or_about_to(virtual, flow) == [made]


def test_a_running_run_without_a_window_may_read_any_rows(emulator, virtual, flow, later, monkeypatch):
    made = find_or_start(virtual, flow, later, Attempt(store=StoredState())).id
    send = virtual.send

    def bare(call):
        answer = send(call)
        for run in answer.items if call.operation == "GET runs" else ():
            if run.id == made:
                run.params, run.metrics.durationSummary.extensions = {}, {}
        return answer

    monkeypatch.setattr(virtual, "send", bare)
    longer = {**later, "windowEndTime": later["windowEndTime"] + 5}
    with pytest.raises(AepUnavailableError, match="under way"):
        find_or_start(virtual, flow, longer, Attempt(store=StoredState()), exclusive=True)
