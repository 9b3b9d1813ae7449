"""Every kind of create: with each task killed in its first try, by two writers at once, and in a storm."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param
from deaths import arm

from airflow_provider_aep.naming import Names
from airflow_provider_aep.operators import flow, profile, source, target
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor
from airflow_provider_aep.systems import SYSTEMS

NAMES, SERVICENOW = Names("{{ params.name }}"), SYSTEMS["servicenow"]
PARAMS = {
    "conn_id": Param("aep_default"),
    "name": Param("X"),
    "moments": Param({}, type="object"),
}
AMBIGUOUS = "{{ 'start' if params.moments.run == 'before-send' else 'fail' }}"
ARGUMENTS = {"retry_delay": timedelta(0), "aep_conn_id": "{{ params.conn_id }}", "deferrable": False}


def onboarding() -> tuple[Any, Any]:
    """The chain up to the flow's first run."""
    base = source.AepCreateBaseConnectionOperator(task_id="base", name=NAMES.base).output
    columns = source.AepExploreOperator(task_id="explore", base_connection_id=base, table=SERVICENOW.table).output
    class_id = source.AepCreateAdHocClassOperator(task_id="class", title=NAMES.source_class, columns=columns).output
    described = source.AepCreateAdHocSchemaOperator(
        task_id="ad_hoc_schema", title=NAMES.source_schema, class_id=class_id
    ).output
    origin = source.AepCreateSourceConnectionOperator(
        task_id="source",
        name=NAMES.source,
        base_connection_id=base,
        table=SERVICENOW.table,
        columns=columns,
        schema_id=described,
    ).output
    schema = target.AepCreateSchemaOperator(task_id="schema", title=NAMES.schema).output
    profile.AepCreateIdentityDescriptorOperator(
        task_id="descriptor", schema_id=schema, path="personalEmail.address", irreversible=True
    )
    dataset = target.AepCreateDatasetOperator(task_id="dataset", name=NAMES.dataset, schema_id=schema).output
    end = target.AepCreateDatasetBaseConnectionOperator(task_id="dataset_base", name=NAMES.dataset_base).output
    lake = target.AepCreateTargetConnectionOperator(
        task_id="target", name=NAMES.target, dataset_id=dataset, base_connection_id=end
    ).output
    mapping = flow.AepCreateMappingSetOperator(
        task_id="mapping", name=NAMES.mapping, schema_id=schema, columns=columns, mappings=SERVICENOW.mappings_of(None)
    ).output
    spec = flow.AepGetFlowSpecOperator(task_id="flow_spec", base_connection_id=base).output
    flow_id = flow.AepCreateFlowOperator(
        partial_ingestion_percent=5,
        task_id="flow",
        name=NAMES.flow,
        source_connection_id=origin,
        target_connection_id=lake,
        mapping_set=mapping,
        flow_spec=spec,
        columns=columns,
        start_in_minutes=0.1,
    ).output
    first = AepFlowRunSensor(task_id="first_run", flow_id=flow_id, max_failed_ratio=0.01, poke_interval=1)
    return flow_id, first


with DAG("crashing", schedule=None, params=PARAMS, default_args={**ARGUMENTS, "retries": 3, "pre_execute": arm}):
    made, first_run = onboarding()
    run = AepRunFlowOperator(
        task_id="run",
        flow_id=made,
        window_start="2025-07-01",
        window_end="2025-08-01",
        delta_column="sys_updated_on",
        on_ambiguous=AMBIGUOUS,
        wait=False,
    )
    first_run >> run
    second = "{{ ti.xcom_pull('run')['run_id'] }}"
    run >> AepFlowRunSensor(task_id="second_run", flow_id=made, run_id=second, max_failed_ratio=0.01, poke_interval=1)

with DAG("racing", schedule=None, params=PARAMS, default_args={**ARGUMENTS, "retries": 3, "concurrent_writers": True}):
    onboarding()

with DAG("storming", schedule=None, params=PARAMS, default_args={**ARGUMENTS, "retries": 20}):
    onboarding()
