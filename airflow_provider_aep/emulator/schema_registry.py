"""Schema Registry: stats, tenant schemas and classes. Source: Adobe's schema-registry OpenAPI file and XDM guide."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from airflow_provider_aep.emulator import xdm
from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.refusals import xdm as refusal
from airflow_provider_aep.emulator.service import Reply, Request, Route, World

BASE = "/data/foundation/schemaregistry"
_FORMS = "xed-id|xed|xed-full|xed-notext|xed-full-notext|xed-full-desc|xed-deprecatefield"
_MEDIA = re.compile(rf"application/vnd\.adobe\.({_FORMS})\+json(?:\s*;\s*version=([\d.]+))?")
_PROPERTY = re.compile(r"(?P<field>[\w:$.-]+)(?:(?P<op>==|!=|~)(?P<value>.*))?", re.DOTALL)
# No more, because a hostile expression could search for ever.
_PATTERN = re.compile(r"\^?[\w :/-]*(?:\.\*[\w :/-]*){0,2}\$?")
_EMPTY = problem(400, "BadRequestError", "The request body is empty")


def tenant(org: str) -> str:
    """A tenant id without its underscore, made from the organization's."""
    return re.sub(r"[^a-z0-9]", "", org.split("@")[0].lower())[:20] or "tenant"


@dataclass(frozen=True)
class _Kind:
    """What schemas and classes differ in.

    :param missing: AEP's code and title for one that is not there
    :param made: checks a body, and gives what the server adds to it
    """

    name: str
    missing: tuple[str, str]
    made: Callable[[World, Request, dict[str, Any]], dict[str, Any]]


def stats(world: World, request: Request) -> Reply:
    made = {kind: len(world.store.find(kind, request.scope)) for kind in ("schemas", "classes")}
    counts = {**made, "mixins": 0, "datatypes": 0, "unions": 0}
    return Reply({"imsOrg": request.scope.org, "tenantId": tenant(request.scope.org), "counts": counts})


def _media(request: Request) -> tuple[str, str | None]:
    given = request.headers.get("accept", "")
    found = _MEDIA.fullmatch(given.strip())
    if not found and given.strip().startswith("application/vnd.adobe."):
        raise problem(406, "NotAcceptable", f"There is no format {given!r}")
    if not found:
        raise refusal("XDM-1008-400", "Accept header invalid", "The Accept header is not one of the registry's")
    return found[1], found[2]


def _listed(world: World, request: Request, kind: str) -> Reply:
    form, version = _media(request)
    if version is not None:
        raise refusal("XDM-1006-400", "Accept header invalid", "A list must not name a version in Accept")
    limit, start = request.integer("limit", 100, 1, 500), request.integer("start", 0, 0, 10**9)
    items = world.store.find(kind, request.scope)
    for text in request.query.get("property", []):
        found = _PROPERTY.fullmatch(text)
        if found is None:
            raise problem(400, "BadRequestError", f"The property filter {text!r} is none")
        items = [i for i in items if _passes(i, found["field"], found["op"] or "", found["value"] or "")]
    for part in reversed([p for p in request.first("orderby").split(",") if p]):
        field = part.lstrip("+- ")
        if field not in {"title", "version", "$id"}:
            raise problem(400, "BadRequestError", f"{kind} cannot be ordered by {field!r}")
        items = sorted(items, key=lambda i: str(i[field]), reverse=part.startswith("-"))
    page = items[start : start + limit]
    short = ("title", "$id", "meta:altId", "version")
    results = [{k: i[k] for k in short} for i in page] if form == "xed-id" else [_shown(i) for i in page]
    more = None
    if start + limit < len(items):
        kept = [(k, v) for k, values in request.query.items() for v in values if k not in {"start", "limit"}]
        query = urlencode([*kept, ("start", start + limit), ("limit", limit)])
        more = {"href": f"/tenant/{kind}?{query}"}
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


def _found(world: World, request: Request, kind: _Kind, id_: str) -> dict[str, Any]:
    found = world.registry(request.scope).stored(kind.name, id_)
    if found is None:
        raise refusal(*kind.missing, f"There is no object {id_} in {kind.name}")
    return found


def _got(world: World, request: Request, kind: _Kind, id_: str) -> Reply:
    form, version = _media(request)
    if version is None:
        raise refusal("XDM-1007-400", "Accept header invalid", "version should be specified")
    found = _found(world, request, kind, id_)
    if version != "1":
        raise problem(406, "NotAcceptable", f"There is no version {version}")
    shown = _shown(found)
    return Reply({**shown, **world.registry(request.scope).resolve(found)} if form.startswith("xed-full") else shown)


def _created(world: World, request: Request, kind: _Kind) -> Reply:
    body = request.object(_EMPTY, "schemas")
    title = body.get("title")
    if not isinstance(title, str) or not title.strip():
        raise problem(400, "BadRequestError", "title is missing")
    added = kind.made(world, request, body)
    for other in ("schemas", "classes"):  # titles are unique across resource types
        if same := world.store.find(other, request.scope, name=title):
            raise refusal(
                "XDM-1521-400",
                "Title not unique",
                f"Object titles must be unique. An object {same[0]['$id']} already exists with the same title.",
            )
    now, name, key = world.now_ms(), tenant(request.scope.org), _key()
    alt = f"_{name}.{kind.name}.{key}"
    stored = {
        **body,
        "$id": f"https://ns.adobe.com/{name}/{kind.name}/{key}",
        "meta:altId": alt,
        "meta:resourceType": kind.name,
        "version": "1.0",
        "imsOrg": request.scope.org,
        "meta:xdmType": "object",
        "meta:containerId": "tenant",
        "meta:tenantNamespace": f"_{name}",
        "meta:registryMetadata": {
            "repo:createdDate": now,
            "repo:lastModifiedDate": now,
            "xdm:createdClientId": request.client_id,
            "eTag": uuid.uuid4().hex,
        },
        **added,
    }
    world.store.add(kind.name, request.scope, stored["$id"], stored, name=title, parent=alt)
    return Reply(_shown(stored), 201)


