"""Fuzzing, and kills during writes. ``make soak`` is the long form."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
from plain_http import AUTH, FLOW, SERVICENOW, Onboarding, Plain
from test_command import Started

SECONDS = int(os.environ.get("AEP_SOAK_SECONDS", "20"))
KILLS = int(os.environ.get("AEP_SOAK_KILLS", "10"))


def test_fuzzing_finds_no_server_error_and_leaves_a_valid_state(make_emulator, tmp_path):
    emulator = make_emulator(strict=False)
    aep = Plain(emulator)
    onboarding = Onboarding(aep)
    flow = onboarding.flow()
    onboarding.run(flow)
    headers = [
        argument
        for name, value in {**aep.headers, "Accept": "application/vnd.adobe.xed-full+json; version=1"}.items()
        for argument in ("--header", f"{name}: {value}")
    ]
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{emulator.url}/_emulator/openapi.json", *headers,
        "--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--seed", "7", "--max-time",
        str(SECONDS), "--request-timeout", "10", "--continue-on-failure", "--no-color", "--warnings", "off",
        "--max-examples", "1000", "--generation-database", "none",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 120, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
    assert len({e["operation"] for e in emulator.requests()}) > 20, done.stdout[-2000:]
    # Paths that the description does not contain are answered with 501.
    assert [e for e in emulator.requests() if e["status"] >= 500 and e["operation"]] == []
    snapshot = emulator.snapshot()
    emulator.load(json.loads(json.dumps(snapshot)))
    assert emulator.snapshot() == snapshot
    again = Plain(emulator)
    for entry in snapshot["objects"]:
        if entry["kind"] in {"connections", "sourceConnections", "targetConnections", "flows", "runs"}:
            where = f"{FLOW}/{entry['kind']}/{entry['id']}"
            assert again("GET", where, headers={"x-sandbox-name": entry["sandbox"]}).status_code == 200
    emulator.world.store.clear()
    after = Onboarding(Plain(emulator))
    assert after.run(after.flow())["metrics"]["statusSummary"]["status"] == "success"


class Writer(threading.Thread):
    """Creates base connections without a pause, and remembers which were acknowledged."""

    def __init__(self, started):
        super().__init__()
        self.aep, self.acknowledged, self.number = Plain(started), {}, 0

    def run(self):
        try:
            while True:
                self.number += 1
                body = {"name": f"{self.name}-{self.number}", "auth": AUTH, "connectionSpec": SERVICENOW}
                id_ = self.aep.post(f"{FLOW}/connections", body)["id"]
                self.acknowledged[id_] = body["name"]
        except (httpx.HTTPError, AssertionError):
            return


def test_a_kill_loses_no_acknowledged_write_and_leaves_no_partial_one(tmp_path):
    state, kept, chance = tmp_path / "s.db", {}, random.Random(7)
    for _ in range(KILLS):
        started = Started("--state", state)
        writers = [Writer(started) for _ in range(3)]
        for writer in writers:
            writer.start()
        enough, deadline = chance.randint(1, 100), time.monotonic() + 60
        while sum(len(w.acknowledged) for w in writers) < enough:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        started.end(signal.SIGKILL)
        for writer in writers:
            writer.join()
            kept |= writer.acknowledged
            writer.aep.http.close()
        assert any(w.acknowledged for w in writers)
    started = Started("--state", state)
    try:
        aep = Plain(started)
        found, href = {}, "/connections?limit=1000"
        while href:
            page = aep("GET", f"{FLOW}{href}").json()
            found |= {i["id"]: i for i in page["items"]}
            href = (page["_links"].get("next") or {}).get("href")
        assert kept.items() <= {id_: body["name"] for id_, body in found.items()}.items()
        for body in found.values():
            assert {"id", "etag", "createdAt", "state", "connectionSpec", "auth", "sandboxName"} <= set(body)
        # At each kill, each writer had at most one request without an answer.
        assert len(found) <= len(kept) + 3 * KILLS
    finally:
        started.end()
