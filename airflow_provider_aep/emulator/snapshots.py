"""A snapshot: everything in the emulator as one JSON document that can be committed, compared and loaded again.

It has no tokens and no secrets, as the emulator keeps none; no failed rows; and of the lake only what AEP knows of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_aep.emulator.service import World
from airflow_provider_aep.emulator.shapes import examine
from airflow_provider_aep.emulator.specs import SECONDS

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
"""Fields that an object of a kind has for certain."""


class BadSnapshot(Exception):
    """A document that cannot be loaded; its text says why."""


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
    """The whole state; ``now`` is the frozen clock's."""
    document = {
        "snapshot": VERSION,
        "now": world.clock.now() if world.clock.frozen else None,
        "drawn": world.store.drawn,
        "objects": [_without_rows(o) for o in world.store.dump()],
    }
    return {**document, "sha256": digest(document)}


def digest(document: dict[str, Any]) -> str:
    """Of all but itself: what was changed by hand need not fit together any more."""
    content = {k: v for k, v in document.items() if k != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without_rows(one: dict[str, Any]) -> dict[str, Any]:
    """Failed rows are somebody's data, and stay where they failed."""
    if one["kind"] != "diagnostics":
        return one
    return {**one, "body": {**one["body"], "row_errors": []}}


def restore(world: World, document: Any) -> None:
    """Put a snapshot in the place of all there is.

    :raises BadSnapshot: it is none, or of a newer emulator; the state is as it was
    """
    version = document.get("snapshot") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise BadSnapshot("This is no snapshot of an emulator: it says no version")
    if version > VERSION:
        raise BadSnapshot(
            f"The snapshot has version {version}, and this emulator reads up to {VERSION}: take a newer one"
        )
    try:
        checked = _Snapshot.model_validate(document)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        raise BadSnapshot(f"The snapshot is damaged at {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    seen = set()
    for number, one in enumerate(checked.objects):
        if one.kind not in _KINDS:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: there is no kind {one.kind[:40]!r}")
        if missing := [f for f in _KINDS[one.kind] if f not in one.body]:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: the body has no {missing[0]}")
        if wrong := _wrong(world, one):
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: {wrong}")
        key = (one.kind, one.org, one.sandbox, one.id)
        if key in seen:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: {one.kind} {one.id[:60]} is there twice")
        seen.add(key)
    if digest(document) != checked.sha256:
        raise BadSnapshot(
            "The snapshot was changed by hand: its sha256 is another. Load it as it was, or take one anew"
        )
    with world.commanding, world.stepping:
        try:
            world.store.load([vars(o) for o in checked.objects], checked.drawn)
        except (sqlite3.Error, ValueError, TypeError, OverflowError) as e:
            raise BadSnapshot(f"The snapshot is damaged: {type(e).__name__}") from None
        world.postponed.clear()
        if checked.now is not None:
            world.clock.freeze(checked.now)


def _wrong(world: World, one: _Object) -> str:
    """Why an object could not live here; empty if it can."""
    body = one.body
    if one.org != world.options.org_id or one.sandbox not in world.options.sandbox_states():
        return f"there is no sandbox {one.sandbox[:40]!r} of the organization {one.org[:40]!r}"
    own_id = next((body[k] for k in ("id", "$id", "@id") if k in body), one.id)
    if own_id != one.id:
        return f"its id is {one.id[:60]!r} and {str(own_id)[:60]!r}"
    shape = _IDS.get(one.kind)
    if shape and not re.fullmatch(shape, one.id):
        return f"{one.id[:60]!r} is no id of {one.kind}"
    notes = body.get("_emulator", {})
    due = notes.get("due") if isinstance(notes, dict) else "?"
    if not isinstance(due, int | float | None) or isinstance(due, bool):
        return "_emulator.due is no moment"
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
    return "" if counted and str(schedule.get("frequency")) in FREQUENCIES else "the flow's schedule is none"
