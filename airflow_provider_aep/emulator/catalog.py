"""Catalog: datasets and batches. Source: Adobe's catalog OpenAPI file and catalog guide."""

from __future__ import annotations

import re
import shutil
import uuid
from typing import Any

from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.service import Reply, Request, Route, World

BASE = "/data/foundation/catalog"
_EMPTY = problem(400, "BadRequestError", "The request body is empty")


_PAGING = frozenset({"limit", "start", "orderBy", "property", "properties", "requestDataSource", "dataSet"})


def _keyed(request: Request, items: list[dict[str, Any]]) -> Reply:
    """One page as an object keyed by id."""
    limit, start = request.integer("limit", 20, 1, 100), request.integer("start", 0, 0, 10**9)
    for text in request.query.get("property", []):
        items = [i for i in items if _passes(i, text)]
    for field in sorted(set(request.query) - _PAGING):
        items = [i for i in items if _matches(i, field, request.first(field))]
    direction, _, field = request.first("orderBy", "asc:created").partition(":")
    if direction not in {"asc", "desc"} or field not in {"created", "updated", "name"}:
        raise problem(400, "BadRequestError", "orderBy must be like asc:created")
    items = sorted(items, key=lambda i: i[field], reverse=direction == "desc")
    wanted = set(filter(None, request.first("properties").split(",")))
    page = [(i["id"], _shown(i)) for i in items[start : start + limit]]
    return Reply({id_: {k: v for k, v in shown.items() if not wanted or k in wanted} for id_, shown in page})


def _passes(item: dict[str, Any], text: str) -> bool:
    """``field``, ``!field``, ``field==value`` or ``field!=value``."""
    found = re.fullmatch(r"(?P<not>!?)(?P<field>[\w:]+)(?:(?P<op>==|!=)(?P<value>.*))?", text, re.DOTALL)
    if found is None or (found["not"] and found["op"]):
        raise problem(400, "BadRequestError", f"Of property filters the emulator knows ==, != and presence: {text!r}")
    if not found["op"]:
        return (found["field"] in item) is not bool(found["not"])
    return (str(item.get(found["field"])) == found["value"]) is (found["op"] == "==")


def _matches(item: dict[str, Any], field: str, text: str) -> bool:
    """``name=A,B``, ``name=!A``, ``createdAfter=1`` and ``createdBefore=1``, in milliseconds."""
    if field in {"createdAfter", "createdBefore"}:
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise problem(400, "BadRequestError", f"{field} must be milliseconds since the epoch")
        return item["created"] > int(text) if field == "createdAfter" else item["created"] < int(text)
    if field not in item:
        raise problem(400, "BadRequestError", f"{field} is no field to filter by")
    wanted = text.removeprefix("!").split(",")
    return (str(item[field]) in wanted) is not text.startswith("!")


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in item.items() if k != "id"}


def _get(world: World, request: Request, kind: str, id_: str) -> dict[str, Any]:
    found = world.store.get(kind, request.scope, id_)
    if found is None:
        raise problem(404, "NotFoundError", f"There is nothing with id {id_} in {kind}")
    return found


def list_datasets(world: World, request: Request) -> Reply:
    return _keyed(request, world.store.find("dataSets", request.scope))


def get_dataset(world: World, request: Request, id_: str) -> Reply:
    return Reply({id_: _shown(_get(world, request, "dataSets", id_))})


def create_dataset(world: World, request: Request) -> Reply:
    body = request.object(_EMPTY, "dataSets")
    name, ref = body.get("name"), body.get("schemaRef")
    if not isinstance(name, str) or not name.strip():
        raise problem(400, "BadRequestError", "name is missing")
    if not isinstance(ref, dict) or not isinstance(ref.get("id"), str):
        raise problem(400, "BadRequestError", "schemaRef.id is missing")
    if world.registry(request.scope).schema(ref["id"]) is None:
        raise problem(400, "BadRequestError", f"There is no schema {ref['id']}")
    _check_tags(world, request, ref["id"], body.get("tags") or {})
    now, id_ = world.now_ms(), uuid.uuid4().hex[:24]
    stored = {
        **body,
        "id": id_,
        "version": "1.0.0",
        "imsOrg": request.scope.org,
        "created": now,
        "updated": now,
        "createdClient": request.client_id,
        "tags": {"adobe/pqs/table": [name.lower().replace(" ", "_")], **(body.get("tags") or {})},
        "files": f"@/dataSetFiles?dataSetId={id_}",
        "classification": {"dataBehavior": "record", "managedBy": "CUSTOMER"},
    }
    world.store.add("dataSets", request.scope, id_, stored, name=name, parent=ref["id"])
    return Reply([f"@/dataSets/{id_}"], 201, {"Location": f"{BASE}/dataSets/{id_}"})


