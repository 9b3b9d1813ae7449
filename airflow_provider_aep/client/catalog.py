"""Catalog: datasets and batches. Source: Adobe's catalog OpenAPI file and catalog guide.

Lists and single reads both answer an object keyed by id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from airflow_provider_aep.client.call import Answer, Call, Page, Safety, by_offset
from airflow_provider_aep.client.errors import AepNotFoundError, Where
from airflow_provider_aep.client.models import Batch, DataSet

BASE = "/data/foundation/catalog"
PAGE_SIZE = 100
M = TypeVar("M", bound=BaseModel)


def get_dataset(id_: str) -> Call[DataSet]:
    return _get("dataSets", id_, DataSet)


def list_datasets(name: str | None = None) -> Call[Page[DataSet]]:
    """Datasets with this name, of which Catalog allows several; or all."""
    named = (("property", f"name=={name}"),) if name is not None else ()
    return _list("dataSets", DataSet, (*named, ("orderBy", "asc:created")))


def create_dataset(body: Mapping[str, Any]) -> Call[str]:
    """Create a dataset and its data source; the result is the id alone, without ``@/dataSets/``."""
    query = (("requestDataSource", "true"),)
    return Call("POST dataSets", "POST", f"{BASE}/dataSets", _reference, Safety.CREATE, query, dict(body))


def patch_dataset(id_: str, body: Mapping[str, Any]) -> Call[str]:
    """Replace top-level fields."""
    path = f"{BASE}/dataSets/{quote(id_, safe='')}"
    return Call("PATCH dataSets", "PATCH", path, _reference, Safety.IDEMPOTENT, body=dict(body))


def tag_dataset(id_: str, tags: Mapping[str, Sequence[str]]) -> Call[str]:
    """Write these tags, and leave the others as they are."""
    path, headers = f"{BASE}/dataSets/{quote(id_, safe='')}", (("Content-Type", "application/json-patch+json"),)
    ops = [{"op": "add", "path": f"/tags/{name}", "value": list(values)} for name, values in tags.items()]
    return Call("PATCH dataSets", "PATCH", path, _reference, Safety.IDEMPOTENT, body=ops, headers=headers)


def delete_dataset(id_: str) -> Call[None]:
    """Delete a dataset **and its data**; AEP cannot undo it."""
    path = f"{BASE}/dataSets/{quote(id_, safe='')}"
    return Call("DELETE dataSets", "DELETE", path, lambda _: None, Safety.IDEMPOTENT)


def get_batch(id_: str) -> Call[Batch]:
    return _get("batches", id_, Batch)


def list_batches(dataset_id: str, *, created_since: int | None = None) -> Call[Page[Batch]]:
    """Batches of a dataset, the youngest first.

    :param created_since: milliseconds since the epoch
    """
    young = (("createdAfter", str(created_since - 1)),) if created_since is not None else ()
    return _list("batches", Batch, (("dataSet", dataset_id), *young, ("orderBy", "desc:created")))


def _get(resource: str, id_: str, model: type[M]) -> Call[M]:
    operation = f"GET {resource}"

    def read(answer: Answer) -> M:
        items = _keyed(model, answer.body)
        if not items:
            raise AepNotFoundError("No such object", where=Where(operation, status=answer.status))
        return items[0]

    return Call(operation, "GET", f"{BASE}/{resource}/{quote(id_, safe='')}", read, Safety.READ)


def _list(resource: str, model: type[M], query: tuple[tuple[str, str], ...]) -> Call[Page[M]]:
    def read(answer: Answer) -> Page[M]:
        items = _keyed(model, answer.body)
        return Page(items, by_offset(PAGE_SIZE) if len(items) == PAGE_SIZE else None)

    paged = (*query, ("limit", str(PAGE_SIZE)), ("start", "0"))
    return Call(f"GET {resource}", "GET", f"{BASE}/{resource}", read, Safety.READ, paged)


def _keyed(model: type[M], body: Mapping[str, Mapping[str, Any]]) -> list[M]:
    return [model.model_validate({**value, "id": key}) for key, value in body.items()]


def _reference(answer: Answer) -> str:
    """``["@/dataSets/5e54…"]``; the case of the prefix differs between Adobe's pages."""
    return str(answer.body[0]).rsplit("/", 1)[-1]
