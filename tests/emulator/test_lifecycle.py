"""Deletion, drafts, actions, on-demand runs and Profile, with Adobe's codes for refusals."""

import time

import pytest
from plain_http import AUTH, CATALOG, CONTEXT, DATA_LAKE, FLOW, FULL, PREP, REGISTRY, SERVICENOW, Onboarding

RAW = {"Accept": "application/vnd.adobe.xed+json;version=1"}
LATER = {"startTime": int(time.time()) + 10_000, "frequency": "once"}
HOURLY = {"startTime": int(time.time()) + 10_000, "frequency": "hour", "interval": 1}


def act(aep, resource, id_, op):
    return aep("POST", f"{FLOW}/{resource}/{id_}/action", params={"op": op})


# -- deleting -------------------------------------------------------------------------------------------------------


def test_objects_in_use_cannot_be_deleted_and_others_can(aep, onboarding):
    o = onboarding
    flow = o.flow(LATER)
    aep.refused(400, "1418-400", "DELETE", f"{FLOW}/connections/{o.base}")
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/sourceConnections/{o.source}")
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/targetConnections/{o.target}")
    for path in (f"{PREP}/mappingSets/{o.mapping['id']}", f"{REGISTRY}/tenant/schemas/{o.schema.replace('/', '%2F')}"):
        assert aep("DELETE", path).status_code == 400
    for resource, id_ in (("flows", flow), ("sourceConnections", o.source), ("targetConnections", o.target)):
        assert aep("DELETE", f"{FLOW}/{resource}/{id_}").status_code == 204
        aep.refused(404, "1101-404", "GET", f"{FLOW}/{resource}/{id_}")
        aep.refused(404, "1101-404", "DELETE", f"{FLOW}/{resource}/{id_}")
    assert aep("DELETE", f"{FLOW}/connections/{o.base}").status_code == 204
    assert aep("DELETE", f"{PREP}/mappingSets/{o.mapping['id']}").status_code == 204
    assert aep("DELETE", f"{CATALOG}/dataSets/{o.dataset}").json() == [f"@/dataSets/{o.dataset}"]
    assert aep("GET", f"{CATALOG}/dataSets/{o.dataset}").status_code == 404
    schema = f"{REGISTRY}/tenant/schemas/{o.schema.replace('/', '%2F')}"
    assert aep("DELETE", schema).status_code == 204
    aep.refused(404, "XDM-1012-404", "GET", schema, headers=RAW)


def test_deleting_a_dataset_deletes_its_data(emulator, aep, onboarding):
    onboarding.run(onboarding.flow())
    assert list(emulator.lake.rglob("*.parquet"))
    aep("DELETE", f"{CATALOG}/dataSets/{onboarding.dataset}")
    assert not list(emulator.lake.rglob("*.parquet"))


# -- states ---------------------------------------------------------------------------------------------------------


def test_actions_depend_on_the_state(aep, onboarding):
    flow = onboarding.flow(LATER)
    where = f"{FLOW}/flows/{flow}/action"
    for op, code in (
        ("enable", "1422-400"),
        ("publish", "1422-400"),
        ("finalize", "1402-400"),
        ("explode", "1435-400"),
        ("", "1435-400"),
    ):
        aep.refused(400, code, "POST", where, params={"op": op})
    before = aep("GET", f"{FLOW}/flows/{flow}").json()["items"][0]["etag"]
    answer = act(aep, "flows", flow, "DISABLE").json()
    assert answer["id"] == flow
    assert answer["etag"] != before
    aep.refused(400, "1422-400", "POST", where, params={"op": "disable"})
    assert act(aep, "flows", flow, "enable").status_code == 200
    aep.refused(404, "1101-404", "POST", f"{FLOW}/flows/nobody/action", params={"op": "enable"})


def test_a_disabled_flow_does_not_run(aep, onboarding):
    flow = onboarding.flow()
    act(aep, "flows", flow, "disable")
    aep.emulator.freeze()
    aep.emulator.advance(3)  # past its start time
    assert aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}"}).json()["items"] == []
    act(aep, "flows", flow, "enable")
    aep.emulator.advance(0)
    assert onboarding.run(flow)["metrics"]["statusSummary"]["status"] == "success"


