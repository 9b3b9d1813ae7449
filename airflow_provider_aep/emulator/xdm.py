"""XDM schemas resolved to fields: what a mapping's destination may be and what a row must satisfy."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib.resources import files
from typing import Any

from airflow_provider_aep.emulator.store import Scope, Store

PROFILE = "https://ns.adobe.com/xdm/context/profile"
BEHAVIORS = ("https://ns.adobe.com/xdm/data/record", "https://ns.adobe.com/xdm/data/time-series")


@cache
def library() -> dict[str, dict[str, Any]]:
    """Adobe's global classes and field groups by ``$id``, as far as onboarding a customer-success source needs them."""
    data = json.loads((files(__package__) / "data" / "xdm.json").read_text())
    return {
        **{id_: {**body, "resource": "classes"} for id_, body in data["classes"].items()},
        **{id_: {**body, "resource": "fieldgroups"} for id_, body in data["fieldgroups"].items()},
    }


def class_of(schema: dict[str, Any]) -> str | None:
    """The one class among a schema's references."""
    classes = [r for r in references(schema) if r in library() and library()[r]["resource"] == "classes"]
    return classes[0] if len(classes) == 1 else None


def is_field_group(id_: str) -> bool:
    return library().get(id_, {}).get("resource") == "fieldgroups"


def references(schema: dict[str, Any]) -> list[str]:
    return [part["$ref"] for part in schema.get("allOf", []) if part and part.get("$ref")]


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema with every reference replaced by its fields; ``required`` are those of the parts, and ``_id``."""
    properties: dict[str, Any] = {}
    required: set[str] = set()
    for part in [library().get(ref, {}) for ref in references(schema)] + [
        p for p in schema.get("allOf", []) if p and "properties" in p
    ]:
        _merge(properties, part.get("properties", {}))
        required.update(part.get("required", []))
    _merge(properties, schema.get("properties", {}))
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


def stored(store: Store, scope: Scope, id_: str) -> dict[str, Any] | None:
    """A tenant schema by ``$id`` or ``meta:altId``."""
    by_id = store.get("schemas", scope, id_)
    if by_id:
        return by_id
    found = store.find("schemas", scope, parent=id_)
    return found[0] if found else None
