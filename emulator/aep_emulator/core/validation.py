"""JSON Schemas of request bodies, by resource: the known fields, and the types of those that handlers read.

Handlers check required fields and values, with Adobe's codes. An unknown field is a warning; a strict emulator refuses
it. Sources: Adobe's OpenAPI files and tutorials.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any

import jsonschema

from aep_data_prep.values import text_of

DEEPEST = 250
"""Maximum depth of a body."""

_ANY: dict[str, Any] = {}
_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_FLAG: dict[str, Any] = {"type": ["boolean", "null"]}
_COUNT: dict[str, Any] = {"type": ["integer", "string", "null"]}
_FREE: dict[str, Any] = {"type": ["object", "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these fields and no others."""
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": items}


_SPEC = _object(id=_TEXT, version=_TEXT)
_SCHEMA_REF = _object(id=_TEXT, contentType=_TEXT)
_DELTA = _object(name=_TEXT, dateFormat=_TEXT, timezone=_TEXT)
_NAMED = {"name": _TEXT, "description": _TEXT}

_CONNECTION = {
    **_NAMED,
    "connectionSpec": _SPEC,
    "providerId": _TEXT,
    "auth": _object(specName=_TEXT, params=_FREE),
}
_DATA = _object(format=_TEXT, schema=_object(id=_TEXT, version=_TEXT), properties=_FREE, columnDelimiter=_TEXT)
_SOURCE = {
    **_NAMED,
    "connectionSpec": _SPEC,
    "providerId": _TEXT,
    "baseConnectionId": _TEXT,
    "data": _DATA,
    "params": {
        **_object(
            tableName=_TEXT,
            columns=_list(_FREE),
            path=_TEXT,
            type=_TEXT,
            recursive={"type": ["boolean", "string", "null"]},
            cdcEnabled=_FLAG,
            filters=_ANY,
            deltaColumn=_DELTA,
        ),
        # Each REST connector defines its own parameters.
        "additionalProperties": True,
    },
}
_TARGET = {
    **_NAMED,
    "connectionSpec": _SPEC,
    "providerId": _TEXT,
    "baseConnectionId": _TEXT,
    "data": _DATA,
    "params": _object(dataSetId=_TEXT),
}
_STEP = {
    "name": _TEXT,
    "params": _object(deltaColumn=_DELTA, mappingId=_TEXT, mappingVersion=_COUNT, cdcEnabled=_FLAG),
}
_FLOW = {
    **_NAMED,
    "flowSpec": _SPEC,
    "providerId": _TEXT,
    "sourceConnectionIds": _ANY,
    "targetConnectionIds": _ANY,
    "transformations": _list(_object(**_STEP)),
    "scheduleParams": _object(
        startTime=_ANY, endTime=_ANY, frequency=_TEXT, interval=_ANY, backfill={"type": ["boolean", "string", "null"]}
    ),
    "options": _object(
        errorDiagnosticsEnabled=_FLAG, partialIngestionPercent={"type": ["number", "null"]}, inletUrl=_TEXT
    ),
    "state": _ANY,  # known, so that it is refused with 1410
}
_RUN = {
    "flowId": _TEXT,
    "params": _object(startTime=_ANY, windowStartTime=_ANY, windowEndTime=_ANY, deltaColumn=_DELTA),
}
_STORED = dict.fromkeys(  # the stored object to which a PATCH is applied
    (
        "id createdAt updatedAt createdBy updatedBy createdClient updatedClient sandboxId sandboxName imsOrgId "
        "version etag state inheritedAttributes providerRefId lastOperation lastRunDetails runs labels policy"
    ).split(),
    _ANY,
)

_FIELDS = {"type": "object", "additionalProperties": {"$ref": "#/definitions/field"}}
_NAMES = {"type": "array", "items": {"type": "string"}}
_PART = {
    "properties": _FIELDS,
    "required": _NAMES,
    "enum": _list(_ANY),
    "type": {"type": "string"},
    "format": {"type": "string"},
    "items": {"$ref": "#/definitions/field"},
    "$ref": {"type": "string"},
    "allOf": {"type": "array", "items": {"$ref": "#/definitions/field"}},
}
_FIELD = {"type": "object", "properties": _PART}
_WORDS = _list({"type": "string"})
_XDM = {
    "type": ["object", "null"],
    "properties": {
        **{k: v for k, v in _PART.items() if k not in {"allOf", "$ref"}},
        "title": _TEXT,
        "description": _TEXT,
        "allOf": _list({"type": ["object", "null"], "properties": {**_PART, "$ref": _TEXT}}),
        "definitions": _FIELDS,
        "meta:extends": _WORDS,
        "meta:intendedToExtend": _WORDS,
        "meta:immutableTags": _WORDS,
        **dict.fromkeys(
            ("$schema", "$id", "$meta", "version", "refs", "imsOrg", "examples", "meta:altId", "meta:resourceType"),
            _ANY,
        ),
    },
    # Other names with "meta:" belong to the registry.
    "patternProperties": {"^meta:": _ANY},
    "additionalProperties": False,
    "definitions": {"field": _FIELD},
}
_MAPPING = dict.fromkeys(
    (
        "id version sourceType source destination sourceAttribute destinationXdmPath name description identity "
        "primaryIdentity identityGroup namespaceCode matchScore functionVersion expressionAttributes status copy "
        "createdBy createdDate modifiedBy modifiedDate sourceTemplate destinationTemplate ajoSupport"
    ).split(),
    _ANY,
)
_MAPPING_SET = {
    **dict.fromkeys(
        (
            "id version xdmVersion inputSchema createdBy createdDate modifiedBy modifiedDate supportVersion "
            "status allowNullValues strictMapping inputSchemaRef outputSchemaRef schemaRef mappingSetErrors"
        ).split(),
        _ANY,
    ),
    "name": _TEXT,
    "description": _TEXT,
    "tags": _list(_object(name=_TEXT, values=_list(_TEXT))),
    "xdmSchema": _TEXT,
    "outputSchema": {**_object(schemaRef=_SCHEMA_REF), "additionalProperties": True},
    "mappings": _list({"type": "object", "properties": _MAPPING, "additionalProperties": False}),
}

