"""A table of odd cells is onboarded into fields of the tenant, and DuckDB accounts for each of its rows."""

import csv

import duckdb
import pytest
from plain_http import CONTEXT, REGISTRY, Plain

ROWS = 500
DAG = """
from airflow.sdk import DAG
from airflow_provider_aep.mappings import Constant, Expression
from airflow_provider_aep.naming import Names
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator, AepCreateMappingSetOperator, AepGetFlowSpecOperator, AepPreviewMappingOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator, AepCreateSourceConnectionOperator, AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator, AepCreateSchemaOperator, AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

NAMES = Names("Tickets & co.")
MAPPINGS = {
    "_id": "sys_id",
    "person.name.lastName": Expression('trim(split(caller_name, ",")[0])'),
    "person.name.firstName": Expression('trim(split(caller_name, ",")[1])'),
    "person.name.fullName": "Full.Name",
    "personalEmail.address": Expression("lower(caller_email)"),
    "_{tenant}.ticket.opened": Expression('date(opened_at, "yyyy-MM-dd HH:mm:ss")'),
    "_{tenant}.ticket.priority": Expression('decode(priority, "1", "critical", "2", "high", "normal")'),
    "_{tenant}.ticket.major": "is_major",
    "_{tenant}.ticket.tags": Expression('explode(tags, ";")'),
    "_{tenant}.ticket.workEmail": "E-mail (work)",
    "_{tenant}.ticket.origin": Constant("ServiceNow"),
    "identityMap.Email[0].id": "caller_email",
}

with DAG("ticket_onboarding", schedule=None, default_args={"aep_conn_id": "aep_tickets"}):
    base = AepCreateBaseConnectionOperator(task_id="base", name=NAMES.base, system="servicenow")
    explore = AepExploreOperator(task_id="explore", base_connection_id=base.output, table="tickets")
    source = AepCreateSourceConnectionOperator(
        task_id="source", name=NAMES.source, base_connection_id=base.output, table="tickets", columns=explore.output
    )
    groups = ["profile-person-details", "profile-personal-details", "identitymap", "{{ params.group }}"]
    schema = AepCreateSchemaOperator(task_id="schema", title=NAMES.schema, field_groups=groups)
    dataset = AepCreateDatasetOperator(task_id="dataset", name=NAMES.dataset, schema_id=schema.output)
    target = AepCreateTargetConnectionOperator(task_id="target", name=NAMES.target, dataset_id=dataset.output)
    mapped = {"schema_id": schema.output, "columns": explore.output, "mappings": MAPPINGS}
    preview = AepPreviewMappingOperator(
        task_id="preview", base_connection_id=base.output, table="tickets", max_rows=50, **mapped
    )
    mapping_set = AepCreateMappingSetOperator(task_id="mapping_set", name=NAMES.mapping, **mapped)
    preview >> mapping_set
    spec = AepGetFlowSpecOperator(task_id="spec", base_connection_id=base.output)
    flow = AepCreateFlowOperator(
        task_id="flow", name=NAMES.flow, source_connection_id=source.output, target_connection_id=target.output,
        mapping_set=mapping_set.output, flow_spec=spec.output, start_in_minutes=0.05,
        partial_ingestion_percent=5, error_diagnostics=True,
    )
    AepFlowRunSensor(task_id="run", flow_id=flow.output, poke_interval=1, max_failed_records=10)
"""
TEXT = {"type": "string"}
FIELDS = {
    "opened": {"type": "string", "format": "date-time"},
    "priority": TEXT,
    "major": {"type": "boolean"},
    "tags": {"type": "array", "items": TEXT},
    "workEmail": TEXT,
    "origin": TEXT,
}
DIRTY = {
    50: {"opened_at": "31.01.2026 14:05"},
    100: {"opened_at": "soon"},
    150: {"opened_at": "2026-02-30 10:00:00"},
    200: {"is_major": "maybe"},
    250: {"is_major": "?"},
    300: {"sys_id": ""},
    350: {"sys_id": ""},
    400: {"caller_email": "nobody"},
    450: {"caller_email": "a b@c.example"},
}
"""Changed cells by row number. The tenth dirty row has too many cells."""


