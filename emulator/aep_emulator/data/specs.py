"""Adobe's connection specs and flow specs, built from the catalogue ``data/connection_specs.json``."""

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
FORMATS = {
    "CRMToAEP": ("tabular",),
    "RestStorageToAEP": ("json",),
    "CloudStorageToAEP": ("delimited", "json", "parquet"),
}
"""The formats of a source, by flow spec."""

LANDING_ZONE = "26f526f2-58f4-4712-961d-e41bf1ccc0e8"
"""The one batch source without a base connection."""

SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
"""Length of a frequency in seconds."""

BATCH, STREAMING = "0ed90a81-07f4-4586-8190-b40eccef1c5a", "521eee4d-8cbe-4906-bb48-fb6bd4450033"
"""Adobe's ids of the providers."""

_PERMISSIONS = {
    action: [{"@type": "lowLevel", "name": "EnterpriseSource", "permissions": [right]}]
    for action, right in (("manage", "write"), ("view", "read"))
}
_SECRET = ("password", "secret", "token", "key", "connectionstring", "credentials", "passphrase", "sasuri")


@cache
def _catalogue() -> list[dict[str, Any]]:
    return json.loads((files("aep_emulator") / "data" / "connection_specs.json").read_text())


@cache
def connection_specs() -> dict[str, dict[str, Any]]:
    """Return Adobe's source connectors by id, in the format of ``GET /connectionSpecs``."""
    return {e["id"]: _connection_spec(e) for e in _catalogue()}


def _folder(entry: dict[str, Any]) -> str:
    return str(entry["name"].lower().replace(" ", "-").replace("/", "-"))


@cache
def folder_of(connection_spec_id: str) -> str:
    """Return the name of a connector's folder in the source data."""
    return next((_folder(e) for e in _catalogue() if e["id"] == connection_spec_id), "")


@cache
def flow_spec_of(connection_spec_id: str) -> str:
    """Return the name of the flow spec for a source; empty for the data lake."""
    return next((e["flowSpec"] or "" for e in _catalogue() if e["id"] == connection_spec_id), "")


def _connection_spec(entry: dict[str, Any]) -> dict[str, Any]:
    file_based = entry["flowSpec"] == "CloudStorageToAEP"
    named = (
        {"path": {"type": "string"}} if file_based else {"tableName": {"type": "string"}, "columns": {"type": "array"}}
    )
    source_spec = {"type": "object", "properties": named}
    streaming = entry["flowSpec"] not in {None, *FLOW_SPECS}
    return {
        "id": entry["id"],
        "name": entry.get("specName") or _folder(entry),
        "providerId": STREAMING if streaming else BATCH,
        "version": "1.0",
        "authSpec": [_auth_spec(a) for a in entry["auth"]],
        "sourceSpec": {"spec": source_spec, "attributes": {"uiAttributes": {}}},
        "exploreSpec": _explore_spec(entry["flowSpec"]),
        "attributes": {
            "category": entry["category"],
            "isSource": entry["id"] != DATA_LAKE,
            "isDraftModeSupported": True,
            "uiAttributes": {"apiFeatures": {"explorePaginationSupported": False}},
        },
        "permissionsInfo": _PERMISSIONS,
    }


def _explore_spec(flow_spec: str | None) -> dict[str, Any]:
    name = {"CRMToAEP": "Tabular", "CloudStorageToAEP": "FileSystem", "RestStorageToAEP": "Resource"}.get(
        flow_spec or ""
    )
    return {"name": name, "type": name, "requestSpec": {}, "responseSpec": {}} if name else {}


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
    """Return Adobe's flow specs by id, in the format of ``GET /flowSpecs``."""
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
    mapping = {
        "name": "Mapping",
        "spec": _json_schema(mappingId={"type": "string"}, mappingVersion={"type": "string"}),
    }
    delta = _json_schema(name={"type": "string"}, dateFormat={"type": "string"}, timezone={"type": "string"})
    copy = {"name": "Copy", "spec": _json_schema(deltaColumn={**delta, "required": ["name"]})}
    window = {n: {"type": "integer"} for n in ("startTime", "windowStartTime", "windowEndTime")}
    options = _json_schema(
        errorDiagnosticsEnabled={"type": "boolean", "default": False},
        partialIngestionPercent={"type": "number", "exclusiveMinimum": 0},
    )
    return {
        "id": id_,
        "name": name,
        "providerId": BATCH,
        "version": "1.0",
        "sourceConnectionSpecIds": [e["id"] for e in entries if e["flowSpec"] == name],
        "targetConnectionSpecIds": [DATA_LAKE],
        "optionSpec": {"name": "OptionSpec", "spec": options},
        "transformationSpecs": [copy, mapping] if name == "CRMToAEP" else [mapping],
        "scheduleSpec": {"name": "PeriodicSchedule", "type": "Periodic", "spec": schedule},
        "runSpec": {"name": "ProviderParams", "spec": _json_schema(**window, deltaColumn=delta)},
        "attributes": {
            "isSourceFlow": True,
            "flacValidationSupported": True,
            "frequency": "batch",
            "isDraftModeSupported": True,
        },
        "permissionsInfo": _PERMISSIONS,
    }


def _json_schema(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": properties}
