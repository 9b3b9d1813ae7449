"""Enable a schema and a dataset for Real-Time Customer Profile.

AEP can undo none of it, so each operator needs ``irreversible=True``.
"""

from airflow.sdk import Param, chain, dag

from airflow_provider_aep.naming import ONBOARDING_PATTERN, Names
from airflow_provider_aep.operators.profile import (
    AepCreateIdentityDescriptorOperator,
    AepEnableDatasetForProfileOperator,
    AepEnableSchemaForProfileOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
)

NAMES = Names("{{ params.name }}")


@dag(
    dag_id="aep_to_profile",
    schedule=None,
    max_active_runs=1,
    tags=["aep", "profile"],
    doc_md=__doc__,
    params={
        "name": Param(
            "Customer profiles",
            pattern=ONBOARDING_PATTERN,
            description="Name of the onboarding",
        ),
    },
)
def aep_to_profile():
    schema = AepCreateSchemaOperator(
        task_id="schema",
        title=NAMES.schema,
    )
    dataset = AepCreateDatasetOperator(
        task_id="dataset",
        name=NAMES.dataset,
        schema_id=schema.output,
    )
    identity = AepCreateIdentityDescriptorOperator(
        task_id="identity",
        schema_id=schema.output,
        path="personalEmail.address",
        namespace="Email",
        irreversible=True,
    )
    enable_schema = AepEnableSchemaForProfileOperator(
        task_id="enable_schema",
        schema_id=schema.output,
        irreversible=True,
    )
    enable_dataset = AepEnableDatasetForProfileOperator(
        task_id="enable_dataset",
        dataset_id=dataset.output,
        irreversible=True,
    )
    chain(identity, enable_schema, enable_dataset)


aep_to_profile()
