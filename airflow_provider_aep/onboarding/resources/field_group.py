"""Resource type field group: custom fields, which schemas of some classes may contain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.models import XdmSchema
from airflow_provider_aep.onboarding.reconcile.resource_type import Body, CreateOptions, FieldPolicy, Observed
from airflow_provider_aep.onboarding.resources.custom_fields import CustomFieldsDesired, CustomFieldsType
from airflow_provider_aep.onboarding.resources.dependents import CLASSES_BY_PART, SCHEMAS_BY_PART
from airflow_provider_aep.onboarding.xdm.parts import class_exists


@dataclass(frozen=True, kw_only=True)
class FieldGroupDesired(CustomFieldsDesired):
    """The desired state of a field group.

    :param classes: ``$id`` of the classes whose schemas may contain it; missing ones are added, others are kept
    """

    classes: tuple[str, ...]

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return {**super().fields(), "classes": list(self.classes)}


class FieldGroupType(CustomFieldsType[FieldGroupDesired]):
    """The resource type of custom field groups."""

    label = "field group"
    resource = "fieldgroups"
    parent = ""
    policy = FieldPolicy(managed=("description",), required_members=("classes",))
    page = "schema/mixin"
    dependents = (SCHEMAS_BY_PART, CLASSES_BY_PART)
    deletion_order = 6

    def observe_more(self, answer: XdmSchema) -> Body:
        """Return the classes of a field group."""
        return {"classes": answer.intended_classes}

    def create(self, desired: FieldGroupDesired, options: CreateOptions) -> Call[XdmSchema]:
        """Return the call that creates a field group."""
        body = {
            "meta:intendedToExtend": list(desired.classes),
            **self.create_body(desired, self.body(desired, options)),
        }
        return schema_registry.create(self.resource, body)

    def validate(self, desired: FieldGroupDesired) -> Iterable[Call[Sequence[str]]]:
        """Return the calls that read the classes, which AEP answers with 404 if one is none."""
        return [class_exists(id_) for id_ in desired.classes]

    def more_operations(self, observed: Observed, fields: Body, paths: Sequence[str]) -> list[Body]:
        """Return the JSON Patch operation that adds classes."""
        if "classes" not in paths:
            return []
        union = dict.fromkeys([*observed.fields["classes"], *fields["classes"]])
        return [{"op": "add", "path": "/meta:intendedToExtend", "value": [*union]}]
