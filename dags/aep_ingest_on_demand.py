"""Ingests, day by day, what has changed: a flow that is scheduled ``once`` runs on demand, each time with its window.

The id of the flow is the Airflow Variable ``aep_flow_id``.
"""

from datetime import datetime

from airflow.sdk import DAG, CronDataIntervalTimetable

from airflow_provider_aep.operators.run import AepRunFlowOperator

with DAG(
    "aep_ingest_on_demand",
    # A cron text, such as "@daily", gives intervals without a length in Airflow 3.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
):
    AepRunFlowOperator(
        task_id="rows_of_the_day",
        flow_id="{{ var.value.aep_flow_id }}",
        delta_column="sys_updated_on",
        max_failed_ratio=0.01,
        retries=2,
        deferrable=True,
    )
