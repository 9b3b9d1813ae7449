"""What an upstream task should have delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError


def checked_reference(value: object, field: str) -> dict[str, Any]:
    """An ``{"id", "version"}`` that an upstream task should have delivered.

    :raises AepConfigurationError: it is something else
    """
    if not isinstance(value, Mapping) or not {"id", "version"} <= set(value):
        raise AepConfigurationError(
            f'{field} is {value!r}, not {{"id", "version"}}', next_step="Pass the output of the task that returns it."
        )
    return {"id": value["id"], "version": value["version"]}


def checked_id(value: object, field: str) -> str:
    """An id that an upstream task should have delivered.

    :raises AepConfigurationError: it is empty, which means that the upstream task returned nothing
    """
    if not isinstance(value, str) or not value:
        raise AepConfigurationError(
            f"{field} is {value!r}, not an id", next_step="Pass the output of the task that creates it."
        )
    return value
