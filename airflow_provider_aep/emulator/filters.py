"""Flow Service's list parameters: ``property`` filters, ``orderby``, ``limit``, ``count`` and continuation tokens.

Source: Adobe's "Sort and filter responses in the Flow Service API".
"""

from __future__ import annotations

import base64
import binascii
import json
import operator
import re
from typing import Any
from urllib.parse import urlencode

from airflow_provider_aep.emulator.refusals import flow
from airflow_provider_aep.emulator.service import Reply, Request

DEFAULT_LIMIT = 20
_FILTER = re.compile(r"(?P<path>[A-Za-z_][\w.:@\[\]-]*)(?P<op>==|!=|<=|>=|<|>|~)(?P<value>.*)", re.DOTALL)


def equal_to(request: Request, field: str) -> str | None:
    """The value of a single ``field==value`` filter, so that an index can narrow the search first."""
    for text in request.query.get("property", []):
        found = _FILTER.fullmatch(text)
        if found and found["path"] == field and found["op"] == "==":
            values = _values(found["value"])
            if len(values) == 1:
                return values[0]
    return None


def listing(request: Request, items: list[dict[str, Any]], resource: str) -> Reply:
    """One page of ``items`` that pass the filters."""
    if request.first("count").lower() == "true":
        if "limit" in request.query:
            raise flow("1401-400", "Invalid request", "limit and count cannot be used together")
        return Reply({"count": len(_filtered(request, items))})
    limit = request.integer("limit", DEFAULT_LIMIT, 1, 1000)
    kept = _ordered(_filtered(request, items), request.first("orderby"))
    start = _offset(request.first("continuationToken"))
    page = kept[start : start + limit]
    links: dict[str, Any] = {}
    if start + limit < len(kept):
        token = base64.urlsafe_b64encode(json.dumps({"offset": start + limit}).encode()).decode()
        query = [(k, v) for k, vs in request.query.items() for v in vs if k not in {"continuationToken", "limit"}]
        query += [("limit", str(limit)), ("continuationToken", token)]
        links["next"] = {"href": f"/{resource}?{urlencode(query)}"}
    return Reply({"items": page, "_links": links})


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        return operator.index(json.loads(base64.urlsafe_b64decode(token))["offset"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise flow("1451-400", "Invalid request", "The continuation token is not one of ours") from None


def _filtered(request: Request, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for text in request.query.get("property", []):
        found = _FILTER.fullmatch(text)
        if not found:
            raise flow("1450-400", "Invalid request", f"The filter {text!r} has no field and operator")
        path, op, values = found["path"].replace("[]", ""), found["op"], _values(found["value"])
        if op == "~":
            raise flow("1440-400", "Invalid request", "The operator ~ is not implemented")
        if not values or not all(values):
            raise flow("1453-400", "Invalid request", f"The filter {text!r} has no value")
        if op not in {"==", "!="} and len(values) > 1:
            raise flow("1443-400", "Invalid request", f"The operator {op} takes one value")
        if op not in {"==", "!="} and path == "id":
            raise flow("1448-400", "Invalid request", f"The operator {op} is not supported for id")
        items = [item for item in items if _passes(_at(item, path.split(".")), op, values)]
    return items


def _values(text: str) -> list[str]:
    """Comma-separated; a quoted value may contain commas."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return [text[1:-1]]
    return text.split(",")


def _at(node: Any, path: list[str]) -> list[Any]:
    """Every value at a dot path; a list on the way means any of its entries."""
    if isinstance(node, list):
        return [value for entry in node for value in _at(entry, path)]
    if not path:
        return [node]
    return _at(node[path[0]], path[1:]) if isinstance(node, dict) and path[0] in node else []


def _passes(found: list[Any], op: str, values: list[str]) -> bool:
    if op == "==":
        return any(_text(f) in values for f in found)
    if op == "!=":
        return not any(_text(f) in values for f in found)
    try:
        wanted = float(values[0])
    except ValueError:
        raise flow("1454-400", "Invalid request", f"The operator {op} takes a number") from None
    numbers = [f for f in found if isinstance(f, int | float) and not isinstance(f, bool)]
    compare = {"<": wanted.__gt__, "<=": wanted.__ge__, ">": wanted.__lt__, ">=": wanted.__le__}[op]
    return any(compare(n) is True for n in numbers)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ordered(items: list[dict[str, Any]], orderby: str) -> list[dict[str, Any]]:
    for part in reversed([p for p in orderby.split(",") if p]):
        sign, field = ("-", part[1:]) if part[0] == "-" else ("+", part.lstrip("+ "))
        if field not in {"id", "name", "createdAt", "updatedAt", "state"}:
            raise flow("1433-400", "Invalid request", f"Unknown field {field!r} in orderby")
        items = sorted(items, key=lambda i: (i.get(field) is not None, i.get(field)), reverse=sign == "-")
    return items
