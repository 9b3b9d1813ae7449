"""Synchronous and asynchronous clients of AEP: they send calls, retry them, and raise typed errors.

Both clients share :class:`_Plan`, so that each rule exists once.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from airflow_provider_aep import __version__
from airflow_provider_aep.client import retries
from airflow_provider_aep.client.auth import (
    IDENTITY_HEADERS,
    SHARED_TOKENS,
    TIMEOUT,
    TOKEN_PATH,
    ImsAuth,
    TokenCache,
    retry_after,
)
from airflow_provider_aep.client.call import Call, Page, Response, Safety
from airflow_provider_aep.client.clock import Clock, SystemClock
from airflow_provider_aep.client.errors import (
    AepError,
    AepLostResponseError,
    AepResponseError,
    AepUnavailableError,
    AepUnreachableError,
    Where,
    service_error,
)
from airflow_provider_aep.client.retries import DEADLINE
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.client.tls import shared_tls_context

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_PAGES = 1000
"""Pages after which a list counts as endless."""

_TOKEN: Call[None] = Call("POST token", "POST", TOKEN_PATH, lambda _: None, Safety.READ)


class _Plan:
    """The rules of both clients: request options, parsing of responses, errors and retries. It does no I/O.

    :ivar clock_offset: seconds by which AEP's clock is ahead of ours
    """

    def __init__(
        self, settings: AepSettings, clock: Clock, tokens: TokenCache, on_token: Callable[[str], Any], deadline: float
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.deadline = deadline
        self.clock_offset = 0.0
        self.timeout = {**TIMEOUT, "connect": min(10.0, deadline), "read": min(60.0, deadline)}
        self.auth = ImsAuth(settings, clock, tokens, on_token, self.timeout)

    def http_options(self) -> dict[str, Any]:
        return {
            "base_url": self.settings.platform_url,
            "auth": self.auth,
            "timeout": httpx.Timeout(**self.timeout),
            "follow_redirects": False,
            "verify": shared_tls_context(),
            "headers": {"User-Agent": f"airflow-provider-aep/{__version__}"},
        }

    def request_options(self, call: Call[Any]) -> dict[str, Any]:
        options: dict[str, Any] = {
            "headers": {"Accept": "application/json", "x-request-id": str(uuid.uuid4()), **dict(call.headers)}
        }
        if call.query:
            options["params"] = list(call.query)
        if call.body is not None:
            options["json"] = call.body
        return options

    def where(self, call: Call[Any], request_id: str = "") -> Where:
        return Where(call.operation, self.settings.sandbox, request_id=request_id)

    def read(self, call: Call[T], response: httpx.Response) -> T:
        """Return the result of a call, or raise the typed error of its response."""
        where = self.where(call, response.headers.get("x-request-id", response.request.headers["x-request-id"]))
        self._update_clock_offset(response)
        try:
            body = response.json()
        except ValueError:
            body = None
        if not response.is_success:
            error = service_error(response.status_code, body, where, retry_after(response, self.clock))
            if isinstance(error, AepUnavailableError):
                raise self.mark_ambiguous(call, error)
            raise error
        try:
            return call.read(Response(response.status_code, body, response.text if body is None else ""))
        except AepError:
            raise
        except Exception as e:
            # The exception's text may quote the content, which may hold rows. Its type is sufficient.
            shape_error = AepResponseError(
                f"The response of AEP has an undocumented shape ({type(e).__name__})",
                where=replace(where, status=response.status_code),
                next_step="Report the operation and the request id to the maintainers of this provider.",
            )
            raise self.mark_ambiguous(call, shape_error) from None

    def _update_clock_offset(self, response: httpx.Response) -> None:
        """Compare the clocks by the ``Date`` header, whose resolution is one second."""
        with suppress(KeyError, ValueError):
            self.clock_offset = parsedate_to_datetime(response.headers["date"]).timestamp() - self.clock.now()

    def transport_error(self, call: Call[Any], error: httpx.RequestError) -> AepError:
        """Return the typed error for a request without a response; it depends on whether the call was sent."""
        request = error.request
        where = self.where(call, request.headers.get("x-request-id", ""))  # a token request has no such header
        is_unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        host, reason = request.url.netloc.decode(), type(error).__name__
        if is_unsent or request.url.path == TOKEN_PATH:
            return AepUnreachableError(
                f"The host {host} cannot be reached ({reason})",
                where=where,
                next_step="Check the network, the proxy and the URLs of the connection.",
            )
        interruption = AepUnavailableError(
            f"The connection to {host} was interrupted ({reason})", where=where, next_step="Try again later."
        )
        return self.mark_ambiguous(call, interruption)

    def mark_ambiguous(self, call: Call[Any], cause: AepError) -> AepError:
        """Return the error of a lost response if AEP may have executed a create; otherwise ``cause``."""
        # guard: never resend a create
        if call.safety is not Safety.CREATE:
            return cause
        return AepLostResponseError(
            f"The response to {call.operation} was lost, so AEP may have executed the request: {cause.message}",
            where=cause.where,
            next_step="Retry the task: it looks for the object before it sends another create.",
            retry_after=cause.retry_after,
        )

    def retry_options(self, call: Call[Any]) -> dict[str, Any]:
        """Return tenacity's options for a call; see :mod:`~airflow_provider_aep.client.retries`."""
        return retries.retry_options(call, self.clock, self.deadline)


