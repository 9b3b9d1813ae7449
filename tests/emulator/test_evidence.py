"""The emulator's coverage: everything has evidence, and Adobe's samples are replayed."""

import json
import time

import pytest
from plain_http import CATALOG, CRM, DATA_LAKE, FLOW, FULL, PREP, REGISTRY, SERVICENOW

from aep_emulator.control.coverage import coverage, unclassified
from aep_emulator.core import errors as refusals
from aep_emulator.core.http import Evidence
from aep_emulator.services.routes import ROUTES

IDS = {"Accept": "application/vnd.adobe.xed-id+json"}
ONE = {"Accept": "application/vnd.adobe.xed-full+json; version=1"}
MADE = {"id": str, "etag": str}
PAGE = {"items": list, "_links": dict}
SANDBOXES = "/data/foundation/sandbox-management"
EXPORT = "/data/foundation/export"


def like(found, wanted, where="the answer"):
    """Assert that a response has the fields and types of the sample."""
    if isinstance(wanted, type):
        assert isinstance(found, wanted), f"{where} is {found!r}"
    elif isinstance(wanted, dict):
        assert isinstance(found, dict), f"{where} is {found!r}"
        for key, inner in wanted.items():
            assert key in found, f"{where} has no {key}: {found!r}"
            like(found[key], inner, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), f"{where} is {found!r}"
        assert found, f"{where} is empty"
        for number, item in enumerate(found):
            like(item, wanted[0], f"{where}.{number}")
    else:
        assert found == wanted, f"{where} is {found!r}"


class Replay:
    """Sends the requests in Adobe's documentation, and compares fields and types of the responses."""

    def __init__(self, aep):
        self.aep, self.replayed = aep, set()

    def __call__(self, operation, path, wanted, status=200, /, *, body=None, headers=None, **query):
        method, pattern = operation.split()
        options = {} if body is None else {"json": body}
        answer = self.aep(method, path, headers=headers, params=query or None, **options)
        assert answer.status_code == status, f"{operation}: {answer.status_code} {answer.text}"
        parsed = answer.json() if answer.content else None
        if wanted is not None:
            like(parsed, wanted, operation)
        self.replayed.add(f"{method} {pattern}")
        return parsed

    def current(self, path):
        """Return the header that a patch needs."""
        [item] = self.aep("GET", path).json()["items"]
        return {"If-Match": item["etag"]}


def test_every_operation_and_refusal_has_evidence():
    assert unclassified() == []
    found = coverage()
    classes = {str(e) for e in Evidence} | {"catalogue"}
    for group in ("operations", "refusals", "switches"):
        assert found[group]
        assert all(entry["evidence"] in classes for entry in found[group])
    operations = [o["operation"] for o in found["operations"]]
    assert len(operations) == len(set(operations))


def test_the_coverage_and_the_description_are_served(aep):
    assert aep.http.get("/_emulator/coverage").json() == json.loads(json.dumps(coverage()))
    described = aep.http.get("/_emulator/openapi.json").json()
    assert {(m.upper(), p) for p, item in described["paths"].items() for m in item} == {
        (r.method, r.path) for r in ROUTES
    }
    assert all("x-evidence" in o for item in described["paths"].values() for o in item.values())


