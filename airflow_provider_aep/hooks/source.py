"""An Airflow connection of a source system becomes the parameters of a base connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.hooks.aep import connection_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

# Parameter of the connection spec -> field of the Airflow connection.
_FIELDS: dict[str, dict[str, str]] = {
    # ServiceNow
    "eb13cb25-47ab-407f-ba89-c0125281c563": {"endpoint": "host", "username": "login", "password": "password"},
}


def source_params(source_conn_id: str, connection_spec_id: str) -> dict[str, str]:
    """The parameters a source's connection spec asks for; those the connection leaves blank are left out.

    :raises AepConfigurationError: no map is declared for this connection spec
    """
    fields = _FIELDS.get(connection_spec_id)
    if fields is None:
        raise AepConfigurationError(
            f"It is not declared how an Airflow connection becomes parameters of connection spec {connection_spec_id}",
            next_step=f"Choose one of: {', '.join(_FIELDS)}.",
        )
    connection = connection_of(source_conn_id)
    params = {param: _field(connection, field) for param, field in fields.items()}
    return {param: value for param, value in params.items() if value}


def _field(connection: Connection, field: str) -> str:
    value = str(getattr(connection, field) or "")
    if field == "host" and value and "://" not in value:
        return f"{connection.schema or 'https'}://{value}" + (f":{connection.port}" if connection.port else "")
    return value
