"""Schema Registry: stats and tenant schemas. Source: Adobe's schema-registry OpenAPI file and XDM guide."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any
from urllib.parse import urlencode

from airflow_provider_aep.emulator import xdm
from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.refusals import xdm as refusal
from airflow_provider_aep.emulator.service import Reply, Request, Route, World

BASE = "/data/foundation/schemaregistry"
_MEDIA = re.compile(r"application/vnd\.adobe\.(xed[a-z-]*)\+json(?:\s*;\s*version=(\d+))?")
_PROPERTY = re.compile(r"(?P<field>[\w:$.-]+)(?:(?P<op>==|!=|~)(?P<value>.*))?", re.DOTALL)
# No more, because a hostile expression could search for ever.
_PATTERN = re.compile(r"\^?[\w :/-]*(?:\.\*[\w :/-]*){0,2}\$?")
_EMPTY = problem(400, "BadRequestError", "The request body is empty")


def tenant(org: str) -> str:
    """A tenant id without its underscore, made from the organization's."""
    return re.sub(r"[^a-z0-9]", "", org.split("@")[0].lower())[:20] or "tenant"


def stats(world: World, request: Request) -> Reply:
    counts = {"schemas": len(world.store.find("schemas", request.scope)), "mixins": 0, "datatypes": 0, "classes": 0}
    return Reply({"imsOrg": request.scope.org, "tenantId": tenant(request.scope.org), "counts": counts})


def _media(request: Request) -> tuple[str, str | None]:
    found = _MEDIA.search(request.headers.get("accept", ""))
    if not found:
        raise refusal("XDM-1008-400", "Accept header invalid", "The Accept header is not one of the registry's")
    return found[1], found[2]


def list_schemas(world: World, request: Request) -> Reply:
    form, version = _media(request)
    if version is not None:
        raise refusal("XDM-1006-400", "Accept header invalid", "A list must not name a version in Accept")
    limit, start = request.integer("limit", 100, 1, 500), request.integer("start", 0, 0, 10**9)
    items = world.store.find("schemas", request.scope)
    for text in request.query.get("property", []):
        found = _PROPERTY.fullmatch(text)
        if found is None:
            raise problem(400, "BadRequestError", f"The property filter {text!r} is none")
        items = [i for i in items if _passes(i, found["field"], found["op"] or "", found["value"] or "")]
    for part in reversed([p for p in request.first("orderby").split(",") if p]):
        field = part.lstrip("+- ")
        if field not in {"title", "version", "$id"}:
            raise problem(400, "BadRequestError", f"Schemas cannot be ordered by {field!r}")
        items = sorted(items, key=lambda i: str(i[field]), reverse=part.startswith("-"))
    page = items[start : start + limit]
    short = ("title", "$id", "meta:altId", "version")
    results = [{k: i[k] for k in short} for i in page] if form == "xed-id" else [_shown(i) for i in page]
    more = None
    if start + limit < len(items):
        kept = [(k, v) for k, values in request.query.items() for v in values if k not in {"start", "limit"}]
        query = urlencode([*kept, ("start", start + limit), ("limit", limit)])
        more = {"href": f"/tenant/schemas?{query}"}
    return Reply({"results": results, "_page": {"count": len(page), "next": None}, "_links": {"next": more}})


def _passes(item: dict[str, Any], field: str, op: str, value: str) -> bool:
    found = item.get(field)
    if op == "==":
        return str(found) == value
    if op == "!=":
        return str(found) != value
    if op == "~":
        if not _PATTERN.fullmatch(value):
            raise problem(400, "BadRequestError", f"Of regular expressions the emulator knows ^, $ and .*: {value!r}")
        return bool(re.search(value, str(found)))
    return found is not None


