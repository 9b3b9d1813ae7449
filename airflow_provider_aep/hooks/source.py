"""An Airflow connection of a source system becomes the parameters of a base connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.hooks.aep import connection_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def source_params(source_conn_id: str, auth_params: Mapping[str, str]) -> dict[str, str]:
    """The parameters that an auth spec asks for; those the connection leaves blank are left out.

    :param auth_params: parameter -> field, see :class:`~airflow_provider_aep.onboarding.systems.System`
    :raises AepConfigurationError: there is no such connection, or no such field
    """
    connection = connection_of(source_conn_id)
    params = {param: _field(connection, param, field) for param, field in auth_params.items()}
    return {param: value for param, value in params.items() if value}


def _field(connection: Connection, param: str, field: str) -> str:
    if field == "url":
        return _url(connection)
    if field in {"host", "login", "password", "schema"}:
        return str(getattr(connection, field) or "")
    if field.startswith("extra."):
        return str(connection.extra_dejson.get(field.removeprefix("extra."), "") or "")
    # Not told what it names: somebody may have written the secret itself.
    raise AepConfigurationError(
        f"auth_params names no field of an Airflow connection for {param!r}",
        next_step="Name url, host, login, password, schema, or extra. and a name.",
    )


def _url(connection: Connection) -> str:
    host = str(connection.host or "")
    if not host or "://" in host:
        return host
    return f"{connection.schema or 'https'}://{host}" + (f":{connection.port}" if connection.port else "")
