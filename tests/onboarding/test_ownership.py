"""Ownership: our objects are updated, others are adopted, taken over or refused."""

import re
from dataclasses import replace

import pytest
from chain import (
    ENTRY,
    LISTS,
    OPERATIONS,
    RESOURCE_TYPES,
    StoredState,
    create_by_hand,
    create_with_marker,
    desired,
    listed_ids,
    marker_of,
    onboard,
)

from airflow_provider_aep.attempt import Attempt, task_nonce
from airflow_provider_aep.client import flow_service, schema_registry
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepConflictError,
    AepError,
    AepLostResponseError,
    AepPermissionError,
)
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.reconcile.consistency import read
from airflow_provider_aep.onboarding.reconcile.marker import identity, split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import CreateOptions, at
from airflow_provider_aep.onboarding.reconcile.terms import Terms
from airflow_provider_aep.onboarding.resources import (
    AD_HOC_CLASS,
    BASE_CONNECTION,
    FLOW,
    MAPPING_SET,
    SCHEMA,
    SOURCE_CONNECTION,
)
from airflow_provider_aep.onboarding.resources.ad_hoc_class import AdHocClassDesired
from airflow_provider_aep.onboarding.resources.base_connection import BaseConnectionType

NONCE, OTHER = "0123456789ab", "ba9876543210"
DESCRIBED = [name for name in RESOURCE_TYPES if name != "mapping"]
NUMBER = (ENTRY | {"source": "number"},)
"""Other mappings."""


def writes(emulator):
    return [w for w in emulator.writes() if not w.endswith("validate")]


@pytest.fixture
def ours(aep):
    """An onboarding that was made by us."""
    return onboard("X", lambda resource_type, state: reconcile(aep, resource_type, state, Attempt(NONCE)).result)


@pytest.fixture
def theirs(aep):
    """The same chain, made by hand with plain calls."""
    return onboard("X", lambda resource_type, state: create_by_hand(aep, resource_type, state))


def observed(client, name, state):
    [id_] = listed_ids(client, name, state)
    return read(client, RESOURCE_TYPES[name], id_)


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


def test_a_nonce_is_the_same_in_each_try_of_a_task():
    assert task_nonce("dag", "run", "task", -1) == task_nonce("dag", "run", "task", -1) == "d8966c33a8c6"
    assert task_nonce("dag", "run", "task", -1) != task_nonce("dag", "run", "task", 0)
    assert task_nonce() != task_nonce()


@pytest.mark.parametrize("name", RESOURCE_TYPES)
def test_every_object_says_whose_it_is(aep, ours, name):
    marker = observed(aep, name, ours[name]).marker
    path = {
        "base": "connectionSpec.id", "source": "baseConnectionId", "class": "behavior", "schema": "class",
        "dataset": "schemaRef.id", "target": "params.dataSetId", "mapping": "outputSchema.schemaRef.id",
        "flow": "flowSpec.id",
    }  # fmt: skip
    parent = at(ours[name].fields(), path.get(name, ""))
    assert marker.identity == identity(aep.settings, RESOURCE_TYPES[name].label, parent, ours[name].name)
    assert marker.nonce == NONCE


def test_the_marker_is_at_the_end_of_what_a_person_reads(emulator, aep):
    state = replace(desired("base", "X", {}), description="For the CRM team")
    reconcile(aep, BASE_CONNECTION, state, Attempt(NONCE))
    [(_, stored)] = emulator.world.store.everywhere("connections")
    assert re.fullmatch(r"For the CRM team \[aep:1:[0-9a-f]{16}:0123456789ab\]", stored["description"])
    assert split_marker(stored["description"])[0] == "For the CRM team"
    assert reconcile(aep, BASE_CONNECTION, state).action == "unchanged"


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_change_keeps_the_marker(aep, ours, name):
    """An update by another task keeps the nonce: it names the task that created the object."""
    reconcile(aep, RESOURCE_TYPES[name], replace(ours[name], description="changed"), Attempt(OTHER))
    there = observed(aep, name, ours[name])
    assert there.fields["description"] == "changed"
    assert there.marker.nonce == NONCE


