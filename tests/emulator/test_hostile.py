"""Malicious and invalid requests: each is answered with a documented 4xx and changes nothing."""

import json
import threading
import time

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_http import AUTH, CATALOG, FLOW, FULL, IMS_FORM, PREP, REGISTRY, SERVICENOW, Onboarding, Plain
from test_command import Started

from aep_emulator.cli import main
from aep_emulator.core.patterns import is_allowed, matches
from aep_emulator.core.store import Scope, Store
from aep_emulator.data.xdm import MOST_FIELDS, Registry

BASE = {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}
START = 1_767_225_600
IDS = {"Accept": "application/vnd.adobe.xed-id+json"}


# -- paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id_", ["/tmp/victim", "../../victim", "x" * 24, "0123456789abcdef0123456g"])
def test_a_snapshot_cannot_name_a_folder(aep, tmp_path, id_):
    Onboarding(aep)
    document = aep.emulator.snapshot()
    for one in document["objects"]:
        if one["kind"] == "dataSets":
            one["id"] = one["body"]["id"] = id_
    answer = aep.http.put("/_emulator/snapshot", json=document)
    assert (answer.status_code, "is not an id of dataSets" in answer.json()["detail"]) == (400, True)
    for change, message in (
        ({"sandbox": "../x"}, "has no sandbox '../x'"),
        ({"org": "other"}, "of the organization 'other'"),
        ({"id": "another"}, "its id is 'another' and"),
    ):
        document = aep.emulator.snapshot()
        document["objects"][0] |= change
        answer = aep.http.put("/_emulator/snapshot", json=document)
        assert (answer.status_code, message in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    "path",
    ["//_emulator/faults", "/%5Femulator/faults", "/_emulator/../_emulator/faults", "/./_emulator/faults"],
)
def test_every_spelling_of_a_path_needs_the_admin_token(make_emulator, path):
    emulator = make_emulator(admin_token="let-me-in")
    aep = Plain(emulator)
    aep("POST", path, json=[{"operation": "*", "do": "reset"}])
    assert emulator.world.faults.report() == []


@pytest.mark.parametrize("path", ["//data/foundation/flowservice/flows", "/data/foundation/%66lowservice/flows"])
def test_permissions_hold_for_every_spelling_of_a_path(make_emulator, path):
    aep = Plain(make_emulator(denied=("flowservice",)))
    assert aep("GET", path).status_code in {403, 501}


def test_an_empty_admin_token_is_refused(make_emulator, capsys):
    emulator = make_emulator(admin_token="")
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}):
        answer = httpx.post(f"{emulator.url}/_emulator/reset", json={}, headers=headers, trust_env=False)
        assert answer.status_code == 401
    for option in ("--admin-token", "--client-secret", "--client-id", "--org-id"):
        with pytest.raises(SystemExit):
            main([option, ""])
        assert "the value is empty" in capsys.readouterr().err


@pytest.mark.parametrize("sandbox", ["../x", "", "dev:bogus", "Dev", "a" * 99])
def test_an_invalid_sandbox_ends_the_start(capsys, sandbox):
    with pytest.raises(SystemExit):
        main(["--sandbox", "prod", sandbox])
    assert "is not a unique NAME or NAME:STATE" in capsys.readouterr().err


# -- secrets and rows -----------------------------------------------------------------------------------------------


