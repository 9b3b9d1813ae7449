"""The operators as a task runs them: against the emulator, with connections that Airflow resolves."""

import pytest

from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.onboarding import ensure as engine
from airflow_provider_aep.onboarding.names import Names
from airflow_provider_aep.onboarding.systems import SYSTEMS
from airflow_provider_aep.operators.base import native
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
)
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

NAMES = Names("X")
MAPPINGS = {"sys_id": "_id", "email": "personalEmail.address"}


def run(operator, **arguments):
    return operator(task_id="t", **arguments).execute({})


@pytest.fixture
def aep(emulator, connect, monkeypatch):
    """The emulator behind ``aep_default``; what is not there is not waited for."""
    connect(emulator)
    monkeypatch.setattr(engine, "FRESH_WAITS", ())
    return emulator


@pytest.fixture
def parts(aep):
    """Everything up to the flow."""
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    columns = run(AepExploreOperator, base_connection_id=base, table="customer_contact")
    table = {"base_connection_id": base, "table": "customer_contact", "columns": columns}
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    mapping = {"schema_id": schema, "mappings": MAPPINGS, "columns": columns}
    return {
        "base": base,
        "columns": columns,
        "schema": schema,
        "dataset": dataset,
        "source_connection_id": run(AepCreateSourceConnectionOperator, name=NAMES.source, **table),
        "target_connection_id": run(AepCreateTargetConnectionOperator, name=NAMES.target, dataset_id=dataset),
        "mapping_set": run(AepCreateMappingSetOperator, name=NAMES.mapping, **mapping),
        "flow_spec": run(AepGetFlowSpecOperator),
    }


def flow(parts, **changes):
    wired = {k: parts[k] for k in ("source_connection_id", "target_connection_id", "mapping_set", "flow_spec")}
    return run(AepCreateFlowOperator, **{"name": NAMES.flow, "columns": parts["columns"], **wired, **changes})


def refused(aep, says, operator, **arguments):
    """The task fails at once with one sentence, and nothing was written."""
    before = [w for w in aep.writes() if not w.endswith("validate")]
    with pytest.raises(AepPermanentError, match=says) as caught:
        run(operator, **arguments)
    assert [w for w in aep.writes() if not w.endswith("validate")] == before
    assert "Next step:" in str(caught.value)
    return str(caught.value)


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


def test_a_task_says_in_one_line_what_it_did(aep, capsys):
    id_ = run(AepCreateSchemaOperator, title=NAMES.schema)
    run(AepCreateSchemaOperator, title=NAMES.schema)
    group = "https://ns.adobe.com/xdm/context/profile-personal-details"
    run(AepCreateSchemaOperator, title="Y schema", field_groups=[])
    run(AepCreateSchemaOperator, title="Y schema", field_groups=[group])
    said = [line.split("] ", 1)[1] for line in capsys.readouterr().out.splitlines() if "] Schema" in line]
    assert said[0].startswith(f"Schema 'X schema' created: {id_} in sandbox dev ")
    assert said[1].startswith(f"Schema 'X schema' found: {id_} in sandbox dev ")
    assert said[3].startswith("Schema 'Y schema' updated (refs): ")


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


