"""A whole Airflow, which the processes of a test session share, and what a user does through its API."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import airflow_server
import httpx
from airflow_server import PATIENCE, until


class RealAirflow:
    """A client of the shared Airflow.

    :param connection: to the process that has started it
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.url, self.database, self.environment = self._call("describe")
        self.home = Path(self.environment["AIRFLOW_HOME"])
        self.dags, self.output = self.home / "dags", self.home / "output"
        self._checked = time.monotonic()
        self._http = httpx.Client(base_url=f"{self.url}/api/v2", trust_env=False, timeout=PATIENCE)
        token = self._http.get(f"{self.url}/auth/token").raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    # -- processes ----------------------------------------------------------------------------------------------------

    def restart_triggerer(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Kill the triggerer and its runner with SIGKILL, and start another one.

        :param meanwhile: called while there is no triggerer
        """
        self._call("kill_component", "triggerer")
        meanwhile()
        self._call("start_component", "triggerer")

    def command(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run an ``airflow`` command to its end. Return its exit code and its output.

        :param environment: more variables for it
        """
        code, output = self._call("command", command, environment)
        return code, output

    def _call(self, method: str, *arguments: Any) -> Any:
        self._connection.send((method, arguments))
        error, result = self._connection.recv()
        assert error is None, error
        return result

    def _restart_scheduler(self) -> None:
        """Start the scheduler again if a lock of SQLite has ended it."""
        if self.database.is_sqlite and time.monotonic() > self._checked + 5:
            self._checked = time.monotonic()
            self._call("ensure_scheduler")

    # -- requests -----------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """Return what the API answers. SQLite's locks are its only reason to answer 500: the request is repeated then.

        :raises httpx.HTTPStatusError: it refuses
        """
        self._restart_scheduler()
        deadline = time.monotonic() + PATIENCE
        while (answer := self._http.request(method, path, **options)).status_code >= 500:
            assert self.database.is_sqlite, f"{answer.status_code} {answer.text}; see {self.output}"
            assert time.monotonic() < deadline, f"{answer.status_code} {answer.text}; see {self.output}"
            time.sleep(1)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def connect(self, conn_id: str, fields: dict[str, Any], *, replace: bool = True) -> None:
        """Create a connection.

        :param replace: whether a connection that exists is changed
        """
        body = {"connection_id": conn_id, **fields, "extra": json.dumps(fields.get("extra", {}))}
        try:
            self.ask("POST", "/connections", json=body)
        except httpx.HTTPStatusError as e:
            if e.response.status_code != 409:
                raise
            if replace:
                self.ask("PATCH", f"/connections/{conn_id}", json=body)

    @contextmanager
    def dags_in(self, files: dict[str, str], *dag_ids: str) -> Generator[None, None, None]:
        """Add files to the folder of DAGs, and take them out again at the end of the block.

        :param files: text by name
        :param dag_ids: DAGs that must be there before the block begins
        """
        written = []
        try:
            for name, text in files.items():
                (self.dags / name).write_text(text)
                written.append(self.dags / name)
            for dag_id in dag_ids:
                until(partial(self._has_dag, dag_id, files), f"There is no DAG {dag_id}; see {self.output}")
                self._pause(dag_id, False)  # as an earlier test may have left it
            yield
        finally:
            for file in written:
                file.unlink()
            for dag_id in dag_ids:
                with suppress(httpx.HTTPStatusError):
                    self._pause(dag_id, True)

    def _pause(self, dag_id: str, paused: bool) -> None:
        self.ask("PATCH", f"/dags/{dag_id}", json={"is_paused": paused})

    def _has_dag(self, dag_id: str, files: Iterable[str]) -> bool:
        errors = self.ask("GET", "/importErrors")["import_errors"]
        assert not (wrong := [e for e in errors if Path(e["filename"]).name in files]), wrong
        return bool(self.ask("GET", "/dags", params={"dag_id_pattern": dag_id, "limit": 100})["dags"])

    def trigger(self, dag_id: str, conf: dict[str, Any], logical_date: str | None = None) -> str:
        """Trigger a DAG. Return the run's id, which tells a repeated request from the first one."""
        asked = {"dag_run_id": f"manual__{uuid.uuid4()}", "conf": conf, "logical_date": logical_date}
        try:
            self.ask("POST", f"/dags/{dag_id}/dagRuns", json=asked)
        except httpx.HTTPStatusError as e:
            if e.response.status_code != 409 or not self.database.is_sqlite:
                raise
        return str(asked["dag_run_id"])

    def wait(self, dag_id: str, run_id: str, may_fail: bool = False) -> tuple[str, dict[str, str]]:
        """Wait for the end of a DAG run. Return its state and the states of its tasks.

        :param may_fail: whether tasks may raise in a try before their last
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        until(
            lambda: self.ask("GET", path)["state"] in {"success", "failed"},
            lambda: f"{dag_id} is still {self.states(path)}; see {self.output}",
        )
        state = self.ask("GET", path)["state"]
        tasks = self.tasks(path)
        for task in (t for t in tasks if t["state"] == "failed"):  # shown by pytest if it should not have
            lines = self.log(f"{path}/taskInstances/{task['task_id']}", task["try_number"], task["map_index"])
            print(f"{dag_id}.{task['task_id']}:", *lines, sep="\n")
        for task in (t for t in tasks if t["try_number"] > 1 and not may_fail):
            one, which = f"{path}/taskInstances/{task['task_id']}", task["map_index"]
            # Not by counting: Airflow keeps no try that it has failed itself before the task ran on.
            tries = self.ask("GET", f"{one}/tries", params={"map_index": which})["task_instances"]
            for number in {t["try_number"] for t in tries} - {task["try_number"]}:
                failed = [e for e in self.log(one, number, which) if e.get("event") == "Task failed with exception"]
                raised = [e for e in failed if e["error_detail"][0]["exc_type"] not in _AIRFLOW_ERRORS]
                assert not raised, f"{task['task_id']}, try {number}: {[e['error_detail'] for e in raised]}"
        return state, {t["task_id"]: t["state"] for t in tasks}

    def run(self, dag_id: str, conf: dict[str, Any], may_fail: bool = False) -> tuple[str, dict[str, str]]:
        """Trigger a DAG and wait for its end, as :meth:`wait` does."""
        return self.wait(dag_id, self.trigger(dag_id, conf), may_fail)

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """Return the task instances of a DAG run by its path."""
        found: list[dict[str, Any]] = []
        while True:
            asked = {"limit": 100, "offset": len(found), "order_by": "id"}
            page = self.ask("GET", f"{run}/taskInstances", params=asked)
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def states(self, run: str) -> dict[str, str]:
        """Return the states of a DAG run's tasks, by task id."""
        return {t["task_id"]: t["state"] for t in self.tasks(run)}

    def log(self, task: str, attempt: int = 1, map_index: int = -1) -> list[dict[str, Any]]:
        """Return the log of a task by its path, line by line."""
        asked = {"full_content": True, "map_index": map_index}
        return list(self.ask("GET", f"{task}/logs/{attempt}", params=asked)["content"])


_AIRFLOW_ERRORS = {"AirflowRuntimeError", "ServerResponseError", "ReadTimeout", "ConnectTimeout", "RemoteProtocolError"}
"""Errors of tasks whose API server does not answer in time. Those of AEP's requests are the provider's own."""


@contextmanager
def whole_airflow(home: Path, **environment: str) -> Generator[RealAirflow, None, None]:
    """Connect to the Airflow in a folder for the length of the block, and start it if no other process has.

    It ends when the last process has left its block, or has died.

    :param environment: more variables of all its processes
    """
    home.mkdir(exist_ok=True)
    address, started = home / "address", None
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process starts it, and the others wait
        if not address.exists():
            with (home / "airflow_server.log").open("wb") as log:
                started = subprocess.Popen(
                    [sys.executable, airflow_server.__file__, str(home), json.dumps(environment)],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2]))},
                    stdin=subprocess.PIPE,  # it counts this process as a user until the pipe is closed
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            until(lambda: address.exists() or started.poll() is not None, "Airflow does not start", pause=0.1)
            assert started.poll() is None, (home / "airflow_server.log").read_text()[-3000:]
    try:
        with Client(address.read_text()) as connection:
            yield RealAirflow(connection)
    finally:
        if started:
            started.stdin.close()
            # It waits for other processes of the session, which may still be at work.
            started.wait(PATIENCE)
