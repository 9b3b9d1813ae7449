"""Endpoints of the Schema Registry: schemas, classes and descriptors.

The ``Accept`` header must contain a major version for a single object, and none for a list. Source: Adobe's OpenAPI
file ``schema-registry`` and the XDM guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_aep.client.call import Call, Page, Response, Safety, by_link
from airflow_provider_aep.client.filters import is_filterable
from airflow_provider_aep.client.models import Descriptor, Stats, XdmSchema

BASE = "/data/foundation/schemaregistry"
"""Path of the service below the platform URL."""

FULL = "application/vnd.adobe.xed-full+json;version=1"
"""Media type of a schema with resolved references. Other services use it as ``contentType`` of a schema reference."""

_RAW = "application/vnd.adobe.xed+json;version=1"
_IDS = "application/vnd.adobe.xed-id+json"
_DESCRIPTORS = "application/vnd.adobe.xdm-v2+json"
AD_HOC = "https://ns.adobe.com/xdm/data/adhoc"
"""``$id`` of the behavior that ad hoc classes extend."""


def stats() -> Call[Stats]:
    """Return the call that reads the statistics of the registry, which include the tenant id."""
    return Call("GET stats", "GET", f"{BASE}/stats", lambda a: Stats.model_validate(a.body), Safety.READ)


def _path(resource: str, id_: str) -> str:
    return f"{BASE}/tenant/{resource}/{quote(id_, safe='')}"


# -- schemas and classes --------------------------------------------------------------------------------------------


def get_schema(id_: str, *, resolved: bool = False) -> Call[XdmSchema]:
    """Return the call that reads a schema.

    :param id_: ``$id`` or ``meta:altId``
    :param resolved: whether AEP replaces references by the fields that they refer to
    """
    return _get("schemas", id_, FULL if resolved else _RAW)


def list_schemas(title: str) -> Call[Page[XdmSchema]]:
    """Return the call that lists the schemas of a title, in short form."""
    return _list("schemas", title)


def create_schema(body: Mapping[str, Any]) -> Call[XdmSchema]:
    """Return the call that creates a schema."""
    return _create("schemas", body)


def patch_schema(id_: str, ops: Sequence[Mapping[str, Any]]) -> Call[XdmSchema]:
    """Return the call that patches a schema.

    :param ops: JSON Patch operations; one that appends to a list appends again each time it is sent
    """
    return _patch("schemas", id_, ops)


def delete_schema(id_: str) -> Call[None]:
    """Return the call that deletes a schema."""
    return _delete("schemas", id_)


def get_class(id_: str) -> Call[XdmSchema]:
    """Return the call that reads a class."""
    return _get("classes", id_, _RAW)


def list_classes(title: str) -> Call[Page[XdmSchema]]:
    """Return the call that lists the classes of a title, in short form."""
    return _list("classes", title)


def create_class(body: Mapping[str, Any]) -> Call[XdmSchema]:
    """Return the call that creates a class."""
    return _create("classes", body)


def patch_class(id_: str, ops: Sequence[Mapping[str, Any]]) -> Call[XdmSchema]:
    """Return the call that patches a class.

    :param ops: JSON Patch operations; one that appends to a list appends again each time it is sent
    """
    return _patch("classes", id_, ops)


def delete_class(id_: str) -> Call[None]:
    """Return the call that deletes a class."""
    return _delete("classes", id_)


def _get(resource: str, id_: str, accept: str) -> Call[XdmSchema]:
    return Call(f"GET {resource}", "GET", _path(resource, id_), _read, Safety.READ, headers=(("Accept", accept),))


def _list(resource: str, title: str) -> Call[Page[XdmSchema]]:
    by_title = (("property", f"title=={title}"),) if is_filterable(title) else ()
    query = (*by_title, ("limit", "500"), ("orderby", "title"))
    path, accept = f"{BASE}/tenant/{resource}", (("Accept", _IDS),)
    return Call(f"GET {resource}", "GET", path, _page, Safety.READ, query, headers=accept)


def _create(resource: str, body: Mapping[str, Any]) -> Call[XdmSchema]:
    return Call(f"POST {resource}", "POST", f"{BASE}/tenant/{resource}", _read, Safety.CREATE, body=dict(body))


def _patch(resource: str, id_: str, ops: Sequence[Mapping[str, Any]]) -> Call[XdmSchema]:
    return Call(f"PATCH {resource}", "PATCH", _path(resource, id_), _read, Safety.CREATE, body=list(ops))


def _delete(resource: str, id_: str) -> Call[None]:
    return Call(f"DELETE {resource}", "DELETE", _path(resource, id_), lambda _: None, Safety.IDEMPOTENT)


def _read(answer: Response) -> XdmSchema:
    return XdmSchema.model_validate(answer.body)


def _page(answer: Response) -> Page[XdmSchema]:
    items = [XdmSchema.model_validate(item) for item in answer.body["results"]]
    return Page(items, _next(answer.body))


def _next(body: Mapping[str, Any]) -> Callable[[Call[Any]], Call[Any]] | None:
    link = (body.get("_links") or {}).get("next")
    href = link.get("href") if isinstance(link, Mapping) else link
    return by_link(href, BASE) if href else None


# -- descriptors ----------------------------------------------------------------------------------------------------


def get_descriptor(id_: str) -> Call[Descriptor]:
    """Return the call that reads a descriptor."""
    headers = (("Accept", "application/vnd.adobe.xdm+json"),)
    return Call("GET descriptors", "GET", _path("descriptors", id_), _descriptor, Safety.READ, headers=headers)


def list_descriptors(schema_id: str) -> Call[Page[Descriptor]]:
    """Return the call that lists the descriptors of a schema."""

    def read(answer: Response) -> Page[Descriptor]:
        entries = answer.body["results"] if isinstance(answer.body, Mapping) else answer.body
        items = [d for d in map(Descriptor.model_validate, entries) if d.schema_id == schema_id]
        return Page(items, _next(answer.body) if isinstance(answer.body, Mapping) else None)

    query = (("property", f"xdm:sourceSchema=={schema_id}"),)
    path, accept = f"{BASE}/tenant/descriptors", (("Accept", _DESCRIPTORS),)
    return Call("GET descriptors", "GET", path, read, Safety.READ, query, headers=accept)


def create_descriptor(body: Mapping[str, Any]) -> Call[Descriptor]:
    """Return the call that creates a descriptor."""
    path = f"{BASE}/tenant/descriptors"
    return Call("POST descriptors", "POST", path, _descriptor, Safety.CREATE, body=dict(body))


def put_descriptor(id_: str, body: Mapping[str, Any]) -> Call[str]:
    """Return the call that replaces a descriptor. Its response contains only the id."""
    path = _path("descriptors", id_)
    return Call("PUT descriptors", "PUT", path, lambda a: str(a.body["@id"]), Safety.IDEMPOTENT, body=dict(body))


def delete_descriptor(id_: str) -> Call[None]:
    """Return the call that deletes a descriptor."""
    return _delete("descriptors", id_)


def _descriptor(answer: Response) -> Descriptor:
    return Descriptor.model_validate(answer.body)
