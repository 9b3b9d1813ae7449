"""Propose custom fields, and mappings to them, for the columns of a table. The same input gives the same proposal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from aep_data_prep.dates import parse_date
from aep_data_prep.errors import EvaluationError
from aep_data_prep.mapping import column_path, wrap_reserved
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.mappings import Expression

_PLAIN_DATE_TIMES = (
    "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSSX", "yyyy-MM-dd HH:mm:ssZ", "yyyy-MM-dd HH:mm:ss.SSSZ",
    "yyyy-MM-dd HH:mm:ss.SSS",
)  # fmt: skip
_PLAIN_DATES = ("yyyy-MM-dd", "yyyy/MM/dd", "yyyy.MM.dd")
"""Patterns that AEP reads without an expression."""

_DATE_TIMES = (
    "yyyy-MM-dd'T'HH:mm:ssXXX", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "yyyy-MM-dd'T'HH:mm:ss",
    "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm",
    "yyyy/MM/dd HH:mm:ss", "dd.MM.yyyy HH:mm:ss", "dd.MM.yyyy HH:mm",
)  # fmt: skip
_DATES = ("dd.MM.yyyy",)
_AMBIGUOUS = (("dd/MM/yyyy", "MM/dd/yyyy"), ("dd/MM/yyyy HH:mm:ss", "MM/dd/yyyy HH:mm:ss"))
"""Pairs of patterns that the same text may fit, by the order of day and month."""

_BOOLEANS = ({"yes", "no"}, {"true", "false"}, {"y", "n"}, {"on", "off"})
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_KEYS = ("_id", "id", "sys_id", "uuid", "guid", "key", "number")
_MOST_VALUES = 12
_FEWEST_ROWS = 20
"""Rows of a sample from which a column with few values is noticed."""


@dataclass(frozen=True)
class Proposal:
    """Fields and mappings for the columns of a table.

    :param fields: type or attributes by path, in short form
    :param mappings: column or expression by path of a field
    :param comments: what is a guess, by path of a field or a mapping
    """

    fields: dict[str, Any] = field(default_factory=dict)
    mappings: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the proposal as YAML, with comments."""
        lines = ["fields:", *(self._line(path, field, path) for path, field in self.fields.items()), "mappings:"]
        for path, source in self.mappings.items():
            lines.append(self._line(path, source, path if path == "_id" else ""))
        return "\n".join(lines)

    def _line(self, path: str, value: Any, commented: str) -> str:
        comment = self.comments.get(commented, "")
        return f"  {_yaml(path)}: {_yaml(value)}" + (f"  # {comment}" if comment else "")


def _yaml(value: Any) -> str:
    plain = dict(value) if isinstance(value, Mapping) else value
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("...").strip()


@dataclass(frozen=True)
class _Guess:
    """The type of a column's field, with the expression that makes its values, and what is a guess."""

    type: str | Mapping[str, Any]
    expression: str = ""
    comment: str = ""


