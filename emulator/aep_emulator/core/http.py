"""Requests, replies and routes: the types that every service uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aep_emulator.core.errors import Refusal, problem
from aep_emulator.core.store import Scope
from aep_emulator.core.validation import examine, parsed


@dataclass(frozen=True)
class Request:
    """A request that passed the gateway.

    :param query: all values of each parameter, in order
    :param strict: refuse unknown fields and parameters; otherwise they are warnings
    :param warnings: unknown fields and parameters, for the journal
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    content: bytes
    scope: Scope
    client_id: str = ""
    strict: bool = False
    warnings: list[str] = field(default_factory=list)

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def is_true(self, name: str) -> bool:
        """Return whether a query parameter is ``true``."""
        return self.first(name).lower() == "true"

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a query parameter as an integer; refuse one that is not between ``low`` and ``high``."""
        text = self.first(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise problem(400, "Bad Request", f"{name} must be an integer from {low} to {high}, not {text[:40]!r}")
        return int(text)

    def object(self, empty: Refusal, resource: str) -> dict[str, Any]:
        """Return the body as a JSON object that fits the schema of ``resource``.

        :param empty: the service's error for a missing body
        """
        body = self.json(empty)
        if not isinstance(body, dict):
            raise problem(400, "Bad Request", "The body must be a JSON object")
        self.fits(resource, body)
        return body

    def fits(self, resource: str, body: Any) -> None:
        """Refuse a body with wrong types, and drop or refuse unknown fields."""
        wrong, unknown = examine(resource, body)
        if wrong:
            raise problem(400, "Bad Request", wrong)
        self.unknown("field", [where for where, _, _ in unknown])
        for _, holder, name in unknown:
            del holder[name]

    def unknown(self, what: str, names: Iterable[str]) -> None:
        """Refuse unknown names if the emulator is strict; otherwise add warnings."""
        for name in names:
            if self.strict:
                raise problem(400, "Bad Request", f"unknown {what} {name!r}; a strict emulator refuses it")
            self.warnings.append(f"unknown {what} {name}")

    def json(self, empty: Refusal) -> Any:
        """Return the body as JSON; refuse one that is missing (``empty``) or invalid."""
        if not self.content.strip():
            raise Refusal(empty.status, empty.body)  # a new exception, because an exception keeps its traceback
        try:
            return parsed(self.content)
        except (ValueError, RecursionError):
            raise problem(400, "Bad Request", "The body is not JSON") from None


@dataclass(frozen=True)
class Reply:
    """A response.

    :param text: sent unchanged in place of ``body``; its content type is in ``headers``
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None


class Evidence(StrEnum):
    """The evidence for the behaviour of an operation."""

    SAMPLE = "sample"
    """A request and response in Adobe's documentation, replayed as a test."""
    OPENAPI = "openapi"
    """Only Adobe's OpenAPI file."""
    CLIENT = "client"
    """Only clients that others wrote for AEP."""
    ASSUMED = "assumed"
    """No source describes how AEP answers."""
    ABSENT = "absent"
    """AEP has the operation, and the emulator answers 501."""


Handler = Callable[..., Reply]


READS_BY_POST = ("/search", "/validate", "/preview")


@dataclass(frozen=True)
class Route:
    """One operation. In ``path``, ``{name}`` stands for a segment that becomes an argument of the handler.

    :param evidence: the evidence for its behaviour
    :param source: the page of Adobe's documentation, the OpenAPI file, or the name of the client
    :param query: known parameters; ``None``: all, because each field is a filter
    :param body: the name of its body's schema, if it has a body
    :param headers: required request headers, each with an example
    """

    method: str
    path: str
    handler: Handler
    evidence: Evidence
    source: str
    query: frozenset[str] | None = frozenset()
    body: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it can change something; some reads use POST."""
        return self.method != "GET" and not self.path.endswith(READS_BY_POST)