def test_drafts_are_published_after_their_parents(aep):
    def draft(resource, body):
        return aep.post(f"{FLOW}/{resource}?mode=draft", body)["id"]

    def state(resource, id_):
        return aep("GET", f"{FLOW}/{resource}/{id_}").json()["items"][0]["state"]

    o = Onboarding(aep)
    base = draft("connections", {"name": "draft", "auth": AUTH, "connectionSpec": SERVICENOW})
    source = draft("sourceConnections", {**o.source_body(), "baseConnectionId": base})
    target = draft("targetConnections", o.target_body())
    body = o.flow_body(LATER, sourceConnectionIds=[source], targetConnectionIds=[target])
    flow = draft("flows", body)
    chain = [("connections", base), ("sourceConnections", source), ("targetConnections", target), ("flows", flow)]
    assert {state(*one) for one in chain} == {"draft"}
    for resource, id_ in (chain[3], chain[1]):
        aep.refused(400, "1422-400", "POST", f"{FLOW}/{resource}/{id_}/action", params={"op": "publish"})
    for resource, id_ in chain:
        assert act(aep, resource, id_, "publish").status_code == 200
        aep.refused(400, "1422-400", "POST", f"{FLOW}/{resource}/{id_}/action", params={"op": "publish"})
    assert {state(*one) for one in chain} == {"enabled"}
    aep.refused(400, "1368-400", "POST", f"{FLOW}/flows", params={"mode": "nonsense"}, json=body)


def test_fields_of_a_schedule_that_are_immutable_after_the_start(aep, onboarding):
    past = {"startTime": int(time.time()) + 2, "frequency": "hour", "interval": 1, "backfill": True}
    flow = onboarding.flow(past, delta="sys_updated_on")
    aep.emulator.freeze()
    aep.emulator.advance(3)  # past its start time

    def patch(status, code, path, value):
        etag = aep("GET", f"{FLOW}/flows/{flow}").json()["items"][0]["etag"]
        ops = [{"op": "replace", "path": path, "value": value}]
        aep.refused(status, code, "PATCH", f"{FLOW}/flows/{flow}", headers={"If-Match": etag}, json=ops)

    once = {"startTime": past["startTime"], "frequency": "once"}
    patch(400, "1366-400", "/scheduleParams", once)
    patch(400, "1404-400", "/scheduleParams/backfill", False)
    patch(400, "1360-400", "/scheduleParams/startTime", 1_000_000)


@pytest.mark.parametrize(
    ("resource", "op", "code"),
    [
        ("connections", {"op": "replace", "path": "/auth/specName", "value": "OAuth"}, "1415-400"),
        ("connections", {"op": "remove", "path": "/auth/params/username"}, "1304-400"),
        ("connections", {"op": "remove", "path": "/auth"}, "1304-400"),
        ("sourceConnections", {"op": "replace", "path": "/data/format", "value": "parquet_xdm"}, "1327-400"),
        ("sourceConnections", {"op": "replace", "path": "/params/tableName", "value": "gone"}, "1330-400"),
        ("sourceConnections", {"op": "remove", "path": "/params"}, "1304-400"),
        ("targetConnections", {"op": "replace", "path": "/params/dataSetId", "value": "gone"}, "1101-404"),
        ("targetConnections", {"op": "remove", "path": "/params"}, "1324-400"),
        ("targetConnections", {"op": "add", "path": "/data/format", "value": "nonsense"}, "1396-400"),
    ],
)
def test_a_patch_with_an_invalid_result_is_refused(aep, onboarding, resource, op, code):
    of = {
        "connections": onboarding.base,
        "sourceConnections": onboarding.source,
        "targetConnections": onboarding.target,
    }
    where = f"{FLOW}/{resource}/{of[resource]}"
    before = aep("GET", where).json()
    headers = {"If-Match": before["items"][0]["etag"]}
    aep.refused(int(code[-3:]), code, "PATCH", where, headers=headers, json=[op])
    assert aep("GET", where).json() == before


