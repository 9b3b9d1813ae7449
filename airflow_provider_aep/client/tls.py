"""TLS settings: one context with the trusted certificates, which all clients of a process share."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from ssl import SSLContext


def shared_tls_context() -> SSLContext:
    """Return the context that verifies servers' certificates, as httpx builds it from the environment.

    Building it takes 50 ms, which would block a triggerer's event loop. So it is cached by the environment variables
    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.
    """
    return _build_tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _build_tls_context(*_: str | None) -> SSLContext:
    return httpx.create_ssl_context()
