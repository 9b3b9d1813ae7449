"""Flow Service's lists: ``property`` filters, ``orderby``, ``limit``, ``count`` and continuation tokens.

Source: Adobe's "Sort and filter responses in the Flow Service API".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aep_emulator.core.errors import flow
from aep_emulator.core.http import Reply, Request
from aep_emulator.core.store import Place
from aep_emulator.core.world import World
from aep_emulator.services import property_filters
from aep_emulator.services.property_filters import text_of

PARAMETERS = frozenset({"property", "limit", "orderby", "continuationToken", "count"})
DEFAULT_LIMIT = 20
LONGEST_PAGE = 1000
MOST_FILTERS, MOST_VALUES = 20, 200
_FIELD = re.compile(r"[A-Za-z_@$][\w.:@$\[\]-]*")
_COLUMNS = {"createdAt": "created", "updatedAt": "updated", "name": "name"}
_SORTED = {*_COLUMNS, "id", "state"}

Item = dict[str, Any]


@dataclass(frozen=True)
class Filter:
    """One ``property`` filter of Flow Service."""

    path: str
    op: str
    values: list[str]

    def passes(self, item: Item) -> bool:
        """Return whether an object passes the filter."""
        found = _at(item, self.path.replace("[]", "").split("."))
        if self.op == "==":
            return any(text_of(f) in self.values for f in found)
        if self.op == "!=":
            return not any(text_of(f) in self.values for f in found)
        wanted = float(self.values[0])
        numbers = [f for f in found if isinstance(f, int | float) and not isinstance(f, bool)]
        compare = {"<": wanted.__gt__, "<=": wanted.__ge__, ">": wanted.__lt__, ">=": wanted.__le__}[self.op]
        return any(compare(n) is True for n in numbers)


def filters(request: Request) -> list[Filter]:
    """Return the filters of a request; an object must pass all."""
    if len(request.query.get("property", [])) > MOST_FILTERS:
        raise flow("1451-400", f"property may be repeated {MOST_FILTERS} times")
    return [_filter(text) for text in request.query.get("property", [])]


def _filter(text: str) -> Filter:
    field = property_filters.field_of(text)
    if field is not None and not _FIELD.fullmatch(field):
        raise flow("1449-400", f"The field of the filter {text[:100]!r} is malformed")
    parsed = property_filters.parse(text)
    if parsed is None or parsed.operator in {"", "!"}:
        raise flow("1450-400", f"The filter {text[:100]!r} has no field and operator")
    path, op, values = parsed.field, parsed.operator, _values(parsed.value)
    if op == "~":
        raise flow("1440-400", "The operator ~ is not implemented")
    if len(values) > MOST_VALUES:
        raise flow("1451-400", f"A filter can have {MOST_VALUES} values")
    if not values or not all(values):
        raise flow("1453-400", f"The filter {text[:100]!r} has no value")
    if op not in {"==", "!="}:
        if len(values) > 1:
            raise flow("1443-400", f"The operator {op} takes one value")
        if path == "id" or path.endswith(".id"):
            raise flow("1448-400", f"The operator {op} is not supported for id")
        try:
            float(values[0])
        except ValueError:
            raise flow("1454-400", f"The operator {op} takes a number") from None
    return Filter(path, op, values)


def _values(text: str) -> list[str]:
    """Return comma-separated values; a quoted value may contain commas."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return [text[1:-1]]
    return text.split(",")


def _at(node: Any, path: list[str]) -> list[Any]:
    """Return all values at a dot path; a list on the path stands for each of its entries."""
    if isinstance(node, list):
        return [value for entry in node for value in _at(entry, path)]
    if not path:
        return [node]
    return _at(node[path[0]], path[1:]) if isinstance(node, dict) and path[0] in node else []


def _order(text: str) -> list[tuple[str, bool]]:
    """Return the fields to sort by, and whether each is descending."""
    found = [(p.lstrip("+- "), p.startswith("-")) for p in text.split(",") if p]
    for field, _ in found:
        if field not in _SORTED:
            raise flow("1433-400", f"Unknown field {field[:40]!r} in orderby")
    return found


