"""The one place that names the HTTP library, so that another one can take its place."""

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
)

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
]
