"""Every refusal in the emulator's tables, provoked with plain requests."""

import time

import pytest
from plain_http import AUTH, CATALOG, CONTEXT, CRM, DATA_LAKE, FLOW, PREP, REGISTRY, SERVICENOW, Onboarding, Plain

from aep_emulator.core import errors as refusals
from aep_emulator.core.options import Credential

KINESIS = {"id": "86043421-563b-46ec-8e6c-e23184711bf6", "version": "1.0"}
LANDING_ZONE = {"id": "26f526f2-58f4-4712-961d-e41bf1ccc0e8", "version": "1.0"}
S3 = {"id": "ecadc60c-7455-4d87-84dc-2a0e293d997b", "version": "1.0"}
SFTP = {"id": "b7bf2577-4520-42c9-bae9-cad01560f7bc", "version": "1.0"}
ZENDESK = {"id": "0a27232b-2c6e-4396-b8c6-c9fc24e37ba4", "version": "1.0"}
IDS = {"Accept": "application/vnd.adobe.xed-id+json"}
LATER = int(time.time()) + 36_000
NAMESPACES = "/data/core/idnamespace/identities"
REST = {"id": "6499120c-0b15-42dc-936e-847ea3c24d72", "version": "1.0"}


class Case:
    """An emulator with a complete onboarding and a frozen clock."""

    def __init__(self, aep):
        self.aep = aep
        aep.emulator.freeze()
        self.parts = Onboarding(aep)

    def get(self, path, **options):
        return self.aep("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.aep("POST", path, json=body, **options)

    def delete(self, path):
        return self.aep("DELETE", path)

    def patch(self, path, *ops):
        [item] = self.get(path).json()["items"]
        return self.aep("PATCH", path, json=list(ops), headers={"If-Match": item["etag"]})

    def set(self, field, value):
        return {"op": "add", "path": f"/{field}", "value": value}

    def flow(self, *arguments, **changes):
        return self.post(f"{FLOW}/flows", self.parts.flow_body(*arguments, **changes))

    def made_flow(self, *arguments, **changes):
        """Return the path of an existing flow."""
        return f"{FLOW}/flows/{self.parts.flow(*arguments, **changes)}"

    def once(self):
        return self.made_flow({"startTime": LATER, "frequency": "once"})

    def hourly(self):
        return self.made_flow({"startTime": LATER, "frequency": "hour", "interval": 1}, "sys_updated_on")

    def scheduled(self, delta="sys_updated_on", **schedule):
        return self.flow({"startTime": LATER, "frequency": "hour", "interval": 1, **schedule}, delta)

    def base(self, spec, auth=None):
        body = {"name": "b", "connectionSpec": spec, **({"auth": auth} if auth else {})}
        return f"{FLOW}/connections/{self.aep.post(f'{FLOW}/connections', body)['id']}"

    def explore(self, spec, auth, **query):
        return self.get(f"{self.base(spec, auth)}/explore", params=query)

    def run(self, flow, **params):
        body = {"flowId": flow.rsplit("/", 1)[1], "params": params}
        return self.post(f"{FLOW}/runs", body)

    def fault(self, **rule):
        self.aep.emulator.fault(do="answer", **rule)

    def disabled(self, flow):
        assert self.post(f"{flow}/action", params={"op": "disable"}).status_code == 200
        return flow

    def passing(self, action):
        """Set a transition time."""
        self.aep.emulator.world.options = type(self.aep.emulator.world.options)(transition=60, strict=True)
        assert action().status_code < 300

    def schema(self, **changes):
        body = {"type": "object", "title": "another", "allOf": [{"$ref": f"{CONTEXT}profile"}], **changes}
        return self.post(f"{REGISTRY}/tenant/schemas", body)


ACCESS = {"specName": "Access Key", "params": {"s3AccessKey": "k", "s3SecretKey": "s"}}
LOGIN = {"specName": "Basic Authentication for sftp", "params": {"host": "h", "userName": "u", "password": "p"}}
TOKEN = {"specName": "OAuth2 Refresh Code", "params": {"subdomain": "https://x.zendesk.com", "accessToken": "t"}}
STREAM = {
    "specName": "Aws Kinesis authentication credentials",
    "params": {"accessKeyId": "a", "secretKey": "s", "region": "r"},
}
KEY = {
    "specName": "SSH PublicKey Authentication for sftp",
    "params": {"host": "h", "userName": "u", "privateKeyContent": "k"},
}
WINDOW = {"windowStartTime": 1, "windowEndTime": 2}
DELTA = {"deltaColumn": {"name": "sys_updated_on"}}


def source(case, spec=SERVICENOW, base=None, **changes):
    base = base.rsplit("/", 1)[1] if base else case.parts.base
    body = {"name": "s", "connectionSpec": spec, "baseConnectionId": base, "data": {"format": "tabular"},
            "params": {"tableName": "incident"}, **changes}  # fmt: skip
    return case.post(f"{FLOW}/sourceConnections", {k: v for k, v in body.items() if v is not None})


def target(case, **changes):
    return case.post(f"{FLOW}/targetConnections", case.parts.target_body(**changes))


def in_passing(case, resource, action):
    """Send a request while a flow is being disabled."""
    flow = case.once()
    case.passing(lambda: case.post(f"{flow}/action", params={"op": "disable"}))
    return action(flow)


def deleting(case, action):
    flow = case.once()
    case.passing(lambda: case.delete(flow))
    return action(flow)


def started(case, frequency, change):
    """Change a flow after its start."""
    delta = None if frequency == "once" else "sys_updated_on"
    schedule = {"startTime": LATER, "frequency": frequency, **({} if frequency == "once" else {"interval": 1})}
    flow = case.made_flow(schedule, delta)
    case.aep.emulator.freeze(LATER + 10)
    return case.patch(flow, change)


def other_schema(case):
    id_ = case.schema().json()["$id"]
    ref = {"schemaRef": {"id": id_, "contentType": "application/vnd.adobe.xed-full+json;version=1"}}
    entries = [{"sourceType": "ATTRIBUTE", "source": "a", "destination": "_id"}]
    made = case.aep.post(f"{PREP}/mappingSets", {"outputSchema": ref, "mappings": entries}, 200)
    return {"transformations": [{"name": "Mapping", "params": {"mappingId": made["id"], "mappingVersion": 0}}]}


def mapping(case, **changes):
    params = {"mappingId": case.parts.mapping["id"], "mappingVersion": 0, **changes}
    return {"transformations": [{"name": "Mapping", "params": {k: v for k, v in params.items() if v is not None}}]}


def failing_run(case):
    flow = case.once()
    case.aep.emulator.advance(0)
    run = case.run(flow, **WINDOW, **DELTA).json()["items"][0]["id"]
    case.aep.emulator.advance(1)
    return case.post(f"{FLOW}/runs/{run}/action", params={"op": "RE_TRIGGER"})


def conflicting(case):
    """Create a field group that declares a field of a global one with another type."""
    own = {"person": {"type": "string"}}
    return case.schema(
        allOf=[{"$ref": f"{CONTEXT}profile"}, {"$ref": f"{CONTEXT}profile-person-details"}, {"properties": own}]
    )


PROVOKED = {
    # -- gateway
    "403010": lambda c: c.get(f"{FLOW}/flows", headers={"Authorization": None}),
    "401013": lambda c: c.get(f"{FLOW}/flows", headers={"Authorization": "Bearer nobody"}),
    "403000": lambda c: c.get(f"{FLOW}/flows", headers={"x-api-key": None}),
    "403003": lambda c: c.get(f"{FLOW}/flows", headers={"x-api-key": "other"}),
    "400003": lambda c: c.get(f"{FLOW}/flows", headers={"x-gw-ims-org-id": None}),
    "403027": lambda c: c.get(f"{FLOW}/flows", headers={"x-gw-ims-org-id": "X"}),
    "403025": lambda c: c.get(f"{FLOW}/flows", headers={"x-gw-ims-org-id": "X@AdobeOrg"}),
    "429050": lambda c: (c.fault(operation="GET */flows", status=429), c.get(f"{FLOW}/flows"))[1],
    # -- Flow Service
    "1101-404": lambda c: c.get(f"{FLOW}/flows/x"),
    **{
        code: lambda c, code=code: (
            c.fault(operation="GET */flows", status=int(code[-3:]), code=code),
            c.get(f"{FLOW}/flows"),
        )[1]
        for code in ("1102-500", "1103-503", "1104-504", "2200-500", "2250-500")
    },
    "1401-400": lambda c: c.get(f"{FLOW}/flows?count=true&limit=1"),
    "1402-400": lambda c: c.post(f"{c.once()}/action", params={"op": "FINALIZE"}),
    "1403-400": lambda c: c.aep("PATCH", f"{FLOW}/connections/{c.parts.base}", json=[c.set("name", "x")]),
    "1404-412": lambda c: c.aep(
        "PATCH", f"{FLOW}/connections/{c.parts.base}", json=[c.set("name", "x")], headers={"If-Match": '"old"'}
    ),
    "1405-400": lambda c: c.aep("POST", f"{FLOW}/flows", content=b""),
    "1410-400": lambda c: c.flow(state="enabled"),
    "1411-400": lambda c: c.get(f"{FLOW}/baseConnections/123"),
    "1412-400": lambda c: c.flow(**mapping(c, mappingVersion=9)),
    "1413-400": lambda c: c.flow(flowSpec={"id": "x", "version": "1.0"}),
    "1414-400": lambda c: c.patch(f"{FLOW}/connections/{c.parts.base}", c.set("connectionSpec/id", "x")),
    "1415-400": lambda c: c.post(
        f"{FLOW}/connections", {"name": "b", "connectionSpec": SERVICENOW, "auth": {"specName": "x", "params": {}}}
    ),
    "1416-400": lambda c: (
        c.passing(lambda: c.patch(f"{FLOW}/connections/{c.parts.base}", c.set("name", "x"))),
        c.delete(f"{FLOW}/connections/{c.parts.base}"),
    )[1],
    "1418-400": lambda c: (c.once(), c.delete(f"{FLOW}/connections/{c.parts.base}"))[1],
    "1419-400": lambda c: c.flow(**mapping(c, mappingId="0" * 32)),
    "1420-400": lambda c: in_passing(c, "flows", lambda flow: c.patch(flow, c.set("name", "x"))),
    "1421-400": lambda c: in_passing(c, "flows", lambda flow: c.post(f"{flow}/action", params={"op": "enable"})),
    "1422-400": lambda c: c.post(f"{c.once()}/action", params={"op": "enable"}),
    "1425-400": lambda c: c.flow(**other_schema(c)),
    "1426-400": lambda c: c.post(f"{FLOW}/connectionSpecs", {}),
    "1427-400": lambda c: c.aep("PUT", f"{FLOW}/runs/x", json={}),
    "1430-400": lambda c: c.post(f"{FLOW}/runs", {"flowId": "x", "params": WINDOW}),
    "1433-400": lambda c: c.get(f"{FLOW}/flows?orderby=colour"),
    "1434-400": lambda c: c.patch(
        f"{FLOW}/connections/{c.parts.base}", {"op": "move", "path": "/name", "from": "/description"}
    ),
    "1435-400": lambda c: c.post(f"{c.once()}/action", params={"op": "dance"}),
    "1440-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "name~x"}),
    "1443-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "createdAt>1,2"}),
    "1446-400": lambda c: c.post(f"{FLOW}/runs", {"flowId": "", "params": WINDOW}),
    "1447-400": lambda c: (c.once(), c.delete(f"{FLOW}/sourceConnections/{c.parts.source}"))[1],
    "1448-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "flowSpec.id>1"}),
    "1449-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "a b==1"}),
    "1450-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "name"}),
    "1451-400": lambda c: c.get(f"{FLOW}/flows", params={"continuationToken": "x"}),
    "1453-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "name=="}),
    "1454-400": lambda c: c.get(f"{FLOW}/flows", params={"property": "createdAt>today"}),
    "1455-400": lambda c: c.patch(f"{FLOW}/connections/{c.parts.base}", {"op": "remove", "path": "/description"}),
    "1457-400": lambda c: deleting(c, lambda flow: c.patch(flow, c.set("name", "x"))),
    "1458-400": lambda c: deleting(c, c.delete),
    "2002-401": lambda c: c.get(f"{FLOW}/flows", headers={"x-gw-ims-org-id": ""}),
    "2100-404": lambda c: c.get(f"{FLOW}/flows", headers={"x-sandbox-name": "nobody"}),
    "2105-400": lambda c: c.get(f"{FLOW}/flows", headers={"x-sandbox-name": None}),
    "2110-400": lambda c: c.get(f"{FLOW}/flows", headers={"x-sandbox-id": "x"}),
    "2111-403": lambda c: c.get(f"{FLOW}/flows", headers={"x-sandbox-name": "*"}),
    # -- the sources provider
    "1300-400": lambda c: c.patch(c.base(SFTP, LOGIN), c.set("auth", KEY)),
    "1304-400": lambda c: c.post(f"{FLOW}/connections", {"connectionSpec": SERVICENOW, "auth": AUTH}),
    "1307-400": lambda c: target(c, connectionSpec=SERVICENOW),
    "1308-400": lambda c: (
        c.aep.emulator.fault("POST */connections", "login"),
        c.post(f"{FLOW}/connections", {"name": "b", "connectionSpec": SERVICENOW, "auth": AUTH}),
    )[1],
    "1317-400": lambda c: c.flow(scheduleParams={}),
    "1320-400": lambda c: c.flow(sourceConnectionIds=[]),
    "1321-400": lambda c: c.flow(targetConnectionIds=[c.parts.target] * 2),
    "1324-400": lambda c: target(c, params={}),
    "1327-400": lambda c: source(c, data={"format": "parquet_xdm"}),
    "1328-400": lambda c: c.flow(**mapping(c, mappingId=None)),
    "1330-400": lambda c: source(c, params={"tableName": "gone"}),
    "1332-400": lambda c: source(c, LANDING_ZONE, data={"format": "json"}, params={"path": "/x"}),
    "1335-400": lambda c: c.explore(ZENDESK, TOKEN, objectType="rest", object="json", sourceParams="%%"),
    "1336-400": lambda c: c.explore(KINESIS, STREAM, objectType="root"),
    "1337-400": lambda c: c.get(f"{FLOW}/connections/{c.parts.base}/explore?objectType=table"),
    "1340-400": lambda c: c.scheduled(startTime="tomorrow"),
    "1358-400": lambda c: c.get(f"{FLOW}/connections/{c.parts.base}/explore?objectType=planet"),
    "1360-400": lambda c: c.scheduled(startTime=1),
    "1361-400": lambda c: c.flow({"startTime": LATER, "frequency": "once", "interval": 1}),
    "1362-400": lambda c: c.scheduled(frequency="minute", interval=14),
    "1364-400": lambda c: c.flow({"startTime": LATER, "frequency": "once", "backfill": True}),
    "1365-400": lambda c: c.patch(f"{FLOW}/connections/{c.parts.base}", c.set("createdAt", 1)),
    "1366-400": lambda c: started(c, "hour", c.set("scheduleParams", {"startTime": LATER, "frequency": "once"})),
    "1367-400": lambda c: c.scheduled(delta=None),
    "1368-400": lambda c: c.post(
        f"{FLOW}/connections?mode=x", {"name": "b", "connectionSpec": SERVICENOW, "auth": AUTH}
    ),
    "1369-400": lambda c: c.flow({"startTime": LATER, "frequency": "once"}, "sys_updated_on"),
    "1370-400": lambda c: c.flow(transformations=[]),
    "1374-400": lambda c: c.explore(
        S3, ACCESS, objectType="file", object="/x.csv", determineProperties="true", columnDelimiter=";"
    ),
    "1381-400": lambda c: c.run(c.once(), windowStartTime=2, windowEndTime=1, **DELTA),
    "1382-400": lambda c: (
        (flow := c.once()),
        c.run(flow, **WINDOW, **DELTA),
        c.run(flow, **WINDOW, deltaColumn={"name": "other"}),
    )[2],
    "1383-400": lambda c: c.run(c.once(), **WINDOW),
    "1384-400": lambda c: c.run(c.once()),
    "1386-400": lambda c: c.run(c.hourly(), **WINDOW),
    "1387-400": failing_run,
    "1388-400": lambda c: c.run(c.disabled(c.once()), **WINDOW, **DELTA),
    "1389-400": lambda c: c.get(f"{FLOW}/connections/{c.parts.base}/explore?filters=%25%25"),
    "1391-400": lambda c: source(c, data={"format": "tabular", "schema": {"id": "x"}}),
    "1392-400": lambda c: rest_flow(c),
    "1396-400": lambda c: target(c, data={"format": "csv"}),
    "1397-400": lambda c: c.scheduled(frequency="yearly"),
    "1404-400": lambda c: started(c, "hour", c.set("scheduleParams/backfill", False)),
    # -- Schema Registry
    "XDM-1006-400": lambda c: c.get(f"{REGISTRY}/tenant/schemas", headers={"Accept": f"{IDS['Accept']}; version=1"}),
    "XDM-1007-400": lambda c: c.get(f"{REGISTRY}/tenant/schemas/{c.parts.schema.replace('/', '%2F')}", headers=IDS),
    "XDM-1008-400": lambda c: c.get(f"{REGISTRY}/tenant/schemas"),
    "XDM-1010-404": lambda c: c.get(f"{REGISTRY}/global/behaviors/x", headers=IDS),
    "XDM-1011-404": lambda c: c.get(f"{REGISTRY}/tenant/classes/x", headers=IDS),
    "XDM-1012-404": lambda c: c.get(f"{REGISTRY}/tenant/schemas/x", headers=IDS),
    "XDM-1013-404": lambda c: c.get(f"{REGISTRY}/tenant/fieldgroups/x", headers=IDS),
    "XDM-1014-404": lambda c: c.get(f"{REGISTRY}/tenant/datatypes/x", headers=IDS),
    "XDM-1016-404": lambda c: c.get(f"{REGISTRY}/tenant/descriptors/x"),
    "XDM-1413-400": conflicting,
    "XDM-1521-400": lambda c: c.schema(title="schema"),
    "INVALID_REQUEST_PARAMS": lambda c: c.post(NAMESPACES, {"name": "Loyalty", "code": "A B", "idType": "Email"}),
    "NAMESPACE_NOT_FOUND": lambda c: c.get(f"{NAMESPACES}/5"),
    "INTEGRATION_CODE_EXISTS": lambda c: c.post(NAMESPACES, {"name": "Mail", "code": "Email", "idType": "Email"}),
    "XDM-1528-400": lambda c: c.aep(
        "PATCH",
        f"{REGISTRY}/tenant/schemas/{c.parts.schema.replace('/', '%2F')}",
        json=[{"op": "add", "path": "/meta:immutableTags", "value": ["union"]}],
    ),
}


def rest_flow(case):
    base = case.base(ZENDESK, TOKEN)
    made = source(case, ZENDESK, base, data={"format": "json"}, params={}).json()["id"]
    copy = {"name": "Copy", "params": DELTA}
    steps = [copy, *mapping(case)["transformations"]]
    return case.flow(sourceConnectionIds=[made], flowSpec=REST, transformations=steps)


BY_OPTIONS = {"2106-404", "2118-403", "2121-403"}
ALL = {*refusals.GATEWAY, *refusals.FLOW, *(f"{n}-400" for n in refusals.SOURCE), *refusals.XDM, *refusals.IDENTITY}


def test_every_claimed_code_is_provoked():
    assert set(PROVOKED) == ALL - BY_OPTIONS


@pytest.mark.parametrize("code", sorted(PROVOKED))
def test_each_refusal_has_its_code(aep, code):
    case = Case(aep)
    answer = PROVOKED[code](case)
    body = answer.json()
    identity = refusals.IDENTITY.get(code)
    status = identity[0] if identity else int(code[:3]) if len(code) == 6 else int(code[-3:])
    assert (answer.status_code, refusals.code_of(body)) == (status, code), body
    if "title" in body and code in refusals.FLOW:
        assert body["title"] == refusals.FLOW[code][0]


# -- who may do what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denied", "method", "path", "status", "code"),
    [
        ("flowservice", "GET", f"{FLOW}/flows", 403, "2121-403"),
        ("flowservice:write", "POST", f"{FLOW}/flows", 403, "2121-403"),
        ("catalog", "GET", f"{CATALOG}/dataSets", 403, ""),
        ("conversion:write", "POST", f"{PREP}/mappingSets", 403, ""),
        ("schemaregistry:write", "POST", f"{REGISTRY}/tenant/schemas", 403, ""),
        ("idnamespace:write", "POST", NAMESPACES, 403, ""),
        ("sandbox:dev", "GET", f"{FLOW}/flows", 403, "2118-403"),
        ("sandbox:dev", "GET", f"{CATALOG}/dataSets", 403, "2118-403"),
    ],
)
def test_a_denied_permission_is_refused(make_emulator, denied, method, path, status, code):
    aep = Plain(make_emulator(denied=(denied,)))
    answer = aep(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, refusals.code_of(answer.json())) == (status, code)
    if denied.endswith(":write"):
        accept = {"Accept": IDS["Accept"]} if "registry" in path else {}
        assert aep("GET", path, headers=accept).status_code == 200


