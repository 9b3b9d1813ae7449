"""State transitions of objects: transitional states, and when they end."""

from __future__ import annotations

from typing import Any

from aep_emulator.core.world import World

Body = dict[str, Any]


def transition(world: World, body: Body, passing: str, final: str | None) -> None:
    """Give an object its final state; if the emulator has a transition time, give it a transitional state first.

    :param passing: the transitional state
    :param final: the final state; ``None``: the object is deleted
    """
    notes = body.setdefault("_emulator", {})
    if not world.options.transition:
        body["state"] = final
        return
    body["state"] = passing
    notes["settles"] = {"at": world.clock.now() + world.options.transition, "state": final}


def schedule(world: World, body: Body) -> None:
    """Store when the next event of an object is due: the end of a transition, or a flow run."""
    notes = body.setdefault("_emulator", {})
    moments = [notes["settles"]["at"]] if "settles" in notes else []
    if body["state"] == "enabled" and notes.get("nextRunAt") is not None:
        moments.append(notes["nextRunAt"] + world.options.run_delay)
    notes["due"] = min(moments, default=None)
