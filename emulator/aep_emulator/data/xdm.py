"""XDM schemas, resolved to fields: the possible destinations of a mapping, and the constraints on a row."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from aep_emulator.core.store import Scope
from aep_emulator.core.world import World
from aep_emulator.data.xdm_files import read_parts
from aep_emulator.data.xdm_files import references as references_in

BEHAVIORS = ("https://ns.adobe.com/xdm/data/record", "https://ns.adobe.com/xdm/data/time-series")
AD_HOC = "https://ns.adobe.com/xdm/data/adhoc"
AD_HOC_2 = "https://ns.adobe.com/xdm/data/adhoc-v2"
PROFILE = "https://ns.adobe.com/xdm/context/profile"
IDENTITY_MAP = "https://ns.adobe.com/xdm/context/identitymap"
Body = dict[str, Any]


MOST_FIELDS = 20_000
"""Maximum number of fields of a resolved schema: nested references multiply."""


class TooLarge(Exception):
    """A schema has more than :data:`MOST_FIELDS` fields."""


class Incompatible(Exception):
    """Two parts of a schema declare a field with different types."""


class Library:
    """Adobe's global parts: those of the package, and those of a copy of Adobe's XDM repository.

    :param folder: a copy of the repository; ``None``: only the parts of the package
    """

    def __init__(self, folder: Path | None = None) -> None:
        kinds = json.loads((files("aep_emulator") / "data" / "xdm.json").read_text(encoding="utf-8"))
        for kind, parts in (read_parts(folder) if folder else {}).items():
            kinds[kind] |= parts
        kinds["behaviors"] |= {AD_HOC: {"title": "adhoc"}, AD_HOC_2: {"title": "adhoc-v2"}}
        self.parts = {id_: _global(id_, kind, body) for kind, parts in kinds.items() for id_, body in parts.items()}
        self._by_alt_id = {part["meta:altId"]: part for part in self.parts.values()}
        self.resolved: dict[str, tuple[Body, frozenset[str], int]] = {}
        """The resolved fields of parts, with the required ones and their number."""

    def of_kind(self, kind: str) -> list[Body]:
        """Return the parts of a kind: ``classes``, ``fieldgroups``, ``datatypes`` or ``behaviors``."""
        return [part for part in self.parts.values() if part["_emulator"]["kind"] == kind]

    def find(self, kind: str, id_: str) -> Body | None:
        """Return a part by ``$id`` or ``meta:altId``."""
        found = self.parts.get(id_) or self._by_alt_id.get(id_)
        return found if found and found["_emulator"]["kind"] == kind else None

    def missing(self) -> list[str]:
        """Return the references of the parts to parts that are missing."""
        refs = {ref.partition("#")[0] for part in self.parts.values() for ref in references_in(part)}
        return sorted(refs - {"", *self.parts})


@cache
def library(folder: Path | None = None) -> Library:
    """Return the global parts; they are read once for each folder."""
    return Library(folder)


def _global(id_: str, kind: str, body: Body) -> Body:
    return {
        "type": "object",
        "meta:xdmType": body.get("type", "object"),
        "meta:extends": [],
        **({"meta:intendedToExtend": []} if kind == "fieldgroups" else {}),
        **body,
        "$id": id_,
        "meta:altId": alt_id(id_),
        "meta:resourceType": "mixins" if kind == "fieldgroups" else kind,
        "version": "1",
        "meta:extensible": True,
        "meta:abstract": True,
        "meta:containerId": "global",
        "_emulator": {"kind": kind},
    }


def alt_id(id_: str) -> str:
    """Return the ``meta:altId`` of an ``$id``."""
    return "_" + re.sub("^https?://ns.adobe.com/", "", id_).replace("/", ".")


def references(schema: Body) -> list[str]:
    """Return the references of a schema, without those to its own definitions."""
    parts = schema.get("allOf")
    parts = parts if isinstance(parts, list) else []
    return [p["$ref"] for p in parts if p and p.get("$ref") and not p["$ref"].startswith("#")]


class Registry:
    """Resolves references in an organization and sandbox: to Adobe's global parts, and to the tenant's."""

    def __init__(self, world: World, scope: Scope) -> None:
        self._store, self._scope, self.library = world.store, scope, library(world.options.xdm)
        self._left = MOST_FIELDS
        self._open: list[str] = []
        self._is_cut = False

    def stored(self, kind: str, id_: str) -> Body | None:
        """Return a tenant's object of a kind by ``$id`` or ``meta:altId``."""
        by_id = self._store.get(kind, self._scope, id_)
        return by_id or next(self._store.find(kind, self._scope, parent=id_), None)

    def schema(self, id_: str) -> Body | None:
        """Return a tenant's schema, or ``None``."""
        return self.stored("schemas", id_)

    def part(self, ref: str) -> Body | None:
        """Return a class, field group or data type, global or the tenant's."""
        if found := self.library.parts.get(ref):
            return found
        for kind in ("classes", "fieldgroups", "datatypes"):
            if found := self.stored(kind, ref):
                return found
        return None

    def kind_of(self, ref: str) -> str:
        """Return ``classes``, ``fieldgroups``, ``datatypes`` or ``behaviors``; empty for an unknown reference."""
        if found := self.library.parts.get(ref):
            return str(found["_emulator"]["kind"])
        return next((k for k in ("classes", "fieldgroups", "datatypes") if self.stored(k, ref)), "")

    def class_of(self, schema: Body) -> str | None:
        """Return the one class among a schema's references; ``None`` if the number of classes is not one."""
        classes = [r for r in references(schema) if self.kind_of(r) == "classes"]
        return classes[0] if len(classes) == 1 else None

    def resolve(self, schema: Body) -> Body:
        """Return a JSON Schema with every reference replaced by its fields; ``required`` is collected from the parts.

        The result shares fields with other results, so it must not be changed.

        :raises Incompatible: two parts declare a field with different types
        :raises TooLarge: it has too many fields
        """
        self._left = MOST_FIELDS
        properties, required = self._fields(schema, schema.get("definitions") or {}, is_root=True)
        return {"type": "object", "properties": properties, "required": sorted(required)}

    def target(self, schema: Body) -> Body:
        """Return a resolved schema as the target of mappings: those of persons may have an ``identityMap``.

        Adobe does not say whether a mapping needs the field group IdentityMap; here it does not.
        """
        resolved = self.resolve(schema)
        if self.class_of(schema) == PROFILE:
            identity_map = self._referred(IDENTITY_MAP, {})[0]
            resolved["properties"] = {**identity_map, **resolved["properties"]}
        return resolved

    def _fields(self, part: Body, definitions: Body, is_root: bool = False) -> tuple[Body, set[str]]:
        properties: Body = {}
        required: set[str] = set() if is_root else set(part.get("required") or [])
        self._spend(1 + len(part.get("properties") or {}))
        for inner in [*(part.get("allOf") or []), *([{"$ref": part["$ref"]}] if part.get("$ref") else [])]:
            if not inner:
                continue
            more, needed = self._referred(inner["$ref"], definitions) if inner.get("$ref") else ({}, set())
            _merge(properties, more)
            required |= needed
            if inner.keys() - {"$ref"}:
                rest = {key: value for key, value in inner.items() if key != "$ref"}
                more, needed = self._fields(rest, definitions)
                _merge(properties, more)
                required |= needed
        _merge(properties, {n: self._field(f, definitions) for n, f in (part.get("properties") or {}).items()})
        return properties, required

    def _spend(self, fields: int) -> None:
        self._left -= fields
        if self._left < 0:
            raise TooLarge

    def _referred(self, ref: str, definitions: Body) -> tuple[Body, set[str]]:
        """Return the fields, and the required ones, of the part that a reference means.

        A part that refers to itself, also through others, has its fields once.
        """
        id_, _, inner = ref.partition("#")
        if not id_:
            return self._opened(ref, definitions.get(inner.removeprefix("/definitions/")) or {}, definitions)
        part = self.part(id_) or {}
        names = part.get("definitions") or {}
        if inner:
            return self._opened(ref, names.get(inner.removeprefix("/definitions/")) or {}, names)
        if id_ not in self.library.parts:
            return self._opened(ref, part, names)
        if id_ not in self.library.resolved:
            before, was_cut, self._is_cut = self._left, self._is_cut, False
            properties, required = self._opened(ref, part, names)
            is_cut, self._is_cut = self._is_cut, self._is_cut or was_cut
            if is_cut:  # it depends on where it began
                return properties, required
            self.library.resolved[id_] = properties, frozenset(required), before - self._left
        else:
            self._spend(self.library.resolved[id_][2])
        properties, names_required, _ = self.library.resolved[id_]
        return properties, set(names_required)

    def _opened(self, ref: str, part: Body, definitions: Body) -> tuple[Body, set[str]]:
        key = ref if ref[:1] != "#" else f"{id(definitions)}{ref}"
        if key in self._open:
            self._is_cut = True
            return {}, set()
        self._open.append(key)
        try:
            return self._fields(part, definitions)
        finally:
            self._open.pop()

    def _field(self, field: Any, definitions: Body) -> Any:
        """Return a field with its references replaced at every depth, also in arrays and maps."""
        if not isinstance(field, dict) or _COMPOSED.isdisjoint(field):
            return field
        kept = {k: v for k, v in field.items() if k not in _COMPOSED}
        kept |= {k: self._field(field[k], definitions) for k in ("items", "additionalProperties") if k in field}
        if _FIELDS.isdisjoint(field):
            return kept
        body = self._scalar(field.get("$ref"), definitions)
        if body is not None:
            return {**body, **kept}
        properties, required = self._fields({k: field[k] for k in _FIELDS & field.keys()}, definitions)
        needed = sorted(required | set(field.get("required") or ()))
        return {"type": "object", **kept, "properties": properties, **({"required": needed} if needed else {})}

    def _scalar(self, ref: str | None, definitions: Body) -> Body | None:
        """Return a data type that is no object, which a reference means; otherwise ``None``."""
        if not ref:
            return None
        id_, _, inner = ref.partition("#")
        part = (self.part(id_) or {}) if id_ else {"definitions": definitions}
        if inner:
            part = (part.get("definitions") or {}).get(inner.removeprefix("/definitions/")) or {}
        if part.get("type", "object") == "object" and not isinstance(part.get("additionalProperties"), dict):
            return None
        return {k: self._field(v, definitions) if k == "items" else v for k, v in part.items() if k in _OF_SCALARS}