def test_only_drafts_refer_to_drafts(aep, onboarding):
    body = {"name": "draft", "auth": AUTH, "connectionSpec": SERVICENOW}
    base = aep.post(f"{FLOW}/connections?mode=draft", body)["id"]
    source = onboarding.source_body(baseConnectionId=base)
    aep.refused(400, "1422-400", "POST", f"{FLOW}/sourceConnections", json=source)
    draft = aep.post(f"{FLOW}/sourceConnections?mode=draft", source)["id"]
    flow = onboarding.flow_body(LATER, sourceConnectionIds=[draft])
    aep.refused(400, "1422-400", "POST", f"{FLOW}/flows", json=flow)
    lake = aep.post(f"{FLOW}/connections?mode=draft", {"name": "lake", "connectionSpec": DATA_LAKE})["id"]
    target = onboarding.target_body(baseConnectionId=lake)
    aep.refused(400, "1422-400", "POST", f"{FLOW}/targetConnections", json=target)


def test_a_one_time_flow_has_no_copy_transformation(aep, onboarding):
    body = onboarding.flow_body(LATER)
    body["transformations"].insert(0, {"name": "Copy", "params": {"deltaColumn": None}})
    aep.refused(400, "1369-400", "POST", f"{FLOW}/flows", json=body)


# -- Catalog's filters ----------------------------------------------------------------------------------------------


def test_datasets_and_batches_are_filtered(aep, onboarding):
    ref = {"id": onboarding.schema, "contentType": FULL}
    for name in ("B", "C"):
        aep.post(f"{CATALOG}/dataSets", {"name": name, "schemaRef": ref, "description": name})
    onboarding.run(onboarding.flow())

    def names(**params):
        answer = aep("GET", f"{CATALOG}/dataSets", params=params)
        assert answer.status_code == 200, answer.text
        return [d.get("name") for d in answer.json().values()]

    assert names(name="B,C") == ["B", "C"]
    assert names(name="!B") == ["dataset", "C"]
    assert names(property="name!=B") == ["dataset", "C"]
    assert names(property="description") == ["B", "C"]
    assert names(property="!description") == ["dataset"]
    assert list(aep("GET", f"{CATALOG}/dataSets", params={"properties": "name"}).json().values())[0] == {
        "name": "dataset"
    }
    for bad in (
        {"property": "name~("},
        {"property": "created<now"},
        {"property": "!name==B"},
        {"nonsense": "x"},
        {"createdAfter": "now"},
    ):
        assert aep("GET", f"{CATALOG}/dataSets", params=bad).status_code == 400

    def batches(**params):
        return len(aep("GET", f"{CATALOG}/batches", params=params).json())

    later = int(time.time() * 1000) + 100_000
    assert (batches(status="success"), batches(status="failure")) == (1, 0)
    assert (batches(createdAfter=1), batches(createdAfter=later), batches(createdBefore=later)) == (1, 0, 1)


def test_tags_of_adobe_are_reserved(aep, onboarding):
    ref = {"id": onboarding.schema, "contentType": FULL}
    body = {"name": "x", "schemaRef": ref, "tags": {"adobe/siphon/table/format": ["delta"]}}
    assert aep("POST", f"{CATALOG}/dataSets", json=body).status_code == 400


# -- runs on demand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"flowId": "nobody"}, "1430-400"),
        ({"params": {}}, "1384-400"),
        ({"params": {"windowStartTime": "x", "windowEndTime": 1}}, "1384-400"),
        ({"params": {"windowStartTime": 2, "windowEndTime": 1}}, "1381-400"),
        ({"params": {"windowStartTime": 1, "windowEndTime": 2}}, "1383-400"),
        ({"params": {"windowStartTime": 1, "windowEndTime": 2, "deltaColumn": {"name": "email"}}}, "1383-400"),
    ],
)
def test_an_on_demand_run_is_refused(aep, onboarding, changes, code):
    body = {"flowId": onboarding.flow(LATER), "params": {}}
    aep.refused(400, code, "POST", f"{FLOW}/runs", json={**body, **changes})