def test_a_second_credential_has_separate_permissions(make_emulator):
    emulator = make_emulator(others=(Credential("reader", "hush", ("flowservice:write", "sandbox:prod")),))
    first, reader = Plain(emulator), Plain(emulator)
    form = {"grant_type": "client_credentials", "client_id": "reader", "client_secret": "hush", "scope": "openid"}
    token = reader.http.post("/ims/token/v3", data=form).json()["access_token"]
    reader.headers |= {"Authorization": f"Bearer {token}", "x-api-key": "reader"}
    body = {"name": "b", "connectionSpec": SERVICENOW, "auth": AUTH}
    made = first.post(f"{FLOW}/connections", body)
    reader.refused(403, "2121-403", "POST", f"{FLOW}/connections", json=body)
    assert reader("GET", f"{FLOW}/connections/{made['id']}").status_code == 200
    reader.refused(403, "2118-403", "GET", f"{FLOW}/connections", headers={"x-sandbox-name": "prod"})
    names = [s["name"] for s in reader("GET", "/data/foundation/sandbox-management/").json()["sandboxes"]]
    assert names == ["dev"]


@pytest.mark.parametrize("state", ["creating", "failed", "deleted"])
def test_an_inactive_sandbox_is_listed_and_not_served(make_emulator, state):
    aep = Plain(make_emulator(sandboxes=("prod", f"dev:{state}")))
    aep.refused(404, "2100-404", "GET", f"{FLOW}/flows")
    listed = aep("GET", "/data/foundation/sandbox-management/").json()["sandboxes"]
    assert {s["name"]: s["state"] for s in listed} == {"prod": "active", "dev": state}


def test_the_flow_spec_must_support_the_source(aep):
    case = Case(aep)
    assert case.flow(flowSpec=REST).json()["errorCode"] == "1413-400"
    assert case.flow(flowSpec=CRM, targetConnectionIds=[case.parts.source]).json()["errorCode"] == "1101-404"
    assert source(case, DATA_LAKE, case.base(DATA_LAKE)).json()["errorCode"] == "1413-400"


def test_without_prod_no_sandbox_is_the_default(make_emulator):
    aep = Plain(make_emulator(sandboxes=("dev",)))
    nobody = {"x-sandbox-name": None}
    aep.refused(404, "2106-404", "GET", f"{CATALOG}/dataSets", headers=nobody)
    assert aep("GET", "/data/foundation/sandbox-management/", headers=nobody).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_with_another_content_type_is_refused(aep, content_type):
    answer = aep("POST", f"{CATALOG}/dataSets", content=b"{}", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["detail"]) == (400, "A valid content-type must be specified")
