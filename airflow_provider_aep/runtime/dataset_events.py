"""Dataset events and OpenLineage lineage of an accepted run: which rows landed in which dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_aep.assets import create_asset, is_aep_outlet
from airflow_provider_aep.client.errors import AepError, AepResponseError
from airflow_provider_aep.exceptions import AepRetryableError

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_aep.client.steps import Steps
    from airflow_provider_aep.runtime.run_wait import ClientSource

_EVENT_FIELDS = ("run_id", "flow_id", "verdict", "read", "written", "failed", "window_start", "window_end", "batch_ids")


@dataclass(frozen=True)
class Landing:
    """An accepted run, with the source connection that its rows came from and the dataset that received them.

    :param org_id: the IMS organization
    :param sandbox: name of the sandbox
    :param dataset_id: id of the dataset that received the rows
    :param source_connection_id: id of the flow's source connection
    :param result: the run as a dict, as ``AepFlowRunSensor`` returns it
    """

    org_id: str
    sandbox: str
    dataset_id: str
    source_connection_id: str
    result: dict[str, Any]

    @classmethod
    def read(cls, hook: ClientSource, result: dict[str, Any]) -> Landing:
        """Return the landing of a run.

        :param hook: opens a client
        :param result: the run as a dict
        :raises AepError: AEP does not return the flow or its target connection
        """
        from airflow_provider_aep.client.steps import run_steps

        with hook.get_conn() as client:
            source, dataset = run_steps(client, _endpoints(str(result["flow_id"])))
        return cls(hook.settings.org_id, hook.settings.sandbox, dataset, source, result)

    def emit(self, context: Mapping[str, Any], outlets: Any) -> None:
        """Emit an event of the dataset's asset through each alias, and through the asset, in a task's outlets.

        :param context: Airflow's context of the task
        :param outlets: of the task
        """
        from airflow.providers.common.compat.sdk import AssetAlias

        events = context.get("outlet_events")
        if events is None:
            return
        extra = {name: self.result[name] for name in _EVENT_FIELDS}
        asset = create_asset(org_id=self.org_id, sandbox=self.sandbox, dataset_id=self.dataset_id)
        for outlet in filter(is_aep_outlet, outlets):
            if isinstance(outlet, AssetAlias):
                events[outlet].add(asset, extra)
            elif outlet.uri == asset.uri:
                events[outlet].extra = extra

    def build_lineage(self) -> OperatorLineage[Any, Any]:
        """Return the lineage from source connection to dataset, with the number of rows and bytes written."""
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
        source = f"{self.sandbox}/sourceConnection/{self.source_connection_id}"
        return OperatorLineage(
            inputs=[Dataset(namespace=namespace, name=source)],
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


def emit_dataset_event(
    hook: ClientSource, context: Mapping[str, Any], outlets: Any, result: dict[str, Any], log: Any
) -> Landing | None:
    """Emit the dataset event of an accepted run, and return its landing; ``None`` if no event is emitted.

    A run that wrote no rows emits no event. Without an AEP outlet, no request is sent.

    :param hook: opens a client
    :param context: Airflow's context of the task
    :param outlets: of the task
    :param result: the run as a dict
    :param log: logger of the task
    :raises AepRetryableError: AEP does not return the dataset at this time; a retry finds the run and emits the event
    """
    if result["written"] == 0 or not any(map(is_aep_outlet, outlets)):
        return None
    try:
        landing = Landing.read(hook, result)
    except AepError as e:
        if e.retryable:
            message = f"The rows of run {result['run_id']} have landed, but their dataset event was not emitted: {e}"
            raise AepRetryableError(message, e.retry_after) from e
        log.warning("The dataset event of run %s was not emitted: %s", result["run_id"], e)
        return None
    landing.emit(context, outlets)
    return landing


def read_lineage(hook: ClientSource, result: dict[str, Any], log: Any) -> OperatorLineage[Any, Any] | None:
    """Return the lineage of an accepted run; ``None`` if it wrote no rows, or AEP does not return its dataset.

    :param hook: opens a client
    :param result: the run as a dict
    :param log: logger of the task
    """
    if result["written"] == 0:
        return None
    try:
        return Landing.read(hook, result).build_lineage()
    except AepError as e:
        log.warning("The lineage of run %s was not reported: %s", result["run_id"], e)
        return None


def _endpoints(flow_id: str) -> Steps[tuple[str, str]]:
    """Return the ids of a flow's source connection and dataset."""
    from airflow_provider_aep.client import flow_service

    flow = yield flow_service.get_flow(flow_id)
    if not flow.sourceConnectionIds or not flow.targetConnectionIds:
        raise AepResponseError(f"AEP returned no connections of the flow {flow.name!r} ({flow.id})")
    target = yield flow_service.get_target_connection(flow.targetConnectionIds[0])
    if not (dataset_id := target.params.get("dataSetId")):
        raise AepResponseError(f"AEP returned no dataset of the target connection {target.id}")
    return flow.sourceConnectionIds[0], str(dataset_id)


class EmitsDatasetEvents:
    """Mixin for tasks that wait for a run: emit the dataset event of an accepted run, and return its lineage."""

    outlets: list[Any]
    log: Any
    _accepted_run: dict[str, Any] | None = None
    _landing: Landing | None = None

    def _emit(self, hook: ClientSource, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        self._accepted_run = result
        self._landing = emit_dataset_event(hook, context or {}, self.outlets, result, self.log)
        return result

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return the lineage of the accepted run, for Airflow's OpenLineage provider."""
        if self._landing is not None:
            return self._landing.build_lineage()
        hook: ClientSource = self.hook  # type: ignore[attr-defined]
        return read_lineage(hook, self._accepted_run, self.log) if self._accepted_run else None