def test_an_on_demand_run_keeps_the_delta_column(aep, onboarding):
    flow = onboarding.flow(LATER)
    window = {"windowStartTime": "1751328000", "windowEndTime": 1754006400}  # July 2025; a string will do
    params = {**window, "deltaColumn": {"name": "sys_updated_on"}}
    [made] = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})["items"]
    run = onboarding.run(flow)
    assert run["id"] == made["id"]
    assert 0 < run["metrics"]["recordSummary"]["inputRecordCount"] < 1000
    assert run["metrics"]["durationSummary"]["extensions"]["windowStart"] == 1_751_328_000_000
    assert aep.post(f"{FLOW}/runs", {"flowId": flow, "params": window})
    other = {**window, "deltaColumn": {"name": "sys_created_on"}}
    aep.refused(400, "1382-400", "POST", f"{FLOW}/runs", json={"flowId": flow, "params": other})
    act(aep, "flows", flow, "disable")
    aep.refused(400, "1388-400", "POST", f"{FLOW}/runs", json={"flowId": flow, "params": window})


def test_only_flows_that_run_once_run_on_demand(aep, onboarding):
    body = {"flowId": onboarding.flow(HOURLY, delta="sys_updated_on"), "params": {"windowStartTime": 1}}
    aep.refused(400, "1386-400", "POST", f"{FLOW}/runs", json=body)


def test_only_a_failed_run_can_be_retried(make_emulator, tmp_path):
    from plain_http import Plain

    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "customer_contact.csv"
    file.write_text("sys_id,email\n1,broken\n2,broken\n")
    aep = Plain(make_emulator(tmp_path / "data"))
    onboarding = Onboarding(aep)
    flow = onboarding.flow()
    run = onboarding.run(flow)
    assert run["metrics"]["statusSummary"]["status"] == "failed"
    file.write_text("sys_id,email\n1,a@b.example\n")
    where = f"{FLOW}/runs/{run['id']}/action"
    assert aep("POST", where, params={"op": "RE_TRIGGER"}).json()["id"] == run["id"]
    deadline = time.monotonic() + 20
    while (again := onboarding.run(flow))["metrics"]["statusSummary"]["status"] != "success":
        assert time.monotonic() < deadline
    assert again["createdAt"] == run["createdAt"]
    aep.refused(400, "1387-400", "POST", where, params={"op": "re_trigger"})
    act(aep, "flows", flow, "disable")
    aep.refused(400, "1388-400", "POST", where, params={"op": "RE_TRIGGER"})
    aep.refused(400, "1435-400", "POST", where, params={"op": "STOP"})


# -- classes, descriptors, Profile ----------------------------------------------------------------------------------

AD_HOC = "https://ns.adobe.com/xdm/data/adhoc"


def class_body(title="class", **changes):
    fields = {"_adhoc": {"type": "object", "properties": {"a": {"type": "string"}}}}
    return {"title": title, "type": "object", "allOf": [{"$ref": AD_HOC}, {"properties": fields}], **changes}


