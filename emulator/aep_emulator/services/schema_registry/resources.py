"""Schema Registry: stats, Adobe's global parts, and the tenant's schemas, classes, field groups and data types.

Source: Adobe's schema-registry OpenAPI file and XDM guide.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aep_emulator.core import patches
from aep_emulator.core.errors import problem
from aep_emulator.core.errors import xdm as refusal
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.ids import sandbox_id
from aep_emulator.core.world import World
from aep_emulator.data import xdm
from aep_emulator.data.xdm import Registry
from aep_emulator.data.xdm_files import references as references_in
from aep_emulator.services.schema_registry.lists import BASE, LIST, Body, equal_to, filtered, page

_FORMS = "id|full|notext|desc|full-notext|full-desc|deprecatefield"
# Clients that others wrote also send these forms with xdm.
_MEDIA = re.compile(rf"application/vnd\.adobe\.(?:xed|xdm)(?:-({_FORMS}))?\+json(?:\s*;\s*version=([\d.]+))?")
_EMPTY = problem(400, "BadRequestError", "The request body is empty")
_SERVER_FIELDS = (
    "$id meta:altId version meta:registryMetadata imsOrg meta:containerId meta:resourceType meta:xdmType meta:class "
    "refs meta:tenantNamespace meta:extensible meta:abstract meta:sandboxId meta:sandboxType _emulator"
).split()
"""Server-managed fields."""


def tenant(org: str) -> str:
    """Return the tenant id of an organization, without its underscore."""
    return re.sub(r"[^a-z0-9]", "", org.split("@")[0].lower())[:20] or "tenant"


@dataclass(frozen=True)
class _Kind:
    """How schemas, classes, field groups and data types differ.

    :param in_ids: the kind's name in ``$id`` and ``meta:resourceType``
    :param missing: AEP's code for an unknown id
    :param made: checks a body, and returns the fields that the server adds
    """

    name: str
    in_ids: str
    missing: str
    made: Callable[[World, Request, Body], Body]


def stats(world: World, request: Request) -> Reply:
    """Return the numbers of the tenant's objects, and the latest changes."""
    kinds = ("schemas", "fieldgroups", "datatypes", "classes")
    made = {k: list(world.store.find(k, request.scope)) for k in kinds}
    unions = {s["meta:class"] for s in made["schemas"] if _in_union(s)}
    counts = {
        "schemas": len(made["schemas"]),
        "mixins": len(made["fieldgroups"]),
        "datatypes": len(made["datatypes"]),
        "classes": len(made["classes"]),
        "unions": len(unions),
    }
    everything = [i for items in made.values() for i in items]
    brief = [
        {
            "title": i["title"],
            "description": i.get("description", ""),
            "meta:resourceType": i["meta:resourceType"],
            "meta:created": i["meta:registryMetadata"]["repo:createdDate"],
            "meta:updated": i["meta:registryMetadata"]["repo:lastModifiedDate"],
            "meta:altId": i["meta:altId"],
            "$id": i["$id"],
        }
        for i in everything
    ]
    return Reply(
        {
            "imsOrg": request.scope.org,
            "tenantId": tenant(request.scope.org),
            "counts": counts,
            "recentlyCreatedResources": sorted(brief, key=lambda b: b["meta:created"], reverse=True)[:5],
            "recentlyUpdatedResources": sorted(brief, key=lambda b: b["meta:updated"], reverse=True)[:5],
            "classUsage": {
                c: [{"$id": s["$id"], "title": s["title"]} for s in made["schemas"] if s["meta:class"] == c]
                for c in sorted({s["meta:class"] for s in made["schemas"]})
            },
        }
    )


# -- reading --------------------------------------------------------------------------------------------------------


def media(request: Request) -> tuple[str, str | None]:
    """Return the form and the version that ``Accept`` requests."""
    accept = request.headers.get("accept", "").strip()
    found = _MEDIA.fullmatch(accept)
    if not found and accept.startswith("application/vnd.adobe."):
        raise problem(406, "NotAcceptable", f"There is no format {accept[:100]!r}")
    if not found:
        raise refusal("XDM-1008-400", "The Accept header is not one of the registry's")
    return found[1] or "", found[2]


