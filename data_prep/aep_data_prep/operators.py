"""Operators: arithmetic and comparison as in Apache Commons JEXL 3, in its strict or lenient form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from aep_data_prep.errors import EvaluationError
from aep_data_prep.values import is_true, number_of, text_of, type_name

Choices = Mapping[str, str]


def _operands(operator: str, left: Any, right: Any, choices: Choices) -> tuple[Any, Any]:
    if left is None or right is None:
        if choices["arithmetic"] == "strict":
            raise EvaluationError(f"An operand of {operator} is null. Use coalesce(field, 0).")
        left, right = (0 if v is None else v for v in (left, right))
    left, right = number_of(left), number_of(right)
    if isinstance(left, Decimal) and isinstance(right, float):
        right = Decimal(str(right))
    if isinstance(right, Decimal) and isinstance(left, float):
        left = Decimal(str(left))
    return left, right


def add(left: Any, right: Any, choices: Choices) -> Any:
    """Add numbers, or join texts."""
    texts = [v for v in (left, right) if isinstance(v, str)]
    if choices["arithmetic"] == "strict" and (left is None or right is None):
        raise EvaluationError("An operand of + is null. Use coalesce(field, 0), or concat(...) for texts.")
    if len(texts) == 2 or (texts and choices["arithmetic"] == "strict"):
        return text_of(left) + text_of(right)
    if texts:
        try:
            number_of(texts[0])
        except EvaluationError:
            return text_of(left) + text_of(right)
    a, b = _operands("+", left, right, choices)
    return a + b


def divide(left: Any, right: Any, choices: Choices) -> Any:
    """Divide. Whole numbers give a whole number, truncated towards 0."""
    a, b = _operands("/", left, right, choices)
    if b == 0:
        if choices["arithmetic"] == "strict":
            raise EvaluationError("Division by 0.")
        return 0.0
    if isinstance(a, int) and isinstance(b, int):
        quotient = abs(a) // abs(b)
        return quotient if (a < 0) == (b < 0) else -quotient
    return a / b


def modulo(left: Any, right: Any, choices: Choices) -> Any:
    """Return the remainder, which has the sign of the dividend."""
    a, b = _operands("%", left, right, choices)
    if b == 0:
        if choices["arithmetic"] == "strict":
            raise EvaluationError("Division by 0.")
        return 0.0
    remainder = abs(a) % abs(b)
    return -remainder if a < 0 else remainder


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal. Null equals null only."""
    if left is None or right is None:
        return left is None and right is None
    if isinstance(left, bool) or isinstance(right, bool):
        return is_true(left) == is_true(right)
    if isinstance(left, int | float | Decimal) or isinstance(right, int | float | Decimal):
        try:
            return bool(number_of(left) == number_of(right))
        except EvaluationError:
            return False
    return bool(left == right)


def compare(operator: str, left: Any, right: Any) -> bool:
    """Compare numbers, texts or dates by order. A comparison with null is false.

    :raises EvaluationError: the values have no order
    """
    if left is None or right is None:
        return left is None and right is None and "=" in operator
    if isinstance(left, str) and isinstance(right, str):
        a, b = left, right
    elif isinstance(left, datetime) and isinstance(right, datetime):
        a, b = left, right  # type: ignore[assignment]
    elif isinstance(left, datetime) or isinstance(right, datetime):
        raise EvaluationError(f"{type_name(left)} and {type_name(right)} have no order. Use date(...) on both sides.")
    else:
        for one, other in ((left, right), (right, left)):
            if isinstance(one, str) and isinstance(other, int) and "." in one:
                raise EvaluationError(f"{one!r} is no whole number, and is compared with {other}. Write {other}.0.")
        a, b = number_of(left), number_of(right)  # type: ignore[assignment]
    return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator]


def _matches(left: Any, right: Any) -> bool:
    if isinstance(right, list):
        return any(equal(left, item) for item in right)
    if isinstance(right, Mapping):
        return text_of(left) in right
    if left is None:
        return False
    try:
        return re.fullmatch(text_of(right), text_of(left)) is not None
    except re.error as e:
        raise EvaluationError(f"{text_of(right)!r} is no regular expression: {e}.") from None


def _text(test: Callable[[str, str], bool]) -> Callable[[Any, Any, Choices], bool]:
    return lambda a, b, _: a is not None and b is not None and test(text_of(a), text_of(b))


def _numbers(operator: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Choices], Any]:
    return lambda a, b, choices: apply(*_operands(operator, a, b, choices))


def _bits(operator: str, apply: Callable[[int, int], int]) -> Callable[[Any, Any, Choices], Any]:
    def operate(left: Any, right: Any, choices: Choices) -> int:
        a, b = _operands(operator, left, right, choices)
        return apply(int(a), int(b))

    return operate


BINARY: Mapping[str, Callable[[Any, Any, Choices], Any]] = {
    "+": add,
    "-": _numbers("-", lambda a, b: a - b),
    "*": _numbers("*", lambda a, b: a * b),
    "/": divide,
    "%": modulo,
    "==": lambda a, b, _: equal(a, b),
    "!=": lambda a, b, _: not equal(a, b),
    "===": lambda a, b, _: type_name(a) == type_name(b) and equal(a, b),
    "!==": lambda a, b, _: type_name(a) != type_name(b) or not equal(a, b),
    **{op: (lambda a, b, _, op=op: compare(op, a, b)) for op in ("<", ">", "<=", ">=")},  # type: ignore[misc]
    "=~": lambda a, b, _: _matches(a, b),
    "!~": lambda a, b, _: not _matches(a, b),
    "=^": _text(str.startswith),
    "!^": lambda a, b, _: not text_of(a).startswith(text_of(b)),
    "=$": _text(str.endswith),
    "!$": lambda a, b, _: not text_of(a).endswith(text_of(b)),
    "|": _bits("|", lambda a, b: a | b),
    "^": _bits("^", lambda a, b: a ^ b),
    "&": _bits("&", lambda a, b: a & b),
    "<<": _bits("<<", lambda a, b: a << b),
    ">>": _bits(">>", lambda a, b: a >> b),
    ">>>": _bits(">>>", lambda a, b: (a % (1 << 64)) >> b),
}
"""Operators that evaluate both operands. ``&&``, ``||``, ``?:`` and ``??`` are lazy, and are part of the evaluator."""


def size(value: Any) -> int:
    """Return the size of a text, array or map; 0 for null.

    :raises EvaluationError: the value has no size
    """
    if value is None:
        return 0
    if isinstance(value, str | list | Mapping):
        return len(value)
    raise EvaluationError(f"{type_name(value)} {text_of(value)!r} has no size.")


def is_empty(value: Any) -> bool:
    """Return whether a value is null, or a text, array or map without content."""
    return value is None or (isinstance(value, str | list | Mapping) and not value)


UNARY: Mapping[str, Callable[[Any], Any]] = {
    "-": lambda v: -number_of(v),
    "+": number_of,
    "!": lambda v: not is_true(v),
    "~": lambda v: ~int(number_of(v)),
    "empty": is_empty,
    "size": size,
}
