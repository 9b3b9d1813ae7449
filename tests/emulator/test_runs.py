"""States of runs, diagnostics of failed rows, and file sources."""

import gzip
import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_http import CATALOG, DATA_LAKE, FLOW, FULL, PREP, REGISTRY, SERVICENOW, Onboarding, Plain

EXPORT = "/data/foundation/export"
START = 1_767_225_600  # 2026-01-01
S3 = {"id": "ecadc60c-7455-4d87-84dc-2a0e293d997b", "version": "1.0"}
LANDING_ZONE = {"id": "26f526f2-58f4-4712-961d-e41bf1ccc0e8", "version": "1.0"}
CLOUD = {"id": "9753525b-82c7-4dce-8a9b-5ccfce2b9876", "version": "1.0"}


def frozen(make_emulator, source_data=None, at=START - 100, **options):
    """Return a client of an emulator that is frozen shortly before the flows start."""
    emulator = make_emulator(source_data, **options)
    emulator.freeze(at)
    return Plain(emulator)


def runs(aep, flow):
    return aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}", "orderby": "-createdAt"}).json()["items"]


def status(run):
    return run["metrics"]["statusSummary"]["status"]


def flow_of(aep, flow):
    return aep("GET", f"{FLOW}/flows/{flow}").json()["items"][0]


# -- states ---------------------------------------------------------------------------------------------------------


def test_a_run_is_scheduled_then_in_progress_then_done(make_emulator):
    aep = frozen(make_emulator, run_delay=150, run_time=40)
    flow = Onboarding(aep).flow({"startTime": START, "frequency": "once"})
    aep.emulator.advance(100 + 149)
    assert runs(aep, flow) == []
    assert "lastRunDetails" not in flow_of(aep, flow)
    aep.emulator.advance(1)
    [run] = runs(aep, flow)
    assert (status(run), "recordSummary" in run["metrics"], run["activities"]) == ("scheduled", False, [])
    aep.emulator.advance(10)
    assert status(runs(aep, flow)[0]) == "inProgress"
    aep.emulator.advance(29)
    assert status(runs(aep, flow)[0]) == "inProgress"
    aep.emulator.advance(1)
    [run] = runs(aep, flow)
    assert (status(run), run["metrics"]["recordSummary"]["inputRecordCount"]) == ("success", 1000)
    assert run["metrics"]["durationSummary"]["startedAtUTC"] == (START + 150) * 1000
    assert run["metrics"]["durationSummary"]["completedAtUTC"] == (START + 190) * 1000
    assert flow_of(aep, flow)["lastRunDetails"]["id"] == run["id"]


def test_counts_and_last_run_details_lag(make_emulator):
    aep = frozen(make_emulator, run_delay=0, lag=30)
    flow = Onboarding(aep).flow({"startTime": START, "frequency": "once"})
    aep.emulator.advance(101)
    [run] = runs(aep, flow)
    assert (status(run), "recordSummary" in run["metrics"]) == ("success", False)
    assert "lastRunDetails" not in flow_of(aep, flow)
    aep.emulator.advance(29)
    [run] = runs(aep, flow)
    assert run["metrics"]["recordSummary"]["inputRecordCount"] == 1000
    assert flow_of(aep, flow)["lastRunDetails"]["state"] == "success"


def test_a_run_that_never_ends(make_emulator):
    aep = frozen(make_emulator, run_delay=0)
    flow = Onboarding(aep).flow({"startTime": START, "frequency": "once"})
    aep.emulator.fault("RUN flow", "run", outcome="stuck")
    aep.emulator.advance(100_000)
    aep = Plain(aep.emulator)
    assert status(runs(aep, flow)[0]) == "inProgress"
    assert aep.emulator.unfired() == []


