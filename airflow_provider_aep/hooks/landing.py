"""What a task that has watched a run says of its rows: to Airflow as an asset's event, to OpenLineage as lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.errors import AepAnswerError, AepError
from airflow_provider_aep.client.steps import Steps, follow
from airflow_provider_aep.exceptions import AepRetryableError
from airflow_provider_aep.hooks.aep import AepHook

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

_TOLD = ("run_id", "flow_id", "verdict", "read", "written", "failed", "window_start", "window_end", "batch_ids")


@dataclass(frozen=True)
class Landing:
    """Where the rows of a run have come from, and gone to.

    :param result: the run as a dict, as a task returns it
    """

    org_id: str
    sandbox: str
    dataset_id: str
    source_id: str
    result: dict[str, Any]

    @classmethod
    def of(cls, aep_conn_id: str, result: dict[str, Any], outlets: Any, log: Any) -> Landing | None:
        """``None`` where nothing has landed, or AEP does not say where: that changes nothing about the run.

        :raises AepRetryableError: AEP does not say it now, and somebody waits for the event
        """
        if result["written"] == 0:
            return None
        hook = AepHook(aep_conn_id)
        try:
            with hook.get_conn() as client:
                source, dataset = follow(client, _ends(str(result["flow_id"])))
        except AepError as e:
            if e.retryable and any(map(_hears, outlets)):
                why = f"No event tells yet of the rows of run {result['run_id']}, which have landed: {e}"
                raise AepRetryableError(why, e.retry_after) from e
            log.warning("No event tells of the rows of run %s: %s", result["run_id"], e)
            return None
        return cls(hook.settings.org_id, hook.settings.sandbox, dataset, source, result)

    def emit(self, context: Mapping[str, Any], outlets: Any) -> None:
        """An event of the dataset's asset, by each alias among a task's outlets and by the asset itself."""
        from airflow.providers.common.compat.sdk import AssetAlias

        from airflow_provider_aep.assets import create_asset

        events = context.get("outlet_events")
        if events is None:
            return
        extra = {name: self.result[name] for name in _TOLD}
        for outlet in filter(_hears, outlets):
            asset = create_asset(org_id=self.org_id, sandbox=self.sandbox, dataset_id=self.dataset_id)
            if isinstance(outlet, AssetAlias):
                events[outlet].add(asset, extra)
            elif outlet.uri == asset.uri:
                events[outlet].extra = extra

    def lineage(self) -> OperatorLineage[Any, Any]:
        """Source connection and dataset, with what was written. It asks nobody."""
        from airflow.providers.common.compat.openlineage.facet import (
            Dataset,
            ExternalQueryRunFacet,
            OutputDataset,
            OutputStatisticsOutputDatasetFacet,
        )
        from airflow.providers.openlineage.extractors import OperatorLineage

        namespace = f"aep://{self.org_id.removesuffix('@AdobeOrg')}"
        counts = OutputStatisticsOutputDatasetFacet(
            rowCount=self.result["written"], size=self.result.get("bytes_written")
        )
        return OperatorLineage(
            inputs=[Dataset(namespace=namespace, name=f"{self.sandbox}/sourceConnection/{self.source_id}")],
            outputs=[
                OutputDataset(
                    namespace=namespace,
                    name=f"{self.sandbox}/dataset/{self.dataset_id}",
                    outputFacets={"outputStatistics": counts},
                )
            ],
            run_facets={
                "externalQuery": ExternalQueryRunFacet(externalQueryId=self.result["run_id"], source=namespace)
            },
        )


def _hears(outlet: Any) -> bool:
    """Whether it is one that rows in AEP may concern."""
    from airflow.providers.common.compat.sdk import Asset, AssetAlias

    from airflow_provider_aep.assets import SCHEME

    return isinstance(outlet, AssetAlias) or (isinstance(outlet, Asset) and outlet.uri.startswith(f"{SCHEME}://"))


def _ends(flow_id: str) -> Steps[tuple[str, str]]:
    """The source connection and the dataset of a flow."""
    flow = yield flow_service.get_flow(flow_id)
    if not flow.sourceConnectionIds or not flow.targetConnectionIds:
        raise AepAnswerError(f"AEP does not say which connections the flow {flow.name!r} ({flow.id}) has")
    target = yield flow_service.get_target_connection(flow.targetConnectionIds[0])
    if not (dataset_id := target.params.get("dataSetId")):
        raise AepAnswerError(f"AEP does not say which dataset the target connection {target.id} has")
    return flow.sourceConnectionIds[0], str(dataset_id)
