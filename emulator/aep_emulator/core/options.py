"""The options of an emulator, and its credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

SANDBOX_STATES = ("active", "creating", "failed", "deleted")
SERVICES = ("flowservice", "schemaregistry", "catalog", "conversion", "export", "idnamespace")
SCOPES = (
    "openid",
    "AdobeID",
    "read_organizations",
    "additional_info.projectedProductContext",
    "additional_info.roles",
    "session",
)
"""The scopes that the Adobe Developer Console lists for a credential with the Experience Platform API."""


@dataclass(frozen=True)
class Credential:
    """A client that may request tokens, and its permissions.

    :param denied: services without access, by the last part of the base path; ``SERVICE:write`` for writes only;
        ``sandbox:NAME`` for a sandbox
    """

    client_id: str
    client_secret: str = field(repr=False)
    denied: tuple[str, ...] = ()

    def may(self, service: str, writes: bool) -> bool:
        """Return whether the credential may use a service."""
        return service not in self.denied and not (writes and f"{service}:write" in self.denied)

    def enters(self, sandbox: str) -> bool:
        """Return whether the credential may use a sandbox."""
        return f"sandbox:{sandbox}" not in self.denied


@dataclass(frozen=True)
class Options:
    """The options of an emulator.

    :param run_delay: seconds from a flow's start time to its run
    :param run_time: seconds of a run: scheduled for the first quarter, then in progress
    :param lag: seconds from a run's success to its counts, and to the flow's ``lastRunDetails``
    :param transition: seconds of a state transition
    :param lake: folder for ingested Parquet files; ``None``: rows are only counted
    :param scopes: scopes that a token may have
    :param sandboxes: names; ``name:state`` for a sandbox that is not active
    :param denied: permissions that the first credential lacks; see :class:`Credential`
    :param others: further credentials
    :param token_lifetime: seconds
    :param seed: makes ids reproducible; ``None``: random ids
    :param strict: refuse unknown fields and parameters
    :param assume: ``NAME=VALUE`` of :data:`aep_emulator.core.switches.SWITCHES`
    :param xdm: a copy of Adobe's public XDM repository, whose parts are added to those of the package
    :param admin_token: token that writes under ``/_emulator`` need; ``None``: no token
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
    xdm: Path | None = None
    admin_token: str | None = field(default=None, repr=False)

    def sandbox_states(self) -> dict[str, str]:
        """Return the state of each sandbox by name."""
        parts = (entry.partition(":") for entry in self.sandboxes)
        return {name: state or "active" for name, _, state in parts}

    def credentials(self) -> dict[str, Credential]:
        """Return the credentials by client id."""
        first = Credential(self.client_id, self.client_secret, self.denied)
        return {c.client_id: c for c in (first, *self.others)}
