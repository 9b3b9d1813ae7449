"""Validation of a flow's schedule and delta column.

Sources: the schedule of Adobe's flow spec CRMToAEP, and "Sources error messages".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.validation import validate_flag
from airflow_provider_aep.onboarding.resources.flow import Schedule
from airflow_provider_aep.runs.delta_column import check_absent, check_date_time

FREQUENCIES = ("once", "minute", "hour", "day", "week")
"""The frequencies that AEP supports."""

DELTA_FORMAT = "yyyy-MM-dd HH:mm:ss"
"""Date format of a delta column."""

_DELTA_FORMATS = {
    "38ad80fe-8b06-4938-94f4-d4ee80266b07": "yyyy-MM-ddTHH:mm:ssZ",  # Microsoft Dynamics
    "ecde33f2-c56f-46cc-bdea-ad151c16cd69": "yyyy-MM-ddTHH:mm:ssZ",  # Azure Table Storage
}
"""Formats of dates in the queries to other connectors, by id of the connection spec.

Source: Adobe's tutorials "CRM" and "databases".
"""


def validate_schedule(
    *, frequency: str, start_in_minutes: float, interval: int | None = None, backfill: bool | None = None
) -> Schedule:
    """Return a validated schedule, whose start is relative to the create request.

    :param frequency: one of ``FREQUENCIES``
    :param start_in_minutes: minutes from the create request to the first run, above 0
    :param interval: interval between runs, in units of ``frequency``; not allowed with ``once``. The minimum, which is
        also the default, is 15 with ``minute``, else 1
    :param backfill: whether the first run ingests all data of the source; not allowed with ``once``; default ``True``
    :raises AepConfigurationError: a value is invalid; the message contains the code with which AEP would reject it
    """
    if frequency not in FREQUENCIES:
        raise _rejection("frequency", frequency, f"Set frequency to one of {', '.join(FREQUENCIES)}.", 1397)
    is_number = isinstance(start_in_minutes, int | float) and not isinstance(start_in_minutes, bool)
    if not is_number or not 0 < start_in_minutes < math.inf:
        step = "Set start_in_minutes to a number of minutes above 0."
        raise _rejection("start_in_minutes", start_in_minutes, step, 1360)
    if frequency == "once":
        if interval is not None:
            raise _rejection("interval", interval, "Remove interval: frequency is once.", 1361)
        if backfill is not None:
            raise _rejection("backfill", backfill, "Remove backfill: frequency is once.", 1364)
        return Schedule(frequency=frequency, start_in_minutes=start_in_minutes)
    minimum = 15 if frequency == "minute" else 1
    interval = minimum if interval is None else interval
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < minimum:
        step = f"Set interval to {minimum} or more, as frequency is {frequency}."
        raise _rejection("interval", interval, step, 1362)
    backfill = validate_flag(backfill, "backfill")
    return Schedule(
        frequency=frequency,
        interval=interval,
        backfill=True if backfill is None else backfill,
        start_in_minutes=start_in_minutes,
    )


def validate_delta_column(
    frequency: str,
    delta_column: str | None,
    columns: Sequence[Mapping[str, Any]] | None,
    *,
    supports_delta: bool = True,
    is_complete: bool = True,
    connection_spec_id: str = "",
) -> dict[str, Any] | None:
    """Return the parameters of the delta column, by which scheduled runs are incremental; ``None`` without one.

    :param frequency: a delta column is required, except with ``once``, which does not allow one
    :param columns: columns of the source table, as explore returns them; ``None`` if unknown
    :param supports_delta: whether the flow spec has the ``Copy`` transformation; REST sources have none
    :param is_complete: whether ``columns`` contains all columns of the table
    :param connection_spec_id: id of the source's connector, which decides on the format of its dates
    :raises AepConfigurationError: the column is missing, not in the table, no date-time, or not allowed
    """
    if not supports_delta:
        check_absent(delta_column)
        return None
    if frequency == "once":
        if delta_column:
            raise _rejection("delta_column", delta_column, "Remove delta_column: frequency is once.", 1369)
        return None
    if not delta_column:
        raise _rejection("delta_column", delta_column, "Set delta_column to a date-time column of the table.", 1367)
    check_date_time(delta_column, columns, 1367, is_complete=is_complete)
    form = _DELTA_FORMATS.get(connection_spec_id, DELTA_FORMAT)
    return {"name": delta_column, "dateFormat": form, "timezone": "UTC"}


def _rejection(field: str, value: object, step: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(f"{field} is {value!r}, which AEP rejects with {code}-400", next_step=step)
