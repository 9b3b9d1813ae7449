"""The command ``aep-emulator``."""

from __future__ import annotations

import argparse
import re
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aep_emulator.control import snapshots
from aep_emulator.core.options import SANDBOX_STATES, SERVICES, Credential, Options
from aep_emulator.core.store import Store
from aep_emulator.core.switches import SWITCHES, choices
from aep_emulator.core.validation import parsed
from aep_emulator.core.world import World
from aep_emulator.data import xdm
from aep_emulator.engine.scheduler import Runner
from aep_emulator.engine.source_data import Sources, sample_data
from aep_emulator.gateway.app import create_app
from aep_emulator.server import server_of

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= (value := kind(text)) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low:g} to {high:g}")
        return value

    return number


def _arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="aep-emulator", description="An emulator of Adobe Experience Platform.")
    seconds: dict[str, Any] = {"type": _number(float, 0, 1e9), "metavar": "SECONDS"}
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    p.add_argument("--port", type=_number(int, 0, 65_535), default=8787, help="0: a free port (default: 8787)")
    p.add_argument("--state", type=Path, metavar="FILE", help="SQLite file for the state (default: memory)")
    p.add_argument("--snapshot", type=Path, metavar="FILE", help="JSON file of the state to start with")
    p.add_argument(
        "--source-data",
        type=Path,
        metavar="DIR",
        help="folder of tables (CSV, Parquet) and records (JSON lines), or of one such folder for each connector",
    )
    p.add_argument(
        "--xdm",
        type=Path,
        metavar="DIR",
        help="a copy of the public repository adobe/xdm: all of Adobe's classes, field groups and data types",
    )
    p.add_argument(
        "--lake", type=Path, metavar="DIR", help="folder for ingested Parquet (default: rows are counted only)"
    )
    p.add_argument("--run-delay", default=150.0, help="from a flow's start time to its run", **seconds)
    p.add_argument("--run-time", default=0.0, help="duration of a run", **seconds)
    p.add_argument("--lag", default=0.0, help="from a run's end to its counts", **seconds)
    p.add_argument("--transition", default=0.0, help="duration of a state transition", **seconds)
    p.add_argument("--token-lifetime", default=Options.token_lifetime, help="lifetime of a token", **seconds)
    p.add_argument("--client-id", default=Options.client_id)
    p.add_argument("--client-secret", default="emulator-secret")
    p.add_argument("--org-id", default=Options.org_id)
    p.add_argument(
        "--sandbox",
        nargs="+",
        default=list(Options.sandboxes),
        metavar="NAME",
        help="a sandbox, or NAME:STATE if it is not active",
    )
    p.add_argument(
        "--scope", nargs="+", default=list(Options.scopes), metavar="NAME", help="scopes that a token may have"
    )
    denials = "permissions that the credential lacks: SERVICE (403), SERVICE:write, or sandbox:NAME"
    p.add_argument("--deny", nargs="+", default=[], metavar="WHAT", help=denials)
    p.add_argument(
        "--credential",
        nargs="+",
        action="append",
        default=[],
        metavar=("ID SECRET", "WHAT"),
        help="a further credential, with its denials as for --deny",
    )
    p.add_argument(
        "--allow-host", nargs="+", default=[], metavar="HOST", help="Host headers to answer besides loopback"
    )
    p.add_argument("--seed", type=int, metavar="N", help="makes ids reproducible (default: random ids)")
    p.add_argument("--strict", action="store_true", help="refuse unknown fields and parameters")
    switches = ", ".join(f"{s.name}={'|'.join(s.values)}" for s in SWITCHES)
    p.add_argument(
        "--assume",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help=f"behaviour that Adobe does not document: {switches}",
    )
    p.add_argument("--admin-token", metavar="TOKEN", help="token that writes under /_emulator need")
    return p


def _checked_denials(p: argparse.ArgumentParser, denials: list[str], sandboxes: set[str]) -> tuple[str, ...]:
    """Return the denials of an option; an option without effect is an error."""
    known = {*SERVICES, *(f"{s}:write" for s in SERVICES), *(f"sandbox:{s}" for s in sandboxes)}
    for what in denials:
        if what not in known:
            p.error(f"argument --deny: unknown permission {what!r}. Use one of {', '.join(sorted(known))}")
    return tuple(denials)


