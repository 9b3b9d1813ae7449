"""Requests that clients of other authors send and the provider does not."""

import pytest
from plain_http import CATALOG, CONTEXT, FLOW, FULL, PREP, REGISTRY, Onboarding
from test_traps import BASE

SANDBOXES = "/data/foundation/sandbox-management"
XED = {"Accept": "application/vnd.adobe.xed+json"}
IDS = {"Accept": "application/vnd.adobe.xed-id+json"}
ONE = {"Accept": "application/vnd.adobe.xed-full+json; version=1"}
PROFILE = f"{CONTEXT}profile"


def encoded(id_):
    return id_.replace(":", "%3A").replace("/", "%2F")


def schema(aep, title, *refs, **more):
    body = {"type": "object", "title": title, "allOf": [{"$ref": r} for r in (PROFILE, *refs)], **more}
    return aep.post(f"{REGISTRY}/tenant/schemas", body)


# -- Schema Registry ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classes", "fieldgroups", "mixins", "behaviors", "schemas", "datatypes"])
def test_global_parts_are_listed_and_read(aep, kind):
    listed = aep("GET", f"{REGISTRY}/global/{kind}", headers=IDS).json()["results"]
    assert bool(listed) is (kind != "schemas")
    for part in listed:
        for id_ in (encoded(part["$id"]), part["meta:altId"]):
            found = aep("GET", f"{REGISTRY}/global/{kind}/{id_}", headers=ONE).json()
            assert (found["$id"], found["meta:containerId"]) == (part["$id"], "global")
            if kind not in {"behaviors"}:  # clients ask the tenant's container for them, too
                assert aep("GET", f"{REGISTRY}/tenant/{kind}/{id_}", headers=ONE).status_code == 200
    aep.refused(404, "XDM-1010-404", "GET", f"{REGISTRY}/global/{kind}/x", headers=ONE)


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("property=meta:extends==" + f"{CONTEXT}profile-work-details", ["B"]),
        ("property=meta:extends!=" + f"{CONTEXT}profile-work-details", ["A", "C"]),
        ("property=meta:class==" + PROFILE, ["A", "B", "C"]),
        ("property=version>1.0", ["C"]),
        ("property=version>=1.1", ["C"]),
        ("property=version<=1.0", ["A", "B"]),
        ("property=version<1.1", ["A", "B"]),
        ("property=title~^[AB]", None),
        ("property=title~^A", ["A"]),
        ("property=description", ["C"]),
        ("property=title==A,version==1.0", ["A"]),
        ("orderby=-title&limit=2", ["C", "B"]),
        ("orderby=title&start=A", ["B", "C"]),
        ("orderby=title&start=A&limit=1", ["B"]),
        ("orderby=version,-title", ["B", "A", "C"]),
        ("orderBy=updated", ["A", "B", "C"]),
        ("start=1&limit=1", ["B"]),
        ("limit=0", []),
    ],
)
def test_schemas_are_filtered_ordered_and_paged(aep, query, titles):
    schema(aep, "A")
    schema(aep, "B", f"{CONTEXT}profile-work-details")
    made = schema(aep, "C")
    change = [{"op": "add", "path": "/description", "value": "d"}]
    aep("PATCH", f"{REGISTRY}/tenant/schemas/{made['meta:altId']}", json=change)
    answer = aep("GET", f"{REGISTRY}/tenant/schemas?{query}", headers=IDS)
    if titles is None:
        assert answer.status_code == 400
    else:
        assert [r["title"] for r in answer.json()["results"]] == titles


def test_a_client_that_follows_start_sees_every_schema(aep):
    made = [schema(aep, f"S{n}")["$id"] for n in range(5)]
    for order in ("", "&orderby=title"):
        found, start = [], ""
        while True:
            where = f"{REGISTRY}/tenant/schemas?limit=2{order}{start and '&start=' + start}"
            page = aep("GET", where, headers=XED).json()
            found += [s["$id"] for s in page["results"]]
            start = page["_page"]["next"]
            if start is None:
                break
        assert found == made


