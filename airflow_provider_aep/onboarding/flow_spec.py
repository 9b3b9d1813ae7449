"""Which flow spec takes a source, and with it whether the source delivers tables or records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Connection, FlowSpec
from airflow_provider_aep.onboarding.systems import SYSTEMS

TABLES = "CRMToAEP"
RECORDS = "RestStorageToAEP"


def named(client: AepClient, name: str) -> FlowSpec:
    """:raises AepConfigurationError: AEP has none of this name"""
    for spec in client.items(flow_service.list_flow_specs(name)):
        if spec.name == name:
            return spec
    raise AepConfigurationError(
        f"AEP has no flow spec {name!r}", next_step=f"{TABLES} serves table-based sources, {RECORDS} REST sources."
    )


def taking(client: AepClient, base: Connection) -> FlowSpec:
    """The flow spec for the source behind a base connection.

    :raises AepConfigurationError: it is neither a table-based nor a REST source
    """
    connector = base.connectionSpec.id if base.connectionSpec else ""
    for name in (TABLES, RECORDS):
        if connector in (spec := named(client, name)).sourceConnectionSpecIds:
            return spec
    raise AepConfigurationError(
        f"Neither {TABLES} nor {RECORDS} takes the connector {connector} of base connection {base.name!r}",
        next_step="Table-based and REST sources can be onboarded; ask Adobe whether this org has the connector.",
    )


def check_records(base: Connection, table: str | None) -> None:
    """A REST source has no tables; the one that a known system may be asked for is what it delivers anyway.

    :raises AepConfigurationError: another table
    """
    connector = base.connectionSpec.id if base.connectionSpec else ""
    known = next((s.table for s in SYSTEMS.values() if s.connection_spec_id == connector), "")
    if table and table != known:
        raise AepConfigurationError(
            f"table is {table!r}, and this source delivers records of one kind, not tables",
            next_step=f"Leave table out{f', or say {known!r}' if known else ''}.",
        )


def checked_params(given: object) -> dict[str, Any]:
    """What a REST source is asked for.

    :raises AepConfigurationError: it is no dict
    """
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise AepConfigurationError(
            f"source_params is {given!r}, not a dict", next_step="Give source_params as a dict."
        )
    return dict(given)


def check_no_params(given: object) -> None:
    """:raises AepConfigurationError: a source of tables was given parameters"""
    if given:
        raise AepConfigurationError(
            f"source_params is {given!r}", next_step="Leave it out: this source has tables, which are named by table."
        )
