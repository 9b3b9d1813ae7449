"""Sandbox management, read only. Source: Adobe's sandbox OpenAPI file."""

from __future__ import annotations

from airflow_provider_aep.emulator.service import Reply, Request, Route, World

BASE = "/data/foundation/sandbox-management"


def list_(world: World, request: Request) -> Reply:
    sandboxes = [
        {
            "name": n,
            "title": n.capitalize(),
            "state": state,
            "type": "production" if n == "prod" else "development",
            "region": "VA7",
            "isDefault": n == "prod",
        }
        for n, state in world.options.sandbox_states().items()
    ]
    return Reply({"sandboxes": sandboxes, "_page": {"limit": 200, "count": len(sandboxes)}, "_links": {}})


ROUTES = [Route("GET", BASE, list_), Route("GET", f"{BASE}/sandboxes", list_)]
