"""The names of classes and field groups: ``$id``, ``meta:altId``, title, or the short name of a standard part.

A short name is the name of the part's file in Adobe's public XDM repository, such as ``profile-person-details``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from aep_data_prep.errors import nearest
from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import becomes_true
from airflow_provider_aep.client.errors import AepConfigurationError, AepNotFoundError
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


def class_exists(id_: str) -> Call[Sequence[str]]:
    """Return the call that reads a class. AEP answers 404 for what is no class."""
    return schema_registry.get("classes", id_, container=container_of(id_)).then(lambda _: ())


def part_ids(client: AepClient, resource: PartResource, names: Sequence[str], argument: str) -> tuple[str, ...]:
    """Return the ``$id`` of parts, each once.

    A ``$id`` and a short name need no request. Whether a ``$id`` exists is seen when it is used. A short name comes
    before a title.

    :param names: names of the parts, in any of the four forms
    :param argument: name of the author's argument, for the error
    :raises AepConfigurationError: parts do not exist, or several have a title; the message lists all of them
    """
    found = {name: _part_ids(client, resource, name) for name in dict.fromkeys(names)}

    def find_missing() -> bool:
        for name in [name for name, ids in found.items() if not ids]:
            found[name] = _part_ids(client, resource, name)
        return all(found.values())

    if not all(found.values()):
        becomes_true(client, find_missing)  # lists have a read lag
    problems = [_problem(resource, name, ids) for name, ids in found.items() if len(ids) != 1]
    if problems:
        raise AepConfigurationError(
            f"{argument} names what AEP does not have: {'; '.join(problems)}",
            next_step=f"Set {argument} to a $id, a meta:altId, a title or one of Adobe's short names.",
        )
    return tuple(dict.fromkeys(ids[0] for ids in found.values()))


def _part_ids(client: AepClient, resource: PartResource, name: str) -> list[str]:
    """Return the ``$id`` of each part of a name."""
    if name.startswith("https://"):
        return [name]
    if standard := standard_parts(resource).get(name):
        return [standard]
    if name.startswith("_") and "." in name:
        try:
            return [client.send(schema_registry.get(resource, name, container=container_of(name))).id]
        except AepNotFoundError:
            return []
    for container in ("tenant", "global"):
        listed = client.items(schema_registry.find(resource, name, container=container))
        if titled := sorted(part.id for part in listed if part.title == name):
            return titled
    return []


def _problem(resource: PartResource, name: str, ids: Sequence[str]) -> str:
    if ids:
        return f"the title {name!r} has several parts: {', '.join(ids)}"
    near = nearest(name, standard_parts(resource))
    hint = f". Did you mean {near!r}?" if near else ""
    return f"no {_LABELS[resource]} is named {name!r}{hint}"
