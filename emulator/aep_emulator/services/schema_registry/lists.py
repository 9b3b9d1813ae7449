"""Lists of the Schema Registry: property filters, order and pages.

Source: Adobe's schema-registry OpenAPI file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from aep_emulator.core import patterns
from aep_emulator.core.errors import problem
from aep_emulator.core.http import Reply, Request
from aep_emulator.services import property_filters
from aep_emulator.services.property_filters import PropertyFilter, text_of

BASE = "/data/foundation/schemaregistry"
LIST = frozenset({"limit", "start", "orderby", "orderBy", "property"})
_FIELD = re.compile(r"[\w:$@.-]+")
_SORTED = {"title", "description", "$id", "meta:altId", "version", "created", "updated", "meta:resourceType"}

Body = dict[str, Any]


def equal_to(request: Request, field: str) -> str | None:
    """Return the value of a filter ``field==value``, for which the store has an index."""
    found = [t.partition("==")[2] for t in request.query.get("property", []) if t.startswith(f"{field}==")]
    return found[0] if len(found) == 1 and "," not in found[0] else None


def page(request: Request, items: Iterable[Body], path: str, show: Callable[[Body], Any]) -> Reply:
    """Return one page, and where the next one begins."""
    limit = request.integer("limit", 100, 0, 500)
    orderby = request.first("orderby") or request.first("orderBy")
    for part in reversed([p for p in orderby.split(",") if p]):
        field = part.lstrip("+- ")
        if field not in _SORTED:
            raise problem(400, "BadRequestError", f"It cannot be ordered by {field[:60]!r}")
        items = sorted(items, key=lambda i: str(_value(i, field)), reverse=part.startswith("-"))
    by = orderby.lstrip("+ ") if orderby.lstrip("+ ") in {"title", "$id", "meta:altId"} else ""
    if by:  # unique keys: a page begins after the last value of the page before
        items = [i for i in items if str(_value(i, by)) > request.first("start")]
        start = 0
    else:
        start = request.integer("start", 0, 0, 10**9)
    ones = list(islice(items, start, start + limit + 1))  # one more, to know whether a next page exists
    is_last, ones = len(ones) <= limit, ones[:limit]
    shown_ones = [show(i) for i in ones]
    more, following = None, None
    if ones and not is_last:
        kept = [(k, v) for k, values in request.query.items() for v in values if k not in {"start", "limit"}]
        following = str(_value(ones[-1], by)) if by else str(start + limit)
        more = {"href": f"{path}?{urlencode([*kept, ('start', following), ('limit', limit)])}"}
    links: Body = {"next": more}
    if path.startswith("/tenant/"):
        links[f"global_{path.rsplit('/', 1)[-1]}"] = {"href": f"{BASE}{path.replace('/tenant/', '/global/')}"}
    about = {"orderby": orderby or "updated", "next": following, "count": len(shown_ones)}
    return Reply({"results": shown_ones, "_page": about, "_links": links})


def filtered(request: Request, items: Iterable[Body]) -> Iterator[Body]:
    """Return the items that pass all filters of the request."""
    wanted = _filters(request)
    return (i for i in items if all(_passes(i, one) for one in wanted))


def _filters(request: Request) -> list[PropertyFilter]:
    """Return the filters of a request; one parameter may contain several, separated by commas."""
    filters = []
    parameters = request.query.get("property", [])
    for text in (part for one in parameters for part in re.split(r",(?=[\w:$@.-]+(?:==|!=|~))", one)):
        parsed = property_filters.parse(text)
        if parsed is None or parsed.operator == "!" or not _FIELD.fullmatch(parsed.field):
            raise problem(400, "BadRequestError", f"{text[:100]!r} is not a property filter")
        if parsed.operator == "~":
            property_filters.check_pattern(parsed.value)
        filters.append(parsed)
    return filters


def _value(item: Body, field: str) -> Any:
    if field in {"updated", "created"}:
        name = "repo:lastModifiedDate" if field == "updated" else "repo:createdDate"
        return (item.get("meta:registryMetadata") or {}).get(name, 0)
    return item.get(field, "")


def _passes(item: Body, one: PropertyFilter) -> bool:
    field, value = one.field, one.value
    if field not in item:
        return one.operator == "!="
    found = item[field] if isinstance(item[field], list) else [item[field]]
    texts = [text_of(f) for f in found]
    match one.operator:
        case "":
            return True
        case "==":
            return value in texts
        case "!=":
            return value not in texts
        case "~":
            return any(patterns.matches(value, t) for t in texts)
    compare: Callable[[str], bool] = {
        "<": value.__gt__, "<=": value.__ge__, ">": value.__lt__, ">=": value.__le__
    }[one.operator]  # fmt: skip
    return any(compare(t) for t in texts)