def _list(world: World, request: Request, items: Iterable[Body], path: str) -> Reply:
    form, version = media(request)
    if version is not None:
        raise refusal("XDM-1006-400", "A list must not name a version in Accept")
    return page(request, filtered(request, items), path, lambda i: _brief(i) if form == "id" else shown(i))


def _brief(item: Body) -> Body:
    return {k: item[k] for k in ("$id", "meta:altId", "version", "title")}


def _found(world: World, request: Request, kind: _Kind, id_: str) -> Body:
    """Return the tenant's object; for a read, Adobe's global one is the fallback."""
    found = Registry(world, request.scope).stored(kind.name, id_)
    if found is None and request.method == "GET":
        found = Registry(world, request.scope).library.find(kind.name, id_)
    if found is None:
        raise refusal(kind.missing, f"There is no object {id_[:200]} in {kind.name}")
    return found


def _look(world: World, request: Request, found: Body) -> Reply:
    """Return an object in the form that ``Accept`` requests."""
    form, version = media(request)
    if version is None:
        raise refusal("XDM-1007-400", "version should be specified")
    if version != "1" and not (version == "1.0" and found["meta:resourceType"] == "behaviors"):  # as clients request it
        raise problem(406, "NotAcceptable", f"There is no version {version}")
    body = shown(found)
    if form.startswith("full"):
        resolved = Registry(world, request.scope).resolve(found)
        body = {k: v for k, v in body.items() if k not in {"allOf", "definitions"}} | resolved
    if form.endswith("desc"):
        body["meta:descriptors"] = list(world.store.find("descriptors", request.scope, parent=found["$id"]))
    if "notext" in form:
        body = _without_text(body)
    return Reply(body)


def _without_text(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_text(n) for n in node]
    if not isinstance(node, dict):
        return node
    texts = {k for k in ("title", "description") if isinstance(node.get(k), str)}
    return {k: _without_text(v) for k, v in node.items() if k not in texts}


def shown(body: Body) -> Body:
    """Return an object without the emulator's internal fields."""
    return {k: v for k, v in body.items() if k != "_emulator"}


# -- writing --------------------------------------------------------------------------------------------------------


def _created(world: World, request: Request, kind: _Kind) -> Reply:
    body = request.object(_EMPTY, "xdm")
    body = {k: v for k, v in body.items() if k not in _SERVER_FIELDS}
    title = _title(world, request, body, "")
    added = kind.made(world, request, body)
    now, name, key = world.now_ms(), tenant(request.scope.org), _key(world)
    id_ = f"https://ns.adobe.com/{name}/{kind.in_ids}/{key}"
    stored = {
        **body,
        "$id": id_,
        "meta:altId": xdm.alt_id(id_),
        "meta:resourceType": kind.in_ids,
        "version": "1.0",
        "imsOrg": request.scope.org,
        "type": body.get("type") or "object",
        "meta:xdmType": "object",
        "meta:containerId": "tenant",
        "meta:sandboxId": sandbox_id(request.scope.sandbox),
        "meta:sandboxType": "production" if request.scope.sandbox == "prod" else "development",
        "meta:tenantNamespace": f"_{name}",
        "meta:registryMetadata": {
            "repo:createdDate": now,
            "repo:lastModifiedDate": now,
            "xdm:createdClientId": request.client_id,
            "xdm:lastModifiedClientId": request.client_id,
            "xdm:createdUserId": request.client_id,
            "xdm:lastModifiedUserId": request.client_id,
            "eTag": world.new_hex(),
            "meta:globalLibVersion": "1.0.0",
        },
        **added,
    }
    _check_resolves(world, request, stored)
    world.store.add(
        kind.name, request.scope, id_, stored, name=title, parent=stored["meta:altId"], uses=stored.get("refs", [])
    )
    return Reply(shown(stored), 201)


