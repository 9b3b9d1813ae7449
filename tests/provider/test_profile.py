"""Getting to Profile: prerequisites, consent, and no second write."""

import pytest
from tasks import NAMES, refused, run

from aep_emulator.core.faults import Rule
from airflow_provider_aep.client import consistency
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator,
    AepCreateIdentityNamespaceOperator,
    AepEnableDatasetForProfileOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateFieldGroupOperator,
    AepCreateSchemaOperator,
)

REGISTRY = "/data/foundation/schemaregistry"
EMAIL = {"path": "personalEmail.address", "namespace": "Email"}


@pytest.fixture
def made(aep):
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    return {
        "schema_id": schema,
        "dataset_id": run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema),
    }


def enable(operator, made, field, **more):
    return run(operator, **{field: made[field]}, irreversible=True, **more)


def test_all_three_steps_and_none_twice(aep, made):
    for _ in range(2):
        enable(AepCreateIdentityDescriptorOperator, made, "schema_id", **EMAIL)
        assert enable(AepEnableSchemaForProfileOperator, made, "schema_id") == made["schema_id"]
        assert enable(AepEnableDatasetForProfileOperator, made, "dataset_id") == made["dataset_id"]
        assert len(aep.writes()) == 5
    [(_, descriptor)] = aep.world.store.everywhere("descriptors")
    assert descriptor["xdm:sourceProperty"] == "/personalEmail/address"
    assert (descriptor["xdm:namespace"], descriptor["xdm:isPrimary"]) == ("Email", True)
    [(_, schema)] = aep.world.store.everywhere("schemas")
    assert schema["meta:immutableTags"] == ["union"]
    [(_, dataset)] = aep.world.store.everywhere("dataSets")
    assert dataset["tags"] == {
        "adobe/pqs/table": ["x_dataset"],
        "unifiedProfile": ["enabled:true"],
        "unifiedIdentity": ["enabled:true"],
    }


@pytest.mark.parametrize("consent", [False, None, "True", 1])
@pytest.mark.parametrize(
    ("operator", "field", "more", "says"),
    [
        (
            AepCreateIdentityDescriptorOperator,
            "schema_id",
            EMAIL,
            "a schema that is enabled for Profile keeps its primary",
        ),
        (AepEnableSchemaForProfileOperator, "schema_id", {}, "AEP removes no schema from the union"),
        (AepEnableDatasetForProfileOperator, "dataset_id", {}, "Profile and Identity Service keep"),
    ],
)
def test_nothing_irreversible_without_consent(aep, made, operator, field, more, says, consent):
    sent = len(aep.requests())
    message = refused(
        aep, f"AEP cannot undo this operation: {says}", operator, **{field: made[field]}, irreversible=consent, **more
    )
    assert "irreversible=True" in message
    assert len(aep.requests()) == sent


def test_the_prerequisites_are_checked_before_the_write(aep, made):
    def asked(operator, says, field, **more):
        refused(aep, says, operator, **{field: made[field]}, irreversible=True, **more)

    asked(AepEnableSchemaForProfileOperator, "neither a primary identity nor identityMap .XDM-1528-400", "schema_id")
    asked(AepEnableDatasetForProfileOperator, "not enabled for Profile.*Enable the schema", "dataset_id")
    enable(AepCreateIdentityDescriptorOperator, made, "schema_id", **EMAIL, primary=False)
    asked(AepEnableSchemaForProfileOperator, "XDM-1528-400", "schema_id")
    asked(AepCreateIdentityDescriptorOperator, "not a text field", "schema_id", path="personalEmail")
    asked(AepCreateIdentityDescriptorOperator, "not a text field", "schema_id", path="nobody.knows")


def test_what_was_written_a_moment_ago_may_not_be_there_yet(aep, made, monkeypatch):
    """AEP's reads lag behind its writes: each step looks again for what the one before it has written."""
    monkeypatch.setattr(consistency, "NOT_FOUND_WAITS", (0.01, 0.01))
    enable(AepCreateIdentityDescriptorOperator, made, "schema_id", **EMAIL)
    rule = {"operation": "GET */descriptors", "do": "lag", "seconds": 100, "calls": [1, 2]}
    aep.world.faults.add(Rule.model_validate(rule))
    enable(AepEnableSchemaForProfileOperator, made, "schema_id")
    assert [(f["seen"], f["fired"]) for f in aep.world.faults.report()] == [(3, 2)]


