"""Flow Service, Schema Registry, Catalog and Data Prep: fields, references, rules and codes."""

import base64
import json
import time
from urllib.parse import quote

import pytest
from plain_http import AUTH, CATALOG, CONTEXT, CRM, DATA_LAKE, FLOW, FULL, PREP, REGISTRY, SERVICENOW, Onboarding

# -- connections ----------------------------------------------------------------------------------------------------


def base(**changes):
    return {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW, **changes}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (base(name=""), "1304-400"),
        (base(name=None), "1304-400"),
        (base(auth=None), "1304-400"),
        (base(auth={"specName": "OAuth"}), "1415-400"),
        (base(auth={**AUTH, "params": {"endpoint": "x"}}), "1304-400"),
        (base(auth={**AUTH, "params": {"endpoint": "x", "username": "u", "password": 5}}), "1304-400"),
        (base(connectionSpec={"id": "x"}), "1413-400"),
        (base(connectionSpec=None), "1413-400"),
        (base(connectionSpec={"id": ["x"]}), "problem"),
    ],
)
def test_a_base_connection_is_checked(aep, body, code):
    message = aep.refused(400, code, "POST", f"{FLOW}/connections", json=body)
    assert "hidden" not in message


def test_a_secret_is_neither_stored_nor_returned(aep):
    id_ = aep.post(f"{FLOW}/connections", base())["id"]
    [shown] = aep("GET", f"{FLOW}/connections/{id_}").json()["items"]
    assert shown["auth"]["params"] == {"endpoint": "https://x", "username": "u", "password": "******"}
    assert b"hidden" not in aep.emulator.state.read_bytes()
    patch = [{"op": "replace", "path": "/auth/params/password", "value": "hidden too"}]
    aep("PATCH", f"{FLOW}/connections/{id_}", json=patch, headers={"If-Match": shown["etag"]})
    assert b"hidden too" not in aep.emulator.state.read_bytes()


def test_names_may_repeat(aep):
    first, second = (aep.post(f"{FLOW}/connections", base()) for _ in range(2))
    assert first["id"] != second["id"]
    assert set(first) == {"id", "etag"}


def test_a_connection_has_the_documented_fields(aep):
    id_ = aep.post(f"{FLOW}/connections", base())["id"]
    [shown] = aep("GET", f"{FLOW}/connections/{id_}").json()["items"]
    assert shown["state"] == "enabled"
    assert shown["etag"] == shown["version"]
    assert shown["etag"].startswith('"')
    assert shown["sandboxName"] == "dev"
    assert shown["createdAt"] > 1_700_000_000_000
    assert "_emulator" not in shown


def test_a_connection_is_tested_and_explored(aep):
    id_ = aep.post(f"{FLOW}/connections", base())["id"]
    path = f"{FLOW}/connections/{id_}"
    assert aep("GET", f"{path}/test").json() == {"result": True}
    tables = aep("GET", f"{path}/explore", params={"objectType": "ROOT"}).json()
    assert tables[0] == {
        "type": "table",
        "name": "customer_account",
        "path": "customer_account",
        "canPreview": True,
        "canFetchSchema": True,
    }
    table = {"objectType": "table", "object": "incident"}
    columns = {c["name"]: c for c in aep("GET", f"{path}/explore", params=table).json()["schema"]["columns"]}
    assert columns["priority"] == {"name": "priority", "type": "integer", "xdm": {"type": "integer"}}
    assert columns["sys_updated_on"]["xdm"] == {"type": "string", "format": "date-time"}
    rows = aep("GET", f"{path}/explore", params={**table, "preview": "true"}).json()["data"]
    assert len(rows) == 100
    assert rows[0]["number"] == "INC0000001"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"objectType": "planet"}, 400, "1358-400"),
        ({"objectType": ""}, 400, "1358-400"),
        ({"objectType": "table"}, 400, "1337-400"),
        ({"objectType": "table", "object": "gone"}, 404, "1101-404"),
        ({"objectType": "table", "object": "../../etc/passwd"}, 404, "1101-404"),
        ({"objectType": "table", "object": "sample/incident"}, 404, "1101-404"),
    ],
)
def test_exploring_something_unknown_is_refused(aep, query, status, code):
    id_ = aep.post(f"{FLOW}/connections", base())["id"]
    aep.refused(status, code, "GET", f"{FLOW}/connections/{id_}/explore", params=query)


# -- patches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ([], "1405-400"),
        ({"op": "add"}, "1405-400"),
        (["x"], "1405-400"),
        ([{"op": "add"}], "1405-400"),
        ([{"op": "move", "path": "/name", "from": "/description"}], "1434-400"),
        ([{"op": "replace", "path": "/connectionSpec/id", "value": "x"}], "1414-400"),
        ([{"op": "replace", "path": "/state", "value": "disabled"}], "1420-400"),
        ([{"op": "replace", "path": "/description", "value": "x"}], "1455-400"),
        ([{"op": "remove", "path": "/description"}], "1455-400"),
        ([{"op": "add", "path": "/params/x/y", "value": "x"}], "1455-400"),
        ([{"op": "replace", "path": "/name"}], "1405-400"),
        ([{"op": "replace", "path": "/name", "value": ""}], "1304-400"),
    ],
)
def test_a_patch_is_checked_and_changes_nothing_if_refused(aep, patch, code):
    made = aep.post(f"{FLOW}/connections", base())
    path = f"{FLOW}/connections/{made['id']}"
    before = aep("GET", path).json()
    aep.refused(400, code, "PATCH", path, json=patch, headers={"If-Match": made["etag"]})
    assert aep("GET", path).json() == before


