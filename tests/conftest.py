"""A real emulator on a real port, for every test that asks for one, and an Airflow that is nobody's."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

# Airflow reads its environment when it is imported, so these come first.
for _name in [n for n in os.environ if n.startswith(("AIRFLOW", "_AIRFLOW"))]:
    del os.environ[_name]
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"  # lets a test call an operator's execute
os.environ["AIRFLOW__LOGGING__COLORED_CONSOLE_LOG"] = "False"  # Airflow 3.1.0 colours a pipe, too

import pytest

from airflow_provider_aep.client.auth import SHARED_TOKENS, TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.emulator.server import running
from airflow_provider_aep.emulator.service import Options, World
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.tables import Sources, sample_data
from airflow_provider_aep.emulator.testing import AepEmulator
from airflow_provider_aep.onboarding.systems import SYSTEMS


class Emulator(AepEmulator):
    """A running emulator, and our client of it."""

    @property
    def state(self) -> Path:
        """The file that its state is in."""
        return self.lake.with_name(f"{self.lake.name}-state.db")

    def settings(self, **changes: Any) -> AepSettings:
        options = self.world.options
        return AepSettings.checked(
            **{
                "client_id": options.client_id,
                "client_secret": options.client_secret,
                "org_id": options.org_id,
                "sandbox": "dev",
                "platform_url": self.url,
                "ims_url": self.url,
                **changes,
            }
        )

    def client(self, **changes: Any) -> AepClient:
        return AepClient(self.settings(**changes), tokens=TokenCache())


@pytest.fixture
def make_emulator(tmp_path: Path) -> Iterator[Any]:
    """Start an emulator with options; its runs are due at once unless ``run_delay`` says otherwise.

    It runs in the test's process: coverage sees it, and a test may look into its world.
    """
    numbers = count()
    with ExitStack() as stack:

        def make(source_data: Path | None = None, **options: Any) -> Emulator:
            SHARED_TOKENS._tokens.clear()  # it may get the port of an earlier one
            number = next(numbers)  # each has a state of its own
            lake = tmp_path / f"lake{number}"
            world = World(
                Store(lake.with_name(f"{lake.name}-state.db")),
                Sources(source_data or sample_data()),
                replace(Options(run_delay=0.0, lake=lake, strict=True), **options),
            )
            return Emulator(stack.enter_context(running(world)), world, lake)

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
