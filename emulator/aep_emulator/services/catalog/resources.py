"""Catalog: datasets and batches. Source: Adobe's catalog OpenAPI file and catalog guide."""

from __future__ import annotations

import operator
import re
import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from aep_emulator.core import patches, patterns
from aep_emulator.core.errors import problem
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.ids import sandbox_id
from aep_emulator.core.world import World
from aep_emulator.data.xdm import Registry
from aep_emulator.services import property_filters
from aep_emulator.services.property_filters import text_of

BASE = "/data/foundation/catalog"
_EMPTY = problem(400, "BadRequestError", "The request body is empty")
_PAGING = frozenset({"limit", "start", "orderBy", "property", "properties", "requestDataSource", "dataSet", "tags"})
_ORDERED = {"created", "updated", "name", "status", "version", "id"}
_FILTERED = set(
    "name description version state created updated createdClient createdUser updatedUser enableErrorDiagnostics "
    "status recordCount failedRecordCount size started completed batch externalId createdAfter createdBefore "
    "updatedAfter updatedBefore startAfter startBefore endAfter endBefore dataSetId lastBatchId lastBatchStatus "
    "lastSuccessfulBatchId lastFailedBatchId imsOrg sandboxId".split()
)
_MOMENTS = {"created": "created", "updated": "updated", "start": "started", "end": "completed"}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ALIASES = {"active": "success", "failed": "failure"}
"""Synonyms of a batch's status."""

_FIELD = re.compile(r"[\w:]+")
_WRITABLE = {
    "name", "description", "tags", "schemaRef", "enableErrorDiagnostics", "observableSchema", "fileDescription",
    "extensions", "basePath", "dataSourceId",
}  # fmt: skip

Body = dict[str, Any]


# -- lists ----------------------------------------------------------------------------------------------------------


def _keyed(request: Request, items: Iterable[Body], ordered: bool = False) -> Reply:
    """Return one page as an object with the ids as keys.

    :param ordered: whether ``items`` are already in the requested order, so that only the page is read
    """
    limit, start = request.integer("limit", 20, 1, 100), request.integer("start", 0, 0, 10**9)
    checks = [_property(text) for text in request.query.get("property", [])]
    checks += [_tag(text) for text in request.query.get("tags", [])]
    checks += [_field(field, request.first(field)) for field in sorted(set(request.query) - _PAGING)]
    passing = (i for i in items if all(check(i) for check in checks))
    if ordered:
        return Reply({i["id"]: _chosen(request, i) for i in islice(passing, start, start + limit)})
    kept = list(passing)
    for direction, field in reversed(_order(request)):
        kept.sort(key=lambda i, f=field: (i.get(f) is not None, i.get(f)), reverse=direction == "desc")  # type: ignore[misc]
    return Reply({i["id"]: _chosen(request, i) for i in kept[start : start + limit]})


def _order(request: Request) -> list[tuple[str, str]]:
    """Return direction and field of each sort key."""
    found = []
    for part in request.first("orderBy", "asc:created").split(","):
        direction, _, field = part.partition(":")
        if direction not in {"asc", "desc"} or field not in _ORDERED:
            raise problem(400, "BadRequestError", "orderBy must be like asc:created")
        found.append((direction, field))
    return found


def _stored(world: World, request: Request, kind: str, name: str | None, parent: str | None) -> Reply:
    """Return a list of stored objects; if the store can sort them, only the page is read."""
    order = _order(request)
    if len(order) > 1 or order[0][1] not in {"created", "updated", "name"}:
        return _keyed(request, world.store.find(kind, request.scope, name=name, parent=parent))
    [(direction, field)] = order
    by = f"{'-' if direction == 'desc' else ''}{field}"
    rows = world.store.rows(kind, request.scope, name=name, parent=parent, order=by)
    return _keyed(request, (body for body, _ in rows), ordered=True)


def _chosen(request: Request, item: Body) -> Body:
    """Return the fields that ``properties`` names, or all fields."""
    wanted = set(filter(None, request.first("properties").split(",")))
    return {k: v for k, v in item.items() if k not in {"id", "_emulator"} and (not wanted or k in wanted)}


