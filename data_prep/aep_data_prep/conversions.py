"""Conversions of a value to the type of a field. Source: Adobe's "Data format handling"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aep_data_prep import dates
from aep_data_prep.errors import EvaluationError
from aep_data_prep.schema import Field
from aep_data_prep.values import boolean_of, date_of, integer_of, number_of, text_of, type_name

Convert = Callable[[Any], Any]


def converter(target: Field, choices: Mapping[str, str]) -> Convert:
    """Return a function that converts a value that is not null to the type of a field.

    :raises EvaluationError: by the function, if AEP cannot convert the value
    """
    if target.format == "date":
        return lambda value: date_of(value, choices).astimezone(UTC).date().isoformat()
    if target.format == "date-time":
        return lambda value: dates.iso(date_of(value, choices).astimezone(UTC))
    if target.type == "string":
        return _text(choices["date-text"])
    if target.type == "boolean":
        return boolean_of
    if target.type in {"integer", "number"}:
        return _number(target)
    if target.type == "array":
        return _array(converter(target.items, choices) if target.items else lambda value: value)
    if target.type == "map":
        return _map(converter(target.items, choices) if target.items else lambda value: value)
    return _object(target, choices)


def _text(date_text: str) -> Convert:
    def convert(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping | list):
            raise EvaluationError(f"The field takes a text, and the value is an {type_name(value)}.")
        return text_of(value, date_text)

    return convert


def _number(target: Field) -> Convert:
    read = integer_of if target.type == "integer" else number_of
    low, high = target.minimum, target.maximum

    def convert(value: Any) -> int | float:
        if isinstance(value, str) and not value.strip():
            raise EvaluationError("An empty text is no number.")
        if isinstance(value, datetime):
            raise EvaluationError("The field takes a number, and the value is a date.")
        number = read(value)
        if (low is not None and number < low) or (high is not None and number > high):
            raise EvaluationError(f"{text_of(number)} is outside of {low} to {high}.")
        return float(number) if isinstance(number, Decimal) else number

    return convert


def _array(item: Convert) -> Convert:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise EvaluationError(f"The field takes an array, and the value is a {type_name(value)}. Use explode(...).")
        return [None if element is None else item(element) for element in value]

    return convert


def _map(item: Convert) -> Convert:
    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise EvaluationError(f"The field takes a map, and the value is a {type_name(value)}. Use to_map(...).")
        return {text_of(key): item(element) for key, element in value.items() if element is not None}

    return convert


def _object(target: Field, choices: Mapping[str, str]) -> Convert:
    children = {name: converter(child, choices) for name, child in target.children.items()}

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise EvaluationError(
                f"The field takes an object, and the value is a {type_name(value)}. Map one of its children."
            )
        # An object copy takes the children that the schema has, too.
        return {
            name: child(value[name]) for name, child in children.items() if name in value and value[name] is not None
        }

    return convert
