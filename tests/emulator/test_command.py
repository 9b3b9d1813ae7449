"""The command ``aep-emulator``: its process, its options, and its state on disk."""

import os
import re
import signal
import sqlite3
import subprocess
import sys

import httpx
import pytest
from plain_http import AUTH, CATALOG, FLOW, SERVICENOW, Plain

from aep_emulator.cli import main
from aep_emulator.core.store import Scope, Store


class Started:
    """An emulator in its own process, with the attributes that ``Plain`` needs."""

    class World:
        class Options:
            client_id, client_secret, org_id = "me", "mine", "MINE@AdobeOrg"

        options = Options

    world = World
    CREDENTIALS = ("--client-id", "me", "--client-secret", "mine", "--org-id", "MINE@AdobeOrg")

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "aep_emulator", "--port", "0", *map(str, arguments), *self.CREDENTIALS]
        self.process = subprocess.Popen(
            [*command, "--sandbox", "dev", "qa"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.printed = ""
        while not (found := re.search(r"AEP emulator at http://[\w.]+:(\d+)", self.printed)):
            line = self.process.stdout.readline()
            assert line, self.printed
            self.printed += line
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self, number=signal.SIGTERM):
        """Send a signal, and return all that the process printed."""
        self.process.send_signal(number)
        return self.printed + self.process.communicate(timeout=20)[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_state_survives_the_end_of_the_process_and_no_secret_is_printed(tmp_path, number):
    started = Started("--state", tmp_path / "s.db", "--lake", tmp_path / "lake", "--run-delay", "0")
    aep = Plain(started)
    id_ = aep.post(f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})["id"]
    aep.http.post("/ims/token/v3?grant_type=client_credentials&client_id=me&client_secret=secret-in-a-query&scope=x")
    printed = started.end(number)
    assert "hidden" not in printed
    assert "secret-in-a-query" not in printed
    again = Started("--state", tmp_path / "s.db")
    try:
        aep = Plain(again)
        assert aep("GET", f"{FLOW}/connections/{id_}").status_code == 200
        assert aep("GET", f"{FLOW}/connections/{id_}", headers={"x-sandbox-name": "prod"}).status_code == 404
        methods = [e["method"] for e in aep.http.get("/_emulator/requests").json()["requests"]]
        assert methods.count("POST") == 4
    finally:
        again.end()


def test_off_loopback_a_warning_is_printed_and_listed_hosts_are_served():
    started = Started("--host", "0.0.0.0", "--allow-host", "aep-emulator")
    host = {"Host": f"aep-emulator:{started.port}"}
    answer = httpx.get(f"{started.url}/_emulator/health", headers=host, trust_env=False)
    assert answer.status_code == 200
    assert "Listening on 0.0.0.0" in started.end()


def test_a_second_emulator_of_the_same_state_is_refused(tmp_path):
    started = Started("--state", tmp_path / "s.db")
    with pytest.raises(SystemExit, match="is in use by another emulator"):
        main(["--port", "0", "--state", str(tmp_path / "s.db")])
    printed = started.end()
    assert f"AEP emulator at {started.url}: client id me, org MINE@AdobeOrg, sandboxes dev, qa." in printed
    assert "mine" not in printed
    Store(tmp_path / "s.db").close()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["announced", "serving"])
def test_a_signal_ends_the_process_in_order(tmp_path, ending, moment):
    """uvicorn installs its own signal handlers only when it begins to serve, which is after the announcement."""
    started = Started("--state", tmp_path / "s.db")
    if moment == "serving":
        assert httpx.get(f"{started.url}/_emulator/health", trust_env=False).status_code == 200
    assert "Traceback" not in started.end(ending)
    assert started.process.returncode == 0
    assert {f.name for f in tmp_path.iterdir()} == {"s.db", "s.db.lock"}  # SQLite's log is gone: the state was closed


