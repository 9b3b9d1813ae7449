"""The emulator's own operations, under ``/_emulator``: for tests and people, not for clients of AEP."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from aep_emulator.control import snapshots
from aep_emulator.control.coverage import coverage as described
from aep_emulator.control.curl import curl
from aep_emulator.control.openapi import openapi as openapi_of
from aep_emulator.core.errors import COVERAGE, problem
from aep_emulator.core.faults import Rule
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.store import KEPT_REQUESTS, Scope
from aep_emulator.core.world import World
from aep_emulator.engine.scheduler import advance

BASE = "/_emulator"
LONGEST = 400 * 86_400
"""Seconds by which one request can advance the clock."""

LARGE = {f"{BASE}/snapshot"}
"""Paths with a body of any size."""

SLOW = {f"{BASE}/{name}" for name in ("clock", "requests", "reset", "snapshot", "state")}
"""Slow paths; their handlers run in a thread."""

LONGEST_PATTERN = 200

SHOWN = 500
"""Maximum number of objects of a kind, and of requests, on the page."""

_EMPTY = problem(400, "Bad Request", "The request body is empty")


def health(world: World, request: Request) -> Reply:
    """Report that the emulator is ready."""
    return Reply({"status": "ready"})


def coverage(world: World, request: Request) -> Reply:
    """Return every operation, refusal and switch with its evidence."""
    return Reply(described())


def openapi(world: World, request: Request) -> Reply:
    """Return the OpenAPI description, with ids of a sandbox as examples."""
    return Reply(openapi_of(world, request.first("sandbox", "dev")))


# -- the journal ----------------------------------------------------------------------------------------------------


def requests(world: World, request: Request) -> Reply:
    """Return the journal or its ``count``; filters: ``after``, ``operation``, ``method``, ``sandbox``, ``status``."""
    status = request.integer("status", 0, 0, 599)
    asked: dict[str, Any] = {name: request.first(name, "*") for name in ("operation", "method", "sandbox")}
    if too_long := [name for name, text in asked.items() if len(text) > LONGEST_PATTERN]:
        raise problem(400, "Bad Request", f"{too_long[0]} has at most {LONGEST_PATTERN} characters")
    after = request.integer("after", 0, 0, 2**63 - 1)
    if request.is_true("count"):
        return Reply({"count": world.store.count_requests(after, **asked, status=status or None)})
    limit = request.integer("limit", KEPT_REQUESTS, 1, KEPT_REQUESTS)
    return Reply({"requests": world.store.journal(after, **asked, status=status or None, limit=limit)})


def one_request(world: World, request: Request, seq: str) -> Reply:
    """Return a request of the journal as a shell command."""
    found = world.store.journal(seq=int(seq)) if seq.isascii() and seq.isdigit() and len(seq) < 19 else []
    if not found:
        raise problem(404, "Not Found", f"The journal has no request {seq[:40]}")
    host = request.headers.get("host", "127.0.0.1")
    return Reply(text=f"{curl(found[0], f'http://{host}')}\n", headers={"Content-Type": "text/plain; charset=utf-8"})


# -- faults ---------------------------------------------------------------------------------------------------------


def list_faults(world: World, request: Request) -> Reply:
    """Return the fault rules, and how often each fired."""
    return Reply({"faults": world.faults.report()})


def add_faults(world: World, request: Request) -> Reply:
    """Add one rule or a list of rules; if one is invalid, none is added."""
    body = _json_of(request)
    try:
        rules = [Rule.model_validate(b) for b in (body if isinstance(body, list) else [body])]
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise problem(400, "Bad Request", f"{where}: {first['msg']}" if where else first["msg"]) from None
    return Reply({"ids": [world.faults.add(rule) for rule in rules]}, 201)


def clear_faults(world: World, request: Request) -> Reply:
    """Remove all fault rules."""
    world.faults.clear()
    return Reply(None, 204)


# -- time -----------------------------------------------------------------------------------------------------------


def get_clock(world: World, request: Request) -> Reply:
    """Return the emulator's time, and whether its clock is frozen."""
    return Reply({"now": world.clock.now(), "frozen": world.clock.frozen})


def set_clock(world: World, request: Request) -> Reply:
    """Freeze, set, advance or thaw the clock.

    The body is ``{"frozen": true}``, ``{"now": seconds}``, ``{"advance": seconds}`` or ``{"frozen": false}``. While a
    frozen clock advances, every event happens at its due time. The answer follows the last event.
    """
    body = _json_of(request)
    if not isinstance(body, dict) or not body or set(body) - {"frozen", "advance", "now"}:
        raise problem(400, "Bad Request", "The body must be an object with frozen, now or advance")
    frozen, at, seconds = body.get("frozen"), body.get("now"), body.get("advance")
    if not isinstance(frozen, bool | None) or not _is_number(at) or not _is_number(seconds) or (seconds or 0) < 0:
        raise problem(
            400, "Bad Request", "frozen must be true or false; now and advance must be seconds, and advance at least 0"
        )
    if (seconds or 0) > LONGEST:
        raise problem(400, "Bad Request", f"advance is at most {LONGEST} seconds")
    if frozen is False and len(body) > 1:
        raise problem(
            400, "Bad Request", "frozen: false goes without now and advance: the clock returns to the machine's time"
        )
    with world.commanding:
        with world.stepping:  # an event that has begun ends first
            if frozen is False:
                world.clock.thaw()
            elif frozen or at is not None:
                world.clock.freeze(at)
        if seconds is not None:
            if not world.clock.frozen:
                raise problem(400, "Bad Request", "Only a frozen clock can be advanced: send frozen: true first")
            advance(world, seconds)
        return get_clock(world, request)


