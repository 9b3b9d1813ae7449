"""The escape hatch: any endpoint of AEP, as ``HttpOperator`` users know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.http.operators.http import HttpOperator

from airflow_provider_aep.hooks.http import AepHttpHook, check_arguments


class AepHttpOperator(HttpOperator):
    """Send a request to an endpoint of AEP that has no operator of its own.

    As ``HttpOperator``, with ``data``, ``headers``, ``pagination_function``, ``response_check`` and
    ``response_filter``, but with our authentication, sandbox headers and typed errors. What it returns goes into XCom:
    the text of the answer, which may hold personal data, unless ``response_filter`` makes it less.

    A POST whose answer is lost may have been carried out, and Airflow's retry sends it again: give such a task
    ``retries=0`` unless that does no harm.

    :param endpoint: path and query, such as ``/data/foundation/catalog/dataSets`` (templated)
    :param method: ``GET`` unless said otherwise
    :param aep_conn_id: an Airflow connection of type ``aep`` (templated)
    :raises ValueError: when the DAG is parsed: an absolute endpoint, or deferrable mode, in which the HTTP provider
        would send the client secret in place of a token
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
        return AepHttpHook.of(self)
