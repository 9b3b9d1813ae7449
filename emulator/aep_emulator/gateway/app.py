"""The ASGI application: it reads a request, answers it, writes the journal and sends the answer."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from aep_emulator.control import admin
from aep_emulator.core.errors import COVERAGE, Refusal, code_of, problem
from aep_emulator.core.faults import Rule
from aep_emulator.core.http import Reply, Request, Route
from aep_emulator.core.store import Scope
from aep_emulator.core.world import World
from aep_emulator.data import xdm
from aep_emulator.gateway import authentication, faults, journal
from aep_emulator.gateway.operations import Operation, ServiceOperation, TokenOperation
from aep_emulator.gateway.routing import Router
from aep_emulator.services.routes import ABSENT, ROUTES

log = logging.getLogger(__name__)

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request body; a larger one is refused with 413."""

MAX_SNAPSHOT = 512 * 1024 * 1024
"""Bytes of a snapshot."""


@dataclass
class _Exchange:
    """A request, and what is known of it before its body is read.

    :ivar is_admin: whether it is for the emulator's own API
    :ivar name: the operation's, as in the journal; empty if there is no such operation
    :ivar entry: the journal's entry
    :ivar rule: the fault that fires at this request
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    route: Route | None
    arguments: list[str]
    is_admin: bool
    is_token: bool
    name: str
    entry: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    rule: Rule | None = None

    @property
    def is_broken_off(self) -> bool:
        """Whether the client gets no answer."""
        return self.rule is not None and self.rule.do in {"reset", "hang"}


class Emulator:
    """The ASGI application of one world.

    :param hosts: Host headers to answer besides loopback
    """

    def __init__(self, world: World, hosts: tuple[str, ...] = ()) -> None:
        self.world = world
        self._hosts = {"127.0.0.1", "localhost", "[::1]", *hosts}
        served = {r.path for r in ROUTES}  # another method of these paths is 405, not 501
        self._router = Router([*admin.ROUTES, *(r for r in ABSENT if r.path not in served), *ROUTES])

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["type"] != "http":
            return
        exchange = self._begin(scope)
        reply, payload = await self._answer(exchange, receive)
        self._record(exchange, reply)
        await self._respond(exchange, reply, payload, receive, send)

    def _begin(self, scope: AsgiScope) -> _Exchange:
        """Find the operation and begin the journal's entry."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        method, path = scope["method"], scope["raw_path"].decode("latin-1").split("?")[0]
        query = scope["query_string"].decode("latin-1")
        route, arguments = self._router.find(method, path) or (None, [])
        is_admin = (route.path if route else path).startswith(admin.BASE)
        is_token = method == "POST" and path.removesuffix("/") in authentication.TOKEN_PATHS
        name = "POST token" if is_token else f"{route.method} {route.path}" if route and not is_admin else ""
        request_id = headers.get("x-request-id", "")[:100] or ("" if is_admin else self.world.new_id("requests"))
        entry = {
            "at": self.world.clock.now(),
            "method": method,
            "path": path,
            "query": journal.kept_query(query),
            "operation": name,
            "sandbox": headers.get("x-sandbox-name", ""),
            "code": "",
            "fault": "",
            "request_id": request_id,
            "warnings": "",
            "headers": journal.kept_headers(headers),
            "body": "",
        }
        return _Exchange(method, path, query, headers, route, arguments, is_admin, is_token, name, entry)

    async def _answer(self, exchange: _Exchange, receive: Receive) -> tuple[Reply, bytes]:
        """Return the reply and its body; every error becomes a reply."""
        try:
            reply = await self._execute(exchange, await self._read(exchange, receive))
            return reply, _payload(reply)
        except Refusal as refusal:
            exchange.entry["code"] = code_of(refusal.body)
            reply = Reply(refusal.body, refusal.status, refusal.headers)
        except (xdm.Incompatible, xdm.TooLarge) as e:  # a stored schema refers to parts that have changed
            reply = Reply(problem(400, "BadRequestError", f"The schema cannot be resolved: {e}").body, 400)
        except Exception:
            log.exception("The emulator failed at %s %s", exchange.method, exchange.path)
            reply = Reply(problem(500, "Internal Error", "The emulator failed; see its log").body, 500)
        return reply, _payload(reply)

    async def _read(self, exchange: _Exchange, receive: Receive) -> Request:
        """Return the whole request, if its host and its admin token are accepted."""
        authentication.check_host(exchange.headers, self._hosts)
        if exchange.is_admin:
            authentication.check_admin_token(self.world, exchange.method, exchange.headers)
        is_large = exchange.is_admin and exchange.route is not None and exchange.route.path in admin.LARGE
        content = await _body(receive, MAX_SNAPSHOT if is_large else MAX_BODY)
        content_type = exchange.headers.get("content-type", "")
        exchange.entry["body"] = journal.kept_body(exchange.name, content, content_type)
        return Request(
            exchange.method,
            exchange.path,
            parse_qs(exchange.query, keep_blank_values=True),
            exchange.headers,
            content,
            Scope("", ""),
            strict=self.world.options.strict,
            warnings=exchange.warnings,
        )

    async def _execute(self, exchange: _Exchange, request: Request) -> Reply:
        """Execute an admin request as it is, and every other one under the fault that fires."""
        route = exchange.route
        if exchange.is_admin and route:
            if route.path in admin.SLOW:
                return await asyncio.to_thread(route.handler, self.world, request, *exchange.arguments)
            reply: Reply = route.handler(self.world, request, *exchange.arguments)
            return reply
        operation = self._operation(exchange, request)
        exchange.rule = self.world.faults.take(exchange.name) if exchange.name else None
        exchange.entry["fault"] = exchange.rule.do if exchange.rule else ""
        return faults.execute(exchange.rule, operation, self.world, request, exchange.name)

    def _operation(self, exchange: _Exchange, request: Request) -> Operation:
        if exchange.is_token:
            return TokenOperation(self.world, request)
        if exchange.route is not None:
            return ServiceOperation(self.world, request, exchange.route, exchange.arguments)
        if methods := ", ".join(self._router.methods(exchange.path)):
            body = problem(405, "Method Not Allowed", f"{exchange.path[:200]} has {methods}").body
            raise Refusal(405, body, {"Allow": methods})
        what = f"The emulator has no {exchange.method} {exchange.path[:200]}; {COVERAGE} lists what it has, and why"
        raise problem(501, "Not Implemented", what, COVERAGE)

    def _record(self, exchange: _Exchange, reply: Reply) -> None:
        """Write the journal; an answer that no client gets has the status 0."""
        if not exchange.is_admin:
            status = 0 if exchange.is_broken_off else reply.status
            warnings = "; ".join(exchange.warnings)
            self.world.store.record({**exchange.entry, "status": status, "warnings": warnings})

    async def _respond(self, exchange: _Exchange, reply: Reply, payload: bytes, receive: Receive, send: Send) -> None:
        """Send the answer, as slowly and as completely as the fault says."""
        rule = exchange.rule
        if rule and rule.seconds and rule.do in {"hang", "slow"}:
            await _pause(receive, rule.seconds)
        if exchange.is_broken_off:
            await _abort(send)
        else:
            cut = rule.bytes if rule else None
            await _send(send, reply, payload, exchange.entry["request_id"], self.world.clock.now(), cut)


