"""What every service of the emulator is written in: requests, replies, routes, and the world they act on."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_aep.emulator.clock import Clock
from airflow_provider_aep.emulator.faults import Faults
from airflow_provider_aep.emulator.refusals import Refusal, problem
from airflow_provider_aep.emulator.shapes import misfit, parsed
from airflow_provider_aep.emulator.store import Scope, Store
from airflow_provider_aep.emulator.xdm import Registry

if TYPE_CHECKING:
    from airflow_provider_aep.emulator.tables import Sources


@dataclass(frozen=True)
class Request:
    """A request that passed the gateway.

    :param query: all values of each parameter, in order
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    content: bytes
    scope: Scope
    client_id: str = ""

    def first(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        text = self.first(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise problem(400, "Bad Request", f"{name} must be an integer from {low} to {high}, not {text!r}")
        return int(text)

    def object(self, empty: Refusal, resource: str) -> dict[str, Any]:
        """The body as a JSON object with the types of ``resource``.

        :param empty: what this service answers when there is no body
        """
        body = self.json(empty)
        if not isinstance(body, dict):
            raise problem(400, "Bad Request", "The body must be a JSON object")
        if wrong := misfit(resource, body):
            raise problem(400, "Bad Request", wrong)
        return body

    def json(self, empty: Refusal) -> Any:
        if not self.content.strip():
            raise empty
        try:
            return parsed(self.content)
        except (ValueError, RecursionError):
            raise problem(400, "Bad Request", "The body is not JSON") from None


@dataclass(frozen=True)
class Reply:
    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


SERVICES = ("flowservice", "schemaregistry", "catalog", "conversion")
SCOPES = (
    "openid",
    "AdobeID",
    "read_organizations",
    "additional_info.projectedProductContext",
    "additional_info.roles",
    "session",
)
"""What Adobe's console lists for a credential with the Experience Platform API."""


@dataclass(frozen=True)
class Options:
    """How this emulator was started.

    :param run_delay: seconds from a flow's start to its run
    :param scopes: what a token may be asked for
    :param sandboxes: names; ``name:state`` for one that is not active
    :param denied: services, by the last part of their base path, that the credential may not use
    """

    run_delay: float = 150.0
    lake: Path | None = None
    client_id: str = "emulator"
    client_secret: str = field(default="emulator-secret", repr=False)
    org_id: str = "EMULATOR@AdobeOrg"
    scopes: tuple[str, ...] = SCOPES
    sandboxes: tuple[str, ...] = ("prod", "dev")
    denied: tuple[str, ...] = ()
    token_lifetime: int = 86_399

    def sandbox_states(self) -> dict[str, str]:
        """State by name, in the order given."""
        parts = (entry.partition(":") for entry in self.sandboxes)
        return {name: state or "active" for name, _, state in parts}


@dataclass
class World:
    """State, sources and options that handlers act on."""

    store: Store
    sources: Sources
    options: Options
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    postponed: list[tuple[float, Callable[[], Reply]]] = field(default_factory=list)
    """What happens later than it was asked for: when, and what."""

    stepping: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever lets due things happen."""

    def __post_init__(self) -> None:
        self.store.now = self.clock.now

    def later(self, at: float, act: Callable[[], Reply]) -> None:
        self.postponed.append((at, act))

    def registry(self, scope: Scope) -> Registry:
        return Registry(self.store, scope)

    def lake_of(self, scope: Scope, dataset_id: str) -> Path | None:
        """The folder of a dataset's Parquet; ``None`` where rows are counted only."""
        org = re.sub(r"[^A-Za-z0-9]+", "-", scope.org).strip("-")
        return self.options.lake / org / scope.sandbox / dataset_id if self.options.lake else None

    def now_ms(self) -> int:
        return int(self.clock.now() * 1000)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def new_etag(self) -> str:
        """A quoted string, as Flow Service has it: the quotes are part of the value."""
        raw = uuid.uuid4().hex
        return f'"{raw[:8]}-0000-0200-0000-{raw[8:16]}0000"'


Handler = Callable[..., Reply]


@dataclass(frozen=True)
class Route:
    """One operation: ``path`` has ``{name}`` where a segment becomes an argument of the handler."""

    method: str
    path: str
    handler: Handler