def test_a_new_version_of_a_mapping_set_keeps_the_marker(aep, ours):
    reconcile(aep, MAPPING_SET, replace(ours["mapping"], mappings=NUMBER), Attempt(OTHER))
    assert observed(aep, "mapping", ours["mapping"]).marker.nonce == NONCE


# -- not ours -------------------------------------------------------------------------------------------------------


def test_a_chain_made_by_hand_is_adopted_with_zero_writes(emulator, aep, theirs):
    before = writes(emulator)
    assert [reconcile(aep, RESOURCE_TYPES[name], state).action for name, state in theirs.items()] == ["adopted"] * len(
        RESOURCE_TYPES
    )
    assert writes(emulator) == before


def test_what_was_made_by_another_onboarding_is_not_ours(emulator, aep):
    """Copied by hand, marker and all: the marker says for what it was made, and it was not for this."""
    base = desired("base", "X", {})
    marker = marker_of(aep, BASE_CONNECTION, replace(base, name="W base"), NONCE)
    aep.send(BASE_CONNECTION.create(base, CreateOptions(marker)))
    assert reconcile(aep, BASE_CONNECTION, base).action == "adopted"


@pytest.mark.parametrize("name", DESCRIBED)
def test_what_is_not_ours_and_differs_is_an_error_with_the_difference(emulator, aep, theirs, name):
    before = writes(emulator)
    with pytest.raises(
        AepConflictError,
        match="was not created by this onboarding, and differs: description is '', desired is 'new'.*take_over",
    ):
        reconcile(aep, RESOURCE_TYPES[name], replace(theirs[name], description="new"))
    assert writes(emulator) == before


@pytest.mark.parametrize("name", DESCRIBED)
def test_an_object_that_is_taken_over_is_updated_and_gets_our_marker(emulator, aep, theirs, name):
    state, before = replace(theirs[name], description="new"), writes(emulator)
    outcome = reconcile(aep, RESOURCE_TYPES[name], state, Attempt(NONCE), Terms(take_over=True))
    assert (outcome.action, outcome.changed) == ("updated", ("description", "marker"))
    assert len(writes(emulator)) == len(before) + 1
    assert observed(aep, name, state).marker.nonce == NONCE
    assert reconcile(aep, RESOURCE_TYPES[name], state, Attempt(OTHER), Terms(take_over=True)).action == "unchanged"


def test_a_mapping_set_is_taken_over(aep, theirs):
    state = replace(theirs["mapping"], mappings=NUMBER, flow_name="X flow")
    with pytest.raises(AepConflictError, match="was not created by this onboarding, and differs: mappings is"):
        reconcile(aep, MAPPING_SET, state)
    outcome = reconcile(aep, MAPPING_SET, state, Attempt(NONCE), Terms(take_over=True))
    assert (outcome.action, outcome.result["version"]) == ("updated", 1)
    assert observed(aep, "mapping", state).marker.nonce == NONCE


def test_what_is_equal_is_marked_too_when_it_is_taken_over(aep, theirs):
    outcome = reconcile(aep, FLOW, theirs["flow"], Attempt(NONCE), Terms(take_over=True))
    assert (outcome.action, outcome.changed) == ("updated", ("marker",))
    assert reconcile(aep, FLOW, theirs["flow"]).action == "unchanged"


def test_what_cannot_change_is_not_taken_over(emulator, aep, theirs):
    state, before = replace(theirs["source"], table="incident"), writes(emulator)
    with pytest.raises(AepConflictError, match="immutable fields differ: params.tableName"):
        reconcile(aep, SOURCE_CONNECTION, state, terms=Terms(take_over=True))
    assert writes(emulator) == before


def test_the_same_name_in_another_scope_is_an_error_that_names_both(aep, ours):
    other = reconcile(aep, BASE_CONNECTION, desired("base", "Y", {})).id
    with pytest.raises(
        AepConflictError, match=f"baseConnectionId is '{ours['source'].base_connection_id}', desired is '{other}'"
    ):
        reconcile(aep, SOURCE_CONNECTION, replace(ours["source"], base_connection_id=other))


