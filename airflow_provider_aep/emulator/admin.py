"""The emulator's own operations, under ``/_emulator``: for tests and people, not for AEP's clients."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from airflow_provider_aep.emulator.faults import Rule
from airflow_provider_aep.emulator.ingest import next_due, step
from airflow_provider_aep.emulator.refusals import problem
from airflow_provider_aep.emulator.service import Reply, Request, Route, World

BASE = "/_emulator"
LONGEST = 400 * 86_400
"""Seconds by which the clock can be advanced at once."""

_EMPTY = problem(400, "Bad Request", "The request body is empty")


def health(world: World, request: Request) -> Reply:
    return Reply({"status": "ready"})


def journal(world: World, request: Request) -> Reply:
    return Reply({"requests": world.store.journal(request.integer("after", 0, 0, 2**63 - 1))})


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
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11)


def _advance(world: World, seconds: float) -> None:
    target = world.clock.now() + seconds
    before: float | None = None
    while (due := next_due(world)) is not None and due <= target and due != before:
        before = due
        world.clock.freeze(max(due, world.clock.now()))
        step(world)
    world.clock.freeze(target)
    step(world)


def _written(request: Request) -> Any:
    """The body of a write; a page in a browser cannot send this content type to another site unasked."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise problem(415, "Unsupported Media Type", "The content type must be application/json")
    return request.json(_EMPTY)


ROUTES = [
    Route("GET", f"{BASE}/health", health),
    Route("GET", f"{BASE}/requests", journal),
    Route("GET", f"{BASE}/faults", list_faults),
    Route("POST", f"{BASE}/faults", add_faults),
    Route("DELETE", f"{BASE}/faults", clear_faults),
    Route("GET", f"{BASE}/clock", get_clock),
    Route("POST", f"{BASE}/clock", set_clock),
]
