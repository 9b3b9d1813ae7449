"""Resource type source connection: the table of a source, or the records of a REST source, that a flow reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_aep.client import flow_service, schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import Ref, SourceConnection
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
from airflow_provider_aep.onboarding.resources.dependents import FLOWS_BY_SOURCE


@dataclass(frozen=True, kw_only=True)
class SourceConnectionDesired(Desired):
    """The desired state of a source connection.

    :param base_connection_id: id of the base connection
    :param connection_spec: ``{"id", "version"}`` of the connector
    :param table: the table to read; ``None`` for a REST source
    :param columns: columns of the table; create-only
    :param source_params: parameters of a REST source's connector; ``None`` for a source of tables
    :param schema_id: ``$id`` of an ad hoc schema of the rows; AEP no longer requires one
    """

    base_connection_id: str
    connection_spec: Mapping[str, Any] | None = None
    table: str | None = None
    columns: Sequence[Mapping[str, Any]] | None = None
    source_params: Mapping[str, Any] | None = None
    schema_id: str | None = None

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        has_records = self.source_params is not None
        schema = self.schema_id and {"id": self.schema_id, "version": schema_registry.FULL}
        tables = drop_none(tableName=self.table, columns=self.columns and [dict(c) for c in self.columns])
        return drop_none(
            name=self.name,
            description=self.description,
            baseConnectionId=self.base_connection_id,
            data=drop_none(format="json" if has_records else "tabular", schema=schema or None),
            params=drop_none(**(self.source_params or {})) if has_records else tables,
            connectionSpec=self.connection_spec and dict(self.connection_spec),
        )


class SourceConnectionType(ResourceType[SourceConnectionDesired]):
    """The resource type of source connections.

    The fields that a flow uses are immutable, because a flow ignores their changes. Source: Adobe's "Update dataflows".
    """

    label = "source connection"
    parent = "baseConnectionId"
    policy = FieldPolicy(
        immutable=("connectionSpec.id", "baseConnectionId", "data.format", "data.schema.id", "params.tableName"),
        managed=("description",),
    )
    page = "source/dataflows"
    dependents = (FLOWS_BY_SOURCE,)
    deletion_order = 1

    def policy_for(self, desired: SourceConnectionDesired) -> FieldPolicy:
        """Return the policy with the parameters of a REST source, which define the records that a flow delivers."""
        params = tuple(f"params.{name}" for name in desired.source_params or ())
        return replace(self.policy, immutable=(*self.policy.immutable, *params))

    def find(self, name: str) -> Call[Page[SourceConnection]]:
        """Return the call that lists source connections by name."""
        return flow_service.list_source_connections({"name": name})

    def read(self, id_: str) -> Call[SourceConnection]:
        """Return the call that reads a source connection."""
        return flow_service.get_source_connection(id_)

    def observe(self, answer: SourceConnection) -> Observed:
        """Return the observed state of a source connection."""
        return common.observe(answer)

    def create(self, desired: SourceConnectionDesired, options: CreateOptions) -> Call[Ref]:
        """Return the call that creates a source connection."""
        return flow_service.create_source_connection(self.body(desired, options), draft=options.draft)

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Ref]:
        """Return the call that writes some fields of a source connection."""
        return common.update(flow_service.patch_source_connection, observed, fields, paths)

    def publish(self, id_: str) -> Call[Ref]:
        """Return the call that publishes a draft."""
        return flow_service.publish_source_connection(id_)

    def reschedule_draft(self, observed: Observed, desired: SourceConnectionDesired, now: float) -> None:
        """Return ``None``: a source connection has no start."""

    def rename(self, observed: Observed, name: str, description: str) -> Call[Ref]:
        """Return the call that gives a source connection another name and description."""
        return common.rename(flow_service.patch_source_connection, observed, name, description)

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes a source connection."""
        return flow_service.delete_source_connection(id_)
