"""``python -m airflow_provider_aep.emulator``, also installed as ``aep-emulator``."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from airflow_provider_aep.emulator.app import create_app
from airflow_provider_aep.emulator.ingest import Runner
from airflow_provider_aep.emulator.service import SERVICES, Options, World
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.tables import Sources, sample_data


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= (value := kind(text)) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low:g} to {high:g}")
        return value

    return number


def _arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="aep-emulator", description="A small Adobe Experience Platform on your machine.")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    p.add_argument("--port", type=_number(int, 1, 65_535), default=8787)
    p.add_argument("--state", type=Path, metavar="FILE", help="SQLite file that keeps the state (default: memory)")
    p.add_argument(
        "--source-data",
        type=Path,
        metavar="DIR",
        help="folder of tables (CSV, Parquet) and records (JSON lines), or of one such folder a connector",
    )
    p.add_argument(
        "--lake", type=Path, metavar="DIR", help="folder for ingested Parquet (default: rows are counted only)"
    )
    p.add_argument(
        "--run-delay",
        type=_number(float, 0, 1e9),
        default=150.0,
        metavar="SECONDS",
        help="from a flow's start to its run",
    )
    p.add_argument("--client-id", default=Options.client_id)
    p.add_argument("--client-secret", default="emulator-secret")
    p.add_argument("--org-id", default=Options.org_id)
    p.add_argument(
        "--sandbox", nargs="+", default=list(Options.sandboxes), metavar="NAME", help="or NAME:STATE, if not active"
    )
    p.add_argument("--scope", nargs="+", default=list(Options.scopes), metavar="NAME", help="what a token may be asked")
    p.add_argument(
        "--deny", nargs="+", default=[], choices=SERVICES, metavar="SERVICE", help="services to refuse with 403"
    )
    p.add_argument(
        "--allow-host", nargs="+", default=[], metavar="HOST", help="Host headers to answer besides loopback"
    )
    return p


def main(argv: list[str] | None = None) -> None:
    """Serve until interrupted."""
    a = _arguments().parse_args(argv)
    options = Options(
        run_delay=a.run_delay,
        lake=a.lake.resolve() if a.lake else None,
        client_id=a.client_id,
        client_secret=a.client_secret,
        org_id=a.org_id,
        sandboxes=tuple(a.sandbox),
        scopes=tuple(a.scope),
        denied=tuple(a.deny),
    )
    if a.host not in {"127.0.0.1", "localhost", "::1"}:
        print(f"Listening on {a.host}: whoever reaches this port can read and write this emulator.", file=sys.stderr)
    try:
        listening = socket.create_server((a.host, a.port), family=socket.AF_INET6 if ":" in a.host else socket.AF_INET)
    except OSError as e:
        raise SystemExit(f"Cannot listen on {a.host}:{a.port}: {e.strerror}. Give another --port.") from None
    world = World(Store(a.state), Sources(a.source_data or sample_data()), options)
    runner = Runner(world)
    runner.start()
    print(
        f"AEP emulator at http://{a.host}:{a.port}: client id {options.client_id}, org {options.org_id}, "
        f"sandboxes {', '.join(options.sandbox_states())}. "
        f"State {a.state or 'in memory'}, lake {options.lake or 'none'}.",
        flush=True,
    )
    try:
        # No access log: query strings of other clients may carry credentials.
        app = create_app(world, tuple(a.allow_host))
        uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=3)).run(
            [listening]
        )
    finally:
        runner.stop()
        world.store.close()


if __name__ == "__main__":
    main()