@pytest.mark.parametrize("quotes", [True, False])
@pytest.mark.parametrize("upper", [True, False])
def test_a_patch_is_applied_with_the_right_etag(aep, quotes, upper):
    made = aep.post(f"{FLOW}/connections", base())
    path, etag = f"{FLOW}/connections/{made['id']}", made["etag"] if quotes else made["etag"].strip('"')
    ops = [{"op": "add", "path": "/description", "value": "d"}, {"op": "replace", "path": "/name", "value": "n"}]
    ops = [{**o, "op": o["op"].upper()} if upper else o for o in ops]
    answer = aep("PATCH", path, json=ops, headers={"If-Match": etag}).json()
    [shown] = aep("GET", path).json()["items"]
    assert (shown["name"], shown["description"], shown["etag"]) == ("n", "d", answer["etag"])
    assert answer["etag"] != made["etag"]
    found = aep("GET", f"{FLOW}/connections", params={"property": "name==n"}).json()["items"]
    assert [f["id"] for f in found] == [made["id"]]
    removal = [{"op": "remove", "path": "/description"}]
    aep("PATCH", path, json=removal, headers={"If-Match": answer["etag"]})
    assert "description" not in aep("GET", path).json()["items"][0]


def test_a_patch_needs_the_current_etag(aep):
    made = aep.post(f"{FLOW}/connections", base())
    path, ops = f"{FLOW}/connections/{made['id']}", [{"op": "add", "path": "/description", "value": "d"}]
    aep.refused(400, "1403-400", "PATCH", path, json=ops)
    aep.refused(412, "1404-412", "PATCH", path, json=ops, headers={"If-Match": '"stale"'})


# -- lists ----------------------------------------------------------------------------------------------------------


def names(aep, **query):
    return [i["name"] for i in aep("GET", f"{FLOW}/connections", params=query).json()["items"]]


@pytest.fixture
def abc(aep):
    for name in ("a", "b", "c"):
        aep.post(f"{FLOW}/connections", base(name=name))
    return aep


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["name==a"], "a"),
        (['name=="a"'], "a"),
        (["name==a,c"], "ac"),
        (['name=="a,c"'], ""),
        (["name!=a"], "bc"),
        (["connectionSpec.id==eb13cb25-47ab-407f-ba89-c0125281c563"], "abc"),
        (["connectionSpec.id==eb13cb25-47ab-407f-ba89-c0125281c563", "name==b"], "b"),
        (["createdAt>1"], "abc"),
        (["createdAt<1"], ""),
        (["createdAt>=1", "createdAt<=1"], ""),
        (["nothing.at.all==x"], ""),
        (["state==enabled"], "abc"),
    ],
)
def test_filters(abc, filters, found):
    assert "".join(names(abc, property=filters, orderby="name")) == found


@pytest.mark.parametrize(
    ("orderby", "found"), [("name", "abc"), ("-name", "cba"), ("+name", "abc"), ("createdAt", "abc")]
)
def test_order(abc, orderby, found):
    assert "".join(names(abc, orderby=orderby)) == found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"property": "name~a"}, "1440-400"),
        ({"property": "name"}, "1450-400"),
        ({"property": "==a"}, "1449-400"),
        ({"property": "name=="}, "1453-400"),
        ({"property": "createdAt>1,2"}, "1443-400"),
        ({"property": "id>=1"}, "1448-400"),
        ({"property": "createdAt>now"}, "1454-400"),
        ({"orderby": "colour"}, "1433-400"),
        ({"count": "true", "limit": "5"}, "1401-400"),
        ({"continuationToken": "bogus"}, "1451-400"),
        ({"continuationToken": base64.urlsafe_b64encode(b'{"offset": Infinity}').decode()}, "1451-400"),
        ({"continuationToken": base64.urlsafe_b64encode(b'{"offset": "1"}').decode()}, "1451-400"),
    ],
)
def test_an_invalid_list_is_refused(abc, query, code):
    abc.refused(400, code, "GET", f"{FLOW}/connections", params=query)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1001", "1.5", "--1"])
def test_an_invalid_limit_is_refused(abc, limit):
    assert abc("GET", f"{FLOW}/connections", params={"limit": limit}).status_code == 400


def test_pages_are_linked_by_an_opaque_token(abc):
    found, href = [], "/connections?limit=2&orderby=name&property=state==enabled"
    while href:
        page = abc("GET", FLOW + href).json()
        found += [i["name"] for i in page["items"]]
        href = page["_links"].get("next", {}).get("href")
    assert found == ["a", "b", "c"]


def test_counting(abc):
    assert abc("GET", f"{FLOW}/connections?count=true&property=name==a").json() == {"count": 1}


# -- specs ----------------------------------------------------------------------------------------------------------