_SHAPES: dict[str, dict[str, Any]] = {
    "connections": _object(**_CONNECTION),
    "sourceConnections": _object(**_SOURCE),
    "targetConnections": _object(**_TARGET),
    "flows": _object(**_FLOW),
    "runs": _object(**_RUN),
    "search": _object(
        queryString=_TEXT,
        limit=_ANY,
        orderby=_TEXT,
        count=_FLAG,
        projectionFields=_WORDS,
        groupByProperty=_TEXT,
    ),
    "patch": {
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "properties": {"op": {"type": "string"}, "path": {"type": "string"}, "from": _ANY, "value": _ANY},
            "required": ["op", "path"],
            "additionalProperties": False,
        },
    },
    "xdm": _XDM,
    "descriptors": {
        "type": ["object", "null"],
        "properties": {
            "@type": _TEXT,
            "@id": _TEXT,
            "xdm:sourceSchema": _TEXT,
            "xdm:sourceVersion": _ANY,
            "xdm:sourceProperty": _TEXT,
            "xdm:namespace": _TEXT,
            "xdm:property": _TEXT,
            "xdm:isPrimary": {"type": "boolean"},
        },
        "patternProperties": {"^(xdm|meta):": _ANY},
        "additionalProperties": False,
    },
    "namespaces": _object(**_NAMED, code=_TEXT, idType=_TEXT),
    "dataSets": _object(
        **_NAMED,
        schemaRef=_SCHEMA_REF,
        schema=_ANY,
        tags={"type": ["object", "null"], "additionalProperties": _list({"type": "string"})},
        enableErrorDiagnostics=_FLAG,
        observableSchema=_FREE,
        basePath=_TEXT,
        fileDescription=_FREE,
        dataSourceId=_ANY,
        extensions=_FREE,
        version=_ANY,
    ),
    "mappingSets": _object(**_MAPPING_SET),
    "expression": _object(expression=_ANY, mappingSetId=_TEXT, sampleData=_TEXT, sampleDataType=_TEXT),
    "preview": _object(data=_ANY, mappingSet=_object(**_MAPPING_SET)),
}
_SHAPES["stored anything"] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(
            ("connectionSpec", "params", "data", "flowSpec", "scheduleParams", "metrics", "schemaRef", "tags"), _FREE
        ),
        **dict.fromkeys(("transformations", "sourceConnectionIds", "targetConnectionIds", "activities"), _list(_ANY)),
        **dict.fromkeys(
            ("name", "title", "state", "etag", "version", "meta:altId"), {"type": ["string", "integer", "null"]}
        ),
    },
}
for _kind in ("connections", "sourceConnections", "targetConnections", "flows"):
    _SHAPES[f"stored {_kind}"] = _object(**{**_STORED, **_SHAPES[_kind]["properties"], "_emulator": _ANY})


def shape(resource: str) -> dict[str, Any]:
    """Return the JSON Schema of a resource's body."""
    return _SHAPES[resource]


@cache
def _validator(resource: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(_SHAPES[resource])


Unknown = tuple[str, dict[str, Any], str]
"""An unknown field: its path, the object that contains it, and its name."""


def examine(resource: str, body: Any) -> tuple[str | None, list[Unknown]]:
    """Return the first type error of a body, if it has one, and its unknown fields."""
    unknown: list[Unknown] = []
    try:
        for error in _validator(resource).iter_errors(body):
            where = ".".join(map(str, error.path))
            if error.validator != "additionalProperties" or not isinstance(error.instance, dict):
                return f"{where or 'the body'} has a wrong type", []
            known = error.schema.get("properties", {})
            patterns = error.schema.get("patternProperties", {})
            unknown += [
                (f"{where}.{name}".lstrip(".")[:100], error.instance, name)
                for name in error.instance
                if name not in known and not any(re.search(p, name) for p in patterns)
            ]
    except RecursionError:
        return "the body is nested too deeply", []
    return None, sorted(unknown, key=lambda u: u[0])


def parsed(content: bytes) -> Any:
    """Parse JSON as every service accepts it: finite numbers of at most 64 bits, valid Unicode, limited depth.

    :raises ValueError: it is invalid
    """
    body = json.loads(content, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
    _check_depth(body)
    json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate is not valid text
    return body


def _check_depth(body: Any) -> None:
    level = [body]
    for _ in range(DEEPEST):
        level = [v for n in level for v in (n.values() if isinstance(n, dict) else n if isinstance(n, list) else ())]
        if not level:
            return
    raise ValueError("nested too deeply")


def plain(value: Any) -> Any:
    """Return a value as JSON: dates become ISO texts, other unsupported types texts, and NaN null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else text_of(value)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text[:20]} is out of range")


def _finite(text: str) -> float:
    return number if math.isfinite(number := float(text)) else _refuse(text)


def _bounded(text: str) -> int:
    return number if len(text) < 21 and abs(number := int(text)) < 2**63 else _refuse(text)
