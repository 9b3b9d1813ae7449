"""The pytest fixture ``aep_emulator`` and its marker. The module imports nothing heavy until a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from aep_emulator.core.world import World
    from aep_emulator.testing import AepEmulator

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker ``aep_emulator``."""
    config.addinivalue_line(
        "markers",
        "aep_emulator(**options): start a separate emulator for this test, with the options of "
        "aep_emulator.core.options.Options, and with source_data (a folder)",
    )


def _world(lake: Path, source_data: Path | None = None, **options: Any) -> World:
    from aep_emulator.core.options import Options
    from aep_emulator.core.store import Store
    from aep_emulator.core.world import World
    from aep_emulator.engine.source_data import Sources, sample_sources

    settings = {"run_delay": 0.0, "lake": lake, "strict": True, "seed": 0, **options}
    return World(Store(None), Sources(source_data) if source_data else sample_sources(), Options(**settings))


@pytest.fixture(scope="session")
def _aep_emulator_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AepEmulator]:
    from aep_emulator.server import running
    from aep_emulator.testing import AepEmulator

    lake = tmp_path_factory.mktemp("aep-lake")
    world = _world(lake)
    with running(world) as url:
        yield AepEmulator(url, world, lake)


@pytest.fixture
def aep_emulator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AepEmulator]:
    """Yield an empty, strict and seeded emulator whose flow runs are due at once.

    The test fails if it adds a fault that never fires.
    """
    from aep_emulator.core.options import Credential
    from aep_emulator.server import running
    from aep_emulator.testing import AepEmulator

    with ExitStack() as stack:
        if marker := request.node.get_closest_marker("aep_emulator"):
            world = _world(tmp_path / "aep-lake", **marker.kwargs)
            emulator = AepEmulator(stack.enter_context(running(world)), world, tmp_path / "aep-lake")
        else:
            emulator = request.getfixturevalue("_aep_emulator_server")
            emulator.reset()
            # A client may still hold a token of an earlier test, so each test has its own credential.
            credential = Credential(f"test-{next(_numbers)}", "emulator-secret")
            emulator.world.credentials = {credential.client_id: credential}
        yield emulator
        unfired = emulator.unfired()
        emulator.world.clock.thaw()
    if unfired:
        pytest.fail(f"These faults never fired, so the test did not show their effect: {'; '.join(unfired)}")
