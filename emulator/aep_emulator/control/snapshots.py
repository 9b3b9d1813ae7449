"""Snapshots: the whole state as one JSON document that can be committed, compared and loaded again.

A snapshot contains no tokens, secrets, failed rows or Parquet files.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aep_emulator.core.validation import examine
from aep_emulator.core.world import World
from aep_emulator.data.specs import SECONDS

VERSION = 1
FREQUENCIES = {"once", *SECONDS}
_IDS = {"dataSets": r"[0-9a-f]{24}", "batches": r"[0-9a-f]{32}", "diagnostics": r"[0-9a-f]{32}"}
_KINDS: dict[str, tuple[str, ...]] = {
    "connections": ("id", "name", "connectionSpec", "state", "etag"),
    "sourceConnections": ("id", "name", "connectionSpec", "data", "params", "state", "etag"),
    "targetConnections": ("id", "name", "connectionSpec", "params", "state", "etag"),
    "flows": ("id", "name", "flowSpec", "sourceConnectionIds", "targetConnectionIds", "transformations",
              "scheduleParams", "state", "etag", "_emulator"),
    "runs": ("id", "flowId", "metrics", "activities", "_emulator"),
    "schemas": ("$id", "title", "meta:altId", "version", "meta:class", "refs", "meta:registryMetadata"),
    "classes": ("$id", "title", "meta:altId", "version", "refs", "meta:registryMetadata"),
    "fieldgroups": ("$id", "title", "meta:altId", "version", "refs", "meta:registryMetadata"),
    "datatypes": ("$id", "title", "meta:altId", "version", "refs", "meta:registryMetadata"),
    "descriptors": ("@id", "@type", "xdm:sourceSchema"),
    "dataSets": ("id", "name", "schemaRef", "tags", "version", "created", "updated"),
    "batches": ("id", "dataSet", "status", "created", "updated"),
    "diagnostics": ("input_files", "row_errors"),
    "mappingSets": ("id", "version", "_emulator"),
}  # fmt: skip
"""Required fields of an object, by kind."""


class BadSnapshot(Exception):
    """A document cannot be loaded; the message says why."""


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: str
    org: str
    sandbox: str
    id: str
    name: str
    parent: str
    added: float
    uses: list[str]
    body: dict[str, Any]


class _Snapshot(BaseModel):
    model_config = ConfigDict(extra="forbid")

    snapshot: Literal[1]
    sha256: str
    drawn: dict[str, Annotated[int, Field(ge=0, lt=2**62)]]
    now: float | None = Field(None, gt=-1e11, lt=1e11)
    objects: list[_Object]


def taken(world: World) -> dict[str, Any]:
    """Return the whole state; ``now`` is set if the clock is frozen."""
    document = {
        "snapshot": VERSION,
        "now": world.clock.now() if world.clock.frozen else None,
        "drawn": world.store.drawn,
        "objects": [_without_rows(o) for o in world.store.dump()],
    }
    return {**document, "sha256": digest(document)}


def digest(document: dict[str, Any]) -> str:
    """Return a checksum of the document without its checksum: an edited document may be inconsistent."""
    content = {k: v for k, v in document.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without_rows(one: dict[str, Any]) -> dict[str, Any]:
    """Return an object without the rows that failed: they are personal data."""
    if one["kind"] != "diagnostics":
        return one
    return {**one, "body": {**one["body"], "row_errors": []}}


def restore(world: World, document: Any) -> None:
    """Replace the whole state by a snapshot.

    :raises BadSnapshot: it is invalid, or of a newer emulator; the state is unchanged
    """
    version = document.get("snapshot") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise BadSnapshot(
            "The document is not a snapshot of an emulator: it has no version. Load one of GET /_emulator/snapshot"
        )
    if version > VERSION:
        raise BadSnapshot(
            f"The snapshot has version {version}, and this emulator reads up to {VERSION}. Use a newer emulator"
        )
    try:
        checked = _Snapshot.model_validate(document)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        raise BadSnapshot(f"The snapshot is damaged at {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    seen = set()
    for number, one in enumerate(checked.objects):
        if one.kind not in _KINDS:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: unknown kind {one.kind[:40]!r}")
        if missing := [f for f in _KINDS[one.kind] if f not in one.body]:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: the body has no {missing[0]}")
        if wrong := _wrong(world, one):
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: {wrong}")
        key = (one.kind, one.org, one.sandbox, one.id)
        if key in seen:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: {one.kind} {one.id[:60]} is repeated")
        seen.add(key)
    if digest(document) != checked.sha256:
        raise BadSnapshot("The snapshot was edited: its sha256 differs. Load the original, or take a new snapshot")
    with world.commanding, world.stepping:
        try:
            world.store.load([vars(o) for o in checked.objects], checked.drawn)
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as e:
            raise BadSnapshot(f"The snapshot is damaged: {type(e).__name__}") from None
        world.postponed.clear()
        if checked.now is not None:
            world.clock.freeze(checked.now)


def _wrong(world: World, one: _Object) -> str:
    """Return why an object is invalid in this emulator; empty if it is valid."""
    body = one.body
    if one.org != world.options.org_id or one.sandbox not in world.options.sandbox_states():
        return f"this emulator has no sandbox {one.sandbox[:40]!r} of the organization {one.org[:40]!r}"
    own_id = next((body[k] for k in ("id", "$id", "@id") if k in body), one.id)
    if own_id != one.id:
        return f"its id is {one.id[:60]!r} and {str(own_id)[:60]!r}"
    shape = _IDS.get(one.kind)
    if shape and not re.fullmatch(shape, one.id):
        return f"{one.id[:60]!r} is not an id of {one.kind}"
    notes = body.get("_emulator", {})
    due = notes.get("due") if isinstance(notes, dict) else "?"
    if not isinstance(due, int | float | None) or isinstance(due, bool):
        return "_emulator.due is not a time"
    if fault := examine("stored anything", body)[0]:
        return fault
    if one.kind == "flows":
        return _wrong_flow(body)
    if one.kind == "runs" and not re.fullmatch(r"[0-9a-f]{32}", str(notes.get("batch"))):
        return "the run has no batch"
    return ""


def _wrong_flow(body: dict[str, Any]) -> str:
    steps = {str(t.get("name")): t.get("params") for t in body["transformations"] if isinstance(t, dict)}
    if not isinstance(steps.get("Mapping"), dict):
        return "the flow has no mapping"
    schedule = body["scheduleParams"]
    numbers = (schedule.get("startTime"), schedule.get("interval", 1))
    counted = all(re.fullmatch(r"[0-9]{1,11}", str(n)) for n in numbers)
    return "" if counted and str(schedule.get("frequency")) in FREQUENCIES else "the flow's schedule is invalid"
