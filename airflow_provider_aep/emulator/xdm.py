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


@cache
def library() -> dict[str, dict[str, Any]]:
    """Adobe's global classes and field groups by ``$id``, as far as onboarding a customer-success source needs them."""
    data = json.loads((files(__package__) / "data" / "xdm.json").read_text())
    return {
        **{id_: {**body, "resource": "classes"} for id_, body in data["classes"].items()},
        **{id_: {**body, "resource": "fieldgroups"} for id_, body in data["fieldgroups"].items()},
    }


def is_field_group(id_: str) -> bool:
    return library().get(id_, {}).get("resource") == "fieldgroups"


def references(schema: dict[str, Any]) -> list[str]:
    return [part["$ref"] for part in schema.get("allOf", []) if part and part.get("$ref")]


class Registry:
    """What a reference in an org and sandbox stands for: Adobe's own parts, and the tenant's classes and schemas."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store, self._scope = store, scope

    def stored(self, kind: str, id_: str) -> dict[str, Any] | None:
        """A tenant's object of a kind, by ``$id`` or ``meta:altId``."""
        by_id = self._store.get(kind, self._scope, id_)
        if by_id:
            return by_id
        found = self._store.find(kind, self._scope, parent=id_)
        return found[0] if found else None

    def schema(self, id_: str) -> dict[str, Any] | None:
        return self.stored("schemas", id_)

    def known(self, ref: str) -> bool:
        return ref in library() or self.stored("classes", ref) is not None

    def class_of(self, schema: dict[str, Any]) -> str | None:
        """The one class among a schema's references."""
        classes = [r for r in references(schema) if self.known(r) and not is_field_group(r)]
        return classes[0] if len(classes) == 1 else None

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A JSON Schema with every reference replaced by its fields; ``required`` are those of the parts."""
        properties: dict[str, Any] = {}
        required: set[str] = set()
        for part in schema.get("allOf", []):
            if part and part.get("$ref"):
                own = self.stored("classes", part["$ref"])
                part = self.resolve(own) if own else library().get(part["$ref"], {})
            if part:
                _merge(properties, part.get("properties") or {})
                required.update(part.get("required") or [])
        _merge(properties, schema.get("properties") or {})
        return {"type": "object", "properties": properties, "required": sorted(required)}


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    for name, field in other.items():
        if name in into and "properties" in into[name] and "properties" in field:
            _merge(into[name]["properties"], field["properties"])
        else:
            into[name] = copy.deepcopy(field)


def field_at(resolved: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The field at a dot path, or ``None``."""
    node = resolved
    for name in path.split("."):
        found = node.get("properties", {}).get(name)
        if not isinstance(found, dict):
            return None
        node = found
    return node