def test_the_console_script_has_the_options():
    command = os.path.join(os.path.dirname(sys.executable), "aep-emulator")
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--host", "--port", "--state", "--source-data", "--lake", "--run-delay", "--client-id",
                   "--client-secret", "--org-id", "--sandbox", "--allow-host"):  # fmt: skip
        assert option in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source-data", "gone"], "gone is not a folder"),
        (["--port", "x"], "invalid number value: 'x'"),
        (["--port", "99999"], "99999 is not from 0 to 65535"),
        (["--run-delay", "-1"], "-1 is not from 0"),
        (["--state", "/nowhere/x.db"], "The state /nowhere/x.db cannot be written: No such file"),
    ],
)
def test_an_invalid_option_ends_the_start_with_a_message(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code
    assert message in f"{ended.value.code} {capsys.readouterr().err}"


def test_a_port_in_use_is_reported(emulator):
    with pytest.raises(SystemExit, match="Cannot listen on"):
        main(["--port", emulator.url.rsplit(":", 1)[1]])


# -- the store ------------------------------------------------------------------------------------------------------

SCOPE = Scope("o", "s")


def test_a_transaction_is_whole_or_nothing(tmp_path):
    store = Store(tmp_path / "s.db")

    def fail():
        with store.transaction():
            store.add("k", SCOPE, "a", {})
            with store.transaction():
                store.add("k", SCOPE, "b", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(store.find("k", SCOPE)) == []
    with store.transaction():
        store.add("k", SCOPE, "a", {"x": 1}, name="n")
    store.put("k", SCOPE, "a", {"x": 2})
    assert list(store.find("k", SCOPE, name="n")) == [{"x": 2}]
    store.delete("k", SCOPE, "a")
    assert store.get("k", SCOPE, "a") is None
    store.close()


def test_a_state_of_another_format_is_refused(tmp_path):
    store = Store(tmp_path / "s.db")
    store._db.execute("UPDATE meta SET value = '9' WHERE key = 'format'")
    store.close()
    with pytest.raises(SystemExit, match="has state format 9; this emulator reads format 3"):
        Store(tmp_path / "s.db")


@pytest.mark.parametrize("kind", ["folder", "text", "another database"])
def test_a_file_that_is_not_a_state_is_refused(tmp_path, kind):
    path = tmp_path / "s.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no database, but long enough to be read as one" * 9)
    else:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE meta (something TEXT)")
    with pytest.raises(SystemExit, match="is not a state of an emulator"):
        Store(path)


def test_state_in_memory_is_enough():
    store = Store(None)
    store.add("k", SCOPE, "a", {})
    assert store.everywhere("k") == [(SCOPE, {})]


def test_the_catalog_of_another_sandbox_is_empty(aep):
    assert aep("GET", f"{CATALOG}/dataSets", headers={"x-sandbox-name": "prod"}).json() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--assume", "colour=red"], "unknown switch 'colour'"),
        (["--assume", "secrets=loud"], "secrets is masked or absent"),
        (["--deny", "planets"], "unknown permission 'planets'"),
        (["--deny", "sandbox:qa"], "unknown permission 'sandbox:qa'"),
        (["--credential", "reader"], "'reader' has no secret"),
        (["--credential", "emulator", "x"], "the client id 'emulator' is repeated"),
        (["--credential", "reader", "x", "flowservice:read"], "unknown permission 'flowservice:read'"),
        (["--seed", "x"], "invalid int value"),
        (["--transition", "-1"], "is not from 0"),
    ],
)
def test_an_option_without_effect_ends_the_start(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"snapshot": 9}', None])
def test_a_snapshot_that_cannot_be_loaded_ends_the_start(tmp_path, content):
    file = tmp_path / "snapshot.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit, match=r"snapshot\.json cannot be loaded"):
        main(["--port", "0", "--snapshot", str(file)])


def test_every_option_has_its_effect(tmp_path):
    """Test a snapshot, a second credential, a seed, strictness, and the token off loopback."""
    first = Started("--seed", "7", "--strict")
    aep = Plain(first)
    made = aep.post(f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})
    aep.refused(400, "problem", "GET", f"{FLOW}/connections?colour=red")
    (tmp_path / "snapshot.json").write_text(aep.http.get("/_emulator/snapshot").text)
    first.end()
    credential = ("--credential", "reader", "hush", "flowservice:write")
    options = ("--snapshot", tmp_path / "snapshot.json", "--seed", "7", *credential, "--host", "0.0.0.0")
    again = Started(*options, "--lag", "1", "--run-time", "1", "--transition", "1")
    aep = Plain(again)
    assert aep("GET", f"{FLOW}/connections/{made['id']}").status_code == 200
    form = {"grant_type": "client_credentials", "client_id": "reader", "client_secret": "hush", "scope": "openid"}
    token = aep.http.post("/ims/token/v3", data=form).json()["access_token"]
    reader = {"Authorization": f"Bearer {token}", "x-api-key": "reader"}
    body = {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW}
    aep.refused(403, "2121-403", "POST", f"{FLOW}/connections", headers=reader, json=body)
    new = aep.post(f"{FLOW}/connections", body)["id"]
    assert new != made["id"]  # the seed goes on where the snapshot was taken
    assert aep("GET", f"{FLOW}/connections/{new}").json()["items"][0]["state"] == "initializing"
    assert aep.http.post("/_emulator/reset", json={}).status_code == 401
    assert aep.http.get("/_emulator/health").status_code == 200
    said = again.end()
    admin = re.search(r"Writes under /_emulator need Authorization: Bearer (\S+)", said)[1]
    assert len(admin) > 15
    assert "hush" not in said
