"""An Airflow connection of type ``aep`` becomes a client."""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, conf, mask_secret

from airflow_provider_aep.client.client import DEADLINE, AepClient, AsyncAepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepError
from airflow_provider_aep.client.hosts import AllowedHosts
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.exceptions import AepPermanentError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


REQUESTS_PER_SECOND = 10.0
"""What deferred waits may ask of one org and sandbox, unless the deployer says otherwise; AEP publishes no limit."""


class AepHook(BaseHook):
    """Authentication, hosts and sandbox of an Airflow connection.

    :param aep_conn_id: a connection of type ``aep``: client id in login, client secret in password, platform URL in
        host (blank for Adobe's), and in extra ``org_id``, ``sandbox``, ``scopes``, ``ims_url``, ``ui_url``
    """

    conn_name_attr = "aep_conn_id"
    default_conn_name = "aep_default"
    conn_type = "aep"
    hook_name = "Adobe Experience Platform"

    def __init__(self, aep_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        if "method" in kwargs:  # how HttpOperator asks for the hook of a connection
            raise AepPermanentError(
                f"HttpOperator cannot use the connection {aep_conn_id!r}: it would send the client secret in place of "
                "a token. Next step: use AepHttpOperator (airflow_provider_aep.operators.http)"
            )
        super().__init__(**kwargs)
        self.aep_conn_id = aep_conn_id

    @cached_property
    def settings(self) -> AepSettings:
        """The connection's fields, checked before anything is sent.

        :raises AepConfigurationError: there is no such connection, or a field is missing, malformed, or names a host
            that is not allowed
        """
        return settings_of(connection_of(self.aep_conn_id))

    def get_conn(self, deadline: float = DEADLINE) -> AepClient:
        """A client; the caller closes it.

        :param deadline: seconds after which a call is no longer retried
        """
        return AepClient(self.settings, on_token=mask_secret, deadline=deadline)

    def get_async_conn(self, deadline: float = DEADLINE) -> AsyncAepClient:
        """A client for the event loop it is first used on; the caller closes it.

        :param deadline: seconds after which a call is no longer retried
        """
        return AsyncAepClient(self.settings, on_token=_mask_on_loop, deadline=deadline)

    def test_connection(self) -> tuple[bool, str]:
        """See :func:`~airflow_provider_aep.hooks.checkup.check`."""
        from airflow_provider_aep.hooks.checkup import check

        try:
            return check(self.settings, mask_secret)
        except AepError as e:  # of the settings: nothing was sent
            return False, str(e)


def connection_of(conn_id: str) -> Connection:
    """An Airflow connection.

    :raises AepConfigurationError: there is none
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise AepConfigurationError(
            f"There is no Airflow connection {conn_id!r}", next_step="Add it in Airflow, under Admin, Connections."
        ) from None


def settings_of(connection: Connection) -> AepSettings:
    """The checked settings in a connection of type ``aep``.

    :raises AepConfigurationError: see :meth:`AepHook.settings`
    """
    if connection.conn_type != AepHook.conn_type:
        raise AepConfigurationError(
            f"The Airflow connection {connection.conn_id!r} is of type {connection.conn_type!r}, not 'aep'",
            next_step="Name one of type aep (Adobe Experience Platform) in aep_conn_id.",
        )
    extra = connection.extra_dejson
    if not isinstance(extra, dict):
        raise AepConfigurationError(
            f"The extra of the Airflow connection {connection.conn_id!r} is no JSON object",
            next_step='Write it as {"org_id": ..., "sandbox": ..., "scopes": ...}.',
        )
    if connection.password:
        mask_secret(connection.password)
    listed = conf.get("aep", "allowed_hosts", fallback="") or ""
    return AepSettings.checked(
        client_id=connection.login,
        client_secret=connection.password,
        org_id=extra.get("org_id"),
        sandbox=extra.get("sandbox"),
        scopes=extra.get("scopes"),
        platform_url=platform_url(connection.host, connection.port, connection.schema),
        ims_url=extra.get("ims_url"),
        ui_url=extra.get("ui_url"),
        allowed_hosts=AllowedHosts(listed.split(",")),
        called=f"The Airflow connection {connection.conn_id!r}",
    )


def may_delete_in_production() -> bool:
    """Whether the deployer lets operators delete in production sandboxes."""
    return bool(conf.getboolean("aep", "allow_production_teardown", fallback=False))


def requests_per_second() -> float:
    """How often all deferred waits of a triggerer together may ask one org and sandbox."""
    return max(float(conf.getfloat("aep", "requests_per_second", fallback=REQUESTS_PER_SECOND)), 0.1)


def platform_url(host: str | None, port: int | None, schema: str | None) -> str | None:
    """The platform URL of a connection's fields; the accepted forms, and no others:

    - nothing: Adobe's
    - host is a full URL, port and schema blank
    - host alone: https
    - host with port and schema ``http`` or ``https`` (a port of 0 is what Airflow's UI sends for a blank one)

    :raises AepConfigurationError: another form
    """
    if not host:
        if port or schema:
            raise AepConfigurationError(
                "The connection has a port or schema but no host", next_step="Set host, or leave all three blank."
            )
        return None
    if "://" in host:
        if port or schema:
            raise AepConfigurationError(
                "The connection's host is a full URL, and port or schema is set, too",
                next_step="Leave port and schema blank.",
            )
        return host
    if schema and schema not in {"http", "https"}:
        raise AepConfigurationError(f"The connection's schema is {schema!r}", next_step="Set http or https.")
    return f"{schema or 'https'}://{host}" + (f":{port}" if port else "")


async def _mask_on_loop(secret: str) -> None:
    """Mask a secret from a coroutine, where waiting for the supervisor must not block the event loop."""
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:  # Airflow before 3.3
        await asyncio.to_thread(mask_secret, secret)
    else:
        await amask_secret(secret)
