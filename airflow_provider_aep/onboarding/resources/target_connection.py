"""Resource type target connection: the dataset in the data lake that receives a flow's rows."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_aep.client import flow_service, schema_registry
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    Desired,
    FieldPolicy,
    drop_none,
)
from airflow_provider_aep.onboarding.resources.dependents import FLOWS_BY_TARGET
from airflow_provider_aep.onboarding.resources.flow_service import Endpoints, ReplaceableFlowServiceType


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


class TargetConnectionType(ReplaceableFlowServiceType[TargetConnectionDesired]):
    """The resource type of target connections.

    The fields that a flow uses are immutable, because a flow ignores their changes. Source: Adobe's "Update dataflows".
    """

    endpoints = Endpoints(
        find=flow_service.list_target_connections,
        read=flow_service.get_target_connection,
        create=flow_service.create_target_connection,
        patch=flow_service.patch_target_connection,
        publish=flow_service.publish_target_connection,
        delete=flow_service.delete_target_connection,
    )
    label = "target connection"
    parent = "params.dataSetId"
    policy = FieldPolicy(
        immutable=("connectionSpec.id", "baseConnectionId", "params.dataSetId", "data.schema.id", "data.format"),
        managed=("description",),
    )
    page = "source/dataflows"
    dependents = (FLOWS_BY_TARGET,)
    deletion_order = 2