def get_schema(world: World, request: Request, id_: str) -> Reply:
    form, version = _media(request)
    if version is None:
        raise refusal("XDM-1007-400", "Accept header invalid", "version should be specified")
    found = xdm.stored(world.store, request.scope, id_)
    if found is None:
        raise refusal("XDM-1012-404", "Schema not found", f"There is no schema {id_}")
    if version != "1":
        raise problem(406, "NotAcceptable", f"There is no version {version}")
    shown = _shown(found)
    return Reply({**shown, **xdm.resolve(found)} if form.startswith("xed-full") else shown)


def create_schema(world: World, request: Request) -> Reply:
    body = request.object(_EMPTY, "schemas")
    title = body.get("title")
    if not isinstance(title, str) or not title.strip():
        raise problem(400, "BadRequestError", "title is missing")
    if not isinstance(body.get("allOf"), list) or xdm.class_of(body) is None:
        raise problem(400, "BadRequestError", "A schema must extend exactly one known class")
    unknown = [r for r in xdm.references(body) if r not in xdm.library()]
    if unknown:
        raise problem(400, "BadRequestError", f"Unknown $ref {unknown[0]}")
    same = world.store.find("schemas", request.scope, name=title)
    if same:
        raise refusal(
            "XDM-1521-400",
            "Title not unique",
            f"Object titles must be unique. An object {same[0]['$id']} already exists with the same title.",
        )
    now, key = world.now_ms(), hashlib.sha1(uuid.uuid4().bytes, usedforsecurity=False).hexdigest()
    name = tenant(request.scope.org)
    alt = f"_{name}.schemas.{key}"
    stored = {
        **body,
        "$id": f"https://ns.adobe.com/{name}/schemas/{key}",
        "meta:altId": alt,
        "meta:resourceType": "schemas",
        "version": "1.0",
        "refs": xdm.references(body),
        "imsOrg": request.scope.org,
        "meta:extensible": False,
        "meta:abstract": False,
        "meta:extends": [*xdm.references(body), xdm.BEHAVIORS[0]],
        "meta:xdmType": "object",
        "meta:class": xdm.class_of(body),
        "meta:containerId": "tenant",
        "meta:tenantNamespace": f"_{name}",
        "meta:registryMetadata": {
            "repo:createdDate": now,
            "repo:lastModifiedDate": now,
            "xdm:createdClientId": request.client_id,
            "eTag": uuid.uuid4().hex,
        },
    }
    world.store.add("schemas", request.scope, stored["$id"], stored, name=title, parent=alt)
    return Reply(_shown(stored), 201)


def patch_schema(world: World, request: Request, id_: str) -> Reply:
    """Additive changes only: a field group more, another description."""
    found = xdm.stored(world.store, request.scope, id_)
    if found is None:
        raise refusal("XDM-1012-404", "Schema not found", f"There is no schema {id_}")
    ops = request.json(_EMPTY)
    if not isinstance(ops, list):
        raise problem(400, "BadRequestError", "The body must be a JSON patch array")
    for op in ops:
        match op:
            case {"op": "add", "path": "/allOf/-", "value": {"$ref": str(ref)}} if xdm.is_field_group(ref):
                found["allOf"].append({"$ref": ref})
            case {"op": "add" | "replace", "path": "/description", "value": str(text)}:
                found["description"] = text
            case _:
                raise problem(400, "BadRequestError", "Only additive changes are accepted")
    major, minor = found["version"].split(".")
    found["version"], found["refs"] = f"{major}.{int(minor) + 1}", xdm.references(found)
    world.store.put("schemas", request.scope, found["$id"], found)
    return Reply(_shown(found))


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k != "_emulator"}


ROUTES = [
    Route("GET", f"{BASE}/stats", stats),
    Route("GET", f"{BASE}/tenant/schemas", list_schemas),
    Route("POST", f"{BASE}/tenant/schemas", create_schema),
    Route("GET", f"{BASE}/tenant/schemas/{{id}}", get_schema),
    Route("PATCH", f"{BASE}/tenant/schemas/{{id}}", patch_schema),
]
