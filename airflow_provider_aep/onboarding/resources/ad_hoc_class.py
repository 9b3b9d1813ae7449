"""Resource type ad hoc class: a class whose fields are the columns of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import XdmSchema
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    FieldPolicy,
    Observed,
    ResourceType,
    drop_none,
)


@dataclass(frozen=True, kw_only=True)
class AdHocClassDesired(Desired):
    """The desired state of an ad hoc class; ``name`` is its title.

    :param properties: XDM field by name, as :func:`xdm_fields` returns them; create-only
    """

    properties: Mapping[str, Any]

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return drop_none(title=self.name, description=self.description, behavior=schema_registry.AD_HOC)


class AdHocClassType(ResourceType[AdHocClassDesired]):
    """The resource type of ad hoc classes. Their fields are create-only, like the columns of a source connection."""

    label = "ad hoc class"
    parent = "behavior"
    name_field = "title"
    policy = FieldPolicy(immutable=("behavior",), managed=("description",))
    page = "schema/browse"
    deletion_order = 6

    def find(self, name: str) -> Call[Page[XdmSchema]]:
        """Return the call that lists ad hoc classes by title."""
        return schema_registry.find("classes", name)

    def read(self, id_: str) -> Call[XdmSchema]:
        """Return the call that reads an ad hoc class."""
        return schema_registry.get("classes", id_)

    def observe(self, answer: XdmSchema) -> Observed:
        """Return the observed state of an ad hoc class."""
        refs = [part["$ref"] for part in answer.allOf if "$ref" in part]
        description, marker = split_marker(answer.description)
        fields = {"title": answer.title, "description": description, "behavior": next(iter(refs), "")}
        return Observed(answer.id, answer.title, fields, answer.id, marker=marker, is_partial=not answer.allOf)

    def create(self, desired: AdHocClassDesired, options: CreateOptions) -> Call[XdmSchema]:
        """Return the call that creates an ad hoc class. AEP replaces ``_adhoc`` by a namespace of the class."""
        body = {key: value for key, value in self.body(desired, options).items() if key != "behavior"}
        namespace = {"_adhoc": {"type": "object", "properties": dict(desired.properties)}}
        parts = [{"$ref": schema_registry.AD_HOC}, {"properties": namespace}]
        return schema_registry.create("classes", {**body, "type": "object", "allOf": parts})

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[XdmSchema]:
        """Return the call that writes some fields of an ad hoc class."""
        operation = {"op": "add", "path": "/description", "value": fields["description"]}
        return schema_registry.patch("classes", observed.id, [operation])

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes an ad hoc class."""
        return schema_registry.delete("classes", id_)


def xdm_fields(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the XDM field by name for a source's columns. A dot path becomes nested objects.

    :param columns: columns, as AEP's explore returns them
    :raises AepConfigurationError: two columns cannot both be fields of a class
    """
    root: dict[str, Any] = {}
    for column in columns:
        *parents, leaf = str(column["name"]).split(".")
        node, is_free = root, True
        for name in parents:
            child = node.setdefault(name, {"type": "object", "properties": {}})
            is_free = is_free and "properties" in child  # without properties it is another column
            node = child.get("properties", {})
        if not is_free or leaf in node:
            raise AepConfigurationError(
                f"The column {column['name']!r} conflicts with another column, so both cannot be fields of a class",
                next_step="Remove one of them from columns.",
            )
        xdm = dict(column.get("xdm") or {"type": "string"})
        node[leaf] = {**xdm, "items": {"type": "string"}} if xdm.get("type") == "array" else xdm
    return root
