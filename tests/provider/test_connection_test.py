"""The connection test: by the hook, through the real API and by the real CLI."""

import json
import re
import subprocess
import sys
import threading
import time
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from real_airflow import PATIENCE

from airflow_provider_aep.emulator.demo import airflow_environment
from airflow_provider_aep.hooks import checkup
from airflow_provider_aep.hooks.aep import AepHook

CONNECTED = "Connected to sandbox dev of EMULATOR@AdobeOrg: all services may be used"
SANDBOXES = ("prod", "dev", "paused:creating")
CASES = {
    "client id": ({"login": "stranger"}, {}, "Adobe IMS does not know the client id 'stranger'"),
    "secret": ({"password": "wrong-canary"}, {}, "Adobe IMS refuses the client secret"),
    "scope": ({"extra": {"scopes": "openid,everything"}}, {}, "Adobe IMS refuses the scopes 'openid,everything'"),
    "org": ({"extra": {"org_id": "OTHER@AdobeOrg"}}, {}, "does not belong to the organization OTHER@AdobeOrg"),
    "no sandbox": (
        {"extra": {"sandbox": "gone"}},
        {},
        "no sandbox 'gone'. Next step: Choose one of: dev, paused, prod",
    ),
    "inactive sandbox": ({"extra": {"sandbox": "paused"}}, {}, "The sandbox 'paused' is creating"),
    "sources": ({}, {"denied": ("flowservice",)}, "may not use Flow Service .*View Sources and Manage Sources"),
    "schemas": ({}, {"denied": ("schemaregistry",)}, "may not use Schema Registry .*Manage Schemas"),
    "datasets": ({}, {"denied": ("catalog",)}, "may not use Catalog .*Manage Datasets"),
    "mappings": ({}, {"denied": ("conversion",)}, "may not use Data Prep "),
    "unreachable": ({"host": "http://127.0.0.1:9"}, {}, "No answer from 127.0.0.1:9"),
    "host": ({"host": "https://evil.example"}, {}, "'evil.example' .*is not allowed to receive credentials"),
}
DENIED = [options["denied"] for _, options, _ in CASES.values() if options]


def told(ok, message, says):
    """A failure with one sentence that says what to do, without anything secret."""
    assert ok is False
    assert re.search(says, message), message
    assert "Next step: " in message
    assert "canary" not in message
    assert "emulator-secret" not in message
    assert "emulated." not in message
    return message


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(checkup, "DEADLINE", 1.0)


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_and_nothing_is_written(make_emulator, connect, soon, case):
    changes, options, says = CASES[case]
    emulator = make_emulator(sandboxes=SANDBOXES, **options)
    connect(emulator, **changes)
    told(*AepHook().test_connection(), says)
    assert emulator.writes() == []


def test_all_sentences_differ(make_emulator, connect, soon):
    said = set()
    for changes, options, _ in CASES.values():
        connect(
            make_emulator(sandboxes=SANDBOXES, **options) if options else make_emulator(sandboxes=SANDBOXES), **changes
        )
        said.add(AepHook().test_connection()[1].split(" [")[0])
    assert len(said) == len(CASES)


def test_a_good_connection(emulator, connect):
    connect(emulator)
    assert AepHook().test_connection() == (True, CONNECTED)
    assert emulator.writes() == []


@pytest.mark.parametrize(
    ("extra", "says"),
    [({"sandbox": None}, "has no sandbox"), ({"org_id": "no org"}, "not of the form XXXXXXXX@AdobeOrg")],
)
def test_settings_that_cannot_work_are_said_before_anything_is_sent(emulator, connect, extra, says):
    connect(emulator, extra=extra)
    told(*AepHook().test_connection(), says)
    assert emulator.requests() == []


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 418, 429, 500])
@pytest.mark.parametrize("honest_ims", [False, True])
@pytest.mark.parametrize("code", ["canary <b>code</b>", "2100-404", "403025"])
def test_nothing_that_a_host_answers_is_quoted(emulator, connect, soon, status, honest_ims, code):
    """A listed host may be anybody's: what it says must not be read by whoever may press Test."""
    says = {key: f"canary <b>{key}</b>" for key in ("message", "error", "error_description", "detail")}
    says["errorCode"] = code
    says["sandboxes"] = [{"name": "dev", "state": "canary <i>"}, {"name": "canary <b>", "state": "active"}]

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(says).encode()
            self.send_response(status)
            self.send_header("x-request-id", "canary <u>")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    connect(emulator, host=url, **({} if honest_ims else {"extra": {"ims_url": url}}))
    ok, message = AepHook().test_connection()
    server.shutdown()
    server.server_close()
    assert not ok
    assert "canary" not in message
    assert "Next step: " in message


def on_a_worker(airflow, body):
    """Airflow 3.3 tests a connection in the executor, too."""
    queued = airflow.ask("POST", "/connections/enqueue-test", json=body)
    headers = {"Airflow-Connection-Test-Token": queued["token"]}
    deadline = time.monotonic() + PATIENCE
    while (answer := airflow.ask("GET", "/connections/enqueue-test", headers=headers))["result_message"] is None:
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    return answer["state"] == "success", answer["result_message"]


CLI = """
import sys
from airflow.__main__ import main

for case in sys.argv[1:]:
    sys.argv = ["airflow", "connections", "test", case]
    try:
        main()
    except SystemExit:
        pass
    print("-- next --", flush=True)
"""


def test_by_api_worker_and_cli(make_emulator, start_airflow, tmp_path):
    """The API server's own test, the test on a worker, and ``airflow connections test``: the same sentences."""
    emulators = {denied: make_emulator(sandboxes=SANDBOXES, denied=denied) for denied in {(), *DENIED}}
    said = set()
    with start_airflow(emulators[()], AIRFLOW__CORE__TEST_CONNECTION="Enabled") as airflow:
        good = {"connection_id": "good", **emulators[()].connection()}
        assert on_a_worker(airflow, {**good, "extra": json.dumps(good["extra"])}) == (True, CONNECTED)
        for case, (changes, options, says) in CASES.items():
            fields = emulators[options.get("denied", ())].connection(**deepcopy(changes))
            body = {"connection_id": case.replace(" ", "_"), **fields, "extra": json.dumps(fields["extra"])}
            answer = airflow.ask("POST", "/connections/test", json=body)
            message = told(answer["status"], answer["message"], says)
            said.add(message.split(" [")[0])
            told(*on_a_worker(airflow, body), says)
        env = airflow_environment(airflow.home, tmp_path, emulators[()].url, emulators[()].world.options)
        env |= {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled", "COLUMNS": "1000"}
        for case, (changes, options, _) in CASES.items():
            fields = emulators[options.get("denied", ())].connection(**deepcopy(changes))
            env[f"AIRFLOW_CONN_{case.replace(' ', '_').upper()}"] = json.dumps(fields)
        command = [sys.executable, "-c", CLI, *(case.replace(" ", "_") for case in CASES)]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        answers = done.stdout.split("-- next --")[:-1]
        for answer, (_, _, says) in zip(answers, CASES.values(), strict=True):
            told(False, " ".join(answer.split()), says)
    assert len(said) == len(CASES)
