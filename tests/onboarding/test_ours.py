"""Whose an object is: what is ours is mended, what is not is adopted or refused, and nobody else's is touched."""

import re
from copy import deepcopy
from dataclasses import replace

import pytest
from chain import KINDS, LISTS, OPERATIONS, Notes, by_hand, listed, marked, onboard, wanted

from airflow_provider_aep.client import flow_service, schema_registry
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepConflictError,
    AepError,
    AepPermissionError,
)
from airflow_provider_aep.onboarding import kinds, wait
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.ensure import ensure
from airflow_provider_aep.onboarding.identity import identity, nonce, unsigned

NONCE, OTHER = "0123456789ab", "ba9876543210"
DESCRIBED = [name for name in KINDS if name != "mapping"]


def writes(emulator):
    return [w for w in emulator.writes() if not w.endswith("validate")]


@pytest.fixture
def ours(aep):
    """An onboarding that was made by us."""
    return onboard("X", lambda kind, body: ensure(aep, kind, body, Attempt(NONCE)).result)


@pytest.fixture
def theirs(aep):
    """The same chain, made by hand with plain calls."""
    return onboard("X", lambda kind, body: by_hand(aep, kind, body))


def found(client, name, body):
    [id_] = listed(client, name, body)
    return wait.read(client, KINDS[name], id_)


# -- identity -------------------------------------------------------------------------------------------------------


def test_an_identity_is_made_of_nothing_local(emulator):
    """Pinned: another value would make every object that exists somebody else's."""
    settings = emulator.settings(org_id="AN@AdobeOrg", sandbox="dev")
    assert identity(settings, "flow", "spec", "X flow") == "6f9081a95813a581"
    others = [
        identity(emulator.settings(org_id="BN@AdobeOrg"), "flow", "spec", "X flow"),
        identity(emulator.settings(org_id="AN@AdobeOrg", sandbox="prod"), "flow", "spec", "X flow"),
        identity(settings, "dataset", "spec", "X flow"),
        identity(settings, "flow", "other", "X flow"),
        identity(settings, "flow", "spec", "Y flow"),
    ]
    assert len({*others, identity(settings, "flow", "spec", "X flow")}) == 6


def test_a_nonce_is_that_of_a_task_whatever_the_try():
    assert nonce("dag", "run", "task", -1) == nonce("dag", "run", "task", -1) == "d8966c33a8c6"
    assert nonce("dag", "run", "task", -1) != nonce("dag", "run", "task", 0)
    assert nonce() != nonce()


@pytest.mark.parametrize("name", KINDS)
def test_every_object_says_whose_it_is(aep, ours, name):
    marker = found(aep, name, ours[name]).marker
    scope = {"base": "connectionSpec.id", "source": "baseConnectionId", "schema": "class", "dataset": "schemaRef.id",
             "target": "params.dataSetId", "mapping": "outputSchema.schemaRef.id", "flow": "flowSpec.id"}  # fmt: skip
    node = ours[name]
    for step in scope[name].split("."):
        node = node[step]
    kind = KINDS[name]
    assert marker.identity == identity(aep.settings, kind.label, node, ours[name][kind.title])
    assert marker.nonce == NONCE


def test_the_marker_is_at_the_end_of_what_a_person_reads(emulator, aep):
    body = {**wanted("base", "X", {}), "description": "For the CRM team"}
    ensure(aep, kinds.BASE_CONNECTION, body, Attempt(NONCE))
    [(_, stored)] = emulator.world.store.everywhere("connections")
    assert re.fullmatch(r"For the CRM team \[aep:1:[0-9a-f]{16}:0123456789ab\]", stored["description"])
    assert unsigned(stored["description"])[0] == "For the CRM team"
    assert ensure(aep, kinds.BASE_CONNECTION, body).action == "found"


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_change_keeps_the_marker(aep, ours, name):
    """And whoever makes the change: it stays the mark of who made the object."""
    ensure(aep, KINDS[name], {**ours[name], "description": "changed"}, Attempt(OTHER))
    there = found(aep, name, ours[name])
    assert there.fields["description"] == "changed"
    assert there.marker.nonce == NONCE


