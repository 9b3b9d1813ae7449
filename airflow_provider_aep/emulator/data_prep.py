"""Data Prep: mapping sets. Source: Adobe's data-prep OpenAPI file and mapping set guide."""

from __future__ import annotations

import uuid
from typing import Any

from airflow_provider_aep.emulator.mapping import as_stored, faults
from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.service import Reply, Request, Route, World

BASE = "/data/foundation/conversion"
_EMPTY = problem(400, "Bad Request", "The request body is empty")


def _checked(world: World, request: Request) -> tuple[dict[str, Any], str, list[list[dict[str, str]]]]:
    """The body, its schema's id, and the faults of each mapping."""
    body = request.object(_EMPTY, "mappingSets")
    output = body.get("outputSchema")
    ref = output.get("schemaRef") if isinstance(output, dict) else None
    schema_id = ref.get("id") if isinstance(ref, dict) else body.get("xdmSchema")
    if not isinstance(schema_id, str):
        raise problem(400, "Bad Request", "outputSchema.schemaRef.id is missing")
    registry = world.registry(request.scope)
    schema = registry.schema(schema_id)
    if schema is None:
        raise problem(400, "Bad Request", f"There is no schema {schema_id}")
    mappings = body.get("mappings")
    if not isinstance(mappings, list) or not mappings or not all(isinstance(m, dict) for m in mappings):
        raise problem(400, "Bad Request", "mappings must be a list of mappings")
    resolved = registry.resolve(schema)
    return body, schema_id, [faults(m, resolved) for m in mappings]


def validate(world: World, request: Request) -> Reply:
    _, _, found = _checked(world, request)
    return Reply({"validationResponse": [{"status": "FAILED" if f else "SUCCESS", "errors": f or None} for f in found]})


def _new_version(world: World, request: Request) -> tuple[dict[str, Any], dict[str, Any]]:
    body, schema_id, found = _checked(world, request)
    for fault in (f for fs in found for f in fs):
        raise problem(400, "Bad Request", fault["message"])
    return body, {"schema": schema_id, "mappings": [as_stored(m) for m in body["mappings"]]}


def create(world: World, request: Request) -> Reply:
    body, version = _new_version(world, request)
    now, id_ = world.now_ms(), uuid.uuid4().hex
    stored = {
        "id": id_,
        "name": body.get("name"),
        "version": 0,
        "createdDate": now,
        "modifiedDate": now,
        "createdBy": request.client_id,
        "modifiedBy": request.client_id,
        "_emulator": {"versions": [version]},
    }
    world.store.add("mappingSets", request.scope, id_, stored, name=body.get("name") or "")
    return Reply({k: v for k, v in stored.items() if k not in {"_emulator", "name"}})


def replace(world: World, request: Request, id_: str) -> Reply:
    found = _found(world, request, id_)
    body, version = _new_version(world, request)
    found["_emulator"]["versions"].append(version)
    found["version"] = len(found["_emulator"]["versions"]) - 1
    found["name"], found["modifiedDate"] = body.get("name", found["name"]), world.now_ms()
    world.store.put("mappingSets", request.scope, id_, found, name=found["name"] or "")
    return Reply(_shown(found, found["version"]))


def list_(world: World, request: Request) -> Reply:
    for needed in ("limit", "start"):
        if needed not in request.query:
            raise problem(400, "Bad Request", f"{needed} is required")
    limit, start = request.integer("limit", 10, 1, 1000), request.integer("start", 0, 0, 10**9)
    items = world.store.find("mappingSets", request.scope, name=request.first("name") or None)
    page = [_shown(i, i["version"]) for i in items[start : start + limit]]
    return Reply({"data": page, "_page": {"count": len(page), "limit": limit}, "_links": {}})


def get(world: World, request: Request, id_: str) -> Reply:
    found = _found(world, request, id_)
    version = request.integer("version", found["version"], 0, 10**6)
    if version > found["version"]:
        raise problem(400, "Bad Request", f"There is no version {version}")
    return Reply(_shown(found, version))


def delete(world: World, request: Request, id_: str) -> Reply:
    found = _found(world, request, id_)
    for flow in world.store.find("flows", request.scope):
        used = [t["params"].get("mappingId") for t in flow["transformations"] if t["name"] == "Mapping"]
        if found["id"] in used:
            raise problem(400, "Bad Request", f"The mapping set is in use by the flow {flow['name']}")
    world.store.delete("mappingSets", request.scope, found["id"])
    return Reply(None, 204)


def _found(world: World, request: Request, id_: str) -> dict[str, Any]:
    found = world.store.get("mappingSets", request.scope, id_.replace("-", ""))
    if found is None:
        raise problem(404, "Not Found", f"There is no mapping set {id_}")
    return found


def _shown(body: dict[str, Any], version: int) -> dict[str, Any]:
    content = body["_emulator"]["versions"][version]
    ref = {"id": content["schema"], "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    return {
        **{k: v for k, v in body.items() if k != "_emulator"},
        "version": version,
        "mappings": content["mappings"],
        "outputSchemaRef": ref,
        "schemaRef": ref,
        "xdmSchema": content["schema"],
        "xdmVersion": "1.0",
        "status": "PUBLISHED",
    }


ROUTES = [
    Route("POST", f"{BASE}/mappingSets/validate", validate),
    Route("POST", f"{BASE}/mappingSets", create),
    Route("GET", f"{BASE}/mappingSets", list_),
    Route("GET", f"{BASE}/mappingSets/{{id}}", get),
    Route("PUT", f"{BASE}/mappingSets/{{id}}", replace),
    Route("DELETE", f"{BASE}/mappingSets/{{id}}", delete),
]