def _title(world: World, request: Request, body: Body, own_id: str) -> str:
    """Return the title of a body; titles are unique in a tenant."""
    title = body.get("title")
    if not isinstance(title, str) or not title.strip():
        raise problem(400, "BadRequestError", "title is missing")
    for other in ("schemas", "classes", "fieldgroups", "datatypes"):
        for same in world.store.find(other, request.scope, name=title):
            if same["$id"] != own_id:
                raise refusal(
                    "XDM-1521-400",
                    f"Object titles must be unique. An object {same['$id']} already exists with the same title.",
                )
    return title


def _check_resolves(world: World, request: Request, body: Body) -> Body:
    try:
        return Registry(world, request.scope).resolve(body)
    except xdm.Incompatible as e:
        raise refusal("XDM-1413-400", f"Incompatible types: {e}") from None
    except xdm.TooLarge:
        raise problem(400, "BadRequestError", f"It has more than {xdm.MOST_FIELDS} fields") from None


def _key(world: World) -> str:
    return f"{world.new_hex()}{world.new_hex()[:16]}"


def _patched(world: World, request: Request, kind: _Kind, id_: str) -> Reply:
    """Apply a JSON patch. Fields of an object that a dataset uses cannot be removed or change their type."""
    found = _found(world, request, kind, id_)
    ops = request.json(_EMPTY)
    if not isinstance(ops, list):
        raise problem(400, "BadRequestError", "The body must be a JSON patch array")
    body = copy.deepcopy(found)
    for op in ops:
        try:
            first = patches.path_of(op)[0]
            if first in _SERVER_FIELDS:
                raise problem(400, "BadRequestError", f"{first} is the registry's")
            if first == "meta:extends":  # derived from allOf
                continue
            if first == "meta:immutableTags" and op.get("value") == "union":
                op = {**op, "value": ["union"], "path": "/meta:immutableTags"}
            patches.apply(body, op)
        except patches.BadPatch as bad:
            raise problem(400, "BadRequestError", str(bad)) from None
    return Reply(_rewritten(world, request, kind, found, body))


def _replaced(world: World, request: Request, kind: _Kind, id_: str) -> Reply:
    found = _found(world, request, kind, id_)
    body = request.object(_EMPTY, "xdm")
    kept = {k: v for k, v in found.items() if k in _SERVER_FIELDS or k.startswith("meta:")}
    return Reply(_rewritten(world, request, kind, found, {**body, **kept}))


def _rewritten(world: World, request: Request, kind: _Kind, found: Body, body: Body) -> Body:
    """Check and store an updated object."""
    request.fits("xdm", {k: v for k, v in body.items() if k != "_emulator"})
    title = _title(world, request, body, found["$id"])
    body |= kind.made(world, request, body)
    _check_tags(world, request, kind, found, body)
    resolved = _check_resolves(world, request, body)
    if _is_used(world, request, kind, found):
        before = xdm.leaves(Registry(world, request.scope).resolve(found))
        after = xdm.leaves(resolved)
        if lost := [f for f, field in before.items() if _kind_of(after.get(f)) != _kind_of(field)]:
            raise problem(400, "BadRequestError", f"It is in use, so {lost[0]} can neither go nor change its type")
        if restricted := [f for f, field in before.items() if not _allows_all(field, after[f])]:
            raise problem(400, "BadRequestError", f"It is in use, so {restricted[0]} cannot lose a value")
    major, minor = found["version"].split(".")
    body["version"] = f"{major}.{int(minor) + 1}"
    body["meta:registryMetadata"] = {
        **found["meta:registryMetadata"],
        "repo:lastModifiedDate": world.now_ms(),
        "xdm:lastModifiedClientId": request.client_id,
        "eTag": world.new_hex(),
    }
    world.store.put(kind.name, request.scope, found["$id"], body, name=title, uses=body.get("refs", []))
    return shown(body)


def _kind_of(field: Body | None) -> tuple[Any, ...] | None:
    """Return what a field in use keeps; ``None`` if there is no field."""
    return None if field is None else (field.get("type"), field.get("format"))


def _allows_all(before: Body, after: Body) -> bool:
    """Return whether a field allows all values that it allowed before."""
    values = after.get("enum")
    return values is None or ("enum" in before and set(map(str, before["enum"])) <= set(map(str, values)))