def test_a_new_version_of_a_mapping_set_keeps_the_marker(aep, ours):
    entry = {"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}
    ensure(aep, kinds.MAPPING_SET, {**ours["mapping"], "mappings": [entry]}, Attempt(OTHER))
    assert found(aep, "mapping", ours["mapping"]).marker.nonce == NONCE


# -- not ours -------------------------------------------------------------------------------------------------------


def test_a_chain_made_by_hand_is_adopted_with_zero_writes(emulator, aep, theirs):
    before = writes(emulator)
    assert [ensure(aep, KINDS[name], body).action for name, body in theirs.items()] == ["adopted"] * 7
    assert writes(emulator) == before


def test_what_was_made_by_another_onboarding_is_not_ours(emulator, aep):
    """Copied by hand, marker and all: the marker says for what it was made, and it was not for this."""
    base = wanted("base", "X", {})
    elsewhere = marked(aep, kinds.BASE_CONNECTION, {**base, "name": "W base"}, NONCE)
    by_hand(aep, kinds.BASE_CONNECTION, {**elsewhere, "name": "X base"})
    assert ensure(aep, kinds.BASE_CONNECTION, base).action == "adopted"


@pytest.mark.parametrize("name", DESCRIBED)
def test_what_is_not_ours_and_differs_is_an_error_with_the_difference(emulator, aep, theirs, name):
    before = writes(emulator)
    with pytest.raises(
        AepConflictError, match="not made by this onboarding.*description is '', wanted 'new'.*take_over"
    ):
        ensure(aep, KINDS[name], {**theirs[name], "description": "new"})
    assert writes(emulator) == before


@pytest.mark.parametrize("name", DESCRIBED)
def test_what_is_taken_over_is_mended_and_ours_from_then_on(emulator, aep, theirs, name):
    body, before = {**theirs[name], "description": "new"}, writes(emulator)
    outcome = ensure(aep, KINDS[name], body, Attempt(NONCE, take_over=True))
    assert (outcome.action, outcome.changed) == ("updated", ("description", "marker"))
    assert len(writes(emulator)) == len(before) + 1
    assert found(aep, name, body).marker.nonce == NONCE
    assert ensure(aep, KINDS[name], body, Attempt(OTHER, take_over=True)).action == "found"


def test_a_mapping_set_is_taken_over(aep, theirs):
    entry = {"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}
    body = {**theirs["mapping"], "mappings": [entry]}
    with pytest.raises(AepConflictError, match="not made by this onboarding.*mappings is"):
        ensure(aep, kinds.MAPPING_SET, body)
    outcome = ensure(aep, kinds.MAPPING_SET, body, Attempt(NONCE, take_over=True))
    assert (outcome.action, outcome.result["version"]) == ("updated", 1)
    assert found(aep, "mapping", body).marker.nonce == NONCE


def test_what_is_equal_is_marked_too_when_it_is_taken_over(aep, theirs):
    outcome = ensure(aep, kinds.FLOW, theirs["flow"], Attempt(NONCE, take_over=True))
    assert (outcome.action, outcome.changed) == ("updated", ("marker",))
    assert ensure(aep, kinds.FLOW, theirs["flow"]).action == "found"


def test_what_cannot_change_is_not_taken_over(emulator, aep, theirs):
    body, before = deepcopy(theirs["source"]), writes(emulator)
    body["params"]["tableName"] = "incident"
    with pytest.raises(AepConflictError, match="differs in what cannot change: params.tableName"):
        ensure(aep, kinds.SOURCE_CONNECTION, body, Attempt(take_over=True))
    assert writes(emulator) == before


def test_the_same_name_in_another_scope_is_an_error_that_names_both(aep, ours):
    other = ensure(aep, kinds.BASE_CONNECTION, wanted("base", "Y", {})).id
    with pytest.raises(
        AepConflictError, match=f"baseConnectionId is '{ours['source']['baseConnectionId']}', wanted '{other}'"
    ):
        ensure(aep, kinds.SOURCE_CONNECTION, {**ours["source"], "baseConnectionId": other})


def test_a_list_that_shows_more_than_was_asked_for_is_sieved(aep):
    """As where AEP knows no filter: names are compared here, to the letter."""
    loose = replace(kinds.BASE_CONNECTION, find=lambda name: flow_service.list_connections({}))
    one = ensure(aep, loose, wanted("base", "Y", {})).id
    other = ensure(aep, loose, wanted("base", "X", {}))
    assert other.action == "created"
    assert ensure(aep, loose, wanted("base", "y", {})).action == "created"
    assert ensure(aep, loose, wanted("base", "Y", {})).id == one


# -- if_exists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain", ["ours", "theirs"])
@pytest.mark.parametrize("name", DESCRIBED)
def test_adopt_takes_it_as_it_is_and_says_what_differs(emulator, aep, request, chain, name):
    body = request.getfixturevalue(chain)[name]
    before = writes(emulator)
    outcome = ensure(aep, KINDS[name], {**body, "description": "new"}, Attempt(if_exists="adopt"))
    assert outcome.ignored == ("description",)
    assert writes(emulator) == before


@pytest.mark.parametrize("name", KINDS)
def test_fail_wants_it_made_by_this_task(aep, ours, name):
    with pytest.raises(AepConflictError, match="exists .*, and not by this task"):
        ensure(aep, KINDS[name], ours[name], Attempt(OTHER, if_exists="fail"))
    assert ensure(aep, KINDS[name], ours[name], Attempt(NONCE, if_exists="fail")).action == "found"


def test_fail_does_not_fail_at_what_a_lost_answer_made(emulator, together):
    emulator.fault("POST */connections", "reset", commit="now", calls=[1])
    outcome = ensure(together, kinds.BASE_CONNECTION, wanted("base", "X", {}), Attempt(if_exists="fail"))
    assert outcome.action == "found"


def test_another_word_than_these_is_told_before_anything_is_asked():
    with pytest.raises(AepConfigurationError, match="if_exists is 'maybe'.*update, adopt or fail"):
        Attempt(if_exists="maybe")


# -- found is not usable --------------------------------------------------------------------------------------------


def test_a_disabled_flow_is_an_error_unless_it_shall_be_enabled(emulator, aep, ours):
    [flow] = listed(aep, "flow", ours["flow"])
    aep.send(flow_service.disable_flow(flow))
    before = writes(emulator)
    with pytest.raises(AepConfigurationError, match="'X flow' .* is disabled.*enable=True"):
        ensure(aep, kinds.FLOW, {**ours["flow"], "description": "new"})
    assert writes(emulator) == before
    outcome = ensure(aep, kinds.FLOW, ours["flow"], Attempt(enable=True))
    assert (outcome.action, outcome.changed) == ("updated", ("state",))
    assert aep.send(flow_service.get_flow(flow)).state == "enabled"


def test_our_own_draft_is_finished_and_somebody_elses_is_not(emulator, aep, ours):
    draft = {**ours["flow"], "name": "Y flow", "draft": True}
    ensure(aep, kinds.FLOW, draft)
    assert ensure(aep, kinds.FLOW, draft).action == "found"  # a draft is what is wanted
    outcome = ensure(aep, kinds.FLOW, {**draft, "draft": False})
    assert (outcome.action, outcome.changed) == ("updated", ("state",))
    assert aep.send(flow_service.get_flow(outcome.id)).state == "enabled"
    by_hand(aep, kinds.FLOW, {**draft, "name": "Z flow"})
    before = writes(emulator)
    with pytest.raises(AepConfigurationError, match="'Z flow' .* is somebody's draft"):
        ensure(aep, kinds.FLOW, {**draft, "name": "Z flow", "draft": False})
    assert writes(emulator) == before


def test_a_draft_that_was_published_meanwhile_is_no_failure(emulator, aep, ours, monkeypatch):
    """The answer to an earlier try of the action was lost."""
    draft = ensure(aep, kinds.FLOW, {**ours["flow"], "name": "Y flow", "draft": True}).id
    emulator.fault("POST */flows/{id}/action", "answer", status=503, commit="now", calls=[1])
    assert ensure(aep, kinds.FLOW, {**ours["flow"], "name": "Y flow"}).changed == ("state",)
    assert aep.send(flow_service.get_flow(draft)).state == "enabled"
    assert emulator.unfired() == []


# -- mapping sets ---------------------------------------------------------------------------------------------------


@pytest.fixture
def forgetful(make_emulator):
    return make_emulator(assume=("mapping-set-name=dropped",))


def test_a_mapping_set_whose_name_aep_forgets_is_found_through_the_flow(forgetful):
    kind = kinds.mapping_set_for("X flow")
    with forgetful.client() as client:
        bodies = onboard("X", lambda k, body: ensure(client, k, body).result)
        before = writes(forgetful)
        outcome = ensure(client, kind, bodies["mapping"])
        assert (outcome.action, outcome.id) == ("found", bodies["flow"]["steps"]["Mapping"]["mappingId"])
        assert writes(forgetful) == before


def test_a_set_that_another_flow_uses_is_never_changed(emulator, aep, ours):
    other = {**ours["flow"], "name": "Z flow"}
    ensure(aep, kinds.FLOW, other)
    entry = {"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}
    body, before = {**ours["mapping"], "mappings": [entry]}, writes(emulator)
    for kind in (kinds.mapping_set_for("X flow"), kinds.mapping_set_for(None)):
        with pytest.raises(AepConflictError, match="'X mapping' .* is used by the flow 'Z flow'"):
            ensure(aep, kind, body)
    assert writes(emulator) == before
    assert ensure(aep, kinds.mapping_set_for("X flow"), ours["mapping"]).action == "found"
    aep.send(flow_service.delete_flow(listed(aep, "flow", other)[0]))
    assert ensure(aep, kinds.mapping_set_for("X flow"), body).action == "updated"


def test_a_nameless_set_that_is_listed_twice_is_one(forgetful):
    """A flow that moves from one page to the next while they are read."""
    kind = kinds.mapping_set_for("X flow")
    with forgetful.client() as client:
        bodies = onboard("X", lambda kind, body: ensure(client, kind, body).result)
        items = client.items

        def twice(call):
            for item in items(call):
                yield from [item, item] if call.operation == "GET flows" else [item]

        client.items = twice
        outcome = ensure(client, kind, bodies["mapping"])
        there = bodies["flow"]["steps"]["Mapping"]["mappingId"]
        assert (outcome.action, outcome.id, outcome.spares) == ("found", there, ())


def test_one_of_several_that_cannot_be_read_yet_counts(emulator, together):
    bodies = onboard("X", lambda kind, body: ensure(together, kind, body).result)
    [eldest] = listed(together, "mapping", bodies["mapping"])
    emulator.advance(1)
    by_hand(together, kinds.MAPPING_SET, marked(together, kinds.MAPPING_SET, bodies["mapping"], OTHER))
    emulator.fault("GET */mappingSets/{id}", "answer", status=404, calls=[1, 2])
    assert ensure(together, kinds.MAPPING_SET, bodies["mapping"]).id == eldest
    assert emulator.unfired() == []


def test_of_several_sets_the_eldest_counts_and_the_others_are_said(emulator, together):
    bodies = onboard("X", lambda kind, body: ensure(together, kind, body).result)
    [eldest] = listed(together, "mapping", bodies["mapping"])
    emulator.advance(1)
    spare = by_hand(together, kinds.MAPPING_SET, marked(together, kinds.MAPPING_SET, bodies["mapping"], OTHER))
    outcome = ensure(together, kinds.MAPPING_SET, bodies["mapping"])
    assert (outcome.id, outcome.spares) == (eldest, (spare["id"],))
    assert len(listed(together, "mapping", bodies["mapping"])) == 2


# -- what a task notes ----------------------------------------------------------------------------------------------


def test_a_retry_that_sent_nothing_does_not_wait(emulator, together):
    """The first try died on its way to the create."""
    notes, body = Notes(), {**wanted("mapping", "X", {"schema": "none"})}
    with pytest.raises(AepError):
        ensure(together, kinds.MAPPING_SET, body, Attempt(NONCE, memory=notes))
    schema = ensure(together, kinds.SCHEMA, wanted("schema", "X", {})).id
    slept = len(together.clock.slept)
    [note] = notes.values()
    assert list(note) == ["began"]
    for key in list(notes):  # the same task, with what it needs
        again = wanted("mapping", "X", {"schema": schema})
        scope = again["outputSchema"]["schemaRef"]["id"]
        notes[f"aep:{identity(together.settings, 'mapping set', scope, 'X mapping')}"] = notes.pop(key)
    attempt = Attempt(NONCE, tried_before=True, memory=notes)
    assert ensure(together, kinds.MAPPING_SET, again, attempt).action == "created"
    assert together.clock.slept[slept:] == []


def test_a_retry_whose_notes_are_lost_is_suspicious(together):
    attempt = Attempt(NONCE, tried_before=True, memory=Notes())
    assert ensure(together, kinds.BASE_CONNECTION, wanted("base", "X", {}), attempt).action == "created"
    assert together.clock.slept == [60]


def test_a_create_that_left_late_is_waited_for_from_then_on(emulator, together):
    """It was throttled four times, and died when it was sent at last; what was noted first is long ago."""
    body, notes = wanted("base", "X", {}), Notes()
    emulator.fault("POST */connections", "answer", status=429, retry_after=25, calls=[1, 2, 3, 4])
    emulator.fault("POST */connections", "reset", commit="now", calls=[5])

    class Killed(BaseException):
        pass

    def die(seconds, sleep=together.clock.sleep):
        if len(emulator.requests("POST */connections")) == 5:
            raise Killed
        sleep(seconds)

    together.clock.sleep = die
    with pytest.raises(Killed):
        ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes))
    del together.clock.sleep
    emulator.advance(3)
    emulator.fault(LISTS["base"], "lag", seconds=15)
    outcome = ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, tried_before=True, memory=notes))
    emulator.world.faults.clear()
    assert listed(together, "base", body) == [outcome.id]


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.parametrize("blank", ["\n", "  ", " \n\n"])
def test_a_blank_at_the_end_of_a_description_is_no_change(emulator, aep, ours, name, blank):
    body = ours[name]
    [id_] = listed(aep, name, body)
    text = {**body, "description": f"For the CRM team{blank}"}
    assert ensure(aep, KINDS[name], text).action == "updated"
    before = writes(emulator)
    assert ensure(aep, KINDS[name], text).id == id_
    assert writes(emulator) == before


