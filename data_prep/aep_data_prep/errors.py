"""Errors of the mapping language. Each names a position, and what to write instead."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class DataPrepError(Exception):
    """Base class of all errors of this package."""


class ExpressionSyntaxError(DataPrepError):
    """The text is not an expression.

    :param message: what is wrong and what to write instead, without the position
    :param position: index of the first character that does not fit, from 0
    """

    def __init__(self, message: str, position: int) -> None:
        """Keep the position beside the message."""
        super().__init__(f"column {position + 1}: {message}")
        self.message, self.position = message, position


class EvaluationError(DataPrepError):
    """An expression has no value for a row. AEP then writes null and keeps a warning."""


class NotOfflineError(EvaluationError):
    """A function cannot be computed without AEP, because its algorithm is not public."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like another one; ``None`` if none is."""
    candidates = {k.lower(): k for k in known}
    found = get_close_matches(word.lower(), candidates, n=1, cutoff=0.7)
    return candidates[found[0]] if found else None


UNCOMPUTABLE = (
    ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError, re.error,
)  # fmt: skip
"""What Python raises for values that no function expects, such as a date past the year 9999 in UTC."""


def uncomputable(error: BaseException) -> str:
    """Return the message for one of these. It quotes no value."""
    return f"The value cannot be computed ({type(error).__name__})."