def test_a_schema_with_an_identity_map_needs_no_primary_identity(aep, made):
    [(scope, schema)] = aep.world.store.everywhere("schemas")
    schema["properties"] = {"identityMap": {"type": "object"}}
    aep.world.store.put("schemas", scope, schema["$id"], schema)
    assert enable(AepEnableSchemaForProfileOperator, made, "schema_id") == made["schema_id"]


def test_another_identity_is_a_conflict(aep, made):
    enable(AepCreateIdentityDescriptorOperator, made, "schema_id", **EMAIL)

    def asked(says, **more):
        refused(aep, says, AepCreateIdentityDescriptorOperator, schema_id=made["schema_id"], irreversible=True, **more)

    asked("another identity of this field.*'Email' .primary", **{**EMAIL, "namespace": "Phone"})
    asked("another identity of this field", **EMAIL, primary=False)
    asked("already has another primary identity: /personalEmail/address", path="mobilePhone.number", namespace="Phone")
    enable(
        AepCreateIdentityDescriptorOperator,
        made,
        "schema_id",
        path="mobilePhone.number",
        namespace="Phone",
        primary=False,
    )


def test_tags_of_old_with_a_space_are_enough(aep, made):
    [(scope, dataset)] = aep.world.store.everywhere("dataSets")
    dataset["tags"] |= {"unifiedProfile": ["enabled: true"], "unifiedIdentity": ["enabled:true"]}
    aep.world.store.put("dataSets", scope, dataset["id"], dataset)
    before = aep.writes()
    enable(AepEnableDatasetForProfileOperator, made, "dataset_id")
    assert aep.writes() == before


# -- identity namespaces ----------------------------------------------------------------------------------------------


LOYALTY = {"code": "Loyalty", "name": "Loyalty program", "id_type": "cross_device"}


def test_a_namespace_is_created_once_and_serves_a_descriptor(aep, made):
    for _ in range(2):
        assert run(AepCreateIdentityNamespaceOperator, **LOYALTY, irreversible=True) == "Loyalty"
        enable(AepCreateIdentityDescriptorOperator, made, "schema_id", path="person.name.lastName", namespace="Loyalty")
        assert aep.writes()[-2:] == ["POST /data/core/idnamespace/identities", f"POST {REGISTRY}/tenant/descriptors"]
    [(_, namespace)] = aep.world.store.everywhere("namespaces")
    assert namespace["idType"] == "CROSS_DEVICE"
    run(AepCreateIdentityNamespaceOperator, **LOYALTY, description="Numbers of cards", irreversible=True)
    [(_, namespace)] = aep.world.store.everywhere("namespaces")
    assert namespace["description"].startswith("Numbers of cards [aep:1:")


def test_a_namespace_of_adobe_is_used_and_not_changed(aep):
    taken = {"code": "Email", "name": "Email", "id_type": "EMAIL", "irreversible": True}
    assert run(AepCreateIdentityNamespaceOperator, **taken) == "Email"
    refused(
        aep, "immutable fields differ: name: the namespace is one of Adobe's", AepCreateIdentityNamespaceOperator,
        **{**taken, "name": "Our mail"},
    )  # fmt: skip
    refused(aep, "immutable fields differ: idType", AepCreateIdentityNamespaceOperator, **{**taken, "id_type": "PHONE"})


def test_a_code_that_differs_in_case_only_is_refused(aep):
    run(AepCreateIdentityNamespaceOperator, **LOYALTY, irreversible=True)
    alike = {**LOYALTY, "code": "loyalty", "irreversible": True}
    refused(
        aep,
        "the namespace 'Loyalty' exists, whose code differs in case only",
        AepCreateIdentityNamespaceOperator,
        **alike,
    )


def test_a_code_of_digits_is_text(aep, made):
    run(AepCreateIdentityNamespaceOperator, code=2024, name="Numbers", irreversible=True)
    enable(AepCreateIdentityDescriptorOperator, made, "schema_id", path="person.name.lastName", namespace=2024)
    [(_, descriptor)] = aep.world.store.everywhere("descriptors")
    assert descriptor["xdm:namespace"] == "2024"