def _is_used(world: World, request: Request, kind: _Kind, found: Body) -> bool:
    if kind is SCHEMAS:
        return _in_union(found) or bool(world.store.count("dataSets", request.scope, parent=found["$id"]))
    return any(
        world.store.users(k, request.scope, found["$id"]) for k in ("schemas", "classes", "fieldgroups", "datatypes")
    )


def _in_union(schema: Body) -> bool:
    return "union" in (schema.get("meta:immutableTags") or [])


def _check_tags(world: World, request: Request, kind: _Kind, before: Body, after: Body) -> None:
    """Check that a schema never leaves the union, and joins it only with an identity for Profile."""
    tags = after.get("meta:immutableTags") or []
    if kind is not SCHEMAS and tags:
        raise problem(400, "BadRequestError", "Only schemas have immutable tags")
    if _in_union(before) and not _in_union(after):
        raise problem(400, "BadRequestError", "The union tag of a schema stays")
    if _in_union(after) and not _in_union(before):
        fields = Registry(world, request.scope).resolve(after)["properties"]
        identities = world.store.find("descriptors", request.scope, parent=before["$id"])
        if "identityMap" not in fields and not any(d.get("xdm:isPrimary") for d in identities):
            raise refusal("XDM-1528-400", "The schema has neither identityMap nor a primary identity")


def _deleted(world: World, request: Request, kind: _Kind, id_: str) -> Reply:
    found = _found(world, request, kind, id_)
    for dataset in world.store.find("dataSets", request.scope, parent=found["$id"]):
        raise problem(400, "BadRequestError", f"It is in use by the dataset {dataset['name']}")
    for other in ("schemas", "classes", "fieldgroups", "datatypes"):
        for user in world.store.users(other, request.scope, found["$id"]):
            raise problem(400, "BadRequestError", f"It is in use by {user['title']} of {other}")
    if _in_union(found):
        raise problem(400, "BadRequestError", "A schema that is enabled for Profile cannot be deleted")
    world.store.delete(kind.name, request.scope, found["$id"])
    for descriptor in list(world.store.find("descriptors", request.scope, parent=found["$id"])):
        world.store.delete("descriptors", request.scope, descriptor["@id"])
    return Reply(None, 204)


# -- kinds ----------------------------------------------------------------------------------------------------------


def _as_schema(world: World, request: Request, body: Body) -> Body:
    registry = Registry(world, request.scope)
    refs = _known_references(world, request, body, {"classes", "fieldgroups"})
    class_id = registry.class_of(body)
    if class_id is None:
        raise problem(400, "BadRequestError", "A schema must extend exactly one class")
    extended = (registry.part(class_id) or {}).get("meta:extends") or []
    return {
        "refs": refs,
        "meta:extensible": False,
        "meta:abstract": False,
        "meta:extends": [*dict.fromkeys([*refs, *extended])],
        "meta:class": class_id,
    }


def _known_references(world: World, request: Request, body: Body, kinds: set[str]) -> list[str]:
    registry, refs = Registry(world, request.scope), xdm.references(body)
    everywhere = [*refs, *(ref.partition("#")[0] for ref in references_in(body))]  # also in fields
    if unknown := [r for r in everywhere if r and not registry.kind_of(r)]:
        raise problem(
            400,
            "BadRequestError",
            f"The emulator has no {unknown[0][:200]}. If it is a standard part of Adobe's, start the emulator with "
            "--xdm DIR, where DIR is a copy of the public repository adobe/xdm",
        )
    if wrong := [r for r in refs if registry.kind_of(r) not in kinds]:
        raise problem(400, "BadRequestError", f"$ref {wrong[0][:200]} is not one of {', '.join(sorted(kinds))}")
    if len(set(refs)) != len(refs):
        raise problem(400, "BadRequestError", "allOf names something twice")
    return refs


