"""The operators as a task runs them: against the emulator, with connections that Airflow resolves."""

import json
import re
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from tasks import MAPPINGS, NAMES, flow, refused, run

from aep_emulator.data.specs import FLOW_SPECS, connection_specs, flow_spec_of, flow_specs
from airflow_provider_aep.client import consistency, flow_service
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.mappings import Constant, Expression
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.operators.base import native
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
    AepPreviewMappingOperator,
)
from airflow_provider_aep.operators.http import AepHttpOperator
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
    AepTestConnectionOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.systems import SYSTEMS

# -- what a task returns --------------------------------------------------------------------------------------------


def test_tasks_return_ids_and_plain_values(aep, parts):
    assert parts["flow_spec"] == {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"}
    assert parts["schema"].startswith("https://ns.adobe.com/emulator/schemas/")
    assert set(parts["mapping_set"]) == {"id", "version"}
    assert parts["mapping_set"]["version"] == 0
    assert all(isinstance(parts[k], str) for k in ("base", "dataset", "source_connection_id", "target_connection_id"))
    email = next(c for c in parts["columns"] if c["name"] == "email")
    assert email == {"name": "email", "type": "string", "xdm": {"type": "string"}}
    assert isinstance(flow(parts), str)
    assert run(AepTestConnectionOperator, base_connection_id=parts["base"]) == parts["base"]
    tables = run(AepExploreOperator, base_connection_id=parts["base"])
    assert tables == ["customer_account", "customer_contact", "incident"]


def test_running_again_finds_everything_and_writes_nothing(aep, parts):
    first, before = flow(parts), aep.writes()
    assert flow(parts) == first
    assert run(AepCreateBaseConnectionOperator, name=NAMES.base) == parts["base"]
    assert aep.writes() == before


def test_a_task_says_in_one_line_what_it_did(aep, log_lines):
    id_ = run(AepCreateSchemaOperator, title=NAMES.schema)
    run(AepCreateSchemaOperator, title=NAMES.schema)
    group = "https://ns.adobe.com/xdm/context/profile-personal-details"
    run(AepCreateSchemaOperator, title="Y schema", field_groups=[])
    run(AepCreateSchemaOperator, title="Y schema", field_groups=[group])
    said = [line for level, line in log_lines() if level == "info" and line.startswith("Schema")]
    assert said[0] == f"Schema 'X schema' ({id_}): created in sandbox dev"
    assert said[1] == f"Schema 'X schema' ({id_}): unchanged in sandbox dev"
    assert re.fullmatch(r"Schema 'Y schema' \(\S+\): updated in sandbox dev; changed fields: refs", said[3])


def test_templates_that_render_to_text_are_understood(aep, parts):
    text = {k: str(v) for k, v in parts.items()}
    schedule = {"frequency": "minute", "interval": "30", "start_in_minutes": "2", "backfill": "False"}
    id_ = flow({**text}, delta_column="sys_updated_on", **schedule)
    _, stored = aep.world.store.everywhere("flows")[0]
    assert stored["id"] == id_
    assert stored["scheduleParams"]["interval"] == 30
    assert stored["scheduleParams"]["backfill"] is False
    assert [t["name"] for t in stored["transformations"]] == ["Copy", "Mapping"]


@pytest.mark.parametrize(
    ("text", "value"), [("15", 15), ("None", None), ("{'a': 1}", {"a": 1}), ("a b", "a b"), (7, 7)]
)
def test_native(text, value):
    assert native(text) == value


def test_columns_are_passed_on_verbatim(aep, parts):
    _, stored = aep.world.store.everywhere("sourceConnections")[0]
    assert stored["params"] == {"tableName": "customer_contact", "columns": parts["columns"]}
    assert stored["data"] == {"format": "tabular"}


def test_expressions_and_constants_are_mapped_and_an_unchanged_run_writes_nothing(aep, parts):
    mappings = {
        **MAPPINGS,
        "person.name.lastName": Constant("unknown"),
        "person.name.firstName": {"value": "nobody"},
        "person.name.fullName": Expression('concat(first_name, " ", last_name)'),
        "person.name.suffix": {"expr": "upper(gender)"},
        "person.name.courtesyTitle": Expression("'Dr.'"),
    }
    given = {"schema_id": parts["schema"], "columns": parts["columns"], "mappings": mappings}
    made = run(AepCreateMappingSetOperator, name="Y mapping", **given)
    stored = [b for _, b in aep.world.store.everywhere("mappingSets") if b["id"] == made["id"]][0]
    mapped = stored["_emulator"]["versions"][0]["mappings"]
    assert {m["destination"]: (m["sourceType"], m["source"]) for m in mapped if "name" in m["destination"]} == {
        "person.name.lastName": ("STATIC", "unknown"),
        "person.name.firstName": ("STATIC", "nobody"),
        "person.name.fullName": ("text/x.aep-xl", 'concat(first_name, " ", last_name)'),
        "person.name.suffix": ("text/x.aep-xl", "upper(gender)"),
        "person.name.courtesyTitle": ("STATIC", "Dr."),
    }
    assert len(aep.requests("POST */languages/el/validate")) == 2
    assert run(AepCreateMappingSetOperator, name="Y mapping", **given) == made


TENANT_FIELDS = {
    "type": "object",
    "title": "Ticket",
    "meta:intendedToExtend": ["https://ns.adobe.com/xdm/context/profile"],
    "definitions": {
        "own": {"properties": {"_emulator": {"type": "object", "properties": {
            "opened": {"type": "string", "format": "date-time"}, "tags": {"type": "array", "items": {"type": "string"}},
        }}}}
    },
    "allOf": [{"$ref": "#/definitions/own"}],
}  # fmt: skip


@pytest.fixture
def with_tenant_fields(aep, parts):
    """The onboarding with a schema that has fields of the tenant."""
    request = {"method": "POST", "endpoint": "/data/foundation/schemaregistry/tenant/fieldgroups"}
    group = json.loads(run(AepHttpOperator, data=TENANT_FIELDS, **request))["$id"]
    schema = run(
        AepCreateSchemaOperator,
        title="Y schema",
        field_groups=["profile-person-details", "profile-personal-details", group],
    )
    return {"schema_id": schema, "columns": parts["columns"]}


def test_the_tenant_is_part_of_a_path(aep, with_tenant_fields):
    mappings = {
        "_id": "sys_id",
        "_{tenant}.opened": "sys_created_on",
        "_{tenant}.tags": Expression('explode(email, "@")'),
    }
    made = run(AepCreateMappingSetOperator, name="Y mapping", mappings=mappings, **with_tenant_fields)
    stored = [b for _, b in aep.world.store.everywhere("mappingSets") if b["id"] == made["id"]][0]
    destinations = [m["destination"] for m in stored["_emulator"]["versions"][0]["mappings"]]
    assert destinations == ["_emulator.opened", "_emulator.tags", "_id"]
    assert run(AepCreateMappingSetOperator, name="Y mapping", mappings=mappings, **with_tenant_fields) == made


def test_a_preview_counts_errors_and_logs_rows_only_if_asked(aep, with_tenant_fields, capsys):
    rows = [{"sys_id": "canary-1", "email": "31.01.2026"}, {"sys_id": "canary-2", "email": "?"}]
    arguments = {
        "rows": rows,
        "mappings": {"_id": "sys_id", "_{tenant}.opened": Expression('date(email, "dd.MM.yyyy")')},
        **with_tenant_fields,
    }
    before = aep.writes()
    result = run(AepPreviewMappingOperator, fail_on_errors=False, **arguments)
    assert result == {"rows": 2, "errors": {"_emulator.opened": 1}}
    says = "cannot transform values of 2 previewed rows.*_emulator.opened: 1.*Next step: Correct the mappings"
    refused(aep, says, AepPreviewMappingOperator, **arguments)
    assert "canary" not in capsys.readouterr().out
    run(AepPreviewMappingOperator, fail_on_errors=False, log_rows=True, **arguments)
    said = capsys.readouterr().out
    assert "canary-1" in said
    assert "2026-01-31T00:00:00Z" in said
    assert [w for w in aep.writes() if not w.endswith(("validate", "preview"))] == before


def test_a_preview_samples_the_source(aep, parts):
    arguments = {"schema_id": parts["schema"], "mappings": MAPPINGS, "columns": parts["columns"], "max_rows": 3}
    sampled = {"base_connection_id": parts["base"], "table": "customer_contact"}
    assert run(AepPreviewMappingOperator, **arguments, **sampled) == {"rows": 3, "errors": {}}
    refused(aep, "no row to preview", AepPreviewMappingOperator, rows=[], **arguments)
    with pytest.raises(ValueError, match="max_rows is 0"):
        AepPreviewMappingOperator(task_id="t", **{**arguments, "max_rows": 0})


def test_sides_that_are_swapped_are_read_the_other_way_round(aep, parts, caplog):
    arguments = {"schema_id": parts["schema"], "columns": parts["columns"], "name": "Y mapping"}
    swapped = run(AepCreateMappingSetOperator, mappings={c: f for f, c in MAPPINGS.items()}, **arguments)
    assert "Write {'_id': 'sys_id'}" in caplog.text
    assert run(AepCreateMappingSetOperator, mappings=MAPPINGS, **arguments) == swapped


def test_flow_options_are_sent_and_updated(aep, parts):
    id_ = flow(parts)
    [(_, stored)] = aep.world.store.everywhere("flows")
    assert stored["options"] == {"partialIngestionPercent": 5, "errorDiagnosticsEnabled": True}
    before = aep.writes()
    assert flow(parts) == id_
    assert flow(parts, partial_ingestion_percent=None, error_diagnostics=None) == id_
    assert aep.writes() == before
    assert flow(parts, partial_ingestion_percent=7.5) == id_
    [(_, stored)] = aep.world.store.everywhere("flows")
    assert stored["options"] == {"partialIngestionPercent": 7.5, "errorDiagnosticsEnabled": True}


@pytest.mark.parametrize("percent", [0, 101, -1, "5%", True])
def test_a_percentage_that_aep_would_refuse(aep, parts, percent):
    with pytest.raises(AepPermanentError, match="partial_ingestion_percent is .*Next step: Set partial_ingestion"):
        flow(parts, partial_ingestion_percent=percent)


@pytest.mark.parametrize("name", ["고객 base", "Kontakte Übersicht", "R&D contacts", "Women's store", 'a,b "c" == d'])
def test_an_object_of_any_printable_name_is_found_again(aep, name):
    made = run(AepCreateBaseConnectionOperator, name=name)
    schema = run(AepCreateSchemaOperator, title=name)
    dataset = run(AepCreateDatasetOperator, name=name, schema_id=schema)
    mapping = run(AepCreateMappingSetOperator, name=name, schema_id=schema, mappings={"_id": "sys_id"})
    before = aep.writes()
    assert run(AepCreateBaseConnectionOperator, name=name) == made
    assert run(AepCreateSchemaOperator, title=name) == schema
    assert run(AepCreateDatasetOperator, name=name, schema_id=schema) == dataset
    assert run(AepCreateMappingSetOperator, name=name, schema_id=schema, mappings={"_id": "sys_id"}) == mapping
    assert aep.writes() == before


def test_a_table_named_by_a_number_works_with_native_rendering(make_emulator, connect, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "2024.csv").write_text("id\n1\n")
    connect(make_emulator(tmp_path / "data"))
    base = run(AepCreateBaseConnectionOperator, name=2025)
    columns = run(AepExploreOperator, base_connection_id=base, table=2024)
    assert run(AepCreateSourceConnectionOperator, name="2024", base_connection_id=base, table=2024, columns=columns)


@pytest.mark.parametrize("native_rendering", [False, True])
def test_a_text_without_a_template_is_kept(native_rendering):
    with DAG("d", schedule=None, render_template_as_native_obj=native_rendering):
        operator = AepCreateMappingSetOperator(
            task_id="t",
            name="2024_01",
            schema_id="{{ 'a' }}",
            flow_name="1.10",
            mappings={
                "_id": "2024",
                "b": Constant("1.10"),
                "c": Expression('"x"'),
                "d": "${# of seats}",
                "e": "{{ 'f' }}",
            },
        )
    operator.render_template_fields({})
    assert (operator.name, operator.schema_id, operator.flow_name) == ("2024_01", "a", "1.10")
    assert operator.mappings == {
        "_id": "2024", "b": {"value": "1.10"}, "c": {"expr": '"x"'}, "d": "${# of seats}", "e": "f",
    }  # fmt: skip


def test_a_field_of_a_record_is_mapped_by_its_name_whatever_its_characters():
    fields = {"first-name": {"type": "string"}, "a.b": {"type": "string"}, "in": {"properties": {"E-mail": {}}}}
    columns = [c.verbatim for c in flow_service._fields(fields)]
    assert [(c["name"], c["path"]) for c in columns] == [
        ("first-name", "${first-name}"), ("a.b", r"${a\.b}"), ("in.E-mail", "in.${E-mail}"),
    ]  # fmt: skip


def test_diagnostics_that_are_no_flag_are_refused(aep, parts):
    with pytest.raises(AepPermanentError, match="error_diagnostics is 'yes', not True or False"):
        flow(parts, error_diagnostics="yes")


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": {"org_id": None}}, "has no org_id"),
        ({"extra": {"sandbox": None}}, "has no sandbox.*has no default"),
        ({"login": None}, "no client id"),
        ({"password": None}, "no client secret"),
        ({"host": "https://evil.example"}, "'evil.example'.*allowed_hosts"),
        ({"extra": {"ims_url": "https://evil.example"}}, "ims_url names the host 'evil.example'"),
    ],
)
def test_a_bad_connection_is_refused_before_the_first_byte(emulator, connect, changes, says):
    connect(emulator, **changes)
    refused(emulator, says, AepCreateSchemaOperator, title="X schema")
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"login": "stranger"}, "invalid client_id parameter.*client id"),
        ({"password": "wrong-secret"}, "invalid client_secret parameter.*client secret"),
        ({"extra": {"org_id": "OTHER@AdobeOrg"}}, "403025.*Set org_id of the connection"),
        ({"extra": {"sandbox": "gone"}}, "There is no sandbox gone.*2100-404.*Set sandbox in the extra"),
    ],
)
def test_credentials_that_adobe_refuses_are_permanent(emulator, connect, changes, says):
    connect(emulator, **changes)
    message = refused(emulator, says, AepCreateSchemaOperator, title="X schema")
    assert "wrong-secret" not in message


