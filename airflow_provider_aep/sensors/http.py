"""Sensor that polls any endpoint of AEP, with the arguments of ``HttpSensor``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue, determine_kwargs
from airflow.providers.http.sensors.http import HttpSensor

from airflow_provider_aep.client.errors import AepError
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.hooks.http import AepHttpHook, check_arguments

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepHttpSensor(HttpSensor):
    """Poll an endpoint of AEP until ``response_check`` accepts the response.

    Without a ``response_check``, any successful response ends the wait.
    The sensor accepts the arguments of ``HttpSensor``, and adds AEP's authentication, sandbox headers and typed errors.
    After a response with HTTP status 404 the sensor continues to poll; ``response_error_codes_allowlist`` replaces that
    list of statuses. It also continues after throttling and outages.

    :param endpoint: path and query (templated)
    :param aep_conn_id: id of an Airflow connection of type ``aep`` (templated)
    :param deferrable: must be ``False``, the default
    :raises ValueError: during DAG parsing, if the endpoint is absolute or ``deferrable`` is set
    """

    template_fields: Sequence[str] = ("endpoint", "request_params", "headers", "aep_conn_id")
    ui_color = "#fbe9e7"

    def __init__(
        self, *, endpoint: str, aep_conn_id: str = "aep_default", deferrable: bool = False, **kwargs: Any
    ) -> None:
        check_arguments(endpoint, deferrable, kwargs)
        super().__init__(endpoint=endpoint, http_conn_id=aep_conn_id, deferrable=False, **kwargs)
        self.aep_conn_id = aep_conn_id

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Send one request, and return whether its response is accepted.

        :raises AepPermanentError: AEP refused the request with a status that is not in the allowlist
        """
        hook = AepHttpHook.from_task(self)
        options, request = self.extra_options, {"data": self.request_params, "headers": self.headers}
        try:
            response = hook.run(self.endpoint, extra_options=options, **request, **self.request_kwargs)
        except AepRetryableError as e:
            self.log.warning("The sensor continues to poll after a retryable error: %s", e)
            return False
        except AepPermanentError as e:
            cause = e.__cause__
            if isinstance(cause, AepError) and str(cause.status) in self.response_error_codes_allowlist:
                return False
            raise
        if self.response_check is None:
            return True
        return self.response_check(response, **determine_kwargs(self.response_check, [response], context))
