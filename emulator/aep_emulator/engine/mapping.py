"""Mapping sets: their stored form, their validation against a schema, and their application to rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aep_data_prep import (
    CHOICES,
    CompiledMappings,
    EvaluationError,
    Field,
    Grade,
    Kind,
    MappingEntry,
    check,
    field_of,
    parse,
)
from aep_data_prep.errors import ExpressionSyntaxError
from aep_data_prep.mapping import MEDIA_TYPES
from aep_data_prep.syntax import Each, Path, Step, steps_of

REQUIRED_EMPTY = "INGEST-1555-400"
TRANSFORM_FAILED = "MAPPER-3700-400"

_STORED = {Kind.ATTRIBUTE: "text/x.schema-path", Kind.EXPRESSION: "text/x.aep-xl", Kind.STATIC: "STATIC"}

Body = dict[str, Any]


def normal(mapping: Body) -> Body:
    """Return a mapping in the new format; Adobe documents two."""
    source = mapping.get("source", mapping.get("sourceAttribute"))
    kind = mapping.get("sourceType")
    if kind is None:  # the old format names no kind
        kind = Kind.EXPRESSION if isinstance(source, str) and _is_expression(source) else Kind.ATTRIBUTE
    kind = MEDIA_TYPES.get(str(kind).lower(), str(kind).upper())
    return {
        "sourceType": kind,
        "source": source,
        "destination": mapping.get("destination", mapping.get("destinationXdmPath")),
    }


def _is_expression(source: str) -> bool:
    try:
        return not isinstance(parse(source), Path)
    except ExpressionSyntaxError:
        return False  # a column such as "First Name"


def as_stored(mapping: Body) -> Body:
    """Return a mapping with the names of both formats, as AEP does."""
    m = normal(mapping)
    return {
        **m,
        "sourceType": _STORED[Kind(m["sourceType"])],
        "sourceAttribute": m["source"],
        "destinationXdmPath": m["destination"],
        "identity": bool(mapping.get("identity")),
        "primaryIdentity": False,
        "matchScore": 0.0,
        "functionVersion": 1,
    }


def errors_of(mappings: list[Body], schema: Body) -> list[list[Body]]:
    """Return the errors of each mapping against a resolved schema, as Adobe's ``TransformErrorInfo``."""
    shapes = [_shape_error(normal(m)) for m in mappings]
    entries = [_entry(m) for m, wrong in zip(mappings, shapes, strict=True) if not wrong]
    found: dict[str, list[str]] = {}
    for problem in check(entries, schema=field_of(schema), function_names=Grade.WARNING):
        if problem.grade is Grade.ERROR:
            found.setdefault(problem.destination, []).append(str(problem))
    return [
        [error_info(m, message) for message in ([wrong] if wrong else found.get(normal(m)["destination"], []))]
        for m, wrong in zip(mappings, shapes, strict=True)
    ]


def _shape_error(mapping: Body) -> str | None:
    destination, source, kind = mapping["destination"], mapping["source"], mapping["sourceType"]
    if not isinstance(destination, str) or not destination or not isinstance(source, str):
        return "A mapping has a source and a destination, which are texts."
    if kind not in set(Kind):
        return f"sourceType is ATTRIBUTE, EXPRESSION or STATIC, not {str(kind)[:60]!r}."
    return None


def error_info(mapping: Body, message: str) -> Body:
    """Return an error of a mapping, as Adobe's ``TransformErrorInfo``."""
    m = normal(mapping)
    return {
        "destination": m["destination"],
        "exception": message,
        "source": m["source"],
        "columnName": m["source"] if m["sourceType"] == Kind.ATTRIBUTE else None,
        "sourceType": m["sourceType"],
    }


