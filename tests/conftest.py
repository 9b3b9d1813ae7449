"""A real emulator on a real port, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.emulator.server import running
from airflow_provider_aep.emulator.service import Options, World
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.tables import Tables, sample_data


@dataclass
class Emulator:
    """A running emulator and what a test wants to know of it."""

    url: str
    world: World
    lake: Path

    def journal(self) -> list[dict[str, Any]]:
        return self.world.store.journal()

    def writes(self) -> list[str]:
        """Operations that were not reads, apart from the token."""
        return [e["operation"] for e in self.journal() if e["method"] != "GET" and e["operation"] != "POST token"]

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
    with ExitStack() as stack:

        def make(source_data: Path | None = None, **options: Any) -> Emulator:
            lake = tmp_path / "lake"
            world = World(
                Store(tmp_path / "state.db"),
                Tables(source_data or sample_data()),
                replace(Options(run_delay=0.0, lake=lake), **options),
            )
            return Emulator(stack.enter_context(running(world)), world, lake)

        yield make


@pytest.fixture
def emulator(make_emulator: Any) -> Emulator:
    return make_emulator()
