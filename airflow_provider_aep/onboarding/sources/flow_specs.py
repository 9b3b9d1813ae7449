"""Flow spec of a source, which defines whether the source delivers tables or records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Connection, FlowSpec
from airflow_provider_aep.systems import SYSTEMS

TABLES = "CRMToAEP"
"""Name of the flow spec for sources of tables."""

RECORDS = "RestStorageToAEP"
"""Name of the flow spec for REST sources, which deliver records."""


def find_flow_spec(client: AepClient, name: str) -> FlowSpec:
    """Return the flow spec of a name.

    :raises AepConfigurationError: AEP has no flow spec of this name
    """
    for spec in client.items(flow_service.list_flow_specs(name)):
        if spec.name == name:
            return spec
    raise AepConfigurationError(
        f"AEP has no flow spec {name!r}",
        next_step=f"Set the name to {TABLES} for a table-based source, or to {RECORDS} for a REST source.",
    )


def flow_spec_of(client: AepClient, base: Connection) -> FlowSpec:
    """Return the flow spec for the source behind a base connection.

    :raises AepConfigurationError: the source is neither table-based nor a REST source
    """
    connector = base.connectionSpec.id if base.connectionSpec else ""
    for name in (TABLES, RECORDS):
        if connector in (spec := find_flow_spec(client, name)).sourceConnectionSpecIds:
            return spec
    raise AepConfigurationError(
        f"Neither flow spec {TABLES} nor {RECORDS} supports the connector {connector} of base connection {base.name!r}",
        next_step="Use a table-based or REST source, or ask Adobe whether the organization has this connector.",
    )


def check_records(base: Connection, table: str | None) -> None:
    """Raise if a REST source does not deliver a table.

    :param table: the default table of the source, or ``None``
    :raises AepConfigurationError: the source does not deliver this table
    """
    connector = base.connectionSpec.id if base.connectionSpec else ""
    default_table = next((s.table for s in SYSTEMS.values() if s.connection_spec_id == connector), "")
    if table and table != default_table:
        raise AepConfigurationError(
            f"table is {table!r}, but this source delivers records of one kind instead of tables",
            next_step=f"Remove table{f', or set it to {default_table!r}' if default_table else ''}.",
        )


def validate_source_params(value: object) -> dict[str, Any]:
    """Return the parameters of a REST source's connector; empty by default.

    :raises AepConfigurationError: the value is not a dict
    """
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise AepConfigurationError(f"source_params is {value!r}, not a dict", next_step="Set source_params to a dict.")
    return dict(value)


def check_no_source_params(value: object) -> None:
    """Raise if ``source_params`` is set for a source of tables.

    :raises AepConfigurationError: ``source_params`` is set
    """
    if value:
        raise AepConfigurationError(
            f"source_params is {value!r}, but this source has tables",
            next_step="Remove source_params, and set table to a table of the source.",
        )
