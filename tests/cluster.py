"""The services of docker-compose.yaml without Docker: a worker is killed amid a task, and the DAG run must succeed.

Settings, commands, dependencies and health checks are the file's; only hosts, ports and folders are this machine's.
Needs Linux, the extras emulator and cluster, PostgreSQL and Redis (on Debian and Ubuntu: postgresql, redis-server).
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

DAG = "aep_customer_success_onboarding"
CONF = {"name": "Cluster", "start_in_minutes": 0.2, "poke_interval": 2}
TASK = "first_run"  # the sensor
RUN_DELAY = "40"  # the emulator's, in seconds: so long that both tries of the sensor have to wait
PORTS = {"postgres": 5432, "redis": 6379, "aep-emulator": 8787, "api-server": 8080}
WORKERS = ("worker-1", "worker-2")

T = TypeVar("T")
_started = time.monotonic()


class ClusterError(Exception):
    """It did not go as it must."""


def say(what: str) -> None:
    print(f"{time.monotonic() - _started:6.1f} s  {what}", flush=True)


def until(found: Callable[[], T | None], what: str, seconds: float) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + seconds
    while (answer := found()) is None:
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not in {seconds:g} s")
        time.sleep(0.5)
    return answer


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]


def groups_of(session: int) -> set[int]:
    """The process groups with which a service lives: each task of a worker is one of its own, and would outlive it."""
    groups = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group, its_session = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                groups.add(int(group))
    return groups


class Cluster:
    """What ``docker compose up`` would do, with processes of this machine."""

    def __init__(self, compose: Path, home: Path) -> None:
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ready: set[str] = set()
        self.ports = dict(zip((*PORTS, *WORKERS, "triggerer"), free_ports(len(PORTS) + 3), strict=True))
        variables = {"AEP_RUN_DELAY": RUN_DELAY, **os.environ}
        text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: variables.get(m[1]) or m[2], compose.read_text())
        text = text.replace("$$", "$").replace("/opt/airflow/dags", str(compose.parent.resolve() / "dags"))
        for name, port in PORTS.items():
            text = text.replace(f"{name}:{port}", f"127.0.0.1:{self.ports[name]}")
        self.services: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]

    def up(self) -> None:
        """Start all in the file's order, each when what it depends on is ready, and wait until all are healthy."""
        for name, service in self.services.items():
            for other, wait in service.get("depends_on", {}).items():
                self.until_ready(other, wait["condition"])
            with (self.home / f"{name}.log").open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    self.command(name),
                    env=self.environment(name),
                    user=self.postgres_user() if name == "postgres" else None,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        for name, service in self.services.items():
            if "healthcheck" in service:
                self.until_ready(name, "service_healthy")

    def until_ready(self, name: str, condition: str) -> None:
        def ready() -> bool | None:
            code = self.processes[name].poll()
            if condition == "service_completed_successfully" and code == 0:
                return True
            if code is not None:
                raise ClusterError(f"{name} ended with {code}")
            return True if condition == "service_healthy" and self.healthy(name) else None

        if name not in self.ready:
            until(ready, f"{name}: {condition}", 180)
            say(f"{name}: {condition}")
            self.ready.add(name)

    def healthy(self, name: str) -> bool:
        test = self.services[name]["healthcheck"]["test"]
        with (self.home / f"{name}.health.log").open("ab") as log:
            return subprocess.call(test, shell=True, env=self.environment(name), stdout=log, stderr=log) == 0

    def environment(self, name: str) -> dict[str, str]:
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "_AIRFLOW"))}
        port = str(self.ports.get(name, 0))
        here = {
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": port,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": port,
            "HOSTNAME": name,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "no_proxy": "127.0.0.1",
        }
        return outside | self.services[name].get("environment", {}) | here

    def command(self, name: str) -> list[str]:
        """The file's, on a port of our own; later options win."""
        port = str(self.ports.get(name, 0))
        if name == "postgres":
            return self.postgres(port)
        if name == "redis":
            return ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", str(self.home)]
        here = {"aep-emulator": ["--host", "127.0.0.1", "--port", port]}
        here["api-server"] = here["aep-emulator"]
        here |= {worker: ["--celery-hostname", worker] for worker in WORKERS}
        return shlex.split(self.services[name]["command"]) + here.get(name, [])

    def postgres(self, port: str) -> list[str]:
        """Make the database that the image would make from its environment."""
        wanted = self.services["postgres"]["environment"]
        found = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
        if not found:
            raise ClusterError("PostgreSQL's initdb is missing (on Debian and Ubuntu: apt install postgresql)")
        server, data = str(Path(found).with_name("postgres")), self.home / "postgres"
        data.mkdir()
        if user := self.postgres_user():
            shutil.chown(data, user)
        password = data.with_name("password")
        password.write_text(wanted["POSTGRES_PASSWORD"])
        owner = ["-U", wanted["POSTGRES_USER"], "--auth=scram-sha-256", f"--pwfile={password}"]
        create = f"CREATE DATABASE {wanted['POSTGRES_DB']}\n"
        with (self.home / "initdb.log").open("wb") as log:
            for command in ([found, "-D", str(data), *owner], [server, "--single", "-D", str(data), "postgres"]):
                subprocess.run(command, input=create.encode(), user=user, stdout=log, stderr=log, check=True)
        return [server, "-D", str(data), "-h", "127.0.0.1", "-p", port, "-k", str(data)]

    @staticmethod
    def postgres_user() -> str | None:
        """PostgreSQL refuses to run as root."""
        return None if os.geteuid() else "postgres"

    def service_of(self, pid: int | None) -> str | None:
        """Whose process it is."""
        try:
            session = os.getsid(pid) if pid else None
        except ProcessLookupError:
            return None
        return next((name for name, process in self.processes.items() if process.pid == session), None)

    def kill(self, name: str) -> None:
        """End a service as the loss of its machine would: all its processes at once, with SIGKILL."""
        process = self.processes.pop(name)
        # Until it is waited for, no other process gets its id.
        while groups := groups_of(process.pid):
            for group in groups:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            time.sleep(0.05)
        process.wait()

    def down(self) -> None:
        """End all, what depends on others first."""
        for name, process in reversed(list(self.processes.items())):
            if process.returncode is None:
                process.terminate()
                deadline = time.monotonic() + 10
                # Its id is kept: kill ends what it may leave.
                while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.1)
                self.kill(name)