def test_a_set_of_a_schema_that_is_gone_is_nobodys(emulator, together):
    """It cannot be deleted: an onboarding that was taken down, schema and all, can be made again."""
    schema = ensure(together, kinds.SCHEMA, wanted("schema", "X", {})).id
    first = ensure(together, kinds.MAPPING_SET, wanted("mapping", "X", {"schema": schema}))
    together.send(schema_registry.delete_schema(schema))
    other = ensure(together, kinds.SCHEMA, wanted("schema", "X", {})).id
    again = ensure(together, kinds.MAPPING_SET, wanted("mapping", "X", {"schema": other}))
    assert again.action == "created"
    assert again.id != first.id
    assert ensure(together, kinds.MAPPING_SET, wanted("mapping", "X", {"schema": other})).id == again.id


def test_a_set_that_has_another_name_is_another_one(emulator, aep, ours):
    """Although the flow uses it."""
    kind = kinds.mapping_set_for("X flow")
    assert ensure(aep, kind, {**ours["mapping"], "name": "New mapping"}).action == "created"


def test_a_set_that_one_flow_of_somebody_uses_is_not_taken_over(emulator, aep, theirs):
    entry = {"sourceType": "ATTRIBUTE", "source": "number", "destination": "_id"}
    body, before = {**theirs["mapping"], "mappings": [entry]}, writes(emulator)
    with pytest.raises(AepConflictError, match="is used by the flow 'X flow'"):
        ensure(aep, kinds.mapping_set_for(None), body, Attempt(take_over=True))
    assert writes(emulator) == before


