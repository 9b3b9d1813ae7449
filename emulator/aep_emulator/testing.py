"""An emulator that runs in the process of a test: what a test can do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aep_emulator.control import snapshots
from aep_emulator.core.faults import Rule
from aep_emulator.core.http import READS_BY_POST
from aep_emulator.core.world import World
from aep_emulator.engine.scheduler import advance


class AepEmulator:
    """A running emulator.

    :param url: the URL of IMS and of the platform
    :param lake: the folder of ingested files: ``<org>/<sandbox>/<dataset id>/<batch id>.parquet``
    """

    def __init__(self, url: str, world: World, lake: Path) -> None:
        self.url, self.world, self.lake = url, world, lake

    # -- what happened ----------------------------------------------------------------------------------------------

    def requests(
        self, operation: str = "*", *, method: str = "*", sandbox: str = "*", status: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the journal, the oldest request first.

        ``*`` in a text matches anything: ``requests("POST */flows")``.
        """
        return self.world.store.journal(operation=operation, method=method, sandbox=sandbox, status=status)

    def writes(self) -> list[str]:
        """Return the operations that can change something, without token requests."""
        return [
            e["operation"]
            for e in self.requests()
            if e["method"] != "GET" and e["operation"] != "POST token" and not e["operation"].endswith(READS_BY_POST)
        ]

    # -- what is to happen ------------------------------------------------------------------------------------------

    def fault(self, operation: str, do: str, **rule: Any) -> None:
        """Add a fault rule, as ``POST /_emulator/faults`` does.

        :raises pydantic.ValidationError: the rule is invalid
        """
        self.world.faults.add(Rule.model_validate({"operation": operation, "do": do, **rule}))

    def unfired(self) -> list[str]:
        """Return the rules that never fired: the test did not show their effect."""
        return [f"{r['do']} at {r['operation']}" for r in self.world.faults.report() if not r["fired"]]

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock. Nothing happens until it moves.

        :param at: seconds since the epoch; default: now
        """
        with self.world.commanding, self.world.stepping:
            self.world.clock.freeze(at)

    def advance(self, seconds: float) -> None:
        """Advance the frozen clock. Every event on the way happens at its due time.

        :raises ValueError: the clock is not frozen
        """
        if not self.world.clock.frozen:
            raise ValueError("Only a frozen clock can be advanced: freeze() it first")
        advance(self.world, seconds)

    def thaw(self) -> None:
        """Return to the machine's time."""
        self.world.clock.thaw()

    # -- state ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as a document that can be committed."""
        return snapshots.taken(self.world)

    def load(self, document: dict[str, Any]) -> None:
        """Replace the whole state by a snapshot.

        :raises BadSnapshot: the document is invalid, or of a newer emulator
        """
        snapshots.restore(self.world, document)

    def reset(self) -> None:
        """Delete all objects, data, tokens, faults and requests."""
        self.world.reset()
