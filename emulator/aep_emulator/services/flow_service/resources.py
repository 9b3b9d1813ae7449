"""Flow Service: what connections and flows have in common.

Codes and titles: Adobe's "Flow Service API error messages" and "Sources error messages".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from aep_emulator.core import patches
from aep_emulator.core.errors import Refusal, flow, problem, source
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.ids import sandbox_id
from aep_emulator.core.world import World
from aep_emulator.data.specs import connection_specs, flow_specs
from aep_emulator.engine.transitions import schedule, transition
from aep_emulator.services.flow_service import lists

BASE = "/data/foundation/flowservice"
EMPTY = flow("1405-400", "The request body is empty")
MODE = frozenset({"mode"})
GUIDE = "sources/tutorials/api"

Body = dict[str, Any]

_WRITABLE = {
    "name",
    "description",
    "auth",
    "data",
    "params",
    "scheduleParams",
    "transformations",
    "options",
    "policy",
}
_FINAL_STATES = {"enabled", "disabled", "draft", "initializing"}
_IMMUTABLE_LOGINS = {"sftp", "azure-event-hubs"}
"""Connectors whose type of login cannot change. Source: "Update a connection" in Adobe's guide."""


def missing(resource: str, id_: str) -> Refusal:
    """Return the error for an unknown id."""
    return flow("1101-404", f"{resource} has no object with id {id_[:100]}")


def wrapped(body: Body | None, resource: str, id_: str) -> Reply:
    """Return one object in the format of a list; refuse ``None``."""
    if body is None:
        raise missing(resource, id_)
    return Reply({"items": [body]})


def shown(world: World, body: Body) -> Body:
    """Return an object as a client sees it, without the emulator's internal fields."""
    body = {k: v for k, v in body.items() if k != "_emulator"}
    if "auth" in body and world.choices["secrets"] == "absent" and isinstance(body["auth"], dict):
        params = body["auth"].get("params") or {}
        body["auth"] = {**body["auth"], "params": {k: v for k, v in params.items() if v != "******"}}
    return body


def _without_secrets(body: Body) -> Body:
    """Mask the secrets of a login before it is stored: the emulator never logs in."""
    auth = body.get("auth")
    if not isinstance(auth, dict) or not isinstance(auth.get("params"), dict) or "connectionSpec" not in body:
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
    """Return the name of a body; refuse a missing one."""
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise source(1304, "The mandatory field name is missing")
    return name


def known_spec(body: Body) -> Body:
    """Return the connection spec of a body; refuse an unknown one."""
    reference = body.get("connectionSpec")
    id_ = reference.get("id") if isinstance(reference, dict) else None
    spec = connection_specs().get(id_) if isinstance(id_, str) else None
    if spec is None:
        raise flow("1413-400", f"The connection spec id {str(id_)[:100]!r} is invalid")
    return spec


def check_name(world: World, request: Request, resource: str, name: str, own_id: str = "") -> None:
    """Refuse a repeated name if the switch ``unique-names`` is on."""
    if world.choices["unique-names"] == "yes":
        for other in world.store.find(resource, request.scope, name=name):
            if other["id"] != own_id:
                raise problem(400, "Bad Request", f"{resource} has another object with the name {name!r}")


def add(
    world: World, request: Request, resource: str, body: Body, *, parent: str = "", uses: Iterable[str] = ()
) -> Reply:
    """Store a new object, and return its id and etag.

    :param parent: id of the object by which the store indexes this one
    :param uses: ids of the objects that it refers to
    """
    draft = request.first("mode").lower() == "draft"
    if request.first("mode") and not draft:
        raise source(1368, "The mode is not allowed in the request")
    check_name(world, request, resource, body["name"])
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
        "sandboxId": sandbox_id(request.scope.sandbox),
        "sandboxName": request.scope.sandbox,
        "imsOrgId": request.scope.org,
        "version": etag,
        "etag": etag,
    }
    if draft:
        stored["state"] = "draft"
    else:
        transition(world, stored, "pending" if resource == "flows" else "initializing", "enabled")
    _store_operation(resource, stored, "create", now)
    schedule(world, stored)
    world.store.add(resource, request.scope, id_, stored, name=body["name"], parent=parent, uses=uses)
    return Reply({"id": id_, "etag": etag}, 201, {"Location": f"{BASE}/{resource}/{id_}"})


def _store_operation(resource: str, body: Body, operation: str, now: int) -> None:
    """Store the last operation of a flow."""
    if resource == "flows":
        status = {"value": "completed", "errors": []}
        times = {"started": now, "updated": now, "percentCompleted": 100}
        body["lastOperation"] = {**times, "status": status, "operation": operation}


