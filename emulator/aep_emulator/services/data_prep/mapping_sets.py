"""Data Prep: mapping sets. Source: Adobe's data-prep OpenAPI file and mapping set guide."""

from __future__ import annotations

from typing import Any

from aep_emulator.core.errors import problem
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.validation import plain
from aep_emulator.core.world import World
from aep_emulator.data.xdm import Registry
from aep_emulator.engine.mapping import Mapped, Mapper, as_stored, error_info, errors_of, normal

BASE = "/data/foundation/conversion"
_EMPTY = problem(400, "Bad Request", "The request body is empty")
_KEPT = ("name", "tags", "description", "inputSchema", "allowNullValues")
_CONTENT = "application/vnd.adobe.xed-full+json;version=1"

Body = dict[str, Any]


def _checked(world: World, request: Request, body: Body) -> tuple[Body, list[list[Body]]]:
    """Return the resolved schema of a mapping set, with its ``$id``, and the errors of each mapping."""
    output = body.get("outputSchema")
    ref = output.get("schemaRef") if isinstance(output, dict) else None
    schema_id = ref.get("id") if isinstance(ref, dict) else body.get("xdmSchema")
    if not isinstance(schema_id, str):
        raise problem(400, "Bad Request", "outputSchema.schemaRef.id is missing")
    registry = Registry(world, request.scope)
    schema = registry.schema(schema_id)
    if schema is None:
        raise problem(400, "Bad Request", f"There is no schema {schema_id[:200]}")
    mappings = body.get("mappings")
    if not isinstance(mappings, list) or not mappings or not all(isinstance(m, dict) for m in mappings):
        raise problem(400, "Bad Request", "mappings must be a list of mappings")
    target = {**registry.target(schema), "$id": schema["$id"]}
    return target, errors_of(mappings, target)


def validate(world: World, request: Request) -> Reply:
    """Validate a mapping set."""
    _, found = _checked(world, request, request.object(_EMPTY, "mappingSets"))
    return Reply({"validationResponse": [{"status": "FAILED" if f else "SUCCESS", "errors": f or None} for f in found]})


def preview(world: World, request: Request) -> Reply:
    """Apply a mapping set to some rows."""
    body = request.object(_EMPTY, "preview")
    rows, mapping_set = body.get("data"), body.get("mappingSet")
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows) or not isinstance(mapping_set, dict):
        raise problem(400, "Bad Request", "data is a row or a list of rows, and mappingSet a mapping set")
    schema, found = _checked(world, request, mapping_set)
    _refuse(found)
    mappings = mapping_set["mappings"]
    mapper = Mapper(mappings, schema, world.choices, world.now, world.new_id)
    previewed = [_previewed(mapper.apply(row), mappings) for row in rows]
    return Reply(previewed if isinstance(body["data"], list) else previewed[0])


def _refuse(found: list[list[Body]]) -> None:
    """Refuse a mapping set with errors; the message names each."""
    if messages := [error["exception"] for errors in found for error in errors]:
        raise problem(400, "Bad Request", "\n".join(messages))


def _previewed(mapped: Mapped, mappings: list[Body]) -> Body:
    by_destination = {normal(m)["destination"]: m for m in mappings}
    errors = [
        error_info(by_destination.get(f.field, {"destination": f.field}), f"{f.field}: {f.message}")
        for f in mapped.faults
    ]
    return {"data": None if mapped.row is None else plain(mapped.row), "errors": errors or None}


def _new_version(world: World, request: Request) -> tuple[Body, Body]:
    body = request.object(_EMPTY, "mappingSets")
    schema, found = _checked(world, request, body)
    _refuse(found)
    now = world.now_ms()
    mappings = [
        {**as_stored(m), "id": world.new_hex(), "version": 0, "createdDate": now, "modifiedDate": now}
        for m in body["mappings"]
    ]
    return body, {"schema": schema["$id"], "mappings": mappings}


def _kept(world: World, body: Body) -> Body:
    """Return the fields of a mapping set that are stored beside its mappings."""
    dropped = set() if world.choices["mapping-set-name"] == "kept" else {"name"}
    return {k: body[k] for k in _KEPT if body.get(k) not in (None, "") and k not in dropped}


def create(world: World, request: Request) -> Reply:
    """Create a mapping set."""
    body, version = _new_version(world, request)
    now, id_ = world.now_ms(), world.new_hex()
    about = {
        "id": id_,
        "version": 0,
        "createdDate": now,
        "modifiedDate": now,
        "createdBy": request.client_id,
        "modifiedBy": request.client_id,
    }
    stored = {**_kept(world, body), **about, "_emulator": {"versions": [version]}}
    world.store.add("mappingSets", request.scope, id_, stored, name=stored.get("name", ""))
    return Reply(about)