def test_a_title_that_a_class_has_is_said_after_one_create(emulator, together):
    fields = {"email": {"type": "string"}}
    class_ = {"title": "X schema", "description": "", "behavior": schema_registry.AD_HOC, "fields": fields}
    ensure(together, kinds.AD_HOC_CLASS, class_)
    with pytest.raises(AepConflictError, match="XDM-1521-400"):
        ensure(together, kinds.SCHEMA, wanted("schema", "X", {}))
    assert len(emulator.requests("POST */tenant/schemas")) == 1


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"take_over": "False"}, "take_over is 'False'.*True or False"),
        ({"concurrent_writers": None}, "concurrent_writers is None"),
        ({"settle": -1}, "settle is -1.*number of seconds"),
        ({"if_exists": "adopt", "take_over": True}, "taken over or replaced"),
        ({"if_exists": "fail", "replace": True}, "taken over or replaced"),
    ],
)
def test_terms_that_mean_nothing_are_told_before_anything_is_asked(terms, says):
    with pytest.raises(AepConfigurationError, match=says):
        Attempt(**terms)


def test_a_retry_waits_from_the_moment_that_was_noted(emulator, together):
    """The try died with its create; what it noted before says when."""
    body, notes = wanted("base", "X", {}), Notes()
    emulator.fault("POST */connections", "reset", commit="never")
    with pytest.raises(AepAnswerLostError):
        ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes))
    emulator.world.faults.clear()
    [note] = notes.values()
    slept = len(together.clock.slept)
    assert ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes)).action == "created"
    assert together.clock.slept[slept:] == []  # the minute that the first try waited was enough
    assert "sent" in note


