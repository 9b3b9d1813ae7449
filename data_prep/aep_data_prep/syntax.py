"""Parse an expression into a tree whose nodes know their positions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from aep_data_prep.errors import ExpressionSyntaxError

MAX_LENGTH = 4096
"""Characters of an expression. Source: Adobe's Data Prep troubleshooting guide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of an expression.

    :param start: index of its first character in the expression
    :param end: index after its last character
    """

    start: int = field(compare=False)
    end: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A text, number, boolean or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Each:
    """The step ``[*]`` of a path: every element of an array."""


Step: TypeAlias = "str | int | Each"


@dataclass(frozen=True, slots=True)
class Path(Node):
    """A field of the row.

    :param steps: names, indexes and :class:`Each`
    :param wrapped: the text within ``${...}``, which may be one name with dots; ``None`` without a wrapper
    """

    steps: tuple[Step, ...]
    wrapped: str | None = None


@dataclass(frozen=True, slots=True)
class Child(Node):
    """A named child of a value that is no field, such as ``f(x).name``."""

    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Element(Node):
    """An element of an array by index, or of a map by key, where the index is not a number literal."""

    value: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function call."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Method(Node):
    """A method call on a value, such as ``"a".equals("b")``."""

    value: Expression
    method: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-x``, ``+x``, ``!x``, ``~x``, ``empty x`` or ``size x``."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands. The operator is a symbol, also where the expression has a word."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``a ? b : c``."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Array(Node):
    """``[a, b]``."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Map(Node):
    """``{"k": v}``."""

    pairs: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """``x -> expression``."""

    parameter: str
    body: Expression


Expression: TypeAlias = (
    Literal | Path | Child | Element | Call | Method | Unary | Binary | Conditional | Array | Map | Lambda
)

SYMBOLS = {
    "or": "||",
    "and": "&&",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
    "div": "/",
    "mod": "%",
    "not": "!",
}
_CONSTANTS = {"true": True, "false": False, "null": None, "NaN": float("nan")}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_STATEMENTS = {"new", "var", "function", "if", "for", "while", "do", "return", "break", "continue", "else"}
_HINTS = {
    "=": 'An expression cannot assign. Compare with "==".',
    ";": "A mapping is one expression. Remove the semicolon.",
    "`": 'Templates in back-quotes are not supported. Use "concat(...)".',
    "}": 'Sets are not supported. Write a map as {"key": value}.',
    "@": "Annotations are not supported.",
    "#": "Pragmas are not supported.",
}


def parse(text: str) -> Expression:
    """Return the tree of an expression.

    :raises ExpressionSyntaxError: the text is not one expression, or is too long
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionSyntaxError(
            f"An expression has at most {MAX_LENGTH} characters, and this has {len(text)}.", MAX_LENGTH
        )
    return _parse(text)


@lru_cache(maxsize=2048)
def _parse(text: str) -> Expression:
    try:
        tree = _parser().parse(text)
        # The tree of the parser comes first, since what turns it into nodes calls itself for each level. It has one
        # level for a row of operators, which become as many nodes, one within the other.
        _refuse_deep(tree, lambda node: getattr(node, "children", ()))
        expression: Expression = _Builder().transform(tree).children[0]
        _refuse_deep(expression, children)
        return expression
    except UnexpectedEOF:
        raise ExpressionSyntaxError("The expression ends too early. Close every bracket.", len(text)) from None
    except UnexpectedToken as e:
        raise _unexpected(text, e, "" if e.token.type == "$END" else str(e.token)) from None
    except UnexpectedCharacters as e:
        raise _unexpected(text, e, e.char) from None
    except VisitError as e:
        if isinstance(e.orig_exc, ExpressionSyntaxError):
            raise e.orig_exc from None
        raise


DEEPEST = 300
"""Maximum depth of an expression's operators and calls, where a call and its arguments are two levels."""


def _refuse_deep(root: Any, children_of: Callable[[Any], Iterable[Any]]) -> None:
    level, depth = [root], 0
    while level := [child for node in level for child in children_of(node)]:
        depth += 1
        if depth > DEEPEST:
            raise ExpressionSyntaxError(f"The expression is nested more than {DEEPEST} times. Split it.", 0)


def children(node: Expression) -> Iterator[Expression]:
    """Return the parts of a node that are expressions themselves, from the left to the right."""

    def found(value: Any) -> Iterator[Expression]:
        if isinstance(value, tuple):
            for item in value:
                yield from found(item)
        elif isinstance(value, Node):
            yield value  # type: ignore[misc]  # each node is one of the classes of Expression

    for part in fields(node):
        yield from found(getattr(node, part.name))


