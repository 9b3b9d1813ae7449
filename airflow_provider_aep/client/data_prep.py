"""Endpoints of Data Prep: mapping sets.

A create returns status 200 and version 0, and each PUT adds 1 to the version. Source: Adobe's OpenAPI file
``data-prep`` and the mapping set guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_aep.client.call import Call, Page, Response, Safety, by_offset
from airflow_provider_aep.client.filters import is_filterable
from airflow_provider_aep.client.models import (
    NO_REASON,
    ExpressionValidation,
    MappingPreview,
    MappingSet,
    MappingValidation,
)

BASE = "/data/foundation/conversion"
"""Path of the service below the platform URL."""

PAGE_SIZE = 100
"""Entries in one page of a list."""


def get_mapping_set(id_: str, version: int | None = None) -> Call[MappingSet]:
    """Return the call that reads a mapping set.

    :param version: ``None`` reads the newest version
    """
    query = (("version", str(version)),) if version is not None else ()
    return Call("GET mappingSets", "GET", _path(id_), _set, Safety.READ, query)


def list_mapping_sets(name: str) -> Call[Page[MappingSet]]:
    """Return the call that lists the mapping sets of a name. AEP requires both ``limit`` and ``start``."""
    by_name = (("name", name),) if is_filterable(name) else ()
    query = (*by_name, ("limit", str(PAGE_SIZE)), ("start", "0"))

    def read(answer: Response) -> Page[MappingSet]:
        items = [MappingSet.model_validate(item) for item in answer.body["data"]]
        return Page(items, by_offset(PAGE_SIZE) if len(items) == PAGE_SIZE else None)

    return Call("GET mappingSets", "GET", f"{BASE}/mappingSets", read, Safety.READ, query)


def create_mapping_set(body: Mapping[str, Any]) -> Call[MappingSet]:
    """Return the call that creates a mapping set."""
    return Call("POST mappingSets", "POST", f"{BASE}/mappingSets", _set, Safety.CREATE, body=dict(body))


def put_mapping_set(id_: str, body: Mapping[str, Any]) -> Call[MappingSet]:
    """Return the call that writes a new version. A flow uses its old version until the flow is patched."""
    return Call("PUT mappingSets", "PUT", _path(id_), _set, Safety.CREATE, body=dict(body))


def delete_mapping_set(id_: str) -> Call[None]:
    """Return the call that deletes a mapping set. Source: Adobe's Python client; the OpenAPI file lacks it."""
    return Call("DELETE mappingSets", "DELETE", _path(id_), lambda _: None, Safety.IDEMPOTENT)


def validate_mapping_set(body: Mapping[str, Any]) -> Call[list[MappingValidation]]:
    """Return the call that makes AEP validate mappings without a write; the result has their order."""

    def read(answer: Response) -> list[MappingValidation]:
        # Adobe's documents show an object and a bare list.
        found = answer.body["validationResponse"] if isinstance(answer.body, Mapping) else answer.body
        return [MappingValidation.model_validate(v) for v in found]

    path = f"{BASE}/mappingSets/validate"
    return Call("POST mappingSets/validate", "POST", path, read, Safety.READ, body=dict(body))


def validate_expression(expression: str) -> Call[str]:
    """Return the call that makes AEP validate an expression; the result says what is wrong, or is empty."""

    def read(answer: Response) -> str:
        if isinstance(answer.body, bool):  # Adobe's documents show a boolean and an object
            return "" if answer.body else NO_REASON
        result = ExpressionValidation.model_validate(answer.body)
        is_valid = result.validationStatus.lower() in {"succeeded", "success"}
        return "" if is_valid else result.error or NO_REASON

    path = f"{BASE}/languages/el/validate"
    return Call("POST languages/el/validate", "POST", path, read, Safety.READ, body={"expression": expression})


def preview(mapping_set: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Call[list[MappingPreview]]:
    """Return the call that applies a mapping set to some rows, without a write."""

    def read(answer: Response) -> list[MappingPreview]:
        return [MappingPreview.model_validate(v) for v in answer.body]

    body = {"mappingSet": dict(mapping_set), "data": [dict(row) for row in rows]}
    path = f"{BASE}/mappingSets/preview"
    return Call("POST mappingSets/preview", "POST", path, read, Safety.READ, body=body)


def _path(id_: str) -> str:
    return f"{BASE}/mappingSets/{quote(id_, safe='')}"


def _set(answer: Response) -> MappingSet:
    return MappingSet.model_validate(answer.body)