def test_no_event_happens_while_the_clock_is_frozen(make_emulator):
    aep = frozen(make_emulator, run_delay=0)
    onboarding = Onboarding(aep)
    flow = onboarding.flow({"startTime": START, "frequency": "once"})
    params = {"windowStartTime": 0, "windowEndTime": START, "deltaColumn": {"name": "sys_updated_on"}}
    aep.post(f"{FLOW}/runs", {"flowId": flow, "params": params})
    aep.emulator.world.clock.freeze(START + 1000)
    time.sleep(0.5)  # longer than the emulator looks for what is due
    assert [status(r) for r in runs(aep, flow)] == ["scheduled"]
    aep.emulator.advance(0)
    assert [status(r) for r in runs(aep, flow)] == ["success", "success"]


@pytest.mark.parametrize(
    ("kind", "change", "passing", "final"),
    [
        ("flows", "disable", "disabling", "disabled"),
        ("flows", "delete", "delete-finalizing", None),
        ("connections", "create", "initializing", "enabled"),
        ("connections", "patch", "updating", "enabled"),
        ("sourceConnections", "publish", "enabling", "enabled"),
    ],
)
def test_a_state_transition_takes_time(make_emulator, kind, change, passing, final):
    aep = frozen(make_emulator, transition=60)
    onboarding = Onboarding(aep)
    where = f"{FLOW}/connections/{onboarding.base}"
    if kind == "flows":
        where = f"{FLOW}/flows/{onboarding.flow({'startTime': START + 9999, 'frequency': 'once'})}"
    if change == "publish":
        body = onboarding.source_body(name="draft")
        where = f"{FLOW}/sourceConnections/{aep.post(f'{FLOW}/sourceConnections?mode=draft', body)['id']}"
    if change != "create":
        aep.emulator.advance(60)
    etag = aep("GET", where).json()["items"][0]["etag"]
    match change:
        case "disable" | "publish":
            assert aep("POST", f"{where}/action", params={"op": change}).status_code == 200
        case "delete":
            assert aep("DELETE", where).status_code == 204
        case "patch":
            ops = [{"op": "replace", "path": "/name", "value": "n"}]
            assert aep("PATCH", where, json=ops, headers={"If-Match": etag}).status_code == 200
    assert aep("GET", where).json()["items"][0]["state"] == passing
    aep.emulator.advance(59)
    before = aep("GET", where).json()["items"][0]
    assert before["state"] == passing
    aep.emulator.advance(1)
    answer = aep("GET", where)
    if final is None:
        assert answer.status_code == 404
    else:
        [after] = answer.json()["items"]
        assert after["state"] == final
        assert after["etag"] != before["etag"]  # a background change moves it


# -- failed rows ----------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(make_emulator, tmp_path):
    """Run a flow over 100 rows; three of them fail with different errors."""
    folder = tmp_path / "src"
    folder.mkdir()
    lines = [f"{n},a{n}@b.example,1980-01-01" for n in range(97)]
    lines += ["97,a@b.example,someday", ",a@b.example,1980-01-01", "99,too,many,cells,here"]
    (folder / "people.csv").write_text("\n".join(["id,mail,born", *lines]))
    aep = frozen(make_emulator, folder, run_delay=0)
    mappings = {"id": "_id", "mail": "personalEmail.address", "born": "person.birthDate"}
    onboarding = Onboarding(aep, "people", mappings)
    return aep, onboarding


def finished(aep, onboarding, **changes):
    flow = onboarding.flow({"startTime": START, "frequency": "once"}, **changes)
    aep.emulator.advance(101)
    [run] = runs(aep, flow)
    return run


