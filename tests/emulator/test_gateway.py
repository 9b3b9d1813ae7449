"""IMS, the gateway's checks, sandboxes, the Host header and the journal."""

import json

import httpx
import pytest
from plain_http import AUTH, CATALOG, FLOW, PREP, REGISTRY, SERVICENOW, Plain

FORM = {
    "grant_type": "client_credentials",
    "client_id": "emulator",
    "client_secret": "emulator-secret",
    "scope": "openid",
}


@pytest.mark.parametrize("place", ["data", "params"])
def test_a_token_request_is_a_form_or_a_query_string(aep, place):
    answer = aep.http.post("/ims/token/v3", **{place: FORM})
    assert answer.json() == {"access_token": answer.json()["access_token"], "token_type": "bearer", "expires_in": 86399}


UNKNOWN_SCOPE = "The requested scope is missing, unknown or not allowed"


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"client_id": "x"}, "invalid_client", "invalid client_id parameter"),
        ({"client_secret": "x"}, "invalid_client", "invalid client_secret parameter"),
        ({"scope": ""}, "invalid_scope", UNKNOWN_SCOPE),
        ({"scope": "openid,everything"}, "invalid_scope", UNKNOWN_SCOPE),
        ({"grant_type": "password"}, "unsupported_grant_type", "grant_type must be client_credentials"),
    ],
)
def test_ims_refuses_with_400(aep, changes, error, description):
    answer = aep.http.post("/ims/token/v3", data={**FORM, **changes})
    assert answer.status_code == 400
    assert answer.json() == {"error": error, "error_description": description}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Authorization": None}, 403, "403010"),
        ({"Authorization": "Bearer nobody"}, 401, "401013"),
        ({"x-api-key": None}, 403, "403000"),
        ({"x-api-key": "other"}, 403, "403003"),
        ({"x-gw-ims-org-id": None}, 400, "400003"),
        ({"x-gw-ims-org-id": "ORG"}, 403, "403027"),
        ({"x-gw-ims-org-id": "OTHER@AdobeOrg"}, 403, "403025"),
        ({"x-sandbox-name": None}, 400, "2105-400"),
        ({"x-sandbox-name": "gone"}, 404, "2100-404"),
    ],
)
def test_the_gateway_refuses_in_adobes_codes(aep, headers, status, code):
    aep.refused(status, code, "GET", f"{FLOW}/connections", headers=headers)


def test_other_services_default_to_prod(aep):
    assert aep("GET", f"{CATALOG}/dataSets", headers={"x-sandbox-name": None}).json() == {}


def test_a_token_expires(make_emulator):
    aep = Plain(make_emulator(token_lifetime=0))
    aep.refused(401, "401013", "GET", f"{FLOW}/connections")


def test_token_requests_have_known_paths(aep):
    assert aep.http.get("/ims/token/v3", params=FORM).status_code == 501
    assert aep.http.post("/ims/token/zzz", data=FORM).status_code == 501


def test_sandboxes_are_listed(make_emulator):
    aep = Plain(make_emulator(sandboxes=("prod", "dev", "stage")))
    for path in ("/data/foundation/sandbox-management/", "/data/foundation/sandbox-management/sandboxes"):
        listed = aep("GET", path).json()["sandboxes"]
        assert [(s["name"], s["type"], s["state"]) for s in listed] == [
            ("prod", "production", "active"), ("dev", "development", "active"), ("stage", "development", "active"),
        ]  # fmt: skip


def test_objects_live_in_their_sandbox(aep):
    id_ = aep.post(f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})["id"]
    assert aep("GET", f"{FLOW}/connections/{id_}").status_code == 200
    aep.refused(404, "1101-404", "GET", f"{FLOW}/connections/{id_}", headers={"x-sandbox-name": "prod"})


def test_an_unknown_route_is_501_and_names_the_coverage(aep):
    answer = aep.http.get("/data/foundation/flowservice/planets")
    assert (answer.status_code, answer.json()["type"]) == (501, "/_emulator/coverage")
    assert "/_emulator/coverage" in answer.json()["detail"]
    operations = aep.http.get("/_emulator/coverage").json()["operations"]
    assert f"GET {FLOW}/flows" in {o["operation"] for o in operations}
    assert aep.http.get("/nothing").status_code == 501


def test_an_unsupported_method_is_405_and_names_the_supported_ones(aep):
    answer = aep.http.delete(f"{FLOW}/flows")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


def test_health(aep):
    assert aep.http.get("/_emulator/health").json() == {"status": "ready"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_an_unknown_host_is_not_served(aep, host):
    answer = aep.http.get("/_emulator/health", headers={"Host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "[::1]", "[::1]:9", "127.0.0.1"])
def test_every_name_of_loopback_is_served(aep, host):
    assert aep.http.get("/_emulator/health", headers={"Host": host}).status_code == 200


def test_the_journal_has_every_request_and_no_secret(aep):
    aep.post(f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})
    aep("GET", f"{FLOW}/connections/x", headers={"x-request-id": "mine"})
    entries = aep.http.get("/_emulator/requests").json()["requests"]
    assert [(e["method"], e["operation"], e["status"], e["code"]) for e in entries] == [
        ("POST", "POST token", 200, ""),
        ("POST", f"POST {FLOW}/connections", 201, ""),
        ("GET", f"GET {FLOW}/connections/{{id}}", 404, "1101-404"),
    ]
    assert entries[-1]["request_id"] == "mine"
    assert entries[-1]["sandbox"] == "dev"
    shown = json.dumps(entries)
    assert "hidden" not in shown
    assert "emulator-secret" not in shown
    assert len(aep.http.get(f"/_emulator/requests?after={entries[0]['seq']}").json()["requests"]) == 2
    assert aep.http.get("/_emulator/requests?after=x").status_code == 400


def test_a_response_returns_the_request_id(aep):
    assert aep("GET", f"{FLOW}/flows", headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
    assert len(aep("GET", f"{FLOW}/flows").headers["x-request-id"]) == 36


@pytest.mark.parametrize(
    "path", [f"{FLOW}/connections", f"{REGISTRY}/tenant/schemas", f"{CATALOG}/dataSets", f"{PREP}/mappingSets"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'"text"'])
def test_a_body_that_is_not_a_json_object_is_refused(aep, path, content):
    assert aep("POST", path, content=content).status_code == 400


def test_a_body_that_is_too_large_is_refused(aep):
    assert aep("POST", f"{FLOW}/connections", content=b" " * (4 * 1024 * 1024 + 1)).status_code == 413


def test_concurrent_writes_of_two_clients_are_all_stored(aep):
    import threading

    def write(n):
        for i in range(20):
            aep.post(f"{FLOW}/connections", {"name": f"{n}-{i}", "auth": AUTH, "connectionSpec": SERVICENOW})

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert aep("GET", f"{FLOW}/connections?count=true").json() == {"count": 80}


def test_an_internal_error_is_a_500_without_a_traceback(aep, monkeypatch):
    monkeypatch.setattr(aep.emulator.world.store, "rows", lambda *_, **__: 1 / 0)
    answer = aep("GET", f"{FLOW}/flows")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert isinstance(answer, httpx.Response)