def test_a_list_that_shows_more_than_was_asked_for_is_sieved(aep):
    """As where AEP knows no filter: names are compared here, to the letter."""

    class Unfiltered(BaseConnectionType):
        def find(self, name):
            return flow_service.list_connections({})

    loose = Unfiltered()
    one = reconcile(aep, loose, desired("base", "Y", {})).id
    other = reconcile(aep, loose, desired("base", "X", {}))
    assert other.action == "created"
    assert reconcile(aep, loose, desired("base", "y", {})).action == "created"
    assert reconcile(aep, loose, desired("base", "Y", {})).id == one


# -- if_exists ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain", ["ours", "theirs"])
@pytest.mark.parametrize("name", DESCRIBED)
def test_adopt_takes_it_as_it_is_and_says_what_differs(emulator, aep, request, chain, name):
    state = request.getfixturevalue(chain)[name]
    before = writes(emulator)
    outcome = reconcile(aep, RESOURCE_TYPES[name], replace(state, description="new"), terms=Terms(if_exists="adopt"))
    assert outcome.ignored == ("description",)
    assert writes(emulator) == before


@pytest.mark.parametrize("name", RESOURCE_TYPES)
def test_fail_wants_it_made_by_this_task(aep, ours, name):
    with pytest.raises(AepConflictError, match="exists, and this task did not create it"):
        reconcile(aep, RESOURCE_TYPES[name], ours[name], Attempt(OTHER), Terms(if_exists="fail"))
    assert (
        reconcile(aep, RESOURCE_TYPES[name], ours[name], Attempt(NONCE), Terms(if_exists="fail")).action == "unchanged"
    )


def test_fail_does_not_fail_at_what_a_lost_answer_made(emulator, virtual):
    emulator.fault("POST */connections", "reset", commit="now", calls=[1])
    outcome = reconcile(virtual, BASE_CONNECTION, desired("base", "X", {}), terms=Terms(if_exists="fail"))
    assert outcome.action == "unchanged"


def test_an_unknown_value_fails_before_any_request():
    with pytest.raises(
        AepConfigurationError, match="if_exists is 'maybe'.*Set if_exists to one of update, adopt, fail"
    ):
        Terms(if_exists="maybe")


# -- found is not usable --------------------------------------------------------------------------------------------


def test_a_disabled_flow_is_an_error_unless_it_shall_be_enabled(emulator, aep, ours):
    [flow] = listed_ids(aep, "flow", ours["flow"])
    aep.send(flow_service.disable_flow(flow))
    before = writes(emulator)
    with pytest.raises(AepConfigurationError, match="'X flow' .* is disabled.*enable=True"):
        reconcile(aep, FLOW, replace(ours["flow"], description="new"))
    assert writes(emulator) == before
    outcome = reconcile(aep, FLOW, ours["flow"], terms=Terms(enable=True))
    assert (outcome.action, outcome.changed) == ("updated", ("state",))
    assert aep.send(flow_service.get_flow(flow)).state == "enabled"


def test_our_own_draft_is_finished_and_somebody_elses_is_not(emulator, aep, ours):
    draft = replace(ours["flow"], name="Y flow", draft=True)
    reconcile(aep, FLOW, draft)
    assert reconcile(aep, FLOW, draft).action == "unchanged"  # a draft is what is wanted
    outcome = reconcile(aep, FLOW, replace(draft, draft=False))
    assert (outcome.action, outcome.changed) == ("updated", ("state",))
    assert aep.send(flow_service.get_flow(outcome.id)).state == "enabled"
    create_by_hand(aep, FLOW, replace(draft, name="Z flow"))
    before = writes(emulator)
    with pytest.raises(AepConfigurationError, match="'Z flow' .* is a draft that was not created by this onboarding"):
        reconcile(aep, FLOW, replace(draft, name="Z flow", draft=False))
    assert writes(emulator) == before


