"""make demo: an example DAG in real Airflow against the emulator, with nothing else installed or running."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic as clock
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as RichTable

from airflow_provider_aep.emulator.server import running
from airflow_provider_aep.emulator.service import Options, World
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.tables import Sources, sample_data

DAGS = {"onboarding": "aep_customer_success_onboarding", "tutorial": "aep_customer_success_tutorial"}

LOGINS: dict[str, dict[str, Any]] = {  # the example DAGs name a connection by the system
    "servicenow": {"host": "https://example.service-now.com"},
    "salesforce-service-cloud": {"host": "https://example.my.salesforce.com", "extra": {"apiVersion": "60.0"}},
    "oracle-service-cloud": {"host": "example.custhelp.com"},
    "zendesk": {"host": "https://example.zendesk.com"},
}

# What the operators and the sensor log, one line each.
_OBJECT = re.compile(
    r"[\]-] (?P<kind>[A-Z][\w ]+) '(?P<name>.+?)' (?P<action>created|found|updated).*?: (?P<id>\S+) in "
)
_VERDICT = re.compile(r"(?:Accepted|Not accepted): (?P<run>run \S+ of flow .*?)(?: \[airflow|$)")
_STATE = re.compile(r"Task instance state updated .*new_state=(?P<state>\w+)")
_STARTED = re.compile(r"\[DAG TEST\] starting task_id=(?P<task>\S+)")
_ERROR = re.compile(r"\b(?P<kind>\w+(?:Error|Exception)): (?P<text>.+)")


@dataclass
class Seen:
    """What the DAG run did, as its log tells."""

    objects: list[dict[str, str]] = field(default_factory=list)
    verdict: str = ""
    task: str = ""

    def take(self, line: str) -> str | None:
        """Keep what a line says; returns the task that it ends, if it does, and says so if that failed."""
        if found := _OBJECT.search(line):
            if found.groupdict() not in self.objects:  # Airflow 3.0 prints each line twice
                self.objects.append(found.groupdict())
        elif judged := _VERDICT.search(line):
            self.verdict = judged["run"]
        elif started := _STARTED.search(line):
            self.task = started["task"]
        elif changed := _STATE.search(line):
            return self.task + (" failed" if changed["state"] == "failed" else "")
        return None


def airflow_environment(home: Path, dags: Path, url: str, options: Options) -> dict[str, str]:
    """An Airflow of its own: nothing of the user's configuration, a connection to the emulator, one to each system."""
    aep = {
        "conn_type": "aep",
        "login": options.client_id,
        "password": options.client_secret,
        "host": url,
        "extra": {"org_id": options.org_id, "sandbox": "dev", "ims_url": url},
    }
    sources = {
        f"AIRFLOW_CONN_AEP_{system.replace('-', '_').upper()}": json.dumps(
            {"conn_type": "http", "login": "demo", "password": "demo-only", **fields}
        )
        for system, fields in LOGINS.items()
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "_AIRFLOW"))}
    return inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SENSORS__DEFAULT_TIMEOUT": "300",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",  # Airflow 3.1.0 does not know NO_COLOR
        "AIRFLOW_CONN_AEP_DEFAULT": json.dumps(aep),
        "COLUMNS": "1000",  # Airflow 3.0 wraps error messages
        "NO_COLOR": "1",
        # The lower-case name wins where both are set.
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"])),
        "PYTHONUNBUFFERED": "1",
        **sources,
    }


