"""The emulator's clock: the machine's time, or a frozen time that tests move."""

from __future__ import annotations

import threading
import time


class Clock:
    """A clock in seconds since the epoch."""

    def __init__(self) -> None:
        self._frozen: float | None = None
        self._lock = threading.Lock()

    @property
    def frozen(self) -> bool:
        """Whether the time stands still."""
        return self._frozen is not None

    def now(self) -> float:
        """Return the current time."""
        with self._lock:
            return time.time() if self._frozen is None else self._frozen

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock, at the current time or at ``at``."""
        with self._lock:
            self._frozen = (time.time() if self._frozen is None else self._frozen) if at is None else at

    def thaw(self) -> None:
        """Return to the machine's time."""
        with self._lock:
            self._frozen = None
