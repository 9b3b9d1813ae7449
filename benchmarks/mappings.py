"""What expressions cost: a run with five of them beside one without, its memory, and the check of a large mapping set.

``make bench-mappings``, or ``python benchmarks/mappings.py [--quick]``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from airflow_provider_aep.onboarding.mapping import entries_of
from emulator import EXPRESSIONS, Client, emulator, million

REPEATS = 5
REGISTRY, PROFILE = "/data/foundation/schemaregistry/tenant", "https://ns.adobe.com/xdm/context/profile"
FULL = "application/vnd.adobe.xed-full+json;version=1"


def runs(rows: int) -> tuple[float, float]:
    """Return the rows per second of a run with ten columns, and the time with five expressions in terms of its own."""
    plain, ratios = [], []
    for _ in range(REPEATS):
        without, _ = million(rows)
        mapped, _ = million(rows, EXPRESSIONS)
        plain.append(without)
        ratios.append(without / mapped)
    return statistics.median(plain), statistics.median(ratios)


def large_set(number: int) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """Return 200 mappings, 100 of them expressions, with the columns and the schema.

    :param number: makes the expressions differ from those of others, which are kept after they are parsed
    """
    text = {"type": "string"}
    names = [f"field{n}" for n in range(200)]
    columns = [{"name": f"column{n}", "type": "string", "xdm": text} for n in range(200)]
    mappings: dict[str, Any] = {}
    for n, name in enumerate(names):
        column = f"column{n}"
        expression = (
            f'iif({column} == null, null, decode(trim({column}), "1", "{number}", concat(column0, " ", {column})))'
        )
        mappings[f"_emulator.{name}"] = {"expr": expression} if n % 2 else column
    return mappings, columns, {"_emulator": {"type": "object", "properties": dict.fromkeys(names, text)}}


def checks() -> tuple[float, float]:
    """Return the CPU milliseconds of the provider's check of a large set, and their ratio to the emulator's request.

    Both parse each expression for the first time.
    """
    _, _, schema = large_set(0)
    fields = {"own": {"properties": schema}}
    found = []
    for repeat in range(REPEATS):
        mappings, columns, _ = large_set(repeat)
        started = time.process_time()
        entries = entries_of(mappings, columns=columns, schema=schema, tenant_id=lambda: "")
        checked = time.process_time() - started
        with emulator() as (port, pid):
            client = Client(port)
            group = {
                "type": "object", "title": "own", "meta:intendedToExtend": [PROFILE], "definitions": fields,
                "allOf": [{"$ref": "#/definitions/own"}],
            }  # fmt: skip
            refs = [PROFILE, client("POST", f"{REGISTRY}/fieldgroups", group)["$id"]]
            body = {"title": "own schema", "type": "object", "allOf": [{"$ref": ref} for ref in refs]}
            ref = {"id": client("POST", f"{REGISTRY}/schemas", body)["$id"], "contentType": FULL}
            before = cpu(pid)
            mapping_set = {"outputSchema": {"schemaRef": ref}, "mappings": entries}
            answer = client("POST", "/data/foundation/conversion/mappingSets/validate", mapping_set)
            found.append((checked, checked / (cpu(pid) - before)))
        assert {v["status"] for v in answer["validationResponse"]} == {"SUCCESS"}
    return statistics.median(c for c, _ in found) * 1000, statistics.median(r for _, r in found)


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    table.add_row("in terms of the emulator's request to validate it", f"{of_emulator:.2f}", "at most 1")
    console = Console(width=110)
    console.print(table)
    console.print(f"{os.cpu_count()} cores; load {', '.join(f'{n:.2f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    main()
