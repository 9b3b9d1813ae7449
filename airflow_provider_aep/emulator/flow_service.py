"""Flow Service: what its resources share.

Codes and titles: Adobe's "Flow Service API error messages" and "Sources error messages".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from airflow_provider_aep.emulator import filters, patches
from airflow_provider_aep.emulator.refusals import Refusal, flow, problem, source
from airflow_provider_aep.emulator.service import Evidence, Reply, Request, Route, World
from airflow_provider_aep.emulator.specs import connection_specs, flow_specs

BASE = "/data/foundation/flowservice"
EMPTY = flow("1405-400", "The request body is empty")
MODE = frozenset({"mode"})
GUIDE = "sources/tutorials/api"

Body = dict[str, Any]

_CHANGEABLE = {
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
_STABLE = {"enabled", "disabled", "draft", "initializing"}
_FIXED_LOGINS = {"sftp", "azure-event-hubs"}
"""Connectors whose kind of login cannot change. Source: "Update a connection" in Adobe's guide."""


def missing(resource: str, id_: str) -> Refusal:
    return flow("1101-404", f"There is nothing with id {id_[:100]} in {resource}")


def wrapped(body: Body | None, resource: str, id_: str) -> Reply:
    if body is None:
        raise missing(resource, id_)
    return Reply({"items": [body]})


def shown(world: World, body: Body) -> Body:
    """As a client sees it: without the emulator's own notes."""
    body = {k: v for k, v in body.items() if k != "_emulator"}
    if "auth" in body and world.choices["secrets"] == "absent" and isinstance(body["auth"], dict):
        params = body["auth"].get("params") or {}
        body["auth"] = {**body["auth"], "params": {k: v for k, v in params.items() if v != "******"}}
    return body


def _without_secrets(body: Body) -> Body:
    """The emulator logs in nowhere, so it does not keep what it would log in with."""
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
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise source(1304, "The mandatory field name is missing")
    return name


def known_spec(body: Body) -> Body:
    given = body.get("connectionSpec")
    id_ = given.get("id") if isinstance(given, dict) else None
    spec = connection_specs().get(id_) if isinstance(id_, str) else None
    if spec is None:
        raise flow("1413-400", f"The connection spec id {str(id_)[:100]!r} is invalid")
    return spec


def check_name(world: World, request: Request, resource: str, name: str, own_id: str = "") -> None:
    """Names may repeat, unless this emulator was told otherwise."""
    if world.choices["unique-names"] == "yes":
        for other in world.store.find(resource, request.scope, name=name):
            if other["id"] != own_id:
                raise problem(400, "Bad Request", f"{resource} has another object with the name {name!r}")


def settle_in(world: World, body: Body, passing: str, final: str | None) -> None:
    """Give an object its final state; if changes of state take time here, one on the way to it first.

    :param final: ``None``: it will be gone
    """
    notes = body.setdefault("_emulator", {})
    if not world.options.transition:
        body["state"] = final
        return
    body["state"] = passing
    notes["settles"] = {"at": world.clock.now() + world.options.transition, "state": final}


def schedule(world: World, body: Body) -> None:
    """Note when something happens to an object by itself: a change of state ends, or a flow runs."""
    notes = body.setdefault("_emulator", {})
    moments = [notes["settles"]["at"]] if "settles" in notes else []
    if body["state"] == "enabled" and notes.get("nextRunAt") is not None:
        moments.append(notes["nextRunAt"] + world.options.run_delay)
    notes["due"] = min(moments, default=None)


def add(
    world: World, request: Request, resource: str, body: Body, *, parent: str = "", uses: Iterable[str] = ()
) -> Reply:
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
        settle_in(world, stored, "pending" if resource == "flows" else "initializing", "enabled")
    _operated(resource, stored, "create", now)
    schedule(world, stored)
    world.store.add(resource, request.scope, id_, stored, name=body["name"], parent=parent, uses=uses)
    return Reply({"id": id_, "etag": etag}, 201, {"Location": f"{BASE}/{resource}/{id_}"})


