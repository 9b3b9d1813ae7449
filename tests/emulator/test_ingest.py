"""Ingestion of real rows; DuckDB reads the lake and checks its content."""

import csv
import json
import time
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_http import CATALOG, FLOW, Onboarding, Plain

from aep_data_prep import field_of
from aep_data_prep.syntax import steps_of
from aep_emulator.core.switches import choices
from aep_emulator.engine.mapping import Mapper
from aep_emulator.engine.parquet import arrow_schema
from aep_emulator.engine.source_data import Sources, Tables, date_time, day, sample_data

SAMPLE = sample_data() / "servicenow"
CONTACT = {
    "sys_id": "_id",
    "first_name": "person.name.firstName",
    "last_name": "person.name.lastName",
    "email": "personalEmail.address",
    "birth_date": "person.birthDate",
    "gender": "person.gender",
}


def select(sql, **names):
    return duckdb.connect().execute(sql.format(sample=SAMPLE, **names)).fetchall()


@pytest.fixture
def ingested(aep):
    """Run a flow over the sample's contacts; return the onboarding, the run and a pattern of the lake's files."""
    made = Onboarding(aep, mappings=CONTACT)
    return made, made.run(made.flow()), str(aep.emulator.lake / "**" / "*.parquet")


# What is wrong with each broken row, as a reader of the CSV sees it.
BROKEN = {
    "CNCT0000013": ("email", "bela.meyer.13@"),
    "CNCT0000251": ("sys_id", None),
    "CNCT0000501": ("gender", "F"),
    "CNCT0000902": ("email", "n/a"),
}
INCOMPLETE = {"CNCT0000100": ("birth_date", "31.02.1980"), "CNCT0000734": ("birth_date", "1985-13-01")}


def test_the_counts_match_the_rows(aep, ingested):
    _, run, lake = ingested
    records = run["metrics"]["recordSummary"]
    rows = select("SELECT count(*) FROM read_csv('{sample}/customer_contact.csv', all_varchar=true)")[0][0]
    landed = select("SELECT count(*), count(DISTINCT _id) FROM read_parquet('{lake}')", lake=lake)[0]
    assert rows == records["inputRecordCount"] == 1000
    assert landed == (996, 996)
    assert (records["outputRecordCount"], records["failedRecordCount"]) == (996, 4)
    assert run["metrics"]["statusSummary"]["status"] == "success"  # as at Adobe: 0.4 % is below the threshold
    assert run["metrics"]["durationSummary"]["completedAtUTC"] >= run["metrics"]["durationSummary"]["startedAtUTC"]


def test_every_broken_row_is_counted_with_its_error(aep, ingested):
    _, run, lake = ingested
    missing = select(
        "SELECT number, c.* FROM read_csv('{sample}/customer_contact.csv', all_varchar=true) c "
        "WHERE NOT EXISTS (FROM read_parquet('{lake}') l WHERE l._id = c.sys_id)",
        lake=lake,
    )
    columns = ["number", *(SAMPLE / "customer_contact.csv").read_text().splitlines()[0].split(",")]
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in missing}
    assert set(found) == set(BROKEN)
    assert {n: (c, found[n][c]) for n, (c, _) in BROKEN.items()} == BROKEN
    promotion = run["activities"][-1]["statusSummary"]
    assert promotion["errors"] == [{"code": "CONNECTOR-2001-500", "message": "Error occurred at promotion activity."}]
    said, *codes = promotion["extensions"]["errors"]
    assert said["code"] == "INGEST-1212-400"
    assert {e["code"]: e["recordCount"] for e in codes} == {"INGEST-1555-400": 1, "MAPPER-3700-400": 5}


def test_a_value_that_cannot_be_transformed_is_null_and_is_reported(ingested):
    _, _, lake = ingested
    rows = select(
        "SELECT number, birth_date, l.person.birthDate "
        "FROM read_csv('{sample}/customer_contact.csv', all_varchar=true) c "
        "JOIN read_parquet('{lake}') l ON l._id = c.sys_id "
        "WHERE birth_date IS NOT NULL AND l.person.birthDate IS NULL",
        lake=lake,
    )
    assert {number: ("birth_date", given) for number, given, _ in rows} == INCOMPLETE


