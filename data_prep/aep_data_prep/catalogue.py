"""The catalogue of Data Prep's functions, read from ``functions.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

REPLACEMENTS: Mapping[str, str] = {
    "nvl": 'Use coalesce(value, "default").',
    "ifnull": 'Use coalesce(value, "default").',
    "if": "Use iif(condition, then, otherwise).",
    "case": 'Use decode(key, "option", "value", "default").',
    "switch": 'Use decode(key, "option", "value", "default").',
    "to_string": "Use concat(value).",
    "to_boolean": 'Compare: value == "yes". A field of the type boolean reads yes, on and true by itself.',
    "to_date": 'Use date(text, "pattern").',
    "to_timestamp": 'Use date(text, "pattern").',
    "is_null": "Compare: value == null.",
    "isnull": "Compare: value == null.",
    "regex_replace": "Use replacestr(text, old, new), which replaces a fixed text.",
    "uuid5": "Use sha256(text), or uuid() for a random id.",
    "sum": "Data Prep does not aggregate rows. Add values with +.",
    "avg": "Data Prep does not aggregate rows.",
    "count": "Use size_of(array). Data Prep does not aggregate rows.",
    "length": "Use size_of(text).",
    "len": "Use size_of(text).",
    "size": "Use size_of(value).",
    "substring": "Use substr(text, start, length).",
    "replace": "Use replacestr(text, old, new).",
    "current_date": "Use now().",
    "arrays_to_object": "Use arrays_to_objects, with an s.",
}
"""What to write instead of functions that other languages have."""

METHODS: Mapping[str, int] = {"equals": 1, "equalsIgnoreCase": 1, "get": 1}
"""Methods of values, with the number of their arguments."""

RESERVED = frozenset(
    "new mod or break var lt for false while eq gt div not null continue else and ne true le if ge return _errors do "
    "function empty size".split()
)
"""Words that are no bare field, besides the names of the functions."""


@dataclass(frozen=True, slots=True)
class Function:
    """A row of the catalogue.

    :param name: name in expressions, in this case of letters
    :param category: for the reference
    :param signature: with the names of the parameters
    :param returns: type of the result
    :param description: one or two sentences
    :param example: an expression
    :param flows: ``source``, ``destination`` or ``analytics``: the flows that may use it
    :param offline: whether it can be computed without AEP
    :param deprecated: name of the function that replaces it; empty if it is current
    :param least: smallest number of arguments
    :param most: greatest number of arguments; ``None`` for any
    :param group: size of a repeated group of arguments, such as 2 for keys and values
    """

    name: str
    category: str
    signature: str
    returns: str
    description: str
    example: str
    flows: str
    offline: bool
    deprecated: str
    least: int
    most: int | None
    group: int

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters, without marks of optional and repeated ones."""
        inside = self.signature[self.signature.index("(") + 1 : self.signature.rindex(")")]
        return re.findall(r"\w+", inside)

    def arity_error(self, count: int) -> str | None:
        """Return what is wrong with a number of arguments; ``None`` if nothing is."""
        if self.least <= count and (self.most is None or count <= self.most):
            if self.group == 1 or "default?" in self.signature or count % self.group == 0:
                return None
            return f"{self.name} takes its arguments in pairs, and {count} are given. Write {self.signature}."
        return f"{self.name} does not take {count} argument{'' if count == 1 else 's'}. Write {self.signature}."


@cache
def functions() -> Mapping[str, Function]:
    """Return all functions by name."""
    rows = tomllib.loads((files("aep_data_prep") / "functions.toml").read_text(encoding="utf-8"))
    return {name: _function(name, row) for name, row in rows.items()}


def _function(name: str, row: Mapping[str, str | bool]) -> Function:
    least, most, group = _arity(str(row["signature"]))
    return Function(
        name=name,
        category=str(row["category"]),
        signature=str(row["signature"]),
        returns=str(row["returns"]),
        description=str(row["description"]),
        example=str(row["example"]),
        flows=str(row.get("flows", "source")),
        offline=bool(row.get("offline", True)),
        deprecated=str(row.get("deprecated", "")),
        least=least,
        most=most,
        group=group,
    )


def _arity(signature: str) -> tuple[int, int | None, int]:
    """Return the least and the greatest number of arguments, and the size of a repeated group."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    least, most, group = 0, 0, 1
    unlimited = False
    for parameter in re.findall(r"\([^)]*\)\.\.\.|[^,\s]+", inside):
        size = parameter.count(",") + 1
        unlimited |= "..." in parameter
        group = max(group, size)
        most += size
        least += 0 if parameter.endswith("?") else size
    return least, None if unlimited else most, group