def test_specs_are_served(aep):
    [spec] = aep("GET", f"{FLOW}/flowSpecs", params={"property": 'name=="CRMToAEP"'}).json()["items"]
    assert spec["id"] == CRM["id"]
    assert SERVICENOW["id"] in spec["sourceConnectionSpecIds"]
    assert [t["name"] for t in spec["transformationSpecs"]] == ["Copy", "Mapping"]
    assert aep("GET", f"{FLOW}/flowSpecs/{CRM['id']}").json()["items"] == [spec]
    [servicenow] = aep("GET", f"{FLOW}/connectionSpecs/{SERVICENOW['id']}").json()["items"]
    schema = servicenow["authSpec"][0]["spec"]
    assert schema["required"] == ["endpoint", "username", "password"]
    assert schema["properties"]["password"]["format"] == "password"
    assert len(aep("GET", f"{FLOW}/connectionSpecs?limit=100").json()["items"]) > 60
    aep.refused(404, "1101-404", "GET", f"{FLOW}/connectionSpecs/x")


# -- source and target connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"name": ""}, 400, "1304-400"),
        ({"baseConnectionId": "x"}, 404, "1101-404"),
        ({"baseConnectionId": None}, 404, "1101-404"),
        ({"connectionSpec": {"id": "cb66ab34-8619-49cb-96d1-39b37ede86ea"}}, 400, "1413-400"),
        ({"data": {"format": "parquet_xdm"}}, 400, "1327-400"),
        ({"data": None}, 400, "1327-400"),
        ({"params": {}}, 400, "1304-400"),
        ({"params": {"tableName": 5}}, 400, "problem"),
        ({"data": {"format": "json"}, "params": {"tableName": {}}}, 400, "problem"),
        ({"params": {"tableName": "gone"}}, 400, "1330-400"),
    ],
)
def test_a_source_connection_is_checked(aep, onboarding, changes, status, code):
    aep.refused(status, code, "POST", f"{FLOW}/sourceConnections", json=onboarding.source_body(**changes))


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"connectionSpec": SERVICENOW}, 400, "1307-400"),
        ({"params": {}}, 400, "1324-400"),
        ({"params": None}, 400, "1324-400"),
        ({"params": {"dataSetId": "x"}}, 404, "1101-404"),
        ({"data": {"schema": {"id": "x"}}}, 400, "1425-400"),
    ],
)
def test_a_target_connection_is_checked(aep, onboarding, changes, status, code):
    aep.refused(status, code, "POST", f"{FLOW}/targetConnections", json=onboarding.target_body(**changes))


def test_a_source_connection_inherits_its_base(aep, onboarding):
    [shown] = aep("GET", f"{FLOW}/sourceConnections/{onboarding.source}").json()["items"]
    assert shown["inheritedAttributes"]["baseConnection"]["id"] == onboarding.base
    filters = [f"baseConnectionId=={onboarding.base}", "params.tableName==customer_contact"]
    assert len(aep("GET", f"{FLOW}/sourceConnections", params={"property": filters}).json()["items"]) == 1
    assert (
        DATA_LAKE["id"]
        == aep("GET", f"{FLOW}/targetConnections/{onboarding.target}").json()["items"][0]["connectionSpec"]["id"]
    )


# -- flows ----------------------------------------------------------------------------------------------------------


def later(**changes):
    return {"startTime": int(time.time()) + 600, "frequency": "hour", "interval": 1, **changes}


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        ({}, "1317-400"),
        ("x", "problem"),
        (later(frequency="hourly"), "1397-400"),
        (later(startTime="soon"), "1340-400"),
        (later(startTime=True), "1340-400"),
        (later(startTime=1_567_411_548), "1360-400"),
        (later(frequency="once"), "1361-400"),
        ({"startTime": 4_000_000_000, "frequency": "once", "backfill": True}, "1364-400"),
        (later(interval=0), "1362-400"),
        (later(interval=None), "1362-400"),
        (later(frequency="minute", interval=14), "1362-400"),
    ],
)
def test_a_schedule_is_checked(aep, onboarding, schedule, code):
    body = {**onboarding.flow_body(delta="sys_updated_on"), "scheduleParams": schedule}
    aep.refused(400, code, "POST", f"{FLOW}/flows", json=body)


def mapping_step(id_, version):
    return {"transformations": [{"name": "Mapping", "params": {"mappingId": id_, "mappingVersion": version}}]}