def test_no_secret_is_stored_whichever_way_it_is_sent(make_emulator):
    aep = Plain(make_emulator(strict=False))
    made = aep.post(f"{FLOW}/connections", {**BASE, "authParams": {"password": "canary-1"}, "password": "canary-2"})
    where = f"{FLOW}/connections/{made['id']}"
    aep("PATCH", where, json={"op": "replace", "path": "/auth/params/password", "value": "canary-3"})
    aep("PATCH", where, json=[{"op": "replace", "path": "", "value": {"password": "canary-4"}}])
    aep("PATCH", where, json=[{"op": "replace", "path": "/auth/params", "value": "canary-5"}])
    aep("POST", f"{FLOW}/connections", json=[{**BASE, "auth": {"params": {"password": "canary-6"}}}])
    aep("POST", f"{FLOW}/connections", json={"name": "x", "params": {"password": "canary-7"}})
    aep("POST", f"{FLOW}/connections", json={**BASE, "auth": {"params": {"odd": {"deep": ["canary-8"]}}}})
    aep.http.post("/ims/token/v3", content=json.dumps({**IMS_FORM, "client_secret": "canary-9"}),
                  headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    aep.http.post("/ims/token/v9", json={"client_secret": "canary-10"})
    aep("POST", f"{FLOW}/nothing", json={"client_secret": "canary-11"})
    aep("POST", f"{PREP}/mappingSets/preview", json={"rows": [{"name": "canary-12"}], "mappingSet": {}})
    aep("GET", f"{FLOW}/flows?client_secret=canary-13")
    aep("POST", f"{FLOW}/connections", json={**BASE, "auth": {"specName": {"password": "canary-14"}}})
    aep("POST", f"{FLOW}/connections", json={**BASE, "auth": {**AUTH, "params": {"specName": "canary-15"}}})
    aep(
        "POST",
        f"{FLOW}/connections",
        json={"params": {"sas_uri": "canary-16"}, "Auth": {"params": {"pwd": "canary-17"}}},
    )
    aep.http.post("/ims/token/v3?code=canary-18&authorization=canary-19")
    for path in ("/_emulator/requests", "/_emulator/state", "/_emulator/snapshot"):
        assert "canary" not in aep.http.get(path).text
    assert "canary" not in aep("GET", f"{FLOW}/connections").text
    assert b"canary" not in aep.emulator.state.read_bytes()


def test_failed_rows_are_not_in_snapshots_and_are_deleted_with_their_dataset(make_emulator, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "people.csv").write_text("id,who\n1,ok\n,Canaryperson\n" + "2,ok\n" * 50)
    aep = Plain(make_emulator(folder))
    onboarding = Onboarding(aep, "people", {"id": "_id"})
    run = onboarding.run(onboarding.flow())
    batch = run["activities"][-1]["targetInfo"][0]["reference"]["ids"][0]
    errors = f"/data/foundation/export/batches/{batch}/meta?path=row_error_samples.json"
    assert "Canaryperson" in aep("GET", errors).text
    assert "Canaryperson" not in aep.http.get("/_emulator/snapshot").text
    assert aep("DELETE", f"{CATALOG}/dataSets/{onboarding.dataset}").status_code == 200
    assert aep("GET", errors).status_code == 404
    assert aep("GET", f"{CATALOG}/batches/{batch}").status_code == 404


def test_a_snapshot_does_not_replace_an_existing_state_file(tmp_path):
    store = Store(tmp_path / "s.db")
    store.add("connections", Scope("o", "s"), "x", {"id": "x"})
    store.close()
    (tmp_path / "snapshot.json").write_text('{"snapshot": 1, "drawn": {}, "objects": []}')
    files = ["--state", str(tmp_path / "s.db"), "--snapshot", str(tmp_path / "snapshot.json"), "--port", "18999"]
    with pytest.raises(SystemExit, match="already has objects"):
        main(files)


def test_the_admin_token_of_an_option_is_not_printed():
    started = Started("--host", "0.0.0.0", "--admin-token", "my-own-token")
    said = started.end()
    assert "Bearer the --admin-token" in said
    assert "my-own-token" not in said


# -- one request must not stop the others ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step", [{"name": "Other"}, {"name": "Copy", "params": None}, {"params": {}}, {"name": "Mapping", "params": {}}]
)
def test_an_unusual_transformation_is_refused_or_runs(make_emulator, step):
    emulator = make_emulator()
    emulator.freeze(START - 10)
    aep = Plain(emulator)
    onboarding = Onboarding(aep)
    body = onboarding.flow_body({"startTime": START, "frequency": "once"})
    body["transformations"].append(step)
    answer = aep("POST", f"{FLOW}/flows", json=body)
    assert answer.status_code in {201, 400}
    good = onboarding.flow({"startTime": START, "frequency": "once"}, name="good")
    assert aep.http.post("/_emulator/clock", json={"advance": 100}).status_code == 200
    [run] = aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={good}"}).json()["items"]
    assert run["metrics"]["statusSummary"]["status"] == "success"
    assert aep.http.get("/_emulator/state").status_code == 200


