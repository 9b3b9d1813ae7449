"""Operate a flow that exists: move its start, pause it, run it on demand, look at its batches."""

from urllib.parse import parse_qs, urlsplit

from airflow.sdk import DAG, Param, chain

from airflow_provider_aep.operators import control
from airflow_provider_aep.operators.http import AepHttpOperator
from airflow_provider_aep.operators.run import AepRunFlowOperator
from airflow_provider_aep.sensors.http import AepHttpSensor

FLOW = "{{ params.flow_id }}"
PARAMS = {"flow_id": Param("", minLength=1), "start_in_minutes": 5, "delta_column": "sys_updated_on"}
BATCHES = "/data/foundation/catalog/batches"


def next_page(response):
    """Catalog pages by offset; the last page is not full."""
    asked = parse_qs(urlsplit(response.request.url).query)
    return {"data": {"start": int(asked["start"][0]) + 100}} if len(response.json()) == 100 else None


with DAG("aep_flow_control", schedule=None, max_active_runs=1, params=PARAMS):
    publish = control.AepPublishFlowOperator(task_id="publish", flow_id=FLOW)
    update = control.AepUpdateFlowOperator(
        task_id="update", flow_id=FLOW, start_in_minutes="{{ params.start_in_minutes }}"
    )
    disable = control.AepDisableFlowOperator(task_id="disable", flow_id=FLOW)
    enable = control.AepEnableFlowOperator(task_id="enable", flow_id=FLOW)
    result = AepRunFlowOperator(
        task_id="run",
        flow_id=FLOW,
        window_start=0,
        delta_column="{{ params.delta_column }}",
        max_failed_ratio=0.01,
        poke_interval=1,
        deferrable=True,
    )
    landed = AepHttpSensor(
        task_id="landed",
        endpoint=BATCHES + "/{{ ti.xcom_pull('run')['batch_ids'][0] }}",
        response_check=lambda response: all(b["status"] == "success" for b in response.json().values()),
        poke_interval=5,
    )
    batches = AepHttpOperator(
        task_id="batches",
        endpoint=BATCHES,
        data={"limit": 100, "start": 0, "orderBy": "desc:created"},
        pagination_function=next_page,
        response_filter=lambda responses: sum(len(r.json()) for r in responses),
    )
    chain(publish, update, disable, enable, result, landed, batches)