def test_auth_parameters_are_checked_against_the_connection_spec(emulator, connect):
    connect(emulator, source={"login": "", "password": ""})
    says = "are invalid: username is missing .login.; password is missing .password.*aep_servicenow"
    refused(emulator, says, AepCreateBaseConnectionOperator, name="X base")


def test_an_auth_spec_that_the_source_does_not_have(aep):
    says = "service-now has no auth spec 'OAuth'.*Set auth_spec to one of: Basic Authentication"
    refused(aep, says, AepCreateBaseConnectionOperator, name="X base", auth_spec="OAuth")


def test_an_undeclared_system(aep):
    says = "system is 'zoho'.*one of servicenow, salesforce-service-cloud, oracle-service-cloud"
    refused(aep, says, AepCreateBaseConnectionOperator, name="X base", system="zoho")


LOGINS = dict.fromkeys(SYSTEMS, {"host": "x.example.com"}) | {
    "servicenow": {"host": "x.service-now.com"},
    "salesforce-service-cloud": {"host": "x.my.salesforce.com", "extra": {"apiVersion": "60.0"}},
    "oracle-service-cloud": {"host": "x.custhelp.com"},
    "zendesk": {"host": "x.zendesk.com"},
}


def wired(name):
    """Everything up to the flow, for a system."""
    system = SYSTEMS[name]
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, system=name)
    columns = run(AepExploreOperator, base_connection_id=base, table=system.table)
    rows = {"base_connection_id": base, "table": system.table, "columns": columns}
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    pairs = {"schema_id": schema, "columns": columns, "mappings": system.mappings_of(None)}
    return {
        "columns": columns,
        "source_connection_id": run(AepCreateSourceConnectionOperator, name=NAMES.source, **rows),
        "target_connection_id": run(AepCreateTargetConnectionOperator, name=NAMES.target, dataset_id=dataset),
        "mapping_set": run(AepCreateMappingSetOperator, name=NAMES.mapping, **pairs),
        "flow_spec": run(AepGetFlowSpecOperator, base_connection_id=base),
    }


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("frequency", ["once", "day"])
def test_every_system_is_onboarded(emulator, connect, name, frequency):
    connect(emulator, source=LOGINS[name])
    system, parts = SYSTEMS[name], wired(name)
    delta = None if frequency == "once" else system.delta_column
    for _ in range(2):
        run(
            AepCreateFlowOperator,
            name=NAMES.flow,
            frequency=frequency,
            delta_column=delta,
            partial_ingestion_percent=5,
            **parts,
        )
        writes = emulator.writes()
        assert len([w for w in writes if not w.endswith("validate")]) == 7
    _, stored = emulator.world.store.everywhere("sourceConnections")[0]
    assert stored["connectionSpec"]["id"] == system.connection_spec_id
    assert stored["data"] == {"format": "json" if name == "zendesk" else "tabular"}
    assert stored["params"] == ({} if name == "zendesk" else {"tableName": system.table, "columns": parts["columns"]})


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_runs_on_demand(emulator, connect, log_lines, name):
    connect(emulator, source=LOGINS[name])
    emulator.freeze()
    made = run(
        AepCreateFlowOperator,
        name=NAMES.flow,
        frequency="once",
        start_in_minutes=1,
        partial_ingestion_percent=5,
        **wired(name),
    )
    emulator.advance(600)
    delta, window = SYSTEMS[name].delta_column, {"window_start": 0, "window_end": "2030-01-01T00:00:00+00:00"}
    emulator.thaw()
    given = {"delta_column": delta, "max_failed_ratio": 1.0, "poke_interval": 0.1, **window}
    assert run(AepRunFlowOperator, flow_id=made, **given)["read"] > 0
    warned = any(
        "has no delta column, so a run may read all of its rows" in text
        for level, text in log_lines()
        if level == "warning"
    )
    assert warned == (name == "zendesk")


