"""A whole Airflow: API server, scheduler, DAG processor, triggerer and a metadata database of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from tasks import MAPPINGS, NAMES, run

from airflow_provider_aep.emulator.demo import airflow_environment
from airflow_provider_aep.onboarding import wait as engine
from airflow_provider_aep.operators.flow import AepCreateMappingSetOperator, AepGetFlowSpecOperator
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)

DAGS = Path(__file__).parents[2] / "dags"


class RealAirflow:
    """What a user does through the API."""

    def __init__(self, url: str, home: Path, output: Path) -> None:
        self.url, self.home, self.output = url, home, output
        self._http = httpx.Client(base_url=f"{url}/api/v2", trust_env=False, timeout=60)

    def log_in(self) -> None:
        token = httpx.get(f"{self.url}/auth/token", trust_env=False).raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        return self._http.request(method, path, **options).raise_for_status().json()

    def run(self, dag_id: str, conf: dict[str, Any], seconds: float = 120) -> tuple[str, dict[str, str]]:
        """Trigger a DAG; returns its end state and the states of its tasks."""
        made = self.ask("POST", f"/dags/{dag_id}/dagRuns", json={"conf": conf, "logical_date": None})
        path = f"/dags/{dag_id}/dagRuns/{made['dag_run_id']}"
        deadline = time.monotonic() + seconds
        while (state := self.ask("GET", path)["state"]) not in {"success", "failed"}:
            assert time.monotonic() < deadline, f"{dag_id} is still {state}; see {self.output}"
            time.sleep(0.5)
        return state, {t["task_id"]: t["state"] for t in self.ask("GET", f"{path}/taskInstances")["task_instances"]}

    def until_ready(self, dag_id: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until all components are healthy and the DAG is there."""
        deadline = time.monotonic() + 120
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


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def airflow_of(emulator: Any, home: Path, dag_id: str, **environment: str) -> Generator[RealAirflow, None, None]:
    """``airflow standalone``, ended with all its children at the end of the block.

    :param dag_id: a DAG that must be there before it begins
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    env = airflow_environment(home, DAGS, emulator.url, emulator.world.options) | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # it calls ``airflow`` by name
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__API__WORKERS": "1",
        **environment,
    }
    env = {k: v for k, v in env.items() if v}
    output = home / "standalone.log"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"], env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        airflow = RealAirflow(url, home, output)
        airflow.until_ready(dag_id, process)
        yield airflow
    finally:
        for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
            _signal_group(process.pid, number)
            deadline = time.monotonic() + patience
            while _signal_group(process.pid, 0) and time.monotonic() < deadline:
                process.poll()
                time.sleep(0.1)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def start_airflow(tmp_path: Path) -> Any:
    def start(emulator: Any, dag_id: str = "aep_customer_success_onboarding", **environment: str) -> Any:
        home = tmp_path / "airflow"
        home.mkdir()
        return airflow_of(emulator, home, dag_id, **environment)

    return start


@pytest.fixture
def aep(emulator, connect, monkeypatch):
    """The emulator behind ``aep_default``; what is not there is not waited for."""
    connect(emulator)
    monkeypatch.setattr(engine, "FRESH_WAITS", ())
    return emulator


@pytest.fixture
def parts(aep):
    """Everything up to the flow."""
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    columns = run(AepExploreOperator, base_connection_id=base, table="customer_contact")
    table = {"base_connection_id": base, "table": "customer_contact", "columns": columns}
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    mapping = {"schema_id": schema, "mappings": MAPPINGS, "columns": columns}
    return {
        "base": base,
        "columns": columns,
        "schema": schema,
        "dataset": dataset,
        "source_connection_id": run(AepCreateSourceConnectionOperator, name=NAMES.source, **table),
        "target_connection_id": run(AepCreateTargetConnectionOperator, name=NAMES.target, dataset_id=dataset),
        "mapping_set": run(AepCreateMappingSetOperator, name=NAMES.mapping, **mapping),
        "flow_spec": run(AepGetFlowSpecOperator),
    }


_LOGGED = re.compile(
    r"\{\S+\} (?P<old>[A-Z]+) - (?P<old_text>.+)"  # Airflow 3.0
    r"|\[(?P<level>[a-z]+) *\] (?P<text>.+?) *(?:\[airflow\S+\].*)?$"  # Airflow 3.1 and later
)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[tuple[str, str]]]:
    """What was logged since the last call, as pairs of level and text."""

    def read() -> list[tuple[str, str]]:
        lines = [found for line in capsys.readouterr().out.splitlines() if (found := _LOGGED.search(line))]
        return [((f["old"] or f["level"]).lower(), f["old_text"] or f["text"]) for f in lines]

    return read
