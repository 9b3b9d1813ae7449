"""The names of classes and field groups: ``$id``, ``meta:altId``, title, or the short name of a standard part.

A short name is the name of the part's file in Adobe's public XDM repository, such as ``profile-person-details``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from aep_data_prep.errors import nearest
from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import becomes_true, send_retrying_not_found
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import XdmSchema
from airflow_provider_aep.client.schema_registry import Container

PartResource = Literal["classes", "fieldgroups"]

_LABELS = {"classes": "class", "fieldgroups": "field group"}
_ADOBE = ("https://ns.adobe.com/xdm/", "https://ns.adobe.com/experience/", "_xdm.", "_experience.")


@cache
def standard_parts(resource: PartResource) -> Mapping[str, str]:
    """Return the ``$id`` of Adobe's standard parts by short name."""
    table = (files("airflow_provider_aep.onboarding.xdm") / "standard_parts.json").read_text(encoding="utf-8")
    parts: Mapping[str, str] = json.loads(table)[resource]
    return parts


def container_of(id_: str) -> Container:
    """Return the container of a part: Adobe's ids are known by their beginning."""
    return "global" if id_.startswith(_ADOBE) else "tenant"


def part_ids(client: AepClient, resource: PartResource, names: Sequence[str], argument: str) -> tuple[str, ...]:
    """Return the ``$id`` of parts.

    A ``$id`` and a short name need no request. Whether a ``$id`` exists is seen when it is used.

    :param names: names of the parts, in any of the four forms
    :param argument: name of the author's argument, for the error
    :raises AepConfigurationError: parts do not exist, or several have a title; the message lists all of them
    """
    problems: list[str] = []
    found = [_part_id(client, resource, name, problems.append) for name in names]
    if problems:
        raise AepConfigurationError(
            f"{argument} names what AEP does not have: {'; '.join(problems)}",
            next_step=f"Set {argument} to a $id, a meta:altId, a title or one of Adobe's short names.",
        )
    return tuple(found)


def _part_id(client: AepClient, resource: PartResource, name: str, report: Callable[[str], None]) -> str:
    if name.startswith("https://"):
        return name
    if standard := standard_parts(resource).get(name):
        return standard
    if name.startswith("_") and "." in name:
        call = schema_registry.get(resource, name, container=container_of(name))
        return send_retrying_not_found(client, call).id
    for container in ("tenant", "global"):
        titled = _titled(client, resource, name, container)
        if len(titled) > 1:
            report(f"the title {name!r} has several parts: {', '.join(titled)}")
        if titled:
            return titled[0]
    listed: list[str] = []

    def is_listed() -> bool:
        listed[:] = _titled(client, resource, name, "tenant")
        return bool(listed)

    if becomes_true(client, is_listed):  # lists have a read lag
        return listed[0]
    near = nearest(name, standard_parts(resource))
    hint = f" Did you mean {near!r}?" if near else ""
    report(f"no {_LABELS[resource]} has the title or the short name {name!r}.{hint}")
    return ""


def _titled(client: AepClient, resource: PartResource, title: str, container: Container) -> list[str]:
    found: list[XdmSchema] = list(client.items(schema_registry.find(resource, title, container=container)))
    return sorted(part.id for part in found if part.title == title)
