"""Named choices where Adobe's documentation is silent or contradicts itself. Each has a safe default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Choice:
    """A question that Adobe's documentation leaves open.

    :param values: the possible answers; the first is the default
    :param question: what is not known
    :param effect: what the values mean
    """

    values: tuple[str, ...]
    question: str
    effect: str


CHOICES: Mapping[str, Choice] = MappingProxyType({
    "arithmetic": Choice(
        ("strict", "lenient"),
        "Which arithmetic does the engine use?",
        "strict: null, or a division by zero, is an error; lenient: null counts as 0, and x / 0 is 0",
    ),
    "concat-null": Choice(
        ("empty", "null"),
        "What does `concat` make of null?",
        "empty: null counts as an empty text; null: the result is null",
    ),
    "date-text": Choice(
        ("iso", "java"),
        "How is a date written as text?",
        "iso: 2019-10-23T11:24:00Z; java: Wed Oct 23 11:24:00 UTC 2019",
    ),
    "day-of-month": Choice(
        ("error", "last"),
        "What is the 31st of a month with 30 days?",
        "error: the text is no date; last: the last day of the month",
    ),
    "duplicate-keys": Choice(
        ("last", "first"),
        "Which object does `array_to_map` keep for a repeated key?",
        "last: the last one; first: the first one",
    ),
    "explode-trailing": Choice(
        ("keep", "drop"),
        "Does `explode` keep empty parts at the end?",
        "keep: yes; drop: no",
    ),
    "hash-null": Choice(
        ("null", "error"),
        "What is the hash of null?",
        "null: null; error: an error",
    ),
    "map-single-key": Choice(
        ("value", "map"),
        "What does `map_get_values` return for one key?",
        "value: the value; map: a map with this key",
    ),
    "minutes": Choice(
        ("accept", "error"),
        "Does `date` without a pattern accept dates without seconds, and date-times without a zone?",
        "accept: yes, as Adobe's samples show; error: only Adobe's list of formats",
    ),
    "objects-length": Choice(
        ("longest", "shortest"),
        "How many objects does `arrays_to_objects` make of arrays of different lengths?",
        "longest: as many as the longest, with null for what is missing; shortest: as many as the shortest",
    ),
    "part-w": Choice(
        ("week", "weekday"),
        "Adobe lists the component `w` twice. What does it mean?",
        "week: the week of the year; weekday: the day of the week",
    ),
    "regex-match": Choice(
        ("whole", "part"),
        "Does `matches_regex` match the whole text?",
        "whole: yes; part: a part is enough",
    ),
    "replacestr": Choice(
        ("all", "first"),
        "Which occurrences does `replacestr` replace?",
        "all: every one; first: the first one",
    ),
    "transform-error": Choice(
        ("null", "reject"),
        "What happens to a row with a value that cannot be transformed?",
        "null: the field is null, and the row is kept unless the field is required; reject: the row is rejected",
    ),
})  # fmt: skip


def resolve(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return all choices, with defaults for those that are not given.

    :raises ValueError: a name or a value is unknown
    """
    resolved = {name: choice.values[0] for name, choice in CHOICES.items()}
    for name, value in (given or {}).items():
        if name not in CHOICES:
            raise ValueError(f"There is no choice '{name}'. Set one of: {', '.join(CHOICES)}")
        if value not in CHOICES[name].values:
            raise ValueError(f"The choice {name} has no value '{value}'. Set one of: {', '.join(CHOICES[name].values)}")
        resolved[name] = value
    return resolved
