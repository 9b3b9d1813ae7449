"""The connection test of the hook."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from airflow_provider_aep.client import connection_test
from airflow_provider_aep.hooks.aep import AepHook

CONNECTED = "Connected to sandbox dev of EMULATOR@AdobeOrg: the credential can use all services"
SANDBOXES = ("prod", "dev", "paused:creating")
CASES = {
    "client id": ({"login": "stranger"}, {}, "Adobe IMS does not find the client id 'stranger'"),
    "secret": ({"password": "wrong-canary"}, {}, "Adobe IMS rejects the client secret"),
    "scope": ({"extra": {"scopes": "openid,everything"}}, {}, "Adobe IMS rejects the scopes 'openid,everything'"),
    "org": ({"extra": {"org_id": "OTHER@AdobeOrg"}}, {}, "does not belong to the organization OTHER@AdobeOrg"),
    "no sandbox": (
        {"extra": {"sandbox": "gone"}},
        {},
        "no access to a sandbox 'gone'. Next step: Set sandbox to one of: dev, paused, prod",
    ),
    "inactive sandbox": ({"extra": {"sandbox": "paused"}}, {}, "The sandbox 'paused' is creating"),
    "sources": ({}, {"denied": ("flowservice",)}, "permission to use Flow Service .*View Sources and Manage Sources"),
    "schemas": ({}, {"denied": ("schemaregistry",)}, "no permission to use Schema Registry .*Manage Schemas"),
    "datasets": ({}, {"denied": ("catalog",)}, "no permission to use Catalog .*Manage Datasets"),
    "mappings": ({}, {"denied": ("conversion",)}, "no permission to use Data Prep "),
    "unreachable": ({"host": "http://127.0.0.1:9"}, {}, "The host 127.0.0.1:9 cannot be reached"),
    "host": ({"host": "https://evil.example"}, {}, "'evil.example' .*is not allowed to receive credentials"),
}
DENIED = [options["denied"] for _, options, _ in CASES.values() if options]


def check_failure(ok, message, says):
    """Check that the test failed with a message that has a next step and no secret. Return the message."""
    assert ok is False
    assert re.search(says, message), message
    assert "Next step: " in message
    assert "canary" not in message
    assert "emulator-secret" not in message
    assert "emulated." not in message
    return message


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(connection_test, "CONNECTION_TEST_DEADLINE", 1.0)


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_and_nothing_is_written(make_emulator, connect, soon, case):
    changes, options, says = CASES[case]
    emulator = make_emulator(sandboxes=SANDBOXES, **options)
    connect(emulator, **changes)
    check_failure(*AepHook().test_connection(), says)
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
    check_failure(*AepHook().test_connection(), says)
    assert emulator.requests() == []


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 418, 429, 500])
@pytest.mark.parametrize("honest_ims", [False, True])
@pytest.mark.parametrize("code", ["canary <b>code</b>", "2100-404", "403025"])
def test_nothing_that_a_host_answers_is_quoted(emulator, connect, soon, status, honest_ims, code):
    """A listed host may be malicious, so a person who tests a connection must not see its responses."""
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
