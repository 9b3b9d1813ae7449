"""Teardown: in order, only what is ours and unused, data by name, never in production, and again after a half one."""

import time

import pytest
from chain import onboard
from tasks import MAPPINGS, NAMES, flow, refused, run

from airflow_provider_aep.client import flow_service, sandboxes
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.onboarding.lifecycle import teardown
from airflow_provider_aep.onboarding.reconcile import consistency
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.resources import BASE_CONNECTION
from airflow_provider_aep.operators.control import AepDisableFlowOperator
from airflow_provider_aep.operators.flow import AepCreateMappingSetOperator
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateAdHocClassOperator,
    AepCreateAdHocSchemaOperator,
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetBaseConnectionOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.operators.teardown import (
    AepDeleteBaseConnectionOperator,
    AepDeleteDatasetOperator,
    AepDeleteFlowOperator,
    AepDeleteSchemaOperator,
    AepDeleteSourceConnectionOperator,
    AepDeleteTargetConnectionOperator,
    AepTeardownOnboardingOperator,
)

KINDS = ("flows", "sourceConnections", "targetConnections", "connections", "dataSets", "schemas", "mappingSets")


@pytest.fixture(autouse=True)
def soon_settled(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "0.05")


@pytest.fixture
def onboarded(aep, parts):
    return {**parts, "flow": flow(parts)}


def left(aep):
    return [kind for kind in KINDS if aep.world.store.everywhere(kind)]


def deleted(aep):
    return [w.split("/")[-2] for w in aep.writes() if w.startswith("DELETE")]


def unmark(aep, kind):
    [(scope, body)] = aep.world.store.everywhere(kind)
    aep.world.store.put(kind, scope, body["id"], {**body, "description": "by hand"}, name=body["name"])


def test_a_teardown_leaves_the_data(aep, onboarded):
    gone = run(AepTeardownOnboardingOperator, onboarding="X")
    assert gone == {
        NAMES.flow: onboarded["flow"],
        NAMES.source: onboarded["source_connection_id"],
        NAMES.target: onboarded["target_connection_id"],
        NAMES.base: onboarded["base"],
    }
    assert deleted(aep) == ["flows", "sourceConnections", "targetConnections", "connections"]
    assert left(aep) == ["dataSets", "schemas", "mappingSets"]
    [disabled] = [w for w in aep.requests("POST */flows/{id}/action") if "op=disable" in w["query"]]
    assert disabled["status"] == 200


def test_data_goes_when_it_is_named(aep, onboarded):
    gone = run(AepTeardownOnboardingOperator, onboarding="X", data=[NAMES.schema, NAMES.dataset])
    assert list(gone)[-2:] == [NAMES.dataset, NAMES.schema]
    assert left(aep) == ["mappingSets"]


def test_again_and_after_a_half_one_nothing_is_wrong(aep, onboarded):
    aep.fault("DELETE */targetConnections/{id}", "answer", status=403, calls=[1])
    with pytest.raises(AepPermanentError):
        run(AepTeardownOnboardingOperator, onboarding="X")
    assert deleted(aep)[:2] == ["flows", "sourceConnections"]
    assert list(run(AepTeardownOnboardingOperator, onboarding="X")) == [NAMES.target, NAMES.base]
    assert run(AepTeardownOnboardingOperator, onboarding="X") == {}


def test_a_lost_answer_is_no_failure(aep, onboarded):
    for resource in ("flows", "sourceConnections", "targetConnections", "connections"):
        aep.fault(f"DELETE */{resource}/{{id}}", "answer", status=503, commit="now", calls=[1])
    assert len(run(AepTeardownOnboardingOperator, onboarding="X")) == 4
    assert aep.unfired() == []
    assert left(aep) == ["dataSets", "schemas", "mappingSets"]


def test_a_disabled_flow_goes_too(aep, onboarded):
    run(AepDisableFlowOperator, flow_id=onboarded["flow"])
    assert len(run(AepTeardownOnboardingOperator, onboarding="X")) == 4


@pytest.mark.parametrize("kind", ["flows", "sourceConnections", "targetConnections", "connections"])
def test_what_is_not_ours_stops_it_before_the_first_deletion(aep, onboarded, kind):
    unmark(aep, kind)
    refused(aep, "was not created by this onboarding", AepTeardownOnboardingOperator, onboarding="X")


def test_what_was_only_used_is_kept_if_that_is_said(aep, onboarded):
    unmark(aep, "connections")
    gone = run(AepTeardownOnboardingOperator, onboarding="X", keep=[NAMES.base])
    assert list(gone) == [NAMES.flow, NAMES.source, NAMES.target]
    assert "connections" in left(aep)


