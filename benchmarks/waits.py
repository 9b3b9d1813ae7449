"""What ten thousand waits cost a triggerer: requests, lag of its event loop, memory, and how late their events are.

Triggers run in Airflow's own ``TriggerRunner``, in a process of their own, against an emulator in another one. Beside
ours, in the same way and on the same machine: a trigger that does nothing, and dbt Cloud's, against a stub that answers
for its runs (over plain HTTP, as the emulator does, so that nobody pays for TLS).

    make bench-waits
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ORG, SANDBOX = "EMULATOR@AdobeOrg", "dev"
SETTLING = 5.0
"""Seconds after which nothing new happens for a moment, and memory is looked at."""


# -- the other side -------------------------------------------------------------------------------------------------


def serve(runs: int) -> None:
    """An emulator with runs in progress, and dbt Cloud's answers for as many; told on stdin how fast they shall end."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from aep_emulator.core.options import Options
    from aep_emulator.core.store import Scope, Store
    from aep_emulator.core.world import World
    from aep_emulator.engine.source_data import Sources, sample_data
    from aep_emulator.server import running

    with tempfile.TemporaryDirectory() as folder:
        world = World(Store(Path(folder) / "state.db"), Sources(sample_data()), Options())
        scope, asked = Scope(ORG, SANDBOX), {"dbt": 0}
        ended: dict[str, dict[int, float]] = {"aep": {}, "dbt": {}}
        for n in range(runs):
            world.store.add("runs", scope, f"run-{n:05}", _body(n), parent="flow")

        async def dbt(request: Any) -> JSONResponse:
            asked["dbt"] += 1
            return JSONResponse({"data": {"status": 10 if int(request.path_params["run"]) in ended["dbt"] else 3}})

        app = Starlette(routes=[Route("/api/v2/accounts/1/runs/{run}/", dbt)])
        stub = uvicorn.Server(uvicorn.Config(app, port=0, access_log=False, log_level="warning"))
        threading.Thread(target=stub.run, daemon=True).start()
        while not stub.started:
            time.sleep(0.01)
        with running(world) as url:
            port = stub.servers[0].sockets[0].getsockname()[1]
            print(json.dumps({"url": url, "dbt": f"127.0.0.1:{port}"}), flush=True)
            for line in sys.stdin:
                kind, over, seconds = line.split()
                if kind == "count":
                    print(
                        json.dumps({"aep": world.store.count_requests(0, operation="GET */runs*"), **asked}), flush=True
                    )
                    continue
                began = time.monotonic()
                for n in range(int(over)):
                    time.sleep(max(0.0, began + float(seconds) * n / int(over) - time.monotonic()))
                    if kind == "aep":
                        world.store.put("runs", scope, f"run-{n:05}", _body(n, "success"))
                    ended[kind][n] = time.time()
                print(json.dumps(ended[kind]), flush=True)


def _body(n: int, status: str = "inProgress") -> dict[str, Any]:
    """A run as AEP shows it, activities and all."""
    counts = {"inputRecordCount": 100, "outputRecordCount": 100, "failedRecordCount": 0}
    times = {"startedAtUTC": 1607520205922, "extensions": {"windowStart": 1606654702000, "windowEnd": 1607519902000}}
    summary = {"status": status, "errors": []}
    metrics = {
        "durationSummary": times,
        "recordSummary": counts if status == "success" else {},
        "statusSummary": summary,
    }
    activity = {"durationSummary": times, "sizeSummary": {"inputBytes": 1, "outputBytes": 1}, "statusSummary": summary}
    activities = [{"id": f"{name}Activity", "name": f"{name} Activity", **activity} for name in ("Copy", "Promotion")]
    return {"id": f"run-{n:05}", "flowId": "flow", "createdAt": n, "metrics": metrics, "activities": activities}


# -- a triggerer's process ------------------------------------------------------------------------------------------