@pytest.mark.parametrize("number", ["CNCT0000001", "CNCT0000002", "CNCT0000500", "CNCT0000999", "CNCT0001000"])
def test_five_rows_are_complete_in_the_lake(ingested, number):
    _, _, lake = ingested
    source = select(
        "SELECT sys_id, first_name, last_name, email, CAST(birth_date AS DATE), gender "
        "FROM read_csv('{sample}/customer_contact.csv', all_varchar=true) WHERE number = '{number}'",
        number=number,
    )
    target = select(
        "SELECT _id, l.person.name.firstName, l.person.name.lastName, l.personalEmail.address, l.person.birthDate, "
        "l.person.gender FROM read_parquet('{lake}') l WHERE _id = '{id}'",
        lake=lake,
        id=source[0][0],
    )
    assert source == target
    assert len(target) == 1


def test_a_batch_is_in_the_catalog(aep, ingested):
    made, run, _ = ingested
    [batch] = run["activities"][-1]["targetInfo"][0]["reference"]["ids"]
    shown = aep("GET", f"{CATALOG}/batches/{batch}").json()[batch]
    assert (shown["status"], shown["metrics"]["failedRecordCount"]) == ("success", 4)
    assert all("hidden" not in str(e) for e in shown["errors"])
    assert list(aep("GET", f"{CATALOG}/batches?dataSet={made.dataset}").json()) == [batch]
    assert aep("GET", f"{CATALOG}/batches?dataSet=other").json() == {}


def test_a_flow_stores_its_last_run(aep, ingested):
    _, run, _ = ingested
    [flow] = aep("GET", f"{FLOW}/flows/{run['flowId']}").json()["items"]
    assert (flow["lastRunDetails"]["id"], flow["lastRunDetails"]["state"]) == (run["id"], "success")


def table(folder, rows, name="t"):
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


def rows_of(n, broken=0, start=datetime(2026, 1, 1, tzinfo=UTC)):
    stamp = start.strftime("%Y-%m-%d %H:%M:%S")
    return [{"id": "" if i < broken else str(i), "mail": f"a{i}@b.example", "at": stamp} for i in range(n)]


@pytest.mark.parametrize(("broken", "status", "landed"), [(5, "success", 95), (6, "failed", 0)])
def test_too_many_failed_rows_fail_the_run_and_write_nothing(make_emulator, tmp_path, broken, status, landed):
    aep = Plain(make_emulator(table(tmp_path / "src", rows_of(100, broken))))
    made = Onboarding(aep, "t", {"id": "_id", "mail": "personalEmail.address"})
    run = made.run(made.flow())
    assert run["metrics"]["statusSummary"]["status"] == status
    assert run["metrics"]["recordSummary"]["outputRecordCount"] == landed
    assert sum(pq.read_metadata(f).num_rows for f in aep.emulator.lake.rglob("*.parquet")) == landed
    assert not list(aep.emulator.lake.rglob("*.part"))


@pytest.mark.parametrize("backfill", [True, False])
def test_a_scheduled_flow_takes_the_rows_of_its_window(make_emulator, tmp_path, backfill):
    now = int(time.time())
    old = rows_of(3, start=datetime(2020, 1, 1, tzinfo=UTC))
    aep = Plain(make_emulator(table(tmp_path / "src", [*old, {**old[0], "id": "late", "at": "9999-01-01 00:00:00"}])))
    made = Onboarding(aep, "t", {"id": "_id", "mail": "personalEmail.address"})
    schedule = {"startTime": now + 2, "frequency": "hour", "interval": 1, "backfill": backfill}
    run = made.run(made.flow(schedule, delta="at"))
    assert run["metrics"]["recordSummary"]["inputRecordCount"] == (3 if backfill else 0)
    window = run["metrics"]["durationSummary"]["extensions"]
    assert window == {"windowStart": 0 if backfill else (now + 2) * 1000, "windowEnd": (now + 2) * 1000}