def _property(text: str) -> Callable[[Body], bool]:
    """Return the check of a ``property`` filter."""
    parsed = property_filters.parse(text)
    if parsed is None or not _FIELD.fullmatch(parsed.field):
        raise problem(400, "BadRequestError", f"{text[:100]!r} is not a property filter")
    field, value = parsed.field, parsed.value
    match parsed.operator:
        case "" | "!":
            return lambda i: (field in i) is (parsed.operator == "")
        case "==":
            return lambda i: text_of(i.get(field)) == value
        case "!=":
            return lambda i: text_of(i.get(field)) != value
        case "~":
            property_filters.check_pattern(value)
            return lambda i: patterns.matches(value, text_of(i.get(field)))
    if not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise problem(400, "BadRequestError", f"{parsed.operator} takes a number")
    compare = _COMPARE[parsed.operator]
    return lambda i: isinstance(i.get(field), int) and compare(i[field], int(value))


def _tag(text: str) -> Callable[[Body], bool]:
    """Return the check of a ``tags`` filter: ``key:value``, several separated by commas; ``*`` matches any text."""
    pairs = [p.partition(":") for p in text.split(",")]
    return lambda i: all(
        any(fnmatchcase(v, value or "*") for v in (i.get("tags") or {}).get(key) or []) for key, _, value in pairs
    )


def _field(field: str, text: str) -> Callable[[Body], bool]:
    """Return the check of a filter that names a field.

    It is ``name=A,B``, ``name=!A``, ``name=A*``, ``createdAfter=1`` or ``createdBefore=1``, in milliseconds.
    """
    if field not in _FILTERED:
        raise problem(400, "BadRequestError", f"{field[:60]} is not a field to filter by")
    for name, stored in _MOMENTS.items():
        if field in {f"{name}After", f"{name}Before"}:
            if not re.fullmatch(r"[0-9]{1,15}", text):
                raise problem(400, "BadRequestError", f"{field} must be milliseconds since the epoch")
            after, at = field.endswith("After"), int(text)
            return lambda i: isinstance(i.get(stored), int) and (i[stored] > at if after else i[stored] < at)
    wanted = [_ALIASES.get(t, t) if field == "status" else t for t in text.removeprefix("!").split(",")]
    name = {"batch": "id"}.get(field, field)
    return lambda i: (
        any(fnmatchcase(text_of(i.get(name)), w) if "*" in w else text_of(i.get(name)) == w for w in wanted)
        is not (text.startswith("!"))
    )


def _get(world: World, request: Request, kind: str, id_: str) -> Body:
    found = world.store.get(kind, request.scope, id_)
    if found is None:
        raise problem(404, "NotFoundError", f"{kind} has no object with id {id_[:100]}")
    return found


# -- datasets -------------------------------------------------------------------------------------------------------


def list_datasets(world: World, request: Request) -> Reply:
    """Return a page of datasets."""
    name = request.first("name")
    exact = name if name and not set(name) & set(",!*") else None
    return _stored(world, request, "dataSets", exact, None)


def get_dataset(world: World, request: Request, id_: str) -> Reply:
    """Return a dataset."""
    found = _get(world, request, "dataSets", id_)
    return Reply({id_: _chosen(request, found)}, headers={"E-Tag": str(found["updated"])})


def create_dataset(world: World, request: Request) -> Reply:
    """Create a dataset, or only validate it."""
    body = request.object(_EMPTY, "dataSets")
    name, ref = body.get("name"), body.get("schemaRef")
    if not isinstance(name, str) or not name.strip():
        raise problem(400, "BadRequestError", "name is missing")
    if not isinstance(ref, dict) or not isinstance(ref.get("id"), str):
        raise problem(400, "BadRequestError", "schemaRef.id is missing")
    schema = Registry(world, request.scope).schema(ref["id"])
    if schema is None:
        raise problem(400, "BadRequestError", f"There is no schema {ref['id'][:200]}")
    _check_tags(world, request, ref["id"], body.get("tags") or {})
    if _is_validation(request):
        return Reply(None, 200)
    now, id_ = world.now_ms(), world.new_hex()[:24]
    stored = {
        "basePath": "",
        "fileDescription": {},
        "observableSchema": {},
        **body,
        "id": id_,
        "version": "1.0.0",
        "imsOrg": request.scope.org,
        "sandboxId": sandbox_id(request.scope.sandbox),
        "created": now,
        "updated": now,
        "createdClient": request.client_id,
        "createdUser": request.client_id,
        "updatedUser": request.client_id,
        "tags": {"adobe/pqs/table": [name.lower().replace(" ", "_")], **(body.get("tags") or {})},
        "files": f"@/dataSetFiles?dataSetId={id_}",
        "viewId": world.new_hex()[:24],
        "classification": {"dataBehavior": "record", "managedBy": "CUSTOMER"},
    }
    stored["schemaRef"] = {**ref, "id": schema["$id"]}
    world.store.add("dataSets", request.scope, id_, stored, name=name, parent=schema["$id"])
    return Reply([f"@/dataSets/{id_}"], 201, {"Location": f"{BASE}/dataSets/{id_}"})