class Noted(deque):  # type: ignore[type-arg]
    """The runner's outbound events, and when each came."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[int, float] = {}

    def append(self, entry: Any) -> None:
        self.at[entry.trigger_id] = time.time()
        super().append(entry)


def measure(kind: str, waits: int, interval: float) -> None:
    """Run triggers of a kind until each has fired, or for two intervals if they never do; prints what it took."""
    asyncio.run(_measure(kind, waits, interval))


async def _measure(kind: str, waits: int, interval: float) -> None:
    from airflow.jobs.triggerer_job_runner import TriggerRunner

    made = _triggers(kind, interval)
    runner = TriggerRunner()
    runner.events = events = Noted()
    await asyncio.sleep(0.1)
    gc.collect()
    before, started = _memory(), time.process_time()
    lag = Lag()
    tasks = []
    for n in range(waits):
        runner.triggers[n] = {"task": None, "is_watcher": False, "name": f"wait {n}", "events": 0}  # type: ignore[typeddict-item]
        tasks.append(asyncio.create_task(runner.run_trigger(n, made(n))))
        await asyncio.sleep(0)
    await asyncio.sleep(SETTLING)
    with lag.suspended():
        gc.collect()
        after = _memory()
    print("ready", flush=True)
    if kind == "idle":
        await asyncio.sleep(interval)
        await lag.end()
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await lag.end()
    print(
        json.dumps(
            {
                "kB": (after - before) / waits,
                "lag": lag.longest,
                "lag_besides_gc": lag.besides_gc,
                "cpu": time.process_time() - started,
                "events": events.at,
                "wrong": [str(e.event.payload) for e in events if not _is_good(kind, e.event.payload)],
            }
        ),
        flush=True,
    )


def _triggers(kind: str, interval: float) -> Any:
    from airflow.triggers.base import BaseTrigger

    class Idle(BaseTrigger):
        """Waits for nothing."""

        def __init__(self, run_id: str) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.run_id = run_id

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "idle", {"run_id": self.run_id}

        async def run(self) -> Any:
            await asyncio.get_running_loop().create_future()
            yield

    if kind == "idle":
        return lambda n: Idle(f"run-{n:05}")
    if kind == "aep":
        from airflow_provider_aep.runs.observation import RunSelector
        from airflow_provider_aep.triggers.flow_run import AepFlowRunTrigger

        def ours(n: int) -> AepFlowRunTrigger:
            run_id = f"run-{n:05}"
            observation = RunSelector("flow", run_id, window=(1606654702, 1607519902), created=n + 1).as_dict()
            deadline = time.time() + 3600
            return AepFlowRunTrigger(
                flow_id="flow", run_id=run_id, poke_interval=interval, observation=observation, deadline=deadline
            )

        return ours
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    address = DbtCloudHook.get_request_url_params

    def plain(*arguments: Any, **more: Any) -> Any:
        url, data = address(*arguments, **more)
        return url.replace("https://", "http://"), data

    DbtCloudHook.get_request_url_params = staticmethod(plain)  # type: ignore[method-assign]
    return lambda n: DbtCloudRunJobTrigger("dbt", n, time.time() + 3600, interval, 1)


def _is_good(kind: str, payload: Any) -> bool:
    return "result" in payload if kind == "aep" else payload["status"] == "success"


class Lag:
    """How long the loop has kept somebody waiting who wanted to go on, in seconds; but for what we do ourselves.

    Python's garbage collector stops everything for as long as it takes to go through all that Airflow has imported, and
    all waits: ``besides_gc`` leaves that out.
    """

    def __init__(self) -> None:
        self.longest = self.besides_gc = self._ours = self._collecting = self._began = 0.0
        gc.callbacks.append(self._collects)
        self._task = asyncio.create_task(self._measured())

    def _collects(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self._collecting += time.perf_counter() - self._began

    async def _measured(self) -> None:
        while True:
            before, ours, collecting = time.perf_counter(), self._ours, self._collecting
            await asyncio.sleep(0.01)
            if self._ours == ours:
                lag = time.perf_counter() - before - 0.01
                self.longest = max(self.longest, lag)
                self.besides_gc = max(self.besides_gc, lag - (self._collecting - collecting))

    @contextmanager
    def suspended(self) -> Generator[None, None, None]:
        before = time.perf_counter()
        yield
        self._ours += time.perf_counter() - before

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def _memory() -> float:
    """Resident kilobytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1])
    return 0.0


