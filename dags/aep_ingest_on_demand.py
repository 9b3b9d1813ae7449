"""Ingest the changed rows of each day.

The flow has the frequency ``once``. Each DAG run starts one flow run, whose window is
the data interval. The id of the flow is the Airflow Variable ``aep_flow_id``.
"""

from datetime import datetime

from airflow.sdk import CronDataIntervalTimetable, dag

from airflow_provider_aep.operators.run import AepRunFlowOperator


@dag(
    dag_id="aep_ingest_on_demand",
    # In Airflow 3, "@daily" gives a data interval without a length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["aep", "ingestion"],
    doc_md=__doc__,
)
def aep_ingest_on_demand():
    AepRunFlowOperator(
        task_id="rows_of_the_day",
        flow_id="{{ var.value.aep_flow_id }}",
        delta_column="sys_updated_on",
        max_failed_ratio=0.01,
        retries=2,
        deferrable=True,
    )


aep_ingest_on_demand()