def test_an_ad_hoc_class_and_its_schema(aep):
    made = aep.post(f"{REGISTRY}/tenant/classes", class_body())
    assert made["meta:extends"] == [AD_HOC]
    namespace = made["meta:datasetNamespace"]
    assert list(made["allOf"][1]["properties"]) == [namespace]
    body = {"title": "schema", "type": "object", "allOf": [{"$ref": made["$id"]}]}
    schema = aep.post(f"{REGISTRY}/tenant/schemas", body)
    assert (schema["meta:class"], schema["meta:extends"]) == (made["$id"], [made["$id"], AD_HOC])
    full = aep("GET", f"{REGISTRY}/tenant/schemas/{schema['meta:altId']}", headers={"Accept": FULL}).json()
    assert full["properties"][namespace]["properties"] == {"a": {"type": "string"}}
    listed = aep("GET", f"{REGISTRY}/tenant/classes", headers={"Accept": "application/vnd.adobe.xed-id+json"}).json()
    assert [c["title"] for c in listed["results"]] == ["class"]
    used = aep("DELETE", f"{REGISTRY}/tenant/classes/{made['meta:altId']}")
    assert (used.status_code, "in use by schema of schemas" in used.text) == (400, True)
    aep("DELETE", f"{REGISTRY}/tenant/schemas/{schema['meta:altId']}")
    assert aep("DELETE", f"{REGISTRY}/tenant/classes/{made['meta:altId']}").status_code == 204


@pytest.mark.parametrize("accept", ["xed-nonsense+json;version=1", "xed+json;version=1.0", "xed+json; version=2"])
def test_an_unknown_format_or_version_is_refused(aep, onboarding, accept):
    where = f"{REGISTRY}/tenant/schemas/{onboarding.schema.replace('/', '%2F')}"
    assert aep("GET", where, headers={"Accept": f"application/vnd.adobe.{accept}"}).status_code == 406


def test_titles_are_unique_across_classes_and_schemas(aep, onboarding):
    aep.refused(400, "XDM-1521-400", "POST", f"{REGISTRY}/tenant/classes", json=class_body("schema"))


@pytest.mark.parametrize("changes", [{"allOf": []}, {"allOf": [{"$ref": f"{CONTEXT}profile"}]}, {"title": ""}])
def test_an_invalid_class_is_refused(aep, changes):
    assert aep("POST", f"{REGISTRY}/tenant/classes", json=class_body(**changes)).status_code == 400


def test_the_former_source_format_of_the_tutorial_is_refused(aep, onboarding):
    body = onboarding.source_body(data={"format": "parquet_xdm", "schema": {"id": onboarding.schema}})
    aep.refused(400, "1327-400", "POST", f"{FLOW}/sourceConnections", json=body)
    body = onboarding.source_body(data={"format": "tabular", "schema": {"id": onboarding.schema}})
    assert aep.post(f"{FLOW}/sourceConnections", body)
    made = aep.post(f"{REGISTRY}/tenant/classes", class_body())
    body = onboarding.source_body(data={"format": "tabular", "schema": {"id": made["$id"]}})
    aep.refused(400, "1391-400", "POST", f"{FLOW}/sourceConnections", json=body)


def test_the_dataset_base_connection_of_the_tutorial(aep, onboarding):
    lake = aep.post(f"{FLOW}/connections", {"name": "lake", "connectionSpec": DATA_LAKE})["id"]
    assert aep.post(f"{FLOW}/targetConnections", onboarding.target_body(baseConnectionId=lake))
    wrong = onboarding.target_body(baseConnectionId=onboarding.base)
    aep.refused(400, "1307-400", "POST", f"{FLOW}/targetConnections", json=wrong)
    gone = onboarding.target_body(baseConnectionId="nobody")
    aep.refused(404, "1101-404", "POST", f"{FLOW}/targetConnections", json=gone)


def descriptor(onboarding, **changes):
    return {
        "@type": "xdm:descriptorIdentity",
        "xdm:sourceSchema": onboarding.schema,
        "xdm:sourceVersion": 1,
        "xdm:sourceProperty": "/personalEmail/address",
        "xdm:namespace": "Email",
        "xdm:property": "xdm:code",
        "xdm:isPrimary": True,
        **changes,
    }