def test_a_replaced_schema_keeps_its_identity(aep):
    made = schema(aep, "A", f"{CONTEXT}profile-work-details")
    where = f"{REGISTRY}/tenant/schemas/{encoded(made['$id'])}"
    body = {"type": "object", "title": "A2", "description": "d", "allOf": [{"$ref": PROFILE}]}
    after = aep("PUT", where, json=body).json()
    assert (after["$id"], after["version"], after["title"]) == (made["$id"], "1.1", "A2")
    assert f"{CONTEXT}profile-work-details" not in after["meta:extends"]
    ref = {"id": made["$id"], "contentType": FULL}
    aep.post(f"{CATALOG}/dataSets", {"name": "d", "schemaRef": ref})
    more = {**body, "allOf": [*body["allOf"], {"$ref": f"{CONTEXT}profile-person-details"}]}
    assert aep("PUT", where, json=more).status_code == 200
    refused = aep("PUT", where, json=body)
    assert (refused.status_code, "in use" in refused.json()["detail"]) == (400, True)
    schema(aep, "taken")
    aep.refused(400, "XDM-1521-400", "PUT", where, json={**more, "title": "taken"})
    for path in ("/$id", "/version", "/meta:registryMetadata/eTag"):
        change = [{"op": "replace", "path": path, "value": "x"}]
        assert aep("PATCH", where, json=change).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"title": "x", "type": "object", "allOf": [{"$ref": PROFILE}, {"$ref": PROFILE}]},
        {
            "title": "x",
            "type": "object",
            "allOf": [{"$ref": PROFILE}, {"$ref": "https://ns.adobe.com/xdm/data/record"}],
        },
        {"title": "x", "type": "object", "allOf": []},
        {"title": "x", "type": "object"},
        {"title": "", "type": "object", "allOf": [{"$ref": PROFILE}]},
        {"title": "x", "type": "object", "allOf": [{"$ref": PROFILE}, {"$ref": "https://ns.adobe.com/nobody"}]},
    ],
)
def test_an_invalid_schema_is_refused(aep, body):
    assert aep("POST", f"{REGISTRY}/tenant/schemas", json=body).status_code == 400


def test_a_tenants_class_and_the_union_view(aep):
    record = {"title": "Asset", "type": "object", "allOf": [{"$ref": "https://ns.adobe.com/xdm/data/record"}],
              "definitions": {"x": {"type": "object", "properties": {"_emulator": {"type": "object", "properties":
              {"key": {"type": "string"}}}}}}}  # fmt: skip
    record["allOf"].append({"$ref": "#/definitions/x"})
    made = aep.post(f"{REGISTRY}/tenant/classes", record)
    body = {"title": "Assets", "type": "object", "allOf": [{"$ref": made["$id"]}]}
    of_it = aep.post(f"{REGISTRY}/tenant/schemas", body)
    assert of_it["meta:class"] == made["$id"]
    assert aep("GET", f"{REGISTRY}/tenant/unions", headers=IDS).json()["results"] == []
    identity = {"@type": "xdm:descriptorIdentity", "xdm:sourceSchema": of_it["$id"], "xdm:sourceVersion": 1,
                "xdm:sourceProperty": "/_emulator/key", "xdm:namespace": "Email", "xdm:property": "xdm:code",
                "xdm:isPrimary": True}  # fmt: skip
    aep.post(f"{REGISTRY}/tenant/descriptors", identity)
    change = [{"op": "add", "path": "/meta:immutableTags", "value": ["union"]}]
    assert aep("PATCH", f"{REGISTRY}/tenant/schemas/{of_it['meta:altId']}", json=change).status_code == 200
    [union] = aep("GET", f"{REGISTRY}/tenant/unions", headers=IDS).json()["results"]
    full = aep("GET", f"{REGISTRY}/tenant/unions/{encoded(made['$id'])}__union", headers=ONE).json()
    assert full["$id"] == union["$id"]
    assert full["properties"]["_emulator"]["properties"] == {"key": {"type": "string"}}
    aep.refused(404, "XDM-1010-404", "GET", f"{REGISTRY}/tenant/unions/x", headers=ONE)
    tagged = aep("GET", f"{REGISTRY}/tenant/schemas?property=meta:immutableTags==union", headers=IDS).json()["results"]
    assert [t["$id"] for t in tagged] == [of_it["$id"]]
    for path in (f"schemas/{of_it['meta:altId']}", f"classes/{made['meta:altId']}"):
        assert aep("DELETE", f"{REGISTRY}/tenant/{path}").status_code == 400
    back = [{"op": "remove", "path": "/meta:immutableTags"}]
    assert aep("PATCH", f"{REGISTRY}/tenant/schemas/{of_it['meta:altId']}", json=back).status_code == 400
    counts = aep("GET", f"{REGISTRY}/stats").json()
    assert counts["counts"] == {"schemas": 1, "mixins": 0, "datatypes": 0, "classes": 1, "unions": 1}
    assert list(counts["classUsage"]) == [made["$id"]]
    described = aep("GET", f"{REGISTRY}/tenant/schemas/{of_it['meta:altId']}",
                    headers={"Accept": "application/vnd.adobe.xed-full-desc+json; version=1"}).json()  # fmt: skip
    assert described["meta:descriptors"][0]["xdm:sourceProperty"] == "/_emulator/key"


