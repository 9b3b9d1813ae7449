"""Requests to AEP as values: :class:`Call` holds one request and the parser of its response. No I/O happens here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlsplit

T = TypeVar("T")
U = TypeVar("U")


class Safety(Enum):
    """Whether a client may send a call again after a lost response. Each ``CREATE`` adds an object or an entry."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    CREATE = "create"


@dataclass(frozen=True)
class Response:
    """The content of a successful response.

    :param status: HTTP status
    :param body: the parsed JSON; ``None`` if the content is not JSON
    :param text: the content if it is not JSON; otherwise empty
    """

    status: int
    body: Any
    text: str = ""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and the parser of its response.

    :param operation: ``METHOD resource`` for logs and errors, without ids and secrets
    :param method: HTTP method
    :param path: encoded path below the platform URL
    :param read: parses a successful response into the result; any exception means an undocumented shape
    :param safety: whether the call may be sent again after a lost response
    :param query: query parameters, not encoded
    :param body: JSON of the request; ``None`` sends no content
    :param headers: headers besides those that each request has
    :param before_send: called before each attempt, also before the attempts of a retry
    """

    operation: str
    method: str
    path: str
    read: Callable[[Response], T]
    safety: Safety
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    before_send: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def then(self, transform: Callable[[T], U]) -> Call[U]:
        """Return the same request with a transformed result.

        :param transform: takes the result of this call
        """
        return replace(self, read=lambda answer: transform(self.read(answer)))  # type: ignore[arg-type,return-value]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list.

    :param items: the parsed entries
    :param next: takes this page's call and returns the call of the next page; ``None`` on the last page
    """

    items: list[T]
    next: Callable[[Call[Page[T]]], Call[Page[T]]] | None = None


def by_link(href: str, base: str) -> Callable[[Call[T]], Call[T]]:
    """Return a function from a call to the call of the next page, whose link the response contains.

    Only the path and query of the link are used, so that the token is sent only to the configured host.

    :param href: the link, absolute or relative
    :param base: the service's base path, for a relative link
    """
    parts = urlsplit(href)
    path = parts.path if parts.path.startswith("/data/foundation/") else f"{base}/{parts.path.lstrip('/')}"
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return lambda call: replace(call, path=path, query=query)


def by_offset(size: int) -> Callable[[Call[T]], Call[T]]:
    """Return a function from a call to the call of the next page, whose ``start`` is ``size`` items later."""

    def next_call(call: Call[T]) -> Call[T]:
        query = dict(call.query)
        return replace(call, query=tuple({**query, "start": str(int(query["start"]) + size)}.items()))

    return next_call
