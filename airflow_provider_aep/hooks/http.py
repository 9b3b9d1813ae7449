"""Any endpoint of AEP through Airflow's HTTP provider, with our authentication, headers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.http.hooks.http import HttpHook
from requests import PreparedRequest, Response, Session
from requests import exceptions as broken
from requests.auth import AuthBase

from airflow_provider_aep.client.auth import SHARED_TOKENS
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepHostNotAllowedError,
    AepUnavailableError,
    AepUnreachableError,
    Where,
    service_error,
)
from airflow_provider_aep.exceptions import airflow_errors
from airflow_provider_aep.hooks.aep import AepHook

if TYPE_CHECKING:
    from airflow_provider_aep.client.settings import AepSettings

TIMEOUT = 60.0
"""Seconds for an answer, unless ``extra_options`` says otherwise."""

_OPTIONS = frozenset({"timeout", "proxies", "verify", "stream", "check_response"})


class AepHttpHook(HttpHook):
    """Requests to AEP with Airflow's own HTTP hook.

    The host is that of the connection and no other: endpoints are paths, and redirects are not followed. Nothing of
    the connection's extra becomes a header.

    :param method: HTTP method
    :param aep_conn_id: an Airflow connection of type ``aep``
    """

    def __init__(self, method: str = "GET", aep_conn_id: str = AepHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(method=method, http_conn_id=aep_conn_id, **kwargs)
        self.aep = AepHook(aep_conn_id)

    def run(self, endpoint: str | None = None, *args: Any, **kwargs: Any) -> Response:
        """Send one request.

        :param endpoint: path and query, such as ``/data/foundation/catalog/dataSets``
        :raises AepPermanentError: what a retry cannot mend
        :raises AepRetryableError: what it can
        """
        with airflow_errors():
            checked_endpoint(endpoint)
            _ = self.aep.settings
            try:
                return super().run(endpoint, *args, **kwargs)
            except broken.RequestException as e:
                where = Where(f"{self.method} {urlsplit(endpoint or '').path}", self.aep.settings.sandbox)
                unsent = isinstance(e, broken.ConnectTimeout) or (
                    isinstance(e, broken.ConnectionError) and not isinstance(e, broken.ReadTimeout)
                )
                kind = AepUnreachableError if unsent else AepUnavailableError
                # Its text may quote the URL, and that a row.
                raise kind(
                    f"No answer from {urlsplit(self.aep.settings.platform_url).netloc} ({type(e).__name__})",
                    where=where,
                    next_step="Check network, proxy and the URL in the connection.",
                ) from None

    def _set_base_url(self, connection: Any) -> None:
        self.base_url = self.aep.settings.platform_url
        self._base_url_initialized = True

    def _extract_auth(self, connection: Any) -> AuthBase:
        return _Signed(self.aep)

    def _configure_session_from_extra(
        self, session: Session, connection: Any, extra_options: Mapping[str, Any]
    ) -> Session:
        if unknown := set(extra_options) - _OPTIONS:
            raise AepConfigurationError(
                f"extra_options has {', '.join(sorted(unknown))}",
                next_step=f"Of requests' options these are passed on: {', '.join(sorted(_OPTIONS))}.",
            )
        if extra_options.get("verify", True) is False:
            raise AepConfigurationError("extra_options has verify=False", next_step="Give a CA bundle's path instead.")
        self.merged_extra = {"timeout": TIMEOUT, **extra_options, "allow_redirects": False}
        session.proxies = dict(extra_options.get("proxies", {}))
        session.verify = extra_options.get("verify", True)
        session.stream = extra_options.get("stream", False)
        return session

    def run_and_check(
        self, session: Session, prepped_request: PreparedRequest, extra_options: dict[Any, Any]
    ) -> Response:
        """Send, once more if the token was refused as not valid, and check the answer."""
        unchecked = {**extra_options, "check_response": False}
        response: Response = super().run_and_check(session, prepped_request, unchecked)
        if response.status_code == 401 and _body(response).get("error_code") == "401013":
            refused = str(prepped_request.headers["Authorization"]).removeprefix("Bearer ")
            SHARED_TOKENS.drop(self.aep.settings.credential_key, refused)
            prepped_request.prepare_auth(self._extract_auth(None))
            response = super().run_and_check(session, prepped_request, unchecked)
        if extra_options.get("check_response", True):
            self.check_response(response)
        return response

    def check_response(self, response: Response) -> None:
        """:raises AepPermanentError, AepRetryableError: anything but a success, with AEP's code and request id"""
        if 200 <= response.status_code < 300:
            return
        request = response.request
        operation = f"{request.method} {urlsplit(request.url or '').path}"
        where = Where(operation, self.aep.settings.sandbox, request_id=response.headers.get("x-request-id", ""))
        wait = response.headers.get("retry-after", "")
        with airflow_errors():
            raise service_error(response.status_code, _body(response), where, float(wait) if wait.isdecimal() else None)


class _Signed(AuthBase):
    """Identity headers and token, for the platform's own URL only."""

    def __init__(self, aep: AepHook) -> None:
        self._aep = aep

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        settings: AepSettings = self._aep.settings
        url = str(request.url)
        if not url.startswith((f"{settings.platform_url}/", f"{settings.platform_url}?")):
            raise AepHostNotAllowedError(
                f"The request goes to {urlsplit(url).netloc}, not to the connection's host",
                next_step="Give the path alone as the endpoint.",
            )
        with self._aep.get_conn() as client:
            request.headers.update(client.identity())
        return request


def _body(response: Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def checked_endpoint(endpoint: object) -> None:
    """:raises AepConfigurationError: an absolute URL: the token goes to the connection's host alone"""
    if isinstance(endpoint, str) and ("://" in endpoint.split("?")[0] or endpoint.lstrip().startswith(("//", "\\"))):
        raise AepConfigurationError(
            f"The endpoint {endpoint.split('?')[0]!r} is an absolute URL",
            next_step="Give path and query alone: the host is the connection's.",
        )


def refuse(endpoint: str, deferrable: bool, others: dict[str, Any]) -> None:
    """What can never work is told when the DAG is parsed.

    :raises ValueError: so that Airflow shows it as an import error
    """
    if deferrable:
        raise ValueError("deferrable is not possible: the HTTP provider's trigger knows no tokens of AEP")
    if names := {"http_conn_id", "auth_type"} & set(others):
        raise ValueError(f"{', '.join(sorted(names))} is not taken: aep_conn_id names connection and authentication")
    try:
        checked_endpoint(endpoint)
    except AepConfigurationError as e:
        raise ValueError(str(e)) from None