def test_a_run_is_due_after_its_delay(make_emulator):
    aep = Plain(make_emulator(run_delay=60.0))
    aep.emulator.freeze(int(time.time()))
    flow = Onboarding(aep).flow({"startTime": int(time.time()) + 10, "frequency": "once"})
    start = int(aep("GET", f"{FLOW}/flows/{flow}").json()["items"][0]["scheduleParams"]["startTime"])

    def runs():
        return aep("GET", f"{FLOW}/runs", params={"property": f"flowId=={flow}"}).json()["items"]

    aep.emulator.advance(start + 59 - aep.emulator.world.clock.now())
    assert runs() == []
    aep.emulator.advance(1)
    assert len(runs()) == 1


def test_a_missing_source_file_fails_the_run(make_emulator, tmp_path):
    folder = table(tmp_path / "src", rows_of(3))
    aep = Plain(make_emulator(folder))
    made = Onboarding(aep, "t", {"id": "_id"})
    flow = made.flow()
    (folder / "t.csv").unlink()
    run = made.run(flow)
    assert run["metrics"]["statusSummary"]["status"] == "failed"
    assert run["metrics"]["recordSummary"]["inputRecordCount"] == -1
    assert run["activities"][0]["statusSummary"]["errors"][0]["code"] == "CONNECTOR-1001-500"


def test_an_unreadable_line_is_one_failed_row_and_is_not_logged(make_emulator, tmp_path, caplog):
    folder = table(tmp_path / "src", rows_of(30))
    with (folder / "t.csv").open("a") as f:
        f.write("31,Canaryperson,secret-note,too,many,cells\n")
    aep = Plain(make_emulator(folder))
    made = Onboarding(aep, "t", {"id": "_id"})
    run = made.run(made.flow())
    assert run["metrics"]["recordSummary"] == {"inputRecordCount": 31, "outputRecordCount": 30, "failedRecordCount": 1}
    assert run["activities"][-1]["statusSummary"]["extensions"]["errors"][1]["recordCount"] == 1
    assert "Canaryperson" not in caplog.text + json.dumps(run)
    batch = aep("GET", f"{CATALOG}/batches?dataSet={made.dataset}").text
    assert "Canaryperson" not in batch


def test_what_has_no_time_is_counted_in_each_window(make_emulator, tmp_path):
    folder = table(tmp_path / "src", rows_of(30, start=datetime(2020, 1, 1, tzinfo=UTC)))
    with (folder / "t.csv").open("a") as f:
        f.write("too,many,cells,here\n4,a@b.example,someday\n5,a@b.example,\n")
    aep = Plain(make_emulator(folder))
    made = Onboarding(aep, "t", {"id": "_id"})
    schedule = {"startTime": int(time.time()) + 2, "frequency": "hour", "interval": 1, "backfill": False}
    run = made.run(made.flow(schedule, delta="at"))
    assert run["metrics"]["recordSummary"] == {"inputRecordCount": 3, "outputRecordCount": 0, "failedRecordCount": 3}


def test_an_error_while_reading_logs_no_row(make_emulator, tmp_path, caplog):
    folder = table(tmp_path / "src", rows_of(3))
    aep = Plain(make_emulator(folder))
    made = Onboarding(aep, "t", {"id": "_id"})
    flow = made.flow()
    (folder / "t.csv").write_bytes(b"id,mail,at\n1,Canary\xff\xfeperson,x\n")
    run = made.run(flow)
    assert run["metrics"]["statusSummary"]["status"] == "failed"
    assert "Canary" not in caplog.text + json.dumps(run)


def test_a_change_during_a_run_is_kept(aep, onboarding, monkeypatch):
    from aep_emulator.engine import ingest

    execute = ingest.Ingestion.execute

    def meanwhile(self):
        [shown] = aep("GET", f"{FLOW}/flows/{self._flow['id']}").json()["items"]
        ops, headers = [{"op": "add", "path": "/description", "value": "new"}], {"If-Match": shown["etag"]}
        assert aep("PATCH", f"{FLOW}/flows/{shown['id']}", json=ops, headers=headers).status_code == 200
        return execute(self)

    monkeypatch.setattr(ingest.Ingestion, "execute", meanwhile)
    run = onboarding.run(onboarding.flow())
    [flow] = aep("GET", f"{FLOW}/flows/{run['flowId']}").json()["items"]
    assert (flow["description"], flow["lastRunDetails"]["id"]) == ("new", run["id"])


