"""Flow Service: what its resources share.

Codes and titles: Adobe's "Flow Service API error messages" and "Sources error messages".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_aep.emulator.filters import equal_to, listing
from airflow_provider_aep.emulator.refusals import Refusal, flow, problem, source
from airflow_provider_aep.emulator.service import Reply, Request, Route, World
from airflow_provider_aep.emulator.shapes import misfit
from airflow_provider_aep.emulator.specs import connection_specs

BASE = "/data/foundation/flowservice"
EMPTY = flow("1405-400", "Invalid request", "The request body is empty")

Body = dict[str, Any]


def missing(resource: str, id_: str) -> Refusal:
    return flow("1101-404", "Resource not found", f"There is nothing with id {id_} in {resource}")


def wrapped(body: Body | None, resource: str, id_: str) -> Reply:
    if body is None:
        raise missing(resource, id_)
    return Reply({"items": [shown(body)]})


def shown(body: Body) -> Body:
    """Without the emulator's own notes."""
    return {k: v for k, v in body.items() if k != "_emulator"}


def _without_secrets(body: Body) -> Body:
    """The emulator logs in nowhere, so it does not keep what it would log in with."""
    auth = body.get("auth")
    if not isinstance(auth, dict) or not isinstance(auth.get("params"), dict):
        return body
    masked = {k: "******" if _is_secret(body, k) else v for k, v in auth["params"].items()}
    return {**body, "auth": {**auth, "params": masked}}


def _is_secret(connection: Body, param: str) -> bool:
    spec = connection_specs().get(connection["connectionSpec"]["id"], {})
    for auth in spec.get("authSpec", []):
        if auth["name"] == connection["auth"].get("specName"):
            return auth["spec"]["properties"].get(param, {"format": "password"}).get("format") == "password"
    return True


def named(body: Body) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise source(1304, "The mandatory field name is missing")
    return name


def known_spec(body: Body) -> Body:
    given = body.get("connectionSpec")
    id_ = given.get("id") if isinstance(given, dict) else None
    spec = connection_specs().get(id_) if isinstance(id_, str) else None
    if spec is None:
        raise flow("1413-400", "Invalid request", f"The connection spec id {id_!r} is invalid")
    return spec


def add(world: World, request: Request, resource: str, body: Body, parent: str = "") -> Reply:
    draft = request.first("mode").lower() == "draft"
    if request.first("mode") and not draft:
        raise source(1368, "The mode is not allowed in the request")
    now, id_, etag = world.now_ms(), world.new_id(), world.new_etag()
    stored = {
        **_without_secrets(body),
        "id": id_,
        "createdAt": now,
        "updatedAt": now,
        "createdBy": request.client_id,
        "updatedBy": request.client_id,
        "createdClient": request.client_id,
        "updatedClient": request.client_id,
        "sandboxName": request.scope.sandbox,
        "imsOrgId": request.scope.org,
        "state": "draft" if draft else "enabled",
        "version": etag,
        "etag": etag,
    }
    world.store.add(resource, request.scope, id_, stored, name=body["name"], parent=parent)
    return Reply({"id": id_, "etag": etag}, 201, {"Location": f"{BASE}/{resource}/{id_}"})


def check_parents(request: Request, *parents: Body) -> None:
    """Only a draft may stand on a draft."""
    if request.first("mode").lower() == "draft":
        return
    for parent in parents:
        if parent["state"] == "draft":
            raise flow("1422-400", "Invalid request", f"{parent['name']} is a draft: publish it first")


def found(world: World, request: Request, resource: str, id_: Any) -> Body:
    body = world.store.get(resource, request.scope, id_) if isinstance(id_, str) else None
    if body is None:
        raise missing(resource, str(id_))
    return body


def listed(world: World, request: Request, resource: str, parent_field: str = "") -> Reply:
    name = equal_to(request, "name")
    parent = equal_to(request, parent_field) if parent_field else None
    items = world.store.find(resource, request.scope, name=name, parent=parent)
    return listing(request, [shown(i) for i in items], resource)


