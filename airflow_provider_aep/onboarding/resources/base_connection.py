"""Resource type base connection: AEP's login to a source system, or a connection to the data lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import Connection, Ref
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    FieldPolicy,
    Observed,
    ResourceType,
    drop_none,
)
from airflow_provider_aep.onboarding.resources import flow_service as common
from airflow_provider_aep.onboarding.resources.dependents import SOURCES_BY_BASE, TARGETS_BY_BASE


@dataclass(frozen=True, kw_only=True)
class BaseConnectionDesired(Desired):
    """The desired state of a base connection.

    :param connection_spec: ``{"id", "version"}`` of the connector
    :param auth: ``{"specName", "params"}`` with credentials; ``None`` for a dataset base connection
    """

    connection_spec: Mapping[str, Any]
    auth: Mapping[str, Any] | None = field(default=None, repr=False)

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return drop_none(
            name=self.name,
            description=self.description,
            auth=self.auth and dict(self.auth),
            connectionSpec=dict(self.connection_spec),
        )


class BaseConnectionType(ResourceType[BaseConnectionDesired]):
    """The resource type of base connections. Credentials are never compared, because AEP may mask them."""

    label = "base connection"
    parent = "connectionSpec.id"
    policy = FieldPolicy(immutable=("connectionSpec.id", "auth.specName"), managed=("description",))
    page = "source/accounts/{0}/activity"
    dependents = (SOURCES_BY_BASE, TARGETS_BY_BASE)
    deletion_order = 3

    def find(self, name: str) -> Call[Page[Connection]]:
        """Return the call that lists base connections by name."""
        return flow_service.list_connections({"name": name})

    def read(self, id_: str) -> Call[Connection]:
        """Return the call that reads a base connection."""
        return flow_service.get_connection(id_)

    def observe(self, answer: Connection) -> Observed:
        """Return the observed state of a base connection."""
        return common.observe(answer)

    def create(self, desired: BaseConnectionDesired, options: CreateOptions) -> Call[Ref]:
        """Return the call that creates a base connection."""
        return flow_service.create_connection(self.body(desired, options), draft=options.draft)

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Ref]:
        """Return the call that writes some fields of a base connection."""
        return common.update(flow_service.patch_connection, observed, fields, paths)

    def publish(self, id_: str) -> Call[Ref]:
        """Return the call that publishes a draft."""
        return flow_service.publish_connection(id_)

    def reschedule_draft(self, observed: Observed, desired: BaseConnectionDesired, now: float) -> None:
        """Return ``None``: a base connection has no start."""

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes a base connection."""
        return flow_service.delete_connection(id_)