def test_a_draft_that_was_published_meanwhile_is_no_failure(emulator, aep, ours, monkeypatch):
    """The answer to an earlier try of the action was lost."""
    draft = reconcile(aep, FLOW, replace(ours["flow"], name="Y flow", draft=True)).id
    emulator.fault("POST */flows/{id}/action", "answer", status=503, commit="now", calls=[1])
    assert reconcile(aep, FLOW, replace(ours["flow"], name="Y flow")).changed == ("state",)
    assert aep.send(flow_service.get_flow(draft)).state == "enabled"
    assert emulator.unfired() == []


# -- mapping sets ---------------------------------------------------------------------------------------------------


@pytest.fixture
def forgetful(make_emulator):
    return make_emulator(assume=("mapping-set-name=dropped",))


def test_a_mapping_set_whose_name_aep_forgets_is_found_through_the_flow(forgetful):
    with forgetful.client() as client:
        states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
        before = writes(forgetful)
        outcome = reconcile(client, MAPPING_SET, replace(states["mapping"], flow_name="X flow"))
        assert (outcome.action, outcome.id) == ("unchanged", states["flow"].mapping_set["id"])
        assert writes(forgetful) == before


def test_a_set_that_another_flow_uses_is_never_changed(emulator, aep, ours):
    other = replace(ours["flow"], name="Z flow")
    reconcile(aep, FLOW, other)
    state, before = replace(ours["mapping"], mappings=NUMBER), writes(emulator)
    for flow_name in ("X flow", None):
        with pytest.raises(AepConflictError, match="'X mapping' .* is used by the flow 'Z flow'"):
            reconcile(aep, MAPPING_SET, replace(state, flow_name=flow_name))
    assert writes(emulator) == before
    assert reconcile(aep, MAPPING_SET, replace(ours["mapping"], flow_name="X flow")).action == "unchanged"
    aep.send(flow_service.delete_flow(listed_ids(aep, "flow", other)[0]))
    assert reconcile(aep, MAPPING_SET, replace(state, flow_name="X flow")).action == "updated"


def test_a_nameless_set_that_is_listed_twice_is_one(forgetful):
    """A flow that moves from one page to the next while they are read."""
    with forgetful.client() as client:
        states = onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
        items = client.items

        def twice(call):
            for item in items(call):
                yield from [item, item] if call.operation == "GET flows" else [item]

        client.items = twice
        outcome = reconcile(client, MAPPING_SET, replace(states["mapping"], flow_name="X flow"))
        existing = states["flow"].mapping_set["id"]
        assert (outcome.action, outcome.id, outcome.duplicates) == ("unchanged", existing, ())


def test_one_of_several_that_cannot_be_read_yet_counts(emulator, virtual):
    states = onboard("X", lambda resource_type, state: reconcile(virtual, resource_type, state).result)
    [eldest] = listed_ids(virtual, "mapping", states["mapping"])
    emulator.advance(1)
    create_with_marker(virtual, MAPPING_SET, states["mapping"], OTHER)
    emulator.fault("GET */mappingSets/{id}", "answer", status=404, calls=[1, 2])
    assert reconcile(virtual, MAPPING_SET, states["mapping"]).id == eldest
    assert emulator.unfired() == []


def test_of_several_sets_the_eldest_counts_and_the_others_are_said(emulator, virtual):
    states = onboard("X", lambda resource_type, state: reconcile(virtual, resource_type, state).result)
    [eldest] = listed_ids(virtual, "mapping", states["mapping"])
    emulator.advance(1)
    duplicate = create_with_marker(virtual, MAPPING_SET, states["mapping"], OTHER)
    outcome = reconcile(virtual, MAPPING_SET, states["mapping"])
    assert (outcome.id, outcome.duplicates) == (eldest, (duplicate["id"],))
    assert len(listed_ids(virtual, "mapping", states["mapping"])) == 2


# -- what a task stored ----------------------------------------------------------------------------------------------


