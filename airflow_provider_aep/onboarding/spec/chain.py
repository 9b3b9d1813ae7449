"""The objects of an onboarding file in the order in which they are created; plan and apply go along this chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import send_retrying_not_found
from airflow_provider_aep.naming import Names
from airflow_provider_aep.onboarding import build
from airflow_provider_aep.onboarding.reconcile.resource_type import Desired, ResourceType
from airflow_provider_aep.onboarding.reconcile.terms import Terms
from airflow_provider_aep.onboarding.resources import (
    BASE_CONNECTION,
    DATASET,
    FIELD_GROUP,
    FLOW,
    MAPPING_SET,
    SCHEMA,
    SOURCE_CONNECTION,
    TARGET_CONNECTION,
)
from airflow_provider_aep.onboarding.sources import flow_specs
from airflow_provider_aep.onboarding.sources.explore import explore_columns
from airflow_provider_aep.onboarding.spec.models import Kind, Onboarding
from airflow_provider_aep.systems import default_source_conn_id, find_system

Credentials = Callable[[str, Mapping[str, str]], Mapping[str, Any]]


@dataclass(frozen=True)
class Step:
    """One object of the chain.

    :param needs: the objects whose results its desired state has
    :param make: returns the desired state
    """

    kind: Kind
    resource_type: ResourceType[Any]
    needs: tuple[Kind, ...]
    make: Callable[[], Desired]


@dataclass
class Chain:
    """The objects of one onboarding in one sandbox.

    :param credentials: takes the id of an Airflow connection and the fields of parameters, and returns their values
    :param results: results of the objects that are known
    """

    client: AepClient
    spec: Onboarding
    credentials: Credentials
    results: dict[Kind, Any] = field(default_factory=dict)

    def name(self, kind: Kind) -> str:
        """Return the name of an object."""
        return name_of(self.spec, kind)

    def terms(self, kind: Kind) -> Terms:
        """Return the terms of the file for an object."""
        spec = self.spec
        return Terms(take_over=kind in spec.take_over, adopt=spec.adopt, replace=kind in spec.replace)

    def steps(self) -> Iterator[Step]:
        """Yield the objects in the order of their creation."""
        yield Step("base", BASE_CONNECTION, (), self._base)
        yield Step("source", SOURCE_CONNECTION, ("base",), self._source)
        if self.spec.schema_.fields:
            yield Step("field_group", FIELD_GROUP, (), self._field_group)
        yield Step("schema", SCHEMA, ("field_group",) if self.spec.schema_.fields else (), self._schema)
        yield Step("dataset", DATASET, ("schema",), self._dataset)
        yield Step("target", TARGET_CONNECTION, ("dataset",), self._target)
        yield Step("mapping", MAPPING_SET, ("base", "schema"), self._mapping)
        yield Step("flow", FLOW, ("source", "target", "mapping"), self._flow)

    @cached_property
    def columns(self) -> list[dict[str, Any]]:
        """The columns of the source: those of the file, or those that AEP explores."""
        source = self.spec.source
        if source.columns == "explore":
            return explore_columns(self.client, self.results["base"], source.table, source.params)
        return columns_of(self.spec)

    def _base(self) -> Desired:
        system = self.spec.source.system
        return build.base_connection(
            self.client,
            name=self.name("base"),
            source=find_system(system),
            login=self.spec.source.connection or default_source_conn_id(system, None),
            credentials=self.credentials,
            description=self.spec.description,
        )

    def _source(self) -> Desired:
        source = self.spec.source
        return build.source_connection(
            self.client,
            name=self.name("source"),
            base_connection_id=self.results["base"],
            table=source.table,
            columns=self.columns,
            source_params=source.params,
            description=self.spec.description,
        )

    def _field_group(self) -> Desired:
        schema = self.spec.schema_
        return build.field_group(
            self.client,
            title=self.name("field_group"),
            fields=schema.fields,
            classes=[schema.class_],
            description=self.spec.description,
        )

    def _schema(self) -> Desired:
        schema = self.spec.schema_
        own = [self.results["field_group"]] if schema.fields else []
        return build.schema(
            self.client,
            title=self.name("schema"),
            class_id=schema.class_,
            field_groups=[*schema.field_groups, *own],
            description=self.spec.description,
        )

    def _dataset(self) -> Desired:
        return build.dataset(
            name=self.name("dataset"), schema_id=self.results["schema"], description=self.spec.description
        )

    def _target(self) -> Desired:
        return build.target_connection(
            self.client,
            name=self.name("target"),
            dataset_id=self.results["dataset"],
            data_format=find_system(self.spec.source.system).target_format,
            description=self.spec.description,
        )

    def _mapping(self) -> Desired:
        return build.mapping_set(
            self.client,
            name=self.name("mapping"),
            schema_id=self.results["schema"],
            mappings=dict(self.spec.mappings),
            columns=self.columns,
            flow_name=self.name("flow"),
        )

    def _flow(self) -> Desired:
        frequency, interval = self.spec.schedule.frequency()
        base = send_retrying_not_found(self.client, flow_service.get_connection(self.results["base"]))
        spec = flow_specs.flow_spec_of(self.client, base)
        return build.flow(
            self.client,
            name=self.name("flow"),
            source_connection_id=self.results["source"],
            target_connection_id=self.results["target"],
            mapping_set=self.results["mapping"],
            flow_spec={"id": spec.id, "version": spec.version},
            frequency=frequency,
            interval=interval,
            backfill=self.spec.schedule.backfill,
            delta_column=delta_column_of(self.spec),
            columns=self.columns,
            partial_ingestion_percent=self.spec.options.partial_ingestion_percent,
            error_diagnostics=self.spec.options.error_diagnostics,
            description=self.spec.description,
        )


def name_of(spec: Onboarding, kind: Kind) -> str:
    """Return the name of an object: that of the file, or the one that derives from the onboarding's."""
    return spec.names.get(kind, str(getattr(Names(spec.onboarding), kind)))


def delta_column_of(spec: Onboarding) -> str | None:
    """Return the delta column of the file, or that of the system; a flow that runs once needs none."""
    if spec.schedule.every == "once":
        return spec.schedule.delta_column
    return spec.schedule.delta_column or find_system(spec.source.system).delta_column


_XDM = {
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
}


def columns_of(spec: Onboarding) -> list[dict[str, Any]]:
    """Return the columns that a file lists, as AEP's explore returns columns; empty if it lists none."""
    if spec.source.columns == "explore":
        return []
    return [{"name": c.name, "type": c.type, "xdm": _XDM.get(c.type, {"type": c.type})} for c in spec.source.columns]
