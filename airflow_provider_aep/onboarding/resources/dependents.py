"""Dependents of each resource type: the objects that may refer to its objects.

AEP itself rejects the deletion of only some objects with dependents.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_aep.client import catalog, flow_service, schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.onboarding.reconcile.resource_type import Dependents


def _flows() -> Call[Page[Any]]:
    return flow_service.list_flows({})


def _source_connections() -> Call[Page[Any]]:
    return flow_service.list_source_connections({})


def _target_connections() -> Call[Page[Any]]:
    return flow_service.list_target_connections({})


def _datasets() -> Call[Page[Any]]:
    return catalog.list_datasets()


def _schemas() -> Call[Page[Any]]:
    return schema_registry.find_all("schemas")


def _classes() -> Call[Page[Any]]:
    return schema_registry.find_all("classes")


def _parts(schema: Any) -> list[Any]:
    return [part.get("$ref") for part in schema.allOf]


FLOWS_BY_SOURCE = Dependents("flow", _flows, lambda flow: flow.sourceConnectionIds)
FLOWS_BY_TARGET = Dependents("flow", _flows, lambda flow: flow.targetConnectionIds)
FLOWS_BY_MAPPING_SET = Dependents(
    "flow", _flows, lambda flow: [step.params.get("mappingId") for step in flow.transformations]
)
SOURCES_BY_BASE = Dependents("source connection", _source_connections, lambda c: [c.baseConnectionId])
SOURCES_BY_SCHEMA = Dependents(
    "source connection", _source_connections, lambda c: [(c.data.get("schema") or {}).get("id")]
)
TARGETS_BY_BASE = Dependents("target connection", _target_connections, lambda c: [c.baseConnectionId])
TARGETS_BY_DATASET = Dependents("target connection", _target_connections, lambda c: [c.params.get("dataSetId")])
SCHEMAS_BY_PART = Dependents("schema", _schemas, _parts)
CLASSES_BY_PART = Dependents("class", _classes, _parts)
DATASETS_BY_SCHEMA = Dependents("dataset", _datasets, lambda d: [d.schemaRef and d.schemaRef.id])
