"""The escape hatch for waiting: any endpoint of AEP, as ``HttpSensor`` users know it."""

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
    """Ask an endpoint of AEP until ``response_check`` is satisfied.

    As ``HttpSensor``, with our authentication and errors. 404 means "not yet", as there, unless
    ``response_error_codes_allowlist`` says otherwise; throttling and outages are waited out.

    :param endpoint: path and query (templated)
    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    :raises ValueError: when the DAG is parsed: an absolute endpoint, or deferrable mode
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
        hook = AepHttpHook.of(self)
        options, asked = self.extra_options, {"data": self.request_params, "headers": self.headers}
        try:
            response = hook.run(self.endpoint, extra_options=options, **asked, **self.request_kwargs)
        except AepRetryableError as e:
            self.log.warning("Still waiting: %s", e)
            return False
        except AepPermanentError as e:
            cause = e.__cause__
            if isinstance(cause, AepError) and str(cause.status) in self.response_error_codes_allowlist:
                return False
            raise
        if self.response_check is None:
            return True
        return self.response_check(response, **determine_kwargs(self.response_check, [response], context))
