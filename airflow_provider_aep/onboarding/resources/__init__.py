"""Registry of the resource types of an onboarding. Each module contains one type and its desired state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_aep.onboarding.reconcile.resource_type import ResourceType
from airflow_provider_aep.onboarding.resources.ad_hoc_class import AdHocClassType
from airflow_provider_aep.onboarding.resources.base_connection import BaseConnectionType
from airflow_provider_aep.onboarding.resources.dataset import DatasetType
from airflow_provider_aep.onboarding.resources.field_group import FieldGroupType
from airflow_provider_aep.onboarding.resources.flow import FlowType
from airflow_provider_aep.onboarding.resources.identity_namespace import IdentityNamespaceType
from airflow_provider_aep.onboarding.resources.mapping_set import MappingSetType
from airflow_provider_aep.onboarding.resources.schema import SchemaType
from airflow_provider_aep.onboarding.resources.source_connection import SourceConnectionType
from airflow_provider_aep.onboarding.resources.target_connection import TargetConnectionType
from airflow_provider_aep.onboarding.resources.xdm_class import ClassType

BASE_CONNECTION = BaseConnectionType()
SOURCE_CONNECTION = SourceConnectionType()
AD_HOC_CLASS = AdHocClassType()
CLASS = ClassType()
FIELD_GROUP = FieldGroupType()
SCHEMA = SchemaType()
IDENTITY_NAMESPACE = IdentityNamespaceType()
DATASET = DatasetType()
TARGET_CONNECTION = TargetConnectionType()
MAPPING_SET = MappingSetType()
FLOW = FlowType()

RESOURCE_TYPES: Mapping[str, ResourceType[Any]] = {
    resource_type.label: resource_type
    for resource_type in (
        BASE_CONNECTION,
        SOURCE_CONNECTION,
        AD_HOC_CLASS,
        CLASS,
        FIELD_GROUP,
        SCHEMA,
        IDENTITY_NAMESPACE,
        DATASET,
        TARGET_CONNECTION,
        MAPPING_SET,
        FLOW,
    )
}
"""The resource types by label, in the order in which an onboarding creates their objects."""