@pytest.mark.parametrize("age", [0, 20, 59])
def test_a_retry_waits_for_what_is_left_of_the_minute(emulator, together, age):
    body, notes = wanted("base", "X", {}), Notes()

    class Killed(BaseException):
        pass

    send = together.send

    def dying(call):
        if call.method == "POST":
            emulator.fault("POST */connections", "answer", status=504, commit=30, calls=[1])
            with pytest.raises(AepAnswerLostError):
                send(call)
            raise Killed
        return send(call)

    together.send = dying
    with pytest.raises(Killed):
        ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes))
    together.send = send
    emulator.advance(age)
    outcome = ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes))
    assert listed(together, "base", body) == [outcome.id]
    waited = sum(together.clock.slept)
    assert waited == 0 if age == 59 else 59 - age <= waited <= 61 - age


def test_what_was_noted_is_found_by_one_read(emulator, together):
    body, notes = wanted("base", "X", {}), Notes()
    made = ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes)).id
    emulator.fault(LISTS["base"], "lag", seconds=100)  # the list does not know it yet, and is not asked
    before = len(emulator.requests())
    assert ensure(together, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes)).id == made
    assert [r["operation"].rsplit("/", 1)[-1] for r in emulator.requests()[before:]] == ["{id}"]


@pytest.mark.parametrize("change", ["deleted", "renamed"])
def test_a_note_of_what_is_gone_means_find(emulator, aep, change):
    body, notes = wanted("base", "X", {}), Notes()
    made = ensure(aep, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes)).id
    if change == "deleted":
        aep.send(flow_service.delete_connection(made))
    else:
        etag = aep.send(flow_service.get_connection(made)).etag
        aep.send(flow_service.patch_connection(made, etag, [{"op": "replace", "path": "/name", "value": "Z base"}]))
    outcome = ensure(aep, kinds.BASE_CONNECTION, body, Attempt(NONCE, memory=notes))
    assert outcome.action == "created"
    assert outcome.id != made


