"""A snapshot: everything in the emulator as one JSON document that can be committed, compared and loaded again.

It has no tokens and no secrets, as the emulator keeps none, and not the lake's files: only what AEP knows of them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_aep.emulator.service import World

VERSION = 1
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
    drawn: int = Field(ge=0, lt=2**62)
    now: float | None = None
    objects: list[_Object]


def taken(world: World) -> dict[str, Any]:
    """The whole state; ``now`` is the frozen clock's."""
    return {
        "snapshot": VERSION,
        "now": world.clock.now() if world.clock.frozen else None,
        "drawn": world.store.drawn,
        "objects": world.store.dump(),
    }


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
        key = (one.kind, one.org, one.sandbox, one.id)
        if key in seen:
            raise BadSnapshot(f"The snapshot is damaged at objects.{number}: {one.kind} {one.id[:60]} is there twice")
        seen.add(key)
    with world.stepping:
        world.postponed.clear()
        world.store.load([o.model_dump() for o in checked.objects], checked.drawn)
        if checked.now is not None:
            world.clock.freeze(checked.now)