def _operated(resource: str, body: Body, operation: str, now: int) -> None:
    """A flow tells what was last done to it."""
    if resource == "flows":
        status = {"value": "completed", "errors": []}
        times = {"started": now, "updated": now, "percentCompleted": 100}
        body["lastOperation"] = {**times, "status": status, "operation": operation}


def sandbox_id(name: str) -> str:
    """The same for a sandbox always: AEP's ids of sandboxes are UUIDs."""
    raw = name.encode().hex().ljust(32, "0")[:32]
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"


def check_parents(world: World, request: Request, *parents: Body) -> None:
    """Only a draft may stand on a draft."""
    if request.first("mode").lower() == "draft" or world.choices["draft-parents"] == "free":
        return
    for parent in parents:
        if parent["state"] == "draft":
            raise flow("1422-400", f"{parent['name']} is a draft: publish it first")


def found(world: World, request: Request, resource: str, id_: Any) -> Body:
    body = world.store.get(resource, request.scope, id_) if isinstance(id_, str) else None
    if body is None:
        raise missing(resource, str(id_))
    return body


def listed(world: World, request: Request, resource: str, parent_field: str = "") -> Reply:
    return filters.stored_list(world, request, resource, lambda body: shown(world, body), parent_field)


def patched(
    world: World,
    request: Request,
    resource: str,
    id_: str,
    check: Callable[[Body], Any] = lambda _: None,
    uses: Callable[[Body], list[str]] | None = None,
) -> Reply:
    """:param check: raises if the body must not become what the operations made of it"""
    body = found(world, request, resource, id_)
    login = _login(body)
    wanted = request.headers.get("if-match") or request.first("if-match")  # Adobe's collection has it in the query
    if not wanted:
        raise flow("1403-400", "The header If-Match is missing")
    if wanted.strip('"') != body["etag"].strip('"'):
        raise flow("1404-412", "The version does not match the current version of the entity")
    if body["state"] == "delete-finalizing":
        raise flow("1457-400", "An update is not applicable in the state delete-finalizing")
    if body["state"] not in _STABLE:
        code = "1416-400" if resource == "connections" else "1420-400"
        raise flow(code, f"The state {body['state']} cannot be updated")
    ops = request.json(EMPTY)
    if not isinstance(ops, list) or not ops:
        raise flow("1405-400", "The body must be a JSON patch array")
    for op in ops:
        _apply(body, op)
        request.unknown("field", sorted(set(op) - {"op", "path", "value", "from"}))
    request.fits(f"stored {resource}", body)
    if _login(body) != login and known_spec(body)["name"] in _FIXED_LOGINS:
        raise source(1300, "The kind of login of this connector cannot be changed")
    check(body)
    check_name(world, request, resource, named(body), id_)
    body["updatedAt"], body["updatedBy"] = world.now_ms(), request.client_id
    body["etag"] = body["version"] = world.new_etag()
    _operated(resource, body, "update", body["updatedAt"])
    settle_in(world, body, "updating", body["state"])
    schedule(world, body)
    world.store.put(
        resource, request.scope, id_, _without_secrets(body), name=body["name"], uses=uses(body) if uses else None
    )
    return Reply({"id": id_, "etag": body["etag"]})


def _login(body: Body) -> Any:
    auth = body.get("auth")
    return auth.get("specName") if isinstance(auth, dict) else None


def touch(world: World, request: Request) -> None:
    """Somebody else was faster: another etag for the object that a request is about."""
    resource, id_ = request.path.rstrip("/").split("/")[-2:]
    if body := world.store.get(resource, request.scope, id_):
        body["etag"] = body["version"] = world.new_etag()
        world.store.put(resource, request.scope, id_, body)


def without_login(world: World, request: Request) -> Reply:
    """What a source that refuses its login makes of a request."""
    if request.path.rstrip("/").endswith("/test") and world.choices["test-failure"] == "result":
        return Reply({"result": False})
    raise source(1308, "The source refuses the login")