def replace(world: World, request: Request, id_: str) -> Reply:
    """Add a version to a mapping set."""
    found = _found(world, request, id_)
    body, version = _new_version(world, request)
    found["_emulator"]["versions"].append(version)
    found["version"] = len(found["_emulator"]["versions"]) - 1
    found = {
        **{k: v for k, v in found.items() if k not in _KEPT},
        **_kept(world, body),
        "modifiedDate": world.now_ms(),
        "modifiedBy": request.client_id,
    }
    world.store.put("mappingSets", request.scope, found["id"], found, name=found.get("name", ""))
    return Reply(_shown(found, found["version"]))


def list_(world: World, request: Request) -> Reply:
    """Return a page of mapping sets."""
    limit, start = request.integer("limit", 10, 1, 1000), request.integer("start", 0, 0, 10**9)
    order = {"": "", "createdDate": "created", "updatedDate": "updated", "modifiedDate": "updated", "name": "name"}
    text = request.first("orderBy")
    if (field := text.lstrip("+- ")) not in order:
        raise problem(400, "Bad Request", f"It cannot be ordered by {field[:60]!r}")
    by = f"{'-' if text.startswith('-') and field else ''}{order[field]}"
    rows = world.store.rows("mappingSets", request.scope, name=request.first("name") or None, order=by)
    page = [_shown(i, i["version"]) for n, (i, _) in zip(range(start + limit), rows, strict=False) if n >= start]
    return Reply({"data": page, "_page": {"count": len(page), "limit": limit}, "_links": {}})


def get(world: World, request: Request, id_: str) -> Reply:
    """Return a mapping set."""
    return Reply(_version(world, request, id_))


def mappings(world: World, request: Request, id_: str) -> Reply:
    """Return the mappings of a mapping set."""
    return Reply(_version(world, request, id_)["mappings"])


def one_mapping(world: World, request: Request, id_: str, mapping_id: str) -> Reply:
    """Return one mapping of a mapping set."""
    for mapping in _version(world, request, id_)["mappings"]:
        if mapping["id"] == mapping_id:
            return Reply(mapping)
    raise problem(404, "Not Found", f"There is no mapping {mapping_id[:100]}")


def _version(world: World, request: Request, id_: str) -> Body:
    """Return the requested version of a mapping set."""
    found = _found(world, request, id_)
    version = request.integer("version", found["version"], 0, 10**6)
    if version > found["version"]:
        raise problem(400, "Bad Request", f"There is no version {version}")
    return _shown(found, version)


def delete(world: World, request: Request, id_: str) -> Reply:
    """Delete a mapping set."""
    found = _found(world, request, id_)
    for user in world.store.users("flows", request.scope, found["id"]):
        raise problem(400, "Bad Request", f"The mapping set is in use by the flow {user['name']}")
    world.store.delete("mappingSets", request.scope, found["id"])
    return Reply(None, 204)


def _found(world: World, request: Request, id_: str) -> Body:
    found = world.store.get("mappingSets", request.scope, id_.replace("-", ""))
    if found is None:
        raise problem(404, "Not Found", f"There is no mapping set {id_[:100]}")
    return found


def _shown(body: Body, version: int) -> Body:
    content = body["_emulator"]["versions"][version]
    ref = {"id": content["schema"], "contentType": _CONTENT}
    return {
        **{k: v for k, v in body.items() if k != "_emulator"},
        "version": version,
        "mappings": content["mappings"],
        "outputSchema": {"schemaRef": ref},
        "outputSchemaRef": ref,
        "schemaRef": ref,
        "xdmSchema": content["schema"],
        "xdmVersion": "1.0",
        "supportVersion": "1.1",
        "strictMapping": False,
        "status": "PUBLISHED",
    }


_SAMPLE, _SPEC = Evidence.SAMPLE, Evidence.OPENAPI
_GUIDE = "data-prep/api/mapping-set.md"
_LIST = frozenset({"limit", "start", "name", "orderBy", "expandSchema"})
_ONE = frozenset({"version", "expandSchema"})
_SET = f"{BASE}/mappingSets"
ROUTES = [
    Route("POST", f"{_SET}/validate", validate, _SPEC, "data-prep.yaml", body="mappingSets"),
    Route("POST", f"{_SET}/preview", preview, _SPEC, "data-prep.yaml", body="preview"),
    Route(
        "POST",
        _SET,
        create,
        _SAMPLE,
        "sources/tutorials/api/collect/customer-success.md",
        frozenset({"validate"}),
        "mappingSets",
    ),
    Route("GET", _SET, list_, _SAMPLE, _GUIDE, _LIST),
    Route("GET", f"{_SET}/{{id}}", get, _SAMPLE, _GUIDE, _ONE),
    Route("PUT", f"{_SET}/{{id}}", replace, _SAMPLE, _GUIDE, body="mappingSets"),
    Route("DELETE", f"{_SET}/{{id}}", delete, Evidence.CLIENT, "aepp", status=204),
    Route("GET", f"{_SET}/{{id}}/mappings", mappings, _SPEC, "data-prep.yaml", _ONE),
    Route("GET", f"{_SET}/{{id}}/mappings/{{mapping}}", one_mapping, _SPEC, "data-prep.yaml", _ONE),
]
