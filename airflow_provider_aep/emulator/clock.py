"""The emulator's time: the machine's, or one that stands still until it is told to go on."""

from __future__ import annotations

import threading
import time


class Clock:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self._frozen: float | None = None
        self._lock = threading.Lock()

    @property
    def frozen(self) -> bool:
        return self._frozen is not None

    def now(self) -> float:
        with self._lock:
            return time.time() if self._frozen is None else self._frozen

    def freeze(self, at: float | None = None) -> None:
        """Stand still, now or at a moment."""
        with self._lock:
            self._frozen = (time.time() if self._frozen is None else self._frozen) if at is None else at

    def thaw(self) -> None:
        """Follow the machine's time again."""
        with self._lock:
            self._frozen = None
