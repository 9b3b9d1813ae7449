"""Command of ``make demo``: run an example DAG in a real Airflow against the AEP emulator."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from time import monotonic as clock
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as RichTable

from aep_emulator.core.options import Options
from aep_emulator.core.store import Store
from aep_emulator.core.world import World
from aep_emulator.engine.source_data import Sources, sample_data
from aep_emulator.server import running
from airflow_provider_aep.demo.environment import airflow_environment, example_dags
from airflow_provider_aep.demo.outcomes import Baseline, Events, Outcome
from airflow_provider_aep.systems import SYSTEMS

DAGS = {"onboarding": "aep_customer_success_onboarding", "tutorial": "aep_customer_success_tutorial"}
SANDBOX = "dev"

_POLL = 0.1
"""Seconds between polls for events of tasks."""


def _rows_in(lake: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in lake.rglob("*.parquet"))


def _print_summary(
    console: Console, name: str, outcomes: list[Outcome], run: dict[str, Any], lake: Path, writes: int
) -> None:
    table = RichTable(title=f"{name} in AEP", title_justify="left")
    for header in ("object", "name", "outcome", "id"):
        table.add_column(header, no_wrap=header in {"object", "outcome"}, overflow="fold")
    for o in outcomes:
        table.add_row(o.label, o.name, o.action, o.id)
    console.print(table)
    counts = f"records read {run['read']}, written {run['written']}, failed {run['failed']}"
    lines = [f"Run {run['run_id']} of flow {run['flow_id']}: {run['verdict']} (status {run['status']!r}), {counts}"]
    if any(o.label == "Flow" and o.action != "created" for o in outcomes):
        lines.append(
            "This run is from an earlier demo, because a flow with frequency once has one run. Set another --name."
        )
    lines.append(f"The lake has {_rows_in(lake)} rows of Parquet in total, in {lake}")
    lines.append(f"The DAG run sent {writes} write{'' if writes == 1 else 's'} to AEP.")
    for line in lines:
        console.print(line, soft_wrap=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="make demo", description=__doc__)
    p.add_argument(
        "--dags",
        type=Path,
        default=example_dags(),
        metavar="DIR",
        help="folder of the DAGs (default: the example DAGs)",
    )
    p.add_argument("--home", type=Path, default=Path(".demo"), metavar="DIR", help="folder for state, lake and logs")
    p.add_argument(
        "--source-data", type=Path, metavar="DIR", help="your own tables (CSV, Parquet) or records (JSON lines)"
    )
    p.add_argument("--system", choices=SYSTEMS, default="servicenow", help="the source system")
    p.add_argument("--table", help="table to onboard (default: the system's usual one)")
    p.add_argument("--tutorial", action="store_true", help="onboard by every step of Adobe's tutorial")
    p.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN",
        help="a mapping, such as _id=sys_id, or an expression or constant as JSON, "
        'such as \'personalEmail.address={"expr": "lower(email)"}\'',
    )
    p.add_argument("--name", help="name of the onboarding, part of every object's name (default: system and table)")
    a = p.parse_args(argv)
    try:
        a.map = dict(map(_mapping, a.map))
    except ValueError as e:
        p.error(str(e))
    if not a.dags.is_dir():
        p.error(f"--dags {a.dags} is not a folder")
    return a


def _mapping(text: str) -> tuple[str, Any]:
    """Return the field of a mapping, and its column, or its expression or constant as JSON."""
    field, equals, source = text.partition("=")
    if not equals:
        raise ValueError(f"--map {text!r} is not of the form FIELD=COLUMN")
    try:
        return field, json.loads(source) if source.startswith("{") else source
    except ValueError as e:
        raise ValueError(f"--map {text!r} is not of the form FIELD=COLUMN or FIELD={{...}}: {e}") from None


def _dag_conf(a: argparse.Namespace) -> dict[str, Any]:
    parts = [a.system, *([a.table] if a.table else []), *(["tutorial"] if a.tutorial else [])]
    name = " ".join(parts) if a.name is None else a.name
    conf: dict[str, Any] = {"name": name, "system": a.system, "start_in_minutes": 0.05, "poke_interval": 1}
    if a.table:
        conf["table"] = a.table
    if a.map:
        conf["mappings"] = a.map
    return conf


class _Airflow:
    """An Airflow in child processes, whose output goes to a log file."""

    def __init__(self, console: Console, home: Path, environment: dict[str, str]) -> None:
        self._console, self._home, self._environment = console, home, environment
        self.log = home / "airflow.log"
        self.log.unlink(missing_ok=True)
        self.events = Events(home / "events.jsonl")
        self.events.file.unlink(missing_ok=True)
        self._started = clock()

    def _print(self, line: str) -> None:
        self._console.print(f"{clock() - self._started:6.1f} s  {line}")

    def migrate(self) -> None:
        """Create the metadata database, unless this version of Airflow has already created it."""
        marker = self._home / "airflow" / f"migrated-{version('apache-airflow')}"
        if not marker.exists():
            self._print("Airflow creates its database")
            self._run(["airflow", "db", "migrate"])
            marker.touch()

    def test(self, dag: str, conf: dict[str, Any]) -> None:
        """Run a DAG until it ends, and print each task when it ends."""
        self._print(f"Airflow runs the DAG {dag}")
        self._run(["airflow_provider_aep.demo.dag_run", str(self.events.file), dag, json.dumps(conf)])

    def _run(self, module: list[str]) -> None:
        """Run a Python module, and print the events of its tasks.

        :raises CalledProcessError: the module fails
        """
        command = [sys.executable, "-m", *module]
        with (
            self.log.open("a") as out,
            subprocess.Popen(command, env=self._environment, stdout=out, stderr=subprocess.STDOUT) as process,
        ):
            try:
                while process.poll() is None:
                    try:
                        process.wait(_POLL)
                    except subprocess.TimeoutExpired:
                        self._print_events()
            except BaseException:
                process.kill()  # no clean end is needed: the next demo continues with the existing objects
                raise
        self._print_events()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _print_events(self) -> None:
        for event in self.events.new():
            if event["task"]:
                self._print(f"  {event['task']}{' failed' if event['state'] == 'failed' else ''}")


def main(argv: list[str] | None = None) -> None:
    """Run the demo.

    :raises SystemExit: with code 1 if the DAG run fails, and 130 after an interrupt
    """
    a = _arguments(argv)
    home = a.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    options = Options(run_delay=1.0, lake=home / "lake")
    world = World(Store(home / "state.db"), Sources(a.source_data or sample_data()), options)
    conf = _dag_conf(a)
    baseline = Baseline(world, SANDBOX)
    with running(world) as url:
        airflow = _Airflow(console, home, airflow_environment(home / "airflow", a.dags.resolve(), url, options))
        console.print(f"The AEP emulator runs at {url}, Airflow's log is {airflow.log}", soft_wrap=True)
        try:
            airflow.migrate()
            airflow.test(DAGS["tutorial" if a.tutorial else "onboarding"], conf)
        except subprocess.CalledProcessError as e:
            reason = f": {airflow.events.error}" if airflow.events.error else "."
            console.print(f"Airflow ended with exit code {e.returncode}{reason}", soft_wrap=True)
            console.print(f"The complete log is in {airflow.log}", soft_wrap=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            console.print("Interrupted. Run the demo again: it continues with the objects that exist.")
            raise SystemExit(130) from None
        outcomes, writes = baseline.outcomes(airflow.events.read), len(baseline.writes())
    _print_summary(console, conf["name"], outcomes, airflow.events.result("first_run"), home / "lake", writes)


if __name__ == "__main__":
    main()
