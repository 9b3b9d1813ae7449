"""The link from a task to what it made or watched, in Experience Platform's own user interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_aep.client.settings import AepSettings

# The addresses of runs and datasets are in Adobe's guides (alerts, batch ingestion); what has no page of its own gets
# the list that shows it.
_PAGES = {
    "flow": "source/dataflows/{0}/activity",
    "run": "source/dataflows/{0}/activity/{1}",
    "base connection": "source/accounts/{0}/activity",
    "dataset": "dataset/browse/{0}",
    "schema": "schema/browse",
    "ad hoc class": "schema/browse",
    "source connection": "source/dataflows",
    "target connection": "source/dataflows",
    "mapping set": "source/dataflows",
}


def page(settings: AepSettings, kind: str, *ids: str) -> str:
    """The address of an object in the user interface.

    :param kind: Adobe's noun, as :class:`~.onboarding.ensure.Kind` has it, or ``run``
    :param ids: of the object; of flow and run for a run
    """
    path = _PAGES[kind].format(*(quote(id_, safe="") for id_ in ids))
    return f"{settings.ui_url}/#/@{settings.org_id}/sname:{settings.sandbox}/platform/{path}"


class AepLink(BaseOperatorLink):
    """Airflow asks for it in the worker, whenever a task ends or defers, and keeps the answer."""

    name = "Open in Experience Platform"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Blank where there is nothing to link to."""
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.hooks.aep import AepHook

        target = getattr(operator, "link_target", lambda: None)()
        # A task that failed before it was rendered still has its templates.
        if target is None or not all(isinstance(part, str) and "{" not in part for part in target):
            return ""
        try:
            return page(AepHook(operator.aep_conn_id).settings, *target)
        except AepError:  # of which the task itself has told
            return ""