def test_static_values_are_mapped(aep, parts):
    static = {"schema_id": parts["schema"], "mappings": MAPPINGS, "static": {"person.name.lastName": "unknown"}}
    id_ = run(AepCreateMappingSetOperator, name="Y mapping", **static)["id"]
    stored = [b for _, b in aep.world.store.everywhere("mappingSets") if b["id"] == id_][0]
    mapped = stored["_emulator"]["versions"][0]["mappings"]
    assert [m["source"] for m in mapped if m["sourceType"] == "STATIC"] == ["unknown"]


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": {"org_id": None}}, "has no org_id"),
        ({"extra": {"sandbox": None}}, "has no sandbox.*not even prod"),
        ({"login": None}, "no client id"),
        ({"password": None}, "no client secret"),
        ({"host": "https://evil.example"}, "'evil.example'.*allowed_hosts"),
        ({"extra": {"ims_url": "https://evil.example"}}, "ims_url names the host 'evil.example'"),
    ],
)
def test_a_bad_connection_is_refused_before_the_first_byte(emulator, connect, changes, says):
    connect(emulator, **changes)
    refused(emulator, says, AepCreateSchemaOperator, title="X schema")
    assert emulator.journal() == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"login": "stranger"}, "invalid client_id parameter.*client id"),
        ({"password": "wrong-secret"}, "invalid client_secret parameter.*client secret"),
        ({"extra": {"org_id": "OTHER@AdobeOrg"}}, "403025.*belongs to another organization"),
        ({"extra": {"sandbox": "gone"}}, "There is no sandbox gone.*2100-404.*Check the sandbox"),
    ],
)
def test_credentials_that_adobe_refuses_are_permanent(emulator, connect, changes, says):
    connect(emulator, **changes)
    message = refused(emulator, says, AepCreateSchemaOperator, title="X schema")
    assert "wrong-secret" not in message


def test_auth_parameters_are_checked_against_the_connection_spec(emulator, connect):
    connect(emulator, source={"login": "", "password": ""})
    says = "parameters of 'Basic Authentication' do not fit: username is missing; password is missing.*source_conn_id"
    refused(emulator, says, AepCreateBaseConnectionOperator, name="X base")


def test_an_auth_spec_that_the_source_does_not_have(aep):
    says = "servicenow has no auth spec 'OAuth'.*Choose one of: Basic Authentication"
    refused(aep, says, AepCreateBaseConnectionOperator, name="X base", auth_spec="OAuth")


def test_a_system_that_nobody_declared(aep):
    says = "system is 'zoho'.*one of servicenow, salesforce-service-cloud, oracle-service-cloud"
    refused(aep, says, AepCreateBaseConnectionOperator, name="X base", system="zoho")


@pytest.mark.parametrize(
    ("system", "fields"),
    [
        ("salesforce-service-cloud", {"host": "x.my.salesforce.com", "extra": {"apiVersion": "60.0"}}),
        ("oracle-service-cloud", {"host": "x.custhelp.com"}),
    ],
)
def test_another_system_is_connected_and_explored(emulator, connect, system, fields):
    connect(emulator, source=fields)
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, system=system)
    columns = run(AepExploreOperator, base_connection_id=base, table="incident")
    table = {"base_connection_id": base, "table": "incident", "columns": columns}
    assert run(AepCreateSourceConnectionOperator, name=NAMES.source, **table)
    _, stored = emulator.world.store.everywhere("sourceConnections")[0]
    assert stored["connectionSpec"]["id"] == SYSTEMS[system].connection_spec_id


def test_salesforce_without_a_version_is_refused(emulator, connect):
    connect(emulator, source={"host": "x.my.salesforce.com"})
    says = "'OAuth2 Client Credential' do not fit: apiVersion is missing"
    refused(emulator, says, AepCreateBaseConnectionOperator, name="X base", system="salesforce-service-cloud")


POSTGRESQL = "74a1c565-4e59-48d7-9d67-7c03b8a13137"


def test_another_connector_works_by_its_id(aep):
    auth = {"auth_spec": "Connection String Based Authentication", "auth_params": {"connectionString": "password"}}
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base, connection_spec_id=POSTGRESQL, **auth)
    table = {"base_connection_id": base, "table": "incident", "columns": []}
    assert run(AepCreateSourceConnectionOperator, name=NAMES.source, **table)
    says = f"connection_spec_id is '{POSTGRESQL}', without auth_spec and auth_params"
    refused(aep, says, AepCreateBaseConnectionOperator, name="Y base", connection_spec_id=POSTGRESQL)


def test_a_connection_spec_that_does_not_exist(aep):
    auth = {"auth_spec": "x", "auth_params": {"x": "host"}}
    refused(aep, "1101-404", AepCreateBaseConnectionOperator, name="X base", connection_spec_id="nope", **auth)


