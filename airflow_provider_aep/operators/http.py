"""Operator that sends a request to any endpoint of AEP, with the arguments of ``HttpOperator``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.http.operators.http import HttpOperator

from airflow_provider_aep.hooks.http import AepHttpHook, check_arguments


class AepHttpOperator(HttpOperator):
    """Send a request to an endpoint of AEP that has no specific operator.

    The operator accepts the arguments of ``HttpOperator``, such as ``data``, ``headers``, ``pagination_function``,
    ``response_check`` and ``response_filter``. It adds AEP's authentication, sandbox headers and typed errors.

    The text of the response becomes the task's XCom. It may hold personal data, which a ``response_filter`` can
    remove.

    AEP may execute a POST whose response is lost, and a retry sends the request again. Set ``retries=0`` if a second
    execution does harm.

    :param endpoint: path and query, such as ``/data/foundation/catalog/dataSets`` (templated)
    :param data: parameters of a GET request, or the body of another one. A dict or a list is sent as JSON (templated)
    :param method: HTTP method; the default is ``GET``
    :param aep_conn_id: id of an Airflow connection of type ``aep`` (templated)
    :param deferrable: must be ``False``, the default. In deferrable mode the HTTP provider would send the client
        secret in place of a token
    :return: the text of the response, or the result of ``response_filter``
    :raises ValueError: during DAG parsing, if the endpoint is absolute or ``deferrable`` is set
    """

    conn_id_field = "aep_conn_id"
    template_fields: Sequence[str] = ("endpoint", "data", "headers", "aep_conn_id")
    ui_color = "#fbe9e7"

    def __init__(
        self,
        *,
        endpoint: str,
        method: str = "GET",
        aep_conn_id: str = "aep_default",
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        check_arguments(endpoint, deferrable, kwargs)
        super().__init__(endpoint=endpoint, method=method, http_conn_id=aep_conn_id, deferrable=False, **kwargs)
        self.aep_conn_id = aep_conn_id

    @property
    def hook(self) -> AepHttpHook:
        """The hook that sends the request."""
        return AepHttpHook.from_task(self)