def test_a_create_is_noted_before_it_is_sent(emulator, aep):
    class Refusing(Notes):
        def set(self, key, value):
            raise OSError("the notes cannot be written")

    with pytest.raises(OSError, match="cannot be written"):
        ensure(aep, kinds.BASE_CONNECTION, wanted("base", "X", {}), Attempt(NONCE, memory=Refusing()))
    assert writes(emulator) == []


def test_a_start_is_counted_from_the_create_however_long_it_was_waited_for(emulator, together):
    """Else AEP refuses it: the start has passed (1360-400), at every try again."""
    bodies = onboard("X", lambda kind, body: ensure(together, kind, body).result)
    start = int(emulator.world.clock.now()) + 30
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": start}
    body = {**bodies["flow"], "name": "Y flow", "scheduleParams": schedule, "start_in_minutes": 0.5}
    outcome = ensure(together, kinds.FLOW, body, Attempt(NONCE, tried_before=True))
    made = together.send(flow_service.get_flow(outcome.id))
    assert int(made.scheduleParams["startTime"]) - start in {60, 61}


def test_a_start_that_passes_on_the_way_is_counted_anew(emulator, together):
    """A throttled create leaves again, minutes later."""
    bodies = onboard("X", lambda kind, body: ensure(together, kind, body).result)
    start = int(emulator.world.clock.now()) + 60
    schedule = {**bodies["flow"]["scheduleParams"], "startTime": start}
    body = {**bodies["flow"], "name": "Y flow", "scheduleParams": schedule, "start_in_minutes": 1}
    emulator.fault("POST */flows", "answer", status=429, retry_after=100, calls=[1])
    made = together.send(flow_service.get_flow(ensure(together, kinds.FLOW, body).id))
    assert int(made.scheduleParams["startTime"]) - start in {100, 101}
    assert emulator.unfired() == []


