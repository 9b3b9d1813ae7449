"""The grammar of ``property`` filters, which Flow Service, Catalog and the Schema Registry share.

A filter is ``field``, ``!field``, or ``field``, an operator and a value. Each service has its own fields, operators and
error codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aep_emulator.core import patterns
from aep_emulator.core.errors import problem

_FILTER = re.compile(
    r"!(?P<absent>[^=!<>~]+)|(?P<field>[^=!<>~]*)(?:(?P<operator>==|!=|<=|>=|<|>|~)(?P<value>.*))?", re.DOTALL
)


@dataclass(frozen=True)
class PropertyFilter:
    """One ``property`` parameter.

    :param operator: empty if the field must exist, ``!`` if it must not
    """

    field: str
    operator: str
    value: str


def parse(text: str) -> PropertyFilter | None:
    """Return the filter that a parameter contains, or ``None`` if it is not a filter."""
    found = _FILTER.fullmatch(text)
    if found is None:
        return None
    if found["absent"] is not None:
        return PropertyFilter(found["absent"], "!", "")
    return PropertyFilter(found["field"], found["operator"] or "", found["value"] or "")


def field_of(text: str) -> str | None:
    """Return what precedes the first character of an operator; ``None`` if there is no such character."""
    field = re.split(r"[=!<>~]", text, maxsplit=1)[0]
    return field if field != text else None


def check_pattern(pattern: str) -> None:
    """Refuse a regular expression that the emulator does not support."""
    if not patterns.is_allowed(pattern):
        raise problem(
            400, "BadRequestError", f"Of regular expressions the emulator supports ^, $ and .*: {pattern[:100]!r}"
        )


def text_of(value: Any) -> str:
    """Return a value as filters write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