def test_an_error_at_one_object_does_not_affect_others(make_emulator, monkeypatch, caplog):
    emulator = make_emulator()
    emulator.freeze(START - 10)
    onboarding = Onboarding(Plain(emulator))
    bad = onboarding.flow({"startTime": START, "frequency": "once"}, name="bad")
    good = onboarding.flow({"startTime": START + 5, "frequency": "once"}, name="good")
    store = emulator.world.store
    scope, body = next((s, b) for s, b in store.everywhere("flows") if b["id"] == bad)
    store.put("flows", scope, bad, {**body, "transformations": 5})
    emulator.advance(100)
    runs = {r["flowId"] for _, r in store.everywhere("runs")}
    assert runs == {good}
    assert "the object stays unchanged" in caplog.text


def test_a_row_with_values_that_json_lacks_becomes_a_diagnostic(make_emulator, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    at = pa.array([START * 1_000_000] * 100, pa.timestamp("us"))
    ids = pa.array([None, *map(str, range(99))])
    table = pa.table({"id": ids, "at": at, "n": pa.array([float("nan")] * 100), "raw": pa.array([b"\xff"] * 100)})
    pq.write_table(table, folder / "people.parquet")
    aep = Plain(make_emulator(folder))
    onboarding = Onboarding(aep, "people", {"id": "_id"})
    run = onboarding.run(onboarding.flow())
    assert run["metrics"]["recordSummary"]["failedRecordCount"] == 1
    explored = aep("GET", f"{FLOW}/connections/{onboarding.base}/explore?objectType=table&object=people&preview=true")
    assert "NaN" not in explored.text
    assert explored.json()["data"][0]["n"] is None


def twice(to):
    return {"properties": {"f0": {"$ref": to}, "f1": {"$ref": to}}}


def test_a_part_that_refers_to_itself_has_its_fields_once(aep):
    first = {"title": "L", "type": "object", "definitions": {"x": twice("#/definitions/x")}}
    body = {**first, "allOf": [{"$ref": "#/definitions/x"}]}
    made = aep.post(f"{REGISTRY}/tenant/datatypes", body)
    full = aep("GET", f"{REGISTRY}/tenant/datatypes/{made['meta:altId']}", headers={"Accept": FULL}).json()
    nothing = {"type": "object", "properties": {}}
    assert full["properties"] == {"f0": nothing, "f1": nothing}


def test_the_number_of_resolved_fields_is_limited(aep, monkeypatch):
    definitions = {f"x{n}": twice(f"#/definitions/x{n + 1}") for n in range(40)}
    definitions["x"] = twice("#/definitions/x0")
    body = {"title": "L", "type": "object", "definitions": definitions, "allOf": [{"$ref": "#/definitions/x"}]}
    fields = []
    field = Registry._field
    monkeypatch.setattr(Registry, "_field", lambda *args: [fields.append(1), field(*args)][1])
    assert aep("POST", f"{REGISTRY}/tenant/datatypes", json=body).status_code == 400
    assert len(fields) <= 2 * MOST_FIELDS  # two fields a reference, 2^40 of them without a limit


def test_a_pattern_is_searched_in_one_pass():
    assert is_allowed("^a.*b.*c$")
    for bad in ("(a+)+$", "a|b", "[a]", "a.", "a*", "x" * 300):
        assert not is_allowed(bad)
    for pattern, text, found in [
        ("^a.*c$", "abc", True), ("^a.*c$", "abcd", False), ("b", "abc", True), ("^b", "abc", False),
        ("c$", "abc", True), ("^abc$", "abc", True), ("^ab$", "abc", False), ("a.*b.*a", "aba", True),
        ("^ab.*ba$", "aba", False), (".*", "", True), ("^$", "", True), ("^$", "a", False),
    ]:  # fmt: skip
        assert matches(pattern, text) is found, (pattern, text)


def test_the_time_of_a_search_grows_with_the_text_alone():
    """A regular expression with backtracking needs exponential time for this pattern."""

    def seconds(length):
        found = []
        for _ in range(5):
            before = time.process_time()
            assert not matches(".*".join("a" * 60) + "b", "a" * length)
            found.append(time.process_time() - before)
        return min(found)

    assert seconds(4_000_000) < 50 * max(seconds(1_000_000), 1e-4)


def test_a_reset_during_an_advance_is_not_undone(make_emulator):
    emulator = make_emulator(run_delay=0)
    emulator.freeze(START)
    aep = Plain(emulator)
    Onboarding(aep).flow({"startTime": START + 10, "frequency": "minute", "interval": 15}, "sys_updated_on")
    ask = {"json": {"advance": 86_400}, "timeout": 60}
    both = [threading.Thread(target=aep.http.post, args=("/_emulator/clock",), kwargs=ask) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert emulator.world.clock.now() == START + 2 * 86_400
    advancing = threading.Thread(target=aep.http.post, args=("/_emulator/clock",), kwargs=ask)
    advancing.start()
    resetting = threading.Thread(target=httpx.post, args=(f"{emulator.url}/_emulator/reset/",),
                                 kwargs={"json": {}, "trust_env": False, "timeout": 60})  # fmt: skip
    resetting.start()
    while resetting.is_alive():
        assert httpx.get(f"{emulator.url}/_emulator/health", trust_env=False, timeout=5).status_code == 200
    advancing.join()
    assert emulator.snapshot()["objects"] == []


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{FLOW}/flows", {"name": "x", "auth": {"params": {"a": "b"}}}),
        ("GET", f"{FLOW}/flows?property=state==" + ",".join(["a"] * 1500), None),
        ("GET", f"{FLOW}/flows?" + "&".join(["property=a==b"] * 1500), None),
        ("GET", "/_emulator/requests?operation=" + "a" * 50_001, None),
        ("POST", f"{REGISTRY}/tenant/classes", {"title": "c", "type": "object", "meta:datasetNamespace": ["x"],
                                               "allOf": [{"$ref": "https://ns.adobe.com/xdm/data/adhoc"}]}),
        ("POST", f"{FLOW}/sourceConnections", {"name": "x", "params": {"filters": "DEEP"}}),
        ("POST", f"{REGISTRY}/tenant/schemas", {"title": "x", "meta:x": "DEEP"}),
        ("POST", f"{FLOW}/flows", {"name": "x", "scheduleParams": {"startTime": 999999999999999, "frequency": "once"}}),
    ],
)  # fmt: skip
def test_unusual_requests_are_no_server_error(aep, method, path, body):
    deep = "1"
    for _ in range(600):
        deep = f"[{deep}]"
    content = json.dumps(body).replace('"DEEP"', deep) if body else None
    answer = aep(method, path, content=content, headers={"Content-Type": "application/json"} if body else None)
    assert answer.status_code < 500
    assert aep.http.get("/_emulator/health").status_code == 200