def test_a_recursive_data_type_is_resolved_to_a_limited_depth(aep):
    body = {"title": "Tree", "type": "object", "properties": {"name": {"type": "string"}}}
    made = aep.post(f"{REGISTRY}/tenant/datatypes", body)
    child = [{"op": "add", "path": "/properties/child", "value": {"$ref": made["$id"]}}]
    where = f"{REGISTRY}/tenant/datatypes/{made['meta:altId']}"
    assert aep("PATCH", where, json=child).status_code == 200
    assert aep("GET", where, headers=ONE).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "xdm:alternateDisplayInfo", "xdm:descriptorOneToOne", "xdm:descriptorReferenceIdentity",
        "xdm:descriptorRelationship", "xdm:descriptorDeprecated",
    ],
)  # fmt: skip
def test_descriptors_of_other_types(aep, onboarding, kind):
    body = {"@type": kind, "xdm:sourceSchema": onboarding.schema, "xdm:sourceVersion": 1,
            "xdm:sourceProperty": "/person/name", "xdm:title": {"en_us": "Name"}}  # fmt: skip
    made = aep.post(f"{REGISTRY}/tenant/descriptors", body)
    where = f"{REGISTRY}/tenant/descriptors?property=@type=={kind},xdm:sourceSchema=={onboarding.schema}"
    v2 = {"Accept": "application/vnd.adobe.xdm-v2-id+json"}
    assert aep("GET", where, headers=v2).json()["results"] == [made["@id"]]


# -- Catalog --------------------------------------------------------------------------------------------------------


@pytest.fixture
def datasets(aep):
    """Create three datasets, the second one with a description and a tag."""
    ref = {"id": schema(aep, "S")["$id"], "contentType": FULL}
    made = []
    for name in ("one", "two", "other"):
        more = {"description": "d", "tags": {"team": ["blue"]}} if name == "two" else {}
        made += aep.post(f"{CATALOG}/dataSets", {"name": name, "schemaRef": ref, **more})
    return [m.rsplit("/", 1)[1] for m in made]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=o*", ["one", "other"]),
        ("name=!one,two", ["other"]),
        ("property=name~^o", ["one", "other"]),
        ("property=created>1", ["one", "two", "other"]),
        ("property=created<=1", []),
        ("property=description==d", ["two"]),
        ("tags=team:blue", ["two"]),
        ("tags=team:b*", ["two"]),
        ("tags=team:*,adobe/pqs/table:*", ["two"]),
        ("tags=team:red", []),
        ("orderBy=desc:name", ["two", "other", "one"]),
        ("orderBy=desc:created,asc:name", ["other", "two", "one"]),
        ("orderBy=asc:status", ["one", "two", "other"]),
        ("start=1&limit=1", ["two"]),
        ("enableErrorDiagnostics=true", []),
    ],
)
def test_datasets_are_filtered_and_ordered(aep, datasets, query, names):
    found = aep("GET", f"{CATALOG}/dataSets?{query}").json()
    assert sorted(d["name"] for d in found.values()) == sorted(names)
    if "orderBy" in query and "status" not in query and "created" not in query:
        assert [d["name"] for d in found.values()] == names


@pytest.mark.parametrize("query", ["orderBy=name", "orderBy=asc:colour", "property=created>x", "tags=x&colour=red"])
def test_an_invalid_list_of_datasets_is_refused(aep, datasets, query):
    assert aep("GET", f"{CATALOG}/dataSets?{query}").status_code == 400