def test_records_are_explored_by_dot_path(emulator, connect):
    connect(emulator, source=LOGINS["zendesk"])
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, system="zendesk")
    columns = run(AepExploreOperator, base_connection_id=base)
    kinds = {c["name"]: c["xdm"]["type"] for c in columns}
    assert kinds["result.id"] == "integer"
    assert kinds["result.verified"] == "boolean"
    assert kinds["result.tags"] == "array"
    assert run(AepExploreOperator, base_connection_id=base, table="users", source_params={"a": 1}) == columns
    refused(
        emulator,
        "table is 'tickets'.*or set it to 'users'",
        AepExploreOperator,
        base_connection_id=base,
        table="tickets",
    )
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    tags = {"schema_id": schema, "columns": columns, "mappings": {"_id": "result.tags"}}
    refused(emulator, "cannot convert array 'result.tags' to string", AepCreateMappingSetOperator, name="m", **tags)


def test_what_a_rest_source_is_asked_for_cannot_change(emulator, connect):
    connect(emulator, source=LOGINS["zendesk"])
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, system="zendesk")
    asked = {"name": NAMES.source, "base_connection_id": base, "source_params": {"object_type": "accounts"}}
    first = run(AepCreateSourceConnectionOperator, **asked)
    assert run(AepCreateSourceConnectionOperator, **asked) == first
    other = {**asked, "source_params": {"object_type": "contacts"}}
    refused(
        emulator, "params.object_type is 'accounts', desired is 'contacts'", AepCreateSourceConnectionOperator, **other
    )
    nonsense = {**asked, "source_params": '{"a": nope}'}
    refused(emulator, "source_params is .*not a dict", AepCreateSourceConnectionOperator, **nonsense)