def check_parents(world: World, request: Request, *parents: Body) -> None:
    """Refuse a parent that is a draft, unless the new object is a draft, too."""
    if request.first("mode").lower() == "draft" or world.choices["draft-parents"] == "free":
        return
    for parent in parents:
        if parent["state"] == "draft":
            raise flow("1422-400", f"{parent['name']} is a draft: publish it first")


def found(world: World, request: Request, resource: str, id_: Any) -> Body:
    """Return an object; refuse an unknown id."""
    body = world.store.get(resource, request.scope, id_) if isinstance(id_, str) else None
    if body is None:
        raise missing(resource, str(id_))
    return body


def listed(world: World, request: Request, resource: str, parent_field: str = "") -> Reply:
    """Return a page of objects."""
    return lists.stored_list(world, request, resource, lambda body: shown(world, body), parent_field)


def patched(
    world: World,
    request: Request,
    resource: str,
    id_: str,
    check: Callable[[Body], Any] = lambda _: None,
    uses: Callable[[Body], list[str]] | None = None,
) -> Reply:
    """Apply a JSON patch to an object.

    :param check: raises if the result is invalid
    :param uses: returns the ids of the objects that the result refers to
    """
    body = found(world, request, resource, id_)
    login = _login(body)
    expected = request.headers.get("if-match") or request.first(
        "if-match"
    )  # Adobe's Postman collection sends it in the query
    if not expected:
        raise flow("1403-400", "The header If-Match is missing")
    if expected.strip('"') != body["etag"].strip('"'):
        raise flow("1404-412", "The version does not match the current version of the entity")
    if body["state"] == "delete-finalizing":
        raise flow("1457-400", "An update is not applicable in the state delete-finalizing")
    if body["state"] not in _FINAL_STATES:
        code = "1416-400" if resource == "connections" else "1420-400"
        raise flow(code, f"The state {body['state']} cannot be updated")
    ops = request.json(EMPTY)
    if not isinstance(ops, list) or not ops:
        raise flow("1405-400", "The body must be a JSON patch array")
    for op in ops:
        _apply(body, op)
        request.unknown("field", sorted(set(op) - {"op", "path", "value", "from"}))
    request.fits(f"stored {resource}", body)
    if _login(body) != login and known_spec(body)["name"] in _IMMUTABLE_LOGINS:
        raise source(1300, "The kind of login of this connector cannot be changed")
    check(body)
    check_name(world, request, resource, named(body), id_)
    body["updatedAt"], body["updatedBy"] = world.now_ms(), request.client_id
    body["etag"] = body["version"] = world.new_etag()
    _store_operation(resource, body, "update", body["updatedAt"])
    transition(world, body, "updating", body["state"])
    schedule(world, body)
    world.store.put(
        resource, request.scope, id_, _without_secrets(body), name=body["name"], uses=uses(body) if uses else None
    )
    return Reply({"id": id_, "etag": body["etag"]})


def _login(body: Body) -> Any:
    auth = body.get("auth")
    return auth.get("specName") if isinstance(auth, dict) else None


def touch(world: World, request: Request) -> None:
    """Change the etag of the request's object, as a concurrent update does."""
    resource, id_ = request.path.rstrip("/").split("/")[-2:]
    if body := world.store.get(resource, request.scope, id_):
        body["etag"] = body["version"] = world.new_etag()
        world.store.put(resource, request.scope, id_, body)


def refuse_login(world: World, request: Request) -> Reply:
    """Answer as for a source system that refuses the login of its connection."""
    if request.path.rstrip("/").endswith("/test") and world.choices["test-failure"] == "result":
        return Reply({"result": False})
    raise source(1308, "The source refuses the login")


def _apply(body: Body, op: Any) -> None:
    """Apply one patch operation to a field that clients may change."""
    codes = {"malformed": "1405-400", "unsupported": "1434-400", "missing": "1455-400"}
    try:
        first = patches.path_of(op)[0]
        if first == "connectionSpec":
            raise flow("1414-400", "The connection spec of a connection cannot be updated")
        if first == "state":
            raise flow("1420-400", "The state is changed by an action, not by a patch")
        if first not in _WRITABLE:
            raise source(1365, f"The patch path {op['path'][:100]!r} is invalid")
        if first == "policy":
            body.setdefault("policy", {})
        patches.apply(body, op)
    except patches.BadPatch as bad:
        raise flow(codes[bad.reason], str(bad)) from None


