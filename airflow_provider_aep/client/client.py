"""Sends calls, sync or async: one plan for both, so that no rule is written twice."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_exponential_jitter

from airflow_provider_aep import __version__
from airflow_provider_aep.client import _http
from airflow_provider_aep.client.auth import (
    SHARED_TOKENS,
    SIGNATURE,
    TIMEOUT,
    TOKEN_PATH,
    ImsAuth,
    TokenCache,
    retry_after,
)
from airflow_provider_aep.client.call import Answer, Call, Page, Safety
from airflow_provider_aep.client.clock import Clock, SystemClock
from airflow_provider_aep.client.errors import (
    AepAnswerError,
    AepAnswerLostError,
    AepError,
    AepThrottledError,
    AepUnavailableError,
    AepUnreachableError,
    Where,
    service_error,
)
from airflow_provider_aep.client.settings import AepSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

DEADLINE = 120.0
"""Seconds after which a call is no longer retried."""

MAX_PAGES = 1000
_TOKEN: Call[None] = Call("POST token", "POST", TOKEN_PATH, lambda _: None, Safety.READ)
_BACKOFF = wait_exponential_jitter(initial=1, max=30)


class _Plan:
    """Everything about sending that does not depend on how bytes travel."""

    def __init__(
        self, settings: AepSettings, clock: Clock, tokens: TokenCache, on_token: Callable[[str], Any], deadline: float
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.deadline = deadline
        self.ahead = 0.0
        self.timeout = {**TIMEOUT, "connect": min(10.0, deadline), "read": min(60.0, deadline)}
        self.auth = ImsAuth(settings, clock, tokens, on_token, self.timeout)

    def http_options(self) -> dict[str, Any]:
        return {
            "base_url": self.settings.platform_url,
            "auth": self.auth,
            "timeout": _http.Timeout(**self.timeout),
            "follow_redirects": False,
            "verify": _http.trusted(),
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

    def read(self, call: Call[T], response: _http.Response) -> T:
        """The typed result of a response, or the typed error."""
        where = self.where(call, response.headers.get("x-request-id", response.request.headers["x-request-id"]))
        self._read_clock(response)
        try:
            body = response.json()
        except ValueError:
            body = None
        if not response.is_success:
            error = service_error(response.status_code, body, where, retry_after(response, self.clock))
            raise self.lost(call, error) if isinstance(error, AepUnavailableError) else error
        try:
            return call.read(Answer(response.status_code, body, response.text if body is None else ""))
        except AepError:
            raise
        except Exception as e:
            # The cause may quote the body; its type is enough to act on.
            answer_error = AepAnswerError(
                f"AEP answered in a shape that is not documented ({type(e).__name__})",
                where=replace(where, status=response.status_code),
                next_step="Report it with the request id.",
            )
            raise self.lost(call, answer_error) from None

    def _read_clock(self, response: _http.Response) -> None:
        """How far the server's clock is ahead of ours, by its ``Date`` header; it tells whole seconds."""
        with suppress(KeyError, ValueError):
            self.ahead = parsedate_to_datetime(response.headers["date"]).timestamp() - self.clock.now()

    def transport_error(self, call: Call[Any], error: _http.RequestError) -> AepError:
        """The typed error for an answer that did not arrive, by whether the call was sent."""
        request = error.request
        where = self.where(call, request.headers.get("x-request-id", ""))  # a token request has none
        unsent = isinstance(error, _http.ConnectError | _http.ConnectTimeout | _http.PoolTimeout)
        reason = f"{request.url.netloc.decode()} ({type(error).__name__})"
        if unsent or request.url.path == TOKEN_PATH:
            step = "Check network, proxy and the URL in the connection."
            return AepUnreachableError(f"No answer from {reason}", where=where, next_step=step)
        broken = AepUnavailableError(f"The connection broke to {reason}", where=where, next_step="Try again later.")
        return self.lost(call, broken)

    def lost(self, call: Call[Any], cause: AepError) -> AepError:
        """``cause``, unless it leaves open whether a create was carried out."""
        if call.safety is not Safety.CREATE:
            return cause
        return AepAnswerLostError(
            f"{call.operation} may have been carried out, its answer was lost: {cause.message}",
            where=cause.where,
            next_step="A retry of the task looks for what exists before it writes again.",
            retry_after=cause.retry_after,
        )

    def retrying(self, call: Call[Any]) -> dict[str, Any]:
        """How tenacity retries this call, on our clock.

        A create is sent again only if the server surely did nothing with it: no connection, or refused by throttling.
        """
        started = self.clock.now()

        def again(error: BaseException) -> bool:
            if isinstance(error, AepUnreachableError | AepThrottledError):
                return True
            return isinstance(error, AepUnavailableError) and call.safety is not Safety.CREATE

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, AepError) else None
            return max(asked or 0.0, _BACKOFF(state))

        def stop(state: RetryCallState) -> bool:
            return self.clock.now() - started + state.upcoming_sleep > self.deadline

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            log.warning("%s; trying again in %.0f s", error, state.upcoming_sleep)

        return {"retry": retry_if_exception(again), "wait": wait, "stop": stop, "before_sleep": tell, "reraise": True}