# -- both -----------------------------------------------------------------------------------------------------------


def one(
    server: subprocess.Popen[str], addresses: dict[str, str], kind: str, waits: int, interval: float
) -> dict[str, Any]:
    """What a kind of trigger costs."""
    extra = {"org_id": ORG, "sandbox": SANDBOX, "ims_url": addresses["url"]}
    aep = {
        "conn_type": "aep",
        "login": "emulator",
        "password": "emulator-secret",
        "host": addresses["url"],
        "extra": extra,
    }
    env = os.environ | {
        "AIRFLOW_CONN_AEP_DEFAULT": json.dumps(aep),
        "AIRFLOW_CONN_DBT": json.dumps({"conn_type": "dbt_cloud", "host": addresses["dbt"], "password": "x"}),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    child = subprocess.Popen(
        [sys.executable, __file__, "measure", kind, str(waits), str(interval)],
        env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    _until(child.stdout, "ready")
    ready, ends, asked = time.time(), {}, _asked(server)
    if kind != "idle":
        ends = _told(server, f"{kind} {waits} {2 * interval}")
    found = json.loads(_until(child.stdout, "{"))
    late = [at - ends[n] for n, at in found.pop("events").items()] if ends else []
    assert len(late) == (waits if ends else 0), f"{len(late)} of {waits} waits have ended"
    assert not found["wrong"], f"{len(found['wrong'])} events of {kind} are errors, as {found['wrong'][0]}"
    rounds = (time.time() - ready) / interval
    which = {"aep": "aep", "dbt": "dbt"}.get(kind)
    requests = (_asked(server)[which] - asked[which]) if which else 0
    return found | {
        "late": statistics.quantiles(late, n=100)[98] if late else 0.0,
        "requests": requests,
        "per_wait": requests / waits / rounds,
    }


def _asked(server: subprocess.Popen[str]) -> dict[str, int]:
    return _told(server, "count 0 0")


def _told(server: subprocess.Popen[str], line: str) -> Any:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(line + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def _until(lines: Any, start: str) -> str:
    for line in lines:
        if line.startswith(start):
            return str(line)
    raise SystemExit("The measurement ended before it said anything; run it by itself to see why.")


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description="What waits cost a triggerer.")
    parser.add_argument("--waits", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=30.0, help="seconds between two looks")
    parser.add_argument("--dbt-waits", type=int, default=1_000, help="0 leaves dbt Cloud's trigger out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", str(max(given.waits, given.dbt_waits))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    addresses = json.loads(_until(server.stdout, "{"))
    found = {}
    for kind, waits in (("idle", given.waits), ("aep", given.waits), ("dbt", given.dbt_waits)):
        if waits:
            found[kind] = one(server, addresses, kind, waits, given.interval) | {"waits": waits}
    server.stdin.close()
    server.wait(20)
    if given.json:
        print(json.dumps(found))
        return
    table = Table(
        "",
        "waits",
        "requests",
        "a wait and interval",
        "end to event, p99",
        "longest lag",
        "but for gc",
        "CPU",
        "a wait",
    )
    for kind, f in found.items():
        table.add_row(
            {"idle": "a trigger that does nothing", "aep": "AepFlowRunTrigger", "dbt": "DbtCloudRunJobTrigger"}[kind],
            f"{f['waits']:,}", f"{f['requests']:,}", f"{f['per_wait']:.4f}", f"{f['late']:.1f} s",
            f"{1000 * f['lag']:.0f} ms", f"{1000 * f['lag_besides_gc']:.0f} ms",
            f"{f['cpu']:.1f} s", f"{f['kB']:.1f} kB",
        )  # fmt: skip
    Console(width=132).print(table)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", runs]:
            serve(int(runs))
        case ["measure", kind, waits, interval]:
            measure(kind, int(waits), float(interval))
        case _:
            main()
