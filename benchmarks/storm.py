"""Onboardings in a storm: what is doubled, lost or left over, with this provider's engine and with plain HttpOperator.

Worker processes take one step of an onboarding after the other, and are ended with SIGKILL at random; nearly a third of
their requests is lost, answered late or refused, lists lag, tokens end early. Time is the emulator's virtual clock, and
whoever waits moves it on. A step that did not end is tried again by another process, as Airflow would.

``make storm``, or ``python benchmarks/storm.py [--onboardings N] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
os.environ.update(AIRFLOW_HOME=tempfile.mkdtemp(prefix="storm-"), AIRFLOW__CORE__UNIT_TEST_MODE="True")

import httpx
from airflow.providers.http.operators.http import HttpOperator  # before a fork: a worker is ready at once
from chain import RESOURCE_TYPES, desired
from rich.console import Console
from rich.table import Table

import emulator as harness  # the benchmark of the emulator, which starts one
from airflow_provider_aep.attempt import Attempt, task_nonce
from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.clock import ManualClock
from airflow_provider_aep.client.errors import AepError
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.reconcile.resource_type import CreateOptions

FORK = multiprocessing.get_context("fork")  # a worker is ready at once
SECRET, ORG = "emulator-secret", "EMULATOR@AdobeOrg"
RESOURCES = {
    "base": "connections", "source": "sourceConnections", "schema": "schemas", "dataset": "dataSets",
    "target": "targetConnections", "mapping": "mappingSets", "flow": "flows",
}  # fmt: skip
STEPS = [*RESOURCE_TYPES]
MOST_TRIES = 25
RETRY_DELAY = 30.0

# Rates are of what the rules before them left over: together nearly a third.
FAULTS: list[dict[str, Any]] = [
    {"operation": "* /data/*", "do": "reset", "commit": "never", "rate": 0.06, "seed": 1},
    {"operation": "* /data/*", "do": "reset", "commit": "now", "rate": 0.08, "seed": 2},
    {"operation": "* /data/*", "do": "answer", "status": 504, "commit": 25, "rate": 0.08, "seed": 3},
    {"operation": "* /data/*", "do": "answer", "status": 429, "retry_after": 1, "rate": 0.06, "seed": 4},
    {"operation": "* /data/*", "do": "answer", "status": 500, "commit": "now", "rate": 0.04, "seed": 5},
    {"operation": "* /data/*", "do": "answer", "status": 503, "rate": 0.06, "seed": 6},
    # Never twice in a row: a second refusal, of a new token, is for a person.
    {"operation": "* /data/*", "do": "revoke", "calls": [*range(50, 100_000, 101)]},
    {"operation": "GET /data/*", "do": "lag", "seconds": 3},
]


class SharedClock(ManualClock):
    """The emulator's clock. Workers share what they know of it, without a lock: one may die while it holds it."""

    def __init__(self, url: str, now: Any) -> None:
        super().__init__()
        self._shared = now
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=120)

    def now(self) -> float:
        return float(self._shared.value)

    def sleep(self, seconds: float) -> None:
        answer = self._http.post("/_emulator/clock", json={"advance": seconds}).raise_for_status().json()
        self._shared.value = max(self._shared.value, answer["now"])


@dataclass
class Onboarding:
    """What the scheduler knows of one: the results of its steps, and how often the next one was tried."""

    name: str
    results: dict[str, Any] = field(default_factory=dict)
    tries: int = 0
    stuck: str = ""

    @property
    def step(self) -> str | None:
        left = [s for s in STEPS if s not in self.results]
        return left[0] if left and not self.stuck else None


# -- how a step is taken --------------------------------------------------------------------------------------------

Step = Callable[[str, str, dict[str, Any], int], Any]


def by_engine(url: str, now: Any) -> Step:
    clock = SharedClock(url, now)
    settings = AepSettings.from_fields(
        client_id="emulator",
        client_secret=SECRET,
        org_id=ORG,
        sandbox="dev",
        platform_url=url,
        ims_url=url,
    )
    client = AepClient(settings, clock=clock, tokens=TokenCache())

    def take(onboarding: str, step: str, results: dict[str, Any], tries: int) -> Any:
        attempt = Attempt(task_nonce(onboarding, step), tried_before=tries > 0)
        return reconcile(client, RESOURCE_TYPES[step], desired(step, onboarding, results), attempt).result

    return take


