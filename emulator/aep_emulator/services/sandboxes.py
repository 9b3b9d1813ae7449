"""Sandbox management, read only. Source: Adobe's sandbox OpenAPI file."""

from __future__ import annotations

from typing import Any

from aep_emulator.core.errors import problem
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.ids import sandbox_id
from aep_emulator.core.world import World
from aep_emulator.services import property_filters
from aep_emulator.services.property_filters import text_of

BASE = "/data/foundation/sandbox-management"
_SINCE = "2019-09-04 04:57:24"


def _all(world: World) -> list[dict[str, Any]]:
    return [
        {
            "id": sandbox_id(name),
            "name": name,
            "title": name.capitalize(),
            "state": state,
            "type": "production" if name == "prod" else "development",
            "region": "VA7",
            "isDefault": name == "prod",
            "eTag": 1,
            "createdDate": _SINCE,
            "lastModifiedDate": _SINCE,
            "createdBy": "emulator",
            "modifiedBy": "emulator",
        }
        for name, state in world.options.sandbox_states().items()
    ]


def list_(world: World, request: Request) -> Reply:
    """Return the sandboxes that the credential may use."""
    credential = world.credentials[request.client_id]
    found = [s for s in _all(world) if credential.enters(s["name"])]
    for text in request.query.get("property", []):
        parsed = property_filters.parse(text)
        if parsed is None or parsed.operator != "==":
            raise problem(400, "Bad Request", f"{text[:100]!r} is not a property filter that sandboxes support")
        found = [s for s in found if text_of(s.get(parsed.field)).lower() == parsed.value.lower()]
    limit, offset = request.integer("limit", 200, 1, 200), request.integer("offset", 0, 0, 10**6)
    page = found[offset : offset + limit]
    links = {"page": {"href": f"{BASE}/sandboxes?limit={{limit}}&offset={{offset}}", "templated": True}}
    return Reply({"sandboxes": page, "_page": {"limit": limit, "count": len(page)}, "_links": links})


def get(world: World, request: Request, name: str) -> Reply:
    """Return a sandbox."""
    for sandbox in _all(world):
        if sandbox["name"] == name:
            return Reply(sandbox)
    raise problem(404, "Not Found", f"There is no sandbox {name[:100]}")


def types(world: World, request: Request) -> Reply:
    """Return the types of sandboxes."""
    return Reply({"sandboxTypes": ["production", "development"]})


_LIST = frozenset({"limit", "offset", "property", "orderBy"})
ROUTES = [
    Route("GET", BASE, list_, Evidence.SAMPLE, "sandboxes/api/available.md", _LIST),
    Route("GET", f"{BASE}/sandboxes", list_, Evidence.SAMPLE, "sandboxes/api/sandboxes.md", _LIST),
    Route("GET", f"{BASE}/sandboxes/{{name}}", get, Evidence.OPENAPI, "sandbox.yaml"),
    Route("GET", f"{BASE}/sandboxTypes", types, Evidence.OPENAPI, "sandbox.yaml"),
]
