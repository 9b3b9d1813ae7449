"""One onboarding for the reconciler: the desired state of each resource type, each referring to earlier ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.schema_registry import BEHAVIORS
from airflow_provider_aep.onboarding.reconcile.marker import Marker, identity
from airflow_provider_aep.onboarding.reconcile.resource_type import CreateOptions, Desired, ResourceType, at
from airflow_provider_aep.onboarding.resources import (
    BASE_CONNECTION,
    CLASS,
    DATASET,
    FIELD_GROUP,
    FLOW,
    IDENTITY_NAMESPACE,
    MAPPING_SET,
    SCHEMA,
    SOURCE_CONNECTION,
    TARGET_CONNECTION,
)
from airflow_provider_aep.onboarding.resources.base_connection import BaseConnectionDesired
from airflow_provider_aep.onboarding.resources.dataset import DatasetDesired
from airflow_provider_aep.onboarding.resources.field_group import FieldGroupDesired
from airflow_provider_aep.onboarding.resources.flow import FlowDesired, Schedule
from airflow_provider_aep.onboarding.resources.identity_namespace import IdentityNamespaceDesired
from airflow_provider_aep.onboarding.resources.mapping_set import MappingSetDesired
from airflow_provider_aep.onboarding.resources.schema import SchemaDesired
from airflow_provider_aep.onboarding.resources.source_connection import SourceConnectionDesired
from airflow_provider_aep.onboarding.resources.target_connection import TargetConnectionDesired
from airflow_provider_aep.onboarding.resources.xdm_class import ClassDesired
from airflow_provider_aep.onboarding.xdm.fields import XdmField

SERVICENOW = {"id": "eb13cb25-47ab-407f-ba89-c0125281c563", "version": "1.0"}
CRM = {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"}
CONTEXT = "https://ns.adobe.com/xdm/context/"
FIELD_GROUPS = (f"{CONTEXT}profile-person-details",)
ENTRY = {"sourceType": "ATTRIBUTE", "source": "sys_id", "destination": "_id"}
START = 4_000_000_000  # seconds, far in the future: no run begins

RESOURCE_TYPES: dict[str, ResourceType[Any]] = {
    "base": BASE_CONNECTION,
    "source": SOURCE_CONNECTION,
    "class": CLASS,
    "group": FIELD_GROUP,
    "schema": SCHEMA,
    "dataset": DATASET,
    "target": TARGET_CONNECTION,
    "mapping": MAPPING_SET,
    "flow": FLOW,
    "namespace": IDENTITY_NAMESPACE,
}
UNIQUE = {"class", "group", "schema", "namespace"}
"""Those whose names AEP itself keeps unique."""

OPERATIONS = {
    "base": "POST */connections", "source": "POST */sourceConnections", "schema": "POST */tenant/schemas",
    "dataset": "POST */dataSets", "target": "POST */targetConnections", "mapping": "POST */mappingSets",
    "flow": "POST */flows", "class": "POST */tenant/classes", "group": "POST */tenant/fieldgroups",
    "namespace": "POST */idnamespace/identities",
}  # fmt: skip
LISTS = {name: operation.replace("POST", "GET") for name, operation in OPERATIONS.items()}


class StoredState(dict[str, Any]):
    """A task state store, as Airflow's keeps it."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def desired(name: str, onboarding: str, ids: dict[str, Any], start: int = START) -> Any:
    """Return the desired state of one object.

    :param name: a key of ``RESOURCE_TYPES``
    :param ids: results of the objects that it refers to
    """
    common = {"name": f"{onboarding} {name}", "description": ""}
    match name:
        case "base":
            params = {"endpoint": "https://x", "username": "u", "password": "p"}
            auth = {"specName": "Basic Authentication", "params": params}
            return BaseConnectionDesired(**common, auth=auth, connection_spec=SERVICENOW)
        case "source":
            columns = [{"name": "email", "type": "string"}]
            return SourceConnectionDesired(
                **common,
                base_connection_id=ids["base"],
                connection_spec=SERVICENOW,
                table="customer_contact",
                columns=columns,
            )
        case "class":
            own = {"number": XdmField(type="string")}
            return ClassDesired(**common, behavior=BEHAVIORS["record"], custom_fields=own, tenant_id=lambda: "emulator")
        case "group":
            own = {"ticket": XdmField(type="object", fields={"priority": XdmField(type="string")})}
            classes = (f"{CONTEXT}profile",)
            return FieldGroupDesired(**common, classes=classes, custom_fields=own, tenant_id=lambda: "emulator")
        case "namespace":
            code = re.sub("[^A-Za-z0-9]", "", common["name"])
            return IdentityNamespaceDesired(name=code, description="", display_name=onboarding, id_type="CROSS_DEVICE")
        case "schema":
            groups = (*FIELD_GROUPS, *([ids["group"]] if "group" in ids else []))
            return SchemaDesired(**common, class_id=f"{CONTEXT}profile", field_groups=groups)
        case "dataset":
            return DatasetDesired(**common, schema_id=ids["schema"])
        case "target":
            return TargetConnectionDesired(**common, dataset_id=ids["dataset"], schema_id=ids["schema"])
        case "mapping":
            return MappingSetDesired(name=common["name"], schema_id=ids["schema"], mappings=(ENTRY,))
    return FlowDesired(
        **common,
        flow_spec=CRM,
        source_connection_id=ids["source"],
        target_connection_id=ids["target"],
        mapping_set=ids["mapping"],
        delta_column={"name": "sys_updated_on", "dateFormat": "f", "timezone": "UTC"},
        schedule=Schedule(frequency="hour", interval=1, backfill=True, start_time=start),
        partial_ingestion_percent=5,
        error_diagnostics=True,
    )


