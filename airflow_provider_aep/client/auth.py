"""Authentication with Adobe IMS (OAuth server-to-server): token requests, the token cache and the identity headers.

A token is valid for 24 hours, and IMS issues no refresh tokens. Source: "Authenticate and access Experience Platform
APIs".
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from airflow_provider_aep.client.clock import Clock
from airflow_provider_aep.client.errors import AepResponseError, Where, ims_error
from airflow_provider_aep.client.settings import AepSettings

TOKEN_PATH = "/ims/token/v3"
REFRESH_EARLY = 300.0
"""Seconds before the expiry of a token at which the client requests a new one."""

IDENTITY_HEADERS = ("Authorization", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")
"""The headers that identify the credential, the organization and the sandbox of a request."""

TIMEOUT: Mapping[str, float] = {"connect": 10.0, "read": 60.0, "write": 30.0, "pool": 60.0}
"""Seconds to connect, read, write and wait for a free connection, by httpx's name of the timeout."""

_ATTEMPTS = 2  # the request, and one replay with a new token
_MILLISECONDS_ABOVE = 1_000_000  # no token is valid for eleven days, so a larger expires_in is in milliseconds
_TOKEN_NOT_VALID = "401013"  # AEP's code for the only 401 that a new token can resolve


@dataclass(frozen=True)
class Token:
    """An access token, with its expiry."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""


class HasHeaders(Protocol):
    """A response of any HTTP library."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, as a mapping that ignores case."""


class TokenCache:
    """Tokens of one process by credential, and the locks that serialize token requests.

    The cache itself sends no requests.
    """

    def __init__(self) -> None:
        """Create an empty cache."""
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._guard = threading.Lock()
        self._locks: defaultdict[tuple[str, ...], threading.Lock] = defaultdict(threading.Lock)
        self._loop_locks: dict[asyncio.AbstractEventLoop, defaultdict[tuple[str, ...], asyncio.Lock]] = {}

    def lock(self, key: tuple[str, ...]) -> threading.Lock:
        """Return the lock that a thread holds while it requests a token.

        :param key: the credential, see :attr:`.AepSettings.credential_key`
        """
        with self._guard:
            return self._locks[key]

    def loop_lock(self, key: tuple[str, ...]) -> asyncio.Lock:
        """Return the lock that a coroutine holds while it requests a token; each event loop has separate locks.

        :param key: the credential, see :attr:`.AepSettings.credential_key`
        """
        loop = asyncio.get_running_loop()
        with self._guard:  # each thread may run an event loop
            if loop not in self._loop_locks:
                # A lock refers to its loop, so the locks of closed loops would keep these in memory.
                self._loop_locks = {other: locks for other, locks in self._loop_locks.items() if not other.is_closed()}
                self._loop_locks[loop] = defaultdict(asyncio.Lock)
            return self._loop_locks[loop][key]

    def get(self, key: tuple[str, ...], now: float) -> Token | None:
        """Return a token that is valid for at least ``REFRESH_EARLY`` seconds; ``None`` without one.

        :param now: seconds since the epoch
        """
        token = self._tokens.get(key)
        return token if token and now < token.expires_at - REFRESH_EARLY else None

    def put(self, key: tuple[str, ...], token: Token) -> None:
        """Store a token."""
        self._tokens[key] = token

    def drop(self, key: tuple[str, ...], value: str) -> None:
        """Remove a token that AEP rejected, unless another thread has already replaced it.

        :param value: the rejected token
        """
        current = self._tokens.get(key)
        if current and current.value == value:
            del self._tokens[key]


SHARED_TOKENS = TokenCache()
"""Shared by all clients of this process, so that each credential needs one token request."""