def _as_class(world: World, request: Request, body: Body) -> Body:
    """Return the server's fields of a class; an ad hoc class gets a namespace in place of ``_adhoc``."""
    parts = body.get("allOf") or []
    refs = _known_references(world, request, body, {"behaviors", "fieldgroups", "datatypes"})
    behaviors = [r for r in refs if r in {xdm.AD_HOC, *xdm.BEHAVIORS}]
    groups = [r for r in refs if r not in behaviors]
    if len(behaviors) != 1:
        raise problem(400, "BadRequestError", "A class must extend exactly one behavior")
    made = {
        "refs": [*behaviors, *groups],
        "meta:extensible": True,
        "meta:abstract": True,
        "meta:extends": [*behaviors, *groups],
    }
    if behaviors != [xdm.AD_HOC]:
        _check_namespace(world, request, body)
        return made
    namespace = body.get("meta:datasetNamespace")
    if not isinstance(namespace, str) or not namespace:
        namespace = f"_{_key(world)}"
    renamed = [
        {**p, "properties": {namespace if n == "_adhoc" else n: f for n, f in p["properties"].items()}}
        if p and p.get("properties")
        else p
        for p in parts
    ]
    return {**made, "allOf": renamed, "meta:datasetNamespace": namespace}


def _as_field_group(world: World, request: Request, body: Body) -> Body:
    """Return the server's fields of a field group; its own fields must be under the tenant's namespace."""
    _check_namespace(world, request, body)
    refs = _known_references(world, request, body, {"fieldgroups", "datatypes"})
    registry = Registry(world, request.scope)
    for class_id in body.get("meta:intendedToExtend") or []:
        if registry.kind_of(class_id) != "classes":
            raise problem(400, "BadRequestError", f"meta:intendedToExtend has {str(class_id)[:200]}, which is no class")
    return {"refs": refs, "meta:extensible": True, "meta:abstract": True, "meta:extends": refs}


def _as_data_type(world: World, request: Request, body: Body) -> Body:
    refs = _known_references(world, request, body, {"datatypes"})
    return {"refs": refs, "meta:extensible": True, "meta:abstract": True, "meta:extends": refs}


def _check_namespace(world: World, request: Request, body: Body) -> None:
    wanted = f"_{tenant(request.scope.org)}"
    inline = [p for p in body.get("allOf") or [] if p and "$ref" not in p]
    parts = [*(body.get("definitions") or {}).values(), *inline, body]
    for part in parts:
        for name in (part or {}).get("properties") or {}:
            if name != wanted:
                raise problem(
                    400, "BadRequestError", f"A field of your own belongs under {wanted}, and {name[:60]} is not"
                )


SCHEMAS = _Kind("schemas", "schemas", "XDM-1012-404", _as_schema)
CLASSES = _Kind("classes", "classes", "XDM-1011-404", _as_class)
FIELD_GROUPS = _Kind("fieldgroups", "mixins", "XDM-1013-404", _as_field_group)
DATA_TYPES = _Kind("datatypes", "datatypes", "XDM-1014-404", _as_data_type)


# -- global parts and unions ----------------------------------------------------------------------------------------


def _global_kind(kind: str, path: str) -> list[Route]:
    def list_(world: World, request: Request) -> Reply:
        return _list(world, request, xdm.library(world.options.xdm).of_kind(kind), f"/global/{path}")

    def get(world: World, request: Request, id_: str) -> Reply:
        found = xdm.library(world.options.xdm).find(kind, id_)
        if found is None:
            raise refusal("XDM-1010-404", f"There is no object {id_[:200]} in global {path}")
        return _look(world, request, found)

    url = f"{BASE}/global/{path}"
    basis = (Evidence.SAMPLE, "xdm/api/behaviors.md") if kind == "behaviors" else _SPEC
    return [
        Route("GET", url, list_, *basis, LIST, headers=_ACCEPT_LIST),
        Route("GET", f"{url}/{{id}}", get, *basis, headers=_ACCEPT_ONE),
    ]