def changed(world: World, request: Request, resource: str, body: Body, state: str, passing: str = "updating") -> Reply:
    """Move an object to another state, by an action."""
    transition(world, body, passing, state)
    body["updatedAt"] = world.now_ms()
    body["etag"] = body["version"] = world.new_etag()
    _store_operation(resource, body, request.first("op", "update").lower(), body["updatedAt"])
    schedule(world, body)
    world.store.put(resource, request.scope, body["id"], body)
    return Reply({"id": body["id"], "etag": body["etag"]})


def operation(request: Request, *known: str) -> str:
    """Return the ``op`` of an action, in lower case; refuse an unknown one."""
    op = request.first("op").lower()
    if op.startswith("finalize"):
        raise flow("1402-400", "finalize is for providers")
    if op not in known:
        raise flow("1435-400", f"The action {request.first('op')[:40]!r} is not supported")
    return op


def check_no_transition(body: Body, op: str) -> None:
    """Refuse an action during a state transition."""
    if body["state"] not in _FINAL_STATES:
        raise flow("1421-400", f"{op}: the state {body['state']} cannot be transitioned")


def not_for_users(code: str) -> Callable[..., Reply]:
    """Return a handler that refuses an operation for providers only."""

    def refuse(world: World, request: Request, *_: str) -> Reply:
        raise flow(code, "A user token may not do this")

    return refuse


def crud(
    resource: str,
    parent_field: str,
    *,
    patch: Callable[[World, Request, str], Reply],
    page: str,
    in_use: Callable[[World, Request, Body], Refusal | None] = lambda *_: None,
    after: Callable[[World, Request, Body], None] = lambda *_: None,
) -> list[Route]:
    """Return the routes to list, read, update and delete objects.

    :param page: the page of Adobe's guide with its samples
    :param in_use: returns the refusal to delete an object that others refer to
    :param after: runs after a deletion
    """

    def list_(world: World, request: Request) -> Reply:
        return listed(world, request, resource, parent_field)

    def get(world: World, request: Request, id_: str) -> Reply:
        return wrapped(shown(world, found(world, request, resource, id_)), resource, id_)

    def delete(world: World, request: Request, id_: str) -> Reply:
        body = found(world, request, resource, id_)
        if body["state"] == "delete-finalizing":
            raise flow("1458-400", "A deletion is not applicable in the state delete-finalizing")
        if body["state"] not in _FINAL_STATES:
            code = "1416-400" if resource == "connections" else "1421-400"
            raise flow(code, f"An object in the state {body['state']} cannot be deleted")
        if refusal := in_use(world, request, body):
            raise refusal
        if world.options.transition:
            transition(world, body, "delete-finalizing", None)
            schedule(world, body)
            world.store.put(resource, request.scope, id_, body)
        else:
            world.store.delete(resource, request.scope, id_)
        after(world, request, body)
        return Reply(None, 204)

    path = f"{BASE}/{resource}"
    sample = Evidence.SAMPLE
    return [
        Route("GET", path, list_, sample, "dataflows/api/sort-and-filter.md", lists.PARAMETERS),
        Route("GET", f"{path}/{{id}}", get, sample, page),
        Route(
            "PATCH",
            f"{path}/{{id}}",
            patch,
            sample,
            f"{GUIDE}/update.md",
            frozenset({"if-match"}),
            body="patch",
            headers=(("If-Match", "*"),),
        ),
        Route("DELETE", f"{path}/{{id}}", delete, sample, f"{GUIDE}/delete.md", status=204),
    ]


def search_route(kind: str) -> Route:
    """Return the route ``POST /{kind}/search``.

    Source: Adobe's flow-service OpenAPI file; no tutorial uses it.
    """

    def search(world: World, request: Request) -> Reply:
        body = request.object(EMPTY, "search")
        words = str(body.get("queryString") or "").lower()
        everything = flow_specs().values() if kind == "flowSpecs" else world.store.find(kind, request.scope)
        items = [shown(world, i) for i in everything if words in str(i["name"]).lower()]
        if body.get("count"):
            return Reply({"count": len(items)})
        limit = body.get("limit", 100)
        if not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise flow("1451-400", "limit is a number from 1 to 1000")
        query = {**request.query, "limit": [str(limit)]}
        if body.get("orderby"):
            query["orderby"] = [body["orderby"]]
        answer = lists.listing(replace(request, query=query), items, f"{kind}/search").body
        if wanted := body.get("projectionFields"):
            answer["items"] = [{k: v for k, v in i.items() if k in wanted} for i in answer["items"]]
        return Reply(answer)

    query = frozenset({"continuationToken"})
    return Route("POST", f"{BASE}/{kind}/search", search, Evidence.OPENAPI, "flow-service.yaml", query, body="search")
