"""Checks a mapping set against the source's columns and the target schema, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError

# The XDM types a column of a type can become; AEP's mapper turns anything into a string.
_FITS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"string"}),
    "boolean": frozenset({"boolean", "string"}),
    "integer": frozenset({"integer", "number", "string"}),
    "number": frozenset({"number", "string"}),
    "array": frozenset(),
    "object": frozenset(),
}


def mapping_set(
    mappings: Mapping[str, str],
    static: Mapping[str, Any],
    *,
    columns: list[dict[str, Any]] | None,
    schema: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The entries of a mapping set, in the order of their destinations.

    :param mappings: source column to destination path (dots, no leading slash)
    :param static: destination path to a fixed value
    :param columns: of the source table, as explore gives them; ``None`` if unknown
    :param schema: resolved properties of the target schema
    :raises AepConfigurationError: naming every mapping that does not fit, and why
    """
    for field, given in (("mappings", mappings), ("static", static)):
        if not isinstance(given, Mapping):
            raise AepConfigurationError(f"{field} is {given!r}, not a dict", next_step=f"Give {field} as a dict.")
    if wrong := [f"{s!r}: {d!r}" for s, d in mappings.items() if not isinstance(s, str) or not isinstance(d, str)]:
        raise AepConfigurationError(
            f"mappings has {'; '.join(wrong)[:500]}",
            next_step="Each column and each field is a text: {'email': '_id'}.",
        )
    problems: list[str] = []
    entries: dict[str, dict[str, Any]] = {}
    known = None if columns is None else {str(c["name"]): c for c in columns}
    for source, destination in mappings.items():
        problems += _problems(source, destination, known, schema)
        if destination in entries:
            problems.append(f"{destination!r} has two sources")
        entries[destination] = {"sourceType": "ATTRIBUTE", "source": source, "destination": destination}
    for destination, value in static.items():
        problems += _destination_problems(destination, schema)
        if destination in entries:
            problems.append(f"{destination!r} has two sources")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        entries[destination] = {"sourceType": "STATIC", "source": text, "destination": destination}
    if not mappings:
        raise AepConfigurationError(
            "There are no mappings",
            next_step="Give mappings, from a column of the source to a field of the schema"
            + (f"; the columns are {', '.join(known)}." if known else "."),
        )
    if problems:
        raise AepConfigurationError(
            "The mappings do not fit: " + "; ".join(problems),
            next_step="Correct the mappings, or give the schema the field groups that hold these fields.",
        )
    return [entries[d] for d in sorted(entries)]


def _problems(source: str, destination: str, columns: Mapping[str, Any] | None, schema: Mapping[str, Any]) -> list[str]:
    if any(c in source for c in "(){}\"'+*"):
        return [f"{source!r} is an expression; only columns and static values can be mapped"]
    wrong = _destination_problems(destination, schema)
    if columns is None:
        return wrong
    if source not in columns:
        return [*wrong, f"the table has no column {source!r} (it has {', '.join(columns)})"]
    if wrong:
        return wrong
    field = field_at(destination, schema) or {}
    xdm = columns[source].get("xdm", {})
    have, want = str(xdm.get("type", "string")), str(field.get("type", "string"))
    clash = want not in _FITS.get(have, frozenset({want}))
    # A date-time may become a date; plain text may not become either.
    form = field.get("format")
    clash = clash or (form in {"date", "date-time"} and xdm.get("format") not in {"date", "date-time"})
    if clash:
        return [
            f"{source!r} is {_type_name(xdm)}, and {destination!r} is {_type_name(field)}",
        ]
    return []


def _destination_problems(destination: str, schema: Mapping[str, Any]) -> list[str]:
    field = field_at(destination, schema)
    if field is None:
        return [f"the schema has no field {destination!r}"]
    if field.get("properties") or field.get("type") in {"object", "array"}:
        inside = ", ".join(f"{destination}.{name}" for name in list(field.get("properties", {}))[:4])
        return [f"{destination!r} is an object, not a field; map to one of its own, such as {inside}"]
    return []


def field_at(path: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The field at a dot path of a schema's resolved properties, or ``None``."""
    node: Any = {"properties": schema}
    for name in path.split("."):
        node = node.get("properties", {}).get(name)
        if not isinstance(node, Mapping):
            return None
    return node


def _type_name(xdm: Mapping[str, Any]) -> str:
    return str(xdm.get("format") or xdm.get("type") or "string")
