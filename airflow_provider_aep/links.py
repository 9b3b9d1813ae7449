"""Airflow operator link from a task to its object in the user interface of Experience Platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_aep.client.settings import AepSettings

RUN_PAGE = "source/dataflows/{0}/activity/{1}"
"""Path of a run's page, by the ids of flow and run. Source: Adobe's guides for alerts and batch ingestion."""


def page(settings: AepSettings, label: str, *ids: str) -> str:
    """Return the URL of an object in the user interface. If the object has no page, the URL is that of its list.

    :param label: label of the object's resource type, or ``run``
    :param ids: the object's id; for a run, the ids of flow and run
    """
    from airflow_provider_aep.onboarding.resources import RESOURCE_TYPES

    template = RUN_PAGE if label == "run" else RESOURCE_TYPES[label].page
    path = template.format(*(quote(id_, safe="") for id_ in ids))
    return f"{settings.ui_url}/#/@{settings.org_id}/sname:{settings.sandbox}/platform/{path}"


class AepLink(BaseOperatorLink):
    """Link to the task's object. Airflow calls it in the worker when a task ends or defers, and stores the URL."""

    name = "Open in Experience Platform"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the URL, or an empty text if the task has no object yet."""
        from airflow_provider_aep.client.errors import AepError
        from airflow_provider_aep.hooks.aep import AepHook

        target = getattr(operator, "link_target", lambda: None)()
        # The arguments of a task that failed before its templates were rendered are still templates.
        if target is None or not all(isinstance(part, str) and "{" not in part for part in target):
            return ""
        try:
            return page(AepHook(operator.aep_conn_id).settings, *target)
        except AepError:  # the task itself reports it
            return ""
