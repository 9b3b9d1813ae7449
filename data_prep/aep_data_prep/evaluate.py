"""Compile an expression once, then evaluate it for each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from aep_data_prep import choices as named_choices
from aep_data_prep.catalogue import METHODS, REPLACEMENTS, functions
from aep_data_prep.context import MISSING, Compiled, Context, Row, lookup
from aep_data_prep.errors import UNCOMPUTABLE, EvaluationError, NotOfflineError, nearest, uncomputable
from aep_data_prep.implementations import IMPLEMENTATIONS
from aep_data_prep.operators import BINARY, UNARY, equal
from aep_data_prep.syntax import (
    Array,
    Binary,
    Call,
    Child,
    Conditional,
    Element,
    Expression,
    Lambda,
    Literal,
    Map,
    Method,
    Path,
    Unary,
    parse,
)
from aep_data_prep.values import array_of, is_true, map_of, text_of, type_name


@lru_cache(maxsize=2048)
def compile_expression(text: str) -> Compiled:
    """Return a function that evaluates an expression in a context.

    :raises ExpressionSyntaxError: the text is not an expression
    :raises EvaluationError: the expression uses a function that does not exist
    """
    return _compile(parse(text))


def evaluate(text: str, row: Row | None = None, **context: Any) -> Any:
    """Return the value of an expression for a row.

    :param context: fields of :class:`Context`
    :raises ExpressionSyntaxError: the text is not an expression
    :raises EvaluationError: the expression has no value for this row
    """
    if isinstance(given := context.get("choices"), Mapping):
        context["choices"] = named_choices.resolve(given)
    compiled, scope = compile_expression(text), Context(row=row or {}, **context)
    try:
        return compiled(scope)
    except EvaluationError:
        raise
    except UNCOMPUTABLE as e:
        raise EvaluationError(uncomputable(e)) from e


def _compile(node: Expression) -> Compiled:
    return _COMPILERS[type(node)](node)


def _literal(node: Literal) -> Compiled:
    value = node.value
    return lambda context: value


def _path(node: Path) -> Compiled:
    steps, wrapped = node.steps, node.wrapped
    first = steps[0]
    if len(steps) == 1 and wrapped is None and isinstance(first, str):

        def column(context: Context) -> Any:
            return context.variables[first] if first in context.variables else context.row.get(first)

        return column

    def read(context: Context) -> Any:
        root = context.variables if first in context.variables else context.row
        value = lookup(root, steps, wrapped)
        return None if value is MISSING else value

    return read


def _child(node: Child) -> Compiled:
    value, name = _compile(node.value), node.name

    def read(context: Context) -> Any:
        parent = value(context)
        if parent is None:
            return None
        return map_of(parent).get(name)

    return read


def _element(node: Element) -> Compiled:
    value, index = _compile(node.value), _compile(node.index)

    def read(context: Context) -> Any:
        parent, key = value(context), index(context)
        if parent is None:
            return None
        if isinstance(parent, Mapping):
            return parent.get(text_of(key))
        items = array_of(parent)
        if not isinstance(key, int) or isinstance(key, bool):
            raise EvaluationError(f"{text_of(key)!r} is no index of an array.")
        return items[key] if 0 <= key < len(items) else None

    return read


def _call(node: Call) -> Compiled:
    known = functions()
    if node.function not in known:
        raise EvaluationError(unknown_function(node.function))
    entry = known[node.function]
    if error := entry.arity_error(len(node.arguments)):
        raise EvaluationError(error)
    if not entry.offline:
        name = node.function

        def refuse(context: Context) -> Any:
            raise NotOfflineError(f"{name} cannot be computed without AEP: its algorithm is not public.")

        return refuse
    if node.function in _LAZY:
        return _LAZY[node.function](node)
    implementation, arguments = IMPLEMENTATIONS[node.function], [_compile(a) for a in node.arguments]
    if len(arguments) == 1:
        [only] = arguments
        return lambda context: implementation(context, only(context))
    if len(arguments) == 2:
        first, second = arguments
        return lambda context: implementation(context, first(context), second(context))
    return lambda context: implementation(context, *[a(context) for a in arguments])


def unknown_function(name: str) -> str:
    """Return the message for a function that does not exist."""
    if name in REPLACEMENTS:
        return f"There is no function {name}. {REPLACEMENTS[name]}"
    close = nearest(name, functions())
    return f"There is no function {name}." + (f" Did you mean {close}?" if close else " See the function reference.")


def _iif(node: Call) -> Compiled:
    return _conditional(Conditional(*node.arguments, start=node.start, end=node.end))


def _decode(node: Call) -> Compiled:
    key, *rest = map(_compile, node.arguments)
    default = rest.pop() if len(rest) % 2 else None
    options = list(zip(rest[::2], rest[1::2], strict=True))

    def choose(context: Context) -> Any:
        own = key(context)
        for option, value in options:
            if equal(own, option(context)):
                return value(context)
        return default(context) if default else None

    return choose


def _higher_order(keep: bool) -> Callable[[Call], Compiled]:
    def compile_call(node: Call) -> Compiled:
        array, apply = _compile(node.arguments[0]), node.arguments[1]
        if not isinstance(apply, Lambda):
            raise EvaluationError(f"The second argument of {node.function} is a lambda. Write x -> ...")
        name, body = apply.parameter, _compile(apply.body)

        def run(context: Context) -> Any:
            items = array(context)
            if items is None:
                return None
            outer = context.variables
            results = []
            try:
                for item in array_of(items):
                    context.variables = {**outer, name: item}
                    result = body(context)
                    if not keep:
                        results.append(result)
                    elif is_true(result):
                        results.append(item)
            finally:
                context.variables = outer
            return results

        return run

    return compile_call


def _object_to_map(node: Call) -> Compiled:
    """Adobe's sample writes the field of ``object_to_map(addresses, type)`` without quotation marks."""
    arguments = [_compile(a) for a in node.arguments]
    implementation = IMPLEMENTATIONS["object_to_map"]
    field_path = node.arguments[1] if len(node.arguments) == 2 else None

    def run(context: Context) -> Any:
        first = arguments[0](context)
        if isinstance(first, list) and isinstance(field_path, Path):
            return implementation(context, first, str(field_path.steps[-1]))
        return implementation(context, first, *[a(context) for a in arguments[1:]])

    return run