def test_a_flow_is_checked(aep, onboarding):
    once = onboarding.flow_body({"startTime": int(time.time()) + 600, "frequency": "once"})
    cases = [
        ({"name": None}, 400, "1304-400"),
        ({"state": "enabled"}, 400, "1410-400"),
        ({"flowSpec": {"id": "x"}}, 400, "1413-400"),
        ({"flowSpec": None}, 400, "1413-400"),
        ({"flowSpec": {"id": "6499120c-0b15-42dc-936e-847ea3c24d72"}}, 400, "1413-400"),
        ({"sourceConnectionIds": []}, 400, "1320-400"),
        ({"sourceConnectionIds": "text"}, 400, "1320-400"),
        ({"sourceConnectionIds": ["a", "b"]}, 400, "1321-400"),
        ({"targetConnectionIds": ["x"]}, 404, "1101-404"),
        ({"targetConnectionIds": [["x"]]}, 404, "1101-404"),
        ({"transformations": None}, 400, "1370-400"),
        ({"transformations": []}, 400, "1370-400"),
        ({"transformations": ["x"]}, 400, "problem"),
        (mapping_step("x", 0), 400, "1419-400"),
        (mapping_step(onboarding.mapping["id"], 7), 400, "1412-400"),
        (mapping_step(onboarding.mapping["id"], None), 400, "1412-400"),
    ]
    for changes, status, code in cases:
        aep.refused(status, code, "POST", f"{FLOW}/flows", json={**once, **changes})
    with_delta = onboarding.flow_body(once["scheduleParams"], delta="sys_updated_on")
    aep.refused(400, "1369-400", "POST", f"{FLOW}/flows", json=with_delta)
    aep.refused(400, "1367-400", "POST", f"{FLOW}/flows", json={**once, "scheduleParams": later()})
    wrong = onboarding.flow_body(later(), delta="email")
    aep.refused(400, "1367-400", "POST", f"{FLOW}/flows", json=wrong)
    assert aep("GET", f"{FLOW}/flows").json()["items"] == []


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("/scheduleParams/frequency", "bogus", "1397-400"),
        ("/scheduleParams/frequency", "once", "1361-400"),
        ("/scheduleParams/interval", 0, "1362-400"),
        ("/scheduleParams", {}, "1317-400"),
        ("/scheduleParams/startTime", 10**17, "1340-400"),
        ("/transformations", 5, "problem"),
        ("/transformations", [], "1367-400"),
        ("/transformations/1", {"name": "Mapping", "params": {"mappingId": "nope", "mappingVersion": 9}}, "1419-400"),
        ("/name", ["x"], "problem"),
    ],
)
def test_a_patch_of_a_flow_with_an_invalid_result_is_refused(aep, onboarding, path, value, code):
    made = aep.post(f"{FLOW}/flows", onboarding.flow_body(later(), delta="sys_updated_on"))
    ops, headers = [{"op": "replace", "path": path, "value": value}], {"If-Match": made["etag"]}
    aep.refused(400, code, "PATCH", f"{FLOW}/flows/{made['id']}", json=ops, headers=headers)


# -- hostile requests -----------------------------------------------------------------------------------------------

JUNK = [
    None,
    True,
    -1,
    10**17,
    0.5,
    "",
    "x",
    "\\ud800",
    [],
    ["x"],
    [["x"]],
    {},
    {"id": ["x"]},
    {"$ref": 5},
    [{"name": {}}],
]


def broken(body):
    """Yield the body with each of its values replaced by an invalid one, at every depth."""
    places = body.items() if isinstance(body, dict) else enumerate(body)
    for key, value in list(places):
        for junk in JUNK:
            copy = dict(body) if isinstance(body, dict) else list(body)
            copy[key] = junk
            yield copy
        if isinstance(value, dict | list):
            for inner in broken(value):
                copy = dict(body) if isinstance(body, dict) else list(body)
                copy[key] = inner
                yield copy


def test_no_body_causes_a_server_error(aep, onboarding):
    leaf = {"type": "string", "enum": ["a"], "format": "date"}
    field = {"type": "object", "properties": {"y": leaf}, "required": ["y"]}
    good = {
        f"{FLOW}/connections": base(),
        f"{FLOW}/sourceConnections": onboarding.source_body(),
        f"{FLOW}/targetConnections": onboarding.target_body(),
        f"{FLOW}/flows": onboarding.flow_body(later(), delta="sys_updated_on"),
        f"{REGISTRY}/tenant/schemas": {
            **SCHEMA,
            "allOf": [*SCHEMA["allOf"], {"properties": {"_x": field}, "required": ["_x"]}],
        },
        f"{CATALOG}/dataSets": {"name": "d", "schemaRef": {"id": onboarding.schema}, "tags": {"a": ["b"]}},
        f"{PREP}/mappingSets": onboarding.mapping_body,
        f"{PREP}/mappingSets/validate": onboarding.mapping_body,
    }
    sent = 0
    for path, body in good.items():
        for junk in broken(body):
            if junk.get("title") == SCHEMA["title"]:
                junk["title"] = f"s {sent}"  # titles are unique
            content = json.dumps(junk).replace("\\\\ud800", "\\ud800")
            answer = aep("POST", path, content=content)
            assert answer.status_code < 500, (path, content, answer.text)
            sent += 1
            if path.endswith("/schemas") and answer.status_code == 201:
                made = answer.json()["$id"]
                assert aep("GET", f"{path}/{quote(made, safe='')}", headers={"Accept": FULL}).status_code == 200
                pair = {"source": "5", "destination": "_x.y"}
                mappings = [pair, {**pair, "sourceType": "STATIC"}]
                mapped = {"outputSchema": {"schemaRef": {"id": made}}, "mappings": mappings}
                assert aep("POST", f"{PREP}/mappingSets/validate", json=mapped).status_code < 500, content
    assert sent > 1000
    made = aep.post(f"{FLOW}/flows", onboarding.flow_body(later(), delta="sys_updated_on"))
    for key in ("name", "params", "data", "auth", "scheduleParams", "transformations", "transformations/0", "a/b"):
        for junk in JUNK:
            [shown] = aep("GET", f"{FLOW}/flows/{made['id']}").json()["items"]
            ops = [{"op": "add", "path": f"/{key}", "value": junk}]
            content = json.dumps(ops).replace("\\\\ud800", "\\ud800")
            answer = aep("PATCH", f"{FLOW}/flows/{made['id']}", content=content, headers={"If-Match": shown["etag"]})
            assert answer.status_code < 500, content
    for path in (
        f"{FLOW}/connections",
        f"{FLOW}/flows",
        f"{CATALOG}/dataSets?orderBy=asc:name",
        f"{PREP}/mappingSets?limit=9&start=0",
    ):
        assert aep("GET", path).status_code == 200
    assert (
        aep("GET", f"{REGISTRY}/tenant/schemas", headers={"Accept": "application/vnd.adobe.xed+json"}).status_code
        == 200
    )


