"""The kinds of objects of an onboarding: how each is found, compared, made and mended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_aep.client import catalog, data_prep, flow_service, schema_registry
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import (
    DataSet,
    Flow,
    FlowObject,
    MappingSet,
    MappingValidation,
    Ref,
    XdmSchema,
)
from airflow_provider_aep.onboarding.ensure import Body, Found, Kind, at

Patch = Callable[[str, str, Sequence[dict[str, Any]]], Call[Ref]]


def _flow_object(o: FlowObject) -> Found:
    return Found(o.id, o.name, {**o.model_dump(by_alias=True), "etag": o.etag}, o.id, o.state)


def _ref(ref: Ref) -> tuple[str, Any]:
    return ref.id, ref.id


def _patch_with(patch: Patch) -> Callable[[Found, Body, Sequence[str]], Call[Ref]]:
    def mend(found: Found, wanted: Body, paths: Sequence[str]) -> Call[Ref]:
        return patch(found.id, found.fields["etag"], [_op(found, wanted, p) for p in paths])

    return mend


def _op(found: Found, wanted: Body, path: str) -> dict[str, Any]:
    verb = "add" if at(found.fields, path) is None else "replace"
    return {"op": verb, "path": "/" + path.replace(".", "/"), "value": at(wanted, path)}


BASE_CONNECTION = Kind(
    label="base connection",
    find=lambda name: flow_service.list_connections({"name": name}),
    get=flow_service.get_connection,
    found=_flow_object,
    create=flow_service.create_connection,
    created=_ref,
    # Credentials are never compared: AEP may mask them, and they must not be read back.
    fixed=("connectionSpec.id", "auth.specName"),
    owned=("description",),
    mend=_patch_with(flow_service.patch_connection),
)


# A change to a source or target connection is not reflected in the flow that uses it ("Update dataflows" in Adobe's
# guide), so what matters to the flow is fixed. Columns are used at birth: a new one that nobody maps changes nothing.
SOURCE_CONNECTION = Kind(
    label="source connection",
    find=lambda name: flow_service.list_source_connections({"name": name}),
    get=flow_service.get_source_connection,
    found=_flow_object,
    create=flow_service.create_source_connection,
    created=_ref,
    fixed=("connectionSpec.id", "baseConnectionId", "data.format", "data.schema.id", "params.tableName"),
    owned=("description",),
    mend=_patch_with(flow_service.patch_source_connection),
)

TARGET_CONNECTION = Kind(
    label="target connection",
    find=lambda name: flow_service.list_target_connections({"name": name}),
    get=flow_service.get_target_connection,
    found=_flow_object,
    create=flow_service.create_target_connection,
    created=_ref,
    fixed=("connectionSpec.id", "baseConnectionId", "params.dataSetId", "data.schema.id", "data.format"),
    owned=("description",),
    mend=_patch_with(flow_service.patch_target_connection),
)


# -- schema ---------------------------------------------------------------------------------------------------------


def _schema(schema: XdmSchema) -> Found:
    refs = [part["$ref"] for part in schema.allOf if "$ref" in part]
    class_id = schema.class_id or next(iter(refs), "")
    groups = [r for r in refs if r != class_id]
    fields = {"title": schema.title, "description": schema.description, "class": class_id, "refs": groups}
    return Found(schema.id, schema.title, fields, schema.id)


def _create_schema(wanted: Body) -> Call[XdmSchema]:
    body = {k: v for k, v in wanted.items() if k not in {"class", "refs"}}
    parts = [{"$ref": ref} for ref in (wanted["class"], *wanted["refs"])]
    return schema_registry.create_schema({**body, "type": "object", "allOf": parts})


def _mend_schema(found: Found, wanted: Body, paths: Sequence[str]) -> Call[XdmSchema]:
    """Adding field groups is the one change of a schema's fields that is safe once a dataset uses it."""
    missing = [ref for ref in wanted["refs"] if ref not in found.fields["refs"]]
    ops: list[dict[str, Any]] = [{"op": "add", "path": "/allOf/-", "value": {"$ref": ref}} for ref in missing]
    if "description" in paths:
        ops.append({"op": "add", "path": "/description", "value": wanted["description"]})
    return schema_registry.patch_schema(found.id, ops)


SCHEMA = Kind(
    label="schema",
    title="title",
    find=schema_registry.list_schemas,
    get=schema_registry.get_schema,
    found=_schema,
    create=_create_schema,
    created=lambda schema: (schema.id, schema.id),
    fixed=("class",),
    owned=("description",),
    includes=("refs",),
    short=True,
    mend=_mend_schema,
)


# -- ad hoc class ---------------------------------------------------------------------------------------------------


def _class(class_: XdmSchema) -> Found:
    refs = [part["$ref"] for part in class_.allOf if "$ref" in part]
    fields = {"title": class_.title, "description": class_.description, "behavior": next(iter(refs), "")}
    return Found(class_.id, class_.title, fields, class_.id)


def _create_class(wanted: Body) -> Call[XdmSchema]:
    """AEP replaces ``_adhoc`` by a namespace of the class's own."""
    fields = {"type": "object", "properties": wanted["fields"]}
    parts = [{"$ref": wanted["behavior"]}, {"properties": {"_adhoc": fields}}]
    body = {k: v for k, v in wanted.items() if k not in {"behavior", "fields"}}
    return schema_registry.create_class({**body, "type": "object", "allOf": parts})


# Fields are used at birth, like the columns of a source connection.
AD_HOC_CLASS = Kind(
    label="ad hoc class",
    title="title",
    find=schema_registry.list_classes,
    get=schema_registry.get_class,
    found=_class,
    create=_create_class,
    created=lambda class_: (class_.id, class_.id),
    fixed=("behavior",),
    owned=("description",),
    short=True,
    mend=lambda found, wanted, _: schema_registry.patch_class(
        found.id, [{"op": "add", "path": "/description", "value": wanted["description"]}]
    ),
)