_LAZY: Mapping[str, Callable[[Call], Compiled]] = {
    "iif": _iif,
    "decode": _decode,
    "filterArray": _higher_order(keep=True),
    "transformArray": _higher_order(keep=False),
    "object_to_map": _object_to_map,
}


def _method(node: Method) -> Compiled:
    if node.method not in METHODS:
        raise EvaluationError(f"There is no method {node.method}. Use one of: {', '.join(METHODS)}.")
    if len(node.arguments) != METHODS[node.method]:
        raise EvaluationError(f"The method {node.method} takes {METHODS[node.method]} argument.")
    value, argument = _compile(node.value), _compile(node.arguments[0])
    method = node.method

    def run(context: Context) -> Any:
        own, other = value(context), argument(context)
        if own is None:
            return None
        if method == "get":
            return map_of(own).get(text_of(other))
        if method == "equals":
            return type_name(own) == type_name(other) and bool(own == other)
        return isinstance(other, str) and text_of(own).lower() == other.lower()

    return run


def _unary(node: Unary) -> Compiled:
    apply, operand = UNARY[node.operator], _compile(node.operand)
    if node.operator in {"-", "+", "~"}:

        def run(context: Context) -> Any:
            value = operand(context)
            if value is None:
                if context.choices["arithmetic"] == "strict":
                    raise EvaluationError(f"The operand of {node.operator} is null. Use coalesce(field, 0).")
                value = 0
            return apply(value)

        return run
    return lambda context: apply(operand(context))


def _binary(node: Binary) -> Compiled:
    left, right = _compile(node.left), _compile(node.right)
    match node.operator:
        case "&&":
            return lambda context: is_true(left(context)) and is_true(right(context))
        case "||":
            return lambda context: is_true(left(context)) or is_true(right(context))
        case "?:":

            def elvis(context: Context) -> Any:
                value = left(context)
                return value if is_true(value) else right(context)

            return elvis
        case "??":

            def coalesce(context: Context) -> Any:
                value = left(context)
                return right(context) if value is None else value

            return coalesce
    apply = BINARY[node.operator]
    return lambda context: apply(left(context), right(context), context.choices)


def _conditional(node: Conditional) -> Compiled:
    condition, then, otherwise = _compile(node.condition), _compile(node.then), _compile(node.otherwise)
    return lambda context: then(context) if is_true(condition(context)) else otherwise(context)


def _array(node: Array) -> Compiled:
    items = [_compile(item) for item in node.items]
    return lambda context: [item(context) for item in items]


def _map(node: Map) -> Compiled:
    pairs = [(_compile(key), _compile(value)) for key, value in node.pairs]
    return lambda context: {text_of(key(context)): value(context) for key, value in pairs}


def _lambda(node: Lambda) -> Compiled:
    raise EvaluationError("A lambda may only be an argument of filterArray and transformArray.")


_COMPILERS: Mapping[type, Callable[[Any], Compiled]] = {
    Literal: _literal,
    Path: _path,
    Child: _child,
    Element: _element,
    Call: _call,
    Method: _method,
    Unary: _unary,
    Binary: _binary,
    Conditional: _conditional,
    Array: _array,
    Map: _map,
    Lambda: _lambda,
}
