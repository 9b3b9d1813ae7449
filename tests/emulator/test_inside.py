"""The emulator's own API: journal, snapshots, seeds, the page, and permissions."""

import json
import os
import shlex
import subprocess
import threading
from importlib.resources import files

import httpx
import pytest
from plain_http import AUTH, CATALOG, FLOW, IMS_FORM, PREP, SERVICENOW, Onboarding, Plain

from aep_emulator.control import snapshots
from aep_emulator.control.snapshots import BadSnapshot
from aep_emulator.core.store import Scope, Store
from aep_emulator.engine.scheduler import step

BASE = {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}


# -- unknown fields and parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "warning"),
    [
        ("POST", f"{FLOW}/connections", {**BASE, "colour": "red"}, "unknown field colour"),
        ("POST", f"{FLOW}/connections", {**BASE, "connectionSpec": {**SERVICENOW, "x": 1}}, "field connectionSpec.x"),
        ("POST", f"{FLOW}/connections?colour=red", BASE, "unknown query parameter colour"),
        ("GET", f"{FLOW}/flows?colour=red", None, "unknown query parameter colour"),
        ("GET", f"{FLOW}/connectionSpecs?limit=1&colour=red", None, "unknown query parameter colour"),
    ],
)
def test_unknown_fields_and_parameters_are_warnings_or_refused(make_emulator, method, path, body, warning):
    lenient, strict = Plain(make_emulator(strict=False)), Plain(make_emulator(strict=True))
    answer = lenient(method, path, json=body)
    assert answer.status_code < 300
    assert warning in lenient.emulator.requests()[-1]["warnings"]
    answer = strict(method, path, json=body)
    assert answer.status_code == 400
    assert "a strict emulator refuses it" in answer.json()["detail"]
    assert strict("GET", f"{FLOW}/connections").json()["items"] == []


def test_an_auth_parameter_that_the_spec_lacks_is_unknown(make_emulator):
    aep = Plain(make_emulator(strict=False))
    auth = {**AUTH, "params": {**AUTH["params"], "server": "x"}}
    aep.post(f"{FLOW}/connections", {**BASE, "auth": auth})
    assert "auth.params.server" in aep.emulator.requests()[-1]["warnings"]


# -- the journal ----------------------------------------------------------------------------------------------------


def test_the_journal_is_filtered_and_counted(aep):
    Onboarding(aep)
    aep("GET", f"{FLOW}/flows/x")
    aep("GET", f"{FLOW}/flows", headers={"x-sandbox-name": "prod"})

    def count(**query):
        return aep.http.get("/_emulator/requests", params={**query, "count": "true"}).json()["count"]

    assert count(operation="POST */connections") == 1
    assert count(operation=f"POST {FLOW}/*") == 3
    assert count(method="GET", status=404) == 1
    assert count(method="PATCH") == 0
    assert count(sandbox="prod") == 1
    everything = count()
    after = aep.http.get("/_emulator/requests", params={"after": everything - 1}).json()["requests"]
    assert [e["seq"] for e in after] == [everything]
    assert aep.http.get("/_emulator/requests?status=x").status_code == 400
    assert aep.emulator.writes().count(f"POST {FLOW}/connections") == 1


def test_no_secret_is_in_the_journal(aep):
    auth = {"specName": "Basic Authentication", "params": {"endpoint": "e", "username": "u", "password": "canary-1"}}
    made = aep.post(f"{FLOW}/connections", {**BASE, "auth": auth})
    change = [{"op": "replace", "path": "/auth/params", "value": {**auth["params"], "password": "canary-2"}}]
    assert (
        aep("PATCH", f"{FLOW}/connections/{made['id']}", json=change, headers={"If-Match": made["etag"]}).status_code
        == 200
    )
    aep("POST", f"{FLOW}/connections", json={**BASE, "auth": "canary-3"})
    aep.http.post("/ims/token/v3", params={**IMS_FORM, "client_secret": "canary-4"})
    aep.http.post("/ims/token/v3", data={**IMS_FORM, "client_secret": "canary-5"})
    aep.http.post("/ims/token/v3", files={"client_secret": (None, "canary-6")})
    aep("POST", f"{FLOW}/connections", content=b'{"auth": canary-7')
    aep("POST", f"{PREP}/mappingSets/preview", json={"data": [{"name": "canary-8"}], "mappingSet": {}})
    for path in ("/_emulator/requests", "/_emulator/state?sandbox=dev", "/_emulator/snapshot"):
        assert "canary" not in aep.http.get(path).text
    token = aep.headers["Authorization"].removeprefix("Bearer ")
    assert token not in aep.http.get("/_emulator/requests").text
    lines = [aep.http.get(f"/_emulator/requests/{e['seq']}/curl").text for e in aep.emulator.requests()]
    assert not any("canary" in line or token in line for line in lines)