def test_it_can_be_made_again_schema_and_all(aep, onboarded):
    run(AepTeardownOnboardingOperator, onboarding="X", data=[NAMES.schema, NAMES.dataset])
    columns = onboarded["columns"]
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    again = run(AepCreateMappingSetOperator, name=NAMES.mapping, schema_id=schema, mappings=MAPPINGS, columns=columns)
    assert again["id"] != onboarded["mapping_set"]["id"]


def test_what_was_made_a_moment_ago_is_waited_for(aep, onboarded):
    aep.fault("GET */flows", "lag", seconds=1000, calls=[1])
    assert len(run(AepTeardownOnboardingOperator, onboarding="X")) == 4
    assert aep.unfired() == []


def test_dependents_that_are_deleted_late_are_waited_for(aep, monkeypatch, request):
    """A target connection of somebody else's, made a moment ago: the rows could not be had again."""
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "2.5")
    aep.freeze(time.time() - 1000)  # the onboarding itself is listed
    onboarded = request.getfixturevalue("onboarded")
    aep.thaw()
    run(AepCreateTargetConnectionOperator, name="Y target", dataset_id=onboarded["dataset"])
    aep.fault("GET */targetConnections", "lag", seconds=2)
    refused(aep, "Y target", AepTeardownOnboardingOperator, onboarding="X", data=[NAMES.schema, NAMES.dataset])


def test_what_follows_at_once_does_not_find_what_is_gone(aep, onboarded, monkeypatch):
    """Lists may show for a while what was deleted."""
    items, bases = AepClient.items, []

    def behind(self, call):
        found = [*items(self, call)]
        if call.operation == "GET connections":
            bases.extend(found)
            found = found or (bases[:1] if len(aep.requests("GET */connections")) < 6 else [])
        yield from found

    monkeypatch.setattr(AepClient, "items", behind)
    monkeypatch.setattr(teardown, "STATE_POLL", 0.01)
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "30")
    run(AepTeardownOnboardingOperator, onboarding="X")
    assert run(AepCreateBaseConnectionOperator, name=NAMES.base) != onboarded["base"]


def test_the_parts_of_another_onboarding_of_nearly_this_name_stay(aep, onboarded):
    """The dataset's base connection of X is called like the base connection of one that is called X dataset."""
    lake = run(AepCreateDatasetBaseConnectionOperator, name=NAMES.dataset_base)
    assert run(AepTeardownOnboardingOperator, onboarding="X dataset") == {}
    assert run(AepTeardownOnboardingOperator, onboarding="X")[NAMES.dataset_base] == lake


def test_a_list_that_shows_more_than_was_asked_for_is_sieved(aep, onboarded, monkeypatch):
    """As where AEP knows no filter: names are compared here, to the letter."""
    other = run(AepCreateBaseConnectionOperator, name="Y base")
    monkeypatch.setattr(type(BASE_CONNECTION), "find", lambda self, name: flow_service.list_connections({}))
    run(AepTeardownOnboardingOperator, onboarding="X")
    assert [body["id"] for _, body in aep.world.store.everywhere("connections")] == [other]


def test_a_sandbox_of_which_nothing_is_known_is_none_to_delete_in(aep, onboarded, monkeypatch):
    listing = sandboxes.list_sandboxes().then(lambda found: [s for s in found if s.name != "dev"])
    monkeypatch.setattr(sandboxes, "list_sandboxes", lambda: listing)
    refused(aep, "'dev' is not known to be a development sandbox", AepTeardownOnboardingOperator, onboarding="X")


def test_what_others_use_stops_it_before_the_first_deletion(aep, onboarded):
    table = {"base_connection_id": onboarded["base"], "table": "incident"}
    other = run(AepCreateSourceConnectionOperator, name="Y source", **table)
    says = f"base connection 'X base' .* is used by the source connection 'Y source' .{other}"
    refused(aep, says, AepTeardownOnboardingOperator, onboarding="X")


def test_a_base_connection_with_a_target_connection_is_kept(aep, onboarded):
    """As Adobe's tutorial has it: the lake's end has a base connection of its own."""
    lake = run(AepCreateDatasetBaseConnectionOperator, name=NAMES.dataset_base)
    dataset = {"dataset_id": onboarded["dataset"], "base_connection_id": lake}
    run(AepCreateTargetConnectionOperator, name="Y target", **dataset)
    refused(
        aep, "is used by the target connection 'Y target'", AepDeleteBaseConnectionOperator, base_connection_id=lake
    )