_FIELDS = frozenset({"$ref", "allOf", "properties"})
_COMPOSED = _FIELDS | {"items", "additionalProperties"}
_OF_SCALARS = frozenset(
    "type format enum meta:enum meta:xdmType pattern minimum maximum minLength maxLength".split()
    + ["items", "additionalProperties"]
)


def _merge(into: Body, other: Body) -> None:
    """Add fields to others. Fields that both have are replaced, not changed: they belong to parts."""
    for name, field in other.items():
        mine = into.get(name)
        if mine is None:
            into[name] = field
        elif "properties" in mine and "properties" in field:
            inner = dict(mine["properties"])
            _merge(inner, field["properties"])
            needed = sorted({*mine.get("required", ()), *field.get("required", ())})
            into[name] = {**mine, "properties": inner, **({"required": needed} if needed else {})}
        elif mine.get("type") and field.get("type") and mine["type"] != field["type"]:
            raise Incompatible(f"{name} is {mine.get('type')} and {field.get('type')}")
        else:
            into[name] = field


def field_at(resolved: Body, path: str) -> Body | None:
    """Return the field at a dot path, or ``None``."""
    node = resolved
    for name in path.split("."):
        found = node.get("properties", {}).get(name)
        if not isinstance(found, dict):
            return None
        node = found
    return node


def leaves(resolved: Body, prefix: str = "") -> dict[str, Body]:
    """Return every field by path, also within arrays (``[*]``) and maps (``.*``)."""
    found: dict[str, Body] = {}
    for name, field in (resolved.get("properties") or {}).items():
        if isinstance(field, dict):
            path = f"{prefix}.{name}" if prefix else name
            found |= {path: field, **leaves(field, path)}
    for member, mark in (("items", "[*]"), ("additionalProperties", ".*")):
        if isinstance(field := resolved.get(member), dict):
            found |= {f"{prefix}{mark}": field, **leaves(field, f"{prefix}{mark}")}
    return found
