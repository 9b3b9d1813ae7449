"""Apply a mapping set to rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from aep_data_prep import choices as named_choices
from aep_data_prep.catalogue import RESERVED, functions
from aep_data_prep.context import MISSING, Context, Row, lookup
from aep_data_prep.conversions import Convert, converter
from aep_data_prep.errors import UNCOMPUTABLE, EvaluationError, uncomputable
from aep_data_prep.evaluate import compile_expression
from aep_data_prep.schema import Field
from aep_data_prep.syntax import Each, Step, escape_name, is_wrapped, steps_of, unescape_name


class Kind(StrEnum):
    """The kinds of a mapping's source, as requests name them."""

    ATTRIBUTE = "ATTRIBUTE"
    EXPRESSION = "EXPRESSION"
    STATIC = "STATIC"


MEDIA_TYPES: Mapping[str, Kind] = {
    "text/x.schema-path": Kind.ATTRIBUTE,
    "text/x.aep-xl": Kind.EXPRESSION,
    "text/plain": Kind.STATIC,
}
"""The same kinds, as responses of Data Prep name them."""


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """One mapping of a set.

    :param destination: path of the field
    :param source: path of a column, expression or constant
    :param kind: what the source is
    """

    destination: str
    source: str
    kind: Kind = Kind.ATTRIBUTE


@dataclass(frozen=True, slots=True)
class TransformError:
    """A mapping without a value for a row. AEP writes null and keeps a warning.

    :param entry: the mapping
    :param message: why there is no value
    """

    entry: MappingEntry
    message: str


@dataclass(slots=True)
class MappedRow:
    """The result of a mapping set for one row.

    :param data: the XDM record
    :param errors: the mappings without a value
    :param missing: paths of required fields that are null
    """

    data: dict[str, Any] = field(default_factory=dict)
    errors: list[TransformError] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def column_path(name: str) -> str:
    """Return the path of a column, for a mapping and for an expression: a word of the language is wrapped, too.

    >>> column_path("sys_id"), column_path("E-mail"), column_path("date")
    ('sys_id', '${E-mail}', '${date}')
    """
    return wrap_reserved(escape_name(name))


def wrap_reserved(path: str) -> str:
    """Return a path whose first name is wrapped if AEP would read it as a word of the language."""
    first = re.split(r"[.\[]", path, maxsplit=1)[0]
    return f"${{{first}}}{path[len(first) :]}" if first in RESERVED or first in functions() else path


def attribute_source(text: str) -> tuple[tuple[Step, ...], str]:
    """Return the steps of an attribute's source, and the name of the column that it is if a row has it."""
    if is_wrapped(text):
        return steps_of(text[2:-1]), unescape_name(text[2:-1])
    steps = steps_of(text)
    return steps, ".".join(map(str, steps)) if "${" in text else unescape_name(text)


Read = Callable[[Context], Any]
Write = Callable[[dict[str, Any], Any], None]


class CompiledMappings:
    """A mapping set that is ready for rows.

    :param entries: the mappings
    :param schema: the expanded schema; ``None`` converts nothing
    :param choices: values of the named choices
    :param native_dates: whether dates of the records stay Python's, instead of text
    :raises ExpressionSyntaxError: an expression is not one
    :raises EvaluationError: an expression uses a function that does not exist, or a destination is not in the schema
    """

    def __init__(
        self,
        entries: Iterable[MappingEntry],
        schema: Field | None = None,
        choices: Mapping[str, str] | None = None,
        *,
        native_dates: bool = False,
    ) -> None:
        """Compile all mappings."""
        self.choices = named_choices.resolve(choices)
        self._required = () if schema is None else tuple(_required(schema))
        steps: list[tuple[bool, _Step]] = []
        for entry in entries:
            path = steps_of(entry.destination)
            target = schema.find(path) if schema else None
            if schema and target is None:
                raise EvaluationError(f"The schema has no field {entry.destination}.")
            convert = converter(target, self.choices, native_dates) if target else None
            # Children that are mapped by themselves come after the copy of their parent.
            is_child = not (target and target.type == "object")
            steps.append((is_child, _step(entry, path, target, convert)))
        steps.sort(key=lambda step: step[0])
        self._steps = [step for _, step in steps]

    def apply(self, row: Row, **context: Any) -> MappedRow:
        """Return the record of a row.

        :param context: more fields of :class:`~aep_data_prep.evaluate.Context`
        """
        result = MappedRow()
        data, get = result.data, row.get
        scope = Context(row=row, choices=self.choices, **context)
        # Millions of rows come through this loop, so a column and a plain path cost no call of their own.
        for entry, column, read, is_text, convert, parents, last, write in self._steps:
            try:
                value = get(column) if read is None else read(scope)
                if value is None:
                    continue
                if convert is not None and not (is_text and value.__class__ is str):
                    value = convert(value)
                if write is not None:
                    write(data, value)
                    continue
                target = data
                for name in parents:
                    target = target.setdefault(name, {})
                target[last] = value
            except EvaluationError as e:
                result.errors.append(TransformError(entry, str(e)))
            except UNCOMPUTABLE as e:
                result.errors.append(TransformError(entry, uncomputable(e)))
        result.missing = [path for path, steps in self._required if _is_absent(data, steps)]
        return result


