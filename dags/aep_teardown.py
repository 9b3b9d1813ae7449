"""Take an onboarding down again: the flow, its connections, and data only where it is named."""

from airflow.sdk import DAG, Param

from airflow_provider_aep.onboarding.names import ONBOARDING_PATTERN
from airflow_provider_aep.operators import teardown

NAME = Param("Customer success", pattern=ONBOARDING_PATTERN, description="As it was onboarded")
DATA = Param([], type="array", items={"type": "string"}, description="Dataset, schemas and class to delete, by name")

with DAG("aep_teardown", schedule=None, max_active_runs=1, params={"name": NAME, "data": DATA}):
    teardown.AepTeardownOnboardingOperator(
        task_id="teardown", onboarding="{{ params.name }}", data="{{ params.data | tojson }}"
    )
