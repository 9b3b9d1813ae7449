"""Operate an existing flow: publish, reschedule, pause, resume and run it on demand.

The last two tasks show how to reach an endpoint for which the provider has no operator.
"""

from urllib.parse import parse_qs, urlsplit

from airflow.sdk import Param, chain, dag

from airflow_provider_aep.operators.control import (
    AepDisableFlowOperator,
    AepEnableFlowOperator,
    AepPublishFlowOperator,
    AepUpdateFlowOperator,
)
from airflow_provider_aep.operators.http import AepHttpOperator
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.sensors.http import AepHttpSensor

FLOW_ID = "{{ params.flow_id }}"
PAGE_SIZE = 100


def is_landed(response):
    """Return whether Catalog lists the batch as a success."""
    return all(batch["status"] == "success" for batch in response.json().values())


def next_page(response):
    """Return the query of the next page, or None after the last page."""
    if len(response.json()) < PAGE_SIZE:
        return None
    query = parse_qs(urlsplit(response.request.url).query)
    return {"data": {"start": int(query["start"][0]) + PAGE_SIZE}}


def count_batches(responses):
    """Return the number of batches on all pages."""
    return sum(len(response.json()) for response in responses)


@dag(
    dag_id="aep_flow_control",
    schedule=None,
    max_active_runs=1,
    tags=["aep", "operations"],
    doc_md=__doc__,
    params={
        "flow_id": Param("", type="string", minLength=1),
        "start_in_minutes": Param(5, type="number", exclusiveMinimum=0),
        "delta_column": Param("sys_updated_on", type="string"),
    },
)
def aep_flow_control():
    publish = AepPublishFlowOperator(
        task_id="publish",
        flow_id=FLOW_ID,
    )
    update = AepUpdateFlowOperator(
        task_id="update",
        flow_id=FLOW_ID,
        start_in_minutes="{{ params.start_in_minutes }}",
    )
    disable = AepDisableFlowOperator(
        task_id="disable",
        flow_id=FLOW_ID,
    )
    enable = AepEnableFlowOperator(
        task_id="enable",
        flow_id=FLOW_ID,
    )
    run = AepRunFlowOperator(
        task_id="run",
        flow_id=FLOW_ID,
        window_start=0,
        delta_column="{{ params.delta_column }}",
        max_failed_ratio=0.01,
        poke_interval=1,
        deferrable=True,
    )
    batch_landed = AepHttpSensor(
        task_id="batch_landed",
        endpoint=(
            "/data/foundation/catalog/batches/"
            "{{ ti.xcom_pull(task_ids='run')['batch_ids'][0] }}"
        ),
        response_check=is_landed,
        poke_interval=5,
    )
    batches = AepHttpOperator(
        task_id="batches",
        endpoint="/data/foundation/catalog/batches",
        data={"limit": PAGE_SIZE, "start": 0, "orderBy": "desc:created"},
        pagination_function=next_page,
        response_filter=count_batches,
    )
    chain(publish, update, disable, enable, run, batch_landed, batches)


aep_flow_control()
