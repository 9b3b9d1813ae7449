"""Runs a whole Airflow as a process that several test processes share: it ends when the last of them has.

The program is started with a folder and a JSON object of environment variables. When Airflow is ready, it writes
``address`` into the folder, where test processes connect. Each request is ``(method, arguments)``, and each response
``(error, result)``.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
from airflow_forks import IMPORTED_BY_TASKS, Airflow, airflow_in
from cryptography.fernet import Fernet
from database import Database, database

from airflow_provider_aep.demo.environment import isolated_environment

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds after which a test fails because Airflow has not done something: a machine may be slow."""

IMPORTED = (
    "airflow.api_fastapi.app",
    "airflow.executors.local_executor",
    "airflow.jobs.dag_processor_job_runner",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    *IMPORTED_BY_TASKS,
)
"""Modules that each component or each task would import again. A task is a fork of its executor's process."""

_LISTENS = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")


def until(found: Callable[[], T | None], what: object, pause: float = 0.3) -> T:
    """Call until the result is true. Return it.

    :param what: shown if it takes too long
    """
    deadline = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(pause)
    return result


class AirflowProcesses:
    """API server, scheduler, DAG processor and triggerer.

    :param forks: starts them
    :param database: a metadata database with Airflow's tables
    :param environment: of all processes
    """

    def __init__(self, forks: Airflow, database: Database, environment: dict[str, str]) -> None:
        self._forks, self._database, self._environment = forks, database, dict(environment)
        self._output = Path(environment["AIRFLOW_HOME"]) / "output"
        self._output.mkdir()
        self._processes: dict[str, int] = {}
        self._url = ""

    def start(self) -> None:
        """Start all components and wait until they are healthy.

        The API server takes a free port itself and says which: a port that is chosen before may be another's by then.
        The scheduler comes last, because it passes the address on to tasks.
        """
        self.start_component("api-server", "--host", "127.0.0.1", "--port", "0")
        self.start_component("dag-processor")
        self.start_component("triggerer")
        log = self._log_of("api-server")
        listening = until(lambda: _LISTENS.search(log.read_text()), lambda: log.read_text()[-3000:], pause=0.05)
        self._url = listening[1]
        self._environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"{self._url}/execution/"
        self.start_component("scheduler")
        until(self._is_healthy, f"Not all components are healthy; see {self._output}", pause=0.1)

    def describe(self) -> tuple[str, Database, dict[str, str]]:
        """Return the API's address, the metadata database and the environment of all processes."""
        return self._url, self._database, self._environment

    def start_component(self, component: str, *options: str) -> None:
        """Start ``airflow COMPONENT`` in a process group of its own, with its output in a file."""
        log = self._log_of(component)
        self._processes[component] = self._forks.start(component, *options, environment=self._environment, output=log)

    def kill_component(self, component: str) -> None:
        """Kill a component and all its children with SIGKILL."""
        _kill(_family(self._processes[component]))

    def ensure_scheduler(self) -> None:
        """Start the scheduler again if it has ended, as a service manager does."""
        if not _family(self._processes["scheduler"]):
            self.start_component("scheduler")

    def command(self, command: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """Run an ``airflow`` command to its end. Return its exit code and its output.

        :param environment: more variables for it
        """
        return self._forks(*command, environment=self._environment | environment)

    def end(self) -> None:
        """Kill all processes at once: nothing of them is needed."""
        _kill(p for pid in self._processes.values() for p in _family(pid))

    def _log_of(self, component: str) -> Path:
        log = self._output / f"{component}.log"
        log.touch()
        return log

    def _is_healthy(self) -> bool:
        try:
            health = httpx.get(f"{self._url}/api/v2/monitor/health", trust_env=False, timeout=PATIENCE).json()
        except (httpx.HTTPError, ValueError):  # SQLite may be locked
            return False
        return all(health[c]["status"] == "healthy" for c in ("scheduler", "triggerer", "dag_processor"))


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, as far as they run."""
    try:
        process = psutil.Process(pid)
        return [p for p in (process, *process.children(recursive=True)) if _runs(p)]
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _kill(processes: Iterable[psutil.Process]) -> None:
    killed = [*processes]
    for process in killed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(map(_runs, killed)), "Killed processes still run", pause=0.02)


def environment_of(home: Path, database: Database) -> dict[str, str]:
    """Return the variables of an Airflow in an existing folder: nothing of the user's own configuration."""
    return isolated_environment(home, home / "dags") | {
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": Fernet.generate_key().decode(),  # of API server and scheduler alike
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "16",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # Airflow fails a task whose trigger fires before it has heard that the worker is through, as where all is slow.
        "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "2",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",  # tests add files
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # no file changes
        # A small machine that starts many tasks at once does not answer each of them in five seconds.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "20",
        **database.variables,
    }


@contextmanager
def running_airflow(home: Path, environment: dict[str, str]) -> Generator[AirflowProcesses, None, None]:
    """Run an Airflow with a metadata database of its own for the length of the block.

    :param home: an existing folder
    :param environment: more variables of all its processes
    """
    (home / "dags").mkdir()
    with database() as metadata:
        variables = environment_of(home, metadata) | environment
        with airflow_in(home, *IMPORTED, **variables) as forks:
            airflow = AirflowProcesses(forks, metadata, variables)
            try:
                airflow.start()
                yield airflow
            finally:
                airflow.end()


class Clients:
    """The number of test processes. Standard input, which ends with the process that started this program, is one."""

    def __init__(self) -> None:
        self._number, self._changed = 0, threading.Condition()

    @contextmanager
    def count(self) -> Generator[None, None, None]:
        with self._changed:
            self._number += 1
        try:
            yield
        finally:
            with self._changed:
                self._number -= 1
                self._changed.notify_all()

    def wait_until_none(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._number)


def serve(airflow: AirflowProcesses, listener: Listener, clients: Clients) -> None:
    """Answer requests, one at a time, until the program ends."""
    lock = threading.Lock()

    def answer(client: Connection) -> None:
        with clients.count(), client, suppress(EOFError, ConnectionError):
            while True:
                method, arguments = client.recv()
                try:
                    with lock:
                        client.send((None, getattr(airflow, method)(*arguments)))
                except Exception:
                    client.send((traceback.format_exc(), None))

    while True:
        threading.Thread(target=answer, args=[listener.accept()], daemon=True).start()


def main() -> None:
    """Run the Airflow until no test process needs it."""
    home, environment = Path(sys.argv[1]), json.loads(sys.argv[2])
    clients = Clients()

    def wait_for_starter() -> None:
        with clients.count():
            started.set()
            sys.stdin.read()

    started = threading.Event()
    threading.Thread(target=wait_for_starter, daemon=True).start()
    started.wait()
    with running_airflow(home, environment) as airflow, Listener(family="AF_UNIX") as listener:
        threading.Thread(target=serve, args=[airflow, listener, clients], daemon=True).start()
        written = home / "address.new"
        written.write_text(str(listener.address))
        written.rename(home / "address")
        clients.wait_until_none()


if __name__ == "__main__":
    main()
