"""Routing: which operation a method and a path mean."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from aep_emulator.core.http import Route


class Router:
    """Routes by method and path. An encoded slash stays within its segment."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes: dict[int, list[tuple[Route, list[str]]]] = {}
        for route in routes:
            pattern = route.path.strip("/").split("/")
            self._routes.setdefault(len(pattern), []).append((route, pattern))

    def find(self, method: str, raw_path: str) -> tuple[Route, list[str]] | None:
        """Return the route of a request and the arguments of its handler; ``None`` if there is no such route."""
        for route, arguments in self._matching(raw_path):
            if route.method == method:
                return route, arguments
        return None

    def methods(self, raw_path: str) -> list[str]:
        """Return the methods that a path supports."""
        return sorted({route.method for route, _ in self._matching(raw_path)})

    def _matching(self, raw_path: str) -> Iterator[tuple[Route, list[str]]]:
        """Yield the routes of a path. Names are case-sensitive; one slash at the end is ignored."""
        segments = raw_path.removesuffix("/").split("/")[1:]
        for route, pattern in self._routes.get(len(segments), []):
            pairs = list(zip(pattern, segments, strict=True))
            if all((p.startswith("{") and s) or p == s for p, s in pairs):
                yield route, [unquote(s) for p, s in pairs if p.startswith("{")]
