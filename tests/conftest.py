"""A real emulator on a real port, for every test that asks for one, and an Airflow that is nobody's."""

from __future__ import annotations

import json
import os
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
from emulators import ENDING, Emulator, emulators

from airflow_provider_aep.onboarding.systems import SYSTEMS


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, since tests mostly wait; at most four, for the sake of memory."""
    return min((os.cpu_count() or 1) + 1, 4)


@pytest.fixture(scope="session", autouse=True)
def emulators_end_well() -> Iterator[None]:
    """Said at the last test, with the folder of the test whose emulator did not."""
    yield
    wrong = {str(folder): error for folder, ending in ENDING.items() if (error := ending.exception())}
    assert not wrong


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