def test_a_retry_that_sent_nothing_does_not_wait(emulator, virtual):
    """The first try died on its way to the create."""
    stored, state = StoredState(), desired("mapping", "X", {"schema": "none"})
    with pytest.raises(AepError):
        reconcile(virtual, MAPPING_SET, state, Attempt(NONCE, store=stored))
    schema = reconcile(virtual, SCHEMA, desired("schema", "X", {})).id
    slept = len(virtual.clock.slept)
    [task_state] = stored.values()
    assert set(task_state) == {"began", "version"}
    for key in list(stored):  # the same task, with what it needs
        again = desired("mapping", "X", {"schema": schema})
        scope = again.schema_id
        stored[f"aep:{identity(virtual.settings, 'mapping set', scope, 'X mapping')}"] = stored.pop(key)
    attempt = Attempt(NONCE, tried_before=True, store=stored)
    assert reconcile(virtual, MAPPING_SET, again, attempt).action == "created"
    assert virtual.clock.slept[slept:] == []


def test_a_retry_whose_notes_are_lost_is_suspicious(virtual):
    attempt = Attempt(NONCE, tried_before=True, store=StoredState())
    assert reconcile(virtual, BASE_CONNECTION, desired("base", "X", {}), attempt).action == "created"
    assert virtual.clock.slept == [60]


def test_a_create_that_left_late_is_waited_for_from_then_on(emulator, virtual):
    """It was throttled four times, and died when it was sent at last; what was noted first is long ago."""
    state, stored = desired("base", "X", {}), StoredState()
    emulator.fault("POST */connections", "answer", status=429, retry_after=25, calls=[1, 2, 3, 4])
    emulator.fault("POST */connections", "reset", commit="now", calls=[5])

    class Killed(BaseException):
        pass

    def die(seconds, sleep=virtual.clock.sleep):
        if len(emulator.requests("POST */connections")) == 5:
            raise Killed
        sleep(seconds)

    virtual.clock.sleep = die
    with pytest.raises(Killed):
        reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored))
    del virtual.clock.sleep
    emulator.advance(3)
    emulator.fault(LISTS["base"], "lag", seconds=15)
    outcome = reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, tried_before=True, store=stored))
    emulator.world.faults.clear()
    assert listed_ids(virtual, "base", state) == [outcome.id]


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.parametrize("blank", ["\n", "  ", " \n\n"])
def test_a_blank_at_the_end_of_a_description_is_no_change(emulator, aep, ours, name, blank):
    state = ours[name]
    [id_] = listed_ids(aep, name, state)
    text = replace(state, description=f"For the CRM team{blank}")
    assert reconcile(aep, RESOURCE_TYPES[name], text).action == "updated"
    before = writes(emulator)
    assert reconcile(aep, RESOURCE_TYPES[name], text).id == id_
    assert writes(emulator) == before


def test_a_mapping_set_of_a_deleted_schema_is_not_ours(emulator, virtual):
    """It cannot be deleted: an onboarding that was taken down, schema and all, can be made again."""
    schema = reconcile(virtual, SCHEMA, desired("schema", "X", {})).id
    first = reconcile(virtual, MAPPING_SET, desired("mapping", "X", {"schema": schema}))
    virtual.send(schema_registry.delete("schemas", schema))
    other = reconcile(virtual, SCHEMA, desired("schema", "X", {})).id
    again = reconcile(virtual, MAPPING_SET, desired("mapping", "X", {"schema": other}))
    assert again.action == "created"
    assert again.id != first.id
    assert reconcile(virtual, MAPPING_SET, desired("mapping", "X", {"schema": other})).id == again.id


def test_a_set_that_has_another_name_is_another_one(emulator, aep, ours):
    """Although the flow uses it."""
    state = replace(ours["mapping"], name="New mapping", flow_name="X flow")
    assert reconcile(aep, MAPPING_SET, state).action == "created"


def test_a_set_that_one_flow_of_somebody_uses_is_not_taken_over(emulator, aep, theirs):
    state, before = replace(theirs["mapping"], mappings=NUMBER), writes(emulator)
    with pytest.raises(AepConflictError, match="is used by the flow 'X flow'"):
        reconcile(aep, MAPPING_SET, state, terms=Terms(take_over=True))
    assert writes(emulator) == before