def _check_tags(world: World, request: Request, schema_id: str, tags: dict[str, Any]) -> None:
    """Profile takes only datasets of schemas that are in the union; tags of Adobe's own are Adobe's."""
    if reserved := [t for t in tags if t.startswith("adobe") and t != "adobe/pqs/table"]:
        raise problem(400, "BadRequestError", f"{reserved[0]}: tags that begin with adobe are reserved")
    schema = world.registry(request.scope).schema(schema_id) or {}
    profile = {"unifiedProfile", "unifiedIdentity"} & set(tags)
    if profile and "union" not in schema.get("meta:immutableTags", []):
        raise problem(400, "BadRequestError", f"{min(profile)}: the schema is not enabled for Profile")


def patch_dataset(world: World, request: Request, id_: str) -> Reply:
    """Top-level fields, or a JSON patch, by the content type."""
    found = _get(world, request, "dataSets", id_)
    if "json-patch" in request.headers.get("content-type", ""):
        body = _by_patch(found, request.json(_EMPTY))
    else:
        body = request.object(_EMPTY, "dataSets")
    if "schemaRef" in body and body["schemaRef"] != found["schemaRef"]:
        raise problem(400, "BadRequestError", "The schema of a dataset cannot change")
    if "name" in body and not (body["name"] or "").strip():
        raise problem(400, "BadRequestError", "name is missing")
    _check_tags(world, request, found["schemaRef"]["id"], body.get("tags") or {})
    found.update({k: v for k, v in body.items() if k in {"name", "description", "tags", "schemaRef"}})
    found["updated"] = world.now_ms()
    world.store.put("dataSets", request.scope, id_, found, name=found["name"])
    return Reply([f"@/dataSets/{id_}"])


def _by_patch(found: dict[str, Any], ops: Any) -> dict[str, Any]:
    """The fields that a JSON patch writes."""
    tags = dict(found["tags"])
    changed: dict[str, Any] = {}
    for op in ops if isinstance(ops, list) else [None]:
        match op:
            case {"op": "add" | "replace", "path": "/description" | "/name" as path, "value": str(text)}:
                changed[path[1:]] = text
            case {"op": "add" | "replace", "path": str(path), "value": [*values]} if re.fullmatch(
                r"/tags/[\w:-]+", path
            ) and all(isinstance(v, str) for v in values):
                tags[path.removeprefix("/tags/")] = values
                changed["tags"] = tags
            case _:
                raise problem(400, "BadRequestError", "Of JSON patches the emulator takes name, description and tags")
    return changed


def delete_dataset(world: World, request: Request, id_: str) -> Reply:
    """Its data goes with it."""
    _get(world, request, "dataSets", id_)
    world.store.delete("dataSets", request.scope, id_)
    if folder := world.lake_of(request.scope, id_):
        shutil.rmtree(folder, ignore_errors=True)
    return Reply([f"@/dataSets/{id_}"])


def list_batches(world: World, request: Request) -> Reply:
    dataset = request.first("dataSet") or None
    return _keyed(request, world.store.find("batches", request.scope, parent=dataset))


def get_batch(world: World, request: Request, id_: str) -> Reply:
    return Reply({id_: _shown(_get(world, request, "batches", id_))})


ROUTES = [
    Route("GET", f"{BASE}/dataSets", list_datasets),
    Route("POST", f"{BASE}/dataSets", create_dataset),
    Route("GET", f"{BASE}/dataSets/{{id}}", get_dataset),
    Route("PATCH", f"{BASE}/dataSets/{{id}}", patch_dataset),
    Route("DELETE", f"{BASE}/dataSets/{{id}}", delete_dataset),
    Route("GET", f"{BASE}/batches", list_batches),
    Route("GET", f"{BASE}/batches/{{id}}", get_batch),
]
