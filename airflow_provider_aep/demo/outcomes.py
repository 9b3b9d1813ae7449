"""Outcomes of the demo's DAG run, derived from its events and from the emulator's objects and journal."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aep_emulator.core.store import Scope
from aep_emulator.core.world import World

LABELS = {
    "connections": "Base connection",
    "classes": "Class",
    "schemas": "Schema",
    "dataSets": "Dataset",
    "sourceConnections": "Source connection",
    "targetConnections": "Target connection",
    "mappingSets": "Mapping set",
    "flows": "Flow",
}
"""Label by resource type of the emulator."""


@dataclass(frozen=True)
class Outcome:
    """One object of the onboarding.

    :param action: ``created``, ``updated`` or ``unchanged``
    """

    label: str
    name: str
    action: str
    id: str


@dataclass
class Events:
    """Reader of the child process's events.

    :param file: see :mod:`airflow_provider_aep.demo.dag_run`
    :param read: the events that :meth:`new` has returned
    """

    file: Path
    read: list[dict[str, Any]] = field(default_factory=list)

    def new(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        lines = self.file.read_text().split("\n")[:-1] if self.file.exists() else []
        events = [json.loads(line) for line in lines[len(self.read) :]]
        self.read += events
        return events

    def result(self, task: str) -> Any:
        """Return the return value of a task; ``None`` if it did not succeed."""
        return next((e["result"] for e in self.read if e["task"] == task and e["state"] == "success"), None)

    @property
    def error(self) -> str:
        """The first line of the first error; empty without one."""
        return next((e["error"].split("\n")[0] for e in self.read if e["state"] == "failed"), "")


class Baseline:
    """The emulator's objects and journal before a DAG run.

    :param sandbox: the sandbox of the onboarding
    """

    def __init__(self, world: World, sandbox: str) -> None:
        """Record the ids of the objects and the end of the journal."""
        self._world, self._scope = world, Scope(world.options.org_id, sandbox)
        self._ids = {kind: {id_ for id_, _ in self._objects(kind)} for kind in LABELS}
        self._last = max((e["seq"] for e in world.store.journal()), default=0)

    def _objects(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        bodies = self._world.store.find(kind, self._scope)
        return [(str(body.get("id") or body.get("$id")), body) for body in bodies]

    def writes(self) -> list[dict[str, Any]]:
        """Return the journal's entries of write requests since the baseline, without token requests."""
        return [e for e in self._world.store.journal(self._last) if _is_write(e)]

    def outcomes(self, events: list[dict[str, Any]]) -> list[Outcome]:
        """Return the outcome of each object whose id a task returned, in the order of the tasks."""
        stored = {id_: (kind, body) for kind in LABELS for id_, body in self._objects(kind)}
        patched = [e["path"].rsplit("/", 1)[-1] for e in self.writes() if e["method"] in {"PATCH", "PUT"}]
        outcomes: dict[str, Outcome] = {}
        for event in events:
            result = event.get("result")
            id_ = result.get("id") if isinstance(result, dict) else result
            if not isinstance(id_, str) or id_ not in stored or id_ in outcomes:
                continue
            kind, body = stored[id_]
            action = "created" if id_ not in self._ids[kind] else "updated" if id_ in patched else "unchanged"
            outcomes[id_] = Outcome(LABELS[kind], body.get("name") or body.get("title") or "", action, id_)
        return list(outcomes.values())


def _is_write(entry: dict[str, Any]) -> bool:
    reads = entry["method"] in {"GET", "HEAD"} or entry["operation"].endswith("/validate")
    return not reads and entry["operation"] != "POST token"
