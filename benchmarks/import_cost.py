"""What a DAG file pays to import operators, in CPU time on top of ``from airflow.sdk import DAG, task, BaseOperator``.

Each measurement is a fresh process; the candidates take turns, so that a noisy machine is noisy for all of them.
Opening a socket during an import ends the run.

    make bench
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from rich.console import Console
from rich.table import Table

OURS = "airflow-provider-aep (all but the two for any endpoint)"
CANDIDATES = {
    OURS: """
from airflow_provider_aep.naming import Names
from airflow_provider_aep.systems import SYSTEMS
from airflow_provider_aep.operators import control, flow, profile, run, source, target, teardown
from airflow_provider_aep.sensors import batch, flow_health, flow_run
""",
    "HttpOperator": "from airflow.providers.http.operators.http import HttpOperator",
    "Databricks": "from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator",
    "Airbyte": "from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator",
}
CHILD = """
import sys, time
def no_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise SystemExit(f"import opened a connection: {{event}} {{arguments[1:]}}")
sys.addaudithook(no_network)
from airflow.sdk import DAG, task, BaseOperator
before = time.process_time()
{candidate}
print(1000 * (time.process_time() - before))
"""


def measure(candidate: str) -> float:
    """CPU milliseconds of one fresh import."""
    done = subprocess.run([sys.executable, "-c", CHILD.format(candidate=candidate)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print a table; exits with 1 if ours costs more than ``--most`` of ``HttpOperator``."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--most", type=float, default=0.15, metavar="RATIO", help="most of HttpOperator's time (medians)")
    a = p.parse_args()
    for candidate in CANDIDATES.values():
        measure(candidate)  # byte code is compiled and files are in the page cache
    taken: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for _ in range(a.rounds):
        for name, candidate in CANDIDATES.items():
            taken[name].append(measure(candidate))
    ours = statistics.median(taken[OURS])
    table = Table(title=f"CPU ms to import on top of airflow.sdk, {a.rounds} rounds")
    for header in ("", "median", "min", "max", "ours in its terms"):
        table.add_column(header, justify="left" if not header else "right")
    for name, times in taken.items():
        median = statistics.median(times)
        table.add_row(name, f"{median:.1f}", f"{min(times):.1f}", f"{max(times):.1f}", f"{ours / median:.2f}")
    Console().print(table)
    ratio = ours / statistics.median(taken["HttpOperator"])
    if ratio > a.most:
        raise SystemExit(f"Ours costs {ratio:.2f} of HttpOperator, more than {a.most:.2f}.")


if __name__ == "__main__":
    main()
