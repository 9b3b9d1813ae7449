"""Conversions of a value to the type of a field. Source: Adobe's "Data format handling"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any

from aep_data_prep import dates
from aep_data_prep.errors import EvaluationError
from aep_data_prep.schema import Field
from aep_data_prep.values import boolean_of, date_of, integer_of, number_of, text_of, type_name

Convert = Callable[[Any], Any]


LONG = 2**53
"""The greatest whole number of a field that does not name its own. Source: XDM's long, which JSON keeps exactly."""


def converter(target: Field, choices: Mapping[str, str], native_dates: bool = False) -> Convert:
    """Return a function that converts a value that is not null to the type of a field.

    :param native_dates: whether dates stay :class:`datetime.date` and :class:`datetime.datetime`, instead of text
    :raises EvaluationError: by the function, if AEP cannot convert the value
    """
    if target.format:
        return _date(target.format, choices, native_dates)
    if target.type == "string":
        return _text(choices["date-text"])
    if target.type == "boolean":
        return boolean_of
    if target.type in {"integer", "number"}:
        return _number(target)
    if target.type == "array":
        return _array(converter(target.items, choices, native_dates) if target.items else lambda value: value)
    if target.type == "map":
        return _map(converter(target.items, choices, native_dates) if target.items else lambda value: value)
    return _object(target, choices, native_dates)


def _date(form: str, choices: Mapping[str, str], native: bool) -> Convert:
    if form == "date":
        return lambda value: _written(date_of(value, choices).astimezone(UTC).date(), native)
    return lambda value: _written(date_of(value, choices).astimezone(UTC), native)


def _written(value: date, native: bool) -> Any:
    if native:
        return value
    return dates.iso(value) if isinstance(value, datetime) else value.isoformat()


def _text(date_text: str) -> Convert:
    def convert(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping | list):
            raise EvaluationError(f"The field takes a text, and the value is an {type_name(value)}.")
        return text_of(value, date_text)

    return convert


def _number(target: Field) -> Convert:
    is_integer = target.type == "integer"
    read = integer_of if is_integer else number_of
    low = -LONG if target.minimum is None and is_integer else target.minimum
    high = LONG if target.maximum is None and is_integer else target.maximum

    def convert(value: Any) -> int | float:
        if isinstance(value, str) and not value.strip():
            raise EvaluationError("An empty text is no number.")
        if isinstance(value, date):
            raise EvaluationError("The field takes a number, and the value is a date.")
        number = read(value)
        if not isfinite(number):
            raise EvaluationError(f"{text_of(value)!r} is no finite number.")
        if (low is not None and number < low) or (high is not None and number > high):
            raise EvaluationError(f"{text_of(number)} is outside of {low} to {high}.")
        return int(number) if is_integer else float(number)

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


def _object(target: Field, choices: Mapping[str, str], native_dates: bool) -> Convert:
    children = {name: converter(child, choices, native_dates) for name, child in target.children.items()}

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
