"""The odd table with a custom class, custom fields, an identity and Profile, and as events; then a teardown."""

from datetime import UTC, datetime

import duckdb
import pytest
from test_odd_table import EXPECTED, ROWS, write_table

DAG = """
from airflow.sdk import DAG, chain

from airflow_provider_aep.mappings import Constant, Expression
from airflow_provider_aep.naming import Names
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator, AepCreateMappingSetOperator, AepGetFlowSpecOperator,
)
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator, AepCreateIdentityNamespaceOperator, AepEnableDatasetForProfileOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator, AepCreateSourceConnectionOperator, AepExploreOperator, AepProposeFieldsOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateClassOperator, AepCreateDatasetOperator, AepCreateFieldGroupOperator, AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.operators.teardown import AepTeardownOnboardingOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

TICKET = {
    "_id": "sys_id",
    "_{tenant}.ticket.lastName": Expression('trim(split(caller_name, ",")[0])'),
    "_{tenant}.ticket.firstName": Expression('trim(split(caller_name, ",")[1])'),
    "_{tenant}.ticket.fullName": "Full.Name",
    "_{tenant}.ticket.callerEmail": Expression("lower(caller_email)"),
    "_{tenant}.ticket.opened": Expression('date(opened_at, "yyyy-MM-dd HH:mm:ss")'),
    "_{tenant}.ticket.priority": Expression('decode(priority, "1", "critical", "2", "high", "normal")'),
    "_{tenant}.ticket.major": "is_major",
    "_{tenant}.ticket.tags": Expression('explode(tags, ";")'),
    "_{tenant}.ticket.workEmail": "E-mail (work)",
    "_{tenant}.ticket.origin": Constant("ServiceNow"),
    "_{tenant}.ticket.given": "caller_email",
}
FIELDS = {
    "ticket.lastName": "string",
    "ticket.firstName": "string",
    "ticket.fullName": {"type": "string", "required": True},
    "ticket.callerEmail": {"type": "string", "format": "email"},
    "ticket.opened": "date-time",
    "ticket.priority": {"type": "string", "enum": {"critical": "Critical", "high": "High", "normal": "Normal"}},
    "ticket.major": "boolean",
    "ticket.tags": "string[]",
    "ticket.workEmail": "string",
    "ticket.origin": "string",
    "ticket.given": "string",
}
EVENT = {
    "_id": "sys_id",
    "timestamp": Expression('date(opened_at, "yyyy-MM-dd HH:mm:ss")'),
    "eventType": Constant("ticket.opened"),
    "identityMap.Email[0].id": Expression("lower(caller_email)"),
    "identityMap.Email[0].primary": Constant(True),
}
CONNECTION = {"aep_conn_id": "aep_custom"}


def source(names):
    base = AepCreateBaseConnectionOperator(task_id="base", name=names.base, system="servicenow")
    explore = AepExploreOperator(task_id="explore", base_connection_id=base.output, table="tickets")
    made = AepCreateSourceConnectionOperator(
        task_id="source", name=names.source, base_connection_id=base.output, table="tickets", columns=explore.output
    )
    return base, explore, made


def flow(names, base, explore, source, schema, dataset, mappings):
    target = AepCreateTargetConnectionOperator(task_id="target", name=names.target, dataset_id=dataset.output)
    mapping_set = AepCreateMappingSetOperator(
        task_id="mapping_set", name=names.mapping, schema_id=schema.output, columns=explore.output, mappings=mappings
    )
    spec = AepGetFlowSpecOperator(task_id="spec", base_connection_id=base.output)
    made = AepCreateFlowOperator(
        task_id="flow", name=names.flow, source_connection_id=source.output, target_connection_id=target.output,
        mapping_set=mapping_set.output, flow_spec=spec.output, start_in_minutes=0.05,
        partial_ingestion_percent=5, error_diagnostics=True,
    )
    AepFlowRunSensor(task_id="run", flow_id=made.output, poke_interval=1, max_failed_records=20)
    return made


TICKETS = Names("Tickets")
with DAG("custom_tickets", schedule=None, default_args=CONNECTION):
    base, explore, connection = source(TICKETS)
    propose = AepProposeFieldsOperator(task_id="propose", base_connection_id=base.output, table="tickets")
    class_ = AepCreateClassOperator(task_id="class", title=TICKETS.xdm_class)
    group = AepCreateFieldGroupOperator(
        task_id="group", title=TICKETS.field_group, classes=[class_.output], fields=FIELDS
    )
    schema = AepCreateSchemaOperator(
        task_id="schema", title=TICKETS.schema, class_id=class_.output, field_groups=[group.output]
    )
    namespace = AepCreateIdentityNamespaceOperator(
        task_id="namespace", code="TicketCaller", name="Callers", id_type="Email", irreversible=True
    )
    identity = AepCreateIdentityDescriptorOperator(
        task_id="identity", schema_id=schema.output, path="_{tenant}.ticket.callerEmail", namespace=namespace.output,
        irreversible=True,
    )
    enable_schema = AepEnableSchemaForProfileOperator(
        task_id="enable_schema", schema_id=schema.output, irreversible=True
    )
    dataset = AepCreateDatasetOperator(task_id="dataset", name=TICKETS.dataset, schema_id=schema.output)
    enable_dataset = AepEnableDatasetForProfileOperator(
        task_id="enable_dataset", dataset_id=dataset.output, upsert=True, irreversible=True
    )
    chain(identity, enable_schema, enable_dataset, flow(TICKETS, base, explore, connection, schema, dataset, TICKET))

EVENTS = Names("Events")
with DAG("custom_events", schedule=None, default_args=CONNECTION):
    base, explore, connection = source(EVENTS)
    schema = AepCreateSchemaOperator(
        task_id="schema", title=EVENTS.schema, class_id="experienceevent", field_groups=[]
    )
    enable_schema = AepEnableSchemaForProfileOperator(
        task_id="enable_schema", schema_id=schema.output, irreversible=True
    )
    dataset = AepCreateDatasetOperator(task_id="dataset", name=EVENTS.dataset, schema_id=schema.output)
    enable_dataset = AepEnableDatasetForProfileOperator(
        task_id="enable_dataset", dataset_id=dataset.output, irreversible=True
    )
    chain(enable_schema, enable_dataset, flow(EVENTS, base, explore, connection, schema, dataset, EVENT))

with DAG("custom_teardown", schedule=None, default_args=CONNECTION):
    AepTeardownOnboardingOperator(task_id="teardown", onboarding="Tickets", data=[TICKETS.dataset])
"""
LANDED = """
SELECT _id, t.lastName, t.firstName, t.fullName, t.callerEmail, t.opened, t.priority, t.major, t.tags, t.workEmail,
       t.origin, t.given
FROM (SELECT _id, l._emulator.ticket AS t FROM read_parquet('{lake}') l)
"""