def _is_validation(request: Request) -> bool:
    return request.headers.get("pragma", "") == "validate-only"


def _check_tags(world: World, request: Request, schema_id: str, tags: Body) -> None:
    """Refuse Profile tags if the schema is not in the union, and tags that are reserved for Adobe."""
    if reserved := [t for t in tags if t.startswith("adobe") and t != "adobe/pqs/table"]:
        raise problem(400, "BadRequestError", f"{reserved[0][:100]}: tags that begin with adobe are reserved")
    schema = Registry(world, request.scope).schema(schema_id) or {}
    profile = {
        t
        for t in ("unifiedProfile", "unifiedIdentity")
        if "enabled:true" in [v.replace(" ", "") for v in tags.get(t) or []]
    }
    if profile and "union" not in (schema.get("meta:immutableTags") or []):
        raise problem(400, "BadRequestError", f"{min(profile)}: the schema is not enabled for Profile")


def patch_dataset(world: World, request: Request, id_: str) -> Reply:
    """Update top-level fields of a dataset, or apply a JSON patch."""
    found = _get(world, request, "dataSets", id_)
    asked = request.json(_EMPTY)
    if isinstance(asked, list):
        return _rewritten(world, request, found, _by_patch(found, asked))
    return _rewritten(world, request, found, request.object(_EMPTY, "dataSets"))


def patch_dataset_deep(world: World, request: Request, id_: str) -> Reply:
    """Merge fields into a dataset at every depth (``/v2``)."""
    found = _get(world, request, "dataSets", id_)
    body = request.object(_EMPTY, "dataSets")
    return _rewritten(world, request, found, {k: _deep(found.get(k), v) for k, v in body.items()})


def _deep(old: Any, new: Any, depth: int = 0) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict) or depth > patches.MAX_DEPTH:
        return new
    return {**old, **{k: _deep(old.get(k), v, depth + 1) for k, v in new.items()}}


def put_dataset(world: World, request: Request, id_: str) -> Reply:
    """Replace a dataset."""
    found = _get(world, request, "dataSets", id_)
    body = request.object(_EMPTY, "dataSets")
    if not isinstance(body.get("schemaRef"), dict):
        raise problem(400, "BadRequestError", "schemaRef is missing")
    gone = {k: None for k in _WRITABLE if k in found and k not in {"schemaRef", "basePath"}}
    return _rewritten(world, request, found, {**gone, **body})


def _by_patch(found: Body, ops: list[Any]) -> Body:
    """Return the fields that a JSON patch changes."""
    body = {k: v for k, v in found.items() if k in _WRITABLE}
    changed = set()
    for op in ops:
        try:
            first = patches.path_of(op)[0]
            if first not in _WRITABLE:
                raise problem(400, "BadRequestError", f"{first[:60]} cannot be patched")
            changed.add(first)
            patches.apply(body, op)
        except patches.BadPatch as bad:
            raise problem(400, "BadRequestError", str(bad)) from None
    return {k: body.get(k) for k in changed}


