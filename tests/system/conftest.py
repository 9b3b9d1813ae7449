"""One Airflow for all tests that need its processes."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from emulators import Emulator
from real_airflow import RealAirflow, whole_airflow

from airflow_provider_aep.demo.environment import LOGIN
from airflow_provider_aep.systems import SYSTEMS

LOGGED_IN_FULL = ("airflow.sdk", "airflow.task", "airflow_provider_aep", "httpcore", "httpx", "supervisor", "task")
CREATION_GRACE_PERIOD = 8
"""Seconds, instead of the default, that a lost create may still appear in the emulator's lists.

It does so after two seconds; the rest is for a slow machine.
"""


SLOW = ("test_demo.py", "test_pytest_plugin.py", "test_storm.py", "test_soak.py", "test_long_waits.py")


def _rank(item: pytest.Item) -> int:
    """Return the place of a test in the order: long ones come first, so that no process ends long after the others."""
    if "airflow" in getattr(item, "fixturenames", ()):
        return 0
    return 1 if item.path.name in SLOW or "commands" in getattr(item, "fixturenames", ()) else 2


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the Airflow in two processes, and start them first: they take longest.

    All tests that use the connections of the example DAGs run in one of them, one after the other.
    """
    for item in items:
        if "airflow" in (fixtures := {*getattr(item, "fixturenames", ())}):
            group = "example connections" if fixtures & {"connected", "canary_connections"} else "own connections"
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealAirflow, None, None]:
    """The Airflow of the session.

    Each test has its DAG ids, and connections to its emulator. A test that kills a component starts it again.
    """
    # xdist gives each process a folder in that of the session.
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    environment = {
        "AIRFLOW__AEP__CREATION_GRACE_PERIOD": str(CREATION_GRACE_PERIOD),
        # What is logged is searched for secrets. Everything at DEBUG would cost as much as the tests.
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": " ".join(f"{name}=DEBUG" for name in LOGGED_IN_FULL),
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
        # A scheduler that misses a killed supervisor for five minutes, the default, makes a long test.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        # Neither should another triggerer take half a minute to take over from a killed one.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    }
    with whole_airflow(shared / "airflow", **environment) as running:
        for system in SYSTEMS:
            running.connect(f"aep_{system.replace('-', '_')}", LOGIN, replace=False)
        yield running


@pytest.fixture
def connected(airflow: RealAirflow, emulator: Emulator) -> Iterator[Emulator]:
    """The emulator behind the connection ``aep_default``, for the example DAGs."""
    airflow.connect("aep_default", emulator.connection())
    yield emulator
    airflow.ask("DELETE", "/connections/aep_default")


@pytest.fixture
def examples() -> Any:
    """Read example DAGs: ``examples("aep_monitor")`` is ``{"aep_monitor.py": text}``."""
    folder = Path(__file__).parents[2] / "dags"
    return lambda *names: {f"{name}.py": (folder / f"{name}.py").read_text() for name in names}
