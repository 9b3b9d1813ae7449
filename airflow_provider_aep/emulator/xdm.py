"""XDM schemas resolved to fields: what a mapping's destination may be and what a row must satisfy."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

from airflow_provider_aep.emulator.store import Scope, Store

BEHAVIORS = ("https://ns.adobe.com/xdm/data/record", "https://ns.adobe.com/xdm/data/time-series")
AD_HOC = "https://ns.adobe.com/xdm/data/adhoc"
AD_HOC_2 = "https://ns.adobe.com/xdm/data/adhoc-v2"
DEEPEST = 30
"""Levels of references that are followed; a data type may name itself."""

Body = dict[str, Any]


MOST_FIELDS = 20_000
"""Of a resolved schema: references to references multiply."""


class TooLarge(Exception):
    """A schema has more than :data:`MOST_FIELDS` fields."""


class Incompatible(Exception):
    """Two parts of a schema give one field two types."""


@cache
def library() -> dict[str, Body]:
    """Adobe's global classes, field groups and behaviors by ``$id``, as far as onboarding a source needs them."""
    data = json.loads((files(__package__) / "data" / "xdm.json").read_text())
    found: dict[str, Body] = {}
    for kind in ("classes", "fieldgroups"):
        for id_, body in data[kind].items():
            found[id_] = _global(id_, kind, body)
    for id_ in (*BEHAVIORS, AD_HOC, AD_HOC_2):
        found[id_] = _global(id_, "behaviors", {"title": id_.rsplit("/", 1)[-1], "properties": {}})
    return found


def _global(id_: str, kind: str, body: Body) -> Body:
    return {
        **body,
        "$id": id_,
        "meta:altId": alt_id(id_),
        "meta:resourceType": "mixins" if kind == "fieldgroups" else kind,
        "version": "1",
        "type": "object",
        "meta:extensible": True,
        "meta:abstract": True,
        "meta:xdmType": "object",
        "meta:containerId": "global",
        **_extends(kind),
        "_emulator": {"kind": kind},
    }


def _extends(kind: str) -> Body:
    if kind == "classes":
        return {"meta:extends": [BEHAVIORS[0]]}
    return {"meta:intendedToExtend": ["https://ns.adobe.com/xdm/context/profile"]} if kind == "fieldgroups" else {}


def alt_id(id_: str) -> str:
    """``meta:altId`` of an ``$id``."""
    return "_" + id_.removeprefix("https://ns.adobe.com/").replace("/", ".")


def global_part(kind: str, id_: str) -> Body | None:
    """One of Adobe's own, by ``$id`` or ``meta:altId``."""
    for part in library().values():
        if part["_emulator"]["kind"] == kind and id_ in {part["$id"], part["meta:altId"]}:
            return part
    return None


def references(schema: Body) -> list[str]:
    """What a schema is composed of, apart from its own definitions."""
    parts = schema.get("allOf") or []
    return [p["$ref"] for p in parts if p and p.get("$ref") and not p["$ref"].startswith("#")]


class Registry:
    """What a reference in an org and sandbox stands for: Adobe's own parts, and the tenant's."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store, self._scope = store, scope
        self._left = MOST_FIELDS

    def stored(self, kind: str, id_: str) -> Body | None:
        """A tenant's object of a kind, by ``$id`` or ``meta:altId``."""
        by_id = self._store.get(kind, self._scope, id_)
        return by_id or next(self._store.find(kind, self._scope, parent=id_), None)

    def schema(self, id_: str) -> Body | None:
        return self.stored("schemas", id_)

    def part(self, ref: str) -> Body | None:
        """A class, field group or data type, Adobe's or the tenant's."""
        if ref in library():
            return library()[ref]
        for kind in ("classes", "fieldgroups", "datatypes"):
            if found := self.stored(kind, ref):
                return found
        return None

    def kind_of(self, ref: str) -> str:
        """``classes``, ``fieldgroups``, ``datatypes`` or ``behaviors``; empty if there is no such part."""
        if ref in library():
            return str(library()[ref]["_emulator"]["kind"])
        return next((k for k in ("classes", "fieldgroups", "datatypes") if self.stored(k, ref)), "")

    def class_of(self, schema: Body) -> str | None:
        """The one class among a schema's references."""
        classes = [r for r in references(schema) if self.kind_of(r) == "classes"]
        return classes[0] if len(classes) == 1 else None

    def resolve(self, schema: Body) -> Body:
        """A JSON Schema with every reference replaced by its fields; ``required`` are those of the parts.

        :raises Incompatible: two parts give one field two types
        :raises TooLarge: it has too many fields
        """
        self._left = MOST_FIELDS
        properties, required = self._fields(schema, schema.get("definitions") or {}, 0)
        return {"type": "object", "properties": properties, "required": sorted(required)}

    def _fields(self, part: Body, definitions: Body, depth: int) -> tuple[Body, set[str]]:
        properties: Body = {}
        required: set[str] = set(part.get("required") or []) if depth else set()
        self._left -= 1 + len(part.get("properties") or {})
        if self._left < 0:
            raise TooLarge
        if depth > DEEPEST:
            return properties, required
        for inner in part.get("allOf") or []:
            if not inner:
                continue
            body, names = self._target(inner, definitions)
            more, needed = self._fields(body, names, depth + 1)
            _merge(properties, more)
            required |= needed | set(inner.get("required") or [])
        own = {n: self._field(f, definitions, depth + 1) for n, f in (part.get("properties") or {}).items()}
        _merge(properties, own)
        return properties, required

    def _target(self, part: Body, definitions: Body) -> tuple[Body, Body]:
        """What a part stands for, and the definitions that its own references mean."""
        ref = part.get("$ref")
        if not ref:
            return part, definitions
        if ref.startswith("#/definitions/"):
            return definitions.get(ref.removeprefix("#/definitions/")) or {}, definitions
        found = self.part(ref) or {}
        return found, found.get("definitions") or {}

    def _field(self, field: Body, definitions: Body, depth: int) -> Body:
        """A field whose references are replaced, too: of data types, and of its own properties."""
        if depth > DEEPEST or not isinstance(field, dict):
            return copy.deepcopy(field)
        if not any(k in field for k in ("$ref", "allOf", "properties")):
            return copy.deepcopy(field)
        body, names = self._target(field, definitions)
        properties, _ = self._fields(body, names, depth)
        kept = {k: v for k, v in field.items() if k not in {"$ref", "allOf", "properties"}}
        return {"type": "object", **copy.deepcopy(kept), "properties": properties}


def _merge(into: Body, other: Body) -> None:
    for name, field in other.items():
        if name not in into:
            into[name] = field
        elif "properties" in into[name] and "properties" in field:
            _merge(into[name]["properties"], field["properties"])
        elif into[name].get("type") != field.get("type"):
            raise Incompatible(f"{name} is {into[name].get('type')} and {field.get('type')}")
        else:
            into[name] = field


def field_at(resolved: Body, path: str) -> Body | None:
    """The field at a dot path, or ``None``."""
    node = resolved
    for name in path.split("."):
        found = node.get("properties", {}).get(name)
        if not isinstance(found, dict):
            return None
        node = found
    return node


def leaves(resolved: Body, prefix: str = "") -> dict[str, str]:
    """Type by dot path of every field."""
    found: dict[str, str] = {}
    for name, field in (resolved.get("properties") or {}).items():
        if not isinstance(field, dict):
            continue
        found[f"{prefix}{name}"] = str(field.get("type"))
        found |= leaves(field, f"{prefix}{name}.")
    return found
