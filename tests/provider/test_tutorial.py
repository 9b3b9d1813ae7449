"""The steps that only Adobe's own tutorial has."""

import pytest
from tasks import NAMES, refused, run

from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.operators.source import (
    AepCreateAdHocClassOperator,
    AepCreateAdHocSchemaOperator,
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetBaseConnectionOperator,
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)

PROFILE = "https://ns.adobe.com/xdm/context/profile"


@pytest.fixture
def explored(aep):
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    return base, run(AepExploreOperator, base_connection_id=base, table="customer_contact")


def stored(aep, kind):
    return [body for _, body in aep.world.store.everywhere(kind)]


def test_the_class_has_the_columns_and_the_schema_is_of_the_class(aep, explored):
    base, columns = explored
    class_id = run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=columns)
    [made] = stored(aep, "classes")
    [namespace] = made["allOf"][1]["properties"]
    assert namespace == made["meta:datasetNamespace"]
    fields = made["allOf"][1]["properties"][namespace]["properties"]
    assert fields == {c["name"]: c["xdm"] for c in columns}
    schema_id = run(AepCreateAdHocSchemaOperator, title=NAMES.source_schema, class_id=class_id)
    [schema] = stored(aep, "schemas")
    assert (schema["$id"], schema["meta:class"], schema["allOf"]) == (schema_id, class_id, [{"$ref": class_id}])
    rows = {"base_connection_id": base, "table": "customer_contact", "columns": columns, "schema_id": schema_id}
    run(AepCreateSourceConnectionOperator, name=NAMES.source, **rows)
    [source] = stored(aep, "sourceConnections")
    assert source["data"]["format"] == "tabular"
    assert source["data"]["schema"]["id"] == schema_id
    assert source["params"] == {"tableName": "customer_contact", "columns": columns}


def test_a_second_run_writes_nothing(aep, explored):
    base, columns = explored
    made, writes = None, None
    for _ in range(2):
        class_id = run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=columns, description="d")
        schema_id = run(AepCreateAdHocSchemaOperator, title=NAMES.source_schema, class_id=class_id)
        lake = run(AepCreateDatasetBaseConnectionOperator, name=NAMES.dataset_base)
        rows = {"base_connection_id": base, "table": "customer_contact", "schema_id": schema_id}
        ids = class_id, schema_id, lake, run(AepCreateSourceConnectionOperator, name=NAMES.source, **rows)
        assert made in {None, ids}
        assert writes in (None, aep.writes())
        made, writes = ids, aep.writes()


def test_a_description_of_a_class_is_updated(aep, explored):
    _, columns = explored
    first = run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=columns)
    assert run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=columns, description="new") == first
    assert split_marker(stored(aep, "classes")[0]["description"])[0] == "new"


def test_nested_columns_become_nested_fields(aep):
    columns = [
        {"name": "result.id", "xdm": {"type": "integer"}},
        {"name": "result.tags", "xdm": {"type": "array"}},
    ]
    run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=columns)
    [namespaced] = stored(aep, "classes")[0]["allOf"][1]["properties"].values()
    inside = namespaced["properties"]["result"]["properties"]
    assert inside == {"id": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}}


@pytest.mark.parametrize("names", [("a", "a.b"), ("a.b", "a"), ("a", "a"), ("a", "a.b.c")])
def test_columns_that_cannot_be_fields_of_one_class(aep, names):
    columns = [{"name": name, "xdm": {"type": "string"}} for name in names]
    refused(aep, f"'{names[1]}' conflicts with another column", AepCreateAdHocClassOperator, title="c", columns=columns)


def test_what_is_no_ad_hoc_class_is_refused(aep, explored, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "0.05")
    refused(aep, "columns is None, not a list", AepCreateAdHocClassOperator, title="c", columns=None)
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    refused(aep, "XDM-1011-404", AepCreateAdHocSchemaOperator, title="s", class_id=schema)
    refused(aep, "class_id is ''", AepCreateAdHocSchemaOperator, title="s", class_id="")
    taken = {"title": NAMES.schema, "columns": explored[1]}
    with pytest.raises(Exception, match="XDM-1521-400"):  # titles are unique across classes and schemas
        run(AepCreateAdHocClassOperator, **taken)


def test_a_class_is_no_schema_of_a_source(aep, explored):
    base, columns = explored
    class_id = run(AepCreateAdHocClassOperator, title=NAMES.source_class, columns=columns)
    rows = {"base_connection_id": base, "table": "customer_contact", "schema_id": class_id}
    refused(aep, "XDM-1012-404", AepCreateSourceConnectionOperator, name=NAMES.source, **rows)


def test_the_target_goes_through_the_dataset_base_connection(aep):
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    lake = run(AepCreateDatasetBaseConnectionOperator, name=NAMES.dataset_base)
    ends = {"name": NAMES.target, "dataset_id": dataset}
    target = run(AepCreateTargetConnectionOperator, **ends, base_connection_id=lake)
    assert stored(aep, "targetConnections")[0]["baseConnectionId"] == lake
    assert run(AepCreateTargetConnectionOperator, **ends) == target
    source = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    says = f"baseConnectionId is '{lake}', desired is '{source}'"
    refused(aep, says, AepCreateTargetConnectionOperator, **ends, base_connection_id=source)
    other = {"name": "other", "dataset_id": dataset}
    with pytest.raises(Exception, match="1307-400"):
        run(AepCreateTargetConnectionOperator, **other, base_connection_id=source)