def test_a_request_of_the_journal_is_repeated_with_curl(aep):
    """The command contains exactly the request that was sent."""
    aep.post(f"{FLOW}/connections", {**BASE, "name": 'it\'s "quoted" $HOME `ls`'})
    aep("GET", f"{FLOW}/connections", params={"property": "name==it's", "limit": 5})
    found = [e for e in aep.emulator.requests() if e["operation"].endswith("/connections")]
    for entry in found:
        line = aep.http.get(f"/_emulator/requests/{entry['seq']}/curl").text
        words = shlex.split(line.replace("$TOKEN", "token"))
        assert words[:2] == ["curl", "-sS"]
        assert any(w.startswith(aep.emulator.url) for w in words)
    again = dict(os.environ, TOKEN=aep.headers["Authorization"].removeprefix("Bearer "), no_proxy="*")
    line = aep.http.get(f"/_emulator/requests/{found[0]['seq']}/curl").text
    made = json.loads(subprocess.run(["sh", "-c", line], env=again, capture_output=True, text=True, check=True).stdout)
    assert aep("GET", f"{FLOW}/connections/{made['id']}").json()["items"][0]["name"] == 'it\'s "quoted" $HOME `ls`'
    for nothing in ("0", "9999", "x", "1" * 30):
        assert aep.http.get(f"/_emulator/requests/{nothing}/curl").status_code == 404


def test_the_journal_keeps_the_newest_requests(make_emulator, monkeypatch):
    monkeypatch.setattr("aep_emulator.core.store.KEPT_REQUESTS", 50)
    store = make_emulator().world.store
    entry = dict.fromkeys("at status".split(), 0) | dict.fromkeys(
        "method path query operation sandbox code fault request_id warnings headers body".split(), ""
    )
    for _ in range(1001):
        store.record(entry)
    assert [e["seq"] for e in store.journal()] == list(range(951, 1002))


# -- snapshots and seeds --------------------------------------------------------------------------------------------


def test_a_snapshot_is_saved_loaded_and_reset(make_emulator):
    one, other = Plain(make_emulator(seed=3)), make_emulator()
    onboarding = Onboarding(one)
    flow = onboarding.flow()
    run = onboarding.run(flow)
    document = one.http.get("/_emulator/snapshot").json()
    assert document["snapshot"] == 1
    assert "hidden" not in json.dumps(document)
    assert one.http.put("/_emulator/snapshot", json=document).status_code == 204
    assert httpx.put(f"{other.url}/_emulator/snapshot", json=document, trust_env=False).status_code == 204
    aep = Plain(other)
    assert aep("GET", f"{FLOW}/runs/{run['id']}").json()["items"][0]["id"] == run["id"]
    assert aep("GET", f"{CATALOG}/dataSets/{onboarding.dataset}").status_code == 200
    aep.refused(400, "1447-400", "DELETE", f"{FLOW}/sourceConnections/{onboarding.source}")  # references came along
    assert aep.http.get("/_emulator/snapshot").json()["objects"] == document["objects"]
    assert aep.http.post("/_emulator/reset", json={}).status_code == 204
    aep = Plain(other)
    assert aep.http.get("/_emulator/snapshot").json()["objects"] == []
    assert aep("GET", f"{FLOW}/flows").json()["items"] == []
    assert [e["operation"] for e in other.requests()] == ["POST token", f"GET {FLOW}/flows"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {**d, "snapshot": 2}, "has version 2, and this emulator reads up to 1. Use a newer emulator"),
        (lambda d: {k: v for k, v in d.items() if k != "snapshot"}, "not a snapshot of an emulator"),
        (lambda d: [], "not a snapshot of an emulator"),
        (lambda d: {**d, "colour": "red"}, "damaged at colour"),
        (lambda d: {**d, "drawn": {"objects": 5}}, "was edited"),
        (lambda d: {**d, "drawn": {"objects": -5}}, "damaged at drawn.objects"),
        (lambda d: {**d, "now": 1e300}, "damaged at now"),
        (lambda d: {**d, "objects": [{**d["objects"][0], "kind": "planets"}]}, "unknown kind 'planets'"),
        (lambda d: {**d, "objects": [{**d["objects"][0], "body": {}}]}, "objects.0: the body has no id"),
        (lambda d: {**d, "objects": d["objects"] * 2}, "is repeated"),
        (lambda d: {**d, "objects": [{**d["objects"][0], "added": "now"}]}, "damaged at objects.0.added"),
    ],
)
def test_an_invalid_snapshot_is_refused_with_the_reason_and_changes_nothing(aep, change, message):
    aep.post(f"{FLOW}/connections", BASE)
    document = aep.emulator.snapshot()
    answer = aep.http.put("/_emulator/snapshot", json=change(document))
    assert (answer.status_code, message in answer.json()["detail"]) == (400, True), answer.json()
    assert aep.emulator.snapshot() == document
    with pytest.raises(BadSnapshot, match="Use a newer emulator"):
        snapshots.restore(aep.emulator.world, {"snapshot": 99})


