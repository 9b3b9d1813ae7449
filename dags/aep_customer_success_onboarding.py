"""Onboard a ServiceNow table into Adobe Experience Platform, and wait until its first rows have landed."""

from airflow.sdk import DAG, task

from airflow_provider_aep.onboarding.names import Names
from airflow_provider_aep.operators import flow, source, target
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

PERSON = {"sys_id": "_id", "first_name": "person.name.firstName", "last_name": "person.name.lastName"}
MAPPINGS = {  # by table: column of the source -> field of the schema
    "customer_contact": PERSON | {"email": "personalEmail.address", "birth_date": "person.birthDate"},
    "customer_account": {"sys_id": "_id", "name": "person.name.fullName", "email": "personalEmail.address"},
    "incident": {"sys_id": "_id", "caller_email": "personalEmail.address"},
}
PARAMS = {"name": "Customer success", "table": "customer_contact", "start_in_minutes": 1, "poke_interval": 30}
NAME, TABLE, START = Names("{{ params.name }}"), "{{ params.table }}", "{{ params.start_in_minutes }}"
DELTA = "{{ none if params.frequency == 'once' else 'sys_updated_on' }}"
SETTINGS = {"user_defined_macros": {"mappings": MAPPINGS}, "render_template_as_native_obj": True, "max_active_runs": 1}

with DAG("aep_customer_success_onboarding", schedule=None, params=PARAMS | {"frequency": "once"}, **SETTINGS):
    base = source.AepCreateBaseConnectionOperator(task_id="base_connection", name=NAME.base).output
    tested = source.AepTestConnectionOperator(task_id="test_connection", base_connection_id=base).output
    columns = source.AepExploreOperator(task_id="explore", base_connection_id=tested, table=TABLE).output
    table = {"base_connection_id": base, "table": TABLE, "columns": columns}
    rows = source.AepCreateSourceConnectionOperator(task_id="source_connection", name=NAME.source, **table).output
    schema = target.AepCreateSchemaOperator(task_id="schema", title=NAME.schema).output
    dataset = target.AepCreateDatasetOperator(task_id="dataset", name=NAME.dataset, schema_id=schema).output
    lake = target.AepCreateTargetConnectionOperator(task_id="target", name=NAME.target, dataset_id=dataset).output
    pairs = {"mappings": "{{ mappings[params.table] }}", "columns": columns, "schema_id": schema}
    mapping = flow.AepCreateMappingSetOperator(task_id="mapping_set", name=NAME.mapping, **pairs).output
    spec = flow.AepGetFlowSpecOperator(task_id="flow_spec").output
    parts = {"source_connection_id": rows, "target_connection_id": lake, "mapping_set": mapping, "flow_spec": spec}
    when = {"frequency": "{{ params.frequency }}", "start_in_minutes": START, "delta_column": DELTA}
    flow_id = flow.AepCreateFlowOperator(task_id="flow", name=NAME.flow, columns=columns, **parts, **when).output
    poke = {"poke_interval": "{{ params.poke_interval }}"}
    run = AepFlowRunSensor(task_id="first_run", flow_id=flow_id, max_failed_ratio=0.01, **poke).output
    task(task_id="verdict")(lambda run: print("{verdict}: {written} of {read} records landed".format(**run)))(run)
