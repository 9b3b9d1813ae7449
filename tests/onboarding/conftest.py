"""A client on a clock that does not pass by itself, and one whose clock is the emulator's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.clock import ManualClock


class Clock(ManualClock):
    """Does something while somebody sleeps."""

    def __init__(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.meanwhile()


@pytest.fixture
def aep(emulator: Any) -> Iterator[AepClient]:
    with AepClient(emulator.settings(), tokens=TokenCache(), clock=Clock()) as client:
        yield client


class SharedClock(ManualClock):
    """The emulator's frozen clock, which each sleep moves on."""

    def __init__(self, emulator: Any) -> None:
        super().__init__()
        self._emulator = emulator

    def now(self) -> float:
        return self._emulator.world.clock.now()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._emulator.advance(seconds)


@pytest.fixture
def shared_clock(emulator: Any) -> Callable[[], SharedClock]:
    return lambda: SharedClock(emulator)


@pytest.fixture
def virtual(emulator: Any, shared_clock: Any) -> Iterator[AepClient]:
    """A client that moves the emulator's frozen clock on when it sleeps."""
    emulator.freeze()
    with AepClient(emulator.settings(), tokens=TokenCache(), clock=shared_clock()) as client:
        yield client
