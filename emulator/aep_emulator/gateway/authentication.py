"""Authentication: the Host header, the admin token, IMS tokens, and the gateway's checks of a request."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import replace
from urllib.parse import parse_qs

from aep_emulator.core.errors import flow, gateway, ims, problem
from aep_emulator.core.http import Reply, Request, Route
from aep_emulator.core.store import Scope
from aep_emulator.core.world import World
from aep_emulator.services import sandboxes
from aep_emulator.services.flow_service import resources as flow_service

TOKEN_PATHS = {"/ims/token/v3", "/ims/token/v2"}


def check_host(headers: dict[str, str], hosts: Collection[str]) -> None:
    """Refuse a Host header that is not served: a page that rebinds its DNS name must not reach the emulator."""
    host = headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rsplit(":", 1)[0]
    if name not in hosts and host not in hosts:
        raise problem(421, "Misdirected Request", "This Host is not served; start the emulator with --allow-host")


def check_admin_token(world: World, method: str, headers: dict[str, str]) -> None:
    """Refuse a write under ``/_emulator`` without the admin token, if the emulator has one."""
    token = world.options.admin_token
    if token is None or method == "GET":
        return
    if not token or not hmac.compare_digest(bearer_token(headers).encode(), token.encode()):
        raise problem(401, "Unauthorized", "Authorization must be Bearer and the admin token")


def bearer_token(headers: dict[str, str]) -> str:
    """Return the token of the Authorization header; empty if there is none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def issue_token(world: World, request: Request) -> Reply:
    """Answer an OAuth server-to-server request; its fields are in the form or in the query string."""
    form = {**request.query, **parse_qs(request.content.decode("latin-1"))}
    fields = {name: values[0] for name, values in form.items()}
    if fields.get("grant_type") != "client_credentials":
        raise ims("unsupported_grant_type", "grant_type must be client_credentials")
    credential = world.credentials.get(fields.get("client_id", ""))
    if credential is None:
        raise ims("invalid_client", "invalid client_id parameter")
    if not hmac.compare_digest(fields.get("client_secret", "").encode(), credential.client_secret.encode()):
        raise ims("invalid_client", "invalid client_secret parameter")
    scopes = set(fields.get("scope", "").replace(",", " ").split())
    if not scopes or not scopes <= set(world.options.scopes):
        raise ims("invalid_scope", "The requested scope is missing, unknown or not allowed")
    lifetime = world.options.token_lifetime
    token = world.store.add_token(credential.client_id, world.clock.now() + lifetime)
    return Reply({"access_token": token, "token_type": "bearer", "expires_in": lifetime})


def admit(world: World, request: Request, route: Route) -> Request:
    """Return the request with its scope and client, after the gateway's checks in the gateway's order."""
    client = _client_of(world, request.headers)
    is_flow_service = route.path.startswith(flow_service.BASE)
    org = _org_of(world, request.headers, is_flow_service)
    is_sandboxes = route.path.startswith(sandboxes.BASE)
    sandbox = _sandbox_of(world, request.headers, is_flow_service, is_sandboxes)
    _check_permissions(world, client, route, sandbox, is_sandboxes)
    content_type = request.headers.get("content-type", "")
    if request.content and route.method != "GET" and "json" not in content_type:
        raise problem(400, "BadRequestError", "A valid content-type must be specified")
    return replace(request, scope=Scope(org, sandbox), client_id=client)


def _client_of(world: World, headers: dict[str, str]) -> str:
    if not headers.get("authorization"):
        raise gateway("403010", "Oauth token is missing.")
    client = world.store.token_client(bearer_token(headers), world.clock.now())
    if client is None:
        raise gateway("401013", "Oauth token is not valid")
    if not headers.get("x-api-key"):
        raise gateway("403000", "Api Key is required")
    if headers["x-api-key"] != client:
        raise gateway("403003", "Api Key is invalid")
    return client


def _org_of(world: World, headers: dict[str, str], is_flow_service: bool) -> str:
    org = headers.get("x-gw-ims-org-id")
    if org == "" and is_flow_service:
        raise flow("2002-401", "The header x-gw-ims-org-id is empty")
    if not org:
        raise gateway("400003", "Missing header")
    if "@" not in org:
        raise gateway("403027", "User region is missing")
    if org != world.options.org_id:
        raise gateway("403025", "Profile is not valid")
    return org


def _sandbox_of(world: World, headers: dict[str, str], is_flow_service: bool, is_sandboxes: bool) -> str:
    sandbox = headers.get("x-sandbox-name", "")
    if is_flow_service:
        if "x-sandbox-id" in headers:
            raise flow("2110-400", "The header x-sandbox-id is not allowed")
        if sandbox == "*":
            raise flow("2111-403", "The header x-sandbox-name cannot be *")
        if not sandbox:
            raise flow("2105-400", "The header x-sandbox-name is missing")
    states = world.options.sandbox_states()
    if is_sandboxes:
        sandbox = sandbox if sandbox in states else next(iter(states))
    elif not sandbox and "prod" not in states:
        raise flow("2106-404", "There is no default sandbox: name one in x-sandbox-name")
    elif states.get(sandbox or "prod") != "active":
        raise flow("2100-404", f"There is no sandbox {sandbox[:100]} that is active")
    return sandbox or "prod"


def _check_permissions(world: World, client: str, route: Route, sandbox: str, is_sandboxes: bool) -> None:
    credential = world.credentials[client]
    service = route.path.split("/")[3]
    if not is_sandboxes and not credential.enters(sandbox):
        raise flow("2118-403", f"The credential may not use the sandbox {sandbox}")
    if credential.may(service, route.writes):
        return
    if service == "flowservice":
        raise flow("2121-403", "Permission is denied on the resource EnterpriseSource")
    raise problem(403, "Forbidden", f"The credential may not {route.method} in {service}")
