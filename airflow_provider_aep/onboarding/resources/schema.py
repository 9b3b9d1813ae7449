"""Resource type schema: an XDM schema, whose title is unique in the Schema Registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call, Page
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
from airflow_provider_aep.onboarding.resources.dependents import DATASETS_BY_SCHEMA, SOURCES_BY_SCHEMA
from airflow_provider_aep.onboarding.xdm.parts import class_exists


@dataclass(frozen=True, kw_only=True)
class SchemaDesired(Desired):
    """The desired state of a schema; ``name`` is its title.

    :param class_id: ``$id`` of the class
    :param field_groups: ``$id`` of each field group; missing ones are added, others are kept
    """

    class_id: str
    field_groups: tuple[str, ...] = ()

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return {
            **drop_none(title=self.name, description=self.description),
            "class": self.class_id,
            "refs": list(self.field_groups),
        }


class SchemaType(ResourceType[SchemaDesired]):
    """The resource type of schemas. Only new field groups are safe to write while a dataset uses the schema."""

    label = "schema"
    parent = "class"
    name_field = "title"
    policy = FieldPolicy(immutable=("class",), managed=("description",), required_members=("refs",))
    page = "schema/browse"
    dependents = (DATASETS_BY_SCHEMA, SOURCES_BY_SCHEMA)
    deletion_order = 5

    def find(self, name: str) -> Call[Page[XdmSchema]]:
        """Return the call that lists schemas by title."""
        return schema_registry.find("schemas", name)

    def read(self, id_: str) -> Call[XdmSchema]:
        """Return the call that reads a schema."""
        return schema_registry.get("schemas", id_)

    def observe(self, answer: XdmSchema) -> Observed:
        """Return the observed state of a schema."""
        refs = [part["$ref"] for part in answer.allOf if "$ref" in part]
        class_id = answer.class_id or next(iter(refs), "")
        description, marker = split_marker(answer.description)
        fields = {
            "title": answer.title,
            "description": description,
            "class": class_id,
            "refs": [ref for ref in refs if ref != class_id],
            "union": "union" in answer.immutable_tags,
        }
        return Observed(answer.id, answer.title, fields, answer.id, marker=marker, is_partial=not answer.allOf)

    def create(self, desired: SchemaDesired, options: CreateOptions) -> Call[XdmSchema]:
        """Return the call that creates a schema."""
        body = {key: value for key, value in self.body(desired, options).items() if key not in {"class", "refs"}}
        parts = [{"$ref": ref} for ref in (desired.class_id, *desired.field_groups)]
        return schema_registry.create("schemas", {**body, "type": "object", "allOf": parts})

    def validate(self, desired: SchemaDesired) -> Iterable[Call[Sequence[str]]]:
        """Return the call that reads the class, which AEP answers with 404 if it is none."""
        return [class_exists(desired.class_id)]

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[XdmSchema]:
        """Return the call that writes some fields of a schema."""
        missing = [ref for ref in fields["refs"] if ref not in observed.fields["refs"]]
        operations: list[dict[str, Any]] = [
            {"op": "add", "path": "/allOf/-", "value": {"$ref": ref}} for ref in missing if "refs" in paths
        ]
        if "description" in paths:
            operations.append({"op": "add", "path": "/description", "value": fields["description"]})
        return schema_registry.patch("schemas", observed.id, operations)

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes a schema."""
        return schema_registry.delete("schemas", id_)