def _is_number(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e11
    )


# -- state ----------------------------------------------------------------------------------------------------------


def get_snapshot(world: World, request: Request) -> Reply:
    """Return the whole state as one document."""
    return Reply(snapshots.taken(world))


def put_snapshot(world: World, request: Request) -> Reply:
    """Replace the whole state by a snapshot."""
    try:
        snapshots.restore(world, _json_of(request))
    except snapshots.BadSnapshot as e:
        raise problem(400, "Bad Request", str(e)) from None
    return Reply(None, 204)


def reset(world: World, request: Request) -> Reply:
    """Delete all objects, data, tokens, faults and requests."""
    _check_own_page(request)
    world.reset()
    return Reply(None, 204)


def state(world: World, request: Request) -> Reply:
    """Return what the page shows of a sandbox."""
    states = world.options.sandbox_states()
    sandbox = request.first("sandbox") or max(states, key=lambda s: world.store.size(Scope(world.options.org_id, s)))
    scope = Scope(world.options.org_id, sandbox)
    kinds = {
        kind: [
            {"id": b.get("id") or b.get("$id") or b.get("@id"), **_brief(kind, b)}
            for _, (b, _) in zip(range(SHOWN), world.store.rows(kind, scope, order="-seq"), strict=False)
        ]
        for kind in (
            "connections",
            "sourceConnections",
            "schemas",
            "dataSets",
            "targetConnections",
            "mappingSets",
            "flows",
        )
    }
    runs = [_run(b) for _, (b, _) in zip(range(SHOWN), world.store.rows("runs", scope, order="-created"), strict=False)]
    objects = {kind: world.store.count(kind, scope) for kind in (*kinds, "runs")}
    newest = world.store.newest_requests(100, sandbox)
    return Reply(
        {
            "org": scope.org,
            "sandbox": sandbox,
            "sandboxes": [{"name": n, "state": s} for n, s in states.items()],
            "clock": {"now": world.clock.now(), "frozen": world.clock.frozen},
            "counts": objects,
            "shown": SHOWN,
            "objects": kinds,
            "runs": runs,
            "requests": newest,
        }
    )


def _brief(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"name": body.get("name") or body.get("title") or "", "state": body.get("state", "")}
    match kind:
        case "sourceConnections":
            about["needs"] = [body.get("baseConnectionId")]
        case "dataSets":
            about["needs"] = [body["schemaRef"]["id"]]
        case "targetConnections":
            about["needs"] = [body["params"]["dataSetId"], body.get("baseConnectionId")]
        case "mappingSets":
            about["needs"] = [body["_emulator"]["versions"][-1]["schema"]]
        case "flows":
            steps = {t["name"]: t.get("params") or {} for t in body["transformations"]}
            mapping = str(steps["Mapping"].get("mappingId")).replace("-", "")
            about["needs"] = [*body["sourceConnectionIds"], *body["targetConnectionIds"], mapping]
            about["schedule"] = body["scheduleParams"]
            about["lastRun"] = body.get("lastRunDetails")
    return about


def _run(body: dict[str, Any]) -> dict[str, Any]:
    metrics = body["metrics"]
    return {
        "id": body["id"],
        "flowId": body["flowId"],
        "createdAt": body["createdAt"],
        "status": metrics["statusSummary"]["status"],
        "records": metrics.get("recordSummary"),
        "window": metrics["durationSummary"].get("extensions"),
    }


# -- the page -------------------------------------------------------------------------------------------------------

_TYPES = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'"


def _page(name: str) -> Any:
    def handler(world: World, request: Request) -> Reply:
        text = (files("aep_emulator") / "control" / "page" / name).read_text()
        headers = {"Content-Type": f"{_TYPES[name]}; charset=utf-8", "Content-Security-Policy": _POLICY}
        return Reply(text=text, headers=headers | {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"})

    return handler


# -- safety ---------------------------------------------------------------------------------------------------------


def _check_own_page(request: Request) -> None:
    """Refuse a content type that a page of another site can send without asking."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise problem(415, "Unsupported Media Type", "The content type must be application/json")


def _json_of(request: Request) -> Any:
    """Return the JSON body of a write."""
    _check_own_page(request)
    return request.json(_EMPTY)


def _route(method: str, path: str, handler: Any) -> Route:
    return Route(method, f"{BASE}{path}", handler, Evidence.ASSUMED, "the emulator's own API", None)


ROUTES = [
    _route("GET", "", _page("index.html")),
    _route("GET", "/page.js", _page("page.js")),
    _route("GET", "/page.css", _page("page.css")),
    _route("GET", "/health", health),
    _route("GET", COVERAGE.removeprefix(BASE), coverage),
    _route("GET", "/openapi.json", openapi),
    _route("GET", "/state", state),
    _route("GET", "/requests", requests),
    _route("GET", "/requests/{seq}/curl", one_request),
    _route("GET", "/faults", list_faults),
    _route("POST", "/faults", add_faults),
    _route("DELETE", "/faults", clear_faults),
    _route("GET", "/clock", get_clock),
    _route("POST", "/clock", set_clock),
    _route("GET", "/snapshot", get_snapshot),
    _route("PUT", "/snapshot", put_snapshot),
    _route("POST", "/reset", reset),
]
