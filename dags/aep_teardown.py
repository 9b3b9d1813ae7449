"""Delete an onboarding: the flow, its connections, and the data that is named.

Objects without the provider's marker, and objects in use by others, stop the teardown
before the first deletion.
"""

from airflow.sdk import Param, dag

from airflow_provider_aep.naming import ONBOARDING_PATTERN
from airflow_provider_aep.operators.teardown import AepTeardownOnboardingOperator


@dag(
    dag_id="aep_teardown",
    schedule=None,
    max_active_runs=1,
    tags=["aep", "teardown"],
    doc_md=__doc__,
    params={
        "name": Param(
            "Customer success",
            pattern=ONBOARDING_PATTERN,
            description="Name of the onboarding",
        ),
        "data": Param(
            [],
            type="array",
            items={"type": "string"},
            description="Names of the dataset, schemas and class to delete",
        ),
    },
)
def aep_teardown():
    AepTeardownOnboardingOperator(
        task_id="teardown",
        onboarding="{{ params.name }}",
        data="{{ params.data | tojson }}",
    )


aep_teardown()
