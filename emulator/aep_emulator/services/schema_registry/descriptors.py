"""Schema Registry: descriptors. Source: Adobe's schema-registry OpenAPI file and descriptors guide."""

from __future__ import annotations

import re
from typing import Any

from aep_emulator.core.errors import problem
from aep_emulator.core.errors import xdm as refusal
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.data import xdm
from aep_emulator.data.xdm import Registry
from aep_emulator.services.schema_registry.lists import BASE, LIST, equal_to, filtered, page

IDENTITY = "xdm:descriptorIdentity"
TYPES = {
    IDENTITY,
    "xdm:alternateDisplayInfo",
    "xdm:descriptorOneToOne",
    "xdm:descriptorReferenceIdentity",
    "xdm:descriptorRelationship",
    "xdm:descriptorDeprecated",
}
_PATH = f"{BASE}/tenant/descriptors"
_MEDIA = re.compile(r"application/vnd\.adobe\.(xdm(?:-id|-link|-v2|-v2-id|-v2-link)?)\+json")
_EMPTY = problem(400, "BadRequestError", "The request body is empty")


def list_(world: World, request: Request) -> Reply:
    """Return descriptors in the format that ``Accept`` requests: by type, or in pages (v2)."""
    form = _MEDIA.search(request.headers.get("accept", ""))
    if form is None:
        raise refusal("XDM-1008-400", "The Accept header is not one of the registry's")
    of_schema = equal_to(request, "xdm:sourceSchema")
    items = filtered(request, world.store.find("descriptors", request.scope, parent=of_schema))
    brief = form[1].rsplit("-", 1)[-1]

    def show(item: dict[str, Any]) -> Any:
        return {"id": item["@id"], "link": f"/tenant/descriptors/{item['@id']}"}.get(brief, item)

    if form[1].startswith("xdm-v2"):
        return page(request, items, "/tenant/descriptors", show)
    by_type: dict[str, list[Any]] = {}
    for item in items:
        by_type.setdefault(item["@type"], []).append(show(item))
    return Reply(by_type)


def get(world: World, request: Request, id_: str) -> Reply:
    """Return a descriptor."""
    return Reply(_found(world, request, id_))


def create(world: World, request: Request) -> Reply:
    """Create a descriptor."""
    body = _checked(world, request)
    id_ = world.new_hex()
    stored = {**body, "@id": id_, "meta:containerId": "tenant", "imsOrg": request.scope.org, "version": "1"}
    world.store.add("descriptors", request.scope, id_, stored, parent=body["xdm:sourceSchema"])
    return Reply(stored, 201)


def replace(world: World, request: Request, id_: str) -> Reply:
    """Replace a descriptor."""
    found, body = _found(world, request, id_), _checked(world, request)
    if body["xdm:sourceSchema"] != found["xdm:sourceSchema"]:
        raise problem(400, "BadRequestError", "A descriptor stays with its schema")
    if found.get("xdm:isPrimary") and not body.get("xdm:isPrimary"):
        _check_removable(world, request, found)
    world.store.put("descriptors", request.scope, id_, {**found, **body, "@id": id_})
    return Reply({"@id": id_}, 201)


def delete(world: World, request: Request, id_: str) -> Reply:
    """Delete a descriptor."""
    found = _found(world, request, id_)
    if found.get("xdm:isPrimary"):
        _check_removable(world, request, found)
    world.store.delete("descriptors", request.scope, id_)
    return Reply(None, 204)


def _check_removable(world: World, request: Request, primary: dict[str, Any]) -> None:
    schema = Registry(world, request.scope).schema(primary["xdm:sourceSchema"]) or {}
    if "union" in (schema.get("meta:immutableTags") or []):
        raise problem(400, "BadRequestError", "The primary identity of a schema that is enabled for Profile stays")


def _found(world: World, request: Request, id_: str) -> dict[str, Any]:
    found = world.store.get("descriptors", request.scope, id_)
    if found is None:
        raise refusal("XDM-1016-404", f"There is no descriptor {id_[:100]}")
    return found


def _checked(world: World, request: Request) -> dict[str, Any]:
    """Return the descriptor of a request; refuse one of an unknown field."""
    body = request.object(_EMPTY, "descriptors")
    if body.get("@type") not in TYPES:
        raise problem(400, "BadRequestError", f"There is no descriptor of the type {str(body.get('@type'))[:100]!r}")
    registry = Registry(world, request.scope)
    schema = registry.schema(body.get("xdm:sourceSchema") or "")
    if schema is None:
        raise refusal("XDM-1012-404", f"There is no schema {str(body.get('xdm:sourceSchema'))[:200]}")
    body["xdm:sourceSchema"] = schema["$id"]
    path = body.get("xdm:sourceProperty") or ""
    field = xdm.field_at(registry.resolve(schema), path.strip("/").replace("/", ".")) if path[:1] == "/" else None
    if field is None:
        raise problem(400, "BadRequestError", f"{path[:100]!r} is not a field of the schema, as /a/b")
    if body["@type"] == IDENTITY:
        if field.get("type") != "string":
            raise problem(400, "BadRequestError", f"{path[:100]!r} is not a text field of the schema")
        if not body.get("xdm:namespace") or body.get("xdm:property") not in {"xdm:code", "xdm:id"}:
            raise problem(400, "BadRequestError", "xdm:namespace and xdm:property (xdm:code or xdm:id) are needed")
    return body


_GUIDE = "xdm/api/descriptors.md"
_ACCEPT = (("Accept", "application/vnd.adobe.xdm-v2+json"),)
ROUTES = [
    Route("GET", _PATH, list_, Evidence.SAMPLE, _GUIDE, LIST, headers=_ACCEPT),
    Route("POST", _PATH, create, Evidence.SAMPLE, _GUIDE, body="descriptors", status=201),
    Route("GET", f"{_PATH}/{{id}}", get, Evidence.SAMPLE, _GUIDE),
    Route("PUT", f"{_PATH}/{{id}}", replace, Evidence.SAMPLE, _GUIDE, body="descriptors", status=201),
    Route("DELETE", f"{_PATH}/{{id}}", delete, Evidence.SAMPLE, _GUIDE, status=204),
]
