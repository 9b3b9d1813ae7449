"""A request to AEP is a value; no I/O happens here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlsplit

T = TypeVar("T")
U = TypeVar("U")


class Safety(Enum):
    """Whether a call may be sent again when its answer was lost; a ``CREATE`` adds something each time."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    CREATE = "create"


@dataclass(frozen=True)
class Answer:
    """A successful answer; ``body`` is its parsed JSON, ``None`` when it is none, and then ``text`` is what it is."""

    status: int
    body: Any
    text: str = ""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request and how to read its answer.

    :param operation: ``METHOD resource`` as a person knows it, for logs and errors; holds no ids or secrets
    :param path: below the platform URL, already encoded
    :param announce: called before each time that it is sent, which may be long after it was given to be sent
    :param read: turns a successful answer into the result; raises anything for a shape it does not know
    """

    operation: str
    method: str
    path: str
    read: Callable[[Answer], T]
    safety: Safety
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    announce: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def then(self, further: Callable[[T], U]) -> Call[U]:
        """The same request, with its result read further."""
        return replace(self, read=lambda answer: further(self.read(answer)))  # type: ignore[arg-type,return-value]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list, and how to make the next page's call from this one's; ``None`` on the last."""

    items: list[T]
    next: Callable[[Call[Page[T]]], Call[Page[T]]] | None = None


def by_link(href: str, base: str) -> Callable[[Call[T]], Call[T]]:
    """Follow a link found in an answer.

    Only its path and query are used: the token goes to no host but the configured one.

    :param base: the service's base path, for a link that is relative to it
    """
    parts = urlsplit(href)
    path = parts.path if parts.path.startswith("/data/foundation/") else f"{base}/{parts.path.lstrip('/')}"
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    return lambda call: replace(call, path=path, query=query)


def by_offset(size: int) -> Callable[[Call[T]], Call[T]]:
    """Move the ``start`` parameter on by ``size`` items."""

    def following(call: Call[T]) -> Call[T]:
        query = dict(call.query)
        return replace(call, query=tuple({**query, "start": str(int(query["start"]) + size)}.items()))

    return following