def by_http_operator(url: str, now: Any) -> Step:
    """The chain as it is written by hand: a POST a task, its id to the next, and Airflow's retries."""
    os.environ["AIRFLOW_CONN_STORM"] = json.dumps({"conn_type": "http", "host": url})
    login = httpx.Client(base_url=url, trust_env=False, timeout=120)
    form = {"grant_type": "client_credentials", "client_id": "emulator", "client_secret": SECRET, "scope": "openid"}

    def created(step: str, answer: Any) -> Any:
        if step == "mapping":
            return {"id": answer["id"], "version": answer["version"]}
        if step == "dataset":
            return answer[0].rsplit("/", 1)[-1]
        return answer.get("$id") or answer["code" if step == "namespace" else "id"]

    def take(onboarding: str, step: str, results: dict[str, Any], tries: int) -> Any:
        token = login.post("/ims/token/v3", data=form).raise_for_status().json()["access_token"]
        headers = {
            "Authorization": f"Bearer {token}", "x-api-key": "emulator", "x-gw-ims-org-id": ORG,
            "x-sandbox-name": "dev", "Content-Type": "application/json",
        }  # fmt: skip
        call = RESOURCE_TYPES[step].create(desired(step, onboarding, results), CreateOptions())
        create = HttpOperator(
            task_id="create",
            http_conn_id="STORM",
            endpoint=call.path + ("?requestDataSource=true" if step == "dataset" else ""),
            data=json.dumps(call.body),
            headers=headers,
            response_filter=lambda response: created(step, response.json()),
        )
        return create.execute({})

    return take


def work(connection: Any, make: Callable[[str, Any], Step], url: str, now: Any) -> None:
    """A worker process: takes steps until it is killed."""
    for stream in (1, 2):  # Airflow tells every failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    take = make(url, now)
    while True:
        onboarding, step, results, tries = connection.recv()
        try:
            connection.send(("done", take(onboarding, step, results, tries)))
        except AepError as e:
            connection.send(("again" if e.retryable else "stuck", str(e)))
        except Exception as e:
            connection.send(("again", str(e)))


# -- the scheduler --------------------------------------------------------------------------------------------------


def storm(make: Callable[[str, Any], Step], count: int, workers: int, seed: int, kills: float) -> dict[str, Any]:
    """Run onboardings to their end, and count what is there then.

    :param kills: expected number of times that a worker is ended for each step that ends
    """
    draw = random.Random(seed)
    with harness.emulator("--seed", str(seed), "--token-lifetime", "600") as (port, _):
        url = f"http://127.0.0.1:{port}"
        admin = httpx.Client(base_url=url, trust_env=False, timeout=120)
        at = admin.post("/_emulator/clock", json={"frozen": True}).raise_for_status().json()["now"]
        admin.post("/_emulator/faults", json=FAULTS).raise_for_status()
        now = FORK.RawValue("d", at)
        todo = [Onboarding(f"Storm {n}") for n in range(count)]
        waiting, busy, killed, ended = todo[::-1], {}, 0, 0
        next_kill = draw.expovariate(kills)
        started = time.monotonic()
        while waiting or busy:
            while waiting and len(busy) < workers:
                one = waiting.pop()
                near, far = FORK.Pipe()
                process = FORK.Process(target=work, args=(far, make, url, now), daemon=True)
                process.start()
                far.close()
                busy[near] = (process, one)
                near.send((one.name, one.step, one.results, one.tries))
            for near in multiprocessing.connection.wait(list(busy)):
                process, one = busy[near]
                try:
                    word, result = near.recv()
                except (EOFError, OSError):
                    word, result = "killed", ""
                ended += word != "killed"
                if word == "done":
                    one.results[one.step], one.tries = result, 0
                else:
                    one.tries += 1
                    if word == "stuck" or one.tries > MOST_TRIES:
                        one.stuck = f"{one.step}: {result}"
                    elif word == "again":
                        admin.post("/_emulator/clock", json={"advance": RETRY_DELAY})
                if one.step is None or word == "killed":
                    del busy[near]
                    process.kill()
                    process.join()
                    near.close()
                    if one.step is not None:
                        waiting.append(one)
                else:
                    with suppress(OSError):  # it was killed a moment ago, which the next turn will see
                        near.send((one.name, one.step, one.results, one.tries))
            alive = [process for process, _ in busy.values() if process.is_alive()]
            # Where one step ends, the others are anywhere. By the clock, a slow machine would end no step at all.
            if ended >= next_kill and alive:
                draw.choice(alive).kill()  # with -9
                killed += 1
                next_kill = ended + draw.expovariate(kills)
        seconds = time.monotonic() - started
        fired = Counter()
        for rule in admin.get("/_emulator/faults").json()["faults"]:
            fired[rule["do"]] += rule["fired"]
        admin.delete("/_emulator/faults").raise_for_status()
        admin.post("/_emulator/clock", json={"advance": 120}).raise_for_status()  # what is still to be committed
        requests = admin.get("/_emulator/requests", params={"count": "true"}).json()["count"]
        snapshot = admin.get("/_emulator/snapshot").raise_for_status().json()
        virtual = admin.get("/_emulator/clock").json()["now"] - at
    return {
        "onboardings": count,
        "killed": killed,
        "requests": requests,
        "faults": {k: v for k, v in fired.items() if k != "lag"},
        "seconds": round(seconds, 1),
        "virtual_hours": round(virtual / 3600, 1),
        **counted(todo, snapshot),
    }


