"""pytest plugin with the fixture ``aep_airflow``: an AEP emulator, and Airflow connections to it.

The fixture requires the extra ``emulator``. It imports the emulator only when a test uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aep_emulator.testing import AepEmulator


@pytest.fixture
def aep_airflow(aep_emulator: AepEmulator, monkeypatch: pytest.MonkeyPatch) -> AepEmulator:
    """Return an empty emulator. Set ``aep_default`` and a login for each source system as Airflow connections."""
    from airflow_provider_aep.systems import SYSTEMS
    from airflow_provider_aep.testing import environment

    for name, value in environment(aep_emulator, SYSTEMS).items():
        monkeypatch.setenv(name, value)
    return aep_emulator