def test_without_a_lake_rows_are_only_counted(make_emulator):
    aep = Plain(make_emulator(lake=None))
    made = Onboarding(aep)
    assert made.run(made.flow())["metrics"]["recordSummary"]["outputRecordCount"] == 997


def test_a_parquet_file_is_a_table(make_emulator, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    born = datetime(1990, 5, 17).date()
    columns = {
        "id": pa.array(["a", "b"]),
        "born": pa.array([born, None], pa.date32()),
        "at": pa.array([datetime(2026, 1, 1), datetime(2026, 1, 2)], pa.timestamp("us")),
        "ok": pa.array([True, False]),
        "n": pa.array([1, 2]),
        "x": pa.array([0.5, 1.5]),
    }
    pq.write_table(pa.table(columns), folder / "t.parquet")
    aep = Plain(make_emulator(folder))
    made = Onboarding(aep, "t", {"id": "_id", "born": "person.birthDate", "n": "person.name.suffix"})
    shown = aep("GET", f"{FLOW}/connections/{made.base}/explore", params={"objectType": "table", "object": "t"}).json()
    kinds = {c["name"]: c.get("meta:xdmType", c["type"]) for c in shown["schema"]["columns"]}
    assert kinds == {"id": "string", "born": "date", "at": "date-time", "ok": "boolean", "n": "integer", "x": "double"}
    run = made.run(made.flow({"startTime": int(time.time()) + 2, "frequency": "day", "interval": 1}, delta="at"))
    assert run["metrics"]["recordSummary"]["outputRecordCount"] == 2
    [file] = aep.emulator.lake.rglob("*.parquet")
    landed = pq.read_table(file).to_pylist()
    assert landed[0] == {"_id": "a", "person": {"birthDate": born, "name": {"suffix": "1"}}}
    assert landed[1]["person"]["birthDate"] is None


# -- rows and fields ------------------------------------------------------------------------------------------------

SCHEMA = {
    "properties": {
        "_id": {"type": "string"},
        "n": {"type": "integer"},
        "x": {"type": "number"},
        "ok": {"type": "boolean"},
        "on": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "text": {"type": "string"},
        "kinds": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
        "mails": {"type": "array", "items": {"type": "object", "properties": {"to": {"format": "email"}}}},
        "by_name": {"type": "object", "additionalProperties": {"type": "string", "enum": ["a", "b"]}},
    },
    "required": ["text"],
}


def mapper(*mappings, assume=()):
    return Mapper([*mappings], SCHEMA, choices([*assume]), lambda: datetime(2026, 1, 31, tzinfo=UTC), lambda: "new")


def mapped(field, value, *assume):
    given = {"c": value, "text": "there"}
    one, required = {"source": "c", "destination": field}, {"source": "text", "destination": "text"}
    return mapper(*([one] if field == "text" else [one, required]), assume=assume).apply(given)


@pytest.mark.parametrize(
    ("field", "value", "landed"),
    [
        ("n", "7", 7), ("n", "7.0", 7), ("n", 2**53, 2**53), ("x", "1.5", 1.5), ("ok", "TRUE", True),
        ("ok", False, False), ("ok", "yes", True), ("n", True, 1), ("on", "31.01.2026", day("2026-01-31")),
        ("at", "2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("text", True, "true"), ("text", 5, "5"), ("kind", "b", "b"), ("mail", "a@b.example", "a@b.example"),
        ("on", "2026-01-31", day("2026-01-31")), ("on", "2026-01-31T10:00:00Z", day("2026-01-31")),
        ("at", "2026-01-31 10:00:00", datetime(2026, 1, 31, 10, tzinfo=UTC)), ("n", None, None),
    ],
)  # fmt: skip
def test_a_valid_value_is_converted(field, value, landed):
    assert (mapped(field, value).row.get(field), mapped(field, value).faults) == (landed, [])


@pytest.mark.parametrize(
    ("destination", "expression", "field", "wrong"),
    [
        ("kinds", 'explode(c, ";")', "kinds[*]", "x"),
        ("mails[1].to", "c", "mails[1].to", "a;x"),
        ("mails", 'to_array(false, {"to": "a@b.example"}, {"to": c})', "mails[*].to", "a;x"),
        ("by_name", '{"one": "a", "two": c}', "by_name[*]", "a;x"),
    ],
)
def test_a_value_within_an_array_or_a_map_is_checked(destination, expression, field, wrong):
    entry = {"source": expression, "sourceType": "EXPRESSION", "destination": destination}
    result = mapper(entry, {"source": "t", "destination": "text"}).apply({"c": "a;x", "t": "there"})
    assert [(f.field, f.message.rpartition(": ")[2]) for f in result.faults] == [(field, repr(wrong))]
    assert result.row is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "seven"), ("n", "1e400"), ("n", "nan"), ("n", 2**60), ("n", "7.5"), ("x", "x"), ("x", "1e400"),
        ("ok", "maybe"), ("on", "31-31-2026"), ("at", "soon"),
    ],
)  # fmt: skip
def test_an_invalid_value_becomes_null(field, value):
    kept = mapped(field, value)
    assert kept.row == {"text": "there"}
    assert [(f.code, f.field) for f in kept.faults] == [("MAPPER-3700-400", field)]
    rejected = mapped(field, value, "transform-error=reject")
    assert (rejected.row, rejected.faults) == (None, kept.faults)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("mail", "nobody", "MAPPER-3700-400"), ("mail", "a b@c.d", "MAPPER-3700-400"),
        ("kind", "c", "MAPPER-3700-400"), ("_id", None, "INGEST-1555-400"), ("text", None, "INGEST-1555-400"),
    ],
)  # fmt: skip
def test_a_value_that_the_schema_refuses_rejects_its_row(field, value, code):
    rejected = mapped(field, value)
    assert rejected.row is None
    assert [(f.code, f.field) for f in rejected.faults] == [(code, field)]


