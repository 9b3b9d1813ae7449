"""Onboard the incidents of a ServiceNow instance into a schema with custom fields.

The DAG creates a class, a field group and an identity namespace, once each, and
enables the schema and the dataset for Real-Time Customer Profile.
"""

from airflow.sdk import Param, chain, dag

from airflow_provider_aep.mappings import Constant, Expression
from airflow_provider_aep.naming import ONBOARDING_PATTERN, Names
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
)
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator,
    AepCreateIdentityNamespaceOperator,
    AepEnableDatasetForProfileOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateClassOperator,
    AepCreateDatasetOperator,
    AepCreateFieldGroupOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

NAMES = Names("{{ params.name }}")
PRIORITIES = {
    "1": "Critical",
    "2": "High",
    "3": "Moderate",
    "4": "Low",
    "5": "Planning",
}


@dag(
    dag_id="aep_incidents_custom_schema",
    schedule=None,
    max_active_runs=1,
    tags=["aep", "onboarding", "schema"],
    doc_md=__doc__,
    params={
        "name": Param(
            "Incidents",
            pattern=ONBOARDING_PATTERN,
            description="Name of the onboarding",
        ),
    },
)
def aep_incidents_custom_schema():
    base_connection = AepCreateBaseConnectionOperator(
        task_id="base_connection",
        name=NAMES.base,
        system="servicenow",
    )
    explore = AepExploreOperator(
        task_id="explore",
        base_connection_id=base_connection.output,
        table="incident",
    )
    source_connection = AepCreateSourceConnectionOperator(
        task_id="source_connection",
        name=NAMES.source,
        base_connection_id=base_connection.output,
        table="incident",
        columns=explore.output,
    )
    xdm_class = AepCreateClassOperator(
        task_id="xdm_class",
        title=NAMES.xdm_class,
        behavior="record",
    )
    field_group = AepCreateFieldGroupOperator(
        task_id="field_group",
        title=NAMES.field_group,
        classes=[xdm_class.output],
        fields={
            "incident.number": {"type": "string", "required": True},
            "incident.summary": "string",
            "incident.priority": {"type": "string", "enum": PRIORITIES},
            "incident.state": "string",
            "incident.openedAt": "date-time",
            "incident.callerEmail": {"type": "string", "format": "email"},
            "incident.origin": "string",
        },
    )
    schema = AepCreateSchemaOperator(
        task_id="schema",
        title=NAMES.schema,
        class_id=xdm_class.output,
        field_groups=[field_group.output],
    )
    namespace = AepCreateIdentityNamespaceOperator(
        task_id="namespace",
        code="ServiceNowCaller",
        name="Caller of ServiceNow",
        id_type="EMAIL",
        irreversible=True,
    )
    identity = AepCreateIdentityDescriptorOperator(
        task_id="identity",
        schema_id=schema.output,
        path="_{tenant}.incident.callerEmail",
        namespace=namespace.output,
        irreversible=True,
    )
    enable_schema = AepEnableSchemaForProfileOperator(
        task_id="enable_schema",
        schema_id=schema.output,
        irreversible=True,
    )
    dataset = AepCreateDatasetOperator(
        task_id="dataset",
        name=NAMES.dataset,
        schema_id=schema.output,
    )
    enable_dataset = AepEnableDatasetForProfileOperator(
        task_id="enable_dataset",
        dataset_id=dataset.output,
        upsert=True,
        irreversible=True,
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
            "_{tenant}.incident.number": "number",
            "_{tenant}.incident.summary": "short_description",
            "_{tenant}.incident.priority": "priority",
            "_{tenant}.incident.state": Expression("lower(state)"),
            "_{tenant}.incident.openedAt": "opened_at",
            "_{tenant}.incident.callerEmail": "caller_email",
            "_{tenant}.incident.origin": Constant("ServiceNow"),
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
        partial_ingestion_percent=5,
        error_diagnostics=True,
    )
    AepFlowRunSensor(
        task_id="first_run",
        flow_id=flow.output,
        max_failed_ratio=0.05,
        deferrable=True,
    )
    chain(identity, enable_schema, enable_dataset, flow)


aep_incidents_custom_schema()
