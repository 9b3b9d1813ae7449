"""The one place that names the HTTP library, so that another one can take its place."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from httpx import (
    AsyncBaseTransport,
    AsyncClient,
    AsyncHTTPTransport,
    Auth,
    BaseTransport,
    Client,
    ConnectError,
    ConnectTimeout,
    HTTPTransport,
    Limits,
    MockTransport,
    PoolTimeout,
    Request,
    RequestError,
    Response,
    Timeout,
    create_ssl_context,
)

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "AsyncBaseTransport",
    "AsyncClient",
    "AsyncHTTPTransport",
    "Auth",
    "BaseTransport",
    "Client",
    "ConnectError",
    "ConnectTimeout",
    "HTTPTransport",
    "Limits",
    "MockTransport",
    "PoolTimeout",
    "Request",
    "RequestError",
    "Response",
    "Timeout",
    "trusted",
]


def trusted() -> SSLContext:
    """The certificates that servers are checked by, as the library finds them, read once in a process: that takes
    50 ms, and a triggerer's loop would stand still meanwhile."""
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(*_: str | None) -> SSLContext:
    return create_ssl_context()