async def _body(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise problem(413, "Content Too Large", f"A body may have {limit} bytes")
        if not message.get("more_body"):
            return b"".join(chunks)


def _payload(reply: Reply) -> bytes:
    if reply.text is not None:
        return reply.text.encode()
    return b"" if reply.body is None else json.dumps(reply.body, allow_nan=False).encode()


async def _send(send: Send, reply: Reply, body: bytes, request_id: str, now: float, cut: int | None = None) -> None:
    """Send a response.

    :param now: the emulator's time, for the ``Date`` header
    :param cut: bytes of the body after which the connection breaks
    """
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-request-id": request_id,
        "date": formatdate(now, usegmt=True),
        **{k.lower(): v for k, v in reply.headers.items()},
    }
    raw = [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": body[:cut], "more_body": cut is not None})
    if cut is not None:
        await asyncio.sleep(0.05)  # the bytes must leave before the connection breaks
        await _abort(send)


async def _pause(receive: Receive, seconds: float) -> None:
    """Wait, but end when the client disconnects."""
    disconnected = asyncio.ensure_future(receive())
    await asyncio.wait({disconnected}, timeout=seconds)
    disconnected.cancel()


async def _abort(send: Send) -> None:
    """Break the connection. ASGI has no message for that, so this uses uvicorn's transport behind ``send``."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0)  # uvicorn must notice before the request ends


def create_app(world: World, hosts: tuple[str, ...] = ()) -> ASGIApp:
    """Return the ASGI application of a world."""
    return Emulator(world, hosts)