def test_a_source_of_tables_takes_no_parameters(aep, parts):
    rows = {"base_connection_id": parts["base"], "table": "incident", "source_params": {"a": 1}}
    refused(aep, "source_params is .*has tables", AepCreateSourceConnectionOperator, name="other", **rows)


def test_the_format_of_a_target_cannot_change(aep, parts):
    ends = {"name": NAMES.target, "dataset_id": parts["dataset"]}
    refused(
        aep, "data.format is None, desired is 'json'", AepCreateTargetConnectionOperator, **ends, data_format="json"
    )


def test_what_adobe_adds_to_a_source_connection_is_no_difference(aep, parts):
    [(scope, source)] = aep.world.store.everywhere("sourceConnections")
    source["params"]["cdcEnabled"] = False
    aep.world.store.put("sourceConnections", scope, source["id"], source)
    rows = {"base_connection_id": parts["base"], "table": "customer_contact", "columns": parts["columns"]}
    assert run(AepCreateSourceConnectionOperator, name=NAMES.source, **rows) == source["id"]


def test_a_rest_source_has_no_delta_column(emulator, connect, parts):
    connect(emulator, source=LOGINS["zendesk"])
    base = run(AepCreateBaseConnectionOperator, name="Z base", system="zendesk")
    spec = run(AepGetFlowSpecOperator, base_connection_id=base)
    assert spec["id"] == "6499120c-0b15-42dc-936e-847ea3c24d72"
    says = "delta_column is 'x'.*a REST source has no delta column"
    with pytest.raises(AepPermanentError, match=says):
        flow({**parts, "flow_spec": spec}, frequency="day", delta_column="x")


