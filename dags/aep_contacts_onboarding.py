"""Onboard the contacts of a ServiceNow instance into Adobe Experience Platform.

The DAG creates every object of the dataflow and waits for its first run. A second DAG
run finds the objects and writes nothing.
"""

from airflow.sdk import dag

from airflow_provider_aep.naming import Names
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

NAMES = Names("Contacts")


@dag(
    dag_id="aep_contacts_onboarding",
    schedule=None,
    max_active_runs=1,
    tags=["aep", "onboarding"],
    doc_md=__doc__,
)
def aep_contacts_onboarding():
    base_connection = AepCreateBaseConnectionOperator(
        task_id="base_connection",
        name=NAMES.base,
        system="servicenow",
    )
    explore = AepExploreOperator(
        task_id="explore",
        base_connection_id=base_connection.output,
        table="customer_contact",
    )
    source_connection = AepCreateSourceConnectionOperator(
        task_id="source_connection",
        name=NAMES.source,
        base_connection_id=base_connection.output,
        table="customer_contact",
        columns=explore.output,
    )
    schema = AepCreateSchemaOperator(
        task_id="schema",
        title=NAMES.schema,
    )
    dataset = AepCreateDatasetOperator(
        task_id="dataset",
        name=NAMES.dataset,
        schema_id=schema.output,
    )
    target_connection = AepCreateTargetConnectionOperator(
        task_id="target_connection",
        name=NAMES.target,
        dataset_id=dataset.output,
    )
    mapping_set = AepCreateMappingSetOperator(
        task_id="mapping_set",
        name=NAMES.mapping,
        schema_id=schema.output,
        columns=explore.output,
        mappings={
            "_id": "sys_id",
            "person.name.lastName": "last_name",
            "personalEmail.address": "email",
        },
    )
    flow_spec = AepGetFlowSpecOperator(
        task_id="flow_spec",
        base_connection_id=base_connection.output,
    )
    flow = AepCreateFlowOperator(
        task_id="flow",
        name=NAMES.flow,
        source_connection_id=source_connection.output,
        target_connection_id=target_connection.output,
        mapping_set=mapping_set.output,
        flow_spec=flow_spec.output,
        frequency="once",
        partial_ingestion_percent=5,
        error_diagnostics=True,
    )
    AepFlowRunSensor(
        task_id="first_run",
        flow_id=flow.output,
        max_failed_ratio=0.01,
        deferrable=True,
    )


aep_contacts_onboarding()