@cache
def _parser() -> Lark:
    return Lark.open("grammar.lark", rel_to=__file__, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _unexpected(text: str, e: UnexpectedInput, found: str) -> ExpressionSyntaxError:
    position = e.pos_in_stream if e.pos_in_stream is not None else len(text)
    if not found or position >= len(text):
        return ExpressionSyntaxError("The expression ends too early. Close every bracket and every text.", len(text))
    before = re.search(r"(\w+)\s*$", text[:position])
    if before and before[1] in _STATEMENTS or found in _STATEMENTS:
        word = found if found in _STATEMENTS else before and before[1]
        return ExpressionSyntaxError(
            f"'{word}' is a reserved word: a mapping is one expression, without statements.", position
        )
    if found in "\"'":
        return ExpressionSyntaxError(
            "The text is not closed. End it with the quotation mark that it begins with.", position
        )
    hint = _HINTS.get(found[0], "Remove it, or put the missing operator, comma or bracket before it.")
    return ExpressionSyntaxError(f"Unexpected {found!r}. {hint}", position)


def unescape_name(text: str) -> str:
    """Return a name without the backslashes before its special characters."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def unescape_text(text: str) -> str:
    """Return the content of a text literal, without its quotation marks."""

    def value(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)

    return _ESCAPE.sub(value, text[1:-1])


_WRAPPER = r"\$\{(?:[^}\\]|\\.)*\}"
_NAME = rf"(?:{_WRAPPER}|(?:[^.\[\]\\]|\\.)+)"
_INDEX = r"\[(?:\*|\d+)\]"
_STEP = re.compile(f"{_NAME}|{_INDEX}", re.DOTALL)
_PATH = re.compile(rf"{_NAME}(?:\.{_NAME}|{_INDEX})*", re.DOTALL)
_PLAIN_NAME = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")


def is_wrapped(text: str) -> bool:
    """Return whether a text is one name in a wrapper, such as ``${First Name}``."""
    return re.fullmatch(_WRAPPER, text, re.DOTALL) is not None


def is_path(text: str) -> bool:
    """Return whether a text is a path, without an empty step or an index that is no number."""
    return _PATH.fullmatch(text) is not None and bool(steps_of(text))


def escape_name(name: str) -> str:
    """Return the path of a field with this name: AEP wraps special characters, and escapes dots.

    >>> escape_name("E-mail (work)")
    '${E-mail (work)}'
    """
    if _PLAIN_NAME.fullmatch(name) and name not in _CONSTANTS:
        return name
    return "${" + re.sub(r"([\\.}])", r"\\\1", name) + "}"


def steps_of(text: str) -> tuple[Step, ...]:
    r"""Return the steps of a path such as ``emails[0].x``, ``emails[*].x`` or ``Full\.Name``."""
    steps: list[Step] = []
    for part in _STEP.findall(text):
        if is_wrapped(part):
            steps.extend(steps_of(part[2:-1]))
        elif part == "[*]":
            steps.append(Each())
        elif part.startswith("["):
            steps.append(int(part[1:-1]))
        else:
            steps.append(unescape_name(part))
    return tuple(steps)


def _number(text: str) -> int:
    digits = text.rstrip("lLhH")
    if digits[:2] in {"0x", "0X"}:
        return int(digits, 16)
    return int(digits, 8) if len(digits) > 1 and digits[0] == "0" else int(digits)


@v_args(meta=True)
class _Builder(Transformer[Token, Any]):
    """Turns lark's tree into nodes."""

    def name(self, meta: Any, children: list[Token]) -> Path:
        return Path((unescape_name(children[0]),), start=meta.start_pos, end=meta.end_pos)

    def wrapped(self, meta: Any, children: list[Token]) -> Path:
        inner = str(children[0])[2:-1]
        if not steps_of(inner):
            raise ExpressionSyntaxError("A field is missing. Write ${field}.", meta.start_pos)
        return Path(steps_of(inner), unescape_name(inner), start=meta.start_pos, end=meta.end_pos)

    def child(self, meta: Any, children: list[Any]) -> Expression:
        value, token = children
        name = unescape_name(token[2:-1]) if token.type == "WRAPPED" else unescape_name(token)
        if isinstance(value, Path):
            return Path((*value.steps, name), start=meta.start_pos, end=meta.end_pos)
        return Child(value, name, start=meta.start_pos, end=meta.end_pos)

    def element(self, meta: Any, children: list[Expression]) -> Expression:
        value, index = children
        if isinstance(value, Path) and isinstance(index, Literal) and isinstance(index.value, int | str):
            return Path((*value.steps, index.value), start=meta.start_pos, end=meta.end_pos)
        return Element(value, index, start=meta.start_pos, end=meta.end_pos)

    def each(self, meta: Any, children: list[Any]) -> Path:
        value = children[0]
        if not isinstance(value, Path):
            raise ExpressionSyntaxError("[*] may only follow a field.", meta.start_pos)
        return Path((*value.steps, Each()), start=meta.start_pos, end=meta.end_pos)

    def call(self, meta: Any, children: list[Any]) -> Call:
        return Call(str(children[0]), tuple(children[1]), start=meta.start_pos, end=meta.end_pos)

    def method(self, meta: Any, children: list[Any]) -> Method:
        value, name, arguments = children
        return Method(value, str(name), tuple(arguments), start=meta.start_pos, end=meta.end_pos)

    def arguments(self, meta: Any, children: list[Expression]) -> list[Expression]:
        return [c for c in children if c is not None]

    def pair(self, meta: Any, children: list[Expression]) -> tuple[Expression, ...]:
        return tuple(children)

    def unary(self, meta: Any, children: list[Any]) -> Unary:
        operator, operand = children
        return Unary(SYMBOLS.get(operator, str(operator)), operand, start=meta.start_pos, end=meta.end_pos)

    def operation(self, meta: Any, children: list[Any]) -> Expression:
        """Return the operands in the order of their binding (precedence climbing)."""
        operands: list[Expression] = [children[0]]
        operators: list[Token] = []
        for operator, operand in zip(children[1::2], children[2::2], strict=True):
            while operators and _STRENGTH[operator.type] <= _STRENGTH[operators[-1].type]:
                if operator.type == operators[-1].type and operator.type in _NOT_CHAINED:
                    raise ExpressionSyntaxError(
                        f"{operator} follows {operators[-1]}. Compare twice, and join the results with &&.",
                        operator.start_pos or 0,
                    )
                _combine(operands, operators.pop())
            operators.append(operator)
            operands.append(operand)
        while operators:
            _combine(operands, operators.pop())
        return replace(operands[0], start=meta.start_pos, end=meta.end_pos)

    def coalesce(self, meta: Any, children: list[Any]) -> Binary:
        left, operator, right = children
        return Binary(str(operator), left, right, start=meta.start_pos, end=meta.end_pos)

    def conditional(self, meta: Any, children: list[Expression]) -> Conditional:
        return Conditional(*children, start=meta.start_pos, end=meta.end_pos)

    def array(self, meta: Any, children: list[Any]) -> Array:
        return Array(tuple(children[0]), start=meta.start_pos, end=meta.end_pos)

    def map(self, meta: Any, children: list[Any]) -> Map:
        return Map(tuple(children), start=meta.start_pos, end=meta.end_pos)

    def integer(self, meta: Any, children: list[Token]) -> Literal:
        try:
            value = _number(children[0])
        except ValueError:
            raise ExpressionSyntaxError(
                f"{children[0]} is not a number: a leading 0 means octal. Remove the 0.", meta.start_pos
            ) from None
        return Literal(value, start=meta.start_pos, end=meta.end_pos)

    def real(self, meta: Any, children: list[Token]) -> Literal:
        text = children[0]
        value = Decimal(text[:-1]) if text[-1] in "bB" else float(text.rstrip("fFdD"))
        return Literal(value, start=meta.start_pos, end=meta.end_pos)

    def string(self, meta: Any, children: list[Token]) -> Literal:
        return Literal(unescape_text(children[0]), start=meta.start_pos, end=meta.end_pos)

    def constant(self, meta: Any, children: list[Token]) -> Literal:
        return Literal(_CONSTANTS[children[0]], start=meta.start_pos, end=meta.end_pos)


_STRENGTHS = ("OR", "AND", "BIT_OR", "BIT_XOR", "BIT_AND", "EQUALITY", "RELATION", "SHIFT", "SUM", "PRODUCT")
_STRENGTH = {name: strength for strength, name in enumerate(_STRENGTHS)}
_NOT_CHAINED = {"EQUALITY", "RELATION"}


def _combine(operands: list[Expression], operator: Token) -> None:
    right, left = operands.pop(), operands.pop()
    operands.append(Binary(SYMBOLS.get(operator, str(operator)), left, right, start=left.start, end=right.end))


def _lambda(self: _Builder, meta: Any, children: list[Any]) -> Lambda:
    return Lambda(str(children[0]), children[1], start=meta.start_pos, end=meta.end_pos)


setattr(_Builder, "lambda", v_args(meta=True)(_lambda))  # a reserved word in Python
