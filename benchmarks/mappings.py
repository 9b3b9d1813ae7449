"""What expressions cost: a run with five of them beside one without, its memory, and the check of a large mapping set.

``make bench-mappings``, or ``python benchmarks/mappings.py [--quick]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from aep_emulator.engine.mapping import errors_of
from airflow_provider_aep.onboarding.mapping import entries_of
from emulator import EXPRESSIONS, million

REPEATS = 5


def runs(rows: int) -> tuple[float, float]:
    """Return the rows per second of a run with ten columns, and the time with five expressions in terms of its own."""
    plain, ratios = [], []
    for _ in range(REPEATS):
        without, _ = million(rows)
        mapped, _ = million(rows, EXPRESSIONS)
        plain.append(without)
        ratios.append(without / mapped)
    return statistics.median(plain), statistics.median(ratios)


def large_set() -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """Return 200 mappings, 100 of them expressions, with the columns and the schema."""
    text = {"type": "string"}
    names = [f"field{n}" for n in range(200)]
    columns = [{"name": f"column{n}", "type": "string", "xdm": text} for n in range(200)]
    mappings: dict[str, Any] = {}
    for n, name in enumerate(names):
        column = f"column{n}"
        expression = f'iif({column} == null, null, decode(trim({column}), "1", "one", concat(column0, " ", {column})))'
        mappings[f"own.{name}"] = {"expr": expression} if n % 2 else column
    return mappings, columns, {"own": {"type": "object", "properties": dict.fromkeys(names, text)}}


def checks() -> tuple[float, float]:
    """Return the CPU milliseconds of the provider's check of a large set, and their ratio to the emulator's."""
    mappings, columns, schema = large_set()
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        entries = entries_of(mappings, columns=columns, schema=schema, tenant_id=lambda: "")
        checked = time.process_time() - started
        started = time.process_time()
        errors = errors_of(entries, {"type": "object", "properties": schema})
        found.append((checked, checked / (time.process_time() - started)))
        assert not any(errors)
    return statistics.median(c for c, _ in found) * 1000, statistics.median(r for _, r in found)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--quick", action="store_true", help="fewer rows")
    quick = p.parse_args().quick
    rows = 50_000 if quick else 1_000_000
    table = Table("", "figure", "wanted", title=f"Mappings: medians of {REPEATS}")
    speed, ratio = runs(rows)
    table.add_row(f"a run of {rows:,} rows, ten columns", f"{speed:,.0f} rows/s", "")
    table.add_row("with five expressions, time in terms of it", f"{ratio:.2f}", "at most 2.5")
    for size in (rows, 4 * rows):
        _, memory = million(size, EXPRESSIONS)
        table.add_row(f"peak memory more, {size:,} rows", f"{memory:.0f} MB", "at most 300 MB, the same")
    milliseconds, of_emulator = checks()
    table.add_row("check of 200 mappings, 100 expressions", f"{milliseconds:.0f} ms of CPU", "under 100 ms")
    table.add_row("in terms of the emulator's validation", f"{of_emulator:.2f}", "at most 1")
    console = Console(width=110)
    console.print(table)
    console.print(f"{os.cpu_count()} cores; load {', '.join(f'{n:.2f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    main()