# fmt: off
def test_adobes_samples_are_replayed(aep):
    """Replay Adobe's customer success tutorial and related pages, in an order that provides the ids."""
    replay = Replay(aep)

    def flow_service(resource, id_, **more):
        return {"items": [{"id": id_, "createdAt": int, "updatedAt": int, "createdBy": str, "sandboxName": "dev",
                           "imsOrgId": str, "name": str, "state": "enabled", "etag": str, "version": str, **more}]}

    # -- the source
    replay(f"GET {FLOW}/connectionSpecs", f"{FLOW}/connectionSpecs", PAGE)
    specs = replay(f"GET {FLOW}/connectionSpecs", f"{FLOW}/connectionSpecs", {"items": [{"name": "service-now"}]},
                   property='name=="service-now"')
    spec = specs["items"][0]
    like(spec, {"id": SERVICENOW["id"], "providerId": str, "version": "1.0", "authSpec": [{"name": str, "spec": dict}],
                "sourceSpec": dict, "exploreSpec": dict, "attributes": dict, "permissionsInfo": dict})
    replay(
        f"GET {FLOW}/connectionSpecs/{{id}}", f"{FLOW}/connectionSpecs/{spec['id']}", {"items": [{"id": spec["id"]}]}
    )
    login = {"endpoint": "https://x.service-now.com", "username": "u", "password": "p"}
    body = {"name": "ServiceNow base", "description": "A base connection", "connectionSpec": SERVICENOW,
            "auth": {"specName": "Basic Authentication", "params": login}}
    base = replay(f"POST {FLOW}/connections", f"{FLOW}/connections", MADE, 201, body=body)["id"]
    replay(f"GET {FLOW}/connections", f"{FLOW}/connections", PAGE, limit=2, orderby="-updatedAt")
    replay(f"GET {FLOW}/connections", f"{FLOW}/connections", {"count": 1}, count="true")
    where = f"{FLOW}/connections/{base}"
    replay(f"GET {FLOW}/connections/{{id}}", where,
           flow_service("connections", base, auth={"specName": str, "params": dict}, connectionSpec={"id": str}))
    change = [{"op": "replace", "path": "/auth/params", "value": login},
              {"op": "replace", "path": "/name", "value": "B"},
              {"op": "add", "path": "/description", "value": "changed"}]
    replay(f"PATCH {FLOW}/connections/{{id}}", where, MADE, body=change, headers=replay.current(where))
    tables = replay(f"GET {FLOW}/connections/{{id}}/explore", f"{where}/explore",
                    [{"type": "table", "name": str, "path": str, "canPreview": True, "canFetchSchema": True}],
                    objectType="root")
    assert "customer_contact" in [t["name"] for t in tables]
    shown = replay(f"GET {FLOW}/connections/{{id}}/explore", f"{where}/explore",
                   {"format": "flat", "schema": {"columns": [{"name": str, "type": str, "xdm": {"type": str}}]}},
                   objectType="table", object="customer_contact")
    columns = shown["schema"]["columns"]
    replay(f"GET {FLOW}/baseConnections/{{id}}", f"{FLOW}/baseConnections/123", {"errorCode": "1411-400"}, 400)
    body = {"name": "source", "baseConnectionId": base, "description": "d", "data": {"format": "tabular"},
            "params": {"tableName": "customer_contact", "columns": columns}, "connectionSpec": SERVICENOW}
    source = replay(f"POST {FLOW}/sourceConnections", f"{FLOW}/sourceConnections", MADE, 201, body=body)["id"]

    # -- the target
    replay(f"GET {REGISTRY}/stats", f"{REGISTRY}/stats", {"imsOrg": str, "tenantId": str, "counts": {"schemas": int}})
    replay(f"GET {REGISTRY}/global/behaviors", f"{REGISTRY}/global/behaviors", {"results": [{"$id": str}]}, headers=IDS)
    record = "https%3A%2F%2Fns.adobe.com%2Fxdm%2Fdata%2Frecord"
    behavior = f"{REGISTRY}/global/behaviors/{record}"
    replay(f"GET {REGISTRY}/global/behaviors/{{id}}", behavior, {"$id": str}, headers=ONE)
    groups = ("profile", "profile-person-details", "profile-personal-details")
    body = {"type": "object", "title": "CS target", "description": "d",
            "allOf": [{"$ref": f"https://ns.adobe.com/xdm/context/{g}"} for g in groups]}
    wanted = {"$id": str, "meta:altId": str, "meta:resourceType": "schemas", "version": "1.0", "refs": [str],
              "imsOrg": str, "meta:extensible": False, "meta:abstract": False, "meta:extends": [str], "meta:class": str,
              "meta:containerId": "tenant", "meta:tenantNamespace": str, "meta:registryMetadata": dict}
    schemas = f"{REGISTRY}/tenant/schemas"
    schema = replay(f"POST {schemas}", schemas, wanted, 201, body=body)
    brief = {"$id": str, "meta:altId": str, "version": str, "title": str}
    page = {"results": [brief], "_page": {"orderby": str, "next": None, "count": 1},
            "_links": {"global_schemas": dict}}
    replay(f"GET {schemas}", schemas, page, headers=IDS, orderby="title", limit=5)
    one = f"{schemas}/{schema['meta:altId']}"
    encoded = schema["$id"].replace("/", "%2F").replace(":", "%3A")
    replay(f"GET {schemas}/{{id}}", f"{schemas}/{encoded}", {"properties": dict}, headers=ONE)
    work = "https://ns.adobe.com/xdm/context/profile-work-details"
    change = [
        {"op": "add", "path": "/meta:extends/-", "value": work},
        {"op": "add", "path": "/allOf/-", "value": {"$ref": work}},
    ]
    replay(f"PATCH {schemas}/{{id}}", one, {"version": "1.1", "$id": schema["$id"]}, body=change)
    descriptors = f"{REGISTRY}/tenant/descriptors"
    body = {"@type": "xdm:descriptorIdentity", "xdm:sourceSchema": schema["$id"], "xdm:sourceVersion": 1,
            "xdm:sourceProperty": "/personalEmail/address", "xdm:namespace": "Email", "xdm:property": "xdm:code",
            "xdm:isPrimary": True}
    identity = replay(f"POST {descriptors}", descriptors, {"@id": str, "meta:containerId": "tenant"}, 201, body=body)[
        "@id"
    ]
    replay(f"GET {descriptors}", descriptors, {"xdm:descriptorIdentity": [str]},
           headers={"Accept": "application/vnd.adobe.xdm-link+json"})
    replay(f"GET {descriptors}/{{id}}", f"{descriptors}/{identity}", {"@id": identity})
    replay(f"PUT {descriptors}/{{id}}", f"{descriptors}/{identity}", {"@id": identity}, 201, body=body)
    body = {"name": "CS dataset", "schemaRef": {"id": schema["$id"], "contentType": FULL}}
    datasets = f"{CATALOG}/dataSets"
    [made] = replay(f"POST {datasets}", datasets, [str], 201, body=body, requestDataSource="true")
    assert made.startswith("@/dataSets/")
    dataset = made.removeprefix("@/dataSets/")
    described = {"name": str, "imsOrg": str, "created": int, "updated": int, "createdClient": str, "version": str,
                 "tags": dict, "files": str, "schemaRef": {"id": str}, "classification": dict, "sandboxId": str}
    replay(f"GET {datasets}/{{id}}", f"{datasets}/{dataset}", {dataset: described})
    replay(f"GET {datasets}", datasets, {dataset: described}, limit=5, orderBy="desc:created")
    replay(f"PATCH {datasets}/{{id}}", f"{datasets}/{dataset}", [made], body={"description": "changed"})
    ttl = {"extensions": {"adobe_lakeHouse": {"rowExpiration": {"ttlValue": "P3Y"}}}}
    replay(f"PATCH {CATALOG}/v2/dataSets/{{id}}", f"{CATALOG}/v2/dataSets/{dataset}", [made], body=ttl)
    body = {"name": "target", "data": {"schema": {"id": schema["$id"], "version": FULL}},
            "params": {"dataSetId": dataset}, "connectionSpec": DATA_LAKE}
    target = replay(f"POST {FLOW}/targetConnections", f"{FLOW}/targetConnections", MADE, 201, body=body)["id"]
    for kind, id_ in (("sourceConnections", source), ("targetConnections", target)):
        where = f"{FLOW}/{kind}/{id_}"
        replay(f"GET {FLOW}/{kind}", f"{FLOW}/{kind}", PAGE, limit=5)
        replay(f"GET {FLOW}/{kind}/{{id}}", where, flow_service(kind, id_, params=dict))
        change = [{"op": "replace", "path": "/name", "value": kind}]
        replay(f"PATCH {FLOW}/{kind}/{{id}}", where, MADE, body=change, headers=replay.current(where))

    # -- mapping and flow
    old = {"version": 0, "xdmSchema": schema["$id"], "xdmVersion": "1.0", "id": None,
           "mappings": [{"destinationXdmPath": "_id", "sourceAttribute": "sys_id", "identity": False,
                         "identityGroup": None, "namespaceCode": None, "version": 0}]}
    sets = f"{PREP}/mappingSets"
    versioned = {"id": str, "version": 0, "createdDate": int, "modifiedDate": int, "createdBy": str, "modifiedBy": str}
    mapping = replay(f"POST {sets}", sets, versioned, body=old)["id"]
    assert len(mapping) == 32
    whole = {"id": mapping, "mappings": [{"source": "sys_id", "sourceAttribute": "sys_id", "destination": "_id",
             "destinationXdmPath": "_id", "sourceType": "text/x.schema-path"}], "xdmSchema": schema["$id"]}
    replay(f"GET {sets}/{{id}}", f"{sets}/{mapping}", whole)
    replay(f"GET {sets}", sets, {"data": [dict], "_page": {"count": 1, "limit": 5}}, limit=5, start=0)
    replay(f"PUT {sets}/{{id}}", f"{sets}/{mapping}", {"version": 1}, body=old)
    specs = replay(f"GET {FLOW}/flowSpecs", f"{FLOW}/flowSpecs", {"items": [dict]}, property='name=="CRMToAEP"')
    like(specs["items"][0], {"id": CRM["id"], "sourceConnectionSpecIds": [str], "targetConnectionSpecIds": [str],
         "transformationSpecs": [{"name": str, "spec": dict}], "scheduleSpec": dict, "optionSpec": dict,
         "runSpec": dict, "attributes": {"isSourceFlow": True}})
    steps = [{"name": "Mapping", "params": {"mappingId": mapping, "mappingVersion": "0"}}]
    flow_body = {"name": "flow", "description": "d", "flowSpec": CRM, "sourceConnectionIds": [source],
                 "targetConnectionIds": [target], "transformations": steps,
                 "scheduleParams": {"startTime": str(int(time.time()) + 3600), "frequency": "once"},
                 "options": {"partialIngestionPercent": 5, "errorDiagnosticsEnabled": True}}
    flow = replay(f"POST {FLOW}/flows", f"{FLOW}/flows", MADE, 201, body=flow_body)["id"]
    where = f"{FLOW}/flows/{flow}"
    replay(f"GET {FLOW}/flows", f"{FLOW}/flows", PAGE, property="state==enabled,disabled")
    replay(f"GET {FLOW}/flows/{{id}}", where,
           flow_service("flows", flow, inheritedAttributes={"properties": {"isSourceFlow": True}},
                        lastOperation={"operation": "create", "status": {"value": str, "errors": list}}))
    change = [{"op": "replace", "path": "/transformations/0",
               "value": {"name": "Mapping", "params": {"mappingId": mapping, "mappingVersion": 1}}}]
    replay(f"PATCH {FLOW}/flows/{{id}}", where, MADE, body=change, headers=replay.current(where))
    replay(f"POST {FLOW}/flows/{{id}}/action", f"{where}/action", MADE, op="disable")
    replay(f"POST {FLOW}/flows/{{id}}/action", f"{where}/action", MADE, op="enable")

    # -- runs
    body = {"flowId": flow, "params": {"startTime": "1663735590", "windowStartTime": "0", "windowEndTime": "1893456000",
                                       "deltaColumn": {"name": "sys_updated_on"}}}
    run = replay(f"POST {FLOW}/runs", f"{FLOW}/runs", {"items": [MADE]}, 201, body=body)["items"][0]["id"]
    deadline = time.monotonic() + 20
    while "recordSummary" not in aep("GET", f"{FLOW}/runs/{run}").json()["items"][0]["metrics"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    summary = {"durationSummary": {"startedAtUTC": int, "completedAtUTC": int, "extensions": {"windowStart": int}},
               "sizeSummary": {"inputBytes": int, "outputBytes": int},
               "recordSummary": {"inputRecordCount": 1000, "outputRecordCount": int, "failedRecordCount": int},
               "fileSummary": {"inputFileCount": 1}, "statusSummary": {"status": "success"}}
    activity = {"id": str, "name": str, "durationSummary": dict, "sizeSummary": dict, "recordSummary": dict,
                "fileSummary": dict, "statusSummary": {"status": str}}
    ran = {"id": run, "flowId": flow, "flowSpec": CRM, "providerRefId": str, "metrics": summary,
           "activities": [activity], "createdClient": str, "sandboxId": str}
    replay(f"GET {FLOW}/runs/{{id}}", f"{FLOW}/runs/{run}", {"items": [ran]})
    replay(f"GET {FLOW}/runs", f"{FLOW}/runs", {"items": [ran]}, property=f"flowId=={flow}", orderby="-createdAt")
    replay(f"GET {FLOW}/flows/{{id}}/runs", f"{where}/runs", {"items": [ran]})
    [one_run] = aep("GET", f"{FLOW}/runs/{run}").json()["items"]
    batch = one_run["activities"][-1]["targetInfo"][0]["reference"]["ids"][0]
    related = [{"type": "dataSet", "id": dataset}]
    last = {"lastBatchId": batch, "lastBatchStatus": "success", "lastSuccessfulBatch": batch}
    replay(f"GET {datasets}/{{id}}", f"{datasets}/{dataset}", {dataset: last})
    described = {"status": "success", "tags": dict, "relatedObjects": related, "imsOrg": str,
                 "metrics": {"inputRecordCount": 1000}, "errors": list, "created": int, "updated": int}
    replay(f"GET {CATALOG}/batches", f"{CATALOG}/batches", {batch: described}, dataSet=dataset, orderBy="desc:created")
    replay(f"GET {CATALOG}/batches/{{id}}", f"{CATALOG}/batches/{batch}", {batch: described})
    file = {"name": str, "length": str, "_links": {"self": {"href": str}}}
    listing = {"data": [file], "_page": {"count": 1, "limit": 100}}
    replay(f"GET {EXPORT}/batches/{{id}}/meta", f"{EXPORT}/batches/{batch}/meta", listing, path="input_files")

    # -- an ad hoc class, drafts, sandboxes
    classes = f"{REGISTRY}/tenant/classes"
    body = {"title": "ad hoc", "type": "object", "allOf": [{"$ref": "https://ns.adobe.com/xdm/data/adhoc"},
            {"properties": {"_adhoc": {"type": "object", "properties": {"field1": {"type": "string"}}}}}]}
    wanted = {"$id": str, "meta:datasetNamespace": str, "meta:abstract": True, "meta:extensible": True,
              "meta:extends": ["https://ns.adobe.com/xdm/data/adhoc"]}
    made = replay(f"POST {classes}", classes, wanted, 201, body=body)
    replay(f"GET {classes}", classes, {"results": [brief]}, headers=IDS)
    replay(f"GET {classes}/{{id}}", f"{classes}/{made['meta:altId']}", {"$id": made["$id"]}, headers=ONE)
    change = [{"op": "add", "path": "/description", "value": "d"}]
    replay(f"PATCH {classes}/{{id}}", f"{classes}/{made['meta:altId']}", {"version": "1.1"}, body=change)
    replay(f"DELETE {classes}/{{id}}", f"{classes}/{made['meta:altId']}", None, 204)
    body = {
        "name": "draft",
        "connectionSpec": SERVICENOW,
        "auth": {"specName": "Basic Authentication", "params": login},
    }
    draft = replay(f"POST {FLOW}/connections", f"{FLOW}/connections", MADE, 201, body=body, mode="draft")["id"]
    body = {"name": "draft", "baseConnectionId": draft, "data": {"format": "tabular"},
            "params": {"tableName": "incident"}, "connectionSpec": SERVICENOW}
    child = replay(f"POST {FLOW}/sourceConnections", f"{FLOW}/sourceConnections", MADE, 201, body=body, mode="draft")[
        "id"
    ]
    body = {"name": "draft", "params": {"dataSetId": dataset}, "connectionSpec": DATA_LAKE}
    other = replay(f"POST {FLOW}/targetConnections", f"{FLOW}/targetConnections", MADE, 201, body=body, mode="draft")[
        "id"
    ]
    for kind, id_ in (("connections", draft), ("sourceConnections", child), ("targetConnections", other)):
        replay(f"POST {FLOW}/{kind}/{{id}}/action", f"{FLOW}/{kind}/{id_}/action", MADE, op="publish")
    sandbox = {"name": str, "title": str, "state": "active", "type": str, "region": str, "isDefault": bool, "eTag": int,
               "createdDate": str, "lastModifiedDate": str, "createdBy": str, "modifiedBy": str}
    page = {"sandboxes": [sandbox], "_page": {"limit": 200, "count": 2}, "_links": {"page": dict}}
    replay(f"GET {SANDBOXES}", f"{SANDBOXES}/", page)
    replay(f"GET {SANDBOXES}/sandboxes", f"{SANDBOXES}/sandboxes", page)

    namespaces = "/data/core/idnamespace/identities"
    body = {"name": "Loyalty Member", "code": "Loyalty", "description": "Member of the program",
            "idType": "Cross_device"}
    found = {**body, "updateTime": int, "status": "ACTIVE", "id": int, "createTime": int, "custom": True}
    replay(f"POST {namespaces}", namespaces, found, body=body)

    # -- and back
    for kind, ids in (("flows", [flow]), ("sourceConnections", [source, child]), ("targetConnections", [target, other]),
                      ("connections", [base, draft])):
        for id_ in ids:
            replay(f"DELETE {FLOW}/{kind}/{{id}}", f"{FLOW}/{kind}/{id_}", None, 204)
            aep.refused(404, "1101-404", "GET", f"{FLOW}/{kind}/{id_}")
    replay(f"DELETE {datasets}/{{id}}", f"{datasets}/{dataset}", [str])
    assert aep("GET", f"{datasets}/{dataset}").status_code == 404
    replay(f"DELETE {descriptors}/{{id}}", f"{descriptors}/{identity}", None, 204)
    replay(f"DELETE {schemas}/{{id}}", one, None, 204)
    aep.refused(404, "XDM-1012-404", "GET", one, headers=ONE)

    claimed = {f"{r.method} {r.path}" for r in ROUTES if r.evidence == Evidence.SAMPLE}
    assert claimed - replay.replayed == set(), "claimed as a sample, and not replayed"
# fmt: on


@pytest.mark.parametrize("path", ["/ims/token/v3", "/ims/token/v2", "/ims/token/v2/"])
@pytest.mark.parametrize("by", ["data", "params"])
def test_a_token_by_form_and_by_query_string(aep, path, by):
    options = aep.emulator.world.options
    form = {"grant_type": "client_credentials", "client_id": options.client_id,
            "client_secret": options.client_secret, "scope": "openid,AdobeID"}  # fmt: skip
    like(aep.http.post(path, **{by: form}).json(), {"access_token": str, "token_type": "bearer", "expires_in": 86399})


def test_the_tables_have_unique_codes():
    assert not set(refusals.FLOW) & {f"{n}-400" for n in refusals.SOURCE}