@pytest.mark.parametrize(
    "content", [b'{"name": NaN}', b'{"name": Infinity}', b'{"n": 1e400}', b'{"n": 1' + b"0" * 400 + b"}"]
)
def test_numbers_outside_json_are_refused(aep, content):
    assert aep("POST", f"{FLOW}/connections", content=content).status_code == 400


def test_numbers_may_come_as_strings_as_in_adobes_samples(aep, onboarding):
    schedule = {"startTime": str(int(time.time()) + 600), "frequency": "minute", "interval": "15"}
    flow = onboarding.flow(schedule, delta="sys_updated_on")
    assert aep("GET", f"{FLOW}/flows/{flow}").json()["items"][0]["state"] == "enabled"


def test_a_mapping_of_another_schema_is_refused(aep, onboarding):
    other = {"type": "object", "title": "other", "allOf": [{"$ref": f"{CONTEXT}profile"}]}
    schema = aep.post(f"{REGISTRY}/tenant/schemas", other)["$id"]
    body = {"outputSchema": {"schemaRef": {"id": schema}}, "mappings": [{"source": "sys_id", "destination": "_id"}]}
    mapping = aep.post(f"{PREP}/mappingSets", body, 200)
    flow = {**onboarding.flow_body(), **mapping_step(mapping["id"], 0)}
    aep.refused(400, "1425-400", "POST", f"{FLOW}/flows", json=flow)


def test_a_flow_has_the_fields_of_its_owner(aep, onboarding):
    flow = onboarding.flow(later(), delta="sys_updated_on")
    [shown] = aep("GET", f"{FLOW}/flows/{flow}").json()["items"]
    assert shown["inheritedAttributes"]["sourceConnections"][0]["baseConnection"]["id"] == onboarding.base
    by_base = f"inheritedAttributes.sourceConnections[].baseConnection.id=={onboarding.base}"
    assert len(aep("GET", f"{FLOW}/flows", params={"property": by_base}).json()["items"]) == 1
    by_source = f"sourceConnectionIds[]=={onboarding.source}"
    assert len(aep("GET", f"{FLOW}/flows", params={"property": by_source}).json()["items"]) == 1
    assert (
        len(aep("GET", f"{FLOW}/flows?property=inheritedAttributes.properties.isSourceFlow==true").json()["items"]) == 1
    )
    aep.refused(404, "1101-404", "GET", f"{FLOW}/runs/x")


@pytest.mark.parametrize("depth", [50, 200, 300, 5000])
def test_a_deeply_nested_schema_is_refused_or_created(aep, depth):
    field = '{"type": "object", "properties": {"a": ' * depth + '{"type": "string"}' + "}}" * depth
    content = f'{{"title": "deep", "allOf": [{{"$ref": "{CONTEXT}profile"}}, {{"properties": {{"_x": {field}}}}}]}}'
    assert aep("POST", f"{REGISTRY}/tenant/schemas", content=content).status_code == (201 if depth == 50 else 400)


# -- schema registry ------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "title": "s", "allOf": [{"$ref": f"{CONTEXT}profile"}]}
IDS = {"Accept": "application/vnd.adobe.xed-id+json"}


def test_a_schema_is_created_and_found_by_both_ids(aep):
    made = aep.post(f"{REGISTRY}/tenant/schemas", SCHEMA)
    assert made["$id"].startswith("https://ns.adobe.com/emulator/schemas/")
    assert made["meta:altId"] == "_emulator.schemas." + made["$id"].rsplit("/", 1)[-1]
    assert (made["version"], made["meta:class"]) == ("1.0", f"{CONTEXT}profile")
    for id_ in (quote(made["$id"], safe=""), made["meta:altId"]):
        assert aep("GET", f"{REGISTRY}/tenant/schemas/{id_}", headers={"Accept": FULL}).json()["$id"] == made["$id"]
    assert aep("GET", f"{REGISTRY}/stats").json()["tenantId"] == "emulator"


