"""Resource type class: custom classes, whose schemas describe records or events."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.models import XdmSchema
from airflow_provider_aep.onboarding.reconcile.resource_type import Body, CreateOptions, FieldPolicy
from airflow_provider_aep.onboarding.resources.custom_fields import CustomFieldsDesired, CustomFieldsType
from airflow_provider_aep.onboarding.resources.dependents import SCHEMAS_BY_PART


@dataclass(frozen=True, kw_only=True)
class ClassDesired(CustomFieldsDesired):
    """The desired state of a class.

    :param behavior: ``$id`` of the behavior: record or time series
    """

    behavior: str

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return {**super().fields(), "behavior": self.behavior}


class ClassType(CustomFieldsType[ClassDesired]):
    """The resource type of custom classes."""

    label = "class"
    resource = "classes"
    parent = "behavior"
    policy = FieldPolicy(immutable=("behavior",), managed=("description",))
    page = "schema/class"
    dependents = (SCHEMAS_BY_PART,)
    deletion_order = 7

    def observe_more(self, answer: XdmSchema) -> Body:
        """Return the behavior of a class."""
        behaviors = schema_registry.BEHAVIORS.values()
        refs = [part["$ref"] for part in answer.allOf if part.get("$ref")]
        return {"behavior": next((ref for ref in refs if ref in behaviors), next(iter(refs), ""))}

    def create(self, desired: ClassDesired, options: CreateOptions) -> Call[XdmSchema]:
        """Return the call that creates a class."""
        body = self.create_body(desired, self.body(desired, options), [desired.behavior])
        return schema_registry.create(self.resource, body)