def test_static_values_are_in_every_row():
    static = mapper({"source": "EU", "destination": "text", "sourceType": "static"})
    assert static.apply({}).row == {"text": "EU"}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["true", "False"], "boolean"), (["1", "-2"], "integer"), (["1", "2.5", "1e3"], "double"),
        (["2026-01-31"], "date"), (["2026-01-31 10:00:00"], "date-time"), (["2026-01-31T10:00:00+01:00"], "date-time"),
        (["a", "1"], "string"), (["", ""], "string"), (["1"] * 19 + ["?"], "integer"),
        (["1"] * 8 + ["?"] * 2, "string"),
    ],
)  # fmt: skip
def test_a_csv_column_has_the_type_of_its_cells(tmp_path, cells, kind):
    folder = table(tmp_path / "src", [{"c": c, "d": "x"} for c in cells])
    assert Tables(folder).get("t").columns == {"c": kind, "d": "string"}


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="is not a folder"):
        Sources(tmp_path / "gone")
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(SystemExit, match=r"holds no \.csv, \.parquet or \.jsonl file"):
        Sources(tmp_path)


@pytest.mark.parametrize("content", [b"", b"id,n\xe9\n1,2\n", b"\x00\xff\xfe"])
def test_an_unreadable_file_ends_the_start_with_its_name(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SystemExit, match=r"t\.csv cannot be read \(\w+\)\. A CSV file is UTF-8"):
        Sources(tmp_path)


def test_date_times_and_dates():
    assert date_time("2026-01-31 10:00:00").tzinfo is UTC
    assert date_time("2026-01-31") is None
    assert date_time("soon") is None
    assert day("20260131") is None
    assert day("2026-13-01") is None


