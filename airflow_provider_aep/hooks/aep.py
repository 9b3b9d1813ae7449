"""Airflow hook for Adobe Experience Platform: creates AEP clients from a connection of type ``aep``."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_aep.client.client import AepClient, AsyncAepClient
from airflow_provider_aep.client.clock import SYSTEM_CLOCK, Clock
from airflow_provider_aep.client.errors import AepError
from airflow_provider_aep.client.retries import DEADLINE
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.exceptions import AepPermanentError
from airflow_provider_aep.runtime.compat import mask_secret_on_loop
from airflow_provider_aep.runtime.connections import CONN_TYPE, get_connection, settings_of


class AepHook(BaseHook):
    """Hook for one Airflow connection, which contains the credential, the organization and the sandbox.

    :param aep_conn_id: a connection of type ``aep``. Its login is the client id, its password the client secret. Its
        host is the platform URL (blank for Adobe's). Its extra has the keys ``org_id``, ``sandbox``, ``scopes``,
        ``ims_url`` and ``ui_url``
    """

    conn_name_attr = "aep_conn_id"
    default_conn_name = "aep_default"
    conn_type = CONN_TYPE
    hook_name = "Adobe Experience Platform"
    clock: Clock = SYSTEM_CLOCK

    def __init__(self, aep_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        """Keep the connection id; the connection is read on first use.

        :raises AepPermanentError: ``HttpOperator`` creates the hook
        """
        if "method" in kwargs:  # only HttpOperator creates a hook with this argument
            raise AepPermanentError(
                f"HttpOperator cannot use the connection {aep_conn_id!r}: it would send the client secret instead of "
                "a token. Next step: Use AepHttpOperator (airflow_provider_aep.operators.http)."
            )
        super().__init__(**kwargs)
        self.aep_conn_id = aep_conn_id

    @cached_property
    def settings(self) -> AepSettings:
        """The validated fields of the connection.

        :raises AepConfigurationError: the connection does not exist; or a field is missing, malformed, or names a host
            that is not allowed
        """
        return settings_of(get_connection(self.aep_conn_id))

    def get_conn(self, deadline: float = DEADLINE) -> AepClient:
        """Return a synchronous client, which the caller closes.

        :param deadline: seconds after which a call is no longer retried
        """
        return AepClient(self.settings, on_token=mask_secret, deadline=deadline)

    def get_async_conn(self, deadline: float = DEADLINE) -> AsyncAepClient:
        """Return a client for the event loop that first uses it. The caller closes the client.

        :param deadline: seconds after which a call is no longer retried
        """
        return AsyncAepClient(self.settings, on_token=mask_secret_on_loop, deadline=deadline)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether AEP accepts the connection, and a sentence for the user."""
        from airflow_provider_aep.client.connection_test import check

        try:
            return check(self.settings, mask_secret)
        except AepError as e:  # of the settings
            return False, str(e)
