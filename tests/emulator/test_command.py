"""The emulator as its user starts it: a process, its options, its state on disk."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import httpx
import pytest
from plain_http import AUTH, CATALOG, FLOW, SERVICENOW, Plain

from airflow_provider_aep.emulator.__main__ import main
from airflow_provider_aep.emulator.store import Scope, Store


class Started:
    """A running emulator, with the shape that ``Plain`` wants."""

    class World:
        class Options:
            client_id, client_secret, org_id = "me", "mine", "MINE@AdobeOrg"

        options = Options

    world = World

    def __init__(self, port, *arguments):
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "airflow_provider_aep.emulator", "--port", str(port), *map(str, arguments)]
        credentials = [
            "--client-id",
            "me",
            "--client-secret",
            "mine",
            "--org-id",
            "MINE@AdobeOrg",
            "--sandbox",
            "dev",
            "qa",
        ]
        self.process = subprocess.Popen([*command, *credentials], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while True:
            assert self.process.poll() is None, self.process.stdout.read().decode()
            assert time.monotonic() < deadline
            try:
                httpx.get(f"{self.url}/_emulator/health", trust_env=False).raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.05)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.communicate(timeout=20)[0].decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_state_survives_however_the_emulator_ends(port, tmp_path, number):
    started = Started(port, "--state", tmp_path / "s.db", "--lake", tmp_path / "lake", "--run-delay", "0")
    aep = Plain(started)
    id_ = aep.post(f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})["id"]
    said = started.end(number)
    assert "hidden" not in said
    again = Started(port, "--state", tmp_path / "s.db")
    try:
        aep = Plain(again)
        assert aep("GET", f"{FLOW}/connections/{id_}").status_code == 200
        assert aep("GET", f"{FLOW}/connections/{id_}", headers={"x-sandbox-name": "prod"}).status_code == 404
        methods = [e["method"] for e in aep.http.get("/_emulator/requests").json()["requests"]]
        assert methods.count("POST") == 3
    finally:
        again.end()


def test_a_query_string_with_a_secret_is_in_no_log(port):
    started = Started(port)
    aep = Plain(started)
    aep.http.post("/ims/token/v3?grant_type=client_credentials&client_id=me&client_secret=mine-in-a-query&scope=x")
    assert "mine-in-a-query" not in started.end()


def test_off_loopback_a_warning_is_printed_and_listed_hosts_are_served(port):
    started = Started(port, "--host", "0.0.0.0", "--allow-host", "aep-emulator")
    answer = httpx.get(f"{started.url}/_emulator/health", headers={"Host": f"aep-emulator:{port}"}, trust_env=False)
    assert answer.status_code == 200
    assert "Listening on 0.0.0.0: whoever reaches this port" in started.end()


def test_one_state_has_one_emulator(port, tmp_path):
    started = Started(port, "--state", tmp_path / "s.db")
    command = [sys.executable, "-m", "airflow_provider_aep.emulator", "--state", str(tmp_path / "s.db")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "is in use by another emulator" in done.stderr
    said = started.end()
    assert f"AEP emulator at http://127.0.0.1:{port}: client id me, org MINE@AdobeOrg, sandboxes dev, qa." in said
    assert "mine" not in said
    Store(tmp_path / "s.db").close()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after", [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_a_signal_ends_it_in_order(port, tmp_path, ending, after):
    """So many seconds after its announcement: uvicorn's own handlers come only while it starts to serve."""
    state = tmp_path / "s.db"
    command = [sys.executable, "-m", "airflow_provider_aep.emulator", "--port", str(port), "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        time.sleep(after)
        process.send_signal(ending)
        said, wrong = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, said, wrong) == (0, "", "")
    assert {f.name for f in tmp_path.iterdir()} == {"s.db", "s.db.lock"}  # closed: no log of SQLite's beside it


def test_the_installed_command_is_the_same():
    command = os.path.join(os.path.dirname(sys.executable), "aep-emulator")
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--host", "--port", "--state", "--source-data", "--lake", "--run-delay", "--client-id",
                   "--client-secret", "--org-id", "--sandbox", "--allow-host"):  # fmt: skip
        assert option in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--source-data", "gone"], "gone is not a folder"),
        (["--port", "x"], "invalid number value: 'x'"),
        (["--port", "99999"], "99999 is not from 1 to 65535"),
        (["--run-delay", "-1"], "-1 is not from 0"),
        (["--state", "/nowhere/x.db"], "The state /nowhere/x.db cannot be written: No such file"),
    ],
)
def test_a_bad_option_ends_the_start_with_a_sentence(arguments, says):
    command = [sys.executable, "-m", "airflow_provider_aep.emulator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said(emulator):
    with pytest.raises(SystemExit):
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
def test_what_is_no_state_is_said(tmp_path, kind):
    path = tmp_path / "s.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no database, but long enough to be read as one" * 9)
    else:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE meta (something TEXT)")
    with pytest.raises(SystemExit, match="is no state of an emulator"):
        Store(path)


def test_state_in_memory_is_enough():
    store = Store(None)
    store.add("k", SCOPE, "a", {})
    assert store.everywhere("k") == [(SCOPE, {})]


def test_catalog_of_another_sandbox_is_empty(aep):
    assert aep("GET", f"{CATALOG}/dataSets", headers={"x-sandbox-name": "prod"}).json() == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--assume", "colour=red"], "'colour' is no switch"),
        (["--assume", "secrets=loud"], "secrets is masked or absent"),
        (["--deny", "planets"], "there is no 'planets'"),
        (["--deny", "sandbox:qa"], "there is no 'sandbox:qa'"),
        (["--credential", "reader"], "'reader' has no secret"),
        (["--credential", "emulator", "x"], "'emulator' is given twice"),
        (["--credential", "reader", "x", "flowservice:read"], "there is no 'flowservice:read'"),
        (["--seed", "x"], "invalid int value"),
        (["--transition", "-1"], "is not from 0"),
    ],
)
def test_an_option_that_could_have_no_effect_ends_the_start(capsys, arguments, says):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"snapshot": 9}', None])
def test_a_snapshot_that_cannot_be_loaded_ends_the_start(port, tmp_path, content):
    file = tmp_path / "snapshot.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit, match=r"snapshot\.json cannot be loaded"):
        main(["--port", str(port), "--snapshot", str(file)])


def test_every_option_has_its_effect(port, tmp_path):
    """A snapshot to start with, a second credential, a seed, strictness, and a token off loopback."""
    first = Started(port, "--seed", "7", "--strict")
    aep = Plain(first)
    made = aep.post(f"{FLOW}/connections", {"name": "b", "auth": AUTH, "connectionSpec": SERVICENOW})
    aep.refused(400, "problem", "GET", f"{FLOW}/connections?colour=red")
    (tmp_path / "snapshot.json").write_text(aep.http.get("/_emulator/snapshot").text)
    first.end()
    credential = ("--credential", "reader", "hush", "flowservice:write")
    options = ("--snapshot", tmp_path / "snapshot.json", "--seed", "7", *credential, "--host", "0.0.0.0")
    again = Started(port, *options, "--lag", "1", "--run-time", "1", "--transition", "1")
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
