"""What every service of the emulator is written in: requests, replies, routes, and the world they act on."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_aep.emulator.clock import Clock
from airflow_provider_aep.emulator.faults import Faults
from airflow_provider_aep.emulator.refusals import Refusal, problem
from airflow_provider_aep.emulator.shapes import examine, parsed
from airflow_provider_aep.emulator.store import Scope, Store
from airflow_provider_aep.emulator.switches import choices
from airflow_provider_aep.emulator.xdm import Registry

if TYPE_CHECKING:
    from airflow_provider_aep.emulator.tables import Sources


@dataclass(frozen=True)
class Request:
    """A request that passed the gateway.

    :param query: all values of each parameter, in order
    :param strict: refuse what is not known, instead of warning
    :param warnings: what was not known, for the journal
    """

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    content: bytes
    scope: Scope
    client_id: str = ""
    strict: bool = False
    warnings: list[str] = field(default_factory=list)

    def first(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def is_true(self, name: str) -> bool:
        return self.first(name).lower() == "true"

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        text = self.first(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise problem(400, "Bad Request", f"{name} must be an integer from {low} to {high}, not {text[:40]!r}")
        return int(text)

    def object(self, empty: Refusal, resource: str) -> dict[str, Any]:
        """The body as a JSON object with the types of ``resource``.

        :param empty: what this service answers when there is no body
        """
        body = self.json(empty)
        if not isinstance(body, dict):
            raise problem(400, "Bad Request", "The body must be a JSON object")
        self.fits(resource, body)
        return body

    def fits(self, resource: str, body: Any) -> None:
        """Refuse a body of wrong types; drop, or refuse, fields that are not known."""
        wrong, unknown = examine(resource, body)
        if wrong:
            raise problem(400, "Bad Request", wrong)
        self.unknown("field", [where for where, _, _ in unknown])
        for _, holder, name in unknown:
            del holder[name]

    def unknown(self, what: str, names: Iterable[str]) -> None:
        """Something that the emulator has no use for: refused if it is strict, else a warning."""
        for name in names:
            if self.strict:
                raise problem(400, "Bad Request", f"unknown {what} {name!r}; a strict emulator refuses it")
            self.warnings.append(f"unknown {what} {name}")

    def json(self, empty: Refusal) -> Any:
        if not self.content.strip():
            raise Refusal(empty.status, empty.body)  # a new one: an exception keeps the frames it went through
        try:
            return parsed(self.content)
        except (ValueError, RecursionError):
            raise problem(400, "Bad Request", "The body is not JSON") from None


@dataclass(frozen=True)
class Reply:
    """:param text: sent as it is instead of ``body``, of this content type"""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None


SANDBOX_STATES = ("active", "creating", "failed", "deleted")
SERVICES = ("flowservice", "schemaregistry", "catalog", "conversion", "export")
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
class Credential:
    """Who may ask for a token, and what it does not let them do.

    :param denied: a service, by the last part of its base path; ``SERVICE:write`` for its writes only; or
        ``sandbox:NAME``
    """

    client_id: str
    client_secret: str = field(repr=False)
    denied: tuple[str, ...] = ()

    def may(self, service: str, writes: bool) -> bool:
        return service not in self.denied and not (writes and f"{service}:write" in self.denied)

    def enters(self, sandbox: str) -> bool:
        return f"sandbox:{sandbox}" not in self.denied


@dataclass(frozen=True)
class Options:
    """How this emulator was started.

    :param run_delay: seconds from a flow's start to its run
    :param run_time: seconds that a run takes: the first quarter it is scheduled, then in progress
    :param lag: seconds by which a run's counts come after its success, and ``lastRunDetails`` after both
    :param transition: seconds that a change of state takes
    :param scopes: what a token may be asked for
    :param sandboxes: names; ``name:state`` for one that is not active
    :param denied: what the first credential may not do; see :class:`Credential`
    :param others: further credentials
    :param seed: the same requests get the same ids; ``None``: random ones
    :param strict: refuse unknown fields and parameters
    :param assume: ``NAME=VALUE`` of :data:`switches.SWITCHES`
    :param admin_token: what writes under ``/_emulator`` must bring along; ``None``: nothing
    """

    run_delay: float = 150.0
    run_time: float = 0.0
    lag: float = 0.0
    transition: float = 0.0
    lake: Path | None = None
    client_id: str = "emulator"
    client_secret: str = field(default="emulator-secret", repr=False)
    org_id: str = "EMULATOR@AdobeOrg"
    scopes: tuple[str, ...] = SCOPES
    sandboxes: tuple[str, ...] = ("prod", "dev")
    denied: tuple[str, ...] = ()
    others: tuple[Credential, ...] = ()
    token_lifetime: int = 86_399
    seed: int | None = None
    strict: bool = False
    assume: tuple[str, ...] = ()
    admin_token: str | None = field(default=None, repr=False)

    def sandbox_states(self) -> dict[str, str]:
        """State by name, in the order given."""
        parts = (entry.partition(":") for entry in self.sandboxes)
        return {name: state or "active" for name, _, state in parts}

    def credentials(self) -> dict[str, Credential]:
        first = Credential(self.client_id, self.client_secret, self.denied)
        return {c.client_id: c for c in (first, *self.others)}


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

    commanding: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever moves the clock or exchanges the state; it is taken before ``stepping``."""

    def __post_init__(self) -> None:
        self.store.now = self.clock.now
        self.store.seed = self.options.seed
        self.choices = choices(list(self.options.assume))
        self.credentials = self.options.credentials()

    def later(self, at: float, act: Callable[[], Reply]) -> None:
        self.postponed.append((at, act))

    def reset(self) -> None:
        """As it was when it started: no object and no data, no token, journal or fault, and the machine's time."""
        with self.commanding, self.stepping:
            for scope, dataset in self.store.everywhere("dataSets"):
                if folder := self.lake_of(scope, dataset["id"]):
                    shutil.rmtree(folder, ignore_errors=True)
            self.store.clear()
            self.faults.clear()
            self.postponed.clear()
            self.clock.thaw()

    def registry(self, scope: Scope) -> Registry:
        return Registry(self.store, scope)

    def lake_of(self, scope: Scope, dataset_id: str) -> Path | None:
        """The folder of a dataset's Parquet; ``None`` where rows are counted only."""
        known = scope.sandbox in self.options.sandbox_states() and re.fullmatch(r"[0-9a-f]{24}", dataset_id)
        if not self.options.lake or not known:
            return None
        org = re.sub(r"[^A-Za-z0-9]+", "-", scope.org).strip("-")
        return self.options.lake / org / scope.sandbox / dataset_id

    def now_ms(self) -> int:
        return int(self.clock.now() * 1000)

    def new_hex(self, stream: str = "") -> str:
        """32 hexadecimal digits that were never used before.

        :param stream: whose they are: with a seed, each stream repeats itself whatever the others do
        """
        return self.store.draw(stream)

    def new_id(self, stream: str = "") -> str:
        raw = self.new_hex(stream)
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"

    def new_etag(self) -> str:
        """A quoted string, as Flow Service has it: the quotes are part of the value."""
        raw = self.new_hex()
        return f'"{raw[:8]}-0000-0200-0000-{raw[8:16]}0000"'