def test_a_descriptor_is_created_replaced_and_deleted(aep, onboarding):
    where = f"{REGISTRY}/tenant/descriptors"
    made = aep.post(where, descriptor(onboarding))
    id_ = made["@id"]
    listed = {"xdm-id": id_, "xdm-link": f"/tenant/descriptors/{id_}", "xdm": made}
    for form, expected in listed.items():
        answer = aep("GET", where, headers={"Accept": f"application/vnd.adobe.{form}+json"}).json()
        assert answer == {"xdm:descriptorIdentity": [expected]}
    v2 = {"Accept": "application/vnd.adobe.xdm-v2+json"}
    assert aep("GET", where, headers=v2).json()["results"] == [made]
    assert aep("GET", where, headers=v2, params={"property": "xdm:sourceSchema==other"}).json()["results"] == []
    aep.refused(400, "XDM-1008-400", "GET", where)
    assert aep("GET", f"{where}/{id_}").json() == made
    changed = descriptor(onboarding, **{"xdm:namespace": "Phone"})
    assert aep("PUT", f"{where}/{id_}", json=changed).json() == {"@id": id_}
    assert aep("GET", f"{where}/{id_}").json()["xdm:namespace"] == "Phone"
    assert aep("DELETE", f"{where}/{id_}").status_code == 204
    aep.refused(404, "XDM-1016-404", "GET", f"{where}/{id_}")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"@type": "xdm:descriptorOfNothing"}, 400),
        ({"xdm:sourceSchema": "nobody"}, 404),
        ({"xdm:sourceProperty": "personalEmail.address"}, 400),
        ({"xdm:sourceProperty": "/personalEmail"}, 400),
        ({"xdm:namespace": ""}, 400),
        ({"xdm:property": "code"}, 400),
        ({"xdm:isPrimary": "yes"}, 400),
    ],
)
def test_an_invalid_descriptor_is_refused(aep, onboarding, changes, status):
    answer = aep("POST", f"{REGISTRY}/tenant/descriptors", json=descriptor(onboarding, **changes))
    assert answer.status_code == status


def test_profile_needs_an_order_and_is_irreversible(aep, onboarding):
    schema = f"{REGISTRY}/tenant/schemas/{onboarding.schema.replace('/', '%2F')}"
    union = [{"op": "add", "path": "/meta:immutableTags", "value": ["union"]}]
    tag = [{"op": "add", "path": "/tags/unifiedProfile", "value": ["enabled:true"]}]
    patch = {"Content-Type": "application/json-patch+json"}
    dataset = f"{CATALOG}/dataSets/{onboarding.dataset}"
    aep.refused(400, "XDM-1528-400", "PATCH", schema, json=union)
    early = aep("PATCH", dataset, headers=patch, json=tag)
    assert (early.status_code, "not enabled for Profile" in early.text) == (400, True)
    id_ = aep.post(f"{REGISTRY}/tenant/descriptors", descriptor(onboarding))["@id"]
    assert aep("PATCH", schema, json=union).json()["meta:immutableTags"] == ["union"]
    assert aep("PATCH", dataset, headers=patch, json=tag).status_code == 200
    tags = aep("GET", dataset).json()[onboarding.dataset]["tags"]
    assert tags == {"adobe/pqs/table": ["dataset"], "unifiedProfile": ["enabled:true"]}
    assert aep("DELETE", f"{REGISTRY}/tenant/descriptors/{id_}").status_code == 400
    secondary = descriptor(onboarding, **{"xdm:isPrimary": False})
    assert aep("PUT", f"{REGISTRY}/tenant/descriptors/{id_}", json=secondary).status_code == 400
    aep("DELETE", dataset)
    gone = aep("DELETE", schema)
    assert (gone.status_code, "enabled for Profile" in gone.text) == (400, True)


@pytest.mark.parametrize(
    "op",
    [
        {"op": "remove", "path": "/tags/x"},
        {"op": "add", "path": "/schemaRef", "value": {}},
        {"op": "add", "path": "/tags/x", "value": "text"},
        {"op": "add", "path": "/tags/x", "value": [1]},
        "nonsense",
    ],
)
def test_an_invalid_patch_of_a_dataset_is_refused(aep, onboarding, op):
    patch = {"Content-Type": "application/json-patch+json"}
    answer = aep("PATCH", f"{CATALOG}/dataSets/{onboarding.dataset}", headers=patch, json=[op])
    assert answer.status_code == 400