def test_failed_rows_become_diagnostics(broken):
    aep, onboarding = broken
    run = finished(aep, onboarding)
    assert run["metrics"]["recordSummary"] == {"inputRecordCount": 100, "outputRecordCount": 98, "failedRecordCount": 2}
    promotion = run["activities"][-1]["statusSummary"]["extensions"]
    assert {e["code"]: e.get("recordCount") for e in promotion["errors"]} == {
        "INGEST-1212-400": None, "INGEST-1401-400": 1, "INGEST-1555-400": 1, "MAPPER-3700-400": 1,
    }  # fmt: skip
    link = promotion["manifest"]["failedRecords"]
    assert link.startswith("https://platform.adobe.io/data/foundation/export/batches/")
    path = link.removeprefix("https://platform.adobe.io")
    listed = aep("GET", path).json()
    assert [f["name"] for f in listed["data"]] == ["parsing_errors_0.json", "conversion_errors_0.json"]
    found = []
    for file in listed["data"]:
        answer = aep("GET", file["_links"]["self"]["href"].removeprefix("https://platform.adobe.io"))
        assert len(answer.content) == pytest.approx(int(file["length"]), abs=200)
        found += [json.loads(line) for line in answer.text.splitlines()]
    assert {e["_errors"][0]["code"]: e.get("id") for e in found} == {"1401": None, "1555": None, "3700": "97"}
    assert all(e["_filename"].endswith(".json") for e in found)
    samples = aep("GET", promotion["manifest"]["sampleErrors"].removeprefix("https://platform.adobe.io"))
    assert len(samples.text.splitlines()) == 3
    batch_id = run["activities"][-1]["targetInfo"][0]["reference"]["ids"][0]
    batch = aep("GET", f"{CATALOG}/batches/{batch_id}").json()[batch_id]
    assert [e["code"] for e in batch["errors"]][0] == "INGEST-1212-400"
    assert batch["metrics"]["failedRecordCount"] == 2
    top = aep("GET", f"{EXPORT}/batches/{batch_id}/meta").json()
    assert {f["name"] for f in top["data"]} >= {"fileMetaData1.json", "row_error_samples.json"}
    listed = aep("GET", f"{EXPORT}/batches/{batch_id}/failed").json()["data"]
    assert len(listed) == 2
    assert aep("GET", f"{EXPORT}/batches/{batch_id}/meta?path=../secrets").status_code == 404
    assert aep("GET", f"{EXPORT}/batches/nobody/meta").status_code == 404


def test_diagnostics_are_kept_for_thirty_days(broken):
    aep, onboarding = broken
    run = finished(aep, onboarding)
    where = run["activities"][-1]["statusSummary"]["extensions"]["manifest"]["failedRecords"]
    aep.emulator.advance(29 * 86_400)
    aep = Plain(aep.emulator)
    assert aep("GET", where.removeprefix("https://platform.adobe.io")).status_code == 200
    aep.emulator.advance(2 * 86_400)
    aep = Plain(aep.emulator)
    assert aep("GET", where.removeprefix("https://platform.adobe.io")).status_code == 404


@pytest.mark.parametrize("options", [{}, {"errorDiagnosticsEnabled": False}])
def test_without_diagnostics_only_the_number_is_known(broken, options):
    aep, onboarding = broken
    run = finished(aep, onboarding, options=options)
    extensions = run["activities"][-1]["statusSummary"]["extensions"]
    assert [e["code"] for e in extensions["errors"]] == ["INGEST-1211-400"]
    assert "manifest" not in extensions
    assert run["metrics"]["recordSummary"]["failedRecordCount"] == 2


@pytest.mark.parametrize(("percent", "verdict"), [(None, "failed"), (1, "failed"), (2, "success"), (50, "success")])
def test_the_flows_threshold_decides_whether_the_batch_succeeds(broken, percent, verdict):
    aep, onboarding = broken
    run = finished(aep, onboarding, options={"partialIngestionPercent": percent})
    assert status(run) == verdict
    assert run["metrics"]["recordSummary"]["outputRecordCount"] == (0 if verdict == "failed" else 98)
    assert bool(list(aep.emulator.lake.rglob("*.parquet"))) is (verdict == "success")


