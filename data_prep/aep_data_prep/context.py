"""The row, clock and choices of an evaluation, and how a path finds a field of the row."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aep_data_prep import choices as named_choices
from aep_data_prep.syntax import Each, Step, steps_of
from aep_data_prep.values import text_of

Row = Mapping[str, Any]
MISSING = object()
"""Stands for a field that a row does not have, which differs from null."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_id() -> str:
    return str(uuid.uuid4())


@dataclass
class Context:
    """Everything that an expression sees besides its text.

    :param row: the source row: values by column, nested for JSON and Parquet
    :param choices: values of the named choices; see :func:`aep_data_prep.choices.resolve`
    :param now: returns the current time
    :param new_id: returns a random id
    :param variables: values of the parameters of lambdas, by name
    """

    row: Row = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=named_choices.resolve)
    now: Callable[[], datetime] = _utc_now
    new_id: Callable[[], str] = _random_id
    variables: dict[str, Any] = field(default_factory=dict)

    def text(self, value: Any) -> str:
        """Return a value as text, by the choice ``date-text``."""
        return value if isinstance(value, str) else text_of(value, self.choices["date-text"])

    def has(self, path: str) -> bool:
        """Return whether the row has a field, also if it is null."""
        return lookup(self.row, steps_of(path), path) is not MISSING


Compiled = Callable[[Context], Any]
"""An expression that is ready for rows."""


def lookup(row: Any, steps: tuple[Step, ...], wrapped: str | None = None) -> Any:
    """Return a field of a row; ``MISSING`` if the row does not have it.

    :param wrapped: a name that comes before the steps, because a column may have it: the text within ``${...}``
    """
    if wrapped is not None and isinstance(row, Mapping) and wrapped in row:
        return row[wrapped]
    value = row
    for number, step in enumerate(steps):
        if isinstance(step, Each):
            if not isinstance(value, list):
                return MISSING
            rest = steps[number + 1 :]
            found = [lookup(item, rest) for item in value]
            return [None if item is MISSING else item for item in found]
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return MISSING
            value = value[step]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            return MISSING
    return value
