"""Operations: a request that can be executed at once, later, after another change, or not at all.

A fault decides which; see :mod:`aep_emulator.gateway.faults`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aep_emulator.core.http import Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.gateway import authentication
from aep_emulator.services.flow_service.resources import refuse_login

Change = Callable[[World, Request], None]


class Operation(Protocol):
    """One request to IMS or to a service."""

    def admit(self) -> None:
        """Check the request as the gateway does, without executing it."""

    def execute(self, before: Change | None = None, accepts_login: bool = True) -> Reply:
        """Carry the request out.

        :param before: a change that happens between the gateway and the service
        :param accepts_login: whether the source system accepts the login of its connection
        """


class TokenOperation:
    """A request for a token."""

    def __init__(self, world: World, request: Request) -> None:
        self._world, self._request = world, request

    def admit(self) -> None:
        """Do nothing: IMS checks a request when it answers it."""

    def execute(self, before: Change | None = None, accepts_login: bool = True) -> Reply:
        """Issue a token."""
        return authentication.issue_token(self._world, self._request)


class ServiceOperation:
    """A request to one of the services behind the gateway."""

    def __init__(self, world: World, request: Request, route: Route, arguments: list[str]) -> None:
        self._world, self._request, self._route, self._arguments = world, request, route, arguments
        self._admitted: Request | None = None

    def admit(self) -> None:
        """Check the request once: an operation that is executed later keeps its first admission."""
        self._admit()

    def _admit(self) -> Request:
        if self._admitted is None:
            self._admitted = authentication.admit(self._world, self._request, self._route)
        return self._admitted

    def execute(self, before: Change | None = None, accepts_login: bool = True) -> Reply:
        """Call the route's handler in a transaction."""
        request, world = self._admit(), self._world
        if self._route.query is not None:
            request.unknown("query parameter", sorted(set(request.query) - self._route.query))
        if before:  # in its own transaction, so that a refusal does not undo it
            with world.store.transaction():
                before(world, request)
        if not accepts_login:
            return refuse_login(world, request)
        with world.store.transaction():
            reply: Reply = self._route.handler(world, request, *self._arguments)
        return reply