def test_a_title_that_an_unheard_try_took_is_ours(emulator, together):
    """The list lags, and the create is refused (XDM-1521-400): by what an earlier try of us made."""
    body = wanted("schema", "X", {})
    by_hand(together, kinds.SCHEMA, marked(together, kinds.SCHEMA, body, NONCE))
    emulator.fault(LISTS["schema"], "lag", seconds=30)
    outcome = ensure(together, kinds.SCHEMA, body, Attempt(NONCE))
    assert outcome.action == "found"
    assert together.clock.slept == [60]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_engine_asks_for_nothing_twice(emulator, aep, ours, name):
    """What an unchanged re-run costs: one list, and one read where a list gives a short form."""
    before = len(emulator.requests())
    ensure(aep, KINDS[name], ours[name])
    assert len(emulator.requests()) - before == (2 if name == "schema" else 1)


def test_what_was_made_and_cannot_be_read_yet_is_waited_for(emulator, together):
    """Reads may lag, too, and so may lists."""
    notes, body = Notes(), wanted("base", "X", {})
    made = ensure(together, kinds.BASE_CONNECTION, body, Attempt(memory=notes)).id
    emulator.advance(3)
    emulator.fault("GET */connections/{id}", "answer", status=404, calls=[1])
    emulator.fault("GET */connections", "lag", seconds=10)
    again = ensure(together, kinds.BASE_CONNECTION, body, Attempt(tried_before=True, memory=notes))
    assert (again.id, again.action) == (made, "found")
    assert len(emulator.requests("POST */connections")) == 1


def test_a_first_try_that_failed_before_it_sent_anything_makes_nobody_wait(emulator, together):
    notes, body = Notes(), wanted("base", "X", {})
    emulator.fault("GET */connections", "answer", status=403)
    with pytest.raises(AepPermissionError):
        ensure(together, kinds.BASE_CONNECTION, body, Attempt(memory=notes))
    emulator.world.faults.clear()
    assert ensure(together, kinds.BASE_CONNECTION, body, Attempt(tried_before=True, memory=notes)).action == "created"
    assert together.clock.slept == []
