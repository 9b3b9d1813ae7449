"""The emulator's speed: medians, with the emulator on one core, and the machine's load.

``make bench-emulator``, or ``python benchmarks/emulator.py [--quick]``.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FLOW = "/data/foundation/flowservice"
AUTH = {"specName": "Basic Authentication", "params": {"endpoint": "https://x", "username": "u", "password": "p"}}
SERVICENOW = {"id": "eb13cb25-47ab-407f-ba89-c0125281c563", "version": "1.0"}


class Client:
    """One connection with a token. It uses http.client, which is fast, so that the figures are the emulator's."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port)
        form = "grant_type=client_credentials&client_id=emulator&client_secret=emulator-secret&scope=openid"
        self._headers: dict[str, str] = {}
        token = self("POST", "/ims/token/v3", form, {"Content-Type": "application/x-www-form-urlencoded"})
        self._headers = {
            "Authorization": f"Bearer {token['access_token']}", "x-api-key": "emulator",
            "x-gw-ims-org-id": "EMULATOR@AdobeOrg", "x-sandbox-name": "dev", "Content-Type": "application/json",
        }  # fmt: skip

    def __call__(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        sent = body if isinstance(body, str | None) else json.dumps(body)
        self._http.request(method, path, sent, {**self._headers, **(headers or {})})
        answer = self._http.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if content else None


@contextmanager
def emulator(*options: str) -> Generator[tuple[int, int], None, None]:
    """Run an emulator on one core; yields its port and its process id."""
    command = [sys.executable, "-m", "aep_emulator", "--port", "0", *options]
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {cores[-1]})
    )
    try:
        assert process.stdout is not None
        found = re.search(r"AEP emulator at http://[\w.]+:(\d+)", process.stdout.readline())
        if not found:
            raise SystemExit(f"The emulator ended with {process.wait(30)} before its first answer")
        port = int(found[1])
        probe = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        probe.request("GET", "/_emulator/health")
        probe.getresponse().read()  # the announcement precedes the first answer
        probe.close()
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def rate(what: Callable[[int], Any], seconds: float, repeats: int) -> float:
    """Return calls per second: the median of some rounds."""
    found = []
    for n in range(repeats):
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            what(n * 1_000_000 + count)
            count += 1
        found.append(count / (time.perf_counter() - started))
    return statistics.median(found)


def crowded(size: int, made: dict[str, Any]) -> dict[str, Any]:
    """Return a snapshot with ``size`` base connections."""
    [one] = [o for o in made["objects"] if o["kind"] == "connections"]
    from aep_emulator.control.snapshots import digest

    objects = []
    for n in range(size):
        id_ = f"00000000-0000-4000-a000-{n:012d}"
        objects.append({**one, "id": id_, "name": f"c{n}", "body": {**one["body"], "id": id_, "name": f"c{n}"}})
    document = {**made, "objects": objects}
    return {**document, "sha256": digest(document)}


def requests(size: int, repeats: int) -> dict[str, float]:
    """Return requests per second among so many objects, and the seconds to load them."""
    with emulator() as (port, _):
        client = Client(port)
        client("POST", f"{FLOW}/connections", {"name": "one", "auth": AUTH, "connectionSpec": SERVICENOW})
        snapshot = crowded(size, client("GET", "/_emulator/snapshot"))
        document = json.dumps(snapshot)
        started = time.perf_counter()
        client("PUT", "/_emulator/snapshot", document)
        loaded = time.perf_counter() - started
        client = Client(port)
        ids = [o["id"] for o in snapshot["objects"]]

        def read(n: int) -> None:
            match n % 4:
                case 0 | 1:
                    client("GET", f"{FLOW}/connections/{ids[n * 7919 % size]}")
                case 2:
                    client("GET", f"{FLOW}/connections?property=name==c{n * 7919 % size}")
                case 3:
                    client("GET", f"{FLOW}/connections?limit=20&orderby=-createdAt")

        def create(n: int) -> None:
            client("POST", f"{FLOW}/connections", {"name": f"n{n}", "auth": AUTH, "connectionSpec": SERVICENOW})

        return {"load": loaded, "reads": rate(read, 2, repeats), "creates": rate(create, 2, repeats)}


