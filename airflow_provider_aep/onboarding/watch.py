"""Which run a wait is about, as one call that poke and trigger both send."""

from __future__ import annotations

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Flow, Run


def run_of(flow_id: str, run_id: str | None) -> Call[Run | None]:
    """The run with ``run_id``, else the first run of the flow since its creation; ``None`` if there is none yet.

    Runs carry the id of their flow, so the first one since the flow's creation is its eldest.
    """
    if run_id:
        return flow_service.get_run(run_id).then(lambda run: run)

    def eldest(page: Page[Run]) -> Run | None:
        return min((r for r in page.items if r.flowId == flow_id), key=lambda r: r.createdAt, default=None)

    return flow_service.list_runs(flow_id, orderby="createdAt").then(eldest)


def check_that_it_will_run(flow: Flow) -> None:
    """For a flow without a run yet.

    :raises AepConfigurationError: it is disabled or a draft, so waiting is in vain
    """
    if flow.state in {"disabled", "draft"}:
        raise AepConfigurationError(
            f"The flow {flow.name!r} ({flow.id}) has no run and will have none: it is {flow.state}",
            next_step=f"{'Enable' if flow.state == 'disabled' else 'Publish'} the flow "
            f"({'AepEnableFlowOperator' if flow.state == 'disabled' else 'AepPublishFlowOperator'}).",
        )