def test_a_title_that_a_class_has_is_said_after_one_create(emulator, virtual):
    fields = {"email": {"type": "string"}}
    reconcile(virtual, AD_HOC_CLASS, AdHocClassDesired(name="X schema", description="", properties=fields))
    with pytest.raises(AepConflictError, match="XDM-1521-400"):
        reconcile(virtual, SCHEMA, desired("schema", "X", {}))
    assert len(emulator.requests("POST */tenant/schemas")) == 1


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"take_over": "False"}, "take_over is 'False'.*Set take_over to True or False"),
        ({"concurrent_writers": None}, "concurrent_writers is None.*True or False"),
        ({"if_exists": "adopt", "take_over": True}, "if_exists is 'adopt', which contradicts take_over and replace"),
        ({"if_exists": "fail", "replace": True}, "if_exists is 'fail', which contradicts.*Remove if_exists"),
    ],
)
def test_invalid_terms_are_refused(terms, says):
    with pytest.raises(AepConfigurationError, match=says):
        Terms(**terms)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_an_invalid_creation_grace_period_is_refused(seconds):
    with pytest.raises(
        AepConfigurationError, match=f"creation_grace_period is {seconds}, not a number of seconds.*Set "
    ):
        Attempt(creation_grace_period=seconds)


def test_a_retry_waits_from_the_moment_that_was_noted(emulator, virtual):
    """The try died with its create; what it noted before says when."""
    state, stored = desired("base", "X", {}), StoredState()
    emulator.fault("POST */connections", "reset", commit="never")
    with pytest.raises(AepLostResponseError):
        reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored))
    emulator.world.faults.clear()
    [task_state] = stored.values()
    slept = len(virtual.clock.slept)
    assert reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored)).action == "created"
    assert virtual.clock.slept[slept:] == []  # the minute that the first try waited was enough
    assert "sent" in task_state


@pytest.mark.parametrize("age", [0, 20, 59])
def test_a_retry_waits_for_what_is_left_of_the_minute(emulator, virtual, age):
    state, stored = desired("base", "X", {}), StoredState()

    class Killed(BaseException):
        pass

    send = virtual.send

    def dying(call):
        if call.method == "POST":
            emulator.fault("POST */connections", "answer", status=504, commit=30, calls=[1])
            with pytest.raises(AepLostResponseError):
                send(call)
            raise Killed
        return send(call)

    virtual.send = dying
    with pytest.raises(Killed):
        reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored))
    virtual.send = send
    emulator.advance(age)
    outcome = reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored))
    assert listed_ids(virtual, "base", state) == [outcome.id]
    waited = sum(virtual.clock.slept)
    assert waited == 0 if age == 59 else 59 - age <= waited <= 61 - age


def test_what_was_noted_is_found_by_one_read(emulator, virtual):
    state, stored = desired("base", "X", {}), StoredState()
    made = reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored)).id
    emulator.fault(LISTS["base"], "lag", seconds=100)  # the list does not know it yet, and is not asked
    before = len(emulator.requests())
    assert reconcile(virtual, BASE_CONNECTION, state, Attempt(NONCE, store=stored)).id == made
    assert [r["operation"].rsplit("/", 1)[-1] for r in emulator.requests()[before:]] == ["{id}"]


@pytest.mark.parametrize("change", ["deleted", "renamed"])
def test_a_note_of_what_is_gone_means_find(emulator, aep, change):
    state, stored = desired("base", "X", {}), StoredState()
    made = reconcile(aep, BASE_CONNECTION, state, Attempt(NONCE, store=stored)).id
    if change == "deleted":
        aep.send(flow_service.delete_connection(made))
    else:
        etag = aep.send(flow_service.get_connection(made)).etag
        aep.send(flow_service.patch_connection(made, etag, [{"op": "replace", "path": "/name", "value": "Z base"}]))
    outcome = reconcile(aep, BASE_CONNECTION, state, Attempt(NONCE, store=stored))
    assert outcome.action == "created"
    assert outcome.id != made