def test_server_managed_fields_cannot_be_patched(aep, onboarding):
    where = f"{REGISTRY}/tenant/schemas/{onboarding.schema.replace('/', '%2F').replace(':', '%3A')}"
    for field in ("meta:resourceType", "meta:class", "refs", "meta:registryMetadata", "$id"):
        answer = aep("PATCH", where, json=[{"op": "remove", "path": f"/{field}"}])
        assert answer.status_code == 400
    assert aep("GET", f"{REGISTRY}/stats").status_code == 200


@pytest.mark.parametrize("share", [-1, 0, 101])
def test_an_invalid_threshold_is_refused(aep, onboarding, share):
    body = onboarding.flow_body(options={"partialIngestionPercent": share})
    assert aep("POST", f"{FLOW}/flows", json=body).status_code == 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_emulator": {"due": "x"}}, "due is not a time"),
        ({"_emulator": []}, "due is not a time"),
        ({"transformations": []}, "has no mapping"),
        ({"transformations": "x"}, "has a wrong type"),
        ({"scheduleParams": {"startTime": "x", "frequency": "once"}}, "schedule is invalid"),
    ],
)
def test_a_snapshot_with_an_invalid_flow_is_refused(aep, onboarding, change, message):
    onboarding.flow({"startTime": 4_000_000_000, "frequency": "once"})
    document = aep.emulator.snapshot()
    for one in document["objects"]:
        if one["kind"] == "flows":
            one["body"] |= change
    answer = aep.http.put("/_emulator/snapshot", json=document)
    assert (answer.status_code, message in answer.json()["detail"]) == (400, True), answer.text