def _entry(mapping: Body) -> MappingEntry:
    m = normal(mapping)
    return MappingEntry(m["destination"], m["source"], Kind(m["sourceType"]))


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason for a rejected row, or for a field that became null."""

    code: str
    field: str
    message: str


@dataclass(slots=True)
class Mapped:
    """The result of a mapping set for one row.

    :param row: nested as the schema is; ``None`` if the row is rejected
    :param faults: the reasons for its rejection, or those for fields that became null
    """

    row: Body | None
    faults: list[Fault] = field(default_factory=list)


class Mapper:
    """Applies a mapping set to rows, and checks them against the resolved target schema.

    A field whose value cannot be transformed becomes null, unless the switch ``transform-error`` rejects its row. A row
    is rejected if a required field is null, or if ``_id`` is mapped and null. It is also rejected if its field does not
    allow a value.

    :param schema: resolved
    :param choices: values of the switches
    :param now: returns the current time
    :param new_id: returns a random id
    """

    def __init__(
        self,
        mappings: list[Body],
        schema: Body,
        choices: Mapping[str, str],
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        entries = [_entry(m) for m in mappings]
        destinations = {e.destination: steps_of(e.destination) for e in entries}
        required = {*schema.get("required", ()), *({"_id"} & destinations.keys())}
        self.schema: Field = field_of({**schema, "required": [*required]})
        self.destinations: Iterable[tuple[Step, ...]] = destinations.values()
        chosen = {name: value for name, value in choices.items() if name in CHOICES}
        self._rejects = chosen.get("transform-error") == "reject"
        self._compiled = CompiledMappings(entries, self.schema, chosen, native_dates=True)
        self._context = {"now": now, "new_id": new_id}
        constraints = {
            (below, message): is_allowed  # once, also if a set writes an object and one of its fields
            for path in destinations.values()
            for below, is_allowed, message in _constraints(_definition(schema, path), path)
        }
        self._constraints = [(path, is_allowed, message) for (path, message), is_allowed in constraints.items()]

    def apply(self, row: Mapping[str, Any]) -> Mapped:
        """Return the mapped row, or the reasons for its rejection."""
        result = self._compiled.apply(row, **self._context)
        faults = [Fault(TRANSFORM_FAILED, e.entry.destination, e.message) for e in result.errors]
        rejected = [Fault(REQUIRED_EMPTY, path, "is required and empty") for path in result.missing]
        for path, is_allowed, message in self._constraints:
            for value in _values(result.data, path):
                if not is_allowed(value):
                    rejected.append(Fault(TRANSFORM_FAILED, _dotted(path), f"{message}: {value!r}"))
        if faults and self._rejects:
            rejected += faults
        return Mapped(None, rejected) if rejected else Mapped(result.data, faults)


def _definition(schema: Body, path: tuple[Step, ...]) -> Body:
    node = schema
    for step in path:
        own = (node.get("properties") or {}).get(step)
        node = own or node.get("items") or node.get("additionalProperties") or {}
        if not isinstance(node, dict):  # additionalProperties may be true
            return {}
    return node


def _values(value: Any, path: tuple[Step, ...]) -> Iterator[Any]:
    """Yield the values at a path, without null."""
    for n, step in enumerate(path):
        if isinstance(step, Each):
            for item in value.values() if value.__class__ is dict else value if value.__class__ is list else ():
                yield from _values(item, path[n + 1 :])
            return
        if value.__class__ is dict:
            value = value.get(step)
        else:
            value = value[step] if value.__class__ is list and step.__class__ is int and step < len(value) else None
    if value is not None:
        yield value


def _dotted(path: tuple[Step, ...]) -> str:
    return "".join("[*]" if isinstance(s, Each) else f"[{s}]" if isinstance(s, int) else f".{s}" for s in path)[1:]


def _constraints(
    definition: Any, path: tuple[Step, ...]
) -> Iterator[tuple[tuple[Step, ...], Callable[[Any], object], str]]:
    """Yield checks of a field's value, and of those below it, each with its path and what is wrong if it fails."""
    if not isinstance(definition, dict):
        return
    if allowed := definition.get("enum"):
        yield path, allowed.__contains__, f"is not one of {', '.join(map(str, allowed))}"
    if definition.get("format") == "email":
        yield path, _is_email, "is not an email address"
    for name, below in (definition.get("properties") or {}).items():
        yield from _constraints(below, (*path, name))
    for below in (definition.get("items"), definition.get("additionalProperties")):
        yield from _constraints(below, (*path, Each()))


def _is_email(text: Any) -> bool:
    # RFC 5321 allows 254 characters; the limit also keeps the expression quick.
    return isinstance(text, str) and len(text) <= 254 and _EMAIL.fullmatch(text) is not None


_EMAIL = re.compile(r"\S+@[^\s@]*[^\s@.]\.+[^\s@.][^\s@]*")
"""A name, and a host with a dot within."""


def expression_error(expression: str) -> str:
    """Return what is wrong with an expression; an empty text if nothing is."""
    try:
        problems = check([MappingEntry("expression", expression, Kind.EXPRESSION)], function_names=Grade.WARNING)
    except EvaluationError as e:
        return str(e)
    return " ".join(p.message for p in problems if p.grade is Grade.ERROR)