# -- cloud storage --------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(tmp_path):
    """Create a folder of files in three formats."""
    folder = tmp_path / "source" / "amazon-s3"
    (folder / "leads" / "old").mkdir(parents=True)
    (folder / "leads" / "a.csv").write_text("id,mail\n1,a@b.example\n2,b@b.example\n")
    (folder / "leads" / "b.tsv").write_text("id\tmail\n3\tc@b.example\n")
    (folder / "leads" / "old" / "c.csv").write_text("id,mail\n4,d@b.example\n")
    with gzip.open(folder / "leads" / "z.csv.gz", "wt") as f:
        f.write("id,mail\n5,e@b.example\n")
    (folder / "lines.jsonl").write_text('{"id": "6", "who": {"mail": "f@b.example"}}\n')
    (folder / "array.json").write_text('[{"id": "7", "who": {"mail": "g@b.example"}}, {"id": "8", "who": {}}]')
    pq.write_table(pa.table({"id": ["9"], "mail": ["h@b.example"]}), folder / "x.parquet")
    (tmp_path / "source" / "other.csv").write_text("id,mail\n1,a@b.example\n")
    for file in folder.rglob("*.*"):
        os.utime(file, (START + 60, START + 60))
    return tmp_path / "source"


class Cloud(Onboarding):
    """An onboarding of a cloud storage."""

    def __init__(self, aep, path, form, mappings, data=None, params=None, spec=S3):
        super().__init__(aep, "other", {"id": "_id"})
        self.base = None
        if spec is S3:
            keys = {"specName": "Access Key", "params": {"s3AccessKey": "k", "s3SecretKey": "s"}}
            self.base = aep.post(f"{FLOW}/connections", {"name": "s3", "auth": keys, "connectionSpec": spec})["id"]
        body = {"name": "files", "data": {"format": form, **(data or {})}, "connectionSpec": spec,
                "params": {"path": path, **(params or {})}}  # fmt: skip
        if self.base:
            body["baseConnectionId"] = self.base
        self.source = aep.post(f"{FLOW}/sourceConnections", body)["id"]
        ref = {"schemaRef": {"id": self.schema, "contentType": FULL}}
        entries = [{"sourceType": "ATTRIBUTE", "source": s, "destination": d} for s, d in mappings.items()]
        self.mapping = aep.post(f"{PREP}/mappingSets", {"outputSchema": ref, "mappings": entries}, 200)

    def flow_body(self, schedule=None, delta=None, **changes):
        return super().flow_body(schedule, delta, flowSpec=CLOUD, **changes)


FLAT, NESTED = {"id": "_id", "mail": "personalEmail.address"}, {"id": "_id", "who.mail": "personalEmail.address"}