def _unions(world: World, request: Request) -> list[Body]:
    """Return a union view for each class with schemas in the union."""
    schemas = [s for s in world.store.find("schemas", request.scope) if _in_union(s)]
    found = []
    for class_id in sorted({s["meta:class"] for s in schemas}):
        members = [s for s in schemas if s["meta:class"] == class_id]
        id_ = f"{class_id}__union"
        found.append(
            {
                "$id": id_,
                "meta:altId": xdm.alt_id(id_),
                "meta:resourceType": "unions",
                "version": "1",
                "title": f"Union of {class_id}",
                "type": "object",
                "meta:class": class_id,
                "allOf": [{"$ref": r} for r in dict.fromkeys(r for s in members for r in s["refs"])],
                "meta:extends": [s["$id"] for s in members],
            }
        )
    return found


def list_unions(world: World, request: Request) -> Reply:
    """Return a page of union views."""
    return _list(world, request, _unions(world, request), "/tenant/unions")


def get_union(world: World, request: Request, id_: str) -> Reply:
    """Return a union view."""
    for union in _unions(world, request):
        if id_ in {union["$id"], union["meta:altId"]}:
            return _look(world, request, union)
    raise refusal("XDM-1010-404", f"There is no union {id_[:200]}")


_SPEC = (Evidence.OPENAPI, "schema-registry.yaml")
_ACCEPT_LIST = (("Accept", "application/vnd.adobe.xed-id+json"),)
_ACCEPT_ONE = (("Accept", "application/vnd.adobe.xed-full+json; version=1"),)


def _crud(kind: _Kind, path: str, basis: tuple[Evidence, str]) -> list[Route]:
    """Return the routes of a kind.

    :param basis: evidence and source of all routes but ``PUT``, which only the OpenAPI file has
    """
    url = f"{BASE}/tenant/{path}"

    def list_(world: World, request: Request) -> Reply:
        found = world.store.find(kind.name, request.scope, name=equal_to(request, "title"))
        return _list(world, request, found, f"/tenant/{path}")

    def create(world: World, request: Request) -> Reply:
        return _created(world, request, kind)

    def get(world: World, request: Request, id_: str) -> Reply:
        return _look(world, request, _found(world, request, kind, id_))

    def replace(world: World, request: Request, id_: str) -> Reply:
        return _replaced(world, request, kind, id_)

    def patch(world: World, request: Request, id_: str) -> Reply:
        return _patched(world, request, kind, id_)

    def delete(world: World, request: Request, id_: str) -> Reply:
        return _deleted(world, request, kind, id_)

    return [
        Route("GET", url, list_, *basis, LIST, headers=_ACCEPT_LIST),
        Route("POST", url, create, *basis, body="xdm", status=201),
        Route("GET", f"{url}/{{id}}", get, *basis, headers=_ACCEPT_ONE),
        Route("PUT", f"{url}/{{id}}", replace, *_SPEC, body="xdm"),
        Route("PATCH", f"{url}/{{id}}", patch, *basis, body="patch"),
        Route("DELETE", f"{url}/{{id}}", delete, *basis, status=204),
    ]


ROUTES = [
    Route("GET", f"{BASE}/stats", stats, Evidence.SAMPLE, "xdm/api/getting-started.md"),
    *_crud(SCHEMAS, "schemas", (Evidence.SAMPLE, "xdm/api/schemas.md")),
    *_crud(CLASSES, "classes", (Evidence.SAMPLE, "xdm/tutorials/ad-hoc.md")),
    *_crud(FIELD_GROUPS, "fieldgroups", _SPEC),
    *_crud(FIELD_GROUPS, "mixins", _SPEC),
    *_crud(DATA_TYPES, "datatypes", _SPEC),
    *_global_kind("schemas", "schemas"),
    *_global_kind("classes", "classes"),
    *_global_kind("fieldgroups", "fieldgroups"),
    *_global_kind("fieldgroups", "mixins"),
    *_global_kind("datatypes", "datatypes"),
    *_global_kind("behaviors", "behaviors"),
    Route("GET", f"{BASE}/tenant/unions", list_unions, *_SPEC, LIST, headers=_ACCEPT_LIST),
    Route("GET", f"{BASE}/tenant/unions/{{id}}", get_union, *_SPEC, headers=_ACCEPT_ONE),
]