def test_a_base_connection_that_cannot_log_in(aep, parts, monkeypatch):
    from airflow_provider_aep.client import flow_service

    test = flow_service.test_connection
    monkeypatch.setattr(flow_service, "test_connection", lambda id_: test(id_).then(lambda ok: not ok))
    refused(aep, "cannot log in.*source_conn_id", AepTestConnectionOperator, base_connection_id=parts["base"])


def test_an_unknown_table(aep, parts):
    says = "no table 'gone'.*Choose one of: customer_account, customer_contact, incident"
    refused(aep, says, AepExploreOperator, base_connection_id=parts["base"], table="gone")


@pytest.mark.parametrize(
    ("mappings", "says"),
    [
        ({"mail": "personalEmail.address"}, "no column 'mail'"),
        ({"email": "personalEmail.mail"}, "no field 'personalEmail.mail'"),
        ({"email": "person.name"}, "'person.name' is an object"),
        ({"email": "person.birthDate"}, "'email' is string, and 'person.birthDate' is date"),
        ({"concat(a, b)": "_id"}, "is an expression"),
        ({}, "there are no mappings"),
    ],
)
def test_a_mapping_that_does_not_fit(aep, parts, mappings, says):
    arguments = {"schema_id": parts["schema"], "mappings": mappings, "columns": parts["columns"]}
    refused(aep, says, AepCreateMappingSetOperator, name="Y mapping", **arguments)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frequency": "hourly"}, "1397-400"),
        ({"frequency": "minute", "interval": 5, "delta_column": "sys_updated_on"}, "1362-400"),
        ({"interval": 1}, "1361-400"),
        ({"backfill": True}, "1364-400"),
        ({"start_in_minutes": -5}, "1360-400"),
        ({"delta_column": "sys_updated_on"}, "1369-400"),
        ({"frequency": "day"}, "1367-400"),
        ({"frequency": "day", "delta_column": "gone"}, "delta_column is 'gone'.*sys_created_on, sys_updated_on"),
        ({"name": "a,b"}, "flow name is 'a,b'"),
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
    assert aep.world.store.everywhere("dataSets")[0][1]["description"] == "by Bob"
    run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=parts["schema"], description="")
    assert aep.world.store.everywhere("dataSets")[0][1]["description"] == ""


def test_a_flow_that_runs_once_does_not_become_another(aep, parts):
    flow(parts)
    before = aep.writes()
    with pytest.raises(AepPermanentError, match="runs is 'once', wanted 'repeatedly'"):
        flow(parts, frequency="hour", delta_column="sys_updated_on")
    assert aep.writes() == before


def test_a_schema_of_another_class_is_a_conflict(aep, parts):
    event = "https://ns.adobe.com/xdm/context/experienceevent"
    refused(aep, "class is .*profile', wanted", AepCreateSchemaOperator, title=NAMES.schema, class_id=event)


def test_a_source_connection_that_does_not_exist_in_airflow(aep):
    says = "no Airflow connection 'gone'"
    refused(aep, says, AepCreateBaseConnectionOperator, name="X base", source_conn_id="gone")


def test_a_flow_spec_that_does_not_exist(aep):
    refused(aep, "no flow spec 'CRM'.*CRMToAEP", AepGetFlowSpecOperator, flow_spec="CRM")


def test_a_dataset_of_another_schema(aep, parts):
    other = run(AepCreateSchemaOperator, title="Y schema")
    arguments = {"name": "Y target", "dataset_id": parts["dataset"], "schema_id": other}
    refused(aep, f"is of schema {parts['schema']}, not {other}", AepCreateTargetConnectionOperator, **arguments)


def test_a_dataset_that_does_not_exist(aep):
    refused(aep, "no object nope.*HTTP 404", AepCreateTargetConnectionOperator, name="X target", dataset_id="nope")


@pytest.mark.parametrize("name", ["a,b", 'a"b', "", "x" * 101])
def test_a_name_with_forbidden_characters(aep, name):
    refused(aep, "1 to 100 letters", AepCreateSchemaOperator, title=name)


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
    monkeypatch.setattr(engine, "FRESH_WAITS", (0.01, 0.01))
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