def starts(repeats: int) -> float:
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        with emulator():
            found.append(time.perf_counter() - started)
    return statistics.median(found)


def fixture(repeats: int) -> float:
    """Return the seconds until a test has an empty emulator and its first response."""
    from aep_emulator.core.options import Options
    from aep_emulator.core.store import Store
    from aep_emulator.core.world import World
    from aep_emulator.engine.source_data import Sources, sample_data
    from aep_emulator.server import running

    world = World(Store(None), Sources(sample_data()), Options(strict=True, seed=0))
    found = []
    with running(world) as url:
        for _ in range(repeats * 5):
            started = time.perf_counter()
            world.reset()
            Client(int(url.rsplit(":", 1)[1]))("GET", f"{FLOW}/flows")
            found.append(time.perf_counter() - started)
    return statistics.median(found)


def million(rows: int, expressions: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Return rows per second of a run with ten mappings, and its additional peak memory in MB.

    :param expressions: by destination, instead of columns
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        with (source / "people.csv").open("w") as f:
            f.write("id,first,last,full,mail,phone,born,gender,middle,suffix\n")
            f.writelines(
                f"{n},Ann{n},Bo{n},Ann Bo {n},a{n}@b.example,+4930{n:07d},1980-01-{n % 28 + 1:02d},female,M;N,Jr\n"
                for n in range(rows)
            )
        options = ("--source-data", str(source), "--lake", str(Path(folder) / "lake"), "--run-delay", "0")
        with emulator(*options) as (port, pid):
            client = Client(port)
            flow = onboarded(client, expressions=expressions)
            before = peak(pid)
            while True:
                found = client("GET", f"{FLOW}/runs?property=flowId=={flow}")["items"]
                if found and found[0]["metrics"]["statusSummary"]["status"] in {"success", "failed"}:
                    break
                time.sleep(0.1)
            run = found[0]
            seconds = (run["updatedAt"] - run["createdAt"]) / 1000
            written = run["metrics"]["recordSummary"]["outputRecordCount"]
            if written != rows:
                raise SystemExit(f"{written} of {rows} rows were written: {run['metrics']}")
            return rows / seconds, peak(pid) - before


def peak(pid: int) -> float:
    """Return the peak memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


FIELDS = {
    "id": "_id", "first": "person.name.firstName", "last": "person.name.lastName", "full": "person.name.fullName",
    "mail": "personalEmail.address", "phone": "mobilePhone.number", "born": "person.birthDate",
    "gender": "person.gender", "middle": "person.name.middleName", "suffix": "person.name.suffix",
}  # fmt: skip


EXPRESSIONS = {
    "person.name.fullName": 'concat(${first}, " ", ${last})',
    "person.birthDate": 'date(born, "yyyy-MM-dd")',
    "person.gender": 'decode(gender, "f", "female", "female", "female", "m", "male", "not_specified")',
    "person.name.suffix": 'iif(suffix == "Jr", "Junior", suffix)',
    "_emulator.tags": 'explode(middle, ";")',
}
REPLACED = {"_emulator.tags": "person.name.middleName"}
"""Destinations of columns whose place an expression for another destination takes."""


def tags(client: Client) -> str:
    """Create a field group of the tenant with an array, and return its ``$id``."""
    array = {"type": "array", "items": {"type": "string"}}
    fields = {"_emulator": {"type": "object", "properties": {"tags": array}}}
    body = {
        "type": "object", "title": "tags", "meta:intendedToExtend": ["https://ns.adobe.com/xdm/context/profile"],
        "definitions": {"own": {"properties": fields}}, "allOf": [{"$ref": "#/definitions/own"}],
    }  # fmt: skip
    return str(client("POST", "/data/foundation/schemaregistry/tenant/fieldgroups", body)["$id"])


def onboarded(
    client: Client,
    schedule: dict[str, Any] | None = None,
    delta: str | None = None,
    expressions: Mapping[str, str] | None = None,
) -> str:
    """Create a flow of the table ``people``, and return its id.

    :param expressions: by destination, instead of columns; each stands for one of the ten
    """
    registry, context = "/data/foundation/schemaregistry/tenant/schemas", "https://ns.adobe.com/xdm/context/"
    base = client("POST", f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})["id"]
    source = {"name": "s", "baseConnectionId": base, "data": {"format": "tabular"},
              "params": {"tableName": "people"}, "connectionSpec": SERVICENOW}  # fmt: skip
    refs = [f"{context}{g}" for g in ("profile", "profile-person-details", "profile-personal-details")]
    refs.append(tags(client))
    schema = client(
        "POST",
        registry,
        {"title": "t", "type": "object", "allOf": [{"$ref": ref} for ref in refs]},
    )
    ref = {"id": schema["$id"], "contentType": "application/vnd.adobe.xed-full+json;version=1"}
    [dataset] = client("POST", "/data/foundation/catalog/dataSets", {"name": "d", "schemaRef": ref})
    target = {"name": "t", "params": {"dataSetId": dataset.rsplit("/", 1)[1]},
              "connectionSpec": {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}}  # fmt: skip
    pairs = [{"sourceType": "ATTRIBUTE", "source": s, "destination": d} for s, d in FIELDS.items()]
    for destination, expression in (expressions or {}).items():
        column = next(p for p in pairs if p["destination"] == REPLACED.get(destination, destination))
        column |= {"sourceType": "EXPRESSION", "source": expression, "destination": destination}
    mapping = client(
        "POST", "/data/foundation/conversion/mappingSets", {"outputSchema": {"schemaRef": ref}, "mappings": pairs}
    )
    steps: list[dict[str, Any]] = [{"name": "Mapping", "params": {"mappingId": mapping["id"], "mappingVersion": 0}}]
    if delta:
        steps.insert(0, {"name": "Copy", "params": {"deltaColumn": {"name": delta}}})
    now = client("GET", "/_emulator/clock")["now"]
    flow = {
        "name": "f",
        "flowSpec": {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"},
        "sourceConnectionIds": [client("POST", f"{FLOW}/sourceConnections", source)["id"]],
        "targetConnectionIds": [client("POST", f"{FLOW}/targetConnections", target)["id"]],
        "transformations": steps,
        "scheduleParams": schedule or {"startTime": int(now) + 2, "frequency": "once"},
    }
    return str(client("POST", f"{FLOW}/flows", flow)["id"])


def resolving(fields: int) -> float:
    """Return the time that resolves a schema of many custom fields, in terms of the time that parses its JSON."""
    from aep_emulator.core.options import Options
    from aep_emulator.core.store import Scope, Store
    from aep_emulator.core.world import World
    from aep_emulator.data.xdm import PROFILE, Registry

    leaf = {"type": "string", "title": "A field", "description": "A field among many others"}
    objects = {
        f"o{n}": {"type": "object", "properties": {f"f{m}": leaf for m in range(20)}} for n in range(fields // 20)
    }
    own = {"properties": {"_emulator": {"type": "object", "properties": objects}}}
    body = {"title": "t", "definitions": {"own": own}, "allOf": [{"$ref": PROFILE}, {"$ref": "#/definitions/own"}]}
    text = json.dumps(body)
    registry = Registry(World(Store(None), None, Options()), Scope("org", "dev"))  # type: ignore[arg-type]
    parsed = rate(lambda _: json.loads(text), 0.2, 5)
    resolved = rate(lambda _: registry.resolve(body), 0.2, 5)
    return parsed / resolved


def days(watchers: int) -> float:
    """Return the seconds that 72 virtual hours of an hourly flow take, with so many watchers of each run."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "people.csv").write_text(
            "id,first,last,full,mail,phone,born,gender,middle,suffix,at\n"
            + "".join(
                f"{n},A,B,A B,a@b.example,1,1980-01-01,female,M,Jr,2026-01-0{n // 24 + 1}T{n % 24:02d}:30:00Z\n"
                for n in range(72)
            )
        )
        with emulator("--source-data", folder, "--run-delay", "150", "--run-time", "60") as (port, _):
            client = Client(port)
            start = 1_767_225_600  # 2026-01-01
            client("POST", "/_emulator/clock", {"now": start - 10})
            client = Client(port)
            schedule = {"startTime": start, "frequency": "hour", "interval": 1, "backfill": False}
            flow = onboarded(client, schedule, "at")
            started = time.perf_counter()
            woken = asyncio.run(_watched(port, flow, watchers))
            if woken != watchers * 72:
                raise SystemExit(f"{woken} wake-ups instead of {watchers * 72}")
            return time.perf_counter() - started