class AepClient:
    """Synchronous client: sends calls and returns typed results.

    :param clock: default: the clock of the operating system
    :param tokens: the token cache; default: that of the process
    :param on_token: called with every new token, so that the caller can mask it in logs
    :param deadline: seconds after which a call is no longer retried
    :param transport: how httpx sends requests; default: over the network
    """

    def __init__(
        self,
        settings: AepSettings,
        *,
        clock: Clock | None = None,
        tokens: TokenCache = SHARED_TOKENS,
        on_token: Callable[[str], None] = lambda _: None,
        deadline: float = DEADLINE,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare the client; no request is sent."""
        self.clock = clock or SystemClock()
        self.settings = settings
        self._plan = _Plan(settings, self.clock, tokens, on_token, deadline)
        self._http = httpx.Client(transport=transport, **self._plan.http_options())

    def send(self, call: Call[T]) -> T:
        """Send one call, and return its result.

        :raises AepError: the typed error of the failure, after the retries that the call's safety permits
        """
        return Retrying(sleep=self.clock.sleep, **self._plan.retry_options(call))(self._send_once, call)

    def _send_once(self, call: Call[T]) -> T:
        if call.before_send:
            call.before_send()
        try:
            response = self._http.request(call.method, call.path, **self._plan.request_options(call))
        except httpx.RequestError as e:
            raise self._plan.transport_error(call, e) from None
        return self._plan.read(call, response)

    def server_now(self) -> float:
        """Return AEP's time in seconds since the epoch; the local time before AEP's first response."""
        return self.clock.now() + self._plan.clock_offset

    def identity_headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request, for another HTTP client.

        :raises AepCredentialsError: IMS rejected the credentials
        :raises AepUnreachableError: IMS is not available
        """
        return Retrying(sleep=self.clock.sleep, **self._plan.retry_options(_TOKEN))(self._request_identity)

    def _request_identity(self) -> dict[str, str]:
        request = self._http.build_request("GET", "/")
        flow = self._plan.auth.sync_auth_flow(request)
        next_request = next(flow)
        try:
            while next_request is not request:
                next_request = flow.send(self._http.send(next_request, auth=None))
        except httpx.RequestError as e:
            raise self._plan.transport_error(_TOKEN, e) from None
        finally:
            flow.close()
        return {name: request.headers[name] for name in IDENTITY_HEADERS}

    def items(self, call: Call[Page[T]]) -> Iterator[T]:
        """Yield the entries of a list, page by page.

        :raises AepResponseError: the list does not end after ``MAX_PAGES`` pages
        """
        for _ in range(MAX_PAGES):
            page = self.send(call)
            yield from page.items
            if page.next is None:
                return
            call = page.next(call)
        raise endless_list_error(self._plan.where(call))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> AepClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAepClient:
    """Asynchronous client: sends calls on the event loop that first uses it.

    The parameters are those of :class:`AepClient`.

    :param on_token: may return an awaitable, which the client awaits
    """

    def __init__(
        self,
        settings: AepSettings,
        *,
        clock: Clock | None = None,
        tokens: TokenCache = SHARED_TOKENS,
        on_token: Callable[[str], Any] = lambda _: None,
        deadline: float = DEADLINE,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare the client; no request is sent."""
        self.clock = clock or SystemClock()
        self.settings = settings
        self._plan = _Plan(settings, self.clock, tokens, on_token, deadline)
        self._http = httpx.AsyncClient(transport=transport, **self._plan.http_options())

    async def send(self, call: Call[T]) -> T:
        """Send one call, and return its result; see :meth:`AepClient.send`."""
        return await AsyncRetrying(sleep=self.clock.asleep, **self._plan.retry_options(call))(self._send_once, call)

    async def _send_once(self, call: Call[T]) -> T:
        if call.before_send:
            call.before_send()
        try:
            response = await self._http.request(call.method, call.path, **self._plan.request_options(call))
        except httpx.RequestError as e:
            raise self._plan.transport_error(call, e) from None
        return self._plan.read(call, response)

    def server_now(self) -> float:
        """Return AEP's time in seconds since the epoch; see :meth:`AepClient.server_now`."""
        return self.clock.now() + self._plan.clock_offset

    async def items(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Yield the entries of a list; see :meth:`AepClient.items`."""
        for _ in range(MAX_PAGES):
            page = await self.send(call)
            for item in page.items:
                yield item
            if page.next is None:
                return
            call = page.next(call)
        raise endless_list_error(self._plan.where(call))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncAepClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def endless_list_error(where: Where) -> AepResponseError:
    """Return the error for a list with more than ``MAX_PAGES`` pages."""
    return AepResponseError(
        f"The list does not end after {MAX_PAGES} pages", where=where, next_step="Set a filter that matches less."
    )
