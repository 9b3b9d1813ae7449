"""Starts whenever rows have landed in a dataset of Adobe Experience Platform, whoever brought them."""

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_aep.onboarding.names import Names
from airflow_provider_aep.triggers.dataset import AepDatasetTrigger

DATASET = Names("Customer success").dataset  # as the onboarding DAG names it
landed = AepDatasetTrigger(dataset_name=DATASET, poke_interval=15)
rows = Asset("aep-customer-success-rows", watchers=[AssetWatcher(name="aep-customer-success-rows", trigger=landed)])

with DAG("aep_rows_landed", schedule=[rows]):

    @task
    def use(triggering_asset_events):
        told = [event.extra["payload"] for event in triggering_asset_events[rows]]
        for batch in (batch for landed in told for batch in landed["batches"]):
            print(f"Batch {batch['batch_id']}: {batch['verdict']}, {batch['written']} of {batch['read']} records")
        return sum(landed["records"] for landed in told)

    use()
