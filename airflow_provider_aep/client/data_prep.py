"""Data Prep: mapping sets. Source: Adobe's data-prep OpenAPI file and mapping set guide.

A create answers 200, not 201; versions start at 0 and a PUT adds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_aep.client.call import Answer, Call, Page, Safety, by_offset
from airflow_provider_aep.client.models import MappingSet, MappingValidation

BASE = "/data/foundation/conversion"
PAGE_SIZE = 100


def get_mapping_set(id_: str, version: int | None = None) -> Call[MappingSet]:
    query = (("version", str(version)),) if version is not None else ()
    return Call("GET mappingSets", "GET", _path(id_), _set, Safety.READ, query)


def list_mapping_sets(name: str) -> Call[Page[MappingSet]]:
    """Mapping sets with this name; ``limit`` and ``start`` are both required by AEP."""
    query = (("name", name), ("limit", str(PAGE_SIZE)), ("start", "0"))

    def read(answer: Answer) -> Page[MappingSet]:
        items = [MappingSet.model_validate(item) for item in answer.body["data"]]
        return Page(items, by_offset(PAGE_SIZE) if len(items) == PAGE_SIZE else None)

    return Call("GET mappingSets", "GET", f"{BASE}/mappingSets", read, Safety.READ, query)


def create_mapping_set(body: Mapping[str, Any]) -> Call[MappingSet]:
    return Call("POST mappingSets", "POST", f"{BASE}/mappingSets", _set, Safety.CREATE, body=dict(body))


def put_mapping_set(id_: str, body: Mapping[str, Any]) -> Call[MappingSet]:
    """Write a new version. A flow keeps the version it names until it is patched."""
    return Call("PUT mappingSets", "PUT", _path(id_), _set, Safety.CREATE, body=dict(body))


def delete_mapping_set(id_: str) -> Call[None]:
    """Not in Adobe's OpenAPI file; its own Python client has it."""
    return Call("DELETE mappingSets", "DELETE", _path(id_), lambda _: None, Safety.IDEMPOTENT)


def validate_mapping_set(body: Mapping[str, Any]) -> Call[list[MappingValidation]]:
    """AEP's own verdict on each mapping, in order. Writes nothing."""

    def read(answer: Answer) -> list[MappingValidation]:
        return [MappingValidation.model_validate(v) for v in answer.body["validationResponse"]]

    path = f"{BASE}/mappingSets/validate"
    return Call("POST mappingSets/validate", "POST", path, read, Safety.READ, body=dict(body))


def _path(id_: str) -> str:
    return f"{BASE}/mappingSets/{quote(id_, safe='')}"


def _set(answer: Answer) -> MappingSet:
    return MappingSet.model_validate(answer.body)
