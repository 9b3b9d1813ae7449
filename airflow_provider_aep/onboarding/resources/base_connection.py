"""Resource type base connection: AEP's login to a source system, or a connection to the data lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    Desired,
    FieldPolicy,
    drop_none,
)
from airflow_provider_aep.onboarding.resources.dependents import SOURCES_BY_BASE, TARGETS_BY_BASE
from airflow_provider_aep.onboarding.resources.flow_service import Endpoints, FlowServiceType


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


class BaseConnectionType(FlowServiceType[BaseConnectionDesired]):
    """The resource type of base connections. Credentials are never compared, because AEP may mask them."""

    endpoints = Endpoints(
        find=flow_service.list_connections,
        read=flow_service.get_connection,
        create=flow_service.create_connection,
        patch=flow_service.patch_connection,
        publish=flow_service.publish_connection,
        delete=flow_service.delete_connection,
    )
    label = "base connection"
    parent = "connectionSpec.id"
    policy = FieldPolicy(immutable=("connectionSpec.id", "auth.specName"), managed=("description",))
    page = "source/accounts/{0}/activity"
    dependents = (SOURCES_BY_BASE, TARGETS_BY_BASE)
    deletion_order = 3
