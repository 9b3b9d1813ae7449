"""When a flow runs. Source: the schedule spec of Adobe's CRMToAEP flow spec, and "Sources error messages"."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError

FREQUENCIES = ("once", "minute", "hour", "day", "week")
DELTA_FORMAT = "yyyy-MM-dd HH:mm:ss"


def schedule_params(
    *, frequency: str, start_in_minutes: float, now: float, interval: int | None = None, backfill: bool | None = None
) -> dict[str, Any]:
    """The checked ``scheduleParams`` of a flow.

    :param start_in_minutes: from ``now`` to the first run, positive
    :param now: seconds since the epoch
    :param interval: in units of ``frequency``; forbidden with ``once``, else at least 15 with ``minute`` and 1 with
        the others, which is what a flow gets that leaves it out
    :param backfill: whether the first run takes all the data of the source; forbidden with ``once``
    :raises AepConfigurationError: naming the AEP code that the flow would be refused with
    """
    if frequency not in FREQUENCIES:
        raise _refused("frequency", frequency, f"one of {', '.join(FREQUENCIES)}", 1397)
    number = isinstance(start_in_minutes, int | float) and not isinstance(start_in_minutes, bool)
    if not number or not 0 < start_in_minutes < math.inf:
        raise _refused("start_in_minutes", start_in_minutes, "a number of minutes above 0", 1360)
    params: dict[str, Any] = {"startTime": math.ceil(now + 60 * start_in_minutes), "frequency": frequency}
    if frequency == "once":
        if interval is not None:
            raise _refused("interval", interval, "left out when frequency is once", 1361)
        if backfill is not None:
            raise _refused("backfill", backfill, "left out when frequency is once", 1364)
        return params
    least = 15 if frequency == "minute" else 1
    interval = least if interval is None else interval
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < least:
        raise _refused("interval", interval, f"at least {least} when frequency is {frequency}", 1362)
    if backfill is not None and not isinstance(backfill, bool):
        raise AepConfigurationError(f"backfill is {backfill!r}", next_step="It must be true or false.")
    return {**params, "interval": interval, "backfill": True if backfill is None else backfill}


def _refused(field: str, value: object, must_be: str, code: int) -> AepConfigurationError:
    return AepConfigurationError(
        f"{field} is {value!r}", next_step=f"It must be {must_be} (AEP would refuse the flow with {code}-400)."
    )


def check_no_delta(delta_column: str | None) -> None:
    """:raises AepConfigurationError: a REST source was given one"""
    if delta_column:
        raise AepConfigurationError(
            f"delta_column is {delta_column!r}", next_step="Leave it out: a REST source has no delta column."
        )


def _is_moment(column: Mapping[str, Any]) -> bool:
    return "date-time" in {(column.get("xdm") or {}).get("format"), column.get("meta:xdmType")}


def check_moment(delta_column: str, columns: list[dict[str, Any]] | None, code: int, *, all_of: bool = True) -> None:
    """:param columns: of the source table; ``None`` if unknown
    :param all_of: whether these are all that the table has; a source connection may list some
    :raises AepConfigurationError: it is no date-time of them, which AEP would refuse with ``code``
    """
    known = {c["name"]: c for c in columns or []}
    if columns is None or (not all_of and delta_column not in known):
        return
    moments = sorted(n for n, c in known.items() if _is_moment(c))
    if delta_column not in moments:
        raise _refused("delta_column", delta_column, f"one of {', '.join(moments) or '(the table has none)'}", code)


def delta_transformation(
    frequency: str,
    delta_column: str | None,
    columns: list[dict[str, Any]] | None,
    *,
    taken: bool = True,
    all_of: bool = True,
) -> dict[str, Any] | None:
    """The ``Copy`` transformation that makes scheduled runs incremental; a one-time flow has none.

    :param taken: whether the flow spec has ``Copy``; that of REST sources has not, so each run takes everything
    :param columns: of the source table, as explore gives them; ``None`` if unknown
    :param all_of: whether these are all that the table has
    :raises AepConfigurationError: missing, not in the table, not a date-time, or given for a one-time flow
    """
    if not taken:
        check_no_delta(delta_column)
        return None
    if frequency == "once":
        if delta_column:
            raise _refused("delta_column", delta_column, "left out when frequency is once", 1369)
        return None
    if not delta_column:
        raise _refused("delta_column", delta_column, "a date-time column of the table", 1367)
    check_moment(delta_column, columns, 1367, all_of=all_of)
    column = {"name": delta_column, "dateFormat": DELTA_FORMAT, "timezone": "UTC"}
    return {"name": "Copy", "params": {"deltaColumn": column}}
