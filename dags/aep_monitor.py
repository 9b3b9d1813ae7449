"""Fails for each scheduled flow of the sandbox that is disabled or late, or whose last run was empty or partial."""

from airflow.sdk import DAG, task

from airflow_provider_aep.sensors.flow_health import AepFlowHealthSensor


@task
def scheduled_flows():
    from airflow_provider_aep.client import flow_service
    from airflow_provider_aep.hooks.aep import AepHook
    from airflow_provider_aep.onboarding.names import before

    with AepHook().get_conn() as aep:
        flows = list(aep.items(flow_service.list_flows({})))
    replaced = {flow.id for flow in flows if before(flow.name) != flow.name}  # by another, and disabled
    return [f.id for f in flows if f.scheduleParams.get("frequency", "once") != "once" and f.id not in replaced]


with DAG("aep_monitor", schedule="@hourly", catchup=False, max_active_runs=1):
    AepFlowHealthSensor.partial(
        task_id="health", on_partial="fail", on_empty="fail", mode="reschedule", poke_interval=60, timeout=1800
    ).expand(flow_id=scheduled_flows())