def test_a_dataset_is_updated_by_every_method(aep, datasets):
    where, deep = f"{CATALOG}/dataSets/{datasets[0]}", f"{CATALOG}/v2/dataSets/{datasets[0]}"

    def found():
        return aep("GET", where).json()[datasets[0]]

    before = aep("GET", where)
    tag = before.headers["e-tag"]
    assert aep("PATCH", where, json={"name": "x"}, headers={"Pragma": "validate-only"}).status_code == 200
    assert found()["name"] == "one"
    assert aep("PATCH", where, json={"name": "new"}, headers={"If-Match": tag}).status_code == 200
    assert aep("PATCH", where, json={"name": "newer"}, headers={"If-Match": tag}).status_code == 412
    assert aep("PATCH", deep, json={"extensions": {"a": {"b": 1}}}).status_code == 200
    assert aep("PATCH", deep, json={"extensions": {"a": {"c": 2}}}).status_code == 200
    assert found()["extensions"] == {"a": {"b": 1, "c": 2}}
    patch = [{"op": "add", "path": "/tags/team", "value": ["red"]}, {"op": "replace", "path": "/name", "value": "n"}]
    assert aep("PATCH", where, json=patch).status_code == 200  # a client sends it as plain JSON
    assert (found()["tags"]["team"], found()["name"]) == (["red"], "n")
    assert aep("PUT", where, json={"name": "p", "schemaRef": found()["schemaRef"]}).status_code == 200
    assert (found()["name"], list(found()["tags"])) == ("p", ["adobe/pqs/table"])
    assert found()["version"] != before.json()[datasets[0]]["version"]
    profile = {"unifiedProfile": ["enabled:true"]}
    for bad in ({"name": ""}, {"schemaRef": {"id": "x"}}, {"tags": {"adobe/x": ["1"]}}, {"tags": profile}):
        assert aep("PATCH", where, json=bad).status_code == 400
    created, gone = {"op": "add", "path": "/created", "value": 1}, {"op": "remove", "path": "/tags/x"}
    for op in (created, gone, {"op": "move", "path": "/name"}):
        assert aep("PATCH", where, json=[op]).status_code == 400
    assert aep("PUT", where, json={"name": "x"}).status_code == 400
    shown = aep("GET", f"{where}?properties=name").json()[datasets[0]]
    assert shown == {"name": "p"}


def test_batches_by_synonyms_of_status_and_the_last_batch_of_each_dataset(aep):
    onboarding = Onboarding(aep)
    onboarding.run(onboarding.flow())
    for status, count in (("success", 1), ("active", 1), ("failure", 0), ("failed", 0), ("!success", 0)):
        assert len(aep("GET", f"{CATALOG}/batches?status={status}").json()) == count
    assert len(aep("GET", f"{CATALOG}/batches?startAfter=1&endBefore=99999999999999").json()) == 1
    assert aep("GET", f"{CATALOG}/batches?startAfter=99999999999999").json() == {}
    last = aep("GET", f"{CATALOG}/lastBatches?dataSetId={onboarding.dataset}").json()[onboarding.dataset]
    [batch] = aep("GET", f"{CATALOG}/batches").json()
    assert (last["lastBatchId"], last["lastSuccessfulBatchId"], last["lastBatchStatus"]) == (batch, batch, "success")


# -- Data Prep, specs, sandboxes ------------------------------------------------------------------------------------


def test_a_mapping_set_is_previewed(aep, onboarding):
    rows = [{"sys_id": "1", "email": "a@b.example"}, {"sys_id": None, "email": "a@b.example"}]
    answer = aep.post(f"{PREP}/mappingSets/preview", {"data": rows, "mappingSet": onboarding.mapping_body}, 200)
    assert answer[0] == {"data": {"_id": "1", "personalEmail": {"address": "a@b.example"}}, "errors": None}
    assert answer[1]["data"] is None
    assert answer[1]["errors"] == [
        {"destination": "_id", "exception": "_id: is required and empty", "source": "sys_id", "columnName": "sys_id",
         "sourceType": "ATTRIBUTE"}
    ]  # fmt: skip
    one = aep.post(f"{PREP}/mappingSets/preview", {"data": rows[0], "mappingSet": onboarding.mapping_body}, 200)
    assert one == answer[0]
    wrong = {**onboarding.mapping_body, "mappings": [{"sourceType": "ATTRIBUTE", "source": "a", "destination": "b"}]}
    for body in (
        {"data": 1, "mappingSet": onboarding.mapping_body},
        {"data": rows},
        {"data": rows, "mappingSet": wrong},
    ):
        assert aep("POST", f"{PREP}/mappingSets/preview", json=body).status_code == 400


