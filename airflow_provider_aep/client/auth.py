"""IMS tokens (OAuth server-to-server): fetched once, shared, refreshed early, replayed once.

Source: "Authenticate and access Experience Platform APIs". A token lives 24 hours; there is no refresh token.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_aep.client._http import Auth, Request, Response
from airflow_provider_aep.client.clock import Clock
from airflow_provider_aep.client.errors import AepAnswerError, Where, ims_error
from airflow_provider_aep.client.settings import AepSettings

TOKEN_PATH = "/ims/token/v3"
REFRESH_EARLY = 300.0
"""Seconds before its end at which a token is no longer used."""

SIGNATURE = ("Authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")
"""The headers that say who asks, and for which sandbox."""

TIMEOUT: Mapping[str, float] = {"connect": 10.0, "read": 60.0, "write": 30.0, "pool": 60.0}
_ATTEMPTS = 2  # the request, and one replay with another token
_MILLISECONDS_ABOVE = 1_000_000  # no token lives eleven days, so a larger expires_in is in milliseconds


@dataclass(frozen=True)
class Token:
    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""


class HasHeaders(Protocol):
    """A response of any HTTP library."""

    @property
    def headers(self) -> Mapping[str, str]: ...


class TokenCache:
    """Tokens by credential, for one process, and the locks under which one is fetched. It fetches nothing itself."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._guard = threading.Lock()
        self._locks: defaultdict[tuple[str, ...], threading.Lock] = defaultdict(threading.Lock)
        self._loop_locks: dict[asyncio.AbstractEventLoop, defaultdict[tuple[str, ...], asyncio.Lock]] = {}

    def lock(self, key: tuple[str, ...]) -> threading.Lock:
        """Held by the thread that fetches a token for ``key``."""
        with self._guard:
            return self._locks[key]

    def loop_lock(self, key: tuple[str, ...]) -> asyncio.Lock:
        """Held by the coroutine that fetches a token for ``key``; each loop has locks of its own."""
        loop = asyncio.get_running_loop()
        with self._guard:  # each thread may have a loop
            if loop not in self._loop_locks:
                # A lock holds its loop, so closed ones would stay for ever.
                self._loop_locks = {known: locks for known, locks in self._loop_locks.items() if not known.is_closed()}
                self._loop_locks[loop] = defaultdict(asyncio.Lock)
            return self._loop_locks[loop][key]

    def get(self, key: tuple[str, ...], now: float) -> Token | None:
        token = self._tokens.get(key)
        return token if token and now < token.expires_at - REFRESH_EARLY else None

    def put(self, key: tuple[str, ...], token: Token) -> None:
        self._tokens[key] = token

    def drop(self, key: tuple[str, ...], value: str) -> None:
        """Forget ``value``, unless somebody has replaced it already."""
        current = self._tokens.get(key)
        if current and current.value == value:
            del self._tokens[key]


SHARED_TOKENS = TokenCache()
"""Every client of this process shares it: all threads, and all waits on one loop, cost one token a credential."""


class ImsAuth(Auth):
    """Adds a valid token and the identity headers to a request; fetches a token where there is none.

    One replay follows a 401 with code 401013 (token not valid), the only answer that a new token can mend.

    :param on_token: told every token that was fetched, so that it can be masked in logs; awaited on an event loop
    :param timeout: seconds to ``connect``, ``read``, ``write`` and wait for the ``pool``, of a token request
    :raises AepCredentialsError: IMS refused the credentials
    :raises AepUnreachableError: IMS gave no token for the moment
    """

    def __init__(
        self,
        settings: AepSettings,
        clock: Clock,
        cache: TokenCache,
        on_token: Callable[[str], Any] = lambda _: None,
        timeout: Mapping[str, float] = TIMEOUT,
    ) -> None:
        self._settings = settings
        self._timeout = dict(timeout)
        self._key = settings.credential_key
        self._clock = clock
        self._cache = cache
        self._on_token = on_token

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        for _ in range(_ATTEMPTS):
            # The lock spans a yield, in which httpx sends the token request: a thread waits for another's token.
            with self._cache.lock(self._key):
                token = self._cache.get(self._key, self._clock.now())
                if token is None:
                    response = yield self._token_request()
                    response.read()
                    token = self._token_in(response)
                    self._on_token(token.value)
                    self._cache.put(self._key, token)
            self._sign(request, token)
            response = yield request
            if response.status_code != 401:
                return
            response.read()
            if not self._token_was_refused(response, token):
                return

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        for _ in range(_ATTEMPTS):
            async with self._cache.loop_lock(self._key):
                token = self._cache.get(self._key, self._clock.now())
                if token is None:
                    # httpx closes this generator whatever happens, and so the lock.
                    response = yield self._token_request()  # noqa: ASYNC119
                    await response.aread()
                    token = self._token_in(response)
                    told = self._on_token(token.value)
                    if inspect.isawaitable(told):
                        await told
                    self._cache.put(self._key, token)
            self._sign(request, token)
            response = yield request
            if response.status_code != 401:
                return
            await response.aread()
            if not self._token_was_refused(response, token):
                return

    def _token_request(self) -> Request:
        s = self._settings
        return Request(
            "POST",
            f"{s.ims_url}{TOKEN_PATH}",
            data={
                "grant_type": "client_credentials",
                "client_id": s.client_id,
                "client_secret": s.client_secret.get_secret_value(),
                "scope": s.scopes,
            },
            extensions={"timeout": self._timeout},  # httpx gives its own to the outer request only
        )

    def _token_in(self, response: Response) -> Token:
        where = Where("POST token", status=response.status_code)
        try:
            body: Any = response.json()
        except ValueError:
            body = None
        if response.status_code != 200:
            raise ims_error(body, where, retry_after(response, self._clock))
        try:
            value, lifetime = str(body["access_token"]), float(body["expires_in"])
        except (KeyError, TypeError, ValueError):
            raise AepAnswerError(
                "Adobe IMS answered without a token", where=where, next_step="Check the IMS URL of the connection."
            ) from None
        if lifetime > _MILLISECONDS_ABOVE:
            lifetime /= 1000
        return Token(value, self._clock.now() + lifetime)

    def _sign(self, request: Request, token: Token) -> None:
        s = self._settings
        said = (f"Bearer {token.value}", s.client_id, s.org_id, s.sandbox)
        request.headers.update(dict(zip(SIGNATURE, said, strict=True)))

    def _token_was_refused(self, response: Response, token: Token) -> bool:
        try:
            refused = response.json().get("error_code") == "401013"
        except (ValueError, AttributeError):
            refused = False
        if refused:
            self._cache.drop(self._key, token.value)
        return refused


def retry_after(response: HasHeaders, clock: Clock) -> float | None:
    """Seconds that ``Retry-After`` asks to wait (a number or an HTTP date), or ``None``."""
    from email.utils import parsedate_to_datetime

    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - clock.now())
    except (ValueError, OverflowError):
        return None
