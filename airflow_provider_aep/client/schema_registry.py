"""Endpoints of the Schema Registry: schemas, classes, field groups and descriptors.

The ``Accept`` header must contain a major version for a single object, and none for a list. Source: Adobe's OpenAPI
file ``schema-registry`` and the XDM guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from airflow_provider_aep.client.call import Call, Page, Response, Safety, by_link
from airflow_provider_aep.client.filters import is_filterable
from airflow_provider_aep.client.models import Descriptor, Stats, XdmSchema

BASE = "/data/foundation/schemaregistry"
"""Path of the service below the platform URL."""

FULL = "application/vnd.adobe.xed-full+json;version=1"
"""Media type of a schema with resolved references. Other services use it as ``contentType`` of a schema reference."""

_RAW = "application/vnd.adobe.xed+json;version=1"
_OBJECTS = "application/vnd.adobe.xed+json"
"""Media type of a list of complete objects; they need no further read."""

_DESCRIPTORS = "application/vnd.adobe.xdm-v2+json"
AD_HOC = "https://ns.adobe.com/xdm/data/adhoc"
"""``$id`` of the behavior that ad hoc classes extend."""

BEHAVIORS = {
    "record": "https://ns.adobe.com/xdm/data/record",
    "time-series": "https://ns.adobe.com/xdm/data/time-series",
}
"""``$id`` of the behaviors of other classes by their names."""


def stats() -> Call[Stats]:
    """Return the call that reads the statistics of the registry, which include the tenant id."""
    return Call("GET stats", "GET", f"{BASE}/stats", lambda a: Stats.model_validate(a.body), Safety.READ)


# -- schemas, classes and field groups --------------------------------------------------------------------------------

Resource = Literal["schemas", "classes", "fieldgroups"]
Container = Literal["tenant", "global"]
"""The objects of the organization, or Adobe's."""


def get(resource: Resource, id_: str, *, resolved: bool = False, container: Container = "tenant") -> Call[XdmSchema]:
    """Return the call that reads an object.

    :param id_: ``$id`` or ``meta:altId``
    :param resolved: whether AEP replaces references by the fields that they refer to
    """
    headers = (("Accept", FULL if resolved else _RAW),)
    return Call(f"GET {resource}", "GET", _path(resource, id_, container), _read, Safety.READ, headers=headers)


def find(resource: Resource, title: str, *, container: Container = "tenant") -> Call[Page[XdmSchema]]:
    """Return the call that lists the objects of a title, or all objects if a filter cannot find the title."""
    by_title = (("property", f"title=={title}"),) if is_filterable(title) else ()
    return _list(resource, by_title, container)


def find_all(resource: Resource) -> Call[Page[XdmSchema]]:
    """Return the call that lists all objects of the organization."""
    return _list(resource, (), "tenant")


def create(resource: Resource, body: Mapping[str, Any]) -> Call[XdmSchema]:
    """Return the call that creates an object."""
    return Call(f"POST {resource}", "POST", f"{BASE}/tenant/{resource}", _read, Safety.CREATE, body=dict(body))


def patch(resource: Resource, id_: str, ops: Sequence[Mapping[str, Any]]) -> Call[XdmSchema]:
    """Return the call that patches an object.

    :param ops: JSON Patch operations; one that appends to a list appends again each time it is sent
    """
    return Call(f"PATCH {resource}", "PATCH", _path(resource, id_), _read, Safety.CREATE, body=list(ops))


def delete(resource: Resource, id_: str) -> Call[None]:
    """Return the call that deletes an object."""
    return _delete(resource, id_)


def _path(resource: str, id_: str, container: Container = "tenant") -> str:
    return f"{BASE}/{container}/{resource}/{quote(id_, safe='')}"


def _list(resource: Resource, filters: tuple[tuple[str, str], ...], container: Container) -> Call[Page[XdmSchema]]:
    query = (*filters, ("limit", "500"), ("orderby", "title"))
    path, accept = f"{BASE}/{container}/{resource}", (("Accept", _OBJECTS),)
    return Call(f"GET {resource}", "GET", path, _page, Safety.READ, query, headers=accept)


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
