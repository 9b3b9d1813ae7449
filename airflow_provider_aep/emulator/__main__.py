"""``python -m airflow_provider_aep.emulator``, also installed as ``aep-emulator``."""

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

from airflow_provider_aep.emulator import snapshots
from airflow_provider_aep.emulator.app import create_app
from airflow_provider_aep.emulator.runs import Runner
from airflow_provider_aep.emulator.server import server_of
from airflow_provider_aep.emulator.service import SANDBOX_STATES, SERVICES, Credential, Options, World
from airflow_provider_aep.emulator.shapes import parsed
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.switches import SWITCHES, choices
from airflow_provider_aep.emulator.tables import Sources, sample_data

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= (value := kind(text)) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low:g} to {high:g}")
        return value

    return number


def _arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="aep-emulator", description="A small Adobe Experience Platform on your machine.")
    seconds: dict[str, Any] = {"type": _number(float, 0, 1e9), "metavar": "SECONDS"}
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    p.add_argument("--port", type=_number(int, 1, 65_535), default=8787)
    p.add_argument("--state", type=Path, metavar="FILE", help="SQLite file that keeps the state (default: memory)")
    p.add_argument("--snapshot", type=Path, metavar="FILE", help="JSON file of a state to start with")
    p.add_argument(
        "--source-data",
        type=Path,
        metavar="DIR",
        help="folder of tables (CSV, Parquet) and records (JSON lines), or of one such folder a connector",
    )
    p.add_argument(
        "--lake", type=Path, metavar="DIR", help="folder for ingested Parquet (default: rows are counted only)"
    )
    p.add_argument("--run-delay", default=150.0, help="from a flow's start to its run", **seconds)
    p.add_argument("--run-time", default=0.0, help="that a run is scheduled and in progress", **seconds)
    p.add_argument("--lag", default=0.0, help="by which a run's counts come after its end", **seconds)
    p.add_argument("--transition", default=0.0, help="that a change of state takes", **seconds)
    p.add_argument("--token-lifetime", default=Options.token_lifetime, help="of a token", **seconds)
    p.add_argument("--client-id", default=Options.client_id)
    p.add_argument("--client-secret", default="emulator-secret")
    p.add_argument("--org-id", default=Options.org_id)
    p.add_argument(
        "--sandbox", nargs="+", default=list(Options.sandboxes), metavar="NAME", help="or NAME:STATE, if not active"
    )
    p.add_argument("--scope", nargs="+", default=list(Options.scopes), metavar="NAME", help="what a token may be asked")
    denials = "SERVICE (refused with 403), SERVICE:write, or sandbox:NAME"
    p.add_argument("--deny", nargs="+", default=[], metavar="WHAT", help=denials)
    p.add_argument(
        "--credential",
        nargs="+",
        action="append",
        default=[],
        metavar=("ID SECRET", "WHAT"),
        help="one more, with what it may not do, as for --deny",
    )
    p.add_argument(
        "--allow-host", nargs="+", default=[], metavar="HOST", help="Host headers to answer besides loopback"
    )
    p.add_argument("--seed", type=int, metavar="N", help="the same requests get the same ids (default: random ones)")
    p.add_argument("--strict", action="store_true", help="refuse unknown fields and parameters")
    switches = ", ".join(f"{s.name}={'|'.join(s.values)}" for s in SWITCHES)
    p.add_argument("--assume", nargs="+", default=[], metavar="NAME=VALUE", help=f"where Adobe is silent: {switches}")
    p.add_argument("--admin-token", metavar="TOKEN", help="what writes under /_emulator must bring along")
    return p


def _checked_denials(p: argparse.ArgumentParser, denials: list[str], sandboxes: set[str]) -> tuple[str, ...]:
    """An option without effect is an error."""
    known = {*SERVICES, *(f"{s}:write" for s in SERVICES), *(f"sandbox:{s}" for s in sandboxes)}
    for what in denials:
        if what not in known:
            p.error(f"argument --deny: there is no {what!r}; there are {', '.join(sorted(known))}")
    return tuple(denials)


def _checked_sandboxes(p: argparse.ArgumentParser, given: list[str]) -> set[str]:
    names = [s.partition(":")[0] for s in given]
    for entry, name in zip(given, names, strict=True):
        state = entry.partition(":")[2] or "active"
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name) or state not in SANDBOX_STATES or names.count(name) > 1:
            states = ", ".join(SANDBOX_STATES)
            p.error(f"argument --sandbox: {entry!r} is not NAME or NAME:STATE (of {states}), each name once")
    return set(names)


def _options(p: argparse.ArgumentParser, a: argparse.Namespace) -> Options:
    sandboxes = _checked_sandboxes(p, a.sandbox)
    for name in ("client_id", "client_secret", "org_id", "admin_token"):
        if getattr(a, name) == "":
            p.error(f"argument --{name.replace('_', '-')}: it is empty")
    if "" in a.allow_host:
        p.error("argument --allow-host: it is empty")
    others: list[Credential] = []
    for id_, *rest in a.credential:
        if not rest:
            p.error(f"argument --credential: {id_!r} has no secret")
        if id_ in {a.client_id, *(c.client_id for c in others)}:
            p.error(f"argument --credential: {id_!r} is given twice")
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
        admin_token=token,
    )


def _restored(world: World, file: Path) -> None:
    try:
        snapshots.restore(world, parsed(file.read_bytes()))
    except (OSError, ValueError, snapshots.BadSnapshot) as e:
        raise SystemExit(f"--snapshot {file} cannot be loaded: {e}") from None


def main(argv: list[str] | None = None) -> None:
    """Serve until interrupted."""
    p = _arguments()
    a = p.parse_args(argv)
    options = _options(p, a)
    if a.host not in _LOOPBACK:
        token = "the --admin-token" if a.admin_token else options.admin_token
        print(
            f"Listening on {a.host}: whoever reaches this port can use this emulator. "
            f"Writes under /_emulator need Authorization: Bearer {token}",
            file=sys.stderr,
        )
    world = World(Store(a.state), Sources(a.source_data or sample_data()), options)
    if a.snapshot and world.store.dump():
        raise SystemExit(f"--snapshot: the state {a.state} has objects already; give one of them, or a new state file.")
    if a.snapshot:
        _restored(world, a.snapshot)
    try:
        listening = socket.create_server((a.host, a.port), family=socket.AF_INET6 if ":" in a.host else socket.AF_INET)
    except OSError as e:
        raise SystemExit(f"Cannot listen on {a.host}:{a.port}: {e.strerror}. Give another --port.") from None
    server = server_of(create_app(world, tuple(a.allow_host)))
    # Its own from here on: uvicorn sets it later, and sends itself the signal again once it has ended.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, server.handle_exit)
    runner = Runner(world)
    runner.start()
    print(
        f"AEP emulator at http://{a.host}:{a.port}: client id {options.client_id}, org {options.org_id}, "
        f"sandboxes {', '.join(options.sandbox_states())}. "
        f"State {a.state or 'in memory'}, lake {options.lake or 'none'}. See inside at /_emulator/.",
        flush=True,
    )
    try:
        server.run([listening])
    finally:
        runner.stop()
        world.store.close()


if __name__ == "__main__":
    main()