def test_a_path_that_is_an_object_in_some_records_only(make_emulator, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    lines = ['{"photo": null}', '{"photo": {"url": "x"}}', f'{{"photo": null, "n": {"9" * 400}}}']
    (folder / "x.jsonl").write_text("\n".join(lines))
    aep = Plain(make_emulator(folder))
    token = {"specName": "OAuth2 Refresh Code", "params": {"subdomain": "https://x", "accessToken": "t"}}
    spec = {"id": "0a27232b-2c6e-4396-b8c6-c9fc24e37ba4", "version": "1.0"}
    base = aep.post(f"{FLOW}/connections", {"name": "z", "connectionSpec": spec, "auth": token})["id"]
    shown = aep("GET", f"{FLOW}/connections/{base}/explore?objectType=rest&object=json&fileType=json").json()
    assert shown["schema"]["properties"]["photo"] == {"type": "object", "properties": {"url": {"type": "string"}}}


# -- schedules ------------------------------------------------------------------------------------------------------


def test_a_changed_schedule_moves_the_next_run(make_emulator):
    emulator = make_emulator(run_delay=0)
    emulator.freeze(START - 10)
    aep = Plain(emulator)
    hourly = {"startTime": START, "frequency": "hour", "interval": 1}
    where = f"{FLOW}/flows/{Onboarding(aep).flow(hourly, 'sys_updated_on')}"

    def change(path, value):
        [item] = aep("GET", where).json()["items"]
        ops = [{"op": "add", "path": path, "value": value}]
        return aep("PATCH", where, json=ops, headers={"If-Match": item["etag"]}).status_code

    def runs():
        return aep("GET", f"{where}/runs?count=true").json()["count"]

    emulator.advance(20)
    assert runs() == 1
    assert change("/scheduleParams/startTime", str(START)) == 200  # the same, spelt otherwise
    assert change("/scheduleParams/backfill", True) == 200  # the default, said aloud
    assert change("/scheduleParams/startTime", START + 10_000) == 200
    emulator.advance(9000)
    assert runs() == 1
    emulator.advance(1000)
    assert runs() == 2


def test_an_on_demand_run_begins_at_its_start_time(make_emulator):
    emulator = make_emulator(run_delay=0)
    emulator.freeze(START)
    aep = Plain(emulator)
    flow = Onboarding(aep).flow({"startTime": START + 90_000, "frequency": "once"})
    params = {"startTime": START + 500, "windowStartTime": 0, "windowEndTime": START,
              "deltaColumn": {"name": "sys_updated_on"}}  # fmt: skip
    run = aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})["items"][0]["id"]

    def status():
        return aep("GET", f"{FLOW}/runs/{run}").json()["items"][0]["metrics"]["statusSummary"]["status"]

    emulator.advance(499)
    assert status() == "scheduled"
    emulator.advance(1)
    assert status() == "success"
