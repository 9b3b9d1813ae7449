"""XDM schemas, resolved to fields: the possible destinations of a mapping, and the constraints on a row."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

from aep_emulator.core.store import Scope, Store

BEHAVIORS = ("https://ns.adobe.com/xdm/data/record", "https://ns.adobe.com/xdm/data/time-series")
AD_HOC = "https://ns.adobe.com/xdm/data/adhoc"
AD_HOC_2 = "https://ns.adobe.com/xdm/data/adhoc-v2"
PROFILE = "https://ns.adobe.com/xdm/context/profile"
IDENTITY_MAP = "https://ns.adobe.com/xdm/context/identitymap"
MAX_DEPTH = 30
"""Maximum depth of references; a data type may refer to itself."""

Body = dict[str, Any]


MOST_FIELDS = 20_000
"""Maximum number of fields of a resolved schema: nested references multiply."""


class TooLarge(Exception):
    """A schema has more than :data:`MOST_FIELDS` fields."""


class Incompatible(Exception):
    """Two parts of a schema declare a field with different types."""


@cache
def library() -> dict[str, Body]:
    """Return Adobe's global classes, field groups and behaviors by ``$id``, as far as onboarding uses them."""
    data = json.loads((files("aep_emulator") / "data" / "xdm.json").read_text())
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
    """Return the ``meta:altId`` of an ``$id``."""
    return "_" + id_.removeprefix("https://ns.adobe.com/").replace("/", ".")


def global_part(kind: str, id_: str) -> Body | None:
    """Return one of Adobe's global parts by ``$id`` or ``meta:altId``."""
    for part in library().values():
        if part["_emulator"]["kind"] == kind and id_ in {part["$id"], part["meta:altId"]}:
            return part
    return None


def references(schema: Body) -> list[str]:
    """Return the references of a schema, without those to its own definitions."""
    parts = schema.get("allOf") or []
    return [p["$ref"] for p in parts if p and p.get("$ref") and not p["$ref"].startswith("#")]


class Registry:
    """Resolves references in an organization and sandbox: to Adobe's global parts, and to the tenant's."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store, self._scope = store, scope
        self._left = MOST_FIELDS

    def stored(self, kind: str, id_: str) -> Body | None:
        """Return a tenant's object of a kind by ``$id`` or ``meta:altId``."""
        by_id = self._store.get(kind, self._scope, id_)
        return by_id or next(self._store.find(kind, self._scope, parent=id_), None)

    def schema(self, id_: str) -> Body | None:
        """Return a tenant's schema, or ``None``."""
        return self.stored("schemas", id_)

    def part(self, ref: str) -> Body | None:
        """Return a class, field group or data type, global or the tenant's."""
        if ref in library():
            return library()[ref]
        for kind in ("classes", "fieldgroups", "datatypes"):
            if found := self.stored(kind, ref):
                return found
        return None

    def kind_of(self, ref: str) -> str:
        """Return ``classes``, ``fieldgroups``, ``datatypes`` or ``behaviors``; empty for an unknown reference."""
        if ref in library():
            return str(library()[ref]["_emulator"]["kind"])
        return next((k for k in ("classes", "fieldgroups", "datatypes") if self.stored(k, ref)), "")

    def class_of(self, schema: Body) -> str | None:
        """Return the one class among a schema's references; ``None`` if the number of classes is not one."""
        classes = [r for r in references(schema) if self.kind_of(r) == "classes"]
        return classes[0] if len(classes) == 1 else None

    def resolve(self, schema: Body) -> Body:
        """Return a JSON Schema with every reference replaced by its fields; ``required`` is collected from the parts.

        :raises Incompatible: two parts declare a field with different types
        :raises TooLarge: it has too many fields
        """
        self._left = MOST_FIELDS
        properties, required = self._fields(schema, schema.get("definitions") or {}, 0)
        return {"type": "object", "properties": properties, "required": sorted(required)}

    def target(self, schema: Body) -> Body:
        """Return a resolved schema as the target of mappings: those of persons may have an ``identityMap``.

        Adobe does not say whether a mapping needs the field group IdentityMap; here it does not.
        """
        resolved = self.resolve(schema)
        if self.class_of(schema) == PROFILE:
            resolved["properties"] = {**library()[IDENTITY_MAP]["properties"], **resolved["properties"]}
        return resolved

    def _fields(self, part: Body, definitions: Body, depth: int) -> tuple[Body, set[str]]:
        properties: Body = {}
        required: set[str] = set(part.get("required") or []) if depth else set()
        self._left -= 1 + len(part.get("properties") or {})
        if self._left < 0:
            raise TooLarge
        if depth > MAX_DEPTH:
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
        """Return the part that a reference means, and the definitions for the part's own references."""
        ref = part.get("$ref")
        if not ref:
            return part, definitions
        if ref.startswith("#/definitions/"):
            return definitions.get(ref.removeprefix("#/definitions/")) or {}, definitions
        found = self.part(ref) or {}
        return found, found.get("definitions") or {}

    def _field(self, field: Body, definitions: Body, depth: int) -> Body:
        """Return a field with its references replaced at every depth, also in arrays and maps."""
        if depth > MAX_DEPTH or not isinstance(field, dict):
            return copy.deepcopy(field)
        composed = {"$ref", "allOf", "properties"}
        inner = {k: field[k] for k in ("items", "additionalProperties") if isinstance(field.get(k), dict)}
        kept = {k: copy.deepcopy(v) for k, v in field.items() if k not in composed | inner.keys()}
        kept |= {k: self._field(part, definitions, depth + 1) for k, part in inner.items()}
        if not composed & field.keys():
            return kept
        body, names = self._target(field, definitions)
        properties, _ = self._fields(body, names, depth)
        return {"type": "object", **kept, "properties": properties}


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
    """Return the field at a dot path, or ``None``."""
    node = resolved
    for name in path.split("."):
        found = node.get("properties", {}).get(name)
        if not isinstance(found, dict):
            return None
        node = found
    return node


def leaves(resolved: Body, prefix: str = "") -> dict[str, str]:
    """Return the type of every field by dot path."""
    found: dict[str, str] = {}
    for name, field in (resolved.get("properties") or {}).items():
        if not isinstance(field, dict):
            continue
        found[f"{prefix}{name}"] = str(field.get("type"))
        found |= leaves(field, f"{prefix}{name}.")
    return found
