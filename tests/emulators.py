"""Real emulators on real ports."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from airflow_provider_aep.client.auth import SHARED_TOKENS, TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.emulator.server import running
from airflow_provider_aep.emulator.service import Options, World
from airflow_provider_aep.emulator.store import Store
from airflow_provider_aep.emulator.tables import Sources, sample_sources
from airflow_provider_aep.emulator.testing import AepEmulator

ENDING: dict[Path, Future[None]] = {}
"""By folder: an emulator ends while the next test runs, since it takes an eighth of a second, and nearly every test has
one."""


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


@contextmanager
def emulators(folder: Path) -> Generator[Any, None, None]:
    """Start emulators with options; their runs are due at once unless ``run_delay`` says otherwise.

    They run in the test's process: coverage sees them, and a test may look into their worlds.
    """
    numbers = count()
    stack = ExitStack()

    def make(source_data: Path | None = None, **options: Any) -> Emulator:
        SHARED_TOKENS._tokens.clear()  # it may get the port of an earlier one
        number = next(numbers)  # each has a state of its own
        lake = folder / f"lake{number}"
        world = World(
            Store(lake.with_name(f"{lake.name}-state.db")),
            Sources(source_data) if source_data else sample_sources(),
            replace(Options(run_delay=0.0, lake=lake, strict=True), **options),
        )
        return Emulator(stack.enter_context(running(world)), world, lake)

    try:
        yield make
    finally:
        pool = ThreadPoolExecutor(1)  # of its own: a fork, as mutmut's, has none of its parent's threads
        ENDING[folder] = pool.submit(stack.close)
        pool.shutdown(wait=False)
