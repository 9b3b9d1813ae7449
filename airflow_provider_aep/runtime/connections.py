"""Airflow connections: read them, and convert those of type ``aep`` to settings of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_aep.client.errors import AepConfigurationError, AepMissingConnectionError
from airflow_provider_aep.client.hosts import AllowedHosts
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.runtime.configuration import allowed_hosts

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

CONN_TYPE = "aep"


def get_connection(conn_id: str) -> Connection:
    """Return an Airflow connection.

    :param conn_id: id of the connection
    :raises AepConfigurationError: the connection does not exist
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AepMissingConnectionError(
            f"There is no Airflow connection {conn_id!r}", next_step="Add it in Airflow under Admin, Connections."
        ) from None


def settings_of(connection: Connection) -> AepSettings:
    """Return the validated settings in a connection of type ``aep``.

    :param connection: as Airflow returns it
    :raises AepConfigurationError: the type is not ``aep``, or a field is missing, malformed or not allowed
    """
    if connection.conn_type != CONN_TYPE:
        raise AepConfigurationError(
            f"The Airflow connection {connection.conn_id!r} is of type {connection.conn_type!r}, not {CONN_TYPE!r}",
            next_step="Set aep_conn_id to a connection of type aep (Adobe Experience Platform).",
        )
    extra = connection.extra_dejson
    if not isinstance(extra, dict):
        raise AepConfigurationError(
            f"The extra of the Airflow connection {connection.conn_id!r} is not a JSON object",
            next_step='Set the extra to {"org_id": ..., "sandbox": ..., "scopes": ...}.',
        )
    if connection.password:
        mask_secret(connection.password)
    return AepSettings.from_fields(
        client_id=connection.login,
        client_secret=connection.password,
        org_id=extra.get("org_id"),
        sandbox=extra.get("sandbox"),
        scopes=extra.get("scopes"),
        platform_url=platform_url(connection.host, connection.port, connection.schema),
        ims_url=extra.get("ims_url"),
        ui_url=extra.get("ui_url"),
        allowed_hosts=AllowedHosts(allowed_hosts()),
        subject=f"The Airflow connection {connection.conn_id!r}",
    )


def platform_url(host: str | None, port: int | None, schema: str | None) -> str | None:
    """Return the platform URL of a connection's fields; ``None`` for Adobe's platform.

    The accepted forms are:

    - All three fields are blank: Adobe's platform.
    - The host is a full URL, and port and schema are blank.
    - Only the host is set: the scheme is https.
    - The host is set, with a port, a schema ``http`` or ``https``, or both.

    :param host: host name, or a full URL
    :param port: Airflow's user interface sends 0 for a blank port
    :param schema: ``http`` or ``https``
    :raises AepConfigurationError: the fields have another form
    """
    if not host:
        if port or schema:
            raise AepConfigurationError(
                "The connection has a port or schema but no host",
                next_step="Set host, or leave host, port and schema blank.",
            )
        return None
    if "://" in host:
        if port or schema:
            raise AepConfigurationError(
                "The connection's host is a full URL, but port or schema is also set",
                next_step="Leave port and schema blank.",
            )
        return host
    if schema and schema not in {"http", "https"}:
        raise AepConfigurationError(
            f"The connection's schema is {schema!r}, which is not supported", next_step="Set schema to http or https."
        )
    return f"{schema or 'https'}://{host}" + (f":{port}" if port else "")