@pytest.mark.parametrize("version", ["; version=1", ";version=1", " ;  version=1"])
def test_accept_selects_the_resolved_or_the_raw_schema(aep, version):
    id_ = aep.post(f"{REGISTRY}/tenant/schemas", SCHEMA)["meta:altId"]
    path = f"{REGISTRY}/tenant/schemas/{id_}"
    raw = aep("GET", path, headers={"Accept": f"application/vnd.adobe.xed+json{version}"}).json()
    full = aep("GET", path, headers={"Accept": f"application/vnd.adobe.xed-full+json{version}"}).json()
    assert "properties" not in raw
    assert full["properties"]["_id"]["type"] == "string"


def test_a_namespace_is_created_once_and_keeps_its_code(aep):
    path = "/data/core/idnamespace/identities"
    standard = {n["code"]: n["id"] for n in aep("GET", path).json()}
    assert standard["Email"] == 6
    body = {"name": "Loyalty Member", "code": "Loyalty", "description": "of the program", "idType": "Cross_device"}
    made = aep.post(path, body, 200)
    assert made.items() >= {**body, "status": "ACTIVE", "custom": True}.items()
    assert aep("GET", f"{path}/{made['id']}").json() == made
    assert [n for n in aep("GET", path).json() if n["custom"]] == [made]
    aep.refused(409, "namespacevalidation", "POST", path, json=body)
    renamed = aep("PUT", f"{path}/{made['id']}", json={**body, "name": "Member", "description": ""}).json()
    assert (renamed["name"], renamed["description"], renamed["id"]) == ("Member", "", made["id"])
    for wrong in ({"code": "Other"}, {"idType": "Email"}):
        aep.refused(400, "namespacevalidation", "PUT", f"{path}/{made['id']}", json={**body, **wrong})
    email = {"name": "Mail", "code": "Email", "idType": "Email"}
    aep.refused(400, "namespacevalidation", "PUT", f"{path}/6", json=email)


def test_accept_rules(aep):
    id_ = aep.post(f"{REGISTRY}/tenant/schemas", SCHEMA)["meta:altId"]
    one, all_ = f"{REGISTRY}/tenant/schemas/{id_}", f"{REGISTRY}/tenant/schemas"
    aep.refused(400, "XDM-1007-400", "GET", one, headers={"Accept": "application/vnd.adobe.xed+json"})
    aep.refused(400, "XDM-1006-400", "GET", all_, headers={"Accept": FULL})
    aep.refused(400, "XDM-1008-400", "GET", all_, headers={"Accept": "application/json"})
    answer = aep("GET", one, headers={"Accept": "application/vnd.adobe.xed+json;version=9"})
    assert answer.status_code == 406
    aep.refused(404, "XDM-1012-404", "GET", f"{REGISTRY}/tenant/schemas/x", headers={"Accept": FULL})


def test_a_title_is_unique_in_its_sandbox(aep):
    made = aep.post(f"{REGISTRY}/tenant/schemas", SCHEMA)
    message = aep.refused(400, "XDM-1521-400", "POST", f"{REGISTRY}/tenant/schemas", json=SCHEMA)
    assert made["$id"] in message
    assert aep("POST", f"{REGISTRY}/tenant/schemas", json=SCHEMA, headers={"x-sandbox-name": "prod"}).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [{"title": ""}, {"title": None}, {"allOf": []}, {"allOf": None}, {"allOf": [{"$ref": "x"}]},
     {"allOf": [{"$ref": f"{CONTEXT}profile"}, {"$ref": "x"}]},
     {"allOf": [{"$ref": f"{CONTEXT}profile"}, {"$ref": f"{CONTEXT}experienceevent"}]}],
)  # fmt: skip
def test_a_schema_is_checked(aep, changes):
    assert aep("POST", f"{REGISTRY}/tenant/schemas", json={**SCHEMA, **changes}).status_code == 400


@pytest.mark.parametrize(
    ("filter_", "found"),
    [("title==a", "a"), ("title!=a", "b"), ("title~^b", "b"), ("title", "ab"), ("nothing", "")],
)
def test_schemas_are_listed_by_title(aep, filter_, found):
    for title in ("a", "b"):
        aep.post(f"{REGISTRY}/tenant/schemas", {**SCHEMA, "title": title})
    listed = aep("GET", f"{REGISTRY}/tenant/schemas", params={"property": filter_}, headers=IDS).json()
    assert "".join(s["title"] for s in listed["results"]) == found
    assert all(set(s) == {"title", "$id", "meta:altId", "version"} for s in listed["results"])
    full = aep("GET", f"{REGISTRY}/tenant/schemas", headers={"Accept": "application/vnd.adobe.xed+json"}).json()
    assert full["results"][0]["allOf"] == SCHEMA["allOf"]


def test_schemas_are_paged(aep):
    for title in ("a", "b", "c"):
        aep.post(f"{REGISTRY}/tenant/schemas", {**SCHEMA, "title": title})
    page = aep("GET", f"{REGISTRY}/tenant/schemas?limit=2", headers=IDS).json()
    assert page["_page"]["count"] == 2
    rest = aep("GET", REGISTRY + page["_links"]["next"]["href"], headers=IDS).json()
    assert [s["title"] for s in rest["results"]] == ["c"]
    assert rest["_links"]["next"] is None