_Step: TypeAlias = tuple[MappingEntry, str, Read | None, bool, Convert | None, tuple[str, ...], str, Write | None]
"""A mapping as :meth:`CompiledMappings.apply` needs it.

Its entry; the column, unless a function reads the value; whether the field takes any text; the conversion; the path, if
its parents are objects and it is no object itself, unless a function writes the value.
"""


def _step(entry: MappingEntry, path: tuple[Step, ...], target: Field | None, convert: Convert | None) -> _Step:
    column, read = _reader(entry)
    is_text = target is not None and target.type == "string" and not target.format
    if depth := sum(isinstance(step, Each) for step in path):
        is_text, convert = False, _each(convert, depth)
    names = [step for step in path if isinstance(step, str)]
    is_plain = len(names) == len(path) and target is not None and target.type not in {"object", "map"}
    write = None if is_plain else _writer(path)
    return entry, column, read, is_text, convert, tuple(names[:-1]), names[-1] if names else "", write


def _reader(entry: MappingEntry) -> tuple[str, Read | None]:
    """Return the column of an entry, or the function that reads its value."""
    if entry.kind is Kind.STATIC:
        constant = entry.source
        return "", lambda context: constant
    if entry.kind is Kind.EXPRESSION:
        return "", compile_expression(entry.source)
    steps, column = attribute_source(entry.source)
    if len(steps) == 1:
        return column, None

    def read(context: Context) -> Any:
        value = lookup(context.row, steps, column)
        return None if value is MISSING else value

    return "", read


def _each(convert: Convert | None, depth: int) -> Convert:
    """Return the conversion of the elements of arrays, because the destination has ``[*]``."""

    def apply(value: Any, levels: int) -> Any:
        if levels:
            if not isinstance(value, list):
                raise EvaluationError("The destination has [*], and the value is no array.")
            return [None if item is None else apply(item, levels - 1) for item in value]
        return convert(value) if convert else value

    return lambda value: apply(value, depth)


def _writer(path: tuple[Step, ...]) -> Write:
    """Return a function that puts a value into a record."""
    names = [step for step in path if isinstance(step, str)]
    if len(names) == len(path):
        *parents, last = names

        def write(record: dict[str, Any], value: Any) -> None:
            target = record
            for name in parents:
                target = target.setdefault(name, {})
            known = target.get(last)
            target[last] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value

        return write
    return lambda record, value: _put(record, path, value)


def _empty(rest: tuple[Step, ...]) -> dict[str, Any] | list[Any] | None:
    """Return what holds the rest of a path, without content."""
    if not rest:
        return None
    return [] if isinstance(rest[0], Each | int) else {}


def _put(container: Any, path: tuple[Step, ...], value: Any) -> None:
    step, rest = path[0], path[1:]
    if isinstance(step, Each):
        for number, item in enumerate(value):
            _put(container, (number, *rest), item)
        return
    if isinstance(step, int):
        while len(container) <= step:
            container.append(_empty(rest))
        if not rest:
            container[step] = value
        elif value is not None:  # of an element that the source does not have, only the place is kept
            container[step] = container[step] or _empty(rest)
            _put(container[step], rest, value)
        return
    if not rest:
        container[step] = value
        return
    _put(container.setdefault(step, _empty(rest)), rest, value)


def _required(schema: Field, prefix: str = "", parents: tuple[str, ...] = ()) -> Iterable[tuple[str, tuple[str, ...]]]:
    for name in sorted(schema.required):
        yield f"{prefix}{name}", (*parents, name)
    for name, child in schema.children.items():
        if child.type == "object":
            yield from _required(child, f"{prefix}{name}.", (*parents, name))


def _is_absent(record: Any, steps: tuple[str, ...]) -> bool:
    """Return whether a required field is absent. A field of an absent object is not required."""
    *parents, last = steps
    for name in parents:
        record = record.get(name) if isinstance(record, dict) else None
        if record is None:
            return False
    return not isinstance(record, dict) or record.get(last) is None
