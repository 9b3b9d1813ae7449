"""A real emulator on a real port, for every test that asks for one, and an Airflow that is nobody's."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Airflow reads its environment when it is imported, so these come first.
for _name in [n for n in os.environ if n.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"  # lets a test call an operator's execute
os.environ["AIRFLOW__LOGGING__COLORED_CONSOLE_LOG"] = "False"  # Airflow 3.1.0 colours a pipe, too

import pytest
from airflow_forks import IMPORTED_BY_TASKS, Airflow, airflow_in
from emulators import Emulator, emulators

from airflow_provider_aep.systems import SYSTEMS


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, since tests mostly wait; at most four, for the sake of memory."""
    return min((os.cpu_count() or 1) + 1, 4)


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests that use ``commands`` in the process that has it."""
    for item in items:
        if "commands" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("commands"))


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """Airflow's commands, without the ten seconds that each of them imports Airflow."""
    with airflow_in(tmp_path_factory.mktemp("commands"), *IMPORTED_BY_TASKS) as forks:
        yield forks


MASKERS = (
    "airflow._shared.secrets_masker.secrets_masker",
    "airflow.sdk._shared.secrets_masker.secrets_masker",
    "airflow.sdk.execution_time.secrets_masker",  # before Airflow 3.2
)


@pytest.fixture(autouse=True)
def forget_secrets() -> Iterator[None]:
    """Let Airflow forget the secrets of a test. It compiles all that it knows into one pattern with each new one."""
    yield
    for name in MASKERS:
        if masker := getattr(sys.modules.get(name), "_secrets_masker", None):
            masker().patterns, masker().replacer = set(), None


@pytest.fixture
def make_emulator(tmp_path: Path) -> Iterator[Any]:
    with emulators(tmp_path) as make:
        yield make


@pytest.fixture
def emulator(request: pytest.FixtureRequest, make_emulator: Any) -> Emulator:
    """Indirect parameters are its options."""
    return make_emulator(**getattr(request, "param", {}))


SOURCE = {"conn_type": "http", "host": "https://x.service-now.com", "login": "u", "password": "source-password"}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``connect(emulator, **changes)`` sets ``aep_default``, and a login for each system, and ``aep_source``."""

    def set_connections(emulator: Emulator, source: dict[str, Any] | None = None, **changes: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AEP_DEFAULT", json.dumps(emulator.connection(**changes)))
        for system in ("source", *SYSTEMS):
            name = f"AIRFLOW_CONN_AEP_{system.replace('-', '_').upper()}"
            monkeypatch.setenv(name, json.dumps({**SOURCE, **(source or {})}))

    return set_connections