def write_table(folder):
    folder.mkdir()
    with (folder / "tickets.csv").open("w", newline="", encoding="utf-8") as file:
        columns = "sys_id caller_name caller_email opened_at priority is_major tags".split()
        writer = csv.DictWriter(file, [*columns, "E-mail (work)", "Full.Name"])
        writer.writeheader()
        for n in range(ROWS - 1):
            clean = {
                "sys_id": f"T{n:04}",
                "caller_name": f"Döe{n}, Jane",
                "caller_email": f"Jane{n}@B.example",
                "opened_at": f"2026-01-{n % 28 + 1:02} 14:{n % 60:02}:00",
                "priority": str(n % 5 + 1),
                "is_major": ("yes", "no", "Y", "off", "")[n % 5],
                "tags": ("a;b;c", "one", "x;;y", "")[n % 4],
                "E-mail (work)": f"w{n}@work.example",
                "Full.Name": f'Jane "J" Döe{n}\nsecond line' if n % 7 == 0 else f"Jane Döe{n}",
            }
            writer.writerow(clean | DIRTY.get(n, {}))
        file.write("T9999,too,many,cells,,,,,,,,\n")
    return folder


# What a second reader expects of each row, from the table alone.
EXPECTED = """
SELECT sys_id, trim(split_part(caller_name, ',', 1)), trim(split_part(caller_name, ',', 2)), "Full.Name",
       lower(caller_email), try_strptime(opened_at, '%Y-%m-%d %H:%M:%S') AT TIME ZONE 'UTC',
       CASE priority WHEN '1' THEN 'critical' WHEN '2' THEN 'high' ELSE 'normal' END,
       CASE WHEN is_major IN ('yes', 'Y') THEN true WHEN is_major IN ('no', 'off') THEN false END,
       string_split(tags, ';'), "E-mail (work)", 'ServiceNow', caller_email
FROM read_csv('{table}', all_varchar=true, ignore_errors=true, quote='"', escape='"', header=true)
WHERE sys_id IS NOT NULL AND regexp_matches(caller_email, '^[^ ]+@[^ ]+$') AND "Full.Name" IS NOT NULL
"""
LANDED = """
SELECT _id, l.person.name.lastName, l.person.name.firstName, l.person.name.fullName, l.personalEmail.address,
       l._emulator.ticket.opened, l._emulator.ticket.priority, l._emulator.ticket.major, l._emulator.ticket.tags,
       l._emulator.ticket.workEmail, l._emulator.ticket.origin, l.identityMap['Email'][1].id
FROM read_parquet('{lake}') l
"""


@pytest.fixture
def tickets(airflow, make_emulator, tmp_path):
    """An emulator with the table, to which a connection of the Airflow leads."""
    emulator = make_emulator(write_table(tmp_path / "tickets"))
    airflow.connect("aep_tickets", emulator.connection())
    with airflow.dags_in({"ticket_onboarding.py": DAG}, "ticket_onboarding"):
        yield emulator


def field_group(aep):
    """Create the tenant's field group with plain HTTP. Return its ``$id``."""
    fields = {"_emulator": {"type": "object", "properties": {"ticket": {"type": "object", "properties": FIELDS}}}}
    body = {
        "type": "object", "title": "Ticket", "meta:intendedToExtend": [f"{CONTEXT}profile"],
        "definitions": {"own": {"properties": fields}}, "allOf": [{"$ref": "#/definitions/own"}],
    }  # fmt: skip
    return aep.post(f"{REGISTRY}/tenant/fieldgroups", body)["$id"]


def test_each_row_of_an_odd_table_is_accounted_for(tickets, airflow, tmp_path):
    conf = {"group": field_group(Plain(tickets))}
    state, tasks = airflow.run("ticket_onboarding", conf)
    assert state == "success", tasks
    [(_, run)] = tickets.world.store.everywhere("runs")
    counts = run["metrics"]["recordSummary"]
    assert counts == {"inputRecordCount": ROWS, "outputRecordCount": 495, "failedRecordCount": 5}
    errors = run["activities"][-1]["statusSummary"]["extensions"]["errors"]
    assert {e["code"]: e.get("recordCount") for e in errors} == {
        "INGEST-1212-400": None, "INGEST-1401-400": 1, "INGEST-1555-400": 2, "MAPPER-3700-400": 7,
    }  # fmt: skip

    database = duckdb.connect()
    names = {"table": tmp_path / "tickets" / "tickets.csv", "lake": tickets.lake / "**" / "*.parquet"}
    expected, landed = (f"({sql.format(**names)})" for sql in (EXPECTED, LANDED))
    assert database.execute(f"SELECT count(*) FROM {expected}").fetchall() == [(495,)]
    for one, other in ((expected, landed), (landed, expected)):
        assert database.execute(f"{one} EXCEPT ALL {other}").fetchall() == []
    nulls = f"SELECT count(*) FROM {landed} t(id, a, b, c, d, opened, e, major, f, g, h, i) WHERE opened IS NULL"
    assert database.execute(nulls).fetchall() == [(3,)]

    writes = tickets.writes()
    assert airflow.run("ticket_onboarding", conf)[0] == "success"
    assert tickets.writes() == writes
