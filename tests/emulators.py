"""Emulators that serve HTTP in the process of a test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from aep_emulator.core.options import Options
from aep_emulator.core.store import Store
from aep_emulator.core.world import World
from aep_emulator.engine.source_data import Sources, sample_sources
from aep_emulator.server import running
from aep_emulator.testing import AepEmulator
from airflow_provider_aep.client.auth import SHARED_TOKENS, TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.testing import connection


class Emulator(AepEmulator):
    """A running emulator, with the provider's client of it."""

    @property
    def state(self) -> Path:
        """The file of its state."""
        return self.lake.with_name(f"{self.lake.name}-state.db")

    def connection(self, **changes: Any) -> dict[str, Any]:
        """Return an Airflow connection to this emulator; see :func:`airflow_provider_aep.testing.connection`."""
        return connection(self, **changes)

    def settings(self, **changes: Any) -> AepSettings:
        options = self.world.options
        return AepSettings.from_fields(
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


@contextmanager
def emulators(folder: Path) -> Generator[Any, None, None]:
    """Yield a function that starts emulators with options; the default of ``run_delay`` is 0.

    They run in the test's process: coverage measures them, and a test can read their worlds.
    """
    numbers = count()
    with ExitStack() as stack:

        def make(source_data: Path | None = None, **options: Any) -> Emulator:
            SHARED_TOKENS._tokens.clear()  # the emulator may get the port of an earlier one
            number = next(numbers)  # each emulator has its own state
            lake = folder / f"lake{number}"
            world = World(
                Store(lake.with_name(f"{lake.name}-state.db")),
                Sources(source_data) if source_data else sample_sources(),
                replace(Options(run_delay=0.0, lake=lake, strict=True), **options),
            )
            return Emulator(stack.enter_context(running(world)), world, lake)

        yield make
