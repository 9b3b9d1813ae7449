"""Onboard a table of a customer success system into Adobe Experience Platform, and wait until its rows have landed."""

from airflow.sdk import DAG, Param, task

from airflow_provider_aep.onboarding.names import ONBOARDING_PATTERN, Names
from airflow_provider_aep.onboarding.systems import SYSTEMS
from airflow_provider_aep.operators import flow, source, target
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

WHAT = {"system": Param("servicenow", enum=[*SYSTEMS]), "table": Param(None, "else the usual", type=["null", "string"])}
NAME = Param("Customer success", pattern=ONBOARDING_PATTERN, description="Names everything that a run creates")
HOW = {"name": NAME, "mappings": Param(None, type=["null", "object"], description="column: field; else the usual")}
FREQUENCY = Param("once", enum=["once", "minute", "hour", "day", "week"])
WHEN = {"frequency": FREQUENCY, "start_in_minutes": Param(1, type="number", exclusiveMinimum=0), "poke_interval": 30}
PARAMS = {"params": WHAT | HOW | WHEN, "user_defined_macros": {"systems": SYSTEMS}}
NAMES, SYSTEM, FORMAT = Names("{{ params.name }}"), "{{ params.system }}", "{{ systems[params.system].target_format }}"
TABLE = "{{ params.table or systems[params.system].table }}"
MAPPINGS = "{{ params.mappings or systems[params.system].mappings_of(params.table) }}"
START, POKE = "{{ params.start_in_minutes }}", "{{ params.poke_interval }}"
DELTA = "{{ none if params.frequency == 'once' else systems[params.system].delta_column }}"

with DAG("aep_customer_success_onboarding", schedule=None, max_active_runs=1, **PARAMS):
    base = source.AepCreateBaseConnectionOperator(task_id="base_connection", name=NAMES.base, system=SYSTEM).output
    tested = source.AepTestConnectionOperator(task_id="test_connection", base_connection_id=base).output
    columns = source.AepExploreOperator(task_id="explore", base_connection_id=tested, table=TABLE).output
    rows = {"base_connection_id": base, "table": TABLE, "columns": columns}
    origin = source.AepCreateSourceConnectionOperator(task_id="source_connection", name=NAMES.source, **rows).output
    schema = (columns >> target.AepCreateSchemaOperator(task_id="schema", title=NAMES.schema)).output
    dataset = target.AepCreateDatasetOperator(task_id="dataset", name=NAMES.dataset, schema_id=schema).output
    to = {"dataset_id": dataset, "data_format": FORMAT}
    lake = target.AepCreateTargetConnectionOperator(task_id="target", name=NAMES.target, **to).output
    pairs = {"schema_id": schema, "columns": columns, "mappings": MAPPINGS}
    mapping = flow.AepCreateMappingSetOperator(task_id="mapping_set", name=NAMES.mapping, **pairs).output
    spec = flow.AepGetFlowSpecOperator(task_id="flow_spec", base_connection_id=base).output
    parts = {"source_connection_id": origin, "target_connection_id": lake, "mapping_set": mapping, "flow_spec": spec}
    when = {"frequency": "{{ params.frequency }}", "start_in_minutes": START, "delta_column": DELTA, "columns": columns}
    flow_id = flow.AepCreateFlowOperator(task_id="flow", name=NAMES.flow, **parts, **when).output
    run = AepFlowRunSensor(task_id="first_run", flow_id=flow_id, max_failed_ratio=0.01, poke_interval=POKE).output
    task(task_id="verdict")(lambda run: print("{verdict}: {written} of {read} records landed".format(**run)))(run)