def _rewritten(world: World, request: Request, found: Body, body: Body) -> Reply:
    """Check and store an updated dataset."""
    request.fits("dataSets", body)
    wanted = request.headers.get("if-match")
    if wanted and wanted.strip('"') != str(found["updated"]):
        raise problem(412, "PreconditionFailed", "If-Match is not the current E-Tag")
    if "schemaRef" in body and (body["schemaRef"] or {}).get("id") != found["schemaRef"]["id"]:
        raise problem(400, "BadRequestError", "The schema of a dataset cannot change")
    if "name" in body and not (body["name"] or "").strip():
        raise problem(400, "BadRequestError", "name is missing")
    if "tags" in body:
        body["tags"] = {"adobe/pqs/table": found["tags"]["adobe/pqs/table"], **(body["tags"] or {})}
        _check_tags(world, request, found["schemaRef"]["id"], body["tags"])
    if not _is_validation(request):
        found.update({k: v for k, v in body.items() if k in _WRITABLE})
        for name in [k for k, v in body.items() if v is None and k in _WRITABLE]:
            del found[name]
        found["updated"], found["updatedUser"] = max(world.now_ms(), found["updated"] + 1), request.client_id
        major, minor, patch = found["version"].split(".")
        found["version"] = f"{major}.{minor}.{int(patch) + 1}"
        world.store.put("dataSets", request.scope, found["id"], found, name=found["name"])
    return Reply([f"@/dataSets/{found['id']}"], headers={"E-Tag": str(found["updated"])})


def delete_dataset(world: World, request: Request, id_: str) -> Reply:
    """Delete a dataset with its data."""
    _get(world, request, "dataSets", id_)
    world.store.delete("dataSets", request.scope, id_)
    for kind in ("diagnostics", "batches"):
        world.store.delete_all(kind, request.scope, id_)
    if folder := world.lake_of(request.scope, id_):
        shutil.rmtree(folder, ignore_errors=True)
    return Reply([f"@/dataSets/{id_}"])


# -- batches --------------------------------------------------------------------------------------------------------


def list_batches(world: World, request: Request) -> Reply:
    """Return a page of batches."""
    return _stored(world, request, "batches", None, request.first("dataSet") or None)


def get_batch(world: World, request: Request, id_: str) -> Reply:
    """Return a batch."""
    return Reply({id_: {**_chosen(request, _get(world, request, "batches", id_)), "id": id_}})


def last_batches(world: World, request: Request) -> Reply:
    """Return the newest batch of each dataset."""
    newest: dict[str, Body] = {}
    for batch in world.store.find("batches", request.scope, parent=request.first("dataSetId") or None):
        dataset = batch["dataSet"]
        entry = newest.setdefault(dataset, {"id": dataset, "dataSetId": dataset, "created": batch["created"]})
        outcome = "lastSuccessfulBatchId" if batch["status"] == "success" else "lastFailedBatchId"
        entry |= {
            "lastBatchId": batch["id"], "lastBatchStatus": batch["status"], outcome: batch["id"],
            "updated": batch["updated"],
        }  # fmt: skip
    return _keyed(request, newest.values())


_SAMPLE, _SPEC = Evidence.SAMPLE, Evidence.OPENAPI
_FILTERS = _PAGING | _FILTERED
_GUIDE = "catalog/api"
_ONE = frozenset({"properties"})
ROUTES = [
    Route("GET", f"{BASE}/dataSets", list_datasets, _SAMPLE, f"{_GUIDE}/list-objects.md", _FILTERS),
    Route(
        "POST",
        f"{BASE}/dataSets",
        create_dataset,
        _SAMPLE,
        f"{_GUIDE}/create-dataset.md",
        frozenset({"requestDataSource"}),
        "dataSets",
        201,
    ),
    Route("GET", f"{BASE}/dataSets/{{id}}", get_dataset, _SAMPLE, f"{_GUIDE}/look-up-object.md", _ONE),
    Route("PATCH", f"{BASE}/dataSets/{{id}}", patch_dataset, _SAMPLE, f"{_GUIDE}/update-object.md", body="dataSets"),
    Route("PUT", f"{BASE}/dataSets/{{id}}", put_dataset, _SPEC, "catalog.yaml", body="dataSets"),
    Route(
        "PATCH",
        f"{BASE}/v2/dataSets/{{id}}",
        patch_dataset_deep,
        _SAMPLE,
        f"{_GUIDE}/update-object.md",
        body="dataSets",
    ),
    Route("DELETE", f"{BASE}/dataSets/{{id}}", delete_dataset, _SAMPLE, f"{_GUIDE}/delete-object.md"),
    Route("GET", f"{BASE}/batches", list_batches, _SAMPLE, "ingestion/batch-ingestion/troubleshooting.md", _FILTERS),
    Route("GET", f"{BASE}/batches/{{id}}", get_batch, _SAMPLE, "ingestion/quality/error-diagnostics.md", _ONE),
    Route("GET", f"{BASE}/lastBatches", last_batches, _SPEC, "catalog.yaml", _FILTERS),
]