def stored_list(
    world: World, request: Request, kind: str, show: Callable[[Item], Item], parent_field: str = ""
) -> Reply:
    """Return one page of a kind's objects; the store's indexes filter and sort as far as they can.

    :param parent_field: a field with an index in the store
    """
    request, token = _continued(request, kind)
    asked = filters(request)
    equal = {f.path: f.values[0] for f in asked if f.op == "==" and len(f.values) == 1}
    name, parent = equal.get("name"), equal.get(parent_field) if parent_field else None
    if is_count(request):
        if not asked:
            return Reply({"count": world.store.count(kind, request.scope)})
        rows = world.store.rows(kind, request.scope, name=name, parent=parent)
        return Reply({"count": sum(all(f.passes(i) for f in asked) for i, _ in rows)})
    ids = next((f.values for f in asked if f.op == "==" and f.path == "id"), None)
    sieve = [f.values for f in asked if f.op == "==" and f.path not in {"id", "name", parent_field}]
    stored = partial(world.store.rows, kind, request.scope, name=name, parent=parent, ids=ids, containing=sieve)
    order = _order(request.first("orderby"))
    limit = request.integer("limit", DEFAULT_LIMIT, 1, LONGEST_PAGE)
    if len(order) > 1 or (order and order[0][0] not in _COLUMNS):
        rows = stored()
        paged = {"limit": [str(limit)]}
        return listing(replace(request, query={**request.query, **paged}), [show(i) for i, _ in rows], kind)
    place = token.get("place")
    column = f"{'-' if order[0][1] else ''}{_COLUMNS[order[0][0]]}" if order else ""
    rows = stored(order=column, after=place)
    page: list[Item] = []
    last: Place | None = None
    more = False
    for item, at in rows:
        if all(f.passes(item) for f in asked):
            if len(page) == limit:
                more = True
                break
            page.append(show(item))
            last = at
    return _page(request, page, kind, limit, {"place": last} if more else None)


def listing(request: Request, items: Iterable[Item], kind: str) -> Reply:
    """Return one page of the ``items`` that pass the filters; without a limit, all."""
    request, token = _continued(request, kind)
    asked = filters(request)
    kept = [i for i in items if all(f.passes(i) for f in asked)]
    if is_count(request):
        return Reply({"count": len(kept)})
    limit = request.integer("limit", LONGEST_PAGE, 1, LONGEST_PAGE)
    for field, down in reversed(_order(request.first("orderby"))):
        kept.sort(key=lambda i, f=field: (i.get(f) is not None, i.get(f)), reverse=down)  # type: ignore[misc]
    start = token.get("offset", 0)
    more = {"offset": start + limit} if start + limit < len(kept) else None
    return _page(request, kept[start : start + limit], kind, limit, more)


def is_count(request: Request) -> bool:
    """Return whether the request asks for a number only."""
    if request.is_true("count") and "limit" in request.query:
        raise flow("1401-400", "limit and count cannot be used together")
    return request.is_true("count")


def _page(request: Request, items: list[Item], kind: str, limit: int, more: Item | None) -> Reply:
    links: Item = {}
    if more:
        query = [(k, v) for k, vs in request.query.items() for v in vs if k != "continuationToken"]
        token = base64.urlsafe_b64encode(json.dumps({**more, "of": kind, "query": query}).encode()).decode().rstrip("=")
        links["next"] = {"href": f"/{kind}?continuationToken={token}"}
    return Reply({"items": items, "_links": links})


def _continued(request: Request, kind: str) -> tuple[Request, Item]:
    """Return the request with the query of its continuation token, and the position to continue from."""
    text = request.first("continuationToken")
    if not text:
        return request, {}
    try:
        token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if token["of"] != kind:
            raise ValueError(text)
        query: dict[str, list[str]] = {}
        for key, value in token["query"]:
            query.setdefault(str(key), []).append(str(value))
        if "offset" in token:
            ok = isinstance(token["offset"], int) and 0 <= token["offset"] < 2**62
        else:
            value, seq = token["place"]
            ok = isinstance(value, int | str) and isinstance(seq, int) and abs(seq) < 2**62
            ok = ok and (isinstance(value, str) or abs(value) < 2**62)
        if not ok:
            raise ValueError(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise flow("1451-400", "The continuation token is not one of ours") from None
    return replace(request, query={**query, **request.query}), token