@pytest.fixture
def tickets(airflow, make_emulator, tmp_path):
    """An emulator with the table, to which a connection of the Airflow leads."""
    emulator = make_emulator(write_table(tmp_path / "tickets"))
    airflow.connect("aep_custom", emulator.connection())
    with airflow.dags_in({"custom.py": DAG}, "custom_tickets", "custom_events", "custom_teardown"):
        yield emulator


def kinds(emulator):
    names = ("flows", "sourceConnections", "targetConnections", "connections", "dataSets", "schemas", "fieldgroups",
             "classes", "descriptors", "namespaces")  # fmt: skip
    return {name: len(found) for name in names if (found := emulator.world.store.everywhere(name))}


def test_a_table_gets_a_custom_schema_and_reaches_profile(tickets, airflow, tmp_path):
    state, tasks = airflow.run("custom_tickets", {})
    assert state == "success", tasks
    [(_, run)] = tickets.world.store.everywhere("runs")
    counts = run["metrics"]["recordSummary"]
    assert counts == {"inputRecordCount": ROWS, "outputRecordCount": 495, "failedRecordCount": 5}
    database = duckdb.connect()
    names = {"table": tmp_path / "tickets" / "tickets.csv", "lake": tickets.lake / "**" / "*.parquet"}
    expected, landed = (f"({sql.format(**names)})" for sql in (EXPECTED, LANDED))
    for one, other in ((expected, landed), (landed, expected)):
        assert database.execute(f"{one} EXCEPT ALL {other}").fetchall() == []
    [(_, dataset)] = tickets.world.store.everywhere("dataSets")
    assert dataset["tags"]["unifiedProfile"] == ["enabled:true", "isUpsert:true"]
    [(_, schema)] = tickets.world.store.everywhere("schemas")
    assert schema["meta:immutableTags"] == ["union"]

    writes = tickets.writes()
    assert airflow.run("custom_tickets", {})[0] == "success"
    assert tickets.writes() == writes

    state, tasks = airflow.run("custom_teardown", {})
    assert state == "success", tasks
    # AEP keeps a schema of the union, what it is made of, and identity namespaces.
    assert kinds(tickets) == {"schemas": 1, "fieldgroups": 1, "classes": 1, "descriptors": 1, "namespaces": 1}


def test_events_reach_profile_by_the_identity_map(tickets, airflow):
    state, tasks = airflow.run("custom_events", {})
    assert state == "success", tasks
    [(_, run)] = tickets.world.store.everywhere("runs")
    counts = run["metrics"]["recordSummary"]  # three dirty dates, two rows without an id, one of too many cells
    assert counts == {"inputRecordCount": ROWS, "outputRecordCount": ROWS - 6, "failedRecordCount": 6}
    [(_, schema)] = tickets.world.store.everywhere("schemas")
    assert schema["meta:immutableTags"] == ["union"]
    assert tickets.world.store.everywhere("descriptors") == []
    query = (
        "SELECT epoch(timestamp), identityMap['Email'] "
        f"FROM read_parquet('{tickets.lake}/**/*.parquet') WHERE _id = 'T0001'"
    )
    [(timestamp, identities)] = duckdb.connect().execute(query).fetchall()
    assert timestamp == datetime(2026, 1, 2, 14, 1, tzinfo=UTC).timestamp()
    assert identities == [{"id": "jane1@b.example", "authenticatedState": None, "primary": True}]
