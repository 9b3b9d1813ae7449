"""Values of the language: their texts, their numbers and their truth, as AEP's engine has them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from aep_data_prep import dates
from aep_data_prep.errors import EvaluationError

TRUE_WORDS = frozenset({"y", "yes", "Y", "YES", "on", "ON", "true", "TRUE"})
FALSE_WORDS = frozenset({"n", "no", "N", "NO", "off", "OFF", "false", "FALSE"})
"""Texts that become booleans. Source: Adobe's "Data format handling"."""

_INTEGER = re.compile(r"[+-]?\d+")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def type_name(value: Any) -> str:
    """Return the name of a value's type, for errors."""
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return "null" if value is None else type(value).__name__


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"), (int, "whole number"), (float, "number"), (Decimal, "number"), (str, "text"),
    (date, "date"), (Mapping, "object"), (list, "array"),
)  # fmt: skip


def text_of(value: Any, date_text: str = "iso") -> str:
    """Return a value as text. Null is an empty text.

    :param date_text: the choice ``date-text``
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return dates.iso(value) if date_text == "iso" else dates.java_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    return str(value)


def _float_text(value: float) -> str:
    """Write a double as Java does: 1.0, 1.0E10."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, _, exponent = f"{Decimal(repr(value)):E}".partition("E")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}E{int(exponent)}"


def is_true(value: Any) -> bool:
    """Return the truth of a value: false, null, 0, NaN and the texts "" and "false" are false."""
    if value is None or value is False:
        return False
    if isinstance(value, str):
        return value not in {"", "false"}
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return bool(value) and value == value
    return True


def number_of(value: Any) -> int | float | Decimal:
    """Return a value as a number: a text is read, true is 1.

    :raises EvaluationError: the value is no number
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped:
            return 0
        if _INTEGER.fullmatch(stripped):
            return int(stripped)
        if _REAL.fullmatch(stripped):
            return float(stripped)
    raise EvaluationError(f"{type_name(value)} {text_of(value)!r} is no number.")


def integer_of(value: Any) -> int:
    """Return a value as a whole number.

    :raises EvaluationError: the value is no whole number
    """
    number = number_of(value)
    if isinstance(number, int):
        return number
    if number == number and abs(number) != math.inf and number == int(number):
        return int(number)
    raise EvaluationError(f"{text_of(value)!r} is no whole number.")


def boolean_of(value: Any) -> bool:
    """Return a value as a boolean, by AEP's words.

    :raises EvaluationError: the value is no boolean
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip() in TRUE_WORDS | FALSE_WORDS:
        return value.strip() in TRUE_WORDS
    raise EvaluationError(
        f"{type_name(value)} {text_of(value)!r} is no boolean. Expected: yes, no, on, off, true or false."
    )


def date_of(value: Any, choices: Mapping[str, str]) -> datetime:
    """Return a value as a date: a text is read by the default formats.

    :raises EvaluationError: the value is no date
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        return dates.parse_default(value, minutes=choices["minutes"], day_of_month=choices["day-of-month"])
    raise EvaluationError(f"{type_name(value)} {text_of(value)!r} is no date.")


def array_of(value: Any) -> list[Any]:
    """Return a value that is an array.

    :raises EvaluationError: the value is no array
    """
    if isinstance(value, list):
        return value
    raise EvaluationError(f"{type_name(value)} {text_of(value)!r} is no array.")


def map_of(value: Any) -> Mapping[str, Any]:
    """Return a value that is an object or a map.

    :raises EvaluationError: the value is no object
    """
    if isinstance(value, Mapping):
        return value
    raise EvaluationError(f"{type_name(value)} {text_of(value)!r} is no object.")