def test_a_namespace_needs_consent_and_valid_arguments(aep):
    refused(aep, "AEP deletes no identity namespace", AepCreateIdentityNamespaceOperator, **LOYALTY)
    message = refused(
        aep, "code is 'A B'", AepCreateIdentityNamespaceOperator, code="A B", name=" ", id_type="X", irreversible=True
    )
    assert "name is ' '" in message
    assert "id_type is 'X'. Use one of COOKIE, CROSS_DEVICE" in message


@pytest.mark.parametrize(
    ("path", "namespace", "says"),
    [
        ("personalEmail.addresses", "Email", "Did you mean 'personalEmail.address'"),
        ("personalEmail.address", "Emails", "there is no identity namespace 'Emails'. Did you mean 'Email'"),
        ("personalEmail.address", "email", "Did you mean 'Email'"),
        ("personalEmail", "Email", "not a text field"),
        ("person.birthYear", "Email", "not a text field"),
        ("identityMap.Email[0].id", "Email", "in a list or a map"),
        ("personalEmail..address", "Email", "not a text field"),
    ],
)
def test_a_field_or_a_namespace_that_cannot_be_an_identity_is_refused(aep, monkeypatch, path, namespace, says):
    monkeypatch.setattr(consistency, "NOT_FOUND_WAITS", (0.01,))
    groups = ["profile-person-details", "profile-personal-details", "identitymap"]
    schema = run(AepCreateSchemaOperator, title="I schema", field_groups=groups)
    identity = {"schema_id": schema, "path": path, "namespace": namespace, "irreversible": True}
    refused(aep, says, AepCreateIdentityDescriptorOperator, **identity)


def test_all_that_is_wrong_with_an_identity_is_said_at_once(aep, made, monkeypatch):
    monkeypatch.setattr(consistency, "NOT_FOUND_WAITS", (0.01,))
    enable(AepCreateIdentityDescriptorOperator, made, "schema_id", **EMAIL)
    message = refused(
        aep, "The identity is invalid: path is 'nothing'", AepCreateIdentityDescriptorOperator,
        schema_id=made["schema_id"], path="nothing", namespace="Nothing", irreversible=True,
    )  # fmt: skip
    assert "there is no identity namespace 'Nothing'" in message
    assert "already has another primary identity: /personalEmail/address" in message


def test_a_field_of_the_tenant_is_an_identity(aep, made):
    fields = {"member.number": "string", "member.numbers": "string[]"}
    group = run(AepCreateFieldGroupOperator, title="G", fields=fields)
    schema = run(AepCreateSchemaOperator, title="T schema", field_groups=[group])
    identity = {"schema_id": schema, "namespace": "Phone", "irreversible": True}
    run(AepCreateIdentityDescriptorOperator, path="_{tenant}.member.number", **identity)
    [(_, descriptor)] = aep.world.store.everywhere("descriptors")
    assert descriptor["xdm:sourceProperty"] == "/_emulator/member/number"
    refused(aep, "in a list or a map", AepCreateIdentityDescriptorOperator, path="_{tenant}.member.numbers", **identity)


# -- upsert -----------------------------------------------------------------------------------------------------------


def test_a_dataset_is_tagged_for_upsert_and_keeps_its_other_tags(aep, made):
    enable(AepCreateIdentityDescriptorOperator, made, "schema_id", **EMAIL)
    enable(AepEnableSchemaForProfileOperator, made, "schema_id")
    enable(AepEnableDatasetForProfileOperator, made, "dataset_id")
    for upsert in (True, "True", True, False):
        enable(AepEnableDatasetForProfileOperator, made, "dataset_id", upsert=upsert)
        [(_, dataset)] = aep.world.store.everywhere("dataSets")
        assert dataset["tags"]["unifiedProfile"] == ["enabled:true", "isUpsert:true"]
        assert dataset["tags"]["unifiedIdentity"] == ["enabled:true"]
    assert len(aep.requests("PATCH */dataSets/{id}")) == 2