def test_the_next_page_has_the_filter_and_order_of_the_first(aep):
    for title in ("a", "b", "c", "d"):
        aep.post(f"{REGISTRY}/tenant/schemas", {**SCHEMA, "title": title})
    found, href = [], "/tenant/schemas?limit=1&orderby=-title&property=title!=c"
    while href:
        page = aep("GET", REGISTRY + href, headers=IDS).json()
        found += [s["title"] for s in page["results"]]
        href = (page["_links"]["next"] or {}).get("href")
    assert found == ["d", "b", "a"]


@pytest.mark.parametrize(
    "query", ["property=title~[", "property=title~(a%2B)%2B$b", "property=title=x", "limit=-1", "orderby=colour"]
)
def test_an_invalid_schema_list_is_refused(aep, query):
    aep.post(f"{REGISTRY}/tenant/schemas", {**SCHEMA, "title": "a" * 40})
    assert aep("GET", f"{REGISTRY}/tenant/schemas?{query}", headers=IDS).status_code == 400


def test_field_groups_are_added_to_a_schema(aep):
    id_ = aep.post(f"{REGISTRY}/tenant/schemas", SCHEMA)["meta:altId"]
    path, ref = f"{REGISTRY}/tenant/schemas/{id_}", {"$ref": f"{CONTEXT}profile-person-details"}
    patched = aep("PATCH", path, json=[{"op": "add", "path": "/allOf/-", "value": ref}]).json()
    assert (patched["version"], patched["allOf"][-1]) == ("1.1", ref)
    full = aep("GET", path, headers={"Accept": FULL}).json()
    assert full["properties"]["person"]["properties"]["name"]["properties"]["firstName"] == {"type": "string"}
    assert aep("PATCH", path, json=[{"op": "add", "path": "/description", "value": "d"}]).json()["description"] == "d"
    assert aep("PATCH", path, json=[{"op": "remove", "path": "/allOf/0"}]).status_code == 400
    for ref in ("x", f"{CONTEXT}experienceevent"):
        patch = [{"op": "add", "path": "/allOf/-", "value": {"$ref": ref}}]
        assert aep("PATCH", path, json=patch).status_code == 400
    assert aep("PATCH", path, json={}).status_code == 400
    aep.refused(404, "XDM-1012-404", "PATCH", f"{REGISTRY}/tenant/schemas/x", json=[])


# -- catalog --------------------------------------------------------------------------------------------------------


def test_datasets_are_keyed_by_id(aep, onboarding):
    made = aep("GET", f"{CATALOG}/dataSets/{onboarding.dataset}").json()
    assert list(made) == [onboarding.dataset]
    assert len(onboarding.dataset) == 24
    assert made[onboarding.dataset]["schemaRef"]["id"] == onboarding.schema
    assert aep("GET", f"{CATALOG}/dataSets").json() == made
    assert aep("GET", f"{CATALOG}/dataSets?property=name==dataset&property=name").json() == made
    assert aep("GET", f"{CATALOG}/dataSets?property=name==other").json() == {}
    assert aep("GET", f"{CATALOG}/dataSets/x").status_code == 404


def test_datasets_are_paged_and_ordered(aep, onboarding):
    ref = {"id": onboarding.schema}
    for name in ("a", "b"):
        aep.post(f"{CATALOG}/dataSets", {"name": name, "schemaRef": ref})
    listed = aep("GET", f"{CATALOG}/dataSets?orderBy=desc:name&limit=2").json()
    assert [d["name"] for d in listed.values()] == ["dataset", "b"]
    rest = aep("GET", f"{CATALOG}/dataSets?orderBy=desc:name&limit=2&start=2").json()
    assert [d["name"] for d in rest.values()] == ["a"]
    for wrong in ("limit=0", "limit=101", "start=-1", "orderBy=up:name", "orderBy=asc:colour"):
        assert aep("GET", f"{CATALOG}/dataSets?{wrong}").status_code == 400


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"name": 5}, {"schemaRef": None}, {"schemaRef": {}}, {"schemaRef": {"id": "x"}}]
)
def test_a_dataset_is_checked(aep, onboarding, changes):
    body = {"name": "d", "schemaRef": {"id": onboarding.schema}, **changes}
    assert aep("POST", f"{CATALOG}/dataSets", json=body).status_code == 400


def test_a_dataset_is_patched_but_keeps_its_schema(aep, onboarding):
    path = f"{CATALOG}/dataSets/{onboarding.dataset}"
    assert aep("PATCH", path, json={"description": "d"}).json() == [f"@/dataSets/{onboarding.dataset}"]
    assert aep("GET", path).json()[onboarding.dataset]["description"] == "d"
    assert aep("PATCH", path, json={"schemaRef": {"id": "x"}}).status_code == 400
    for name in (None, "", 5):
        assert aep("PATCH", path, json={"name": name}).status_code == 400
    assert aep("GET", f"{CATALOG}/dataSets?orderBy=asc:name").status_code == 200


# -- data prep ------------------------------------------------------------------------------------------------------


