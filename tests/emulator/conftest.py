"""Fixtures: a plain HTTP client of an emulator, and all objects that a flow needs."""

import pytest
from plain_http import Onboarding, Plain


@pytest.fixture
def aep(emulator):
    plain = Plain(emulator)
    yield plain
    plain.http.close()


@pytest.fixture
def onboarding(aep):
    return Onboarding(aep)
