"""Every operation of the emulator, what its behaviour rests on, and an OpenAPI description of them all.

The routes, the tables of codes and the switches are the one source of this; the documentation is generated from it.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_aep import __version__
from airflow_provider_aep.emulator import (
    catalog,
    connections,
    data_prep,
    descriptors,
    export,
    flows,
    sandboxes,
    schema_registry,
)
from airflow_provider_aep.emulator.refusals import COVERAGE, FLOW, GATEWAY, SOURCE, XDM, problem
from airflow_provider_aep.emulator.service import Evidence, Reply, Request, Route, World
from airflow_provider_aep.emulator.shapes import shape
from airflow_provider_aep.emulator.store import Scope
from airflow_provider_aep.emulator.switches import SWITCHES

AS_OF = "2026-11"
"""Of Adobe's documentation."""

ROUTES: list[Route] = [
    *connections.ROUTES,
    *flows.ROUTES,
    *schema_registry.ROUTES,
    *descriptors.ROUTES,
    *catalog.ROUTES,
    *data_prep.ROUTES,
    *sandboxes.ROUTES,
    *export.ROUTES,
]

_ABSENT = """
schema-registry.yaml GET schemaregistry/rpc/export/{id}, POST schemaregistry/rpc/import
schema-registry.yaml GET schemaregistry/rpc/sampledata/{id}, GET schemaregistry/rpc/auditlog/{id}
schema-registry.yaml GET schemaregistry/global/descriptors, GET schemaregistry/global/descriptors/{id}
catalog.yaml GET catalog, POST catalog, GET catalog/tags/{namespace}, GET catalog/dataSets/{id}/credentials
catalog.yaml GET catalog/batches/uniques/{field}, POST catalog/batches, POST catalog/batches/{id}
catalog.yaml PUT catalog/batches/{id}, PATCH catalog/batches/{id}, DELETE catalog/batches/{id}
data-prep.yaml GET conversion/languages/el/functions, GET conversion/languages/el/operators
data-prep.yaml POST conversion/languages/el/validate
aepp GET conversion/mappingSets/suggestion, POST conversion/mappingSets/{id}/mappings
aepp PUT conversion/mappingSets/{id}/mappings/{mapping}, DELETE conversion/mappingSets/{id}/mappings/{mapping}
aepp GET connectors/landingzone, GET connectors/landingzone/credentials
sandbox.yaml POST sandbox-management/sandboxes, PUT sandbox-management/sandboxes/{name}
sandbox.yaml PATCH sandbox-management/sandboxes/{name}, DELETE sandbox-management/sandboxes/{name}
data-access.yaml GET export/batches/{id}/files, GET export/files/{id}, HEAD export/files/{id}
data-access.yaml GET export/datasets/{id}/preview
batch-ingestion.yaml POST import/batches, POST import/batches/{id}
"""
"""What clients of onboarding meet in Adobe's descriptions, and not here."""


def _absent(world: World, request: Request, *_: str) -> Reply:
    what = f"The emulator has no {request.method} {request.path[:200]}; {COVERAGE} lists what it has, and why"
    raise problem(501, "Not Implemented", what, COVERAGE)


ABSENT = [
    Route(method, f"/data/foundation/{path}", _absent, Evidence.ABSENT, source, None, status=501)
    for line in _ABSENT.strip().splitlines()
    for source, _, rest in [line.partition(" ")]
    for method, _, path in [operation.partition(" ") for operation in rest.split(", ")]
]

_TOKEN = {"operation": "POST /ims/token/v3", "evidence": "sample", "source": "landing/api-authentication.md"}
_TOKEN_2 = {"operation": "POST /ims/token/v2", "evidence": "client", "source": "Adobe's Postman collection"}
_CATALOGUES = (
    ("gateway", "landing/troubleshooting.md", {k: ("", v) for k, v in GATEWAY.items()}),
    ("Flow Service", "sources/errors/flow-service-errors.md", FLOW),
    ("sources", "sources/errors/sources-errors.md", {f"{k}-400": ("Bad Request", v) for k, v in SOURCE.items()}),
    ("Schema Registry", "xdm/troubleshooting-guide.md", XDM),
)


def coverage() -> dict[str, Any]:
    """What there is, and why: operations, refusals, switches."""
    return {
        "as_of": AS_OF,
        "operations": [
            _TOKEN,
            _TOKEN_2,
            *(
                {"operation": f"{r.method} {r.path}", "evidence": str(r.evidence), "source": r.source}
                for r in (*ROUTES, *ABSENT)
            ),
        ],
        "refusals": [
            {"code": code, "service": service, "title": title, "when": when, "evidence": "catalogue", "source": source}
            for service, source, codes in _CATALOGUES
            for code, (title, when) in codes.items()
        ],
        "switches": [
            {"switch": s.name, "values": list(s.values), "default": s.values[0], "what": s.what, "evidence": "assumed"}
            for s in SWITCHES
        ],
    }


def openapi(world: World, sandbox: str) -> dict[str, Any]:
    """The operations in OpenAPI 3.1; ids of objects in the sandbox are its examples."""
    scope = Scope(world.options.org_id, sandbox)
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(world, scope, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AEP emulator",
            "version": __version__,
            "description": "What the emulator has of the Adobe Experience Platform APIs; it is not Adobe's.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "refused": {
                    "description": "Refused, in the shape of the service",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        },
        "security": [{"token": []}],
    }


def _example(world: World, scope: Scope, path: str) -> dict[str, Any]:
    """The id of an object that a path can name, if there is one."""
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
        if n != "Accept"  # OpenAPI takes it from the content types of answers
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
    """A JSON Schema without references; what refers to itself is cut off at some depth."""
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


def unclassified() -> list[str]:
    """Operations without a class and a source, of which there must be none."""
    return [f"{r.method} {r.path}" for r in ROUTES if not isinstance(r.evidence, Evidence) or not r.source]
