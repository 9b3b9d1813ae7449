"""Any endpoint of AEP through Airflow's HTTP provider, with our authentication, headers and errors."""

from __future__ import annotations

from collections.abc import Mapping
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.http.hooks.http import HttpHook
from requests import PreparedRequest, Response, Session
from requests import exceptions as broken
from requests.auth import AuthBase
from urllib3.exceptions import NewConnectionError

from airflow_provider_aep.client.auth import SHARED_TOKENS, retry_after
from airflow_provider_aep.client.clock import SystemClock
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepError,
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

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
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
        self._options: dict[str, Any] = {}

    @classmethod
    def of(cls, task: Any) -> AepHttpHook:
        """For an operator or sensor of the HTTP provider, with its settings of TCP."""
        names = ("tcp_keep_alive", "tcp_keep_alive_idle", "tcp_keep_alive_count", "tcp_keep_alive_interval")
        return cls(task.method, task.aep_conn_id, **{name: getattr(task, name) for name in names})

    def run(self, endpoint: str | None = None, *args: Any, **kwargs: Any) -> Response:
        """Send one request.

        :param endpoint: path and query, such as ``/data/foundation/catalog/dataSets``
        :raises AepPermanentError: what a retry cannot mend
        :raises AepRetryableError: what it can; of a POST whose answer was lost, AEP may have carried it out
        """
        with airflow_errors():
            checked_endpoint(endpoint)
            _ = self.aep.settings
            try:
                return super().run(endpoint, *args, **kwargs)
            except broken.RequestException as e:
                # Its text may quote the URL, and that a row.
                raise self._transport_error(e, endpoint or "") from None

    def _transport_error(self, e: broken.RequestException, endpoint: str) -> AepError:
        where = Where(f"{self.method} {urlsplit(endpoint).path}", self.aep.settings.sandbox)
        host, kind = urlsplit(self.aep.settings.platform_url).netloc, type(e).__name__
        reason = getattr(e.args[0] if e.args else None, "reason", None)
        if _is_certificate(e):
            step = "Check the connection's host and the CA bundle: TLS stays on."
            return AepConfigurationError(f"The certificate of {host} is not accepted", where=where, next_step=step)
        if isinstance(e, broken.ConnectTimeout | broken.ProxyError) or isinstance(reason, NewConnectionError):
            step = "Check network, proxy and the URL in the connection."
            return AepUnreachableError(f"No answer from {host} ({kind})", where=where, next_step=step)
        if isinstance(e, broken.ConnectionError | broken.Timeout | broken.ChunkedEncodingError):
            said = f"The connection broke to {host} ({kind})"
            return self._lost(AepUnavailableError(said, where=where, next_step="Try again later."))
        return AepConfigurationError(f"The request cannot be sent ({kind})", where=where, next_step="Correct it.")

    def _lost(self, cause: AepError) -> AepError:
        """``cause``, unless it leaves open whether AEP has carried out what must not be done twice."""
        if not isinstance(cause, AepUnavailableError) or self.method in _REPEATABLE:
            return cause
        return AepAnswerLostError(
            f"{self.method} may have been carried out, its answer was lost: {cause.message}",
            where=cause.where,
            next_step="Look before it is sent again.",
            retry_after=cause.retry_after,
        )

    def test_connection(self) -> tuple[bool, str]:
        """See :meth:`.AepHook.test_connection`."""
        return self.aep.test_connection()

    def get_conn(self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None) -> Session:
        with airflow_errors():
            session = super().get_conn(headers, extra_options)
        session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]  # whoever uses the session
        return session

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
        verify = extra_options.get("verify", True)
        if verify is not True and not (isinstance(verify, str) and verify):
            raise AepConfigurationError(
                f"extra_options has verify={verify!r}", next_step="TLS stays on: give a CA bundle's path instead."
            )
        self._options = dict(extra_options)
        session.proxies = dict(extra_options.get("proxies", {}))
        session.verify = verify
        session.stream = extra_options.get("stream", False)
        return session

    def run_and_check(self, session: Session, prepped_request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """Send, once more if the token was refused as not valid, and check the answer.

        The HTTP provider's own logs what went wrong with the URL in it.
        """
        response = self._send(session, prepped_request)
        if response.status_code == 401 and _body(response).get("error_code") == "401013":
            refused = str(prepped_request.headers["Authorization"]).removeprefix("Bearer ")
            SHARED_TOKENS.drop(self.aep.settings.credential_key, refused)
            prepped_request.prepare_auth(self._extract_auth(None))
            response = self._send(session, prepped_request)
        if self._options.get("check_response", True):
            self.check_response(response)
        return response

    def _send(self, session: Session, request: PreparedRequest) -> Response:
        known = (session.proxies, session.stream, session.verify, session.cert)
        environment = session.merge_environment_settings(str(request.url), *known)
        timeout = self._options.get("timeout", TIMEOUT)
        return session.send(request, timeout=timeout, allow_redirects=False, **environment)

    def check_response(self, response: Response) -> None:
        """:raises AepPermanentError, AepRetryableError: anything but a success, with AEP's code and request id"""
        if 200 <= response.status_code < 300:
            return
        request = response.request
        operation = f"{request.method} {urlsplit(request.url or '').path}"
        where = Where(operation, self.aep.settings.sandbox, request_id=response.headers.get("x-request-id", ""))
        wait = retry_after(response, SystemClock())
        with airflow_errors():
            raise self._lost(service_error(response.status_code, _body(response), where, wait))


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


def _is_certificate(e: BaseException | None) -> bool:
    """Whether a certificate was refused; a handshake that broke off is another matter."""
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


def checked_endpoint(endpoint: object) -> None:
    """:raises AepConfigurationError: an absolute URL: the token goes to the connection's host alone"""
    if isinstance(endpoint, str) and ("://" in endpoint.split("?")[0] or endpoint.lstrip().startswith(("//", "\\"))):
        raise AepConfigurationError(
            f"The endpoint {endpoint.split('?')[0]!r} is an absolute URL",
            next_step="Give path and query alone: the host is the connection's.",
        )


def check_arguments(endpoint: str, deferrable: bool, others: dict[str, Any]) -> None:
    """What can never work is told when the DAG is parsed.

    :raises ValueError: so that Airflow shows it as an import error
    """
    if deferrable:
        raise ValueError("deferrable is not possible, leave it out: the HTTP provider's trigger knows no tokens of AEP")
    if names := {"http_conn_id", "auth_type"} & set(others):
        raise ValueError(f"{', '.join(sorted(names))} is not taken: aep_conn_id names connection and authentication")
    try:
        checked_endpoint(endpoint)
    except AepConfigurationError as e:
        raise ValueError(str(e)) from None
