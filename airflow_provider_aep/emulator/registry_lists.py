"""Lists of the Schema Registry: chosen by property filters, ordered, and page by page.

Source: Adobe's schema-registry OpenAPI file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from airflow_provider_aep.emulator import patterns
from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.service import Reply, Request

BASE = "/data/foundation/schemaregistry"
LIST = frozenset({"limit", "start", "orderby", "orderBy", "property"})
_PROPERTY = re.compile(r"(?P<field>[\w:$@.-]+?)(?:(?P<op>==|!=|<=|>=|<|>|~)(?P<value>.*))?", re.DOTALL)
_SORTED = {"title", "description", "$id", "meta:altId", "version", "created", "updated", "meta:resourceType"}

Body = dict[str, Any]


def equal_to(request: Request, field: str) -> str | None:
    """The value of a filter ``field==value``, of which the store has an index."""
    found = [t.partition("==")[2] for t in request.query.get("property", []) if t.startswith(f"{field}==")]
    return found[0] if len(found) == 1 and "," not in found[0] else None


def page(request: Request, items: Iterable[Body], path: str, show: Callable[[Body], Any]) -> Reply:
    """One page, with where the next one begins."""
    limit = request.integer("limit", 100, 0, 500)
    orderby = request.first("orderby") or request.first("orderBy")
    for part in reversed([p for p in orderby.split(",") if p]):
        field = part.lstrip("+- ")
        if field not in _SORTED:
            raise problem(400, "BadRequestError", f"It cannot be ordered by {field[:60]!r}")
        items = sorted(items, key=lambda i: str(_value(i, field)), reverse=part.startswith("-"))
    by = orderby.lstrip("+ ") if orderby.lstrip("+ ") in {"title", "$id", "meta:altId"} else ""
    if by:  # these are unique, so a page begins after the last value of the one before
        items = [i for i in items if str(_value(i, by)) > request.first("start")]
        start = 0
    else:
        start = request.integer("start", 0, 0, 10**9)
    ones = list(islice(items, start, start + limit + 1))  # one more, to know whether there is a next page
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
    """Those that pass all filters of the request."""
    asked = _filters(request)
    return (i for i in items if all(_passes(i, *one) for one in asked))


def _filters(request: Request) -> list[tuple[str, str, str]]:
    found_ones = []
    given = request.query.get("property", [])
    for text in (part for one in given for part in re.split(r",(?=[\w:$@.-]+(?:==|!=|~))", one)):
        found = _PROPERTY.fullmatch(text)
        if found is None:
            raise problem(400, "BadRequestError", f"The property filter {text[:100]!r} is none")
        if found["op"] == "~" and not patterns.is_allowed(found["value"]):
            what = "Of regular expressions the emulator knows ^, $ and .*"
            raise problem(400, "BadRequestError", f"{what}: {found['value'][:100]!r}")
        found_ones.append((found["field"], found["op"] or "", found["value"] or ""))
    return found_ones


def _value(item: Body, field: str) -> Any:
    if field in {"updated", "created"}:
        name = "repo:lastModifiedDate" if field == "updated" else "repo:createdDate"
        return (item.get("meta:registryMetadata") or {}).get(name, 0)
    return item.get(field, "")


def _passes(item: Body, field: str, op: str, value: str) -> bool:
    if field not in item:
        return op == "!="
    found = item[field] if isinstance(item[field], list) else [item[field]]
    texts = [str(f).lower() if isinstance(f, bool) else str(f) for f in found]
    match op:
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
    }[op]  # fmt: skip
    return any(compare(t) for t in texts)
