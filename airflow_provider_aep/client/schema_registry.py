"""Schema Registry: schemas. Source: Adobe's schema-registry OpenAPI file and XDM guide.

A lookup must name a major version in ``Accept``, a list must not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_aep.client.call import Answer, Call, Page, Safety, by_link
from airflow_provider_aep.client.models import Stats, XdmSchema

BASE = "/data/foundation/schemaregistry"
FULL = "application/vnd.adobe.xed-full+json;version=1"
"""Media type of a schema with its references resolved; other services use it as a value, too."""

_RAW = "application/vnd.adobe.xed+json;version=1"
_IDS = "application/vnd.adobe.xed-id+json"


def stats() -> Call[Stats]:
    """The tenant id, among others."""
    return Call("GET stats", "GET", f"{BASE}/stats", lambda a: Stats.model_validate(a.body), Safety.READ)


def _path(resource: str, id_: str) -> str:
    return f"{BASE}/tenant/{resource}/{quote(id_, safe='')}"


def get_schema(id_: str, *, resolved: bool = False) -> Call[XdmSchema]:
    """:param id_: ``$id`` or ``meta:altId``
    :param resolved: with all fields instead of references
    """
    accept = (("Accept", FULL if resolved else _RAW),)
    return Call("GET schemas", "GET", _path("schemas", id_), _schema, Safety.READ, headers=accept)


def list_schemas(title: str) -> Call[Page[XdmSchema]]:
    """Schemas with this title, in short form."""
    query = (("property", f"title=={title}"), ("limit", "500"), ("orderby", "title"))
    return Call("GET schemas", "GET", f"{BASE}/tenant/schemas", _page, Safety.READ, query, headers=(("Accept", _IDS),))


def create_schema(body: Mapping[str, Any]) -> Call[XdmSchema]:
    return Call("POST schemas", "POST", f"{BASE}/tenant/schemas", _schema, Safety.CREATE, body=dict(body))


def patch_schema(id_: str, ops: Sequence[Mapping[str, Any]]) -> Call[XdmSchema]:
    """:param ops: JSON patch; one that adds to a list adds again each time it is sent"""
    return Call("PATCH schemas", "PATCH", _path("schemas", id_), _schema, Safety.CREATE, body=list(ops))


def _schema(answer: Answer) -> XdmSchema:
    return XdmSchema.model_validate(answer.body)


def _page(answer: Answer) -> Page[XdmSchema]:
    items = [XdmSchema.model_validate(item) for item in answer.body["results"]]
    link = (answer.body.get("_links") or {}).get("next")
    href = link.get("href") if isinstance(link, Mapping) else link
    return Page(items, by_link(href, BASE) if href else None)