def test_the_mappings_of_a_set_are_read_one_by_one(aep, onboarding):
    where = f"{PREP}/mappingSets/{onboarding.mapping['id']}"
    listed = aep("GET", f"{where}/mappings").json()
    assert aep("GET", f"{where}/mappings/{listed[1]['id']}").json() == listed[1]
    assert aep("GET", f"{where}/mappings/x").status_code == 404
    assert aep("GET", f"{where}?version=1").status_code == 400
    assert aep("GET", f"{PREP}/mappingSets/suggestion").status_code == 501
    for order in ("updatedDate", "-createdDate", "name"):
        assert aep("GET", f"{PREP}/mappingSets?limit=5&orderBy={order}").status_code == 200
    assert aep("GET", f"{PREP}/mappingSets?limit=5&orderBy=colour").status_code == 400


def test_a_mapping_set_by_an_id_with_dashes(aep, onboarding):
    raw = onboarding.mapping["id"]
    dashed = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
    assert aep("GET", f"{PREP}/mappingSets/{dashed}").json()["id"] == raw
    body = onboarding.flow_body({"startTime": 4_000_000_000, "frequency": "once"})
    body["transformations"][0]["params"]["mappingId"] = dashed
    aep.post(f"{FLOW}/flows", body)
    assert aep("DELETE", f"{PREP}/mappingSets/{raw}").status_code == 400


def test_all_specs_are_one_page_without_a_limit(aep):
    every = aep("GET", f"{FLOW}/connectionSpecs").json()
    assert (len(every["items"]), every["_links"]) == (69, {})
    names = {s["name"] for s in every["items"]}
    assert {"service-now", "datalake", "landing-zone", "google-big-query", "azure-blob", "dynamics-online"} <= names
    page = aep("GET", f"{FLOW}/connectionSpecs?limit=50").json()
    rest = aep("GET", FLOW + page["_links"]["next"]["href"]).json()
    assert len(page["items"]) + len(rest["items"]) == 69
    assert aep("GET", f"{FLOW}/connectionSpecs?count=true").json() == {"count": 69}
    for part in ("configs", "explore"):
        assert aep("GET", f"{FLOW}/connectionSpecs/x/{part}").status_code == 404
    assert aep("GET", f"{FLOW}/connectionSpecs/{every['items'][0]['id']}/configs").json() == {"items": []}


@pytest.mark.parametrize("kind", ["connections", "flows", "flowSpecs"])
def test_search_by_post(aep, onboarding, kind):
    onboarding.flow({"startTime": 4_000_000_000, "frequency": "once"})
    word = {"connections": "BAS", "flows": "flo", "flowSpecs": "crm"}[kind]
    where = f"{FLOW}/{kind}/search"
    found = aep.post(where, {"queryString": word, "limit": 5, "projectionFields": ["id", "name"]}, 200)["items"]
    assert [set(f) for f in found] == [{"id", "name"}]
    assert aep.post(where, {"queryString": word, "count": True}, 200) == {"count": 1}
    assert aep.post(where, {"queryString": "nobody", "orderby": "-name"}, 200)["items"] == []
    aep.refused(400, "1451-400", "POST", where, json={"queryString": "", "limit": 5000})
    configs = aep("GET", f"{FLOW}/connections/{onboarding.base}/configs")
    assert configs.json() == {"items": []}


def test_sandboxes_are_read_one_by_one(aep):
    assert aep("GET", f"{SANDBOXES}/sandboxes/dev").json()["type"] == "development"
    assert aep("GET", f"{SANDBOXES}/sandboxes/x").status_code == 404
    assert aep("GET", f"{SANDBOXES}/sandboxTypes").json()["sandboxTypes"] == ["production", "development"]
    prod = [(f"property={p}", ["prod"]) for p in ("type==production", "isDefault==true")]
    for query, names in (*prod, ("limit=1&offset=1", ["dev"])):
        assert [s["name"] for s in aep("GET", f"{SANDBOXES}/sandboxes?{query}").json()["sandboxes"]] == names
    assert aep("GET", f"{SANDBOXES}/sandboxes?property=x").status_code == 400


@pytest.mark.parametrize("order", ["id", "state,-name", "-state"])
def test_flow_service_sorts_by_fields_without_an_index(aep, order):
    made = [aep.post(f"{FLOW}/connections", {**BASE, "name": f"n{n}"})["id"] for n in range(5)]
    found, where = [], f"/connections?limit=2&orderby={order}"
    while where:
        page = aep("GET", FLOW + where).json()
        found += [i["id"] for i in page["items"]]
        where = page["_links"].get("next", {}).get("href")
    assert sorted(found) == sorted(made)
    assert found == {"id": sorted(made), "state,-name": made[::-1], "-state": made}[order]
