"""The emulator's web application: Host check, IMS, gateway, routing and the journal."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from airflow_provider_aep.emulator import (
    admin,
    catalog,
    connections,
    data_prep,
    descriptors,
    flow_service,
    flows,
    sandboxes,
    schema_registry,
)
from airflow_provider_aep.emulator.faults import Rule
from airflow_provider_aep.emulator.refusals import Refusal, flow, gateway, ims, problem
from airflow_provider_aep.emulator.service import Reply, Request, Route, World
from airflow_provider_aep.emulator.store import Scope

log = logging.getLogger(__name__)

ROUTES: list[Route] = [
    *connections.ROUTES,
    *flows.ROUTES,
    *schema_registry.ROUTES,
    *descriptors.ROUTES,
    *catalog.ROUTES,
    *data_prep.ROUTES,
    *sandboxes.ROUTES,
]
Act = Callable[..., Reply]
"""What a request asks for; ``first`` happens between the gateway and the service."""

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request body; larger ones are refused with 413."""


class _Router:
    """Finds the route of a path, segment by segment; an encoded slash stays within its segment."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = [(r, r.path.strip("/").split("/")) for r in routes]

    def find(self, method: str, raw_path: str) -> tuple[Route, list[str]] | None:
        segments = [unquote(s) for s in raw_path.strip("/").split("/")]
        for route, pattern in self._routes:
            if route.method != method or len(pattern) != len(segments):
                continue
            if all(p.startswith("{") or p == s for p, s in zip(pattern, segments, strict=True)):
                return route, [s for p, s in zip(pattern, segments, strict=True) if p.startswith("{")]
        return None


class Emulator:
    """ASGI application over one world.

    :param hosts: values of the Host header that are answered besides loopback (against DNS rebinding)
    """

    def __init__(self, world: World, hosts: tuple[str, ...] = ()) -> None:
        self.world = world
        self._hosts = {"127.0.0.1", "localhost", "[::1]", *hosts}
        self._router = _Router([*admin.ROUTES, *ROUTES])

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = str(uuid.uuid4())
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        raw_path = scope["raw_path"].decode("latin-1").split("?")[0]
        entry = {
            "at": self.world.clock.now(),
            "method": scope["method"],
            "path": raw_path,
            "operation": "",
            "sandbox": headers.get("x-sandbox-name", ""),
            "code": "",
            "fault": "",
            "request_id": headers.get("x-request-id", request_id),
        }
        rule: Rule | None = None
        try:
            content = await _body(receive)
            query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            act = self._found(scope["method"], raw_path, query, headers, content, entry)
            rule = self.world.faults.take(entry["operation"]) if entry["operation"] else None
            entry["fault"] = rule.do if rule else ""
            reply = self._under(rule, act, entry["operation"], headers)
        except Refusal as refusal:
            entry["code"] = str(refusal.body.get("errorCode") or refusal.body.get("error_code") or "")
            reply = Reply(refusal.body, refusal.status, refusal.headers)
        except Exception:
            log.exception("The emulator failed at %s %s", scope["method"], raw_path)
            reply = Reply(problem(500, "Internal Error", "The emulator failed; see its log").body, 500)
        entry["status"] = reply.status
        if not raw_path.startswith(admin.BASE):
            self.world.store.record(entry)
        if rule and rule.seconds and rule.do in {"hang", "slow"}:
            await _pause(receive, rule.seconds)
        if rule and rule.do in {"reset", "hang"}:
            await _abort(send)
        else:
            await _send(send, reply, entry["request_id"], rule.bytes if rule else None)

    def _under(self, rule: Rule | None, act: Act, operation: str, headers: dict[str, str]) -> Reply:
        """The reply of an operation to which something happens."""
        if rule is None:
            return act()
        world = self.world
        if rule.do == "revoke":
            world.store.drop_token(headers.get("authorization", "").removeprefix("Bearer "))
        elif rule.do == "race":
            return act(first=flow_service.touch)
        elif rule.do == "lag":
            with world.store.hiding(world.clock.now() - (rule.seconds or 0)):
                return act()
        elif rule.do in {"answer", "reset", "hang", "cut"}:
            reply = Reply()
            if rule.commit == "now" or rule.do == "cut":
                reply = act()
            elif rule.commit != "never":
                world.later(world.clock.now() + float(rule.commit), act)
            if rule.do == "answer":
                raise rule.refusal(operation)
            return reply
        return act()

    def _found(
        self,
        method: str,
        raw_path: str,
        query: dict[str, list[str]],
        headers: dict[str, str],
        content: bytes,
        entry: dict[str, Any],
    ) -> Act:
        """What a request asks for, as something that can be done now, later or not at all."""
        host = headers.get("host", "")
        if (host.rsplit(":", 1)[0] if not host.endswith("]") else host) not in self._hosts and host not in self._hosts:
            raise problem(421, "Misdirected Request", "This Host is not served; start the emulator with --allow-host")
        if raw_path == f"{admin.BASE}/operations":
            return lambda **_: Reply({"operations": ["POST /ims/token/v3", *(f"{r.method} {r.path}" for r in ROUTES)]})
        if method == "POST" and raw_path == "/ims/token/v3":
            entry["operation"] = "POST token"
            return lambda **_: self._token(query, headers, content)
        found = self._router.find(method, raw_path)
        if found is None:
            what = f"The emulator has no {method} {raw_path}; GET /_emulator/operations lists what it has"
            raise problem(501, "Not Implemented", what)
        route, arguments = found
        if raw_path.startswith(admin.BASE):
            asked = Request(method, raw_path, query, headers, content, Scope("", ""))
            return lambda **_: route.handler(self.world, asked, *arguments)
        entry["operation"] = f"{route.method} {route.path}"

        def act(first: Callable[[World, Request], None] | None = None) -> Reply:
            request = self._admit(method, raw_path, query, headers, content)
            if first:  # of its own: what is refused afterwards takes nothing back of it
                with self.world.store.transaction():
                    first(self.world, request)
            with self.world.store.transaction():
                reply: Reply = route.handler(self.world, request, *arguments)
            return reply

        return act

    def _token(self, query: dict[str, list[str]], headers: dict[str, str], content: bytes) -> Reply:
        """OAuth server-to-server; fields in the form or in the query string."""
        form = {**query, **parse_qs(content.decode("latin-1"))}
        given = {k: v[0] for k, v in form.items()}
        options = self.world.options
        if given.get("grant_type") != "client_credentials":
            raise ims("unsupported_grant_type", "grant_type must be client_credentials")
        if given.get("client_id") != options.client_id:
            raise ims("invalid_client", "invalid client_id parameter")
        if given.get("client_secret") != options.client_secret:
            raise ims("invalid_client", "invalid client_secret parameter")
        asked = set(given.get("scope", "").replace(",", " ").split())
        if not asked or not asked <= set(options.scopes):
            raise ims("invalid_scope", "The requested scope is missing, unknown or not allowed")
        token = self.world.store.add_token(options.client_id, self.world.clock.now() + options.token_lifetime)
        return Reply({"access_token": token, "token_type": "bearer", "expires_in": options.token_lifetime})

    def _admit(
        self, method: str, raw_path: str, query: dict[str, list[str]], headers: dict[str, str], content: bytes
    ) -> Request:
        """The gateway's checks, in its order."""
        options = self.world.options
        authorization = headers.get("authorization", "")
        if not authorization:
            raise gateway("403010", "Oauth token is missing.")
        client = self.world.store.token_client(authorization.removeprefix("Bearer "), self.world.clock.now())
        if client is None:
            raise gateway("401013", "Oauth token is not valid")
        if not headers.get("x-api-key"):
            raise gateway("403000", "Api Key is required")
        if headers["x-api-key"] != client:
            raise gateway("403003", "Api Key is invalid")
        org = headers.get("x-gw-ims-org-id")
        if not org:
            raise gateway("400003", "Missing header")
        if "@" not in org:
            raise gateway("403027", "User region is missing")
        if org != options.org_id:
            raise gateway("403025", "Profile is not valid")
        sandbox = headers.get("x-sandbox-name", "")
        if not sandbox and raw_path.startswith(flow_service.BASE):
            raise flow("2105-400", "Header is missing", "The header x-sandbox-name is missing")
        if (service := raw_path.split("/")[3:4]) and service[0] in options.denied:
            if service[0] == "flowservice":
                raise flow("2121-403", "Forbidden", "Permission is denied on the resource EnterpriseSource")
            raise problem(403, "Forbidden", f"The credential may not use {service[0]}")
        known = options.sandbox_states()
        if raw_path.startswith(sandboxes.BASE):
            sandbox = sandbox if sandbox in known else "prod"
        elif sandbox and sandbox not in known:
            raise flow("2100-404", "Sandbox not found", f"There is no sandbox {sandbox}")
        return Request(method, raw_path, query, headers, content, Scope(org, sandbox or "prod"), client)


async def _body(receive: Receive) -> bytes:
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if len(content) > MAX_BODY:
            raise problem(413, "Content Too Large", f"A body may have {MAX_BODY} bytes")
        if not message.get("more_body"):
            return content


async def _send(send: Send, reply: Reply, request_id: str, cut: int | None = None) -> None:
    """:param cut: bytes of the body after which the connection breaks"""
    body = b"" if reply.body is None else json.dumps(reply.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-request-id": request_id,
        **{k.lower(): v for k, v in reply.headers.items()},
    }
    raw = [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": body[:cut], "more_body": cut is not None})
    if cut is not None:
        await asyncio.sleep(0.05)  # so that what was sent has left
        await _abort(send)


async def _pause(receive: Receive, seconds: float) -> None:
    """Wait, but no longer than the client does."""
    gone = asyncio.ensure_future(receive())
    await asyncio.wait({gone}, timeout=seconds)
    gone.cancel()


async def _abort(send: Send) -> None:
    """Break the connection: ASGI has no word for it, so this is uvicorn's transport behind ``send``."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0)  # so that uvicorn knows when this ends


def create_app(world: World, hosts: tuple[str, ...] = ()) -> ASGIApp:
    return Emulator(world, hosts)
