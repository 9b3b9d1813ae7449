"""The emulator's own operations, under ``/_emulator``: for tests and people, not for AEP's clients."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

from pydantic import ValidationError

from airflow_provider_aep.emulator import snapshots
from airflow_provider_aep.emulator.faults import Rule
from airflow_provider_aep.emulator.journal import curl
from airflow_provider_aep.emulator.refusals import COVERAGE, problem
from airflow_provider_aep.emulator.runs import next_due, step
from airflow_provider_aep.emulator.service import Evidence, Reply, Request, Route, World
from airflow_provider_aep.emulator.store import KEPT_REQUESTS, Scope

BASE = "/_emulator"
LONGEST = 400 * 86_400
"""Seconds by which the clock can be advanced at once."""

LARGE = {f"{BASE}/snapshot"}
"""What takes a body of any size."""

SLOW = {f"{BASE}/{name}" for name in ("clock", "requests", "reset", "snapshot", "state")}
"""What takes its time, and does so beside the other requests."""

LONGEST_PATTERN = 200

SHOWN = 500
"""Objects of a kind, and requests, that the page shows."""

_EMPTY = problem(400, "Bad Request", "The request body is empty")


def health(world: World, request: Request) -> Reply:
    return Reply({"status": "ready"})


def coverage(world: World, request: Request) -> Reply:
    from airflow_provider_aep.emulator import operations  # it knows every service, and they know nothing of this

    return Reply(operations.coverage())


def openapi(world: World, request: Request) -> Reply:
    from airflow_provider_aep.emulator import operations

    return Reply(operations.openapi(world, request.first("sandbox", "dev")))


# -- the journal ----------------------------------------------------------------------------------------------------


def requests(world: World, request: Request) -> Reply:
    """Those that ``after``, ``operation``, ``method``, ``sandbox`` and ``status`` choose, or their ``count``."""
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
    """A request of the journal as a line for a shell."""
    found = world.store.journal(seq=int(seq)) if seq.isascii() and seq.isdigit() and len(seq) < 19 else []
    if not found:
        raise problem(404, "Not Found", f"There is no request {seq[:40]} in the journal")
    host = request.headers.get("host", "127.0.0.1")
    return Reply(text=f"{curl(found[0], f'http://{host}')}\n", headers={"Content-Type": "text/plain; charset=utf-8"})


# -- faults ---------------------------------------------------------------------------------------------------------


def list_faults(world: World, request: Request) -> Reply:
    return Reply({"faults": world.faults.report()})


def add_faults(world: World, request: Request) -> Reply:
    """One rule or a list of them, all or none."""
    body = _written(request)
    try:
        rules = [Rule.model_validate(b) for b in (body if isinstance(body, list) else [body])]
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise problem(400, "Bad Request", f"{where}: {first['msg']}" if where else first["msg"]) from None
    return Reply({"ids": [world.faults.add(rule) for rule in rules]}, 201)


def clear_faults(world: World, request: Request) -> Reply:
    world.faults.clear()
    return Reply(None, 204)


# -- time -----------------------------------------------------------------------------------------------------------


def get_clock(world: World, request: Request) -> Reply:
    return Reply({"now": world.clock.now(), "frozen": world.clock.frozen})


def set_clock(world: World, request: Request) -> Reply:
    """``{"frozen": true}`` stops it, ``{"now": seconds}`` sets it, ``{"frozen": false}`` lets it go.

    ``{"advance": seconds}`` moves a frozen one on; on the way everything that is due happens at its own moment, and the
    answer comes when it has happened.
    """
    body = _written(request)
    if not isinstance(body, dict) or not body or set(body) - {"frozen", "advance", "now"}:
        raise problem(400, "Bad Request", "The body is an object with frozen, now or advance")
    frozen, at, seconds = body.get("frozen"), body.get("now"), body.get("advance")
    if not isinstance(frozen, bool | None) or not _is_number(at) or not _is_number(seconds) or (seconds or 0) < 0:
        raise problem(400, "Bad Request", "frozen is true or false, now and advance are seconds, advance not below 0")
    if (seconds or 0) > LONGEST:
        raise problem(400, "Bad Request", f"advance is at most {LONGEST} seconds")
    if frozen is False and len(body) > 1:
        raise problem(400, "Bad Request", "A clock that is let go follows the machine's, and no other")
    with world.commanding:
        with world.stepping:  # what is under way ends first
            if frozen is False:
                world.clock.thaw()
            elif frozen or at is not None:
                world.clock.freeze(at)
        if seconds is not None:
            if not world.clock.frozen:
                raise problem(400, "Bad Request", "Only a frozen clock can be advanced")
            _advance(world, seconds)
        return get_clock(world, request)


def _is_number(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e11
    )


def advance(world: World, seconds: float) -> None:
    """Move a frozen clock on, from one moment at which something is due to the next."""
    with world.commanding:
        _advance(world, seconds)


def _advance(world: World, seconds: float) -> None:
    target = world.clock.now() + seconds
    before: float | None = None
    while (due := next_due(world)) is not None and due <= target and due != before:
        before = due
        world.clock.freeze(max(due, world.clock.now()))
        step(world)
    world.clock.freeze(target)
    step(world)


# -- state ----------------------------------------------------------------------------------------------------------


def get_snapshot(world: World, request: Request) -> Reply:
    return Reply(snapshots.taken(world))


def put_snapshot(world: World, request: Request) -> Reply:
    try:
        snapshots.restore(world, _written(request))
    except snapshots.BadSnapshot as e:
        raise problem(400, "Bad Request", str(e)) from None
    return Reply(None, 204)


def reset(world: World, request: Request) -> Reply:
    """As it was when it started."""
    _check_own_page(request)
    world.reset()
    return Reply(None, 204)


def state(world: World, request: Request) -> Reply:
    """What the page shows of a sandbox."""
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
        text = (files(__package__) / "page" / name).read_text()
        headers = {"Content-Type": f"{_TYPES[name]}; charset=utf-8", "Content-Security-Policy": _POLICY}
        return Reply(text=text, headers=headers | {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"})

    return handler


# -- safety ---------------------------------------------------------------------------------------------------------


def _check_own_page(request: Request) -> None:
    """A page of another site cannot send this content type unasked."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise problem(415, "Unsupported Media Type", "The content type must be application/json")


def _written(request: Request) -> Any:
    """The body of a write."""
    _check_own_page(request)
    return request.json(_EMPTY)


def _own(method: str, path: str, handler: Any) -> Route:
    return Route(method, f"{BASE}{path}", handler, Evidence.ASSUMED, "the emulator's own", None)


ROUTES = [
    _own("GET", "", _page("index.html")),
    _own("GET", "/page.js", _page("page.js")),
    _own("GET", "/page.css", _page("page.css")),
    _own("GET", "/health", health),
    _own("GET", COVERAGE.removeprefix(BASE), coverage),
    _own("GET", "/openapi.json", openapi),
    _own("GET", "/state", state),
    _own("GET", "/requests", requests),
    _own("GET", "/requests/{seq}/curl", one_request),
    _own("GET", "/faults", list_faults),
    _own("POST", "/faults", add_faults),
    _own("DELETE", "/faults", clear_faults),
    _own("GET", "/clock", get_clock),
    _own("POST", "/clock", set_clock),
    _own("GET", "/snapshot", get_snapshot),
    _own("PUT", "/snapshot", put_snapshot),
    _own("POST", "/reset", reset),
]
