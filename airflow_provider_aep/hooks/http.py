"""Airflow hook for any endpoint of AEP: the HTTP provider's hook with this package's authentication and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.http.hooks.http import HttpHook
from requests import PreparedRequest, Response, Session
from requests import exceptions as requests_errors
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from airflow_provider_aep.client.auth import SHARED_TOKENS, retry_after
from airflow_provider_aep.client.clock import SystemClock
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepError,
    AepHostNotAllowedError,
    AepLostResponseError,
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
"""Seconds to wait for a response; ``timeout`` in ``extra_options`` overrides it."""

_IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_OPTIONS = frozenset({"timeout", "proxies", "verify", "stream", "check_response"})


class AepHttpHook(HttpHook):
    """Send requests to AEP with the HTTP provider's hook.

    Requests go only to the host of the connection: endpoints are paths, and redirects are not followed. The
    connection's extra adds no headers.

    :param method: HTTP method
    :param aep_conn_id: an Airflow connection of type ``aep``
    """

    def __init__(self, method: str = "GET", aep_conn_id: str = AepHook.default_conn_name, **kwargs: Any) -> None:
        """Keep the connection id; the connection is read by the first request."""
        super().__init__(method=method, http_conn_id=aep_conn_id, **kwargs)
        self.aep = AepHook(aep_conn_id)
        self._options: dict[str, Any] = {}

    @classmethod
    def from_task(cls, task: Any) -> AepHttpHook:
        """Return the hook of an operator or sensor of the HTTP provider, with its TCP settings."""
        names = ("tcp_keep_alive", "tcp_keep_alive_idle", "tcp_keep_alive_count", "tcp_keep_alive_interval")
        return cls(task.method, task.aep_conn_id, **{name: getattr(task, name) for name in names})

    def run(
        self,
        endpoint: str | None = None,
        data: Any = None,
        headers: dict[str, Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Response:
        """Send one request, and return its response.

        :param endpoint: path and query, such as ``/data/foundation/catalog/dataSets``
        :param data: the parameters of a GET request, or the body of another one. AEP takes JSON only, so a dict or a
            list is sent as JSON
        :param headers: more headers
        :raises AepPermanentError: a retry cannot succeed
        :raises AepRetryableError: a retry may succeed; if the response to a POST was lost, AEP may have
            executed it. A retry of the task sends it again
        """
        with airflow_errors():
            check_endpoint(endpoint)
            _ = self.aep.settings
            if data and isinstance(data, dict | list) and self.method.upper() not in {"GET", "HEAD"}:
                data = json.dumps(data)
                headers = {"Content-Type": "application/json", **(headers or {})}
            try:
                return super().run(endpoint, data, headers, *args, **kwargs)
            except requests_errors.RequestException as e:
                # The text of the exception may quote the URL, which may hold data of a row.
                raise self._transport_error(e, endpoint or "") from None

    def _transport_error(self, e: requests_errors.RequestException, endpoint: str) -> AepError:
        where = Where(f"{self.method} {urlsplit(endpoint).path}", self.aep.settings.sandbox)
        host, kind = urlsplit(self.aep.settings.platform_url).netloc, type(e).__name__
        reason = getattr(e.args[0] if e.args else None, "reason", None)
        if _is_certificate_error(e):
            step = "Check the host of the connection and the CA bundle. TLS cannot be disabled."
            return AepConfigurationError(f"The certificate of {host} is not trusted", where=where, next_step=step)
        if isinstance(e, requests_errors.ConnectTimeout | requests_errors.ProxyError) or isinstance(
            reason, NewConnectionError
        ):
            step = "Check the network, the proxy and the URLs of the connection."
            return AepUnreachableError(f"The host {host} cannot be reached ({kind})", where=where, next_step=step)
        if isinstance(
            e, requests_errors.ConnectionError | requests_errors.Timeout | requests_errors.ChunkedEncodingError
        ):
            problem = f"The connection to {host} was interrupted ({kind})"
            return self._mark_ambiguous(AepUnavailableError(problem, where=where, next_step="Try again later."))
        step = "Correct method, endpoint, headers and data of the task."
        return AepConfigurationError(f"The request is invalid ({kind})", where=where, next_step=step)

    def _mark_ambiguous(self, cause: AepError) -> AepError:
        """Return the error of a lost response if AEP may have executed a request that is not idempotent."""
        if not isinstance(cause, AepUnavailableError) or self.method in _IDEMPOTENT_METHODS:
            return cause
        return AepLostResponseError(
            f"The response to {self.method} was lost, so AEP may have executed the request: {cause.message}",
            where=cause.where,
            next_step="Check in AEP whether the request was executed before you run the task again.",
            retry_after=cause.retry_after,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Return whether AEP accepts the connection, and a sentence for the user."""
        return self.aep.test_connection()

    def get_conn(self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None) -> Session:
        """Return a requests session for the connection's host, which follows no redirects."""
        with airflow_errors():
            session = super().get_conn(headers, extra_options)
        # A redirect could send the token to another host.
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
        return session

    def _set_base_url(self, connection: Any) -> None:
        self.base_url = self.aep.settings.platform_url
        self._base_url_initialized = True

    def _extract_auth(self, connection: Any) -> AuthBase:
        return _IdentityAuth(self.aep)

    def _configure_session_from_extra(
        self, session: Session, connection: Any, extra_options: Mapping[str, Any]
    ) -> Session:
        if unknown := set(extra_options) - _OPTIONS:
            raise AepConfigurationError(
                f"extra_options contains {', '.join(sorted(unknown))}, which AepHttpHook does not support",
                next_step=f"Set only these keys: {', '.join(sorted(_OPTIONS))}.",
            )
        verify = extra_options.get("verify", True)
        if verify is not True and not (isinstance(verify, str) and verify):
            raise AepConfigurationError(
                f"extra_options contains verify={verify!r}, but TLS cannot be disabled",
                next_step="Set verify to the path of a CA bundle, or remove it.",
            )
        self._options = dict(extra_options)
        session.proxies = dict(extra_options.get("proxies", {}))
        session.verify = verify
        session.stream = extra_options.get("stream", False)
        return session

    def run_and_check(self, session: Session, prepped_request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """Send a request, replay it once if AEP rejects the token as not valid, and check the response.

        The HTTP provider's method would log the URL of a failed request.
        """
        response = self._send(session, prepped_request)
        if response.status_code == 401 and _body(response).get("error_code") == "401013":
            token = str(prepped_request.headers["Authorization"]).removeprefix("Bearer ")
            SHARED_TOKENS.drop(self.aep.settings.credential_key, token)
            prepped_request.prepare_auth(self._extract_auth(None))
            response = self._send(session, prepped_request)
        if self._options.get("check_response", True):
            self.check_response(response)
        return response

    def _send(self, session: Session, request: PreparedRequest) -> Response:
        settings = (session.proxies, session.stream, session.verify, session.cert)
        environment = session.merge_environment_settings(str(request.url), *settings)
        timeout = self._options.get("timeout", TIMEOUT)
        return session.send(request, timeout=timeout, allow_redirects=False, **environment)

    def check_response(self, response: Response) -> None:
        """Raise if a response is not a success.

        :raises AepPermanentError: a retry cannot succeed; the message has AEP's code and the request id
        :raises AepRetryableError: a retry may succeed
        """
        if 200 <= response.status_code < 300:
            return
        request = response.request
        operation = f"{request.method} {urlsplit(request.url or '').path}"
        where = Where(operation, self.aep.settings.sandbox, request_id=response.headers.get("x-request-id", ""))
        wait = retry_after(response, SystemClock())
        with airflow_errors():
            raise self._mark_ambiguous(service_error(response.status_code, _body(response), where, wait))


class _IdentityAuth(AuthBase):
    """Adds token and identity headers to requests for the connection's host, and rejects other hosts."""

    def __init__(self, aep: AepHook) -> None:
        self._aep = aep

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        settings: AepSettings = self._aep.settings
        url = str(request.url)
        if not url.startswith((f"{settings.platform_url}/", f"{settings.platform_url}?")):
            raise AepHostNotAllowedError(
                f"The request is for {urlsplit(url).netloc}, which is not the host of the connection",
                next_step="Set endpoint to a path without a host.",
            )
        with self._aep.get_conn() as client:
            request.headers.update(client.identity_headers())
        return request


def _is_certificate_error(e: BaseException | None) -> bool:
    """Return whether a certificate was rejected; an interrupted handshake is no such error."""
    while e is not None:
        if isinstance(e, SSLCertVerificationError):
            return True
        inner = next((a for a in (*e.args, getattr(e, "reason", None)) if isinstance(a, BaseException)), None)
        e = inner or e.__cause__ or e.__context__
    return False


def _body(response: Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def check_endpoint(endpoint: object) -> None:
    """Raise if an endpoint is an absolute URL, because the token is sent only to the connection's host.

    :raises AepConfigurationError: the endpoint is an absolute URL
    """
    if isinstance(endpoint, str) and ("://" in endpoint.split("?")[0] or endpoint.lstrip().startswith(("//", "\\"))):
        raise AepConfigurationError(
            f"endpoint is {endpoint.split('?')[0]!r}, which is an absolute URL",
            next_step="Set endpoint to path and query; the host is that of the connection.",
        )


def check_arguments(endpoint: str, deferrable: bool, others: dict[str, Any]) -> None:
    """Raise while the DAG is parsed if the arguments of an operator or sensor are invalid.

    :param others: the other keyword arguments
    :raises ValueError: Airflow shows it as an import error
    """
    if deferrable:
        raise ValueError(
            "deferrable is True, but the HTTP provider's trigger cannot authenticate with AEP. "
            "Next step: Remove deferrable."
        )
    if names := {"http_conn_id", "auth_type"} & set(others):
        raise ValueError(
            f"{', '.join(sorted(names))} is set, but aep_conn_id defines connection and authentication. "
            f"Next step: Remove {', '.join(sorted(names))}."
        )
    try:
        check_endpoint(endpoint)
    except AepConfigurationError as e:
        raise ValueError(str(e)) from None