def test_salesforce_without_a_version_is_refused(emulator, connect):
    connect(emulator, source={"host": "x.my.salesforce.com"})
    says = "'OAuth2 Client Credential' are invalid: apiVersion is missing"
    refused(emulator, says, AepCreateBaseConnectionOperator, name="X base", system="salesforce-service-cloud")


POSTGRESQL = "74a1c565-4e59-48d7-9d67-7c03b8a13137"


CONNECTORS = {
    id_: spec
    for name in ("CRMToAEP", "RestStorageToAEP")
    for id_ in flow_specs()[FLOW_SPECS[name]]["sourceConnectionSpecIds"]
    if (spec := connection_specs()[id_])["authSpec"]
}


@pytest.mark.parametrize("spec", CONNECTORS.values(), ids=lambda spec: spec["name"])
def test_every_connector_with_an_id_works_by_the_same_operators(make_emulator, connect, tmp_path, spec):
    """Table-based and REST sources; what each wants to know comes from its connection spec."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "people.csv").write_text("id,mail,at\n1,a@b.example,2025-01-01 00:00:00\n")
    (tmp_path / "data" / "people.jsonl").write_text('{"id": 1, "mail": "a@b.example"}\n')
    emulator, auth = make_emulator(tmp_path / "data"), spec["authSpec"][0]
    connect(emulator, source={"extra": dict.fromkeys(auth["spec"]["properties"], "x")})
    params = {p: f"extra.{p}" for p in auth["spec"]["properties"]}
    login = {"source_conn_id": "aep_source", "auth_spec": auth["name"], "auth_params": params}
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, connection_spec_id=spec["id"], **login)
    rest = flow_spec_of(spec["id"]) == "RestStorageToAEP"
    table = None if rest else "people"
    columns = run(AepExploreOperator, base_connection_id=base, table=table)
    assert [c["name"] for c in columns] == ["id", "mail"] + ([] if rest else ["at"])
    rows = {"base_connection_id": base, "table": table, "columns": columns}
    source = run(AepCreateSourceConnectionOperator, name=NAMES.source, **rows)
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    pairs = {"schema_id": schema, "columns": columns, "mappings": {"_id": "id", "personalEmail.address": "mail"}}
    parts = {
        "source_connection_id": source,
        "target_connection_id": run(AepCreateTargetConnectionOperator, name=NAMES.target, dataset_id=dataset),
        "mapping_set": run(AepCreateMappingSetOperator, name=NAMES.mapping, **pairs),
        "flow_spec": run(AepGetFlowSpecOperator, base_connection_id=base),
    }
    assert run(AepCreateFlowOperator, name=NAMES.flow, **parts)


def test_another_connector_needs_its_auth_spec(aep):
    says = f"connection_spec_id is '{POSTGRESQL}', but auth_spec or auth_params is missing"
    refused(aep, says, AepCreateBaseConnectionOperator, name="Y base", connection_spec_id=POSTGRESQL)
    login = {"auth_spec": "Connection String Based Authentication", "auth_params": {"connectionString": "password"}}
    says = f"connection_spec_id is '{POSTGRESQL}', but source_conn_id is missing"
    refused(aep, says, AepCreateBaseConnectionOperator, name="Y base", connection_spec_id=POSTGRESQL, **login)


def test_a_source_that_is_neither_tables_nor_records(emulator, connect):
    connect(emulator, source={"login": "k", "extra": {"key": "k"}})
    login = {
        "source_conn_id": "aep_source",
        "auth_spec": "Access Key",
        "auth_params": {"s3AccessKey": "login", "s3SecretKey": "password"},
    }
    s3 = "ecadc60c-7455-4d87-84dc-2a0e293d997b"
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, connection_spec_id=s3, **login)
    refused(
        emulator,
        f"Neither flow spec CRMToAEP nor RestStorageToAEP supports the connector {s3}",
        AepExploreOperator,
        base_connection_id=base,
    )


def test_a_connection_spec_that_does_not_exist(aep):
    auth = {"source_conn_id": "aep_source", "auth_spec": "x", "auth_params": {"x": "host"}}
    refused(aep, "1101-404", AepCreateBaseConnectionOperator, name="X base", connection_spec_id="nope", **auth)


def test_a_base_connection_that_cannot_log_in(aep, parts, monkeypatch):
    from airflow_provider_aep.client import flow_service

    test = flow_service.test_connection
    monkeypatch.setattr(flow_service, "test_connection", lambda id_: test(id_).then(lambda ok: not ok))
    refused(aep, "cannot log in.*source_conn_id", AepTestConnectionOperator, base_connection_id=parts["base"])


def test_an_unknown_table(aep, parts):
    says = "no table 'gone'.*Set table to one of: customer_account, customer_contact, incident"
    refused(aep, says, AepExploreOperator, base_connection_id=parts["base"], table="gone")


@pytest.mark.parametrize(
    ("mappings", "says"),
    [
        ({"personalEmail.address": "mail"}, "personalEmail.address, column 1: The source has no column 'mail'"),
        ({"personalEmail.mail": "email"}, "no field personalEmail.mail"),
        ({"person.name": "email"}, "cannot convert string 'email' to object"),
        ({"_id": "concat(a, b)"}, r"Write Expression\('concat\(a, b\)'\)"),
        ({"_id": Expression("nvl(email)")}, r"no function nvl.*Use coalesce"),
        ({"_id": Expression("lower(mail)")}, "_id, column 7: The source has no column 'mail'"),
        ({"_id": 5.5}, "mappings contains '_id': 5.5"),
        ({"_id": {"exp": "email"}}, "Set each field to a column, an Expression or a Constant"),
        ({}, "mappings is empty"),
    ],
)
def test_a_mapping_that_does_not_fit(aep, parts, mappings, says):
    arguments = {"schema_id": parts["schema"], "mappings": mappings, "columns": parts["columns"]}
    refused(aep, says, AepCreateMappingSetOperator, name="Y mapping", **arguments)


DAILY = {"frequency": "day", "delta_column": "sys_updated_on"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frequency": "hourly"}, "1397-400"),
        ({"frequency": "minute", "interval": 5, "delta_column": "sys_updated_on"}, "1362-400"),
        ({"interval": 1}, "1361-400"),
        ({"backfill": True}, "1364-400"),
        (
            {**DAILY, "backfill": "true"},
            "backfill is 'true', not True or False. Next step: Set backfill to True or False",
        ),
        ({**DAILY, "backfill": 1}, "backfill is 1, not True or False. Next step: Set backfill to True or False"),
        ({"start_in_minutes": -5}, "1360-400"),
        ({"delta_column": "sys_updated_on"}, "1369-400"),
        ({"frequency": "day"}, "1367-400"),
        ({"frequency": "day", "delta_column": "gone"}, "delta_column is 'gone'.*sys_created_on, sys_updated_on"),
        ({"name": "a\tb"}, r"flow name is 'a\\tb'"),
        ({"source_connection_id": None}, "source_connection_id is None, not an id"),
        ({"mapping_set": None}, "mapping_set is None, not .*output of the task"),
        ({"flow_spec": "CRMToAEP"}, "flow_spec is 'CRMToAEP', not"),
    ],
)
def test_a_flow_that_aep_would_refuse(aep, parts, changes, says):
    before = aep.writes()
    with pytest.raises(AepPermanentError, match=says):
        flow(parts, **changes)
    assert aep.writes() == before


def test_a_description_is_left_as_it_is_unless_given(aep, parts):
    run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=parts["schema"], description="by Bob")
    run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=parts["schema"])
    assert split_marker(aep.world.store.everywhere("dataSets")[0][1]["description"])[0] == "by Bob"
    run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=parts["schema"], description="")
    assert split_marker(aep.world.store.everywhere("dataSets")[0][1]["description"])[0] == ""


def test_a_flow_that_runs_once_does_not_become_another(aep, parts):
    flow(parts)
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="runs is 'once', desired is 'repeatedly'"):
        flow(parts, frequency="hour", delta_column="sys_updated_on")
    assert aep.writes() == before


def test_a_schema_of_another_class_is_a_conflict(aep, parts):
    event = "https://ns.adobe.com/xdm/context/experienceevent"
    refused(aep, "class is .*profile', desired is", AepCreateSchemaOperator, title=NAMES.schema, class_id=event)


def test_a_source_connection_that_does_not_exist_in_airflow(aep):
    says = "no Airflow connection 'gone'"
    refused(aep, says, AepCreateBaseConnectionOperator, name="X base", source_conn_id="gone")


def test_a_flow_spec_that_does_not_exist(aep):
    refused(aep, "no flow spec 'CRM'.*CRMToAEP", AepGetFlowSpecOperator, flow_spec="CRM")


def test_a_dataset_of_another_schema(aep, parts):
    other = run(AepCreateSchemaOperator, title="Y schema")
    arguments = {"name": "Y target", "dataset_id": parts["dataset"], "schema_id": other}
    refused(aep, f"has the schema {parts['schema']}, not {other}", AepCreateTargetConnectionOperator, **arguments)


def test_a_dataset_that_does_not_exist(aep):
    refused(
        aep, "no object with id nope.*HTTP 404", AepCreateTargetConnectionOperator, name="X target", dataset_id="nope"
    )


@pytest.mark.parametrize("name", ["a\nb", "", "x" * 101])
def test_a_name_that_cannot_be_printed(aep, name):
    refused(aep, "1 to 100 printable characters", AepCreateSchemaOperator, title=name)


# -- passing trouble ------------------------------------------------------------------------------------------------


def test_what_a_retry_may_mend_is_retryable(aep, monkeypatch):
    from airflow_provider_aep.client.client import AepClient
    from airflow_provider_aep.client.errors import AepThrottledError

    def throttled(*_):
        raise AepThrottledError("Too many requests", retry_after=30.0)

    monkeypatch.setattr(AepClient, "send", throttled)
    with pytest.raises(AepRetryableError, match="Too many requests") as caught:
        run(AepCreateSchemaOperator, title="X schema")
    assert caught.value.retry_after == 30.0
    assert isinstance(caught.value.__cause__, AepThrottledError)


def test_a_dataset_made_a_moment_ago_may_be_late(emulator, connect, monkeypatch):
    from airflow_provider_aep.client.client import AepClient
    from airflow_provider_aep.client.errors import AepNotFoundError

    connect(emulator)
    monkeypatch.setattr(consistency, "NOT_FOUND_WAITS", (0.01, 0.01))
    schema = run(AepCreateSchemaOperator, title="X schema")
    dataset = run(AepCreateDatasetOperator, name="X dataset", schema_id=schema)
    send, missed = AepClient.send, []

    def lagging(self, call):
        if call.operation == "GET dataSets" and len(missed) < 2:
            missed.append(call)
            raise AepNotFoundError("not yet")
        return send(self, call)

    monkeypatch.setattr(AepClient, "send", lagging)
    assert run(AepCreateTargetConnectionOperator, name="X target", dataset_id=dataset)
    assert len(missed) == 2


@pytest.mark.parametrize(("tries", "made"), [(1, 2), (2, 1), (3, 1)])
def test_a_task_that_is_tried_again_looks_twice_before_it_creates(aep, monkeypatch, tries, made):
    """AEP's lists lag behind its writes: what an earlier try made is not listed at first."""
    monkeypatch.setenv("AIRFLOW__AEP__CREATION_GRACE_PERIOD", "0.05")
    arguments = {"name": "Y base", "system": "servicenow", "source_conn_id": "aep_source"}
    run(AepCreateBaseConnectionOperator, **arguments)
    aep.fault("GET */connections", "lag", seconds=1000, calls=[1])
    again = AepCreateBaseConnectionOperator(task_id="t", **arguments)
    task = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    context = {"ti": SimpleNamespace(**task, try_number=tries)}
    again.execute(context)
    assert aep.writes().count("POST /data/foundation/flowservice/connections") == made
    assert aep.unfired() == []
