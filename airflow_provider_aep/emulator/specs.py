"""Adobe's connection specs and flow specs, made from the catalogue in ``data/connection_specs.json``."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

DATA_LAKE = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
FLOW_SPECS = {
    "CRMToAEP": "14518937-270c-4525-bdec-c2ba7cce3860",
    "RestStorageToAEP": "6499120c-0b15-42dc-936e-847ea3c24d72",
    "CloudStorageToAEP": "9753525b-82c7-4dce-8a9b-5ccfce2b9876",
}
SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
"""Length of a flow's interval, by its frequency."""

_SECRET = ("password", "secret", "token", "key", "connectionstring", "credentials", "passphrase", "sasuri")


@cache
def _catalogue() -> list[dict[str, Any]]:
    return json.loads((files(__package__) / "data" / "connection_specs.json").read_text())


@cache
def connection_specs() -> dict[str, dict[str, Any]]:
    """Adobe's source connectors by id, in the shape of ``GET /connectionSpecs``."""
    return {e["id"]: _connection_spec(e) for e in _catalogue()}


def is_rest(connection_spec_id: str) -> bool:
    """Whether a source delivers JSON records instead of tables."""
    return connection_spec_id in flow_specs()[FLOW_SPECS["RestStorageToAEP"]]["sourceConnectionSpecIds"]


def _connection_spec(entry: dict[str, Any]) -> dict[str, Any]:
    source_spec = {"type": "object", "properties": {"tableName": {"type": "string"}, "columns": {"type": "array"}}}
    return {
        "id": entry["id"],
        "name": entry["name"].lower().replace(" ", "-"),
        "providerId": "0ed90a81-07f4-4586-8190-b40eccef1c5a",
        "version": "1.0",
        "authSpec": [_auth_spec(a) for a in entry["auth"]],
        "sourceSpec": {"spec": source_spec},
        "attributes": {
            "category": entry["category"],
            "isSource": entry["id"] != DATA_LAKE,
            "isDraftModeSupported": True,
        },
    }


def _auth_spec(auth: dict[str, Any]) -> dict[str, Any]:
    names = [p.rstrip("?") for p in auth["params"]]
    properties = {
        n: {"type": "string", "format": "password"} if any(s in n.lower() for s in _SECRET) else {"type": "string"}
        for n in names
    }
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": properties,
        "required": [p for p in auth["params"] if not p.endswith("?")],
    }
    return {"name": auth["name"], "type": auth["name"].split()[0], "spec": schema}


@cache
def flow_specs() -> dict[str, dict[str, Any]]:
    return {id_: _flow_spec(id_, name, _catalogue()) for name, id_ in FLOW_SPECS.items()}


def _flow_spec(id_: str, name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    schedule = {
        "type": "object",
        "properties": {
            "startTime": {"type": "integer", "description": "epoch time"},
            "frequency": {"type": "string", "enum": ["once", *SECONDS]},
            "interval": {"type": "integer"},
            "backfill": {"type": "boolean", "default": True},
        },
        "required": ["startTime", "frequency"],
        "if": {"properties": {"frequency": {"const": "minute"}}},
        "then": {"properties": {"interval": {"minimum": 15}}},
        "else": {"properties": {"interval": {"minimum": 1}}},
    }
    mapping = {"name": "Mapping", "spec": {"type": "object", "properties": {"mappingId": {"type": "string"}}}}
    copy = {"name": "Copy", "spec": {"type": "object", "properties": {"deltaColumn": {"type": "object"}}}}
    return {
        "id": id_,
        "name": name,
        "providerId": "0ed90a81-07f4-4586-8190-b40eccef1c5a",
        "version": "1.0",
        "sourceConnectionSpecIds": [e["id"] for e in entries if e["flowSpec"] == name],
        "targetConnectionSpecIds": [DATA_LAKE],
        "transformationSpecs": [mapping] if name == "RestStorageToAEP" else [copy, mapping],
        "scheduleSpec": {"name": "PeriodicSchedule", "type": "Periodic", "spec": schedule},
        "attributes": {"isSourceFlow": True, "frequency": "batch", "isDraftModeSupported": True},
    }