class Evidence(StrEnum):
    """What the behaviour of an operation rests on."""

    SAMPLE = "sample"
    """A request and answer that Adobe's documentation prints; it is replayed as a test."""
    OPENAPI = "openapi"
    """Adobe's OpenAPI file alone."""
    CLIENT = "client"
    """Neither: others' clients for AEP send it."""
    ASSUMED = "assumed"
    """No source at hand says how AEP answers."""
    ABSENT = "absent"
    """AEP has it, and this emulator does not: it answers 501."""


Handler = Callable[..., Reply]
READS_BY_POST = ("/search", "/validate", "/preview")


@dataclass(frozen=True)
class Route:
    """One operation: ``path`` has ``{name}`` where a segment becomes an argument of the handler.

    :param evidence: what its behaviour rests on
    :param source: the page of Adobe's documentation, the OpenAPI file, or whose client it is
    :param query: parameters that it knows; ``None``: any, as each field is a filter
    :param body: the shape of its body, if it takes one
    :param headers: request headers that it needs, with an example
    """

    method: str
    path: str
    handler: Handler
    evidence: Evidence
    source: str
    query: frozenset[str] | None = frozenset()
    body: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it can change something; some reads are sent with POST."""
        return self.method != "GET" and not self.path.endswith(READS_BY_POST)
