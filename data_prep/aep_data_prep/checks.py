"""Static checks of a mapping set: all problems at once, each with its mapping, position and next step."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from aep_data_prep.catalogue import METHODS, RESERVED, functions
from aep_data_prep.choices import resolve
from aep_data_prep.conversions import converter
from aep_data_prep.dates import DEFAULT_FORMATS, LETTERS, check_pattern
from aep_data_prep.errors import EvaluationError, ExpressionSyntaxError, nearest
from aep_data_prep.evaluate import unknown_function
from aep_data_prep.mapping import Kind, MappingEntry, attribute_source
from aep_data_prep.schema import Field
from aep_data_prep.syntax import (
    Array,
    Binary,
    Call,
    Each,
    Expression,
    Lambda,
    Literal,
    Map,
    Method,
    Path,
    Step,
    children,
    is_path,
    parse,
    steps_of,
)

TEMPLATE_VARIABLES = frozenset({"CRM_ORG_ID", "MUNCHKIN_ID", "CRM_TYPE", "SOURCE_INSTANCE_ID"})
"""Names that the UI's templates replace before a mapping set is saved."""

_ARITHMETIC = frozenset("+-*/%")
_SCALARS = frozenset({"string", "integer", "number", "boolean"})
_NESTED = frozenset({"object", "map"})
_JAVA_ONLY = re.compile(r"\\[pPhHRXQEGzuNxce]|\(\?<[A-Za-z=!]|\(\?[a-zA-Z-]+\)|[*+?}]\+|&&")
"""Forms of Java's regular expressions that Python does not have."""

_ASSUMED_FOR_NULL: Mapping[str, str] = {
    "concat": "An empty text is assumed.",
    **dict.fromkeys(("md5", "sha1", "sha256", "sha512", "crc32"), "Null is assumed."),
}
"""Functions whose value for null is a named choice, with its default."""


