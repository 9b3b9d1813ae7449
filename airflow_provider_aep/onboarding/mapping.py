"""Validation of mappings against the columns of a source and the fields of a target schema."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aep_data_prep import Column, Field, Grade, Kind, MappingEntry, Problem, check, field_of
from aep_data_prep.errors import ExpressionSyntaxError
from aep_data_prep.mapping import wrap_reserved
from aep_data_prep.syntax import Path, escape_name, parse, steps_of
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.onboarding.resources.mapping_set import literal_text

log = logging.getLogger(__name__)

TENANT = "{tenant}"
"""Stands for the tenant id of the sandbox's organization in the path of a field, such as ``_{tenant}.ticket``."""


def entries_of(
    mappings: object,
    *,
    columns: list[dict[str, Any]] | None,
    schema: Mapping[str, Any],
    tenant_id: Callable[[], str],
) -> list[dict[str, Any]]:
    """Return the entries of a mapping set, sorted by destination. Problems that are no errors are logged.

    :param mappings: by path of a field (with dots, without a leading slash) a column, ``{"expr": text}`` or
        ``{"value": constant}``. A text that is no column is a path, such as ``emails[0].email``
    :param columns: columns of the source table, as explore returns them; ``None`` if unknown
    :param schema: resolved properties of the target schema
    :param tenant_id: returns the tenant id; called if a path has ``{tenant}``
    :raises AepConfigurationError: a mapping is invalid; the message lists all problems
    """
    if not isinstance(mappings, Mapping):
        raise AepConfigurationError(f"mappings is {mappings!r}, not a dict", next_step="Set mappings to a dict.")
    if not mappings:
        raise AepConfigurationError(
            "mappings is empty",
            next_step="Set mappings to the columns by field of the schema, such as {'_id': 'sys_id'}"
            + (f"; the columns are {', '.join(str(c['name']) for c in columns)}." if columns else "."),
        )
    known = None if columns is None else {str(c["name"]): c for c in columns}
    if invalid := [f"{d!r}: {s!r}" for d, s in mappings.items() if _entry(d, s, known) is None]:
        raise AepConfigurationError(
            f"mappings contains {'; '.join(invalid)[:500]}",
            next_step="Set each field to a column, an Expression or a Constant, such as {'_id': 'sys_id'}.",
        )
    properties = field_of({"type": "object", "properties": schema})
    resolved = _destination_first({str(d): s for d, s in mappings.items()}, known, properties)
    if any(TENANT in d for d in resolved):
        tenant = tenant_id()
        resolved = {d.replace(TENANT, tenant): s for d, s in resolved.items()}
    entries = sorted(
        (entry for d, s in resolved.items() if (entry := _entry(d, s, known))), key=lambda entry: entry.destination
    )
    if len(resolved) < len(mappings):
        raise AepConfigurationError(
            "Two mappings have the same destination, once with {tenant}, and once with its value",
            next_step="Remove one of them.",
        )
    unknown = [d for d, s in resolved.items() if isinstance(s, str) and s not in (known or ())]
    _check(entries, None if columns is None else [_column(c) for c in columns], properties, unknown)
    return [{"sourceType": str(e.kind), "source": e.source, "destination": e.destination} for e in entries]


def _destination_first(
    mappings: dict[str, Any], columns: Mapping[str, Mapping[str, Any]] | None, schema: Field
) -> dict[str, Any]:
    """Return mappings by destination, also if an author has swapped both sides of all of them, without ambiguity."""

    def is_swapped(key: str, value: object) -> bool:
        is_column, is_field = key in (columns or {}), schema.find(steps_of(key)) is not None
        return (
            is_column and not is_field
            and isinstance(value, str) and value not in (columns or {}) and schema.find(steps_of(value)) is not None
        )  # fmt: skip

    if not all(is_swapped(key, value) for key, value in mappings.items()) or len({*mappings.values()}) < len(mappings):
        return mappings
    first, second = next(iter(mappings.items()))
    log.warning("mappings has the columns first. Write {%r: %r}, the field of the schema first.", second, first)
    return {value: key for key, value in mappings.items()}