def test_a_create_is_noted_before_it_is_sent(emulator, aep):
    class Refusing(StoredState):
        def set(self, key, value):
            raise OSError("the stored cannot be written")

    with pytest.raises(OSError, match="cannot be written"):
        reconcile(aep, BASE_CONNECTION, desired("base", "X", {}), Attempt(NONCE, store=Refusing()))
    assert writes(emulator) == []


def test_a_start_is_counted_from_the_create_however_long_it_was_waited_for(emulator, virtual):
    """Else AEP refuses it: the start has passed (1360-400), at every try again."""
    states = onboard("X", lambda resource_type, state: reconcile(virtual, resource_type, state).result)
    start = int(emulator.world.clock.now()) + 30
    schedule = replace(states["flow"].schedule, start_time=None, start_in_minutes=0.5)
    state = replace(states["flow"], name="Y flow", schedule=schedule)
    outcome = reconcile(virtual, FLOW, state, Attempt(NONCE, tried_before=True))
    made = virtual.send(flow_service.get_flow(outcome.id))
    assert int(made.scheduleParams["startTime"]) - start in {60, 61}


def test_a_start_that_passes_on_the_way_is_counted_anew(emulator, virtual):
    """A throttled create leaves again, minutes later."""
    states = onboard("X", lambda resource_type, state: reconcile(virtual, resource_type, state).result)
    start = int(emulator.world.clock.now()) + 60
    schedule = replace(states["flow"].schedule, start_time=None, start_in_minutes=1)
    state = replace(states["flow"], name="Y flow", schedule=schedule)
    emulator.fault("POST */flows", "answer", status=429, retry_after=100, calls=[1])
    made = virtual.send(flow_service.get_flow(reconcile(virtual, FLOW, state).id))
    assert int(made.scheduleParams["startTime"]) - start in {100, 101}
    assert emulator.unfired() == []


def test_a_title_that_an_unheard_try_took_is_ours(emulator, virtual):
    """The list lags, and the create is refused (XDM-1521-400): by what an earlier try of us made."""
    state = desired("schema", "X", {})
    create_with_marker(virtual, SCHEMA, state, NONCE)
    emulator.fault(LISTS["schema"], "lag", seconds=30)
    outcome = reconcile(virtual, SCHEMA, state, Attempt(NONCE))
    assert outcome.action == "unchanged"
    assert virtual.clock.slept == [60]


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_engine_asks_for_nothing_twice(emulator, aep, ours, name):
    """What an unchanged re-run costs: one list."""
    before = len(emulator.requests())
    reconcile(aep, RESOURCE_TYPES[name], ours[name])
    assert len(emulator.requests()) - before == 1


def test_what_was_made_and_cannot_be_read_yet_is_waited_for(emulator, virtual):
    """Reads may lag, too, and so may lists."""
    stored, state = StoredState(), desired("base", "X", {})
    made = reconcile(virtual, BASE_CONNECTION, state, Attempt(store=stored)).id
    emulator.advance(3)
    emulator.fault("GET */connections/{id}", "answer", status=404, calls=[1])
    emulator.fault("GET */connections", "lag", seconds=10)
    again = reconcile(virtual, BASE_CONNECTION, state, Attempt(tried_before=True, store=stored))
    assert (again.id, again.action) == (made, "unchanged")
    assert len(emulator.requests("POST */connections")) == 1


def test_a_first_try_that_sent_nothing_needs_no_wait(emulator, virtual):
    stored, state = StoredState(), desired("base", "X", {})
    emulator.fault("GET */connections", "answer", status=403)
    with pytest.raises(AepPermissionError):
        reconcile(virtual, BASE_CONNECTION, state, Attempt(store=stored))
    emulator.world.faults.clear()
    assert reconcile(virtual, BASE_CONNECTION, state, Attempt(tried_before=True, store=stored)).action == "created"
    assert virtual.clock.slept == []
