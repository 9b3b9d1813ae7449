"""Data Prep: the functions and operators of the mapping language. Source: Adobe's data-prep OpenAPI file."""

from __future__ import annotations

from typing import Any

from aep_data_prep import catalogue
from aep_emulator.core.errors import problem
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.engine.mapping import expression_error
from aep_emulator.services.data_prep.mapping_sets import BASE

_OPERATORS = (
    ("+", "add", 2), ("-", "subtract", 2), ("*", "multiply", 2), ("/", "divide", 2), ("%", "mod", 2),
    ("&", "and", 2), ("|", "or", 2), ("^", "xor", 2), ("~", "complement", 1), ("-", "negate", 1), ("!", "not", 1),
)  # fmt: skip
"""Symbol, method and number of operands. Source: the methods of JEXL's arithmetic, which Adobe's sample names."""


def validate(world: World, request: Request) -> Reply:
    """Validate an expression."""
    body = request.object(problem(400, "Bad Request", "The request body is empty"), "expression")
    expression = body.get("expression")
    if isinstance(expression, dict):  # as in the OpenAPI file's sample
        expression = expression.get("expression")
    if not isinstance(expression, str) or not expression:
        raise problem(400, "Bad Request", "expression is a text")
    wrong = expression_error(expression)
    if world.choices["expression-validation"] == "boolean":
        return Reply(not wrong)
    return Reply({"validationStatus": "failed" if wrong else "succeeded", "error": wrong or "none"})


def functions(world: World, request: Request) -> Reply:
    """List the functions."""
    return Reply([_shown(function) for function in catalogue.functions().values()])


def _shown(function: catalogue.Function) -> dict[str, Any]:
    return {
        "category": function.category,
        "function": function.name,
        "description": function.description,
        "syntax": function.signature,
        "returns": function.returns,
        "returnType": function.returns,
        "example": function.example,
        "params": [
            {"name": name, "description": "", "type": "", "dataType": "", "position": number}
            for number, name in enumerate(function.parameters)
        ],
    }


def operators(world: World, request: Request) -> Reply:
    """List the operators."""
    return Reply(
        [
            {"operatorSymbol": symbol, "methodName": method, "numberOfOperands": operands}
            for symbol, method, operands in _OPERATORS
        ]
    )


_SPEC = "data-prep.yaml"
ROUTES = [
    Route("POST", f"{BASE}/languages/el/validate", validate, Evidence.OPENAPI, _SPEC, body="expression"),
    Route("GET", f"{BASE}/languages/el/functions", functions, Evidence.OPENAPI, _SPEC),
    Route("GET", f"{BASE}/languages/el/operators", operators, Evidence.OPENAPI, _SPEC),
]
