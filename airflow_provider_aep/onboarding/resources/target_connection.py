"""Resource type target connection: the dataset in the data lake that receives a flow's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_aep.client import flow_service, schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import Ref, TargetConnection
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
from airflow_provider_aep.onboarding.resources.dependents import FLOWS_BY_TARGET


@dataclass(frozen=True, kw_only=True)
class TargetConnectionDesired(Desired):
    """The desired state of a target connection.

    :param dataset_id: id of the dataset that receives the rows
    :param schema_id: ``$id`` of the dataset's schema
    :param base_connection_id: id of a dataset base connection; AEP no longer requires one
    :param data_format: ``json`` for a REST source; ``None`` sends none
    """

    dataset_id: str
    schema_id: str
    base_connection_id: str | None = None
    data_format: str | None = None

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        schema = {"id": self.schema_id, "version": schema_registry.FULL}
        return drop_none(
            name=self.name,
            description=self.description,
            baseConnectionId=self.base_connection_id,
            data=drop_none(schema=schema, format=self.data_format or None),
            params={"dataSetId": self.dataset_id},
            connectionSpec={"id": flow_service.DATA_LAKE, "version": "1.0"},
        )


class TargetConnectionType(ResourceType[TargetConnectionDesired]):
    """The resource type of target connections.

    The fields that a flow uses are immutable, because a flow ignores their changes. Source: Adobe's "Update dataflows".
    """

    label = "target connection"
    parent = "params.dataSetId"
    policy = FieldPolicy(
        immutable=("connectionSpec.id", "baseConnectionId", "params.dataSetId", "data.schema.id", "data.format"),
        managed=("description",),
    )
    page = "source/dataflows"
    dependents = (FLOWS_BY_TARGET,)
    deletion_order = 2

    def find(self, name: str) -> Call[Page[TargetConnection]]:
        """Return the call that lists target connections by name."""
        return flow_service.list_target_connections({"name": name})

    def read(self, id_: str) -> Call[TargetConnection]:
        """Return the call that reads a target connection."""
        return flow_service.get_target_connection(id_)

    def observe(self, answer: TargetConnection) -> Observed:
        """Return the observed state of a target connection."""
        return common.observe(answer)

    def create(self, desired: TargetConnectionDesired, options: CreateOptions) -> Call[Ref]:
        """Return the call that creates a target connection."""
        return flow_service.create_target_connection(self.body(desired, options), draft=options.draft)

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Ref]:
        """Return the call that writes some fields of a target connection."""
        return common.update(flow_service.patch_target_connection, observed, fields, paths)

    def publish(self, id_: str) -> Call[Ref]:
        """Return the call that publishes a draft."""
        return flow_service.publish_target_connection(id_)

    def reschedule_draft(self, observed: Observed, desired: TargetConnectionDesired, now: float) -> None:
        """Return ``None``: a target connection has no start."""

    def rename(self, observed: Observed, name: str, description: str) -> Call[Ref]:
        """Return the call that gives a target connection another name and description."""
        return common.rename(flow_service.patch_target_connection, observed, name, description)

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes a target connection."""
        return flow_service.delete_target_connection(id_)