class AepClient:
    """Sends calls and gives typed results, synchronously.

    :param deadline: seconds after which a call is no longer retried
    :param on_token: told every token that was fetched, so that it can be masked in logs
    """

    def __init__(
        self,
        settings: AepSettings,
        *,
        clock: Clock | None = None,
        tokens: TokenCache = SHARED_TOKENS,
        on_token: Callable[[str], None] = lambda _: None,
        deadline: float = DEADLINE,
        transport: _http.BaseTransport | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.settings = settings
        self._plan = _Plan(settings, self.clock, tokens, on_token, deadline)
        self._http = _http.Client(transport=transport, **self._plan.http_options())

    def send(self, call: Call[T]) -> T:
        """Send one call.

        :raises AepError: of the type that fits the failure, after the retries that the call's safety allows
        """
        return Retrying(sleep=self.clock.sleep, **self._plan.retrying(call))(self._send_once, call)

    def _send_once(self, call: Call[T]) -> T:
        if call.announce:
            call.announce()
        try:
            response = self._http.request(call.method, call.path, **self._plan.request_options(call))
        except _http.RequestError as e:
            raise self._plan.transport_error(call, e) from None
        return self._plan.read(call, response)

    def server_now(self) -> float:
        """The server's time in seconds since the epoch; ours, as long as it has not answered."""
        return self.clock.now() + self._plan.ahead

    def identity(self) -> dict[str, str]:
        """The headers that sign a request, for a client that is not ours.

        :raises AepCredentialsError: IMS refused the credentials
        :raises AepUnreachableError: IMS gave no token for the moment
        """
        return Retrying(sleep=self.clock.sleep, **self._plan.retrying(_TOKEN))(self._signed)

    def _signed(self) -> dict[str, str]:
        request = self._http.build_request("GET", "/")
        flow = self._plan.auth.sync_auth_flow(request)
        sent = next(flow)
        try:
            while sent is not request:
                sent = flow.send(self._http.send(sent, auth=None))
        except _http.RequestError as e:
            raise self._plan.transport_error(_TOKEN, e) from None
        finally:
            flow.close()
        return {name: request.headers[name] for name in SIGNATURE}

    def items(self, call: Call[Page[T]]) -> Iterator[T]:
        """Every item of a list, page after page, at most ``MAX_PAGES`` pages."""
        for _ in range(MAX_PAGES):
            page = self.send(call)
            yield from page.items
            if page.next is None:
                return
            call = page.next(call)
        raise _endless(self._plan, call)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> AepClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAepClient:
    """Sends the same calls on an event loop; belongs to the loop that first used it.

    :param on_token: as for :class:`AepClient`; what it returns is awaited, if it can be
    """

    def __init__(
        self,
        settings: AepSettings,
        *,
        clock: Clock | None = None,
        tokens: TokenCache = SHARED_TOKENS,
        on_token: Callable[[str], Any] = lambda _: None,
        deadline: float = DEADLINE,
        transport: _http.AsyncBaseTransport | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.settings = settings
        self._plan = _Plan(settings, self.clock, tokens, on_token, deadline)
        self._http = _http.AsyncClient(transport=transport, **self._plan.http_options())

    async def send(self, call: Call[T]) -> T:
        """Send one call; see :meth:`AepClient.send`."""
        return await AsyncRetrying(sleep=self.clock.asleep, **self._plan.retrying(call))(self._send_once, call)

    async def _send_once(self, call: Call[T]) -> T:
        if call.announce:
            call.announce()
        try:
            response = await self._http.request(call.method, call.path, **self._plan.request_options(call))
        except _http.RequestError as e:
            raise self._plan.transport_error(call, e) from None
        return self._plan.read(call, response)

    def server_now(self) -> float:
        """See :meth:`AepClient.server_now`."""
        return self.clock.now() + self._plan.ahead

    async def items(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Every item of a list; see :meth:`AepClient.items`."""
        for _ in range(MAX_PAGES):
            page = await self.send(call)
            for item in page.items:
                yield item
            if page.next is None:
                return
            call = page.next(call)
        raise _endless(self._plan, call)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncAepClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _endless(plan: _Plan, call: Call[Any]) -> AepAnswerError:
    return AepAnswerError(
        f"A list did not end after {MAX_PAGES} pages", where=plan.where(call), next_step="Narrow the filter."
    )