def propose(columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], object_name: str) -> Proposal:
    """Return fields and mappings for columns.

    :param columns: as AEP's explore returns them
    :param rows: sample rows by column; types and formats of texts are guessed from them
    :param object_name: name of the object that has the fields; a name of a table is made legal
    :raises AepConfigurationError: there is no column
    """
    if not columns:
        raise AepConfigurationError("There is no column", next_step="Set table to a table with columns.")
    proposal, used = Proposal(), set[str]()
    parent = legal_name(object_name)[0]
    for column in columns:
        name = str(column["name"])
        legal, is_readable = legal_name(name)
        number = 1
        while legal.lower() in used:  # AEP's lake does not distinguish case
            number += 1
            legal = f"{legal_name(name)[0]}{number}"
        used.add(legal.lower())
        path = f"{parent}.{legal}"
        values = [_value(row, name) for row in rows]
        source = wrap_reserved(str(column["path"])) if column.get("path") else column_path(name)
        guess = _guess(column, values, source)
        proposal.fields[path] = guess.type
        proposal.mappings[f"_{{tenant}}.{path}"] = Expression(guess.expression) if guess.expression else name
        comments = [guess.comment] if guess.comment else []
        if not is_readable or number > 1:
            comments.insert(0, f"column {name!r}")
        if comments:
            proposal.comments[path] = "; ".join(comments)
    if key := _key(columns, rows):
        mappings = {"_id": key, **proposal.mappings}
        proposal.mappings.clear()
        proposal.mappings.update(mappings)
        proposal.comments["_id"] = f"guess: {key} differs in all {len(rows)} rows of the sample"
    return proposal


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Return the value of a column; the name of a record's field is a path."""
    if name in row:
        return row[name]
    node: Any = row
    for step in name.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def legal_name(name: str) -> tuple[str, bool]:
    """Return a name of a field for the name of a column or table, and whether it is like it.

    >>> legal_name("E-mail (work)"), legal_name("sys_id"), legal_name("2nd")
    (('eMailWork', True), ('sysId', True), ('field2nd', True))
    """
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    words = re.findall("[A-Za-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c)))
    if not words:
        return "field", False
    first, *rest = words
    first = first.lower() if first.isupper() else first[0].lower() + first[1:]
    legal = first + "".join(word[0].upper() + (word[1:].lower() if word.isupper() else word[1:]) for word in rest)
    legal = f"field{legal}" if legal[0].isdigit() else legal
    return legal[:80], all(ord(c) < 0x250 for c in name)


def _guess(column: Mapping[str, Any], values: Sequence[Any], source: str) -> _Guess:
    xdm = column.get("xdm") or {}
    kind, form = str(xdm.get("type") or "string"), xdm.get("format")
    if form in {"date", "date-time"}:
        return _Guess(str(form))
    if kind == "integer":
        if any(isinstance(value, int) and abs(value) >= 2**53 for value in values):
            return _Guess("string", comment="guess: the numbers are too large for long")
        return _Guess("long")
    if kind in {"number", "boolean"}:
        return _Guess(kind)
    if kind == "array":
        return _Guess("string[]", comment="guess: the elements are texts")
    if kind == "object":
        return _Guess({"type": "map", "values": "string"}, comment="guess: an object of texts")
    texts = [str(value).strip() for value in values if value not in (None, "")]
    return _of_texts(texts, source) if texts else _Guess("string", comment="guess: no value in the sample")


def _of_texts(texts: list[str], source: str) -> _Guess:
    many = f"all {len(texts)} values of the sample" if len(texts) > 1 else "the value of the sample"
    lowered = {text.lower() for text in texts}
    if len(texts) > 1 and any(lowered <= words for words in _BOOLEANS):
        return _Guess("boolean", comment=f"guess: {many} are {' or '.join(sorted(lowered))}")
    kinds = (
        ("date-time", _PLAIN_DATE_TIMES, True),
        ("date", _PLAIN_DATES, True),
        ("date-time", _DATE_TIMES, False),
        ("date", _DATES, False),
    )
    for kind, patterns, is_plain in kinds:
        for pattern in patterns:
            if _fits(texts, pattern):
                expression = "" if is_plain else f'date({source}, "{pattern}")'
                return _Guess(kind, expression, f"guess: {many} fit {pattern}")
    for pair in _AMBIGUOUS:
        if fitting := [pattern for pattern in pair if _fits(texts, pattern)]:
            kind = "date-time" if "H" in fitting[0] else "date"
            doubt = f", and {fitting[1]}: choose" if len(fitting) > 1 else ""
            return _Guess(kind, f'date({source}, "{fitting[0]}")', f"guess: {many} fit {fitting[0]}{doubt}")
    if all(map(_EMAIL.fullmatch, texts)):
        return _Guess({"type": "string", "format": "email"}, comment=f"guess: {many} are email addresses")
    if sum(";" in text for text in texts) * 2 >= len(texts) and not any(" " in text.strip("; ") for text in texts):
        return _Guess("string[]", f'explode({source}, ";")', "guess: lists with ; between the elements")
    counts = set(texts)
    if len(texts) >= _FEWEST_ROWS and len(counts) <= _MOST_VALUES:
        # The values themselves may be personal data, which a log must not show.
        return _Guess("string", comment=f"{len(counts)} values in {len(texts)} rows of the sample: perhaps an enum")
    return _Guess("string")


def _fits(texts: Sequence[str], pattern: str) -> bool:
    try:
        for text in texts:
            parse_date(text, pattern)
    except EvaluationError:
        return False
    return True


def _key(columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the column that most likely identifies a row; ``None`` if none has a value of its own in each row."""

    def identifies(name: str) -> bool:
        values = [_value(row, name) for row in rows]
        return bool(values) and None not in values and "" not in values and len(set(map(str, values))) == len(values)

    names = [str(column["name"]) for column in columns]
    known = [name for wanted in _KEYS for name in names if name.lower().rpartition(".")[2] == wanted]
    likely = [name for name in names if name.lower().endswith(("_id", "id", "_key", "number"))]
    return next((name for name in (*known, *likely) if identifies(name)), None)