async def _watched(port: int, flow: str, watchers: int) -> int:
    """One poller requests every virtual ten minutes, and wakes all watchers of a run that ended."""
    client, seen, woken = Client(port), set(), 0
    ended: asyncio.Event

    async def watch() -> None:
        await ended.wait()

    while len(seen) < 72:
        ended = asyncio.Event()
        waiting = [asyncio.create_task(watch()) for _ in range(watchers)]
        new: list[str] = []
        while not new:
            client("POST", "/_emulator/clock", {"advance": 600})
            if len(seen) % 20 == 0:
                client = Client(port)  # a token lasts a day
            items = client("GET", f"{FLOW}/runs?property=flowId=={flow}&orderby=-createdAt&limit=5")["items"]
            new = [
                r["id"] for r in items if r["id"] not in seen and r["metrics"]["statusSummary"]["status"] == "success"
            ]
        seen.update(new)
        ended.set()
        await asyncio.gather(*waiting)
        woken += watchers * len(new)
    return woken


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--quick", action="store_true", help="fewer rounds and rows")
    quick = p.parse_args().quick
    repeats = 2 if quick else 5
    table = Table("", "figure", "wanted", title="The emulator")
    table.add_row("start to ready", f"{starts(repeats):.2f} s", "under 1.5 s")
    table.add_row("a fresh sandbox, process warm", f"{fixture(repeats) * 1000:.0f} ms", "under 50 ms")
    few = requests(10_000, repeats)
    table.add_row("snapshot of 10,000 objects loads", f"{few['load']:.2f} s", "under 1 s")
    table.add_row("reads among 10,000 objects", f"{few['reads']:.0f}/s", "500/s")
    table.add_row("creates among 10,000 objects", f"{few['creates']:.0f}/s", "300/s")
    many = requests(100_000, repeats)
    for kind in ("reads", "creates"):
        share = f"{many[kind] / few[kind]:.0%} of those among 10,000"
        table.add_row(f"{kind} among 100,000", f"{many[kind]:.0f}/s, {share}", "at least 50 %")
    rows = 100_000 if quick else 1_000_000
    speed, memory = million(rows)
    table.add_row(
        f"a run of {rows:,} rows, ten mappings", f"{speed:,.0f} rows/s, {memory:.0f} MB more", "20,000 rows/s"
    )
    table.add_row(
        "a schema of 2,000 fields is resolved", f"{resolving(2000):.1f} times its JSON's parsing", "at most 5"
    )
    table.add_row("72 virtual hours, 50 watchers", f"{days(50):.1f} s", "under 30 s")
    console = Console(width=110)
    console.print(table)
    load = ", ".join(f"{n:.2f}" for n in os.getloadavg())
    console.print(
        f"{os.cpu_count()} cores; load {load}; client CPU {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} s"
    )


if __name__ == "__main__":
    main()
