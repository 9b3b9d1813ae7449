"""What an upstream task should have delivered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
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


def checked_moment(moment: object, field: str) -> int | None:
    """Seconds since the epoch, ``None`` where nothing is given; without an offset a moment is UTC.

    A text of eight digits is a date without dashes, and thirteen are milliseconds; so a text that is meant as seconds
    has ten digits, or is 0 for everything.

    :raises AepConfigurationError: it is no moment
    """
    text = str(moment)
    if moment is None or text in {"", "None"}:  # as templates render it
        return None
    if isinstance(moment, int | float) and not isinstance(moment, bool) and 0 <= moment < 10**10:
        return int(moment)
    if re.fullmatch(r"0|[0-9]{10}(\.[0-9]+)?", text):
        return int(float(text))
    try:
        if re.fullmatch(r"[0-9.]+", text) and len(text) != 8:  # which ISO 8601 would find some moment in
            raise ValueError(text)
        at = moment if isinstance(moment, datetime) else datetime.fromisoformat(text)
    except ValueError:
        raise AepConfigurationError(
            f"{field} is {moment!r}",
            next_step="It must be an ISO 8601 moment, or seconds (not milliseconds) since 1970; as text they have ten "
            "digits.",
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