# -- odd files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,name,name", "line 1: 2 columns are named 'name'"),
        ("id,,name", "line 1: column 2 has no name"),
        ('id,name\n1,Ada\n2,"Ben\n3,Cy\n', "line 3: a quotation mark of this row is not closed"),
        ('id,name\n1,5" pipe\n2,"open\n3,x\n4,y\n', "line 3: a quotation mark of this row is not closed"),
        ('id,name\n1,"Ada"\n2,"Ben' + "\nx" * 90_000, "line 3: a quotation mark of this row is not closed"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_at_the_start(tmp_path, text, says):
    (tmp_path / "people.csv").write_text(f"{text}\n1,a,b\n")
    with pytest.raises(SystemExit, match=f"people.csv, {says}. Correct the file"):
        Sources(tmp_path)


def test_a_long_cell_and_a_mark_within_a_cell_are_read(tmp_path):
    (tmp_path / "t.csv").write_text('id,name\n1,5" pipe\n2,"' + "x" * 140_000 + '"\n3,z\n')
    [(rows, unreadable)] = Tables(tmp_path).get("t").rows()
    assert ([len(r["name"]) for r in rows], unreadable) == ([7, 140_000, 1], 0)


def test_a_large_table_may_have_line_breaks_in_its_cells(make_emulator, tmp_path):
    rows = [{"id": str(n), "note": f'line {n}\n\nsecond, "quoted" {"x" * 100}'} for n in range(20_000)]
    aep = Plain(make_emulator(table(tmp_path / "src", rows)))
    made = Onboarding(aep, "t", {"id": "_id", "note": "person.name.fullName"})
    counts = made.run(made.flow())["metrics"]["recordSummary"]
    assert counts == {"inputRecordCount": 20_000, "outputRecordCount": 20_000, "failedRecordCount": 0}
    query = "SELECT l.person.name.fullName FROM read_parquet('{lake}') l WHERE _id = '19999'"
    assert select(query, lake=aep.emulator.lake / "**" / "*.parquet") == [(rows[-1]["note"],)]


def test_nested_parquet_is_mapped_as_it_is(make_emulator, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    columns = {
        "id": pa.array(["a", "b"]),
        "who": pa.array([{"first": "Ann", "last": "Bo"}, None]),
        "more": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        "mails": pa.array([["a@b.example", "c@d.example"], []], pa.list_(pa.string())),
        "deep": pa.array([{"map": [("k", "w")]}, None], pa.struct([("map", pa.map_(pa.string(), pa.string()))])),
    }
    pq.write_table(pa.table(columns), folder / "t.parquet")
    aep = Plain(make_emulator(folder))
    mappings = {
        "id": "_id",
        "who.first": "person.name.firstName",
        "mails[1]": "personalEmail.address",
        "more.k": "person.name.suffix",
        "deep.map.k": "person.name.middleName",
    }
    made = Onboarding(aep, "t", {**mappings, "who.last": "person.name.lastName"})
    shown = aep("GET", f"{FLOW}/connections/{made.base}/explore", params={"objectType": "table", "object": "t"}).json()
    assert [c["type"] for c in shown["schema"]["columns"]] == ["string", "object", "object", "array", "object"]
    assert made.run(made.flow())["metrics"]["recordSummary"]["outputRecordCount"] == 2
    [file] = aep.emulator.lake.rglob("*.parquet")
    assert pq.read_table(file).to_pylist()[0] == {
        "_id": "a", "person": {"name": {"firstName": "Ann", "suffix": "v", "middleName": "w", "lastName": "Bo"}},
        "personalEmail": {"address": "c@d.example"},
    }  # fmt: skip


def test_half_of_a_surrogate_pair_is_an_unreadable_record(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"id": 1, "half": "\\ud83d"}\n{"id": 2, "whole": "\\ud83d\\ude00"}\n')
    [(rows, unreadable)] = Tables(tmp_path).records.rows()
    assert ([r["id"] for r in rows], unreadable) == ([2], 1)


def test_the_lake_has_the_mapped_fields_of_an_array_of_objects():
    arrays = field_of({"properties": {"orders": {"type": "array", "items": {"properties": {"sku": {}, "n": {}}}}}})
    schema = arrow_schema(arrays, [steps_of("orders[*].sku")])
    assert schema.field("orders").type == pa.list_(pa.struct([pa.field("sku", pa.string())]))