def _check(
    entries: Sequence[MappingEntry], columns: Sequence[Column] | None, schema: Field, unknown: Container[str]
) -> None:
    """Raise if a mapping is invalid. Log warnings and notes.

    :param unknown: destinations whose source is no explored column
    """
    problems = check(entries, columns=columns, schema=schema)
    errors = [str(p) for p in problems if p.grade is Grade.ERROR]
    for entry in _unmarked(entry for entry in entries if entry.destination in unknown):
        or_column = "" if columns else f", or '{escape_name(entry.source)}' for a column of this name"
        step = f"Write Expression({entry.source!r}){or_column}."
        errors.append(f"{entry.destination}: {entry.source!r} is an expression. {step}")
    if errors:
        raise AepConfigurationError(
            "The mappings are invalid:\n  " + "\n  ".join(errors).removesuffix("."),
            next_step="Correct the mappings, or add the field groups with these fields to the schema.",
        )
    for problem in problems:
        log.log(_LEVELS[problem.grade], "Mapping %s", problem)


_LEVELS = {Grade.WARNING: logging.WARNING, Grade.NOTE: logging.INFO}


def _unmarked(entries: Iterable[MappingEntry]) -> Iterator[MappingEntry]:
    """Yield entries whose column is the text of an expression."""
    for entry in entries:
        if entry.kind is Kind.ATTRIBUTE and not entry.source.startswith("${"):
            with suppress(ExpressionSyntaxError):
                if not isinstance(parse(entry.source), Path):
                    yield entry


def _entry(destination: object, source: object, columns: Mapping[str, Mapping[str, Any]] | None) -> MappingEntry | None:
    """Return an entry of a mapping set; ``None`` if the pair is none."""
    if not isinstance(destination, str) or not destination:
        return None
    if isinstance(source, int) and not isinstance(source, bool):  # a column named by a number, rendered to a number
        source = str(source)
    if isinstance(source, str) and source:
        column = (columns or {}).get(source)
        path = source if column is None else str(column.get("path") or escape_name(source))
        return MappingEntry(destination, wrap_reserved(path), Kind.ATTRIBUTE)
    if not isinstance(source, Mapping) or len(source) != 1:
        return None
    [(kind, value)] = source.items()
    if kind == "expr" and isinstance(value, str) and value:
        # AEP may spell a constant as an expression, so that both have one form here.
        constant = literal_text(value)
        if constant is not None:
            return MappingEntry(destination, constant, Kind.STATIC)
        return MappingEntry(destination, value, Kind.EXPRESSION)
    if kind == "value" and isinstance(value, str | int | float | bool):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return MappingEntry(destination, text, Kind.STATIC)
    return None


def _column(column: Mapping[str, Any]) -> Column:
    xdm = column.get("xdm") or {}
    form = str(xdm.get("format") or "")
    return Column(
        str(column["name"]),
        str(xdm.get("type") or "string"),
        form if form in {"date", "date-time"} else "",
        is_nested="path" in column,
    )


def entries_offline(
    mappings: Mapping[str, Any], columns: list[dict[str, Any]] | None
) -> tuple[list[MappingEntry], list[Problem]]:
    """Return the entries of a mapping set and their problems, as far as no schema is needed.

    ``{tenant}`` stays in the paths of fields, so that a problem names the field as its author wrote it.

    :param mappings: as for :func:`entries_of`
    :param columns: ``None`` if unknown
    """
    known = None if columns is None else {str(c["name"]): c for c in columns}
    entries = [entry for d, s in mappings.items() if (entry := _entry(d, s, known))]
    return entries, check(entries, columns=None if columns is None else [_column(c) for c in columns])
