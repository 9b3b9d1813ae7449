"""Base of field groups and classes: both have custom fields, below the namespace of the tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import XdmSchema
from airflow_provider_aep.client.schema_registry import Resource
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    Desired,
    Difference,
    Observed,
    ResourceType,
    drop_none,
)
from airflow_provider_aep.onboarding.xdm.evolution import changes, operations
from airflow_provider_aep.onboarding.xdm.fields import XdmField, custom_fields, object_of, parts_of

_OWN = "customFields"
"""Name of the definition that has the fields, as the user interface of Experience Platform names it."""


@dataclass(frozen=True, kw_only=True)
class CustomFieldsDesired(Desired):
    """The desired state of an object with custom fields; ``name`` is its title.

    :param custom_fields: the fields by name, below the namespace of the tenant
    :param keep_undeclared: whether fields may exist that are not declared
    :param tenant_id: returns the tenant id; called only for a create
    """

    custom_fields: Mapping[str, XdmField]
    keep_undeclared: bool = False
    tenant_id: Callable[[], str] = field(repr=False, compare=False)

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return {**drop_none(title=self.name, description=self.description), "custom_fields": self.custom_fields}


D = TypeVar("D", bound=CustomFieldsDesired)


class CustomFieldsType(ResourceType[D], Generic[D]):
    """Base of the resource types with custom fields. Changes of fields are additive.

    :cvar resource: path of the objects in the Schema Registry
    """

    resource: ClassVar[Resource]
    name_field = "title"

    def find(self, name: str) -> Call[Page[XdmSchema]]:
        """Return the call that lists objects by title."""
        return schema_registry.find(self.resource, name)

    def read(self, id_: str) -> Call[XdmSchema]:
        """Return the call that reads an object."""
        return schema_registry.get(self.resource, id_)

    def observe(self, answer: XdmSchema) -> Observed:
        """Return the observed state of an object."""
        description, marker = split_marker(answer.description)
        body = {"definitions": answer.definitions, "allOf": answer.allOf, "properties": answer.properties}
        fields = {
            "title": answer.title,
            "description": description,
            "body": body,
            "namespace": answer.alt_id.partition(".")[0],
            **self.observe_more(answer),
        }
        return Observed(answer.id, answer.title, fields, answer.id, marker=marker, is_partial=not answer.allOf)

    def observe_more(self, answer: XdmSchema) -> Body:
        """Return the comparable fields of this resource type alone."""
        return {}

    def more_differences(self, observed: Observed, desired: D) -> Iterable[Difference]:
        """Return the changes of fields; those that AEP would refuse are immutable."""
        namespace = observed.fields["namespace"]
        old = {namespace: custom_fields(observed.fields["body"], namespace)}
        new = {namespace: XdmField(type="object", fields=desired.custom_fields)}
        found = changes(old, new, keep_undeclared=desired.keep_undeclared) if desired.custom_fields else ()
        written: set[str] = set()
        for change in found:
            path = f"fields.{change.path.removeprefix(f'{namespace}.')}"
            if change.refusal:
                yield Difference(path, immutable=True, rule=change.refusal)
            elif path not in written:
                written.add(path)
                yield Difference(path, rule=change.what)

    def create_body(self, desired: D, fields: Body, parts: Sequence[str] = ()) -> Body:
        """Return the body of a create request.

        :param fields: title, and description with our marker
        :param parts: ``$id`` of the parts that the object extends
        """
        fields = {name: value for name, value in fields.items() if name in {"title", "description"}}
        refs = [{"$ref": part} for part in parts]
        if not desired.custom_fields:
            return {**fields, "type": "object", "allOf": refs}
        return {
            **fields,
            "type": "object",
            "definitions": {_OWN: _definition(f"_{desired.tenant_id()}", desired.custom_fields)},
            "allOf": [*refs, {"$ref": f"#/definitions/{_OWN}"}],
        }

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[XdmSchema]:
        """Return the call that writes the description, and changes of fields."""
        found: list[Body] = []
        if "description" in paths:
            found.append({"op": "add", "path": "/description", "value": fields["description"]})
        if any(path.startswith("fields.") for path in paths):
            found += _operations(observed.fields["body"], observed.fields["namespace"], fields["custom_fields"])
        return schema_registry.patch(self.resource, observed.id, found + self.more_operations(observed, fields, paths))

    def more_operations(self, observed: Observed, fields: Body, paths: Sequence[str]) -> list[Body]:
        """Return the JSON Patch operations of this resource type alone."""
        return []

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes an object."""
        return schema_registry.delete(self.resource, id_)


def _definition(namespace: str, own: Mapping[str, XdmField]) -> Body:
    return object_of({namespace: XdmField(type="object", fields=own)})


def _operations(body: Body, namespace: str, declared: Mapping[str, XdmField]) -> Iterator[Body]:
    if places := parts_of(body, namespace):
        yield from operations(places, {namespace: XdmField(type="object", fields=declared)})
        return
    definition = _definition(namespace, declared)  # it has no custom fields yet
    if body["definitions"]:
        yield {"op": "add", "path": f"/definitions/{_OWN}", "value": definition}
    else:
        yield {"op": "add", "path": "/definitions", "value": {_OWN: definition}}
    yield {"op": "add", "path": "/allOf/-", "value": {"$ref": f"#/definitions/{_OWN}"}}
