"""Getting to Profile: prerequisites, consent, and no second write."""

import pytest
from tasks import NAMES, refused, run

from aep_emulator.core.faults import Rule
from airflow_provider_aep.client import consistency
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator,
    AepEnableDatasetForProfileOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.target import AepCreateDatasetOperator, AepCreateSchemaOperator

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
