"""What a request body may look like, by resource: types only, of the fields that handlers read.

Whether a field must be there, and what it may say, is the handlers' to decide, in Adobe's codes.
"""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema

_TEXT: dict[str, Any] = {"type": ["string", "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": ["object", "null"], "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": items}


_FLOW_OBJECT = {
    "name": _TEXT,
    "description": _TEXT,
    "connectionSpec": _object(id=_TEXT),
    "auth": _object(specName=_TEXT, params=_object()),
    "baseConnectionId": _TEXT,
    "data": _object(format=_TEXT, schema=_object(id=_TEXT)),
    "params": _object(tableName=_TEXT, dataSetId=_TEXT, deltaColumn=_object(name=_TEXT)),
    "flowSpec": _object(id=_TEXT),
    "transformations": _list(_object(name=_TEXT, params=_object(deltaColumn=_object(name=_TEXT)))),
    "scheduleParams": _object(frequency=_TEXT),
    "flowId": _TEXT,
}
_FIELDS = {"type": "object", "additionalProperties": {"$ref": "#/definitions/field"}}
_NAMES = {"type": "array", "items": {"type": "string"}}
_PART = {
    "properties": _FIELDS,
    "required": _NAMES,
    "enum": _NAMES,
    "type": {"type": "string"},
    "format": {"type": "string"},
}
_FIELD = {"type": "object", "properties": _PART}
_SCHEMA_REF = _object(id=_TEXT)
_SHAPES = {
    "flowservice": _object(**_FLOW_OBJECT),
    "schemas": {
        **_object(title=_TEXT, description=_TEXT, allOf=_list(_object(**_PART, **{"$ref": _TEXT})), **_PART),
        "definitions": {"field": _FIELD},
    },
    "descriptors": _object(
        **{
            "@type": _TEXT,
            "xdm:sourceSchema": _TEXT,
            "xdm:sourceProperty": _TEXT,
            "xdm:namespace": _TEXT,
            "xdm:property": _TEXT,
            "xdm:isPrimary": {"type": "boolean"},
        }
    ),
    "dataSets": _object(
        name=_TEXT,
        description=_TEXT,
        schemaRef=_SCHEMA_REF,
        tags={**_object(), "additionalProperties": _list({"type": "string"})},
    ),
    "mappingSets": _object(
        name=_TEXT, outputSchema=_object(schemaRef=_SCHEMA_REF), xdmSchema=_TEXT, mappings=_list({"type": "object"})
    ),
}


def misfit(resource: str, body: Any) -> str | None:
    """Where a body has another type than the resource takes; ``None`` if it fits."""
    try:
        for error in jsonschema.Draft7Validator(_SHAPES[resource]).iter_errors(body):
            return f"{'.'.join(map(str, error.path)) or 'the body'} has a wrong type"
    except RecursionError:
        return "the body is nested too deeply"
    return None


def parsed(content: bytes) -> Any:
    """JSON as every service takes it: numbers are finite and fit 64 bits, text is Unicode.

    :raises ValueError: it is none
    """
    body = json.loads(content, parse_constant=_refuse, parse_float=_finite, parse_int=_bounded)
    json.dumps(body, ensure_ascii=False).encode()  # a lone surrogate is no text
    return body


def _refuse(text: str) -> Any:
    raise ValueError(f"{text[:20]} is out of range")


def _finite(text: str) -> float:
    return number if math.isfinite(number := float(text)) else _refuse(text)


def _bounded(text: str) -> int:
    return number if len(text) < 21 and abs(number := int(text)) < 2**63 else _refuse(text)