# -- REST sources ---------------------------------------------------------------------------------------------------

ZENDESK = {"id": "0a27232b-2c6e-4396-b8c6-c9fc24e37ba4", "version": "1.0"}
REST = {"id": "6499120c-0b15-42dc-936e-847ea3c24d72", "version": "1.0"}
ASK = {"objectType": "rest", "object": "json", "fileType": "json", "preview": "true"}


@pytest.fixture
def zendesk(aep):
    auth = {"specName": "OAuth2 Refresh Code", "params": {"subdomain": "https://x", "accessToken": "hidden"}}
    return aep.post(f"{FLOW}/connections", {"name": "z", "auth": auth, "connectionSpec": ZENDESK})["id"]


@pytest.mark.parametrize("params", ["e30", "e30=", "eyJhIjoxfQ=="])
def test_records_are_explored(aep, zendesk, params):
    where = f"{FLOW}/connections/{zendesk}/explore"
    answer = aep("GET", where, params={**ASK, "sourceParams": params}).json()
    assert answer["format"] == "hierarchical"
    user = answer["schema"]["properties"]["result"]["properties"]
    assert user["id"] == {"type": "integer"}
    assert user["tags"] == {"type": "array"}
    assert len(answer["data"]) == 100
    assert "result" in answer["data"][0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"objectType": "table"}, "1358-400"),
        ({"objectType": "root"}, "1358-400"),
        ({"object": "users"}, "1337-400"),
        ({"sourceParams": "{}"}, "1335-400"),
        ({"sourceParams": "WzFd"}, "1335-400"),
    ],
)
def test_invalid_explore_requests_of_a_rest_source_are_refused(aep, zendesk, changes, code):
    aep.refused(400, code, "GET", f"{FLOW}/connections/{zendesk}/explore", params={**ASK, **changes})


def test_a_rest_source_has_json_and_no_delta_column(aep, onboarding, zendesk):
    body = {"name": "z", "baseConnectionId": zendesk, "connectionSpec": ZENDESK, "params": {}}
    aep.refused(400, "1327-400", "POST", f"{FLOW}/sourceConnections", json={**body, "data": {"format": "tabular"}})
    source = aep.post(f"{FLOW}/sourceConnections", {**body, "data": {"format": "json"}})["id"]
    daily = {"startTime": int(time.time()) + 100, "frequency": "day", "interval": 1}
    made = {"flowSpec": REST, "sourceConnectionIds": [source]}
    delta = onboarding.flow_body(daily, delta="result.updated_at", **made)
    aep.refused(400, "1392-400", "POST", f"{FLOW}/flows", json=delta)
    assert aep.post(f"{FLOW}/flows", onboarding.flow_body(daily, **made))
    crm = onboarding.flow_body(daily, sourceConnectionIds=[source])
    aep.refused(400, "1413-400", "POST", f"{FLOW}/flows", json=crm)
    assert aep.post(f"{FLOW}/runs", on_demand(aep, onboarding, made))  # without a delta column


def on_demand(aep, onboarding, made):
    flow = aep.post(f"{FLOW}/flows", onboarding.flow_body(LATER, **made))["id"]
    return {"flowId": flow, "params": {"windowStartTime": 0, "windowEndTime": 2_000_000_000}}


def test_invalid_records_are_counted_and_types_are_inferred(tmp_path):
    from aep_emulator.engine.source_data import Tables

    lines = ['{"a": 1, "b": {"c": "x"}, "d": true}', "", '{"a": 1.5, "b": {"c": null}}', "[1]", "{broken"]
    (tmp_path / "r.jsonl").write_text("\n".join([*lines, '{"e": [1], "d": "x"}']))
    records = Tables(tmp_path).records
    assert records.columns == {"a": "double", "b.c": "string", "d": "string", "e": "array"}
    assert list(records.rows()) == [
        ([{"a": 1, "b": {"c": "x"}, "d": True}, {"a": 1.5, "b": {"c": None}}, {"e": [1], "d": "x"}], 2)
    ]