def _apply(body: Body, op: Any) -> None:
    """One operation of a patch, on a field that a client may change."""
    codes = {"malformed": "1405-400", "unsupported": "1434-400", "missing": "1455-400"}
    try:
        first = patches.steps_of(op)[0]
        if first == "connectionSpec":
            raise flow("1414-400", "The connection spec of a connection cannot be updated")
        if first == "state":
            raise flow("1420-400", "The state is changed by an action, not by a patch")
        if first not in _CHANGEABLE:
            raise source(1365, f"The patch path {op['path'][:100]!r} is invalid")
        if first == "policy":
            body.setdefault("policy", {})
        patches.apply(body, op)
    except patches.BadPatch as bad:
        raise flow(codes[bad.why], str(bad)) from None


def changed(world: World, request: Request, resource: str, body: Body, state: str, passing: str = "updating") -> Reply:
    """Another state, by an action."""
    settle_in(world, body, passing, state)
    body["updatedAt"] = world.now_ms()
    body["etag"] = body["version"] = world.new_etag()
    _operated(resource, body, request.first("op", "update").lower(), body["updatedAt"])
    schedule(world, body)
    world.store.put(resource, request.scope, body["id"], body)
    return Reply({"id": body["id"], "etag": body["etag"]})


def operation(request: Request, *known: str) -> str:
    """The ``op`` of an action; the letters' case is free."""
    op = request.first("op").lower()
    if op.startswith("finalize"):
        raise flow("1402-400", "finalize is for providers")
    if op not in known:
        raise flow("1435-400", f"The action {request.first('op')[:40]!r} is not supported")
    return op


def check_steady(body: Body, op: str) -> None:
    """An action waits until the one before it is through."""
    if body["state"] not in _STABLE:
        raise flow("1421-400", f"{op}: the state {body['state']} cannot be transitioned")


def not_for_users(code: str) -> Callable[..., Reply]:
    """An operation that only providers may use."""

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
    """List, read, patch and delete.

    :param page: of Adobe's guide, with its samples
    :param in_use: the refusal to delete an object, if something needs it
    :param after: what its deletion brings about
    """

    def list_(world: World, request: Request) -> Reply:
        return listed(world, request, resource, parent_field)

    def get(world: World, request: Request, id_: str) -> Reply:
        return wrapped(shown(world, found(world, request, resource, id_)), resource, id_)

    def delete(world: World, request: Request, id_: str) -> Reply:
        body = found(world, request, resource, id_)
        if body["state"] == "delete-finalizing":
            raise flow("1458-400", "A deletion is not applicable in the state delete-finalizing")
        if body["state"] not in _STABLE:
            code = "1416-400" if resource == "connections" else "1421-400"
            raise flow(code, f"What is {body['state']} cannot be deleted")
        if refusal := in_use(world, request, body):
            raise refusal
        if world.options.transition:
            settle_in(world, body, "delete-finalizing", None)
            schedule(world, body)
            world.store.put(resource, request.scope, id_, body)
        else:
            world.store.delete(resource, request.scope, id_)
        after(world, request, body)
        return Reply(None, 204)

    path = f"{BASE}/{resource}"
    sample = Evidence.SAMPLE
    return [
        Route("GET", path, list_, sample, "dataflows/api/sort-and-filter.md", filters.PARAMETERS),
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
    """``POST /{kind}/search``. Source: Adobe's flow-service OpenAPI file; no tutorial uses it."""

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
        answer = filters.listing(replace(request, query=query), items, f"{kind}/search").body
        if wanted := body.get("projectionFields"):
            answer["items"] = [{k: v for k, v in i.items() if k in wanted} for i in answer["items"]]
        return Reply(answer)

    query = frozenset({"continuationToken"})
    return Route("POST", f"{BASE}/{kind}/search", search, Evidence.OPENAPI, "flow-service.yaml", query, body="search")
