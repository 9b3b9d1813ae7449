"""Start when rows have landed in a dataset of Adobe Experience Platform.

It does not matter how the rows were ingested: the asset's watcher polls Catalog.
"""

from airflow.sdk import Asset, AssetWatcher, dag, task

from airflow_provider_aep.naming import Names
from airflow_provider_aep.triggers.dataset import AepDatasetTrigger

CUSTOMER_ROWS = Asset(
    "aep-customer-success-rows",
    watchers=[
        AssetWatcher(
            name="aep-customer-success-rows",
            trigger=AepDatasetTrigger(
                dataset_name=Names("Customer success").dataset,
                poke_interval=15,
            ),
        )
    ],
)


@dag(
    dag_id="aep_rows_landed",
    schedule=[CUSTOMER_ROWS],
    tags=["aep", "events"],
    doc_md=__doc__,
)
def aep_rows_landed():
    @task
    def log_batches(triggering_asset_events) -> int:
        """Log each batch, and return the number of records that have landed."""
        payloads = [
            event.extra["payload"] for event in triggering_asset_events[CUSTOMER_ROWS]
        ]
        for payload in payloads:
            for batch in payload["batches"]:
                print(
                    f"Batch {batch['batch_id']}: {batch['verdict']}, "
                    f"{batch['written']} of {batch['read']} records"
                )
        return sum(payload["records"] for payload in payloads)

    log_batches()


aep_rows_landed()
