"""Validation of mappings against the columns of a source and the fields of a target schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError

# XDM types to which AEP's mapper converts a column, by the type of the column.
_CONVERSIONS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"string"}),
    "boolean": frozenset({"boolean", "string"}),
    "integer": frozenset({"integer", "number", "string"}),
    "number": frozenset({"number", "string"}),
    "array": frozenset(),
    "object": frozenset(),
}


def mapping_set(
    mappings: object,
    static: object,
    *,
    columns: list[dict[str, Any]] | None,
    schema: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the entries of a mapping set, sorted by destination.

    :param mappings: destination path (with dots, without a leading slash) by source column
    :param static: fixed value by destination path
    :param columns: columns of the source table, as explore returns them; ``None`` if unknown
    :param schema: resolved properties of the target schema
    :raises AepConfigurationError: a mapping is invalid; the message lists all of them with the reasons
    """
    if not isinstance(mappings, Mapping):
        raise AepConfigurationError(f"mappings is {mappings!r}, not a dict", next_step="Set mappings to a dict.")
    if not isinstance(static, Mapping):
        raise AepConfigurationError(f"static is {static!r}, not a dict", next_step="Set static to a dict.")
    if invalid := [f"{s!r}: {d!r}" for s, d in mappings.items() if not isinstance(s, str) or not isinstance(d, str)]:
        raise AepConfigurationError(
            f"mappings contains {'; '.join(invalid)[:500]}, which is no pair of texts",
            next_step="Set each column and each field to a text, such as {'email': '_id'}.",
        )
    problems: list[str] = []
    entries: dict[str, dict[str, Any]] = {}
    columns_by_name = None if columns is None else {str(c["name"]): c for c in columns}
    for source, destination in mappings.items():
        problems += _problems(source, destination, columns_by_name, schema)
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
            "mappings is empty",
            next_step="Set mappings to at least one field of the schema, by column of the source"
            + (f"; the columns are {', '.join(columns_by_name)}." if columns_by_name else "."),
        )
    if problems:
        raise AepConfigurationError(
            "The mappings are invalid: " + "; ".join(problems),
            next_step="Correct the mappings, or add the field groups with these fields to the schema.",
        )
    return [entries[d] for d in sorted(entries)]


def _problems(source: str, destination: str, columns: Mapping[str, Any] | None, schema: Mapping[str, Any]) -> list[str]:
    problems = _destination_problems(destination, schema)
    # The name of a column may contain the characters of an expression, such as "Amount (EUR)".
    is_expression = any(c in source for c in "(){}\"'+*")
    if is_expression and source not in (columns or {}):
        return [f"{source!r} is an expression; only columns and static values can be mapped"]
    if columns is None:
        return problems
    if source not in columns:
        return [*problems, f"the table has no column {source!r} (it has {', '.join(columns)})"]
    if problems:
        return problems
    field = field_at(destination, schema) or {}
    xdm = columns[source].get("xdm", {})
    column_type, field_type = str(xdm.get("type", "string")), str(field.get("type", "string"))
    is_convertible = field_type in _CONVERSIONS.get(column_type, frozenset({field_type}))
    # AEP converts a date-time into a date, but no plain text into either.
    dates = {"date", "date-time"}
    if not is_convertible or (field.get("format") in dates and xdm.get("format") not in dates):
        return [f"{source!r} is {_type_name(xdm)}, and {destination!r} is {_type_name(field)}"]
    return []


def _destination_problems(destination: str, schema: Mapping[str, Any]) -> list[str]:
    field = field_at(destination, schema)
    if field is None:
        return [f"the schema has no field {destination!r}"]
    if field.get("properties") or field.get("type") in {"object", "array"}:
        fields = ", ".join(f"{destination}.{name}" for name in list(field.get("properties", {}))[:4])
        example = f"; map to a field of it, such as {fields}" if fields else ""
        return [f"{destination!r} is an object, not a field{example}"]
    return []


def field_at(path: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the field at a dot path of a schema's resolved properties; ``None`` if the schema has no such field."""
    node: Any = {"properties": schema}
    for name in path.split("."):
        node = node.get("properties", {}).get(name)
        if not isinstance(node, Mapping):
            return None
    return node


def _type_name(xdm: Mapping[str, Any]) -> str:
    return str(xdm.get("format") or xdm.get("type") or "string")