@pytest.mark.parametrize(
    ("path", "form", "mappings", "more", "ids"),
    [
        ("/leads/a.csv", "delimited", FLAT, {}, ["1", "2"]),
        ("/leads", "delimited", FLAT, {}, ["1", "2", "5"]),
        ("/leads", "delimited", FLAT, {"params": {"recursive": "true"}}, ["1", "2", "4", "5"]),
        ("/leads/*.csv", "delimited", FLAT, {}, ["1", "2", "4"]),
        ("/leads/z.csv.gz", "delimited", FLAT, {}, ["5"]),
        ("/leads/b.tsv", "delimited", FLAT, {"data": {"columnDelimiter": "\t"}}, ["3"]),
        ("/leads/b.tsv", "delimited", FLAT, {"data": {"properties": {"columnDelimiter": "\\t"}}}, ["3"]),
        ("/lines.jsonl", "json", NESTED, {}, ["6"]),
        ("/array.json", "json", NESTED, {}, ["7", "8"]),
        ("/x.parquet", "parquet", FLAT, {}, ["9"]),
    ],
)
def test_files_of_a_cloud_storage_are_ingested(make_emulator, bucket, path, form, mappings, more, ids):
    aep = frozen(make_emulator, bucket, run_delay=0)
    cloud = Cloud(aep, path, form, mappings, **more)
    if "tsv" not in path and path == "/leads":  # a file of another delimiter is in the folder
        (bucket / "amazon-s3" / "leads" / "b.tsv").write_text("id,mail\n")
    flow = cloud.flow({"startTime": START + 100, "frequency": "once"})
    aep.emulator.advance(201)
    [run] = runs(aep, flow)
    assert status(run) == "success"
    landed = [row["_id"] for file in aep.emulator.lake.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert sorted(landed) == ids


def test_each_run_takes_the_files_that_changed_in_its_window(make_emulator, bucket):
    aep = frozen(make_emulator, bucket, run_delay=0)
    cloud = Cloud(aep, "/leads/*.csv", "delimited", FLAT)
    schedule = {"startTime": START, "frequency": "hour", "interval": 1, "backfill": False}
    flow = cloud.flow(schedule)
    os.utime(bucket / "amazon-s3" / "leads" / "old" / "c.csv", (START + 5000, START + 5000))
    aep.emulator.advance(100 + 3 * 3600)
    counts = [r["metrics"]["recordSummary"]["inputRecordCount"] for r in reversed(runs(aep, flow))]
    assert counts == [0, 2, 1, 0]


def test_a_cloud_storage_is_explored(make_emulator, bucket):
    aep = Plain(make_emulator(bucket))
    keys = {"specName": "Access Key", "params": {"s3AccessKey": "k", "s3SecretKey": "s"}}
    base = aep.post(f"{FLOW}/connections", {"name": "s3", "auth": keys, "connectionSpec": S3})["id"]

    def explore(**query):
        return aep("GET", f"{FLOW}/connections/{base}/explore", params=query)

    root = explore(objectType="root").json()
    assert {(e["type"], e["path"]) for e in root} == {
        ("folder", "/leads"), ("file", "/array.json"), ("file", "/lines.jsonl"), ("file", "/x.parquet"),
    }  # fmt: skip
    assert {e["name"] for e in explore(objectType="FOLDER", object="/leads/").json()} == {
        "a.csv",
        "b.tsv",
        "z.csv.gz",
        "old",
    }
    flat = explore(objectType="file", object="/leads/a.csv", fileType="delimited", preview="true").json()
    assert [c["name"] for c in flat["schema"]["columns"]] == ["id", "mail"]
    assert flat["data"][0] == {"id": "1", "mail": "a@b.example"}
    tabs = explore(objectType="file", object="/leads/b.tsv", fileType="delimited", columnDelimiter="\\t").json()
    assert [c["name"] for c in tabs["schema"]["columns"]] == ["id", "mail"]
    nested = explore(objectType="file", object="/array.json", fileType="json", preview="true").json()
    assert nested["schema"]["properties"]["who"]["properties"]["mail"] == {"type": "string"}
    assert explore(objectType="file", object="/x.parquet", fileType="parquet").json()["format"] == "flat"
    for query, status_code in [
        ({"objectType": "file", "object": "/../../etc/passwd", "fileType": "delimited"}, 404),
        ({"objectType": "folder", "object": "/nowhere"}, 404),
        ({"objectType": "file", "object": "/x.parquet", "fileType": "delimited"}, 400),
        ({"objectType": "file", "object": "/x.parquet", "fileType": "xml"}, 400),
        ({"objectType": "file", "object": "/leads/a.csv", "columnDelimiter": "ab"}, 400),
        ({"objectType": "table", "object": "other"}, 400),
    ]:
        assert explore(**query).status_code == status_code


def test_the_landing_zone_has_no_base_connection(make_emulator, bucket):
    aep = frozen(make_emulator, bucket, run_delay=0)
    where = f"{FLOW}/connectionSpecs/{LANDING_ZONE['id']}/explore"
    assert "/other.csv" in {e["path"] for e in aep("GET", where, params={"objectType": "root"}).json()}
    cloud = Cloud(aep, "/other.csv", "delimited", FLAT, spec=LANDING_ZONE)
    flow = cloud.flow({"startTime": START, "frequency": "once"})
    aep.emulator.advance(101)
    assert runs(aep, flow)[0]["metrics"]["recordSummary"]["outputRecordCount"] == 1
    aep.refused(400, "1336-400", "GET", f"{FLOW}/connectionSpecs/{SERVICENOW['id']}/explore?objectType=root")


# -- fields of one's own --------------------------------------------------------------------------------------------


def test_fields_of_a_tenants_field_group_are_ingested(make_emulator):
    aep = frozen(make_emulator, run_delay=0)
    own = {"_emulator": {"type": "object", "properties": {"tier": {"type": "string"}, "place": {"$ref": "?"}}}}
    place = aep.post(
        f"{REGISTRY}/tenant/datatypes", {"title": "Place", "type": "object", "properties": {"city": {"type": "string"}}}
    )
    own["_emulator"]["properties"]["place"]["$ref"] = place["$id"]
    group = aep.post(
        f"{REGISTRY}/tenant/fieldgroups",
        {
            "title": "Loyalty", "type": "object", "meta:intendedToExtend": ["https://ns.adobe.com/xdm/context/profile"],
            "definitions": {"customFields": {"type": "object", "properties": own}},
            "allOf": [{"$ref": "#/definitions/customFields"}],
        },
    )  # fmt: skip
    assert "/mixins/" in group["$id"]
    body = {"title": "with fields", "type": "object",
            "allOf": [{"$ref": "https://ns.adobe.com/xdm/context/profile"}, {"$ref": group["$id"]}]}  # fmt: skip
    schema = aep.post(f"{REGISTRY}/tenant/schemas", body)
    full = {"Accept": "application/vnd.adobe.xed-full+json; version=1"}
    shown = aep("GET", f"{REGISTRY}/tenant/schemas/{schema['meta:altId']}", headers=full).json()
    assert shown["properties"]["_emulator"]["properties"]["place"]["properties"] == {"city": {"type": "string"}}
    ref = {"id": schema["$id"], "contentType": FULL}
    dataset = aep.post(f"{CATALOG}/dataSets", {"name": "d", "schemaRef": ref})[0].rsplit("/", 1)[1]
    onboarding = Onboarding(aep)
    body = {"name": "t", "params": {"dataSetId": dataset}, "connectionSpec": DATA_LAKE}
    onboarding.target = aep.post(f"{FLOW}/targetConnections", body)["id"]
    pairs = {"sys_id": "_id", "first_name": "_emulator.tier", "last_name": "_emulator.place.city"}
    entries = [{"sourceType": "ATTRIBUTE", "source": s, "destination": d} for s, d in pairs.items()]
    body = {"outputSchema": {"schemaRef": ref}, "mappings": entries}
    onboarding.mapping = aep.post(f"{PREP}/mappingSets", body, 200)
    flow = onboarding.flow({"startTime": START, "frequency": "once"})
    aep.emulator.advance(101)
    assert status(runs(aep, flow)[0]) == "success"
    [file] = (aep.emulator.lake).rglob(f"{dataset}/*.parquet")
    row = pq.read_table(file).to_pylist()[0]
    assert row["_emulator"]["place"]["city"]
    used = aep("DELETE", f"{REGISTRY}/tenant/fieldgroups/{group['meta:altId']}")
    assert (used.status_code, "in use by with fields" in used.text) == (400, True)
    change = [{"op": "remove", "path": "/definitions/customFields/properties/_emulator/properties/tier"}]
    assert aep("PATCH", f"{REGISTRY}/tenant/mixins/{group['meta:altId']}", json=change).status_code == 400
    more = [
        {
            "op": "add",
            "path": "/definitions/customFields/properties/_emulator/properties/level",
            "value": {"type": "integer"},
        }
    ]
    assert aep("PATCH", f"{REGISTRY}/tenant/mixins/{group['meta:altId']}", json=more).json()["version"] == "1.1"


def test_a_field_outside_of_the_tenants_namespace_is_refused(aep):
    for properties in ({"tier": {"type": "string"}}, {"_other": {"type": "object", "properties": {}}}):
        body = {"title": "x", "type": "object", "definitions": {"customFields": {"properties": properties}},
                "allOf": [{"$ref": "#/definitions/customFields"}]}  # fmt: skip
        answer = aep("POST", f"{REGISTRY}/tenant/fieldgroups", json=body)
        assert (answer.status_code, "belongs under _emulator" in answer.text) == (400, True)
