"""The world that requests act on: state, source systems, options, clock and faults."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from aep_emulator.core.clock import Clock
from aep_emulator.core.faults import Faults
from aep_emulator.core.http import Reply
from aep_emulator.core.options import Options
from aep_emulator.core.store import Scope, Store
from aep_emulator.core.switches import choices


class SourceSystems(Protocol):
    """The source systems behind all connectors; see :class:`aep_emulator.engine.source_data.Sources`."""

    def of(self, connector: str) -> Any:
        """Return the tables of a connector."""

    def files_of(self, connector: str) -> Any:
        """Return the files of a cloud storage."""


@dataclass
class World:
    """The state, source systems, options, clock and faults of one emulator."""

    store: Store
    sources: SourceSystems
    options: Options
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    postponed: list[tuple[float, Callable[[], Reply]]] = field(default_factory=list)
    """Postponed operations: time and call."""

    stepping: threading.Lock = field(default_factory=threading.Lock)
    """Held while due events are executed."""

    commanding: threading.RLock = field(default_factory=threading.RLock)
    """Held while the clock moves or the state is replaced; acquired before ``stepping``."""

    def __post_init__(self) -> None:
        self.store.now = self.clock.now
        self.store.seed = self.options.seed
        self.choices = choices(list(self.options.assume))
        self.credentials = self.options.credentials()

    def later(self, at: float, act: Callable[[], Reply]) -> None:
        """Postpone a call until the clock reaches ``at``."""
        self.postponed.append((at, act))

    def reset(self) -> None:
        """Return to the initial state: no objects, data, tokens, requests or faults, and the machine's time."""
        with self.commanding, self.stepping:
            for scope, dataset in self.store.everywhere("dataSets"):
                if folder := self.lake_of(scope, dataset["id"]):
                    shutil.rmtree(folder, ignore_errors=True)
            self.store.clear()
            self.faults.clear()
            self.postponed.clear()
            self.clock.thaw()

    def lake_of(self, scope: Scope, dataset_id: str) -> Path | None:
        """Return the folder of a dataset's Parquet files; ``None`` if the emulator only counts rows."""
        known = scope.sandbox in self.options.sandbox_states() and re.fullmatch(r"[0-9a-f]{24}", dataset_id)
        if not self.options.lake or not known:
            return None
        org = re.sub(r"[^A-Za-z0-9]+", "-", scope.org).strip("-")
        return self.options.lake / org / scope.sandbox / dataset_id

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def now_ms(self) -> int:
        """Return the current time in milliseconds."""
        return int(self.clock.now() * 1000)

    def new_hex(self, stream: str = "") -> str:
        """Return 32 hexadecimal digits that were never used before.

        :param stream: with a seed, each stream is reproducible independently of the others
        """
        return self.store.draw(stream)

    def new_id(self, stream: str = "") -> str:
        """Return a new UUID."""
        raw = self.new_hex(stream)
        return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}"

    def new_etag(self) -> str:
        """Return a new etag. Its quotes are part of the value, as in Flow Service."""
        raw = self.new_hex()
        return f'"{raw[:8]}-0000-0200-0000-{raw[8:16]}0000"'
