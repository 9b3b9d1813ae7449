"""The OpenAPI description of the emulator's operations."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from aep_emulator.core.http import Route
from aep_emulator.core.store import Scope
from aep_emulator.core.validation import shape
from aep_emulator.core.world import World
from aep_emulator.services.routes import ROUTES


def openapi(world: World, sandbox: str) -> dict[str, Any]:
    """Return the operations in OpenAPI 3.1; its examples are ids of objects in the sandbox."""
    scope = Scope(world.options.org_id, sandbox)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(world, scope, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AEP emulator",
            "version": version("aep-emulator"),
            "description": "Operations of Adobe Experience Platform in the emulator, which is not a product of Adobe.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "refused": {
                    "description": "Refused, in the format of the service",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        },
        "security": [{"token": []}],
    }


def _example(world: World, scope: Scope, path: str) -> dict[str, Any]:
    """Return the id of an object that the path can name, if one exists."""
    kind = path.split("/{")[0].rsplit("/", 1)[-1]
    found = next(world.store.find({"mixins": "fieldgroups"}.get(kind, kind), scope), None) or {}
    id_ = found.get("id") or found.get("$id") or found.get("@id")
    return {"example": id_} if id_ else {}


def _operation(world: World, scope: Scope, route: Route) -> dict[str, Any]:
    parameters = [
        {
            "name": n,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **_example(world, scope, route.path),
        }
        for n in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters += [{"name": n, "in": "query", "schema": {"type": "string"}} for n in sorted(route.query or ())]
    parameters += [
        {"name": n, "in": "header", "required": True, "schema": {"type": "string"}, "example": example}
        for n, example in (*_HEADERS, *route.headers)
        if n != "Accept"  # OpenAPI describes it by the content types of responses
    ]
    described: dict[str, Any] = {
        "operationId": f"{route.method} {route.path}",
        "summary": (route.handler.__doc__ or "").split("\n")[0],
        "x-evidence": str(route.evidence),
        "x-source": route.source,
        "parameters": parameters,
        "responses": {str(route.status): {"description": "Done"}, "4XX": {"$ref": "#/components/responses/refused"}},
    }
    if route.body:
        body = {k: v for k, v in shape(route.body).items() if k != "definitions"}
        content = {"application/json": {"schema": _inlined(body, shape(route.body).get("definitions", {}))}}
        described["requestBody"] = {"required": True, "content": content}
    return described


_HEADERS = (("x-api-key", "emulator"), ("x-gw-ims-org-id", "EMULATOR@AdobeOrg"), ("x-sandbox-name", "dev"))


def _inlined(node: Any, definitions: dict[str, Any], depth: int = 0) -> Any:
    """Return a JSON Schema with its references replaced; recursion ends at some depth."""
    if isinstance(node, list):
        return [_inlined(n, definitions, depth) for n in node]
    if not isinstance(node, dict):
        return node
    ref = node.get("$ref")
    if isinstance(ref, str):
        if depth > 2:
            return {}
        return _inlined(definitions[ref.rsplit("/", 1)[-1]], definitions, depth + 1)
    return {k: _inlined(v, definitions, depth) for k, v in node.items()}
