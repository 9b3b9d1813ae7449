"""Onboard a table by every step of Adobe's own tutorial.

The tutorial describes the source by an ad hoc class and an ad hoc schema, and the data
lake by a dataset base connection. AEP accepts these objects and needs none of them.
"""

from airflow.sdk import Param, dag, task

from airflow_provider_aep.naming import ONBOARDING_PATTERN, Names
from airflow_provider_aep.operators.flow import (
    AepCreateFlowOperator,
    AepCreateMappingSetOperator,
    AepGetFlowSpecOperator,
)
from airflow_provider_aep.operators.source import (
    AepCreateAdHocClassOperator,
    AepCreateAdHocSchemaOperator,
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
    AepTestConnectionOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetBaseConnectionOperator,
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor
from airflow_provider_aep.systems import SYSTEMS

NAMES = Names("{{ params.name }}")
TABLE = "{{ params.table or systems[params.system].table }}"
MAPPINGS = "{{ params.mappings or systems[params.system].mappings_of(params.table) }}"
DELTA_COLUMN = (
    "{{ none if params.frequency == 'once' else systems[params.system].delta_column }}"
)


@dag(
    dag_id="aep_customer_success_tutorial",
    schedule=None,
    max_active_runs=1,
    tags=["aep", "onboarding"],
    doc_md=__doc__,
    params={
        "name": Param(
            "Customer success tutorial",
            pattern=ONBOARDING_PATTERN,
            description="Names every object of the onboarding",
        ),
        "system": Param("servicenow", enum=list(SYSTEMS)),
        "table": Param(
            None,
            type=["null", "string"],
            description="Table of the source; the system's default if empty",
        ),
        "mappings": Param(
            None,
            type=["null", "object"],
            description="Source column by XDM path; the system's default if empty",
        ),
        "frequency": Param("once", enum=["once", "minute", "hour", "day", "week"]),
        "start_in_minutes": Param(1, type="number", exclusiveMinimum=0),
        "poke_interval": Param(30, type="number", exclusiveMinimum=0),
    },
    user_defined_macros={"systems": SYSTEMS},
)
def aep_customer_success_tutorial():
    base_connection = AepCreateBaseConnectionOperator(
        task_id="base_connection",
        name=NAMES.base,
        system="{{ params.system }}",
    )
    test_connection = AepTestConnectionOperator(
        task_id="test_connection",
        base_connection_id=base_connection.output,
    )
    explore = AepExploreOperator(
        task_id="explore",
        base_connection_id=test_connection.output,
        table=TABLE,
    )
    ad_hoc_class = AepCreateAdHocClassOperator(
        task_id="ad_hoc_class",
        title=NAMES.source_class,
        columns=explore.output,
    )
    ad_hoc_schema = AepCreateAdHocSchemaOperator(
        task_id="ad_hoc_schema",
        title=NAMES.source_schema,
        class_id=ad_hoc_class.output,
    )
    source_connection = AepCreateSourceConnectionOperator(
        task_id="source_connection",
        name=NAMES.source,
        base_connection_id=base_connection.output,
        table=TABLE,
        columns=explore.output,
        schema_id=ad_hoc_schema.output,
    )
    schema = AepCreateSchemaOperator(
        task_id="schema",
        title=NAMES.schema,
    )
    explore >> schema
    dataset = AepCreateDatasetOperator(
        task_id="dataset",
        name=NAMES.dataset,
        schema_id=schema.output,
    )
    dataset_base_connection = AepCreateDatasetBaseConnectionOperator(
        task_id="dataset_base_connection",
        name=NAMES.dataset_base,
    )
    explore >> dataset_base_connection
    target_connection = AepCreateTargetConnectionOperator(
        task_id="target_connection",
        name=NAMES.target,
        dataset_id=dataset.output,
        base_connection_id=dataset_base_connection.output,
        data_format="{{ systems[params.system].target_format }}",
    )
    mapping_set = AepCreateMappingSetOperator(
        task_id="mapping_set",
        name=NAMES.mapping,
        schema_id=schema.output,
        columns=explore.output,
        mappings=MAPPINGS,
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
        frequency="{{ params.frequency }}",
        start_in_minutes="{{ params.start_in_minutes }}",
        delta_column=DELTA_COLUMN,
        columns=explore.output,
        partial_ingestion_percent=5,
        error_diagnostics=True,
    )
    first_run = AepFlowRunSensor(
        task_id="first_run",
        flow_id=flow.output,
        max_failed_ratio=0.01,
        poke_interval="{{ params.poke_interval }}",
    )

    @task
    def verdict(run: dict) -> None:
        print(f"{run['verdict']}: {run['written']} of {run['read']} records landed")

    verdict(run=first_run.output)


aep_customer_success_tutorial()