class Grade(StrEnum):
    """How serious a problem is. Errors fail in AEP, warnings may give another result, notes are assumptions."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a mapping.

    :param grade: how serious it is
    :param destination: path of the mapping's field
    :param position: index of the character in the source, from 0; ``None`` if it is about the whole mapping
    :param message: what is wrong and what to do next
    """

    grade: Grade
    destination: str
    position: int | None
    message: str

    def __str__(self) -> str:
        """Return one line for a person."""
        place = "" if self.position is None else f", column {self.position + 1}"
        return f"{self.destination}{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the source.

    :param name: as the source has it
    :param type: XDM type: ``string``, ``boolean``, ``integer``, ``number``, ``object`` or ``array``
    :param format: ``date``, ``date-time`` or empty
    :param is_nested: whether the name is the path of a field within a record
    """

    name: str
    type: str = "string"
    format: str = ""
    is_nested: bool = False


def check(
    entries: Sequence[MappingEntry],
    *,
    columns: Sequence[Column] | None = None,
    schema: Field | None = None,
    flow: str = "source",
    function_names: Grade = Grade.ERROR,
) -> list[Problem]:
    """Return all problems of a mapping set, in the order of its mappings.

    :param columns: columns of the source; ``None`` if they are not known
    :param schema: the expanded schema; ``None`` if it is not known
    :param flow: ``source`` or ``destination``
    :param function_names: how serious a field with the name of a function is, such as ``first``. Adobe reserves these
        names, and does not say whether AEP refuses them
    """
    known = None if columns is None else {column.name: column for column in columns}
    problems: list[Problem] = []
    seen: set[tuple[Step, ...]] = set()
    for entry in entries:
        checker = _Checker(entry, known, schema, flow, function_names)
        problems += checker.problems()
        if checker.destination in seen:
            problems.append(checker.error(None, "Two mappings have this destination. Remove one of them."))
        seen.add(checker.destination)
    return problems


class _Checker:
    """The checks of one mapping."""

    def __init__(
        self,
        entry: MappingEntry,
        columns: Mapping[str, Column] | None,
        schema: Field | None,
        flow: str,
        function_names: Grade,
    ) -> None:
        self.entry, self.columns, self.schema, self.flow = entry, columns, schema, flow
        self.function_names = function_names
        self.destination = steps_of(entry.destination)
        self.has_each = any(isinstance(step, Each) for step in self.destination)

    def problem(self, grade: Grade, position: int | None, message: str) -> Problem:
        return Problem(grade, self.entry.destination, position, message)

    def error(self, position: int | None, message: str) -> Problem:
        return self.problem(Grade.ERROR, position, message)

    def warning(self, position: int | None, message: str) -> Problem:
        return self.problem(Grade.WARNING, position, message)

    def problems(self) -> Iterator[Problem]:
        target = self.schema.find(self.destination) if self.schema else None
        if not is_path(self.entry.destination):
            yield self.error(
                None,
                f"'{self.entry.destination}' is no path. Write the names of fields with dots, such as person.name.",
            )
            return
        if self.schema and target is None:
            close = nearest(self.entry.destination, self.schema.paths())
            hint = f"Did you mean {close}?" if close else "Map to a field of the schema."
            yield self.error(None, f"The schema has no field {self.entry.destination}. {hint}")
        if self.destination[:1] == ("identityMap",):
            yield self.warning(None, "Adobe does not document identityMap as a destination. Preview the mapping first.")
        match self.entry.kind:
            case Kind.ATTRIBUTE:
                yield from self.attribute(target)
            case Kind.EXPRESSION:
                yield from self.expression(target)
            case Kind.STATIC:
                for name in _template_variables(self.entry.source):
                    yield self.error(None, f"${{{name}}} is a variable of a template. Write its value instead.")
                if target and (target.type not in _SCALARS or self.has_each):
                    kind = "list" if self.has_each else target.type
                    article = "an" if kind in {"array", "object"} else "a"
                    yield self.error(None, f"A constant does not fit {article} {kind}. Use an expression.")
                elif target:
                    yield from self.constant(target)

    def constant(self, target: Field) -> Iterator[Problem]:
        try:
            converter(target, resolve())(self.entry.source)
        except EvaluationError as e:
            yield self.error(None, f"The constant does not fit the field, which is {target.label}: {e}")

    # -- attributes ---------------------------------------------------------------------------------------------------

    def attribute(self, target: Field | None) -> Iterator[Problem]:
        steps, name = attribute_source(self.entry.source)
        if not self.is_known(steps, name):
            yield self.error(0, self.unknown_column(name))
        column = (self.columns or {}).get(name)
        if target and column:
            if self.has_each:
                target = Field("array", items=target)
            yield from self.conversion(column, target)
        elif column is None:
            yield from self.child(steps, 0)

    def child(self, steps: tuple[Step, ...], position: int) -> Iterator[Problem]:
        """Refuse a field or an element of a column that has none."""
        column = (self.columns or {}).get(str(steps[0]) if steps else "")
        if column and len(steps) > 1 and column.type in _SCALARS:
            kind = "text" if column.type == "string" else column.type
            yield self.error(
                position, f"'{column.name}' is a {kind} without fields or elements. Map the column itself."
            )

    def is_known(self, steps: tuple[Step, ...], name: str | None) -> bool:
        """Return whether the source has a column, or the first part of a path to one."""
        if self.columns is None or name in self.columns:
            return True
        names = list(takewhile(lambda step: isinstance(step, str), steps))
        if names and names[0] in self.columns:
            return True
        path = ".".join(map(str, names))
        return any(
            column.is_nested and (path == column.name or f"{path}.".startswith(f"{column.name}.")
                                  or column.name.startswith(f"{path}."))
            for column in self.columns.values()
        )  # fmt: skip

    def unknown_column(self, name: str) -> str:
        if "." in name and name in (self.columns or ()):
            return f"A column with a dot is written ${{{name.replace('.', chr(92) + '.')}}}."
        if not self.columns:
            return f"The source has no column '{name}': it has none."
        close = nearest(name, self.columns)
        hint = f"Did you mean '{close}'?" if close else f"Use one of: {', '.join(self.columns)}."
        return f"The source has no column '{name}'. {hint}"

    def conversion(self, column: Column, target: Field) -> Iterator[Problem]:
        source, label = column.format or column.type, target.label
        nested = {"array", "object", "map"}
        if column.type in nested or target.type in nested:
            if not (column.type == target.type or {column.type, target.type} <= {"object", "map"}):
                step = (
                    'Use explode(column, ",").' if target.type == "array"
                    else "Map one of its children, or an element such as column[0]."
                )  # fmt: skip
                yield self.error(0, f"AEP cannot convert {source} '{column.name}' to {label}. {step}")
        elif target.format and not column.format:
            if column.type == "string":
                yield self.warning(
                    0,
                    f"AEP reads the text '{column.name}' as {label} only in its default formats, such as "
                    f'{DEFAULT_FORMATS[1]}. Use date({column.name}, "yyyy-MM-dd HH:mm:ss") for others.',
                )
            else:
                yield self.error(0, f"AEP cannot convert {source} '{column.name}' to {label}. Use dformat and date.")
        elif column.type == "boolean" and target.type in {"integer", "number"}:
            yield self.error(
                0, f"AEP cannot convert {source} '{column.name}' to {label}. Use iif({column.name}, 1, 0)."
            )
        elif column.type in {"integer", "number"} and target.type == "boolean":
            yield self.error(0, f"AEP cannot convert {source} '{column.name}' to {label}. Use {column.name} == 1.")
        elif column.type == "number" and target.type == "integer":
            yield self.warning(0, f"A value of '{column.name}' with a fraction becomes null. Map it to a number.")
        elif column.format and target.type in {"integer", "number", "boolean"}:
            yield self.error(0, f"AEP cannot convert {source} '{column.name}' to {label}. Use date_part(...).")

    # -- expressions --------------------------------------------------------------------------------------------------

    def expression(self, target: Field | None) -> Iterator[Problem]:
        try:
            tree = parse(self.entry.source)
        except ExpressionSyntaxError as e:
            yield self.error(e.position, e.message)
            return
        yield from self.node(tree, frozenset())
        if target:
            yield from self.result(tree, target)

    def result(self, tree: Expression, target: Field) -> Iterator[Problem]:
        """Check whether the kind of an expression's result fits the field: a list, an object or one value."""
        kind = _result_kind(tree)
        wanted = "array" if self.has_each or target.type == "array" else "object" if target.type in _NESTED else "value"
        if kind and kind != wanted:
            step = {
                "array": 'Use explode(text, ";"), or to_array(...).',
                "object": 'Use to_object("name", value).',
                "value": "Use join(...), or an element such as [0]." if kind == "array" else "Use one of its fields.",
            }[wanted]
            label = "values of a list" if self.has_each else target.label
            yield self.error(tree.start, f"The expression makes a single {kind}, and the field takes {label}. {step}")

    def node(self, node: Expression, variables: frozenset[str]) -> Iterator[Problem]:
        if isinstance(node, Path):
            yield from self.path(node, variables)
        elif isinstance(node, Call):
            yield from self.call(node)
        elif isinstance(node, Method) and node.method not in METHODS:
            yield self.error(node.start, f"There is no method {node.method}. Use one of: {', '.join(METHODS)}.")
        elif isinstance(node, Binary):
            yield from self.operator(node)
        elif isinstance(node, Literal) and isinstance(node.value, str):
            yield from self.text(node)
        if isinstance(node, Lambda):
            variables |= {node.parameter}
        parts = [*children(node)]
        if isinstance(node, Call) and node.function == "object_to_map" and len(parts) == 2:
            # After an array, the second argument is the name of a field, without quotation marks.
            parts = parts[: 2 if isinstance(parts[0], Literal) or not isinstance(parts[1], Path) else 1]
        for child in parts:
            yield from self.node(child, variables)

    def path(self, node: Path, variables: frozenset[str]) -> Iterator[Problem]:
        first = str(node.steps[0])
        if first in variables:
            return
        if any(isinstance(step, Each) for step in node.steps):
            yield self.error(
                node.start, "[*] is for a mapping of a path, not for an expression. Use transformations of arrays."
            )
        if node.wrapped in TEMPLATE_VARIABLES:
            yield self.error(node.start, f"${{{node.wrapped}}} is a variable of a template. Write its value instead.")
            return
        if node.wrapped is None and (first in RESERVED or first in functions()):
            grade = Grade.ERROR if first in RESERVED else self.function_names
            message = f"'{first}' is a reserved word. Write ${{{first}}} for the column."
            yield self.problem(grade, node.start, message)
            if grade is Grade.ERROR:
                return
        if not self.is_known(node.steps, node.wrapped):
            dotted = ".".join(map(str, node.steps))
            name = dotted if dotted in (self.columns or ()) else node.wrapped or first
            yield self.error(node.start, self.unknown_column(name))
        elif node.wrapped is None or node.wrapped not in (self.columns or ()):
            yield from self.child(node.steps, node.start)

    def call(self, node: Call) -> Iterator[Problem]:
        entry = functions().get(node.function)
        if entry is None:
            yield self.error(node.start, unknown_function(node.function))
            return
        if message := entry.arity_error(len(node.arguments)):
            yield self.error(node.start, message)
        if entry.flows == "analytics":
            yield self.error(node.start, f"{entry.name} works in Analytics and Web SDK flows only.")
        elif entry.flows == "destination" and self.flow == "source":
            yield self.error(node.start, f"{entry.name} works in destinations only.")
        if entry.deprecated:
            yield self.warning(node.start, f"{entry.name} is deprecated. Use {entry.deprecated}.")
        if node.function in {"date", "format", "dformat"}:
            yield from self.pattern(node)
        if node.function in {"explode", "extract_regex", "matches_regex"} and len(node.arguments) == 2:
            yield from self.regex(node.function, node.arguments[1])
        if node.function in _ASSUMED_FOR_NULL and any(isinstance(a, Path) for a in node.arguments):
            message = f"Adobe does not document {entry.name} of null. {_ASSUMED_FOR_NULL[node.function]}"
            yield self.problem(Grade.NOTE, node.start, message)

    def pattern(self, node: Call) -> Iterator[Problem]:
        if (
            len(node.arguments) > 1
            and isinstance(pattern := node.arguments[1], Literal)
            and isinstance(pattern.value, str)
        ):
            try:
                check_pattern(pattern.value)
            except EvaluationError as e:
                unknown = set(re.findall("[A-Za-z]", re.sub(r"'[^']*'", "", pattern.value))) - set(LETTERS)
                if unknown and unknown <= set("AnNBcp"):  # letters of Java that Adobe does not list
                    yield self.warning(pattern.start, f"The pattern cannot be tried offline: {e}")
                else:
                    yield self.error(pattern.start, str(e))
                return
            letters = re.sub(r"'[^']*'", "", pattern.value)
            if "Y" in letters:
                yield self.warning(pattern.start, "Y is the year of a week. Use y for the year.")
            if "hh" in letters and "a" not in letters:
                yield self.warning(pattern.start, "hh is a 12-hour clock, without a for AM and PM. Use HH.")
            if "D" in letters:
                yield self.warning(pattern.start, "D is the day of the year. Use d for the day of the month.")

    def regex(self, function: str, node: Expression) -> Iterator[Problem]:
        if not isinstance(node, Literal) or not isinstance(node.value, str):
            return
        pattern = node.value
        if function == "explode" and re.fullmatch(r"[+?^|.\[({)*$\\]", pattern):
            escaped = r"\\\\" if pattern == "\\" else "\\\\" + pattern
            yield self.warning(
                node.start,
                f'explode splits at a regular expression, in which {pattern} is special. Write "{escaped}".',
            )
            return
        try:
            with warnings.catch_warnings(action="ignore"):
                re.compile(pattern)
        except re.error as e:
            if _JAVA_ONLY.search(pattern):
                yield self.warning(node.start, f"{pattern!r} has a form of Java, and cannot be tried offline.")
            else:
                yield self.error(node.start, f"{pattern!r} is no regular expression: {e}.")

    def operator(self, node: Binary) -> Iterator[Problem]:
        sides = (node.left, node.right)
        if node.operator == "/" and isinstance(node.right, Path):
            yield self.warning(node.start, "A division by 0 has no value. Guard it with iif(x == 0, null, ...).")
        elif node.operator in _ARITHMETIC and any(isinstance(side, Path) for side in sides):
            yield self.warning(
                node.start, f"If an operand of {node.operator} is null, there is no value. Use coalesce(x, 0)."
            )
        if node.operator in {"==", "!=", "<", ">", "<=", ">="}:
            for side, other in (sides, sides[::-1]):
                if isinstance(other, Literal) and isinstance(other.value, int) and not isinstance(other.value, bool):
                    column = self.column(side)
                    if column and column.type == "string" and not column.format:
                        yield self.warning(
                            other.start,
                            f"'{column.name}' is a text, and a text with a fraction has no order with a whole number. "
                            f'Compare with "{other.value}", or use to_decimal({column.name}).',
                        )

    def column(self, node: Expression) -> Column | None:
        if isinstance(node, Path) and len(node.steps) == 1:
            return (self.columns or {}).get(node.wrapped or str(node.steps[0]))
        return None

    def text(self, node: Literal) -> Iterator[Problem]:
        for name in _template_variables(node.value):
            yield self.error(node.start, f"${{{name}}} is a variable of a template. Write its value instead.")


def _template_variables(text: str) -> list[str]:
    return [name for name in re.findall(r"\$\{(\w+)\}", text) if name in TEMPLATE_VARIABLES]


def _result_kind(node: Expression) -> str | None:
    """Return ``array``, ``object`` or ``value``; ``None`` if only the rows decide."""
    if isinstance(node, Array):
        return "array"
    if isinstance(node, Map):
        return "object"
    if isinstance(node, Literal) and node.value is not None:
        return "value"
    if isinstance(node, Call) and node.function != "json_to_object" and (entry := functions().get(node.function)):
        return {"array": "array", "map": "object", "object": "object", "any": None, "null": None}.get(
            entry.returns, "value"
        )
    return None
