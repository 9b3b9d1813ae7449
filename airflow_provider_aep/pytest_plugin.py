"""The fixture ``aep_emulator``, which pytest finds once this package is installed; it imports nothing until it is used.

It needs the extra ``emulator``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_aep.emulator.service import World
    from airflow_provider_aep.emulator.testing import AepEmulator

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "aep_emulator(**options): an emulator of this test's own, with options of "
        "airflow_provider_aep.emulator.service.Options, and source_data (a folder)",
    )


def _world(lake: Path, source_data: Path | None = None, **options: Any) -> World:
    from airflow_provider_aep.emulator.service import Options, World
    from airflow_provider_aep.emulator.store import Store
    from airflow_provider_aep.emulator.tables import Sources, sample_sources

    settings = {"run_delay": 0.0, "lake": lake, "strict": True, "seed": 0, **options}
    return World(Store(None), Sources(source_data) if source_data else sample_sources(), Options(**settings))


@pytest.fixture(scope="session")
def _aep_emulator_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AepEmulator]:
    from airflow_provider_aep.emulator.server import running
    from airflow_provider_aep.emulator.testing import AepEmulator

    lake = tmp_path_factory.mktemp("aep-lake")
    world = _world(lake)
    with running(world) as url:
        yield AepEmulator(url, world, lake)


@pytest.fixture
def aep_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[AepEmulator]:
    """A fresh, strict and seeded AEP, known to Airflow as ``aep_default``; runs are due at once.

    The test fails if a fault that it asked for never fired.
    """
    from airflow_provider_aep.emulator.server import running
    from airflow_provider_aep.emulator.service import Credential
    from airflow_provider_aep.emulator.testing import AepEmulator
    from airflow_provider_aep.onboarding.systems import SYSTEMS

    with ExitStack() as stack:
        marker = request.node.get_closest_marker("aep_emulator")
        if marker:
            world = _world(tmp_path / "aep-lake", **marker.kwargs)
            emulator = AepEmulator(stack.enter_context(running(world)), world, tmp_path / "aep-lake")
        else:
            emulator = request.getfixturevalue("_aep_emulator_server")
            emulator.reset()
            # A credential of its own, as a token of an earlier test may still be kept by a hook.
            mine = Credential(f"test-{next(_numbers)}", "emulator-secret")
            emulator.world.credentials = {mine.client_id: mine}
        for name, value in emulator.environment(tuple(SYSTEMS)).items():
            monkeypatch.setenv(name, value)
        yield emulator
        unfired = emulator.unfired()
        emulator.world.clock.thaw()
    if unfired:
        pytest.fail(f"a fault never fired, so this test has not shown what happens then: {'; '.join(unfired)}")
