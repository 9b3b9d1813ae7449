"""The scheduler: it executes due events while the clock runs, and advances a frozen clock from event to event."""

from __future__ import annotations

import logging
import threading

from aep_emulator.core.errors import Refusal
from aep_emulator.core.store import Scope
from aep_emulator.core.world import World
from aep_emulator.engine.runs import continue_run, open_next
from aep_emulator.engine.transitions import schedule

log = logging.getLogger(__name__)

_POLL = 0.2
"""Seconds between two searches for due events."""

_MOST_STEPS = 10_000
"""Maximum number of events of one call: the clock may jump over years."""


class Runner(threading.Thread):
    """A thread that executes due events while the clock runs. A frozen clock moves, and events happen, on request."""

    def __init__(self, world: World) -> None:
        super().__init__(name="flow-runs", daemon=True)
        self._world = world
        self._ended = threading.Event()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join(timeout=10)

    def run(self) -> None:
        """Execute due events until :meth:`stop`."""
        while not self._ended.wait(_POLL):
            if self._world.clock.frozen:
                continue
            try:
                step(self._world)
            except Exception:
                log.exception("The scheduler failed to execute due events; it tries again")


def step(world: World) -> None:
    """Execute everything that is due: postponed operations, ends of state transitions, runs."""
    with world.stepping:
        now = world.clock.now()
        for at, act in [p for p in world.postponed if p[0] <= now]:
            world.postponed.remove((at, act))
            try:
                act()
            except Refusal as refusal:
                log.warning("A postponed operation was refused with %s", refusal.status)
        for _ in range(_MOST_STEPS):
            due = world.store.due(now)
            for kind, scope, id_ in due:
                _execute(world, kind, scope, id_, now)
            if not due:
                return


def _execute(world: World, kind: str, scope: Scope, id_: str, now: float) -> None:
    """Execute the due event of one object; an error there does not affect other objects."""
    try:
        with world.store.drawing("runs"):
            if kind == "runs":
                continue_run(world, scope, id_)
            elif kind == "diagnostics":  # they have expired
                world.store.delete(kind, scope, id_)
            else:
                _end_transition_or_open(world, kind, scope, id_, now)
    except Exception:
        log.exception("The due event of %s %s failed; the object stays unchanged", kind, id_)
        world.store.park(kind, scope, id_)


def next_due(world: World) -> float | None:
    """Return the time of the next event in seconds since the epoch; ``None`` if there is none."""
    moments = [at for at, _ in world.postponed]
    if (due := world.store.next_due()) is not None:
        moments.append(due)
    return min(moments, default=None)


def _end_transition_or_open(world: World, kind: str, scope: Scope, id_: str, now: float) -> None:
    # Read in the transaction: a request may have changed the object since.
    with world.store.transaction():
        body = world.store.get(kind, scope, id_)
        if body is None:
            return
        notes = body["_emulator"]
        settles = notes.get("settles")
        if settles and settles["at"] <= now:
            del notes["settles"]
            if settles["state"] is None:
                world.store.delete(kind, scope, id_)
                return
            body["state"] = settles["state"]
            body["etag"] = body["version"] = world.new_etag()
        elif kind == "flows" and body["state"] == "enabled" and notes.get("nextRunAt") is not None:
            open_next(world, scope, body)
        schedule(world, body)
        world.store.put(kind, scope, id_, body)


def advance(world: World, seconds: float) -> None:
    """Advance a frozen clock from one due time to the next, by ``seconds`` in total."""
    with world.commanding:
        target = world.clock.now() + seconds
        before: float | None = None
        while (due := next_due(world)) is not None and due <= target and due != before:
            before = due
            world.clock.freeze(max(due, world.clock.now()))
            step(world)
        world.clock.freeze(target)
        step(world)
