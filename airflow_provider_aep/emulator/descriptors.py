"""Schema Registry: descriptors. Source: Adobe's schema-registry OpenAPI file and the descriptors page of its guide."""

from __future__ import annotations

import re
import uuid
from typing import Any

from airflow_provider_aep.emulator import xdm
from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.refusals import xdm as refusal
from airflow_provider_aep.emulator.schema_registry import BASE
from airflow_provider_aep.emulator.service import Reply, Request, Route, World

IDENTITY = "xdm:descriptorIdentity"
_PATH = f"{BASE}/tenant/descriptors"
_MEDIA = re.compile(r"application/vnd\.adobe\.(xdm(?:-id|-link|-v2)?)\+json")
_EMPTY = problem(400, "BadRequestError", "The request body is empty")


def list_(world: World, request: Request) -> Reply:
    """All of a sandbox, in the form that ``Accept`` asks for."""
    form = _MEDIA.search(request.headers.get("accept", ""))
    if form is None:
        raise refusal("XDM-1008-400", "Accept header invalid", "The Accept header is not one of the registry's")
    items = world.store.find("descriptors", request.scope)
    for text in request.query.get("property", []):
        field, _, value = text.partition("==")
        items = [i for i in items if str(i.get(field)) == value]
    match form[1]:
        case "xdm-id":
            return Reply([i["@id"] for i in items])
        case "xdm-link":
            return Reply([f"/tenant/descriptors/{i['@id']}" for i in items])
        case "xdm":
            return Reply(items)
    return Reply({"results": items, "_page": {"count": len(items), "next": None}, "_links": {"next": None}})


def get(world: World, request: Request, id_: str) -> Reply:
    return Reply(_found(world, request, id_))


def create(world: World, request: Request) -> Reply:
    body = _checked(world, request)
    id_ = uuid.uuid4().hex
    stored = {**body, "@id": id_, "meta:containerId": "tenant", "imsOrg": request.scope.org}
    world.store.add("descriptors", request.scope, id_, stored, parent=body["xdm:sourceSchema"])
    return Reply(stored, 201)


def replace(world: World, request: Request, id_: str) -> Reply:
    found, body = _found(world, request, id_), _checked(world, request)
    if body["xdm:sourceSchema"] != found["xdm:sourceSchema"]:
        raise problem(400, "BadRequestError", "A descriptor stays with its schema")
    if found.get("xdm:isPrimary") and not body.get("xdm:isPrimary"):
        _check_removable(world, request, found)
    world.store.put("descriptors", request.scope, id_, {**found, **body})
    return Reply({"@id": id_}, 201)


def delete(world: World, request: Request, id_: str) -> Reply:
    found = _found(world, request, id_)
    if found.get("xdm:isPrimary"):
        _check_removable(world, request, found)
    world.store.delete("descriptors", request.scope, id_)
    return Reply(None, 204)


def _check_removable(world: World, request: Request, primary: dict[str, Any]) -> None:
    schema = world.registry(request.scope).schema(primary["xdm:sourceSchema"]) or {}
    if "union" in schema.get("meta:immutableTags", []):
        raise problem(400, "BadRequestError", "The primary identity of a schema that is enabled for Profile stays")


def _found(world: World, request: Request, id_: str) -> dict[str, Any]:
    found = world.store.get("descriptors", request.scope, id_)
    if found is None:
        raise refusal("XDM-1016-404", "Descriptor not found", f"There is no descriptor {id_}")
    return found


def _checked(world: World, request: Request) -> dict[str, Any]:
    """An identity descriptor of a field that there is; the other kinds are not emulated."""
    body = request.object(_EMPTY, "descriptors")
    if body.get("@type") != IDENTITY:
        raise problem(400, "BadRequestError", f"Of descriptors the emulator has {IDENTITY}, not {body.get('@type')!r}")
    registry = world.registry(request.scope)
    schema = registry.schema(body.get("xdm:sourceSchema") or "")
    if schema is None:
        raise refusal("XDM-1012-404", "Schema not found", f"There is no schema {body.get('xdm:sourceSchema')}")
    path = body.get("xdm:sourceProperty") or ""
    field = xdm.field_at(registry.resolve(schema), path.strip("/").replace("/", ".")) if path[:1] == "/" else None
    if field is None or field.get("type") != "string":
        raise problem(400, "BadRequestError", f"{path!r} is not a text field of the schema, as /a/b")
    if not body.get("xdm:namespace") or body.get("xdm:property") not in {"xdm:code", "xdm:id"}:
        raise problem(400, "BadRequestError", "xdm:namespace and xdm:property (xdm:code or xdm:id) are needed")
    return body


ROUTES = [
    Route("GET", _PATH, list_),
    Route("POST", _PATH, create),
    Route("GET", f"{_PATH}/{{id}}", get),
    Route("PUT", f"{_PATH}/{{id}}", replace),
    Route("DELETE", f"{_PATH}/{{id}}", delete),
]
