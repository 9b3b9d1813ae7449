"""Fail for each scheduled flow of the sandbox that needs a person.

Such a flow is disabled or late, or its last run was partial or empty.
"""

from urllib.parse import urlsplit

from airflow.sdk import dag, task

from airflow_provider_aep.sensors.flow_health import AepFlowHealthSensor

FLOWS = "/data/foundation/flowservice/flows"


@task
def scheduled_flows() -> list[str]:
    """Return the ids of the flows that run on a schedule and were not replaced."""
    from airflow_provider_aep.hooks.http import AepHttpHook
    from airflow_provider_aep.naming import original_name

    hook = AepHttpHook(method="GET")
    flow_ids = []
    query = "limit=100"
    while query:
        page = hook.run(endpoint=f"{FLOWS}?{query}").json()
        for flow in page["items"]:
            is_retired = original_name(flow["name"]) != flow["name"]
            frequency = flow.get("scheduleParams", {}).get("frequency", "once")
            if frequency != "once" and not is_retired:
                flow_ids.append(flow["id"])
        next_page = page.get("_links", {}).get("next", {}).get("href", "")
        query = urlsplit(next_page).query
    return flow_ids


@dag(
    dag_id="aep_monitor",
    schedule="@hourly",
    catchup=False,
    max_active_runs=1,
    tags=["aep", "operations"],
    doc_md=__doc__,
)
def aep_monitor():
    AepFlowHealthSensor.partial(
        task_id="health",
        on_partial="fail",
        on_empty="fail",
        mode="reschedule",
        poke_interval=60,
        timeout=1800,
    ).expand(flow_id=scheduled_flows())


aep_monitor()