def serial(emulator):
    """Send the same series of requests."""
    emulator.freeze(1_767_225_600)
    aep = Plain(emulator)
    onboarding = Onboarding(aep)
    flow = onboarding.flow({"startTime": 1_767_225_610, "frequency": "hour", "interval": 1}, "sys_updated_on")
    aep("GET", f"{FLOW}/flows/nobody")
    emulator.advance(7300)
    runs = aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}"}).json()
    token = aep.headers["Authorization"]
    return aep.http.get("/_emulator/requests").content, runs, emulator.snapshot(), token


def test_a_seed_reproduces_ids_and_the_journal(make_emulator):
    first, again, other = (serial(make_emulator(seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first[0] != other[0]
    assert len(first[1]["items"]) == 3
    world = make_emulator(seed=5)
    assert serial(world)[0] == first[0]
    world.reset()
    assert serial(world)[0] == first[0]  # a reset one begins anew


def test_ids_stay_unique_after_a_restart(make_emulator, tmp_path):
    scope, drawn = Scope("o", "s"), []
    for _ in range(3):
        store = Store(tmp_path / "s.db")
        store.seed = 1
        for _ in range(5):
            with store.transaction():
                id_ = store.draw()
                store.add("connections", scope, id_, {"id": id_})
            drawn.append(id_)
        store.close()
    assert len(set(drawn)) == 15


# -- safety ---------------------------------------------------------------------------------------------------------

WRITES = [
    ("POST", "/_emulator/faults", []),
    ("DELETE", "/_emulator/faults", None),
    ("POST", "/_emulator/clock", {"frozen": True}),
    ("PUT", "/_emulator/snapshot", {}),
    ("POST", "/_emulator/reset", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_writes_need_the_admin_token_if_one_is_set(make_emulator, method, path, body):
    emulator = make_emulator(admin_token="let-me-in")
    http = httpx.Client(base_url=emulator.url, trust_env=False)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "let-me-in"}):
        answer = http.request(method, path, json=body, headers=headers)
        assert (answer.status_code, "let-me-in" in answer.text) == (401, False)
    assert http.get("/_emulator/requests").status_code == 200
    answer = http.request(method, path, json=body, headers={"Authorization": "Bearer let-me-in"})
    assert answer.status_code != 401


@pytest.mark.parametrize(("method", "path", "body"), [w for w in WRITES if w[0] != "DELETE"])
def test_a_page_of_another_site_cannot_write(aep, method, path, body):
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": content_type, "Origin": "https://evil.example"}
        assert aep.http.request(method, path, content=b"{}", headers=headers).status_code == 415
    answer = aep.http.request("OPTIONS", path, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


# -- the page -------------------------------------------------------------------------------------------------------


def test_the_page_loads_nothing_from_other_hosts(aep):
    page = aep.http.get("/_emulator/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("page.js", "page.css"):
        assert f'"/_emulator/{name}"' in page.text
        assert aep.http.get(f"/_emulator/{name}").status_code == 200
    folder = files("aep_emulator") / "control" / "page"
    text = "".join((folder / n).read_text() for n in ("index.html", "page.js", "page.css"))
    assert "http://www.w3.org/2000/svg" in text
    assert text.replace("http://www.w3.org/2000/svg", "").count("://") == 0
    assert "innerHTML" not in text
    assert " style=" not in text


def test_the_state_that_the_page_shows(aep):
    onboarding = Onboarding(aep)
    flow = onboarding.flow()
    run = onboarding.run(flow)
    left = aep.post(f"{FLOW}/connections", {**BASE, "name": "<script>alert(1)</script>"})["id"]
    shown = aep.http.get("/_emulator/state").json()
    assert shown["sandbox"] == "dev"  # the one that has something in it
    assert [s["name"] for s in shown["sandboxes"]] == ["prod", "dev"]
    [one] = shown["objects"]["flows"]
    assert set(one["needs"]) == {onboarding.source, onboarding.target, onboarding.mapping["id"]}
    assert shown["objects"]["sourceConnections"][0]["needs"] == [onboarding.base]
    assert onboarding.dataset in shown["objects"]["targetConnections"][0]["needs"]
    assert shown["objects"]["dataSets"][0]["needs"] == [onboarding.schema]
    assert shown["runs"][0]["records"] == run["metrics"]["recordSummary"]
    assert left in {o["id"] for o in shown["objects"]["connections"]}
    assert shown["counts"]["flows"] == 1
    assert shown["requests"][0]["seq"] > shown["requests"][-1]["seq"]
    assert aep.http.get("/_emulator/state?sandbox=nobody").json()["counts"]["flows"] == 0


def test_the_emulator_answers_while_its_clock_advances(make_emulator):
    """Other requests are answered while the clock advances over many runs."""
    emulator = make_emulator(run_delay=0)
    emulator.freeze(1_767_225_600)
    aep = Plain(emulator)
    Onboarding(aep).flow({"startTime": 1_767_225_700, "frequency": "minute", "interval": 15}, "sys_updated_on")
    ask = {"json": {"advance": 40_000}, "timeout": 60}
    advancing = threading.Thread(target=aep.http.post, args=("/_emulator/clock",), kwargs=ask)
    advancing.start()
    asked = 0
    while advancing.is_alive():
        assert httpx.get(f"{emulator.url}/_emulator/health", trust_env=False).status_code == 200
        asked += 1
    advancing.join()
    assert asked > 3
    assert emulator.world.clock.now() == 1_767_265_600


START = 1_767_225_600


def test_a_reset_deletes_everything(make_emulator):
    emulator = make_emulator(run_delay=0)
    emulator.freeze(START - 10)
    aep = Plain(emulator)
    onboarding = Onboarding(aep)
    onboarding.flow({"startTime": START, "frequency": "once"})
    emulator.advance(20)
    assert list(emulator.lake.rglob("*.parquet"))
    emulator.fault("POST */connections", "answer", status=504, commit=30)
    aep("POST", f"{FLOW}/connections", json=BASE)
    assert emulator.world.postponed
    assert aep.http.post("/_emulator/reset", json={}).status_code == 204
    assert list(emulator.lake.rglob("*.parquet")) == []
    assert (emulator.world.postponed, emulator.world.faults.report(), emulator.world.clock.frozen) == ([], [], False)


def test_a_snapshot_restores_the_time_and_due_events(make_emulator):
    one, other = make_emulator(run_delay=0), make_emulator(run_delay=0)
    one.freeze(START - 10)
    flow = Onboarding(Plain(one)).flow({"startTime": START, "frequency": "once"})
    Plain(other)
    other.fault("POST */connections", "answer", status=504, commit=30)
    Plain(other)("POST", f"{FLOW}/connections", json=BASE)
    other.load(json.loads(json.dumps(one.snapshot())))
    assert (other.world.clock.now(), other.world.clock.frozen, other.world.postponed) == (START - 10, True, [])
    other.advance(60)
    aep = Plain(other)
    assert len(aep("GET", f"{FLOW}/flows/{flow}/runs").json()["items"]) == 1
    assert len(aep("GET", f"{FLOW}/connections").json()["items"]) == 1


def test_the_journal_has_only_the_size_of_a_long_body(aep):
    aep("POST", f"{FLOW}/connections", json={**BASE, "description": "x" * 20_000})
    entry = aep.emulator.requests()[-1]
    assert entry["body"].endswith(" bytes)")
    assert "that were not kept" in aep.http.get(f"/_emulator/requests/{entry['seq']}/curl").text


@pytest.mark.parametrize("name", ["client_secret", "password", "access_token", "jwt_token", "sasUri", "privateKey"])
def test_secrets_in_a_query_are_masked(aep, name):
    aep.http.get(f"{FLOW}/flows", params={name: "canary"})
    assert "canary" not in aep.http.get("/_emulator/requests").text


def test_concurrent_steps_start_one_run(make_emulator):
    emulator = make_emulator(run_delay=0)
    emulator.freeze(START - 10)
    aep = Plain(emulator)
    flow = Onboarding(aep).flow({"startTime": START, "frequency": "once"})
    emulator.world.clock.freeze(START + 1)
    threads = [threading.Thread(target=step, args=(emulator.world,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert aep("GET", f"{FLOW}/flows/{flow}/runs?count=true").json() == {"count": 1}
    assert len(list(emulator.lake.rglob("*.parquet"))) == 1
