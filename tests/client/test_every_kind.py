"""Create, get, list, patch and delete each kind of object, client against emulator."""

from functools import partial

import pytest

from airflow_provider_aep.client import catalog, data_prep, flow_service, schema_registry
from airflow_provider_aep.client.errors import AepError, AepNotFoundError

SERVICENOW = {"id": "eb13cb25-47ab-407f-ba89-c0125281c563", "version": "1.0"}
CRM = {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"}
AUTH = {"specName": "Basic Authentication", "params": {"endpoint": "https://x", "username": "u", "password": "p"}}
REFS = [{"$ref": "https://ns.adobe.com/xdm/context/profile"}]
RENAME = [{"op": "replace", "path": "/name", "value": "renamed"}]
DESCRIBE = [{"op": "add", "path": "/description", "value": "described"}]


@pytest.fixture
def aep(emulator):
    with emulator.client() as client:
        yield client


@pytest.fixture
def made(aep):
    """One object of each kind, by kind."""
    ids = {}
    fields = {"_adhoc": {"type": "object", "properties": {"a": {"type": "string"}}}}
    class_body = {"title": "c", "allOf": [{"$ref": schema_registry.AD_HOC}, {"properties": fields}]}
    ids["class"] = aep.send(schema_registry.create("classes", class_body)).id
    own = {"_emulator": {"type": "object", "properties": {"a": {"type": "string"}}}}
    group = {"title": "g", "definitions": {"own": {"properties": own}}, "allOf": [{"$ref": "#/definitions/own"}]}
    ids["field group"] = aep.send(schema_registry.create("fieldgroups", group)).id
    groups = [{"$ref": "https://ns.adobe.com/xdm/context/profile-personal-details"}]
    schema = aep.send(schema_registry.create("schemas", {"title": "s", "allOf": REFS + groups}))
    ids["schema"] = schema.id
    ids["descriptor"] = aep.send(schema_registry.create_descriptor(descriptor(schema.id))).id
    ref = {"id": schema.id, "contentType": schema_registry.FULL}
    ids["dataset"] = aep.send(catalog.create_dataset({"name": "d", "schemaRef": ref}))
    base = {"name": "base", "auth": AUTH, "connectionSpec": SERVICENOW}
    ids["connection"] = aep.send(flow_service.create_connection(base)).id
    params = {"tableName": "incident"}
    source = {"name": "src", "baseConnectionId": ids["connection"], "connectionSpec": SERVICENOW, "params": params}
    source["data"] = {"format": "tabular"}
    ids["source_connection"] = aep.send(flow_service.create_source_connection(source)).id
    target = {"name": "t", "params": {"dataSetId": ids["dataset"]}, "connectionSpec": {"id": flow_service.DATA_LAKE}}
    ids["target_connection"] = aep.send(flow_service.create_target_connection(target)).id
    entry = {"sourceType": "ATTRIBUTE", "source": "sys_id", "destination": "_id"}
    set_ = {"name": "m", "outputSchema": {"schemaRef": ref}, "mappings": [entry]}
    ids["mapping_set"] = aep.send(data_prep.create_mapping_set(set_)).id
    flow = {
        "name": "f",
        "flowSpec": CRM,
        "sourceConnectionIds": [ids["source_connection"]],
        "targetConnectionIds": [ids["target_connection"]],
        "transformations": [{"name": "Mapping", "params": {"mappingId": ids["mapping_set"], "mappingVersion": 0}}],
        "scheduleParams": {"startTime": 4_000_000_000, "frequency": "once"},
    }
    ids["flow"] = aep.send(flow_service.create_flow(flow)).id
    return ids


def descriptor(schema_id, namespace="Email"):
    return {
        "@type": "xdm:descriptorIdentity",
        "xdm:sourceSchema": schema_id,
        "xdm:sourceVersion": 1,
        "xdm:sourceProperty": "/personalEmail/address",
        "xdm:namespace": namespace,
        "xdm:property": "xdm:code",
        "xdm:isPrimary": False,
    }


FLOW_SERVICE = ["connection", "source_connection", "target_connection", "flow"]
IN_ORDER = [
    ("flow", flow_service.get_flow, flow_service.delete_flow),
    ("source_connection", flow_service.get_source_connection, flow_service.delete_source_connection),
    ("target_connection", flow_service.get_target_connection, flow_service.delete_target_connection),
    ("connection", flow_service.get_connection, flow_service.delete_connection),
    ("mapping_set", data_prep.get_mapping_set, data_prep.delete_mapping_set),
    ("dataset", catalog.get_dataset, catalog.delete_dataset),
    ("descriptor", schema_registry.get_descriptor, schema_registry.delete_descriptor),
    ("schema", partial(schema_registry.get, "schemas"), partial(schema_registry.delete, "schemas")),
    ("field group", partial(schema_registry.get, "fieldgroups"), partial(schema_registry.delete, "fieldgroups")),
    ("class", partial(schema_registry.get, "classes"), partial(schema_registry.delete, "classes")),
]


@pytest.mark.parametrize("kind", FLOW_SERVICE)
def test_flow_services_kinds_are_got_listed_and_patched(aep, made, kind):
    get, list_, patch = (getattr(flow_service, f) for f in (f"get_{kind}", f"list_{kind}s", f"patch_{kind}"))
    found = aep.send(get(made[kind]))
    assert [o.id for o in aep.items(list_({"name": found.name}))] == [made[kind]]
    patched = aep.send(patch(made[kind], found.etag, RENAME))
    assert patched.id == made[kind]
    assert patched.etag not in {"", found.etag}
    assert aep.send(get(made[kind])).name == "renamed"
    assert list(aep.items(list_({"name": found.name}))) == []


@pytest.mark.parametrize("kind", ["schema", "class", "field group"])
def test_the_registrys_kinds_are_got_listed_and_patched(aep, made, kind):
    resource = {"schema": "schemas", "class": "classes", "field group": "fieldgroups"}[kind]
    get, list_ = partial(schema_registry.get, resource), partial(schema_registry.find, resource)
    found = aep.send(get(made[kind]))
    assert [o.id for o in aep.items(list_(found.title))] == [made[kind]]
    assert aep.send(schema_registry.patch(resource, made[kind], DESCRIBE)).version == "1.1"
    assert aep.send(get(made[kind])).description == "described"


def test_the_others_are_got_listed_and_written(aep, made):
    assert [d.id for d in aep.items(schema_registry.list_descriptors(made["schema"]))] == [made["descriptor"]]
    put = schema_registry.put_descriptor(made["descriptor"], descriptor(made["schema"], "Phone"))
    assert aep.send(put) == made["descriptor"]
    assert aep.send(schema_registry.get_descriptor(made["descriptor"])).namespace == "Phone"
    assert [d.id for d in aep.items(catalog.list_datasets("d"))] == [made["dataset"]]
    assert aep.send(catalog.patch_dataset(made["dataset"], {"description": "described"})) == made["dataset"]
    assert aep.send(catalog.tag_dataset(made["dataset"], {"mine": ["x"]})) == made["dataset"]
    dataset = aep.send(catalog.get_dataset(made["dataset"]))
    assert (dataset.description, dataset.tags) == ("described", {"adobe/pqs/table": ["d"], "mine": ["x"]})
    assert [m.id for m in aep.items(data_prep.list_mapping_sets("m"))] == [made["mapping_set"]]


def test_all_are_deleted_in_their_order_and_in_no_other(aep, made):
    for kind, _, delete in IN_ORDER[1:5] + IN_ORDER[7:8]:
        with pytest.raises(AepError):
            aep.send(delete(made[kind]))
    for kind, get, delete in IN_ORDER:
        assert aep.send(delete(made[kind])) is None
        with pytest.raises(AepNotFoundError):
            aep.send(get(made[kind]))


def test_drafts_are_published_and_runs_started(aep, made):
    base = flow_service.create_connection({"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}, draft=True)
    draft = aep.send(base).id
    assert aep.send(flow_service.get_connection(draft)).state == "draft"
    aep.send(flow_service.publish_connection(draft))
    assert aep.send(flow_service.get_connection(draft)).state == "enabled"
    for verb in ("disable", "enable"):
        assert aep.send(getattr(flow_service, f"{verb}_flow")(made["flow"])).id == made["flow"]
    window = {"windowStartTime": 0, "windowEndTime": 1, "deltaColumn": {"name": "sys_updated_on"}}
    run = aep.send(flow_service.create_run(made["flow"], window))
    assert aep.send(flow_service.get_run(run.id)).flowId == made["flow"]
    with pytest.raises(AepError):
        aep.send(flow_service.retrigger_run(run.id))  # it has not failed