class ImsAuth(httpx.Auth):
    """httpx authentication that adds a valid token and the identity headers, and requests a token when it has none.

    A 401 with code 401013 (token not valid) is replayed once with a new token. A new token resolves no other 401.

    :param on_token: called with every new token, so that the caller can mask it in logs; awaited on an event loop
    :param timeout: seconds of a token request to ``connect``, ``read``, ``write`` and wait for the ``pool``
    :raises AepCredentialsError: IMS rejected the credentials
    :raises AepUnreachableError: IMS is not available
    """

    def __init__(
        self,
        settings: AepSettings,
        clock: Clock,
        cache: TokenCache,
        on_token: Callable[[str], Any] = lambda _: None,
        timeout: Mapping[str, float] = TIMEOUT,
    ) -> None:
        """Keep the settings; no request is sent."""
        self._settings = settings
        self._timeout = dict(timeout)
        self._key = settings.credential_key
        self._clock = clock
        self._cache = cache
        self._on_token = on_token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Yield the token request, if one is needed, and the request with its identity headers."""
        for _ in range(_ATTEMPTS):
            # The lock spans the yield in which httpx sends the token request, so that other threads wait for it.
            with self._cache.lock(self._key):
                token = self._cache.get(self._key, self._clock.now())
                if token is None:
                    response = yield self._token_request()
                    response.read()
                    token = self._parse_token(response)
                    self._on_token(token.value)
                    self._cache.put(self._key, token)
            self._add_identity(request, token)
            response = yield request
            if response.status_code != 401:
                return
            response.read()
            if not self._is_token_rejected(response, token):
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield the same requests as :meth:`sync_auth_flow`, on an event loop."""
        for _ in range(_ATTEMPTS):
            async with self._cache.loop_lock(self._key):
                token = self._cache.get(self._key, self._clock.now())
                if token is None:
                    # httpx always closes this generator, which releases the lock.
                    response = yield self._token_request()  # noqa: ASYNC119
                    await response.aread()
                    token = self._parse_token(response)
                    result = self._on_token(token.value)
                    if inspect.isawaitable(result):
                        await result
                    self._cache.put(self._key, token)
            self._add_identity(request, token)
            response = yield request
            if response.status_code != 401:
                return
            await response.aread()
            if not self._is_token_rejected(response, token):
                return

    def _token_request(self) -> httpx.Request:
        s = self._settings
        return httpx.Request(
            "POST",
            f"{s.ims_url}{TOKEN_PATH}",
            data={
                "grant_type": "client_credentials",
                "client_id": s.client_id,
                "client_secret": s.client_secret.get_secret_value(),
                "scope": s.scopes,
            },
            extensions={"timeout": self._timeout},  # httpx applies the client's timeout only to the outer request
        )

    def _parse_token(self, response: httpx.Response) -> Token:
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
            raise AepResponseError(
                "The response of Adobe IMS contains no token",
                where=where,
                next_step="Check ims_url in the extra of the connection.",
            ) from None
        if lifetime > _MILLISECONDS_ABOVE:
            lifetime /= 1000
        return Token(value, self._clock.now() + lifetime)

    def _add_identity(self, request: httpx.Request, token: Token) -> None:
        s = self._settings
        values = (f"Bearer {token.value}", s.client_id, s.org_id, s.sandbox)
        request.headers.update(dict(zip(IDENTITY_HEADERS, values, strict=True)))

    def _is_token_rejected(self, response: httpx.Response, token: Token) -> bool:
        """Return whether AEP rejected the token as not valid; such a token is removed from the cache."""
        try:
            is_rejected = response.json().get("error_code") == _TOKEN_NOT_VALID
        except (ValueError, AttributeError):
            is_rejected = False
        if is_rejected:
            self._cache.drop(self._key, token.value)
        return is_rejected


def retry_after(response: HasHeaders, clock: Clock) -> float | None:
    """Return the seconds of a ``Retry-After`` header (a number or an HTTP date); ``None`` without a valid one."""
    from email.utils import parsedate_to_datetime

    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - clock.now())
    except (ValueError, OverflowError):
        return None
