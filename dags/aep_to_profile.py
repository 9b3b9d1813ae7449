"""Let what lands in a dataset reach Real-Time Customer Profile. AEP can undo none of it."""

from airflow.sdk import DAG, Param

from airflow_provider_aep.onboarding.names import ONBOARDING_PATTERN, Names
from airflow_provider_aep.operators import profile, target

NAMES = Names("{{ params.name }}")
PARAMS = {"name": Param("Customer profiles", pattern=ONBOARDING_PATTERN)}

with DAG("aep_to_profile", schedule=None, max_active_runs=1, params=PARAMS):
    schema = target.AepCreateSchemaOperator(task_id="schema", title=NAMES.schema).output
    identity = profile.AepCreateIdentityDescriptorOperator(
        task_id="identity", schema_id=schema, path="personalEmail.address", namespace="Email", irreversible=True
    )
    in_union = profile.AepEnableSchemaForProfileOperator(task_id="in_union", schema_id=schema, irreversible=True)
    dataset = target.AepCreateDatasetOperator(task_id="dataset", name=NAMES.dataset, schema_id=schema).output
    tagged = profile.AepEnableDatasetForProfileOperator(task_id="tagged", dataset_id=dataset, irreversible=True)
    identity >> in_union >> tagged