def patched(
    world: World, request: Request, resource: str, id_: str, check: Callable[[Body], Any] = lambda _: None
) -> Reply:
    """:param check: raises if the body must not become what the operations made of it"""
    body = found(world, request, resource, id_)
    wanted = request.headers.get("if-match")
    if not wanted:
        raise flow("1403-400", "Header is missing", "The header If-Match is missing")
    if wanted.strip('"') != body["etag"].strip('"'):
        raise flow("1404-412", "Version not matching", "The version does not match the current version of the entity")
    ops = request.json(EMPTY)
    if not isinstance(ops, list) or not ops:
        raise flow("1405-400", "Invalid request", "The body must be a JSON patch array")
    for op in ops:
        _apply(body, op)
    if wrong := misfit("flowservice", body):
        raise problem(400, "Bad Request", wrong)
    check(body)
    body["updatedAt"], body["etag"] = world.now_ms(), world.new_etag()
    body["version"] = body["etag"]
    world.store.put(resource, request.scope, id_, _without_secrets(body), name=named(body))
    return Reply({"id": id_, "etag": body["etag"]})


def touch(world: World, request: Request) -> None:
    """Somebody else was faster: another etag for the object that a request is about."""
    resource, id_ = request.path.rstrip("/").split("/")[-2:]
    if body := world.store.get(resource, request.scope, id_):
        body["etag"] = body["version"] = world.new_etag()
        world.store.put(resource, request.scope, id_, body)


def _apply(body: Body, op: Any) -> None:
    """One JSON-patch operation; the letters' case is free, ``move`` and ``copy`` are refused."""
    if not isinstance(op, dict) or not isinstance(op.get("path"), str):
        raise flow("1405-400", "Invalid request", "Each patch operation needs op and path")
    verb, steps = str(op.get("op", "")).lower(), op["path"].strip("/").split("/")
    if verb not in {"add", "replace", "remove"}:
        raise flow("1434-400", "Invalid request", f"The operation {op.get('op')!r} is not supported")
    if steps[0] == "connectionSpec":
        raise flow("1414-400", "Invalid request", "The connection spec of a connection cannot be updated")
    if steps[0] not in {"name", "description", "auth", "data", "params", "scheduleParams", "transformations"}:
        raise source(1365, f"The patch path {op['path']!r} is invalid")
    node: Any = body
    try:
        for step in steps[:-1]:
            node = node[int(step)] if isinstance(node, list) else node[step]
        last: Any = int(steps[-1]) if isinstance(node, list) else steps[-1]
        if verb != "add":
            node[last]  # a missing field cannot be replaced or removed
        if verb == "remove":
            del node[last]
        else:
            node[last] = op["value"]
    except (KeyError, IndexError, ValueError, TypeError):
        raise flow("1455-400", "Invalid request", f"There is no field at {op['path']!r}") from None


def changed(world: World, request: Request, resource: str, body: Body, state: str) -> Reply:
    """Another state, by an action."""
    body["state"], body["updatedAt"] = state, world.now_ms()
    body["etag"] = body["version"] = world.new_etag()
    world.store.put(resource, request.scope, body["id"], body)
    return Reply({"id": body["id"], "etag": body["etag"]})


def operation(request: Request, *known: str) -> str:
    """The ``op`` of an action; the letters' case is free."""
    op = request.first("op").lower()
    if op.startswith("finalize"):
        raise flow("1402-400", "Invalid request", "finalize is for providers")
    if op not in known:
        raise flow("1435-400", "Invalid request", f"The action {request.first('op')!r} is not supported")
    return op


def crud(
    resource: str,
    parent_field: str,
    *,
    patch: Callable[[World, Request, str], Reply],
    in_use: Callable[[World, Request, Body], Refusal | None] = lambda *_: None,
) -> list[Route]:
    """List, read, patch and delete.

    :param in_use: the refusal to delete an object, if something needs it
    """

    def list_(world: World, request: Request) -> Reply:
        return listed(world, request, resource, parent_field)

    def get(world: World, request: Request, id_: str) -> Reply:
        return wrapped(found(world, request, resource, id_), resource, id_)

    def delete(world: World, request: Request, id_: str) -> Reply:
        if refusal := in_use(world, request, found(world, request, resource, id_)):
            raise refusal
        world.store.delete(resource, request.scope, id_)
        return Reply(None, 204)

    path = f"{BASE}/{resource}"
    return [
        Route("GET", path, list_),
        Route("GET", f"{path}/{{id}}", get),
        Route("PATCH", f"{path}/{{id}}", patch),
        Route("DELETE", f"{path}/{{id}}", delete),
    ]
