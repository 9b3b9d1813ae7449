"""Base classes of the resource types of Flow Service: connections and flows have the same endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.filters import name_filter
from airflow_provider_aep.client.models import Ref
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    Observed,
    ResourceType,
    at,
)

D = TypeVar("D", bound=Desired)


class CreateCall(Protocol):
    """A function that returns the call of a create request."""

    def __call__(self, body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
        """Return the call."""


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of one collection of Flow Service, as functions of ``client.flow_service``.

    :param find: by equality filters
    :param read: by id
    :param create: of a body
    :param patch: of id, etag and JSON Patch operations
    :param publish: by id
    :param delete: by id
    """

    find: Callable[[Mapping[str, str]], Call[Page[Any]]]
    read: Callable[[str], Call[Any]]
    create: CreateCall
    patch: Callable[[str, str, Sequence[Mapping[str, Any]]], Call[Ref]]
    publish: Callable[[str], Call[Ref]]
    delete: Callable[[str], Call[None]]


class FlowServiceType(ResourceType[D]):
    """A resource type of Flow Service. It supports drafts and deletion.

    :cvar endpoints: of its collection
    """

    endpoints: ClassVar[Endpoints]

    def find(self, name: str) -> Call[Page[Any]]:
        """Return the call that lists objects by name."""
        return self.endpoints.find(name_filter(name))

    def read(self, id_: str) -> Call[Any]:
        """Return the call that reads an object."""
        return self.endpoints.read(id_)

    def observe(self, answer: Any) -> Observed:
        """Return the observed state of an object."""
        description, marker = split_marker(answer.description)
        fields = {**answer.model_dump(by_alias=True), "etag": answer.etag, "description": description}
        return Observed(answer.id, answer.name, fields, answer.id, answer.state, marker, answer.createdAt)

    def create(self, desired: D, options: CreateOptions) -> Call[Ref]:
        """Return the call that creates an object."""
        return self.endpoints.create(self.body(desired, options), draft=options.draft)

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Ref]:
        """Return the call that writes some fields of an object."""
        return self.patch(observed, [self.patch_operation(observed, fields, path) for path in paths])

    def patch_operation(self, observed: Observed, fields: Body, path: str) -> dict[str, Any]:
        """Return the JSON Patch operation that writes the field at a dot path."""
        verb = "add" if at(observed.fields, path) is None else "replace"
        return {"op": verb, "path": "/" + path.replace(".", "/"), "value": at(fields, path)}

    def patch(self, observed: Observed, operations: Sequence[Mapping[str, Any]]) -> Call[Ref]:
        """Return the call that patches the observed version of an object."""
        return self.endpoints.patch(observed.id, observed.fields["etag"], operations)

    def publish(self, id_: str) -> Call[Ref]:
        """Return the call that publishes a draft."""
        return self.endpoints.publish(id_)

    def reschedule_draft(self, observed: Observed, desired: D, now: float) -> Call[Ref] | None:
        """Return ``None``: only flows have a start."""
        return None

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes an object."""
        return self.endpoints.delete(id_)


class ReplaceableFlowServiceType(FlowServiceType[D]):
    """A resource type of Flow Service whose objects a successor may replace."""

    def rename(self, observed: Observed, name: str, description: str) -> Call[Ref]:
        """Return the call that gives an object another name and description."""
        values = {"name": name, "description": description}
        return self.patch(
            observed, [{"op": "replace", "path": f"/{field}", "value": value} for field, value in values.items()]
        )