def _checked_sandboxes(p: argparse.ArgumentParser, entries: list[str]) -> set[str]:
    names = [s.partition(":")[0] for s in entries]
    for entry, name in zip(entries, names, strict=True):
        state = entry.partition(":")[2] or "active"
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name) or state not in SANDBOX_STATES or names.count(name) > 1:
            states = ", ".join(SANDBOX_STATES)
            p.error(f"argument --sandbox: {entry!r} is not a unique NAME or NAME:STATE. STATE is one of {states}")
    return set(names)


def _options(p: argparse.ArgumentParser, a: argparse.Namespace) -> Options:
    sandboxes = _checked_sandboxes(p, a.sandbox)
    for name in ("client_id", "client_secret", "org_id", "admin_token"):
        if getattr(a, name) == "":
            p.error(f"argument --{name.replace('_', '-')}: the value is empty")
    if "" in a.allow_host:
        p.error("argument --allow-host: the value is empty")
    others: list[Credential] = []
    for id_, *rest in a.credential:
        if not rest:
            p.error(f"argument --credential: {id_!r} has no secret")
        if id_ in {a.client_id, *(c.client_id for c in others)}:
            p.error(f"argument --credential: the client id {id_!r} is repeated")
        others.append(Credential(id_, rest[0], _checked_denials(p, rest[1:], sandboxes)))
    try:
        choices(a.assume)
    except ValueError as e:
        p.error(f"argument --assume: {e}")
    token = a.admin_token
    if a.host not in _LOOPBACK and token is None:
        token = secrets.token_urlsafe(16)
    return Options(
        run_delay=a.run_delay,
        run_time=a.run_time,
        lag=a.lag,
        transition=a.transition,
        lake=a.lake.resolve() if a.lake else None,
        token_lifetime=int(a.token_lifetime),
        client_id=a.client_id,
        client_secret=a.client_secret,
        org_id=a.org_id,
        sandboxes=tuple(a.sandbox),
        scopes=tuple(a.scope),
        denied=_checked_denials(p, a.deny, sandboxes),
        others=tuple(others),
        seed=a.seed,
        strict=a.strict,
        assume=tuple(a.assume),
        xdm=a.xdm.resolve() if a.xdm else None,
        admin_token=token,
    )


def _restore(world: World, file: Path) -> None:
    try:
        snapshots.restore(world, parsed(file.read_bytes()))
    except (OSError, ValueError, snapshots.BadSnapshot) as e:
        raise SystemExit(f"--snapshot {file} cannot be loaded: {e}") from None


def main(argv: list[str] | None = None) -> None:
    """Run the command ``aep-emulator``: serve until a signal."""
    p = _arguments()
    a = p.parse_args(argv)
    options = _options(p, a)
    if a.host not in _LOOPBACK:
        token = "the --admin-token" if a.admin_token else options.admin_token
        print(
            f"Listening on {a.host}: everyone who can reach this port can use the emulator. "
            f"Writes under /_emulator need Authorization: Bearer {token}",
            file=sys.stderr,
        )
    if missing := xdm.library(options.xdm).missing():
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        print(
            f"--xdm {options.xdm}: parts refer to {shown}, which are not there: their fields are absent",
            file=sys.stderr,
        )
    world = World(Store(a.state), Sources(a.source_data or sample_data()), options)
    if a.snapshot and world.store.dump():
        raise SystemExit(
            f"--snapshot: the state {a.state} already has objects. Use one of the two options, or a new state file."
        )
    if a.snapshot:
        _restore(world, a.snapshot)
    try:
        listening = socket.create_server((a.host, a.port), family=socket.AF_INET6 if ":" in a.host else socket.AF_INET)
    except OSError as e:
        raise SystemExit(f"Cannot listen on {a.host}:{a.port}: {e.strerror}. Choose another --port.") from None
    port = listening.getsockname()[1]
    server = server_of(create_app(world, tuple(a.allow_host)))
    # uvicorn installs its handlers later, and raises the signal again after it has ended.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, server.handle_exit)
    runner = Runner(world)
    runner.start()
    print(
        f"AEP emulator at http://{a.host}:{port}: client id {options.client_id}, org {options.org_id}, "
        f"sandboxes {', '.join(options.sandbox_states())}. "
        f"State {a.state or 'in memory'}, lake {options.lake or 'none'}. Open /_emulator/ in a browser.",
        flush=True,
    )
    try:
        server.run([listening])
    finally:
        runner.stop()
        world.store.close()
