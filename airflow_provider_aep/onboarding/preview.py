"""Apply mappings to some rows, without a write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_aep.client import data_prep
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.onboarding.resources.mapping_set import MappingSetDesired
from airflow_provider_aep.onboarding.sources.explore import explore_rows


@dataclass(frozen=True)
class Preview:
    """The result of a preview.

    :param rows: mapped rows; ``None`` for one that AEP rejects
    :param errors: number of rows without a value, by path of a field
    """

    rows: list[Mapping[str, Any] | None]
    errors: dict[str, int]

    def check(self) -> None:
        """Raise if a value cannot be transformed.

        :raises AepConfigurationError: the message counts the errors of each field
        """
        if self.errors:
            counts = ", ".join(f"{path}: {count}" for path, count in self.errors.items())
            raise AepConfigurationError(
                f"AEP cannot transform values of {len(self.rows)} previewed rows; rows with errors by field: {counts}",
                next_step="Correct the mappings of these fields, such as the pattern of a date. Set log_rows=True to "
                "see the mapped rows.",
            )


def preview(
    client: AepClient,
    desired: MappingSetDesired,
    *,
    rows: object,
    base_connection_id: object,
    table: str | None,
    source_params: object,
    max_rows: int,
) -> Preview:
    """Apply a mapping set to rows of the author, or of the source.

    :param rows: rows by column; ``None`` reads some of the source
    :param source_params: parameters of a REST source's connector
    :param max_rows: number of rows that are used
    :raises AepConfigurationError: there is no row
    """
    if rows is None:
        rows = explore_rows(client, base_connection_id, table, source_params)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) for row in rows):
        raise AepConfigurationError(
            "There is no row to preview", next_step="Set rows to a list of dicts, or choose a table with rows."
        )
    results = client.send(data_prep.preview(desired.fields(), rows[:max_rows]))
    failed = Counter(path for result in results for path in {*result.failed_destinations})
    return Preview([result.data for result in results], dict(sorted(failed.items())))
