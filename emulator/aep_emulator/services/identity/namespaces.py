"""Identity Service: identity namespaces. Source: Adobe's identity-service OpenAPI file and Identity guide."""

from __future__ import annotations

import re
from typing import Any

from aep_emulator.core.errors import identity as refusal
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.store import Scope
from aep_emulator.core.world import World

_PATH = "/data/core/idnamespace/identities"
_ID_TYPES = ("COOKIE", "CROSS_DEVICE", "DEVICE", "EMAIL", "MOBILE", "NON_PEOPLE", "PHONE")
_STANDARD = (
    (0, "CORE", "Adobe Audience Manager", "COOKIE"),
    (4, "ECID", "ECID", "COOKIE"),
    (6, "Email", "Email", "Email"),
    (7, "Phone", "Phone", "Phone"),
    (8, "WAID", "Windows AID", "DEVICE"),
    (9, "TNTID", "Adobe Target (TNTID)", "COOKIE"),
    (11, "Email_LC_SHA256", "Emails (SHA256, lowercased)", "Email"),
    (411, "AdCloud", "Adobe Advertising Cloud", "COOKIE"),
    (20914, "GAID", "Google Ad ID (GAID)", "DEVICE"),
    (20915, "IDFA", "Apple IDFA (ID for Apple)", "DEVICE"),
)
"""Adobe's namespaces: id, code, name and type. Source of the ids: the appendix of Adobe's Privacy Service guide."""

_FIRST_CUSTOM = 10_000_001
_SINCE = 1_551_688_425_455
_EMPTY = refusal("INVALID_REQUEST_PARAMS", "The request body is empty")

Body = dict[str, Any]


def namespaces(world: World, scope: Scope) -> list[Body]:
    """Return the namespaces of a sandbox: Adobe's, then those of the organization."""
    return [*(_namespace(*standard) for standard in _STANDARD), *world.store.find("namespaces", scope)]


def _namespace(id_: int, code: str, name: str, kind: str) -> Body:
    return {
        "updateTime": _SINCE,
        "code": code,
        "status": "ACTIVE",
        "createTime": _SINCE,
        "description": name,
        "idType": kind,
        "name": name,
        "id": id_,
        "custom": False,
    }


def list_(world: World, request: Request) -> Reply:
    """Return all namespaces."""
    return Reply(namespaces(world, request.scope))


def get(world: World, request: Request, id_: str) -> Reply:
    """Return a namespace."""
    return Reply(_found(world, request, id_))


def create(world: World, request: Request) -> Reply:
    """Create a namespace. Nothing deletes it."""
    body = _checked(request)
    existing = namespaces(world, request.scope)
    if any(body["code"] == other["code"] for other in existing):
        raise refusal("INTEGRATION_CODE_EXISTS", "Namespace code already exists. Please use a different code")
    now, id_ = world.now_ms(), _FIRST_CUSTOM + len(existing) - len(_STANDARD)
    stored = {**body, "updateTime": now, "status": "ACTIVE", "createTime": now, "id": id_, "custom": True}
    world.store.add("namespaces", request.scope, str(id_), stored, name=body["name"])
    return Reply(stored)


def replace(world: World, request: Request, id_: str) -> Reply:
    """Replace the name and the description of a namespace; code and type stay."""
    found, body = _found(world, request, id_), _checked(request)
    if not found["custom"]:
        raise refusal("INVALID_REQUEST_PARAMS", "A standard namespace cannot be updated")
    if (body["code"], body["idType"].upper()) != (found["code"], found["idType"].upper()):
        raise refusal("INVALID_REQUEST_PARAMS", "code and idType are non editable fields")
    updated = {**found, "description": "", **body, "idType": found["idType"], "updateTime": world.now_ms()}
    world.store.put("namespaces", request.scope, id_, updated, name=body["name"])
    return Reply(updated)


def _found(world: World, request: Request, id_: str) -> Body:
    for namespace in namespaces(world, request.scope):
        if id_ == str(namespace["id"]):
            return namespace
    raise refusal("NAMESPACE_NOT_FOUND", f"Namespace id not found for given IMS Org {request.scope.org}")


def _checked(request: Request) -> Body:
    body = request.object(_EMPTY, "namespaces")
    for name in ("name", "code", "idType"):
        if not isinstance(body.get(name), str) or not body[name].strip():
            raise refusal("INVALID_REQUEST_PARAMS", f"{name} is missing")
    if not re.fullmatch("[A-Za-z0-9]+", body["code"]):
        raise refusal("INVALID_REQUEST_PARAMS", "code may contain only letters and numbers")
    if body["idType"].upper() not in _ID_TYPES:
        valid = ", ".join(_ID_TYPES)
        raise refusal("INVALID_REQUEST_PARAMS", f"Please provide a valid value of idType. Valid values are: [{valid}]")
    return body


_SPEC = "identity-service.yaml"
_GUIDE = "identity/api/create-custom-namespace.md"
ROUTES = [
    Route("GET", _PATH, list_, Evidence.OPENAPI, _SPEC),
    Route("POST", _PATH, create, Evidence.SAMPLE, _GUIDE, body="namespaces"),
    Route("GET", f"{_PATH}/{{id}}", get, Evidence.OPENAPI, _SPEC),
    Route("PUT", f"{_PATH}/{{id}}", replace, Evidence.OPENAPI, _SPEC, body="namespaces"),
]