def _key() -> str:
    return hashlib.sha1(uuid.uuid4().bytes, usedforsecurity=False).hexdigest()


def _patched(world: World, request: Request, kind: _Kind, id_: str) -> Reply:
    """Additive changes only: a field group more, another description, the tag of the union."""
    found = _found(world, request, kind, id_)
    ops = request.json(_EMPTY)
    if not isinstance(ops, list):
        raise problem(400, "BadRequestError", "The body must be a JSON patch array")
    for op in ops:
        match op:
            case {"op": "add", "path": "/allOf/-", "value": {"$ref": str(ref)}} if xdm.is_field_group(ref):
                found["allOf"].append({"$ref": ref})
            case {"op": "add" | "replace", "path": "/description", "value": str(text)}:
                found["description"] = text
            case {"op": "add", "path": "/meta:immutableTags", "value": ["union"]} if kind is SCHEMAS:
                _check_identity(world, request, found)
                found["meta:immutableTags"] = ["union"]
            case _:
                raise problem(400, "BadRequestError", "Only additive changes are accepted")
    major, minor = found["version"].split(".")
    found["version"], found["refs"] = f"{major}.{int(minor) + 1}", xdm.references(found)
    world.store.put(kind.name, request.scope, found["$id"], found)
    return Reply(_shown(found))


def _check_identity(world: World, request: Request, schema: dict[str, Any]) -> None:
    """A schema joins the union only with an identity that Profile can key its records by."""
    fields = world.registry(request.scope).resolve(schema)["properties"]
    identities = world.store.find("descriptors", request.scope, parent=schema["$id"])
    if "identityMap" not in fields and not any(d.get("xdm:isPrimary") for d in identities):
        raise refusal(
            "XDM-1528-400", "Union validation failed", "The schema has neither identityMap nor a primary identity"
        )


def _deleted(world: World, request: Request, kind: _Kind, id_: str) -> Reply:
    found = _found(world, request, kind, id_)
    user, label = (
        (world.store.find("dataSets", request.scope, parent=found["$id"]), "dataset")
        if kind is SCHEMAS
        else ([s for s in world.store.find("schemas", request.scope) if found["$id"] in s["refs"]], "schema")
    )
    if user:
        raise problem(400, "BadRequestError", f"It is in use by the {label} {user[0].get('title') or user[0]['name']}")
    if "union" in found.get("meta:immutableTags", []):
        raise problem(400, "BadRequestError", "A schema that is enabled for Profile cannot be deleted")
    world.store.delete(kind.name, request.scope, found["$id"])
    return Reply(None, 204)


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k != "_emulator"}


def _as_schema(world: World, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    registry = world.registry(request.scope)
    class_id = registry.class_of(body) if isinstance(body.get("allOf"), list) else None
    if class_id is None:
        raise problem(400, "BadRequestError", "A schema must extend exactly one known class")
    refs = xdm.references(body)
    if unknown := [r for r in refs if not registry.known(r)]:
        raise problem(400, "BadRequestError", f"Unknown $ref {unknown[0]}")
    own = registry.stored("classes", class_id)
    behavior = own["meta:extends"][0] if own else xdm.BEHAVIORS[0]
    return {
        "refs": refs,
        "meta:extensible": False,
        "meta:abstract": False,
        "meta:extends": [*refs, behavior],
        "meta:class": class_id,
    }


def _as_class(world: World, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """An ad hoc class: its fields come under ``_adhoc``, which the registry replaces by a namespace of their own."""
    parts = body.get("allOf") or []
    behaviors = [r for r in xdm.references(body) if r in {xdm.AD_HOC, *xdm.BEHAVIORS}]
    if len(behaviors) != 1 or len(xdm.references(body)) != 1:
        raise problem(400, "BadRequestError", "A class must extend exactly one behavior")
    namespace = f"_{_key()}"
    renamed = [
        {**p, "properties": {namespace if n == "_adhoc" else n: f for n, f in p["properties"].items()}}
        if p and p.get("properties")
        else p
        for p in parts
    ]
    return {
        "allOf": renamed,
        "refs": behaviors,
        "meta:extensible": True,
        "meta:abstract": True,
        "meta:extends": behaviors,
        **({"meta:datasetNamespace": namespace} if behaviors == [xdm.AD_HOC] else {}),
    }


SCHEMAS = _Kind("schemas", ("XDM-1012-404", "Schema not found"), _as_schema)
CLASSES = _Kind("classes", ("XDM-1011-404", "Class not found"), _as_class)


def _crud(kind: _Kind) -> list[Route]:
    path = f"{BASE}/tenant/{kind.name}"
    return [
        Route("GET", path, lambda world, request: _listed(world, request, kind.name)),
        Route("POST", path, lambda world, request: _created(world, request, kind)),
        Route("GET", f"{path}/{{id}}", lambda world, request, id_: _got(world, request, kind, id_)),
        Route("PATCH", f"{path}/{{id}}", lambda world, request, id_: _patched(world, request, kind, id_)),
        Route("DELETE", f"{path}/{{id}}", lambda world, request, id_: _deleted(world, request, kind, id_)),
    ]


ROUTES = [Route("GET", f"{BASE}/stats", stats), *_crud(SCHEMAS), *_crud(CLASSES)]
