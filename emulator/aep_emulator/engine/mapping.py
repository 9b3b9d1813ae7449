"""Mapping sets: their stored form, their validation against a schema, and their application to rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from aep_emulator.data import xdm
from aep_emulator.engine.source_data import date_time, day

REQUIRED_EMPTY = "INGEST-1555-400"
TRANSFORM_FAILED = "MAPPER-3700-400"

_STORED = {"ATTRIBUTE": "text/x.schema-path", "EXPRESSION": "text/x.aep-xl", "STATIC": "STATIC"}
_SOURCE_TYPES = {"TEXT/X.SCHEMA-PATH": "ATTRIBUTE", "TEXT/X.AEP-XL": "EXPRESSION"}


def normal(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping in the new format; Adobe documents two."""
    source_type = str(mapping.get("sourceType") or "ATTRIBUTE").upper()
    return {
        "sourceType": _SOURCE_TYPES.get(source_type, source_type),
        "source": mapping.get("source", mapping.get("sourceAttribute")),
        "destination": mapping.get("destination", mapping.get("destinationXdmPath")),
    }


def as_stored(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with the names of both formats, as AEP does."""
    m = normal(mapping)
    return {
        **m,
        "sourceType": _STORED.get(m["sourceType"], m["sourceType"]),
        "sourceAttribute": m["source"],
        "destinationXdmPath": m["destination"],
        "identity": bool(mapping.get("identity")),
        "primaryIdentity": False,
        "matchScore": 0.0,
        "functionVersion": 1,
    }


def faults(mapping: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, str]]:
    """Return the errors of a mapping against a resolved schema; empty if it is valid."""
    m = normal(mapping)
    if not isinstance(m["destination"], str) or not m["destination"] or not isinstance(m["source"], str):
        return [{"code": "MAPPING-400", "message": "A mapping needs a source and a destination"}]
    if m["sourceType"] == "EXPRESSION":
        return [{"code": "MAPPING-400", "message": f"The emulator evaluates no expressions: {m['source']!r}"}]
    if m["sourceType"] not in {"ATTRIBUTE", "STATIC"}:
        return [{"code": "MAPPING-400", "message": f"Unknown sourceType {m['sourceType']!r}"}]
    field = xdm.field_at(schema, m["destination"])
    if field is None:
        return [{"code": "MAPPING-400", "message": f"{m['destination']!r} is not a field of the schema"}]
    if field.get("type") in {"object", "array"}:
        return [{"code": "MAPPING-400", "message": f"{m['destination']!r} is an {field['type']}, not a leaf"}]
    if m["sourceType"] == "STATIC":
        try:
            converter(field)(m["source"])
        except ValueError as e:
            return [{"code": "MAPPING-400", "message": f"The static value for {m['destination']!r} {e}"}]
    return []


def converter(field: dict[str, Any]) -> Callable[[Any], Any]:
    """Return a function that converts a source value to a field's type, or raises ``ValueError`` with the reason."""
    kind, form, allowed = field.get("type", "string"), field.get("format"), field.get("enum")

    def convert(value: Any) -> Any:
        if isinstance(value, bool) or kind == "boolean":
            return _boolean(value, kind)
        if kind in {"integer", "number"}:
            return _number(value, kind)
        text = value.isoformat() if isinstance(value, date | datetime) else str(value)
        if form == "date":
            return _found(day(text[:10] if date_time(text) else text), "a date", text)
        if form == "date-time":
            return _found(date_time(text), "a date-time", text)
        if form == "email" and not _is_email(text):
            raise ValueError(f"is not an email address: {text!r}")
        if allowed is not None and text not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}: {text!r}")
        return text

    return convert


def _found(value: Any, what: str, text: str) -> Any:
    if value is None:
        raise ValueError(f"is not {what}: {text!r}")
    return value


def _is_email(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(at and name and "." in host.strip(".")) and not any(c.isspace() for c in text)


def _boolean(value: Any, kind: str) -> Any:
    if kind == "string":
        return str(value).lower()
    if kind != "boolean" or str(value).lower() not in {"true", "false"}:
        raise ValueError(f"is not a {kind}: {value!r}")
    return str(value).lower() == "true"


def _number(value: Any, kind: str) -> Any:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"is not a number: {value!r}") from None
    if kind == "number":
        return number
    # XDM's long is exact up to 2^53. The comparison is false for NaN, and rejects infinity, too.
    if not abs(number) <= 2**53 or number != int(number):
        raise ValueError(f"is not an integer: {value!r}")
    return int(number)


@dataclass(frozen=True)
class Fault:
    """The reason for a rejected row."""

    code: str
    field: str
    message: str


class Mapper:
    """Applies a mapping set to rows, and checks them against the resolved target schema.

    A row is rejected if a mapped value does not fit its field, or if ``_id`` is mapped and empty.
    """

    def __init__(self, mappings: list[dict[str, Any]], schema: dict[str, Any]) -> None:
        self.fields: dict[str, dict[str, Any]] = {}
        self._steps: list[tuple[str, bool, str, Callable[[Any], Any]]] = []
        self._required = {"_id", *schema.get("required", [])}
        for mapping in mappings:
            m = normal(mapping)
            field = xdm.field_at(schema, m["destination"]) or {"type": "string"}
            self.fields[m["destination"]] = field
            self._steps.append((m["destination"], m["sourceType"] == "STATIC", m["source"], converter(field)))

    def apply(self, row: dict[str, Any]) -> dict[str, Any] | Fault:
        """Return the mapped row, nested as its schema is, or the reason for its rejection."""
        out: dict[str, Any] = {}
        for destination, static, source, convert in self._steps:
            value = source if static else row.get(source)
            if value is None or value == "":
                if destination in self._required:
                    return Fault(REQUIRED_EMPTY, destination, "is required and empty")
                _put(out, destination, None)
                continue
            try:
                _put(out, destination, convert(value))
            except ValueError as e:
                return Fault(TRANSFORM_FAILED, destination, str(e))
        return out


def _put(row: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for name in parents:
        row = row.setdefault(name, {})
    row[leaf] = value
