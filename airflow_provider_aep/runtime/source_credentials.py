"""Credentials of a source system, from its Airflow connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.runtime.connections import get_connection

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def source_credentials(source_conn_id: str, auth_params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of an auth spec, without those whose field of the connection is blank.

    :param source_conn_id: id of the source system's Airflow connection
    :param auth_params: field of the connection by parameter; see :class:`~airflow_provider_aep.systems.System`
    :raises AepConfigurationError: the connection does not exist, or ``auth_params`` names another field
    """
    connection = get_connection(source_conn_id)
    params = {param: _field(connection, param, field) for param, field in auth_params.items()}
    return {param: value for param, value in params.items() if value}


def _field(connection: Connection, param: str, field: str) -> str:
    if field == "url":
        return _url(connection)
    if field in {"host", "login", "password", "schema"}:
        return str(getattr(connection, field) or "")
    if field.startswith("extra."):
        return str(connection.extra_dejson.get(field.removeprefix("extra."), "") or "")
    # The error does not quote the field, because it may hold a secret in place of a field's name.
    raise AepConfigurationError(
        f"auth_params names no field of an Airflow connection for {param!r}",
        next_step=f"Set {param} to url, host, login, password, schema, or extra.<name>.",
    )


def _url(connection: Connection) -> str:
    host = str(connection.host or "")
    if not host or "://" in host:
        return host
    return f"{connection.schema or 'https'}://{host}" + (f":{connection.port}" if connection.port else "")
