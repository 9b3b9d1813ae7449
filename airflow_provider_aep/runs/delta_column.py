"""Validate a delta column: the date-time column by which AEP selects the rows of a run's window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError


def check_absent(delta_column: str | None) -> None:
    """Raise if a delta column is set for a REST source.

    :raises AepConfigurationError: ``delta_column`` is not empty
    """
    if delta_column:
        raise AepConfigurationError(
            f"delta_column is {delta_column!r}, but a REST source has no delta column",
            next_step="Remove delta_column.",
        )


def check_date_time(
    delta_column: str, columns: Sequence[Mapping[str, Any]] | None, code: int, *, is_complete: bool = True
) -> None:
    """Raise if the delta column is not a date-time column of the table.

    :param delta_column: name of the column
    :param columns: of the source table; ``None`` if unknown, and then nothing is checked
    :param code: AEP's code for the refusal, such as 1367
    :param is_complete: whether ``columns`` holds all columns; a source connection may list only some
    :raises AepConfigurationError: AEP would refuse the column
    """
    by_name = {str(column["name"]): column for column in columns or []}
    if columns is None or (not is_complete and delta_column not in by_name):
        return
    date_times = sorted(name for name, column in by_name.items() if _is_date_time(column))
    if delta_column not in date_times:
        choices = f"one of {', '.join(date_times)}" if date_times else "a date-time column; the table has none"
        raise AepConfigurationError(
            f"delta_column is {delta_column!r}, which is no date-time column of the table (AEP: {code}-400)",
            next_step=f"Set delta_column to {choices}.",
        )


def _is_date_time(column: Mapping[str, Any]) -> bool:
    return "date-time" in {(column.get("xdm") or {}).get("format"), column.get("meta:xdmType")}
