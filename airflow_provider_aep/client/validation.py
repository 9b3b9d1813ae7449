"""Validation of arguments that become part of requests: ids, references, columns, time spans and timestamps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError


def validate_reference(value: object, field: str) -> dict[str, Any]:
    """Return the ``{"id", "version"}`` of an upstream task.

    :param field: name of the argument, for the error
    :raises AepConfigurationError: the value is not a dict with these keys
    """
    if not isinstance(value, Mapping) or not {"id", "version"} <= set(value):
        raise AepConfigurationError(
            f'{field} is {value!r}, not a dict with "id" and "version"',
            next_step=f"Set {field} to the output of the task that creates the object.",
        )
    return {"id": value["id"], "version": value["version"]}


def validate_id(value: object, field: str) -> str:
    """Return the id of an AEP object, which an upstream task returned.

    :param field: name of the argument, for the error
    :raises AepConfigurationError: the value is not a non-empty string, for instance because the upstream task
        returned no id
    """
    if not isinstance(value, str) or not value:
        raise AepConfigurationError(
            f"{field} is {value!r}, not an id",
            next_step=f"Set {field} to the output of the task that creates the object.",
        )
    return value


def validate_columns(value: object) -> list[dict[str, Any]] | None:
    """Return the columns of a source table, as AEP's explore returns them; ``None`` for ``None`` or an empty text.

    :raises AepConfigurationError: the value is not a list of columns, for instance a list of table names
    """
    if value is None or value == "":
        return None
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not all(isinstance(column, Mapping) and "name" in column for column in value):  # type: ignore[attr-defined]
        raise AepConfigurationError(
            f"columns is {str(value)[:200]}, not a list of dicts with a name",
            next_step="Set columns to the output of an explore task whose table is set.",
        )
    return [dict(column) for column in value]  # type: ignore[attr-defined]


def validate_percent(value: object, field: str) -> float | None:
    """Return a percentage above 0, at most 100; ``None`` for ``None``.

    :param field: name of the argument, for the error
    :raises AepConfigurationError: the value is not such a number
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise AepConfigurationError(
            f"{field} is {value!r}, not a percentage",
            next_step=f"Set {field} to a number above 0 and up to 100, or remove it: a failed record then fails a run.",
        )
    return value


def validate_flag(value: object, field: str) -> bool | None:
    """Return a flag; ``None`` for ``None``.

    :param field: name of the argument, for the error
    :raises AepConfigurationError: the value is neither
    """
    if value is not None and not isinstance(value, bool):
        raise AepConfigurationError(
            f"{field} is {value!r}, not True or False", next_step=f"Set {field} to True or False, or remove it."
        )
    return value


def validate_seconds(value: object, field: str) -> float:
    """Return a time span in seconds.

    :param value: a number of seconds above 0, as number or text, or a ``timedelta``
    :param field: name of the argument, for the error
    :raises AepConfigurationError: the value is not a time span above 0
    """
    try:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(value, bool) or not 0 < seconds < math.inf:
        raise AepConfigurationError(
            f"{field} is {value!r}, not a number of seconds above 0",
            next_step=f"Set {field} to a number of seconds above 0.",
        )
    return seconds


def validate_timestamp(value: object, field: str) -> int | None:
    """Return a timestamp in seconds since the epoch; ``None`` for a value that is absent.

    A timestamp without an offset is UTC. A text of eight digits is a date without dashes. A text of seconds has ten
    digits, or is ``0`` for the epoch.

    :param value: a ``datetime``, an ISO 8601 text, or seconds since the epoch as number or text
    :param field: name of the argument, for the error
    :raises AepConfigurationError: the value is not a timestamp
    """
    text = str(value)
    if value is None or text in {"", "None"}:  # templates render None as a text
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**10:
        return int(value)
    if re.fullmatch(r"0|[0-9]{10}(\.[0-9]+)?", text):
        return int(float(text))
    try:
        if re.fullmatch(r"[0-9.]+", text) and len(text) != 8:  # fromisoformat would accept some of these as dates
            raise ValueError(text)
        time = value if isinstance(value, datetime) else datetime.fromisoformat(text)
    except ValueError:
        raise AepConfigurationError(
            f"{field} is {value!r}, not a timestamp",
            next_step=f"Set {field} to an ISO 8601 timestamp, or to seconds (not milliseconds) since 1970, with ten "
            "digits.",
        ) from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
