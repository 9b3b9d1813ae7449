"""Endpoints of Catalog Service: datasets and batches.

Catalog returns lists and single objects in the same form, as an object keyed by id. Source: Adobe's OpenAPI file
``catalog`` and the Catalog guide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from airflow_provider_aep.client.call import Call, Page, Response, Safety, by_offset
from airflow_provider_aep.client.errors import AepNotFoundError, Where
from airflow_provider_aep.client.filters import is_filterable
from airflow_provider_aep.client.models import Batch, DataSet

BASE = "/data/foundation/catalog"
"""Path of the service below the platform URL."""

PAGE_SIZE = 100
"""Entries in one page of a list."""

M = TypeVar("M", bound=BaseModel)


def get_dataset(id_: str) -> Call[DataSet]:
    """Return the call that reads a dataset."""
    return _get("dataSets", id_, DataSet)


def list_datasets(name: str | None = None) -> Call[Page[DataSet]]:
    """Return the call that lists datasets, oldest first.

    :param name: the datasets' name, of which Catalog allows several; ``None`` lists all datasets
    """
    by_name = (("property", f"name=={name}"),) if name is not None and is_filterable(name) else ()
    return _list("dataSets", DataSet, (*by_name, ("orderBy", "asc:created")))


def create_dataset(body: Mapping[str, Any]) -> Call[str]:
    """Return the call that creates a dataset and its data source; the result is the id without ``@/dataSets/``."""
    query = (("requestDataSource", "true"),)
    return Call("POST dataSets", "POST", f"{BASE}/dataSets", _reference, Safety.CREATE, query, dict(body))


def patch_dataset(id_: str, body: Mapping[str, Any]) -> Call[str]:
    """Return the call that replaces top-level fields of a dataset."""
    path = f"{BASE}/dataSets/{quote(id_, safe='')}"
    return Call("PATCH dataSets", "PATCH", path, _reference, Safety.IDEMPOTENT, body=dict(body))


def tag_dataset(id_: str, tags: Mapping[str, Sequence[str]]) -> Call[str]:
    """Return the call that writes some tags of a dataset and keeps the others."""
    path, headers = f"{BASE}/dataSets/{quote(id_, safe='')}", (("Content-Type", "application/json-patch+json"),)
    ops = [{"op": "add", "path": f"/tags/{name}", "value": list(values)} for name, values in tags.items()]
    return Call("PATCH dataSets", "PATCH", path, _reference, Safety.IDEMPOTENT, body=ops, headers=headers)


def delete_dataset(id_: str) -> Call[None]:
    """Return the call that deletes a dataset **and its data**, which is irreversible."""
    path = f"{BASE}/dataSets/{quote(id_, safe='')}"
    return Call("DELETE dataSets", "DELETE", path, lambda _: None, Safety.IDEMPOTENT)


def get_batch(id_: str) -> Call[Batch]:
    """Return the call that reads a batch."""
    return _get("batches", id_, Batch)


def list_batches(dataset_id: str, *, created_since: int | None = None) -> Call[Page[Batch]]:
    """Return the call that lists the batches of a dataset, newest first.

    :param created_since: earliest creation time in milliseconds since the epoch; ``None`` lists all batches
    """
    time_filter = (("createdAfter", str(created_since - 1)),) if created_since is not None else ()
    return _list("batches", Batch, (("dataSet", dataset_id), *time_filter, ("orderBy", "desc:created")))


def _get(resource: str, id_: str, model: type[M]) -> Call[M]:
    operation = f"GET {resource}"

    def read(answer: Response) -> M:
        items = _parse_by_id(model, answer.body)
        if not items:
            raise AepNotFoundError(
                f"The response of {operation} contains no object",
                where=Where(operation, status=answer.status),
                next_step="Check the id and the sandbox.",
            )
        return items[0]

    return Call(operation, "GET", f"{BASE}/{resource}/{quote(id_, safe='')}", read, Safety.READ)


def _list(resource: str, model: type[M], query: tuple[tuple[str, str], ...]) -> Call[Page[M]]:
    def read(answer: Response) -> Page[M]:
        items = _parse_by_id(model, answer.body)
        return Page(items, by_offset(PAGE_SIZE) if len(items) == PAGE_SIZE else None)

    paged = (*query, ("limit", str(PAGE_SIZE)), ("start", "0"))
    return Call(f"GET {resource}", "GET", f"{BASE}/{resource}", read, Safety.READ, paged)


def _parse_by_id(model: type[M], body: Mapping[str, Mapping[str, Any]]) -> list[M]:
    return [model.model_validate({**value, "id": key}) for key, value in body.items()]


def _reference(answer: Response) -> str:
    """Return the id in ``["@/dataSets/5e54…"]``. The case of the prefix differs between Adobe's pages."""
    return str(answer.body[0]).rsplit("/", 1)[-1]