def renamed(name: str, state: Any) -> Any:
    """Return a desired state with a name that no other object has; the code of a namespace has no spaces."""
    return replace(state, name="Ynamespace" if name == "namespace" else f"Y {name}")


def onboard(onboarding: str, make: Callable[[ResourceType[Any], Any], Any]) -> dict[str, Any]:
    """Create all objects, and return their desired states; ``make`` creates one and returns its result."""
    ids: dict[str, Any] = {}
    states: dict[str, Any] = {}
    for name, resource_type in RESOURCE_TYPES.items():
        states[name] = desired(name, onboarding, ids)
        ids[name] = make(resource_type, states[name])
    return states


def create_by_hand(client: AepClient, resource_type: ResourceType[Any], state: Desired) -> Any:
    """Create an object without our marker, as a person does, and return its result."""
    call = resource_type.create(state, CreateOptions(draft=state.draft))
    return resource_type.parse_created(client.send(call))[1]


def create_with_marker(client: AepClient, resource_type: ResourceType[Any], state: Desired, nonce: str) -> Any:
    """Create an object with our marker and a nonce, as the reconciler does, and return its result."""
    options = CreateOptions(marker_of(client, resource_type, state, nonce), state.draft)
    return resource_type.parse_created(client.send(resource_type.create(state, options)))[1]


def marker_of(client: AepClient, resource_type: ResourceType[Any], state: Desired, nonce: str) -> Marker:
    """Return the marker of a desired state."""
    parent = at(state.fields(), resource_type.parent)
    return Marker(identity(client.settings, resource_type.label, parent, state.name), nonce)


def with_field(state: Any, path: str, value: Any) -> Any:
    """Return a desired state with another value at a dot path of its attributes, such as ``schedule.interval``."""
    name, _, rest = path.partition(".")
    if not rest:
        return replace(state, **{name: value})
    inner = getattr(state, name)
    if isinstance(inner, dict):
        *parents, leaf = rest.split(".")
        changed = dict(inner)
        node = changed
        for step in parents:
            node[step] = dict(node[step])
            node = node[step]
        node[leaf] = value
        return replace(state, **{name: changed})
    return replace(state, **{name: with_field(inner, rest, value)})


def listed_ids(client: AepClient, name: str, state: Desired) -> list[str]:
    """Return the ids of all objects of a resource type that have a desired state's name."""
    resource_type = RESOURCE_TYPES[name]
    observed = map(resource_type.observe, client.items(resource_type.find(state.name)))
    return [o.id for o in observed if o.name == state.name]
