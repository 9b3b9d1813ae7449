"""A whole Airflow: API server, scheduler, DAG processor, triggerer and a metadata database of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from cryptography.fernet import Fernet

from airflow_provider_aep.emulator.demo import airflow_environment

DAGS = Path(__file__).parents[2] / "dags"
PATIENCE = 600.0
"""Seconds after which what Airflow has not done counts as not done: a machine may be slow."""

OF_SQLITE = """
import sys

of_sqlite = {"timeout": 3 if "api-server" in sys.argv else 60}
"""
"""Seconds that a component waits for another to have written. The API server writes on its loop, too, where it may wait
for a request of its own that needs the loop to end: it had better give up, say 500 and be asked again."""


class RealAirflow:
    """What a user does through the API."""

    def __init__(self, url: str, home: Path, output: Path, env: dict[str, str], group: int) -> None:
        self.url, self.home, self.output, self._env = url, home, output, env
        self.groups = [group]
        self._checked = time.monotonic()
        self._http = httpx.Client(base_url=f"{url}/api/v2", trust_env=False, timeout=PATIENCE)

    def log_in(self) -> None:
        token = httpx.get(f"{self.url}/auth/token", trust_env=False).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """What the API answers; where SQLite is busy it says 500, and is asked again."""
        self._keep_up()
        deadline = time.monotonic() + PATIENCE
        while (answer := self._http.request(method, path, **options)).status_code >= 500:
            assert time.monotonic() < deadline, f"{answer.status_code} {answer.text}; see {self.output}"
            time.sleep(1)
        return answer.raise_for_status().json()

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Trigger a DAG; returns the run's id, by which it is known if SQLite was busy and it is tried again."""
        asked = {"dag_run_id": f"manual__{uuid.uuid4()}", "conf": conf, "logical_date": None}
        try:
            self.ask("POST", f"/dags/{dag_id}/dagRuns", json=asked)
        except httpx.HTTPStatusError as e:
            if e.response.status_code != 409:
                raise
        return str(asked["dag_run_id"])

    def run(self, dag_id: str, conf: dict[str, Any], may_fail: bool = False) -> tuple[str, dict[str, str]]:
        """Trigger a DAG; returns its end state and the states of its tasks.

        :param may_fail: whether tasks may raise in a try before their last
        """
        path = f"/dags/{dag_id}/dagRuns/{self.trigger(dag_id, conf)}"
        deadline = time.monotonic() + PATIENCE
        while (state := self.ask("GET", path)["state"]) not in {"success", "failed"}:
            assert time.monotonic() < deadline, f"{dag_id} is still {state}; see {self.output}"
            time.sleep(0.5)
        tasks = self.ask("GET", f"{path}/taskInstances")["task_instances"]
        for task in (t for t in tasks if t["state"] == "failed"):  # shown by pytest if it should not have
            lines = self.log(f"{path}/taskInstances/{task['task_id']}", map_index=task["map_index"])
            print(f"{dag_id}.{task['task_id']}:", *lines, sep="\n")
        for task in (t for t in tasks if t["try_number"] > 1 and not may_fail):
            one, which = f"{path}/taskInstances/{task['task_id']}", task["map_index"]
            # Not by counting: Airflow keeps no try that it has failed itself before the task ran on.
            tries = self.ask("GET", f"{one}/tries", params={"map_index": which})["task_instances"]
            for number in {t["try_number"] for t in tries} - {task["try_number"]}:
                lines = self.log(one, number, which)
                assert "Task failed with exception" not in {line.get("event") for line in lines}, lines
        return state, {t["task_id"]: t["state"] for t in tasks}

    def log(self, task: str, attempt: int = 1, map_index: int = -1) -> list[dict[str, Any]]:
        """The log of a task by its path, line by line."""
        asked = {"full_content": True, "map_index": map_index}
        return list(self.ask("GET", f"{task}/logs/{attempt}", params=asked)["content"])

    def restart_triggerer(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Kill the triggerer with -9, its runner too, and start another one."""
        of_it = [
            p for p in psutil.Process(self.groups[0]).children(recursive=True) if "triggerer" in " ".join(_command(p))
        ]
        killed = {q.pid: q for p in of_it for q in (p, *p.children(recursive=True))}
        assert killed
        for process in killed.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([*killed.values()], timeout=30)
        meanwhile()
        self._start("triggerer")

    def end(self) -> None:
        """At once: nothing of it is needed any more."""
        there = [p for group in self.groups for p in _family(group)]
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for process in there:  # one that is in a group of its own
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(there, timeout=30)

    def _start(self, component: str) -> None:
        with self.output.open("ab") as out:
            command = [sys.executable, "-m", "airflow", component]
            started = subprocess.Popen(command, env=self._env, stdout=out, stderr=out, start_new_session=True)
        self.groups.append(started.pid)

    def _keep_up(self) -> None:
        """A scheduler that has died is started again, as by a service manager: a roll-back in SQLite ends it."""
        if time.monotonic() < self._checked + 5:
            return
        self._checked = time.monotonic()
        there = [p for group in self.groups for p in _family(group)]
        if not any("scheduler" in " ".join(_command(p)) for p in there):
            self._start("scheduler")

    def until_ready(self, dag_id: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until all components are healthy and the DAG is there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, self.output.read_text()[-3000:]
            assert time.monotonic() < deadline, f"Airflow did not start; see {self.output}"
            try:
                health = httpx.get(f"{self.url}/api/v2/monitor/health", trust_env=False).json()
                if all(health[c]["status"] == "healthy" for c in ("scheduler", "triggerer", "dag_processor")):
                    self.log_in()
                    self.ask("GET", f"/dags/{dag_id}")
                    return
            except (httpx.HTTPError, KeyError, ValueError):
                pass
            time.sleep(0.5)


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def airflow_of(emulator: Any, home: Path, dag_id: str, **environment: str) -> Generator[RealAirflow, None, None]:
    """``airflow standalone``, ended with all its children at the end of the block; its database is in ``home`` then.

    :param dag_id: a DAG that must be there before it begins
    """
    folder = tempfile.TemporaryDirectory(dir=_in_memory(), ignore_cleanup_errors=True)
    database = Path(folder.name) / "airflow.db"
    # SQLite lets others read while one writes.
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    (home / "config").mkdir()
    (home / "config" / "patience.py").write_text(OF_SQLITE)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    env = airflow_environment(home, DAGS, emulator.url, emulator.world.options) | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # it calls ``airflow`` by name
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "patience.of_sqlite",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "patience.of_sqlite",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # no file of a DAG changes
        # Airflow fails a task whose trigger fires before it has heard that the worker is through, as where all is slow.
        "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "2",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        # A small machine that starts many tasks at once does not answer each of them in five seconds.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
        **environment,
    }
    env = {k: v for k, v in env.items() if v}
    output = home / "standalone.log"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"], env=env, stdout=out, stderr=out, start_new_session=True
        )
    airflow = RealAirflow(url, home, output, env, process.pid)
    try:
        airflow.until_ready(dag_id, process)
        yield airflow
    finally:
        airflow.end()
        for file in Path(folder.name).iterdir():
            shutil.copy(file, home)
        folder.cleanup()


def _in_memory() -> str | None:
    """Where SQLite's many small commits cost no disk's time: five processes write, and all but one wait."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