def ad_hoc_fields(columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The XDM fields of a source's columns; a dot path becomes nested objects."""
    root: dict[str, Any] = {}
    for column in columns:
        *parents, leaf = str(column["name"]).split(".")
        node, free = root, True
        for name in parents:
            inside = node.setdefault(name, {"type": "object", "properties": {}})
            free = free and "properties" in inside  # else a column of that name has been there
            node = inside.get("properties", {})
        if not free or leaf in node:
            raise AepConfigurationError(
                f"The column {column['name']!r} and another one cannot both be fields of a class",
                next_step="Leave one of them out.",
            )
        xdm = dict(column.get("xdm") or {"type": "string"})
        node[leaf] = {**xdm, "items": {"type": "string"}} if xdm.get("type") == "array" else xdm
    return root


# -- dataset --------------------------------------------------------------------------------------------------------


def _dataset(dataset: DataSet) -> Found:
    return Found(dataset.id, dataset.name, dataset.model_dump(), dataset.id)


DATASET = Kind(
    label="dataset",
    find=catalog.list_datasets,
    get=catalog.get_dataset,
    found=_dataset,
    create=catalog.create_dataset,
    created=lambda id_: (id_, id_),
    fixed=("schemaRef.id",),
    owned=("description",),
    mend=lambda found, wanted, paths: catalog.patch_dataset(found.id, {p: wanted[p] for p in paths}),
)


# -- mapping set ----------------------------------------------------------------------------------------------------

_SOURCE_TYPES = {"text/x.schema-path": "ATTRIBUTE", "text/x.aep-xl": "EXPRESSION"}


def _mapping_set(set_: MappingSet) -> Found:
    """In the form that a create sends: sorted by destination, with the names AEP stores source types under undone."""
    entries = [
        {
            "sourceType": _SOURCE_TYPES.get(m.sourceType, m.sourceType.upper()),
            "source": m.source,
            "destination": m.destination,
        }
        for m in set_.mappings
    ]
    fields = {
        "outputSchema": {"schemaRef": {"id": set_.schema_id}},
        "mappings": sorted(entries, key=lambda e: e["destination"]),
    }
    return Found(set_.id, set_.name or "", fields, {"id": set_.id, "version": set_.version})


def _version(set_: MappingSet) -> tuple[str, Any]:
    return set_.id, {"id": set_.id, "version": set_.version}


def _refused_mappings(wanted: Body) -> Call[Sequence[str]]:
    def refused(verdicts: list[MappingValidation]) -> list[str]:
        pairs = zip(wanted["mappings"], verdicts, strict=False)
        return [f"{entry['destination']}: {v.errors}" for entry, v in pairs if v.status != "SUCCESS"]

    return data_prep.validate_mapping_set(wanted).then(refused)


MAPPING_SET = Kind(
    label="mapping set",
    find=data_prep.list_mapping_sets,
    get=data_prep.get_mapping_set,
    found=_mapping_set,
    create=data_prep.create_mapping_set,
    created=_version,
    fixed=("outputSchema.schemaRef.id",),
    owned=("mappings",),
    check=_refused_mappings,
    mend=lambda found, wanted, _: data_prep.put_mapping_set(found.id, wanted),
    mended=lambda _, answer: _version(answer)[1],
)


# -- flow -----------------------------------------------------------------------------------------------------------


def _flow(flow: Flow) -> Found:
    found = _flow_object(flow)
    fields = {
        **found.fields,
        "steps": {t.name: t.params for t in flow.transformations},
        "runs": runs(flow.scheduleParams.get("frequency")),
    }
    return Found(found.id, found.name, fields, found.result, found.state)


def runs(frequency: object) -> str:
    """How a flow runs. AEP forbids interval, backfill and delta column with ``once``, so neither becomes the other."""
    return "once" if frequency == "once" else "repeatedly"


def _mend_flow(found: Found, wanted: Body, paths: Sequence[str]) -> Call[Ref]:
    """The ``Mapping`` transformation is addressed where it stands: ``Copy`` may come first."""
    ops = []
    for path in paths:
        if path != "steps.Mapping":
            ops.append(_op(found, wanted, path))
            continue
        names = [t["name"] for t in found.fields["transformations"]]
        value = {"name": "Mapping", "params": wanted["steps"]["Mapping"]}
        ops.append({"op": "replace", "path": f"/transformations/{names.index('Mapping')}", "value": value})
    return flow_service.patch_flow(found.id, found.fields["etag"], ops)


def _create_flow(wanted: Body) -> Call[Ref]:
    steps = [{"name": name, "params": params} for name, params in wanted["steps"].items()]
    body = {k: v for k, v in wanted.items() if k not in {"steps", "runs", "draft"}}
    return flow_service.create_flow({**body, "transformations": steps}, draft=bool(wanted.get("draft")))


FLOW = Kind(
    label="flow",
    find=lambda name: flow_service.list_flows({"name": name}),
    get=flow_service.get_flow,
    found=_flow,
    create=_create_flow,
    created=_ref,
    fixed=("flowSpec.id", "sourceConnectionIds", "targetConnectionIds", "runs", "steps.Copy.deltaColumn.name"),
    # Start time and backfill are used at birth only: a re-run must not move the start.
    owned=("steps.Mapping", "scheduleParams.frequency", "scheduleParams.interval", "description"),
    mend=_mend_flow,
)

FLOW_UPDATE = replace(FLOW, owned=(*FLOW.owned, "scheduleParams.startTime"))
"""A flow whose start may move, because somebody asks for just that."""
