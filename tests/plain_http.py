"""A plain HTTP client, independent of the provider's, and an onboarding with it."""

import time

import httpx

SERVICENOW = {"id": "eb13cb25-47ab-407f-ba89-c0125281c563", "version": "1.0"}
DATA_LAKE = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
CRM = {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"}
CONTEXT = "https://ns.adobe.com/xdm/context/"
FLOW = "/data/foundation/flowservice"
REGISTRY = "/data/foundation/schemaregistry"
CATALOG = "/data/foundation/catalog"
PREP = "/data/foundation/conversion"
FULL = "application/vnd.adobe.xed-full+json;version=1"
AUTH = {"specName": "Basic Authentication", "params": {"endpoint": "https://x", "username": "u", "password": "hidden"}}
IMS_FORM = {"grant_type": "client_credentials", "client_id": "emulator", "scope": "openid"}


class Plain:
    """Sends requests with a valid token and valid headers; arguments override them."""

    def __init__(self, emulator):
        self.emulator, options = emulator, emulator.world.options
        self.http = httpx.Client(base_url=emulator.url, trust_env=False)
        form = {
            "grant_type": "client_credentials",
            "client_id": options.client_id,
            "client_secret": options.client_secret,
            "scope": "openid",
        }
        token = self.http.post("/ims/token/v3", data=form).json()["access_token"]
        self.headers = {
            "Authorization": f"Bearer {token}",
            "x-api-key": options.client_id,
            "x-gw-ims-org-id": options.org_id,
            "x-sandbox-name": "dev",
        }

    def __call__(self, method, path, headers=None, **options):
        said = {"Content-Type": "application/json"} if options.get("content") is not None else {}
        merged = {k: v for k, v in {**self.headers, **said, **(headers or {})}.items() if v is not None}
        return self.http.request(method, path, headers=merged, **options)

    def refused(self, status, code, method, path, **options):
        """Assert status and code of a refusal, and return its message."""
        answer = self(method, path, **options)
        body = answer.json()
        found = body.get("errorCode") or body.get("error_code") or body.get("type", "").rsplit("/", 1)[-1]
        assert (answer.status_code, found) == (status, code), body
        return body.get("detail") or body.get("message") or body.get("errorMessage")

    def post(self, path, body, status=201):
        answer = self("POST", path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()


class Onboarding:
    """All objects that a flow needs, created with plain requests."""

    def __init__(self, aep, table="customer_contact", mappings=None):
        self.aep = aep
        made = aep.post(f"{FLOW}/connections", {"name": "base", "auth": AUTH, "connectionSpec": SERVICENOW})
        self.base = made["id"]
        self.source = aep.post(f"{FLOW}/sourceConnections", self.source_body(table))["id"]
        groups = ("profile", "profile-person-details", "profile-personal-details")
        schema = {"type": "object", "title": "schema", "allOf": [{"$ref": CONTEXT + g} for g in groups]}
        self.schema = aep.post(f"{REGISTRY}/tenant/schemas", schema)["$id"]
        ref = {"id": self.schema, "contentType": FULL}
        self.dataset = aep.post(f"{CATALOG}/dataSets", {"name": "dataset", "schemaRef": ref})[0].rsplit("/", 1)[-1]
        self.target = aep.post(f"{FLOW}/targetConnections", self.target_body())["id"]
        pairs = mappings or {"sys_id": "_id", "email": "personalEmail.address"}
        entries = [{"sourceType": "ATTRIBUTE", "source": s, "destination": d} for s, d in pairs.items()]
        self.mapping_body = {"outputSchema": {"schemaRef": ref}, "mappings": entries}
        self.mapping = aep.post(f"{PREP}/mappingSets", self.mapping_body, 200)

    def source_body(self, table="customer_contact", **changes):
        body = {"name": "source", "baseConnectionId": self.base, "data": {"format": "tabular"},
                "params": {"tableName": table}, "connectionSpec": SERVICENOW}  # fmt: skip
        return {**body, **changes}

    def target_body(self, **changes):
        body = {"name": "target", "data": {"schema": {"id": self.schema, "version": FULL}},
                "params": {"dataSetId": self.dataset}, "connectionSpec": DATA_LAKE}  # fmt: skip
        return {**body, **changes}

    def flow_body(self, schedule=None, delta=None, **changes):
        params = {"mappingId": self.mapping["id"], "mappingVersion": self.mapping["version"]}
        steps = [{"name": "Copy", "params": {"deltaColumn": {"name": delta}}}] if delta else []
        steps.append({"name": "Mapping", "params": params})
        body = {"name": "flow", "flowSpec": CRM, "sourceConnectionIds": [self.source],
                "targetConnectionIds": [self.target], "transformations": steps,
                "options": {"partialIngestionPercent": 5, "errorDiagnosticsEnabled": True},
                "scheduleParams": schedule or {"startTime": int(time.time()) + 2, "frequency": "once"}}  # fmt: skip
        return {**body, **changes}

    def flow(self, *args, **kwargs):
        return self.aep.post(f"{FLOW}/flows", self.flow_body(*args, **kwargs))["id"]

    def run(self, flow, seconds=20):
        """Return the first run of a flow after its end; the emulator's clock moves past the flow's start."""
        emulator = self.aep.emulator
        if not emulator.world.clock.frozen:
            emulator.freeze()
            emulator.advance(3)
            emulator.thaw()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}"}).json()["items"]
            if runs and runs[0]["metrics"]["statusSummary"]["status"] in {"success", "failed"}:
                return runs[0]
            time.sleep(0.05)
        raise AssertionError("the flow did not run")
