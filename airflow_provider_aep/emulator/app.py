"""The emulator's web application: Host check, IMS, gateway, routing and the journal."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from airflow_provider_aep.emulator import admin, flow_service, journal, operations, sandboxes, xdm
from airflow_provider_aep.emulator.faults import Rule
from airflow_provider_aep.emulator.refusals import COVERAGE, Refusal, code_of, flow, gateway, ims, problem
from airflow_provider_aep.emulator.service import Reply, Request, Route, World
from airflow_provider_aep.emulator.store import Scope

log = logging.getLogger(__name__)

Act = Callable[..., Reply]
"""What a request asks for; ``first`` happens between the gateway and the service."""

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request body; larger ones are refused with 413."""

MAX_SNAPSHOT = 512 * 1024 * 1024

_TOKEN_PATHS = {"/ims/token/v3", "/ims/token/v2"}


class _Router:
    """Finds the route of a path, segment by segment; an encoded slash stays within its segment."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes: dict[int, list[tuple[Route, list[str]]]] = {}
        for route in routes:
            pattern = route.path.strip("/").split("/")
            self._routes.setdefault(len(pattern), []).append((route, pattern))

    def find(self, method: str, raw_path: str) -> tuple[Route, list[str]] | None:
        for route, arguments in self._matching(raw_path):
            if route.method == method:
                return route, arguments
        return None

    def methods(self, raw_path: str) -> list[str]:
        """Those that a path has."""
        return sorted({route.method for route, _ in self._matching(raw_path)})

    def _matching(self, raw_path: str) -> Iterator[tuple[Route, list[str]]]:
        """Names are matched as they are written; one slash at the end does no harm."""
        segments = raw_path.removesuffix("/").split("/")[1:]
        for route, pattern in self._routes.get(len(segments), []):
            pairs = list(zip(pattern, segments, strict=True))
            if all((p.startswith("{") and s) or p == s for p, s in pairs):
                yield route, [unquote(s) for p, s in pairs if p.startswith("{")]


class Emulator:
    """ASGI application over one world.

    :param hosts: values of the Host header that are answered besides loopback (against DNS rebinding)
    """

    def __init__(self, world: World, hosts: tuple[str, ...] = ()) -> None:
        self.world = world
        self._hosts = {"127.0.0.1", "localhost", "[::1]", *hosts}
        served = {r.path for r in operations.ROUTES}  # another method of these is 405
        absent = [r for r in operations.ABSENT if r.path not in served]
        self._router = _Router([*admin.ROUTES, *absent, *operations.ROUTES])

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        raw_path = scope["raw_path"].decode("latin-1").split("?")[0]
        query_string = scope["query_string"].decode("latin-1")
        route, arguments = self._router.find(scope["method"], raw_path) or (None, [])
        own = route.path.startswith(admin.BASE) if route else raw_path.startswith(admin.BASE)
        is_token = scope["method"] == "POST" and raw_path.removesuffix("/") in _TOKEN_PATHS
        operation = "POST token" if is_token else f"{route.method} {route.path}" if route and not own else ""
        entry: dict[str, Any] = {
            "at": self.world.clock.now(),
            "method": scope["method"],
            "path": raw_path,
            "query": journal.kept_query(query_string),
            "operation": operation,
            "sandbox": headers.get("x-sandbox-name", ""),
            "code": "",
            "fault": "",
            "request_id": headers.get("x-request-id", "")[:100] or ("" if own else self.world.new_id("requests")),
            "warnings": "",
            "headers": journal.kept_headers(headers),
            "body": "",
        }
        rule: Rule | None = None
        warnings: list[str] = []
        try:
            self._check_host(headers)
            if own:
                self._check_admin(scope["method"], headers)
            content = await _body(receive, MAX_SNAPSHOT if own and route and route.path in admin.LARGE else MAX_BODY)
            entry["body"] = journal.kept_body(operation, content, headers.get("content-type", ""))
            asked = Request(
                scope["method"],
                raw_path,
                parse_qs(query_string, keep_blank_values=True),
                headers,
                content,
                Scope("", ""),
                strict=self.world.options.strict,
                warnings=warnings,
            )
            act = self._found(asked, route, arguments, is_token)
            if own and route:
                reply = await asyncio.to_thread(act) if route.path in admin.SLOW else act()
            else:
                rule = self.world.faults.take(operation) if operation else None
                entry["fault"] = rule.do if rule else ""
                reply = self._under(rule, act, asked, operation)
            payload = _payload(reply)
        except Refusal as refusal:
            entry["code"] = code_of(refusal.body)
            reply = Reply(refusal.body, refusal.status, refusal.headers)
            payload = _payload(reply)
        except (xdm.Incompatible, xdm.TooLarge) as e:  # of something that is stored, by what it refers to now
            reply = Reply(problem(400, "BadRequestError", f"The schema cannot be resolved: {e}").body, 400)
            payload = _payload(reply)
        except Exception:
            log.exception("The emulator failed at %s %s", scope["method"], raw_path)
            reply = Reply(problem(500, "Internal Error", "The emulator failed; see its log").body, 500)
            payload = _payload(reply)
        if not own:
            # What nobody heard has no status.
            status = 0 if rule and rule.do in {"reset", "hang"} else reply.status
            self.world.store.record({**entry, "status": status, "warnings": "; ".join(warnings)})
        if rule and rule.seconds and rule.do in {"hang", "slow"}:
            await _pause(receive, rule.seconds)
        if rule and rule.do in {"reset", "hang"}:
            await _abort(send)
        else:
            await _send(send, reply, payload, entry["request_id"], self.world.clock.now(), rule.bytes if rule else None)

    def _under(self, rule: Rule | None, act: Act, asked: Request, operation: str) -> Reply:
        """The reply of an operation to which something happens."""
        if rule is None:
            return act()
        world = self.world
        if rule.do == "revoke":
            world.store.drop_token(_bearer(asked.headers))
        elif rule.do == "race":
            return act(first=flow_service.touch)
        elif rule.do == "login":
            return act(login=False)
        elif rule.do == "lag":
            with world.store.hiding(world.clock.now() - (rule.seconds or 0)):
                return act()
        elif rule.do in {"answer", "reset", "hang", "cut"}:
            reply = Reply()
            if rule.commit == "now" or rule.do == "cut":
                reply = act()
            elif rule.commit != "never":
                act(later=True)
                world.later(world.clock.now() + float(rule.commit), act)
            if rule.do == "answer":
                raise rule.refusal(operation)
            return reply
        return act()

    def _check_host(self, headers: dict[str, str]) -> None:
        host = headers.get("host", "").lower()
        if (host.rsplit(":", 1)[0] if not host.endswith("]") else host) not in self._hosts and host not in self._hosts:
            raise problem(421, "Misdirected Request", "This Host is not served; start the emulator with --allow-host")

    def _check_admin(self, method: str, headers: dict[str, str]) -> None:
        """Writes of the emulator's own need the token that it was started with, if there is one."""
        token = self.world.options.admin_token
        if token is None or method == "GET":
            return
        if not token or not hmac.compare_digest(_bearer(headers).encode(), token.encode()):
            raise problem(401, "Unauthorized", "Authorization must be Bearer and the admin token")

    def _found(self, asked: Request, route: Route | None, arguments: list[str], is_token: bool) -> Act:
        """What a request asks for, as something that can be done now, later or not at all."""
        if is_token:
            return lambda later=False, **_: Reply() if later else self._token(asked)
        if route is None:
            if methods := self._router.methods(asked.path):
                raise Refusal(
                    405,
                    problem(405, "Method Not Allowed", f"{asked.path[:200]} has {', '.join(methods)}").body,
                    {"Allow": ", ".join(methods)},
                )
            what = f"The emulator has no {asked.method} {asked.path[:200]}; {COVERAGE} lists what it has, and why"
            raise problem(501, "Not Implemented", what, COVERAGE)
        if route.path.startswith(admin.BASE):
            return lambda **_: route.handler(self.world, asked, *arguments)

        admitted: Request | None = None

        def act(
            first: Callable[[World, Request], None] | None = None, login: bool = True, later: bool = False
        ) -> Reply:
            nonlocal admitted
            # What is carried out later was admitted when it was asked.
            request = admitted = admitted or self._admit(asked, route)
            if later:
                return Reply()
            if route.query is not None:
                request.unknown("query parameter", sorted(set(request.query) - route.query))
            if first:  # of its own: what is refused afterwards takes nothing back of it
                with self.world.store.transaction():
                    first(self.world, request)
            if not login:
                return flow_service.without_login(self.world, request)
            with self.world.store.transaction():
                reply: Reply = route.handler(self.world, request, *arguments)
            return reply

        return act

    def _token(self, asked: Request) -> Reply:
        """OAuth server-to-server; fields in the form or in the query string."""
        form = {**asked.query, **parse_qs(asked.content.decode("latin-1"))}
        given = {k: v[0] for k, v in form.items()}
        if given.get("grant_type") != "client_credentials":
            raise ims("unsupported_grant_type", "grant_type must be client_credentials")
        credential = self.world.credentials.get(given.get("client_id", ""))
        if credential is None:
            raise ims("invalid_client", "invalid client_id parameter")
        if not hmac.compare_digest(given.get("client_secret", "").encode(), credential.client_secret.encode()):
            raise ims("invalid_client", "invalid client_secret parameter")
        scopes = set(given.get("scope", "").replace(",", " ").split())
        if not scopes or not scopes <= set(self.world.options.scopes):
            raise ims("invalid_scope", "The requested scope is missing, unknown or not allowed")
        lifetime = self.world.options.token_lifetime
        token = self.world.store.add_token(credential.client_id, self.world.clock.now() + lifetime)
        return Reply({"access_token": token, "token_type": "bearer", "expires_in": lifetime})

    def _admit(self, asked: Request, route: Route) -> Request:
        """The gateway's checks, in its order."""
        options, headers = self.world.options, asked.headers
        if not headers.get("authorization"):
            raise gateway("403010", "Oauth token is missing.")
        client = self.world.store.token_client(_bearer(headers), self.world.clock.now())
        if client is None:
            raise gateway("401013", "Oauth token is not valid")
        if not headers.get("x-api-key"):
            raise gateway("403000", "Api Key is required")
        if headers["x-api-key"] != client:
            raise gateway("403003", "Api Key is invalid")
        is_flow_service = route.path.startswith(flow_service.BASE)
        org = headers.get("x-gw-ims-org-id")
        if org == "" and is_flow_service:
            raise flow("2002-401", "The header x-gw-ims-org-id is empty")
        if not org:
            raise gateway("400003", "Missing header")
        if "@" not in org:
            raise gateway("403027", "User region is missing")
        if org != options.org_id:
            raise gateway("403025", "Profile is not valid")
        sandbox = headers.get("x-sandbox-name", "")
        if is_flow_service:
            if "x-sandbox-id" in headers:
                raise flow("2110-400", "The header x-sandbox-id is not allowed")
            if sandbox == "*":
                raise flow("2111-403", "The header x-sandbox-name cannot be *")
            if not sandbox:
                raise flow("2105-400", "The header x-sandbox-name is missing")
        states = options.sandbox_states()
        is_sandboxes = route.path.startswith(sandboxes.BASE)
        if is_sandboxes:
            sandbox = sandbox if sandbox in states else next(iter(states))
        elif not sandbox and "prod" not in states:
            raise flow("2106-404", "There is no default sandbox: name one in x-sandbox-name")
        elif states.get(sandbox or "prod") != "active":
            raise flow("2100-404", f"There is no sandbox {sandbox[:100]} that is active")
        self._check_permissions(client, route, sandbox or "prod", is_sandboxes)
        content_type = headers.get("content-type", "")
        if asked.content and route.method != "GET" and "json" not in content_type:
            raise problem(400, "BadRequestError", "A valid content-type must be specified")
        return Request(
            asked.method,
            asked.path,
            asked.query,
            headers,
            asked.content,
            Scope(org, sandbox or "prod"),
            client,
            asked.strict,
            asked.warnings,
        )

    def _check_permissions(self, client: str, route: Route, sandbox: str, is_sandboxes: bool) -> None:
        credential = self.world.credentials[client]
        service = route.path.split("/")[3]
        if not is_sandboxes and not credential.enters(sandbox):
            raise flow("2118-403", f"The credential may not use the sandbox {sandbox}")
        if credential.may(service, route.writes):
            return
        if service == "flowservice":
            raise flow("2121-403", "Permission is denied on the resource EnterpriseSource")
        raise problem(403, "Forbidden", f"The credential may not {route.method} in {service}")


def _bearer(headers: dict[str, str]) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


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
    """:param now: of the emulator's clock, for the ``Date`` header
    :param cut: bytes of the body after which the connection breaks"""
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
