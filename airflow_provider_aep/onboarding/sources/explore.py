"""Explore a source: its tables, the columns of a table, or the fields of a REST source's records."""

from __future__ import annotations

from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import send_retrying_not_found
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Connection
from airflow_provider_aep.client.validation import validate_id
from airflow_provider_aep.onboarding.sources import flow_specs


def explore_tables(client: AepClient, base_connection_id: object) -> list[str] | None:
    """Return the names of a source's tables; ``None`` for a REST source, which has no tables."""
    base = _base(client, base_connection_id)
    if _has_records(client, base):
        return None
    return [table.name for table in client.send(flow_service.explore_root(base.id))]


def explore_columns(
    client: AepClient, base_connection_id: object, table: str | None, source_params: object = None
) -> list[dict[str, Any]]:
    """Return the columns of a table, or the fields of a REST source's records, as AEP describes them.

    :param table: a table of the source; not required for a REST source
    :param source_params: parameters of a REST source's connector
    :raises AepConfigurationError: the source has no such table
    """
    base = _base(client, base_connection_id)
    if _has_records(client, base):
        flow_specs.check_records(base, table)
        params = flow_specs.validate_source_params(source_params)
        return [column.verbatim for column in client.send(flow_service.explore_records(base.id, params))]
    tables = [entry.name for entry in client.send(flow_service.explore_root(base.id))]
    if table not in tables:
        raise AepConfigurationError(
            f"The source has no table {table!r}", next_step=f"Set table to one of: {', '.join(sorted(tables))}."
        )
    return [column.verbatim for column in client.send(flow_service.explore_table(base.id, table))]


def explore_rows(
    client: AepClient, base_connection_id: object, table: str | None, source_params: object = None
) -> list[dict[str, Any]]:
    """Return some rows of a table, or records of a REST source. They may hold personal data.

    :param table: a table of the source; not required for a REST source
    :param source_params: parameters of a REST source's connector
    :raises AepConfigurationError: the source has tables, and none is named
    """
    base = _base(client, base_connection_id)
    if _has_records(client, base):
        params = flow_specs.validate_source_params(source_params)
        return client.send(flow_service.explore_record_rows(base.id, params))
    if not table:
        raise AepConfigurationError("table is missing", next_step="Set table to a table of the source.")
    return client.send(flow_service.explore_rows(base.id, table))


def _base(client: AepClient, base_connection_id: object) -> Connection:
    call = flow_service.get_connection(validate_id(base_connection_id, "base_connection_id"))
    return send_retrying_not_found(client, call)


def _has_records(client: AepClient, base: Connection) -> bool:
    """Return whether a source delivers records instead of tables, according to its flow spec."""
    return flow_specs.flow_spec_of(client, base).name == flow_specs.RECORDS