def counted(todo: list[Onboarding], snapshot: dict[str, Any]) -> dict[str, Any]:
    """What is there, by name: one of each is right."""
    there: dict[tuple[str, str], list[str]] = {}
    used: Counter[str] = Counter()
    for entry in snapshot["objects"]:
        body = entry["body"]
        title = str(body.get("name") or body.get("title") or "")
        there.setdefault((entry["kind"], title), []).append(str(body.get("$id") or body.get("id")))
        if entry["kind"] == "flows":
            used.update(t["params"]["mappingId"] for t in body["transformations"] if t["name"] == "Mapping")
    doubled: Counter[str] = Counter()
    lost = wrong = spare_sets = 0
    for one in todo:
        for step, resource in RESOURCES.items():
            ids = there.get((resource, f"{one.name} {step}"), [])
            if step == "mapping":  # one that nothing refers to does no harm, and is not deleted
                referred = [i for i in ids if used[i]]
                spare_sets += len(ids) - len(referred)
                ids = referred or ids[:1]
            doubled[step] += len(ids) > 1
            if step in one.results:
                result = one.results[step]
                lost += not ids
                wrong += bool(ids) and (result["id"] if step == "mapping" else result) not in ids
    return {
        "complete": sum(1 for one in todo if len(one.results) == len(STEPS)),
        "stuck": Counter(one.stuck.split(":")[0] for one in todo if one.stuck),
        "stuck_for": next((one.stuck for one in todo if one.stuck), ""),
        "doubled": {step: n for step, n in doubled.items() if n},
        "lost": lost,
        "wrong_id": wrong,
        "unused_mapping_sets": spare_sets,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onboardings", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kills", type=float, default=0.1, help="expected number of times a worker is ended for each step that ends"
    )
    parser.add_argument("--ours", action="store_true", help="without HttpOperator")
    parser.add_argument("--json", action="store_true", help="the engine's counts alone, as JSON")
    asked = parser.parse_args()
    terms = (asked.onboardings, asked.workers, asked.seed, asked.kills)
    ours = storm(by_engine, *terms)
    if asked.json:
        print(json.dumps(ours))
        return
    plain = storm(by_http_operator, *terms) if not asked.ours else {}
    table = Table(title=f"{asked.onboardings} onboardings in a storm")
    for column in ("", "this provider", "HttpOperator, retried"):
        table.add_column(column)
    for key in ours:
        table.add_row(key.replace("_", " "), _said(ours[key]), _said(plain.get(key, "")))
    Console(width=150).print(table)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or "0"
    return str(value)[:150]


if __name__ == "__main__":
    main()
