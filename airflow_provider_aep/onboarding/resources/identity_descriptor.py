"""Resource type identity descriptor: makes a field of a schema an identity for Identity Service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import Descriptor
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    FieldPolicy,
    Observed,
    ResourceType,
)

IDENTITY = "xdm:descriptorIdentity"
"""``@type`` of an identity descriptor."""


@dataclass(frozen=True, kw_only=True)
class IdentityDescriptorDesired(Desired):
    """The desired state of an identity descriptor; ``name`` is the field's path with slashes.

    :param schema_id: ``$id`` of the schema
    :param namespace: code of an identity namespace, such as ``Email``
    :param primary: whether the field is the primary identity
    """

    schema_id: str
    namespace: str
    primary: bool

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return {
            "@type": IDENTITY,
            "xdm:sourceSchema": self.schema_id,
            "xdm:sourceVersion": 1,
            "xdm:sourceProperty": self.name,
            "xdm:namespace": self.namespace,
            "xdm:property": "xdm:code",
            "xdm:isPrimary": self.primary,
        }


class IdentityDescriptorType(ResourceType[IdentityDescriptorDesired]):
    """The resource type of one schema's identity descriptors. They have no marker: the field's path is a natural key.

    :param schema_id: ``$id`` of the schema
    """

    label = "identity descriptor"
    parent = "xdm:sourceSchema"
    name_field = "xdm:sourceProperty"
    policy = FieldPolicy(immutable=("xdm:namespace", "xdm:isPrimary"))
    page = "schema/browse"
    allows_duplicates = True
    has_marker = False

    def __init__(self, schema_id: str) -> None:
        """Keep the schema."""
        self.schema_id = schema_id

    def find(self, name: str) -> Call[Page[Descriptor]]:
        """Return the call that lists identity descriptors by path."""
        descriptors = schema_registry.list_descriptors(self.schema_id)
        return descriptors.then(lambda page: replace(page, items=[d for d in page.items if d.type == IDENTITY]))

    def read(self, id_: str) -> Call[Descriptor]:
        """Return the call that reads an identity descriptor."""
        return schema_registry.get_descriptor(id_)

    def observe(self, answer: Descriptor) -> Observed:
        """Return the observed state of an identity descriptor."""
        fields = {"xdm:namespace": answer.namespace, "xdm:isPrimary": answer.is_primary}
        return Observed(answer.id, answer.property_path, fields, answer.id)

    def create(self, desired: IdentityDescriptorDesired, options: CreateOptions) -> Call[Descriptor]:
        """Return the call that creates an identity descriptor."""
        return schema_registry.create_descriptor(desired.fields())

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Descriptor]:
        """Return the call that reads the descriptor, because no field of it is managed."""
        return schema_registry.get_descriptor(observed.id)

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes an identity descriptor."""
        return schema_registry.delete_descriptor(id_)
