"""An emulator, a plain HTTP client of it, and everything that a flow needs."""

import socket

import pytest
from plain_http import Onboarding, Plain


@pytest.fixture
def aep(emulator):
    plain = Plain(emulator)
    yield plain
    plain.http.close()


@pytest.fixture
def port():
    """One that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def onboarding(aep):
    return Onboarding(aep)