def lines_of(command: list[str], environment: dict[str, str], log: Path) -> Iterator[str]:
    """Run to the end, writing the log; raises ``CalledProcessError``."""
    with (
        log.open("a") as out,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                out.write(line)
                yield line
        except BaseException:
            process.kill()  # whatever it was about: the next run finds what exists
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def lake_rows(lake: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in lake.rglob("*.parquet"))


def summary(console: Console, name: str, seen: Seen, lake: Path, writes: int) -> None:
    table = RichTable(title=f"{name} in AEP", title_justify="left")
    for header in ("object", "called", "outcome", "id"):
        table.add_column(header, no_wrap=header in {"object", "outcome"}, overflow="fold")
    for o in seen.objects:
        table.add_row(o["kind"], o["name"], o["action"], o["id"])
    console.print(table)
    earlier = any(o["kind"] == "Flow" and o["action"] != "created" for o in seen.objects)
    for line in (
        f"Verdict on {seen.verdict}",
        *(
            ["That was an earlier run: a flow that runs once has had it. Another --name onboards anew."]
            if earlier
            else []
        ),
        f"The lake has {lake_rows(lake)} rows of Parquet in all, in {lake}",
        f"This run sent {writes} write{'' if writes == 1 else 's'} to AEP.",
    ):
        console.print(line, soft_wrap=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="make demo", description=__doc__)
    p.add_argument("--dags", type=Path, default=Path("dags"), metavar="DIR", help="folder of the DAGs")
    p.add_argument("--home", type=Path, default=Path(".demo"), metavar="DIR", help="where state, lake and logs stay")
    p.add_argument(
        "--source-data", type=Path, metavar="DIR", help="your own tables (CSV, Parquet) or records (JSON lines)"
    )
    p.add_argument("--system", choices=LOGINS, default="servicenow", help="the source system")
    p.add_argument("--table", help="table to onboard, instead of the system's usual one")
    p.add_argument("--tutorial", action="store_true", help="by every step of Adobe's own tutorial")
    p.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="COLUMN=FIELD",
        help="a mapping, such as email=personalEmail.address",
    )
    p.add_argument("--name", help="names everything in AEP (default: what is onboarded)")
    given = p.parse_args(argv)
    if wrong := [m for m in given.map if "=" not in m]:
        p.error(f"--map {wrong[0]!r} is not of the form COLUMN=FIELD")
    return given


def main(argv: list[str] | None = None) -> None:
    """Run the demo; exits with 1 if the DAG run fails."""
    a = _arguments(argv)
    home = a.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    log, console = home / "airflow.log", Console(highlight=False)
    options = Options(run_delay=1.0, lake=home / "lake")
    world = World(Store(home / "state.db"), Sources(a.source_data or sample_data()), options)
    log.unlink(missing_ok=True)
    before = _last(world)
    dag = DAGS["tutorial" if a.tutorial else "onboarding"]
    what = [a.system, *([a.table] if a.table else []), *(["tutorial"] if a.tutorial else [])]
    name = " ".join(what) if a.name is None else a.name
    conf: dict[str, Any] = {"name": name, "system": a.system, "start_in_minutes": 0.05, "poke_interval": 1}
    if a.table:
        conf["table"] = a.table
    if a.map:
        conf["mappings"] = dict(m.split("=", 1) for m in a.map)
    airflow = [sys.executable, "-m", "airflow"]
    migrated = home / "airflow" / f"migrated-{version('apache-airflow')}"
    seen, tail, started = Seen(), "", clock()

    def say(what: str) -> None:
        console.print(f"{clock() - started:6.1f} s  {what}")

    with running(world) as url:
        environment = airflow_environment(home / "airflow", a.dags.resolve(), url, options)
        console.print(f"AEP emulator at {url}, Airflow's log in {log}", soft_wrap=True)
        try:
            if not migrated.exists():
                say("Airflow makes its database")
                for line in lines_of([*airflow, "db", "migrate"], environment, log):
                    tail = line
                migrated.touch()
            say(f"Airflow starts {dag}")
            for line in lines_of([*airflow, "dags", "test", dag, "-c", json.dumps(conf)], environment, log):
                tail = line
                if task := seen.take(line):
                    say(f"  {task}")
        except subprocess.CalledProcessError as e:
            _fail(console, e, log, tail)
        except KeyboardInterrupt:
            console.print("Interrupted. Run it again: it finds what exists and goes on.")
            raise SystemExit(130) from None
        writes = len([e for e in world.store.journal(before) if _is_write(e)])
    summary(console, name, seen, home / "lake", writes)


def _last(world: World) -> int:
    return max((e["seq"] for e in world.store.journal()), default=0)


def _is_write(entry: dict[str, Any]) -> bool:
    reads = entry["method"] in {"GET", "HEAD"} or entry["operation"].endswith("/validate")
    return not reads and entry["operation"] != "POST token"


def _fail(console: Console, e: subprocess.CalledProcessError, log: Path, tail: str) -> None:
    errors = [found for line in log.read_text().splitlines() if (found := _ERROR.search(line))]
    errors = [f for f in errors if f["kind"].startswith("Aep")] or errors
    reason = errors[-1]["text"] if errors else tail
    console.print(f"Airflow ended with exit code {e.returncode}: {reason.strip()}", soft_wrap=True)
    console.print(f"The whole log is in {log}", soft_wrap=True)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