def test_a_schema_with_a_source_connection_is_kept(aep, onboarded):
    class_id = run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=onboarded["columns"])
    schema = run(AepCreateAdHocSchemaOperator, title=NAMES.source_schema, class_id=class_id)
    table = {"base_connection_id": onboarded["base"], "table": "incident", "schema_id": schema}
    run(AepCreateSourceConnectionOperator, name="Y source", **table)
    title = {"schema_id": schema, "title": NAMES.source_schema}
    refused(aep, "is used by the source connection 'Y source'", AepDeleteSchemaOperator, **title)


def test_a_dataset_that_others_write_to_stays(aep, onboarded):
    run(AepCreateTargetConnectionOperator, name="Y target", dataset_id=onboarded["dataset"])
    says = "dataset 'X dataset' .* is used by the target connection 'Y target'"
    refused(aep, says, AepTeardownOnboardingOperator, onboarding="X", data=[NAMES.dataset])


def test_a_schema_of_a_dataset_that_stays_stays(aep, onboarded):
    says = "schema 'X schema' .* is used by the dataset 'X dataset'"
    refused(aep, says, AepTeardownOnboardingOperator, onboarding="X", data=[NAMES.schema])


def test_a_schema_in_profile_stays(aep, onboarded):
    irreversible = {"schema_id": onboarded["schema"], "irreversible": True}
    email = {"path": "personalEmail.address", "namespace": "Email"}
    run(AepCreateIdentityDescriptorOperator, **email, **irreversible)
    run(AepEnableSchemaForProfileOperator, **irreversible)
    data = [NAMES.schema, NAMES.dataset]
    refused(aep, "is enabled for Profile", AepTeardownOnboardingOperator, onboarding="X", data=data)


def test_data_of_another_onboarding_is_not_asked_for(aep, onboarded):
    says = "data contains 'Y dataset', which this onboarding does not create.*'X dataset'"
    refused(aep, says, AepTeardownOnboardingOperator, onboarding="X", data=["Y dataset"])


def test_nothing_is_deleted_in_production_unless_the_deployer_allows_it(aep, onboarded, connect, monkeypatch):
    connect(aep, sandbox="prod")
    refused(
        aep, "'prod' is a production sandbox.*allow_production_teardown", AepTeardownOnboardingOperator, onboarding="X"
    )
    refused(aep, "production sandbox", AepDeleteFlowOperator, flow_id=onboarded["flow"])
    monkeypatch.setenv("AIRFLOW__AEP__ALLOW_PRODUCTION_TEARDOWN", "True")
    assert run(AepTeardownOnboardingOperator, onboarding="X") == {}  # what there is is in another sandbox
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    assert run(AepTeardownOnboardingOperator, onboarding="X") == {NAMES.base: base}


def test_each_by_its_id(aep, onboarded):
    def gone(operator, field, id_, **more):
        assert run(operator, **{field: id_}, **more) == id_
        assert run(operator, **{field: id_}, **more) == id_  # gone already

    gone(AepDeleteFlowOperator, "flow_id", onboarded["flow"])
    gone(AepDeleteSourceConnectionOperator, "source_connection_id", onboarded["source_connection_id"])
    gone(AepDeleteTargetConnectionOperator, "target_connection_id", onboarded["target_connection_id"])
    gone(AepDeleteBaseConnectionOperator, "base_connection_id", onboarded["base"])
    gone(AepDeleteDatasetOperator, "dataset_id", onboarded["dataset"], name=NAMES.dataset)
    gone(AepDeleteSchemaOperator, "schema_id", onboarded["schema"], title=NAMES.schema)
    assert left(aep) == ["mappingSets"]


def test_a_wrong_id_deletes_no_rows(aep, onboarded):
    says = "has the name 'X dataset', not 'Y dataset'"
    refused(aep, says, AepDeleteDatasetOperator, dataset_id=onboarded["dataset"], name="Y dataset")


@pytest.mark.parametrize(
    ("operator", "field", "key"),
    [
        (AepDeleteSourceConnectionOperator, "source_connection_id", "source_connection_id"),
        (AepDeleteTargetConnectionOperator, "target_connection_id", "target_connection_id"),
    ],
)
def test_what_a_flow_uses_stays(aep, onboarded, operator, field, key):
    refused(aep, "is used by the flow 'X flow'", operator, **{field: onboarded[key]})


def test_a_flow_on_its_way_out_is_waited_for(make_emulator, connect, monkeypatch):
    aep = make_emulator(transition=0.3)
    connect(aep)
    monkeypatch.setattr(consistency, "STATE_POLL", 0.05)
    with aep.client() as client:
        onboard("X", lambda resource_type, state: reconcile(client, resource_type, state).result)
        run(AepTeardownOnboardingOperator, onboarding="X")
        assert list(client.items(flow_service.list_flows({}))) == []
