"""Clocks: the client reads the time and sleeps through a clock, which tests replace with :class:`ManualClock`."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A source of the current time that can also sleep."""

    def now(self) -> float:
        """Return the seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Block the thread for a number of seconds."""

    async def asleep(self, seconds: float) -> None:
        """Suspend the coroutine for a number of seconds."""


class SystemClock:
    """The clock of the operating system."""

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block the thread for a number of seconds."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Suspend the coroutine for a number of seconds."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()


class ManualClock:
    """A clock for tests: to sleep moves it forward and takes no time.

    :param now: start in seconds since the epoch; default 2026-01-01 00:00 UTC
    """

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        """Start the clock, with an empty list of sleeps."""
        self._now = now
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock forward by a number of seconds, and record it in ``slept``."""
        self.slept.append(seconds)
        self._now += seconds

    async def asleep(self, seconds: float) -> None:
        """Move the clock forward, and let other coroutines run."""
        self.sleep(seconds)
        await asyncio.sleep(0)