def test_a_mapping_set_has_versions_and_both_forms(aep, onboarding):
    id_, made = onboarding.mapping["id"], onboarding.mapping
    assert len(id_) == 32
    assert made["version"] == 0
    shown = aep("GET", f"{PREP}/mappingSets/{id_}").json()
    assert {m["sourceType"] for m in shown["mappings"]} == {"text/x.schema-path"}
    assert shown["mappings"][0]["source"] == shown["mappings"][0]["sourceAttribute"] == "sys_id"
    assert shown["mappings"][0]["destination"] == shown["mappings"][0]["destinationXdmPath"] == "_id"
    old = {
        "xdmSchema": onboarding.schema,
        "mappings": [{"sourceAttribute": "number", "destinationXdmPath": "_id", "identity": False}],
    }
    put = aep("PUT", f"{PREP}/mappingSets/{id_}", json=old).json()
    assert (put["version"], put["mappings"][0]["source"]) == (1, "number")
    first = aep("GET", f"{PREP}/mappingSets/{id_}?version=0").json()
    assert first["mappings"][0]["source"] == "sys_id"
    assert aep("GET", f"{PREP}/mappingSets/{id_}?version=2").status_code == 400
    assert aep("GET", f"{PREP}/mappingSets/x").status_code == 404


def test_mapping_sets_are_listed_by_name(aep, onboarding):
    aep.post(f"{PREP}/mappingSets", {**onboarding.mapping_body, "name": "n"}, 200)
    assert len(aep("GET", f"{PREP}/mappingSets?limit=10&start=0").json()["data"]) == 2
    assert [m["name"] for m in aep("GET", f"{PREP}/mappingSets?limit=10&start=0&name=n").json()["data"]] == ["n"]
    # The OpenAPI file says that both are required, and a client that others wrote sends only one.
    assert len(aep("GET", f"{PREP}/mappingSets?limit=1").json()["data"]) == 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"source": "a", "destination": "person.name", "sourceType": "STATIC"}, "A constant does not fit an object"),
        ({"source": "a", "destination": "person.nme.firstName"}, "Did you mean person.name.firstName?"),
        ({"source": "a"}, "has a source and a destination"),
        ({"source": 5, "destination": "_id"}, "has a source and a destination"),
        ({"source": "nvl(a)", "destination": "personID", "sourceType": "EXPRESSION"}, "no function nvl"),
        ({"source": "a +", "destination": "personID", "sourceType": "text/x.aep-xl"}, "personID, column 4"),
        ({"sourceAttribute": "lower()", "destinationXdmPath": "personID"}, "lower does not take 0 arguments"),
        ({"source": "a", "destination": "_id", "sourceType": "EXPRESSION"}, "Two mappings have this destination"),
        ({"source": "a", "destination": "personID", "sourceType": "MAGIC"}, "not 'MAGIC'"),
        ({"source": "x", "destination": "person.birthDate", "sourceType": "STATIC"}, "The constant does not fit"),
    ],
)
def test_a_mapping_is_validated_and_refused(aep, onboarding, mapping, message):
    body = {**onboarding.mapping_body, "mappings": [{"source": "sys_id", "destination": "_id"}, mapping]}
    good, bad = aep("POST", f"{PREP}/mappingSets/validate", json=body).json()["validationResponse"]
    assert good["status"] == ("FAILED" if message.startswith("Two") else "SUCCESS")
    assert bad["status"] == "FAILED"
    assert bad["errors"][0].keys() == {"destination", "exception", "source", "columnName", "sourceType"}
    assert message in bad["errors"][0]["exception"]
    assert message in aep("POST", f"{PREP}/mappingSets", json=body).json()["detail"]


def test_the_language_describes_itself(aep):
    functions = {f["function"]: f for f in aep("GET", f"{PREP}/languages/el/functions").json()}
    assert len(functions) == 99
    assert [p["name"] for p in functions["substr"]["params"]] == ["text", "start", "length"]
    operators = aep("GET", f"{PREP}/languages/el/operators").json()
    assert {"operatorSymbol": "/", "methodName": "divide", "numberOfOperands": 2} in operators


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("upper(a)", "none"),
        ({"expression": "upper(a)"}, "none"),
        ("uper(a)", "There is no function uper. Did you mean upper?"),
        ("a +", "The expression ends too early. Close every bracket and every text."),
    ],
)
def test_an_expression_is_validated(aep, expression, error):
    answer = aep.post(f"{PREP}/languages/el/validate", {"expression": expression}, 200)
    assert answer == {"validationStatus": "succeeded" if error == "none" else "failed", "error": error}


@pytest.mark.parametrize("body", [{}, {"expression": ""}, {"expression": 5}])
def test_what_is_no_expression_is_refused(aep, body):
    assert aep("POST", f"{PREP}/languages/el/validate", json=body).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [{"outputSchema": None}, {"outputSchema": {"schemaRef": {"id": "x"}}}, {"mappings": []}, {"mappings": ["x"]}],
)
def test_a_mapping_set_is_checked(aep, onboarding, changes):
    assert aep("POST", f"{PREP}/mappingSets", json={**onboarding.mapping_body, **changes}).status_code == 400


def test_an_onboarding_can_be_repeated_except_for_its_title(aep, onboarding):
    with pytest.raises(AssertionError, match="XDM-1521-400"):
        Onboarding(aep)