class Api:
    """What a user does through Airflow's REST API."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self.http.headers["Authorization"] = f"Bearer {self.ask('GET', '/auth/token')['access_token']}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        return self.http.request(method, path, **options).raise_for_status().json()

    def known(self, dag_id: str) -> bool | None:
        return True if self.http.get(f"/api/v2/dags/{dag_id}").status_code == 200 else None

    def unpause(self, dag_id: str) -> None:
        self.ask("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Returns the path of the run."""
        runs = f"/api/v2/dags/{dag_id}/dagRuns"
        return f"{runs}/{self.ask('POST', runs, json={'conf': conf, 'logical_date': None})['dag_run_id']}"

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        return {task["task_id"]: task for task in self.ask("GET", f"{run}/taskInstances")["task_instances"]}


def lose_a_worker(cluster: Cluster, api: Api) -> None:
    """Run the DAG, kill the worker of ``TASK`` amid it, and check that the other one did it again."""
    until(lambda: api.known(DAG), f"DAG {DAG}", 60)
    api.unpause(DAG)
    run = api.trigger(DAG, CONF)
    say(f"Triggered {DAG}")

    def busy() -> tuple[str, dict[str, Any]] | None:
        task = api.tasks(run)[TASK]
        worker = cluster.service_of(task["pid"]) if task["state"] == "running" else None
        return (worker, task) if worker else None

    until(busy, f"{TASK} runs", 180)
    time.sleep(5)  # let it poke a few times
    lost, task = until(busy, f"{TASK} still runs", 1)
    cluster.kill(lost)
    say(f"Killed {lost} during try {task['try_number']} of {TASK}, process {task['pid']}")
    if (state := api.tasks(run)[TASK]["state"]) != "running":
        raise ClusterError(f"The kill came too late: {TASK} was {state}")

    observation: list[tuple[int, str, str | None]] = []

    def ended() -> str | None:
        task = api.tasks(run)[TASK]
        now = (task["try_number"], task["state"], cluster.service_of(task["pid"]))
        if now not in observation:
            observation.append(now)
            say(f"{TASK}: try {now[0]} is {now[1]}" + (f" on {now[2]}" if now[2] else ""))
        state: str = api.ask("GET", run)["state"]
        return state if state in {"success", "failed"} else None

    state = until(ended, "the end of the DAG run", 240)
    tasks = api.tasks(run)
    for name, task in tasks.items():
        say(f"{name}: {task['state']} at try {task['try_number']}")
    say(f"{DAG}: {state}")
    if {state, *(task["state"] for task in tasks.values())} != {"success"}:
        raise ClusterError("Not all is a success")
    if not any(number > 1 and where and where != lost for number, _, where in observation):
        raise ClusterError(f"Nobody saw {TASK} run again on another worker")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("docker-compose.yaml"), help="beside it the folder dags")
    parser.add_argument("--keep", action="store_true", help="leave the logs")
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="cluster-"))
    home.chmod(0o711)  # PostgreSQL's user has to get through
    cluster = Cluster(given.file, home)
    try:
        cluster.up()
        lose_a_worker(cluster, Api(f"http://127.0.0.1:{cluster.ports['api-server']}"))
    except ClusterError as e:
        say(f"FAILED: {e}. Logs are in {home}")
        return 1
    finally:
        cluster.down()
    if not given.keep:
        shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
