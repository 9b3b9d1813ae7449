"""Resource type source connection: the table of a source, or the records of a REST source, that a flow reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_aep.client import flow_service, schema_registry
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    Desired,
    FieldPolicy,
    drop_none,
)
from airflow_provider_aep.onboarding.resources.dependents import FLOWS_BY_SOURCE
from airflow_provider_aep.onboarding.resources.flow_service import Endpoints, ReplaceableFlowServiceType


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


class SourceConnectionType(ReplaceableFlowServiceType[SourceConnectionDesired]):
    """The resource type of source connections.

    The fields that a flow uses are immutable, because a flow ignores their changes. Source: Adobe's "Update dataflows".
    """

    endpoints = Endpoints(
        find=flow_service.list_source_connections,
        read=flow_service.get_source_connection,
        create=flow_service.create_source_connection,
        patch=flow_service.patch_source_connection,
        publish=flow_service.publish_source_connection,
        delete=flow_service.delete_source_connection,
    )
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
