"""The kinds of objects of an onboarding: how each is found, compared, made and mended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_aep.client import catalog, data_prep, flow_service, schema_registry
from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError
from airflow_provider_aep.client.models import (
    DataSet,
    Flow,
    FlowObject,
    MappingSet,
    MappingValidation,
    Ref,
    XdmSchema,
)
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.identity import Marker, unsigned
from airflow_provider_aep.onboarding.kind import Body, Found, Kind
from airflow_provider_aep.onboarding.names import before
from airflow_provider_aep.onboarding.users import users_of

Patch = Callable[[str, str, Sequence[dict[str, Any]]], Call[Ref]]


def _flow_object(o: FlowObject) -> Found:
    description, marker = unsigned(o.description)
    fields = {**o.model_dump(by_alias=True), "etag": o.etag, "description": description}
    return Found(o.id, o.name, fields, o.id, o.state, marker, o.createdAt)


def _ref(ref: Ref) -> tuple[str, Any]:
    return ref.id, ref.id


def _drafts(create: Callable[..., Call[Ref]]) -> Callable[[Body], Call[Ref]]:
    """A create in Flow Service, with ``draft`` of a body as its mode."""

    def made(wanted: Body) -> Call[Ref]:
        return create({k: v for k, v in wanted.items() if k != "draft"}, draft=bool(wanted.get("draft")))

    return made


def _patch_with(patch: Patch) -> Callable[[Found, Body, Sequence[str]], Call[Ref]]:
    def mend(found: Found, wanted: Body, paths: Sequence[str]) -> Call[Ref]:
        return patch(found.id, found.fields["etag"], [_op(found, wanted, p) for p in paths])

    return mend


def rename_with(patch: Patch) -> Callable[[Found, str, str], Call[Ref]]:
    """The call that gives an object in Flow Service another name and description."""

    def rename(found: Found, name: str, description: str) -> Call[Ref]:
        values = {"name": name, "description": description}
        ops = [{"op": "replace", "path": f"/{field}", "value": value} for field, value in values.items()]
        return patch(found.id, found.fields["etag"], ops)

    return rename


def _op(found: Found, wanted: Body, path: str) -> dict[str, Any]:
    verb = "add" if at(found.fields, path) is None else "replace"
    return {"op": verb, "path": "/" + path.replace(".", "/"), "value": at(wanted, path)}


BASE_CONNECTION = Kind(
    label="base connection",
    scope="connectionSpec.id",
    find=lambda name: flow_service.list_connections({"name": name}),
    get=flow_service.get_connection,
    found=_flow_object,
    create=_drafts(flow_service.create_connection),
    created=_ref,
    # Credentials are never compared: AEP may mask them, and they must not be read back.
    fixed=("connectionSpec.id", "auth.specName"),
    owned=("description",),
    mend=_patch_with(flow_service.patch_connection),
    publish=flow_service.publish_connection,
    remove=flow_service.delete_connection,
)


# A change to a source or target connection is not reflected in the flow that uses it ("Update dataflows" in Adobe's
# guide), so what matters to the flow is fixed. Columns are used at birth: a new one that nobody maps changes nothing.
SOURCE_CONNECTION = Kind(
    label="source connection",
    scope="baseConnectionId",
    find=lambda name: flow_service.list_source_connections({"name": name}),
    get=flow_service.get_source_connection,
    found=_flow_object,
    create=_drafts(flow_service.create_source_connection),
    created=_ref,
    fixed=("connectionSpec.id", "baseConnectionId", "data.format", "data.schema.id", "params.tableName"),
    owned=("description",),
    mend=_patch_with(flow_service.patch_source_connection),
    publish=flow_service.publish_source_connection,
    rename=rename_with(flow_service.patch_source_connection),
    remove=flow_service.delete_source_connection,
)

TARGET_CONNECTION = Kind(
    label="target connection",
    scope="params.dataSetId",
    find=lambda name: flow_service.list_target_connections({"name": name}),
    get=flow_service.get_target_connection,
    found=_flow_object,
    create=_drafts(flow_service.create_target_connection),
    created=_ref,
    fixed=("connectionSpec.id", "baseConnectionId", "params.dataSetId", "data.schema.id", "data.format"),
    owned=("description",),
    mend=_patch_with(flow_service.patch_target_connection),
    publish=flow_service.publish_target_connection,
    rename=rename_with(flow_service.patch_target_connection),
    remove=flow_service.delete_target_connection,
)


# -- schema ---------------------------------------------------------------------------------------------------------


def _schema(schema: XdmSchema) -> Found:
    refs = [part["$ref"] for part in schema.allOf if "$ref" in part]
    class_id = schema.class_id or next(iter(refs), "")
    groups = [r for r in refs if r != class_id]
    description, marker = unsigned(schema.description)
    fields = {"title": schema.title, "description": description, "class": class_id, "refs": groups}
    fields["union"] = "union" in schema.immutable_tags
    return Found(schema.id, schema.title, fields, schema.id, marker=marker)


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
    scope="class",
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
    remove=schema_registry.delete_schema,
)


# -- ad hoc class ---------------------------------------------------------------------------------------------------


def _class(class_: XdmSchema) -> Found:
    refs = [part["$ref"] for part in class_.allOf if "$ref" in part]
    description, marker = unsigned(class_.description)
    fields = {"title": class_.title, "description": description, "behavior": next(iter(refs), "")}
    return Found(class_.id, class_.title, fields, class_.id, marker=marker)


def _create_class(wanted: Body) -> Call[XdmSchema]:
    """AEP replaces ``_adhoc`` by a namespace of the class's own."""
    fields = {"type": "object", "properties": wanted["fields"]}
    parts = [{"$ref": wanted["behavior"]}, {"properties": {"_adhoc": fields}}]
    body = {k: v for k, v in wanted.items() if k not in {"behavior", "fields"}}
    return schema_registry.create_class({**body, "type": "object", "allOf": parts})


# Fields are used at birth, like the columns of a source connection.
AD_HOC_CLASS = Kind(
    label="ad hoc class",
    scope="behavior",
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
    remove=schema_registry.delete_class,
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
    description, marker = unsigned(dataset.description)
    fields = {**dataset.model_dump(), "description": description}
    return Found(dataset.id, dataset.name, fields, dataset.id, marker=marker, created=dataset.created)


def _is_empty(id_: str) -> Call[bool]:
    """Whether nothing was ever ingested into a dataset. AEP deletes it, data and all, whoever uses it."""
    return catalog.list_batches(id_).then(lambda page: not page.items)


DATASET = Kind(
    label="dataset",
    scope="schemaRef.id",
    find=catalog.list_datasets,
    get=catalog.get_dataset,
    found=_dataset,
    create=catalog.create_dataset,
    created=lambda id_: (id_, id_),
    fixed=("schemaRef.id",),
    owned=("description",),
    mend=lambda found, wanted, paths: catalog.patch_dataset(found.id, {p: wanted[p] for p in paths}),
    remove=catalog.delete_dataset,
    idle=_is_empty,
)


# -- mapping set ----------------------------------------------------------------------------------------------------

_TAG = "airflow-provider-aep"
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
    marker = next((m for m in (unsigned(value)[1] for value in set_.tagged(_TAG)) if m), None)
    result = {"id": set_.id, "version": set_.version}
    return Found(set_.id, set_.name or "", fields, result, marker=marker, created=set_.createdDate)


def _in_tags(body: Body, marker: Marker) -> Body:
    """Where a mapping set, which has no description, carries the marker."""
    return {**body, "tags": [{"name": _TAG, "values": [str(marker)]}]}


def _version(set_: MappingSet) -> tuple[str, Any]:
    return set_.id, {"id": set_.id, "version": set_.version}


def _refused_mappings(wanted: Body) -> Call[Sequence[str]]:
    def refused(verdicts: list[MappingValidation]) -> list[str]:
        pairs = zip(wanted["mappings"], verdicts, strict=False)
        return [f"{entry['destination']}: {v.errors}" for entry, v in pairs if v.status != "SUCCESS"]

    return data_prep.validate_mapping_set(wanted).then(refused)


MAPPING_SET = Kind(
    label="mapping set",
    scope="outputSchema.schemaRef.id",
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
    sign=_in_tags,
    spare=True,
)


def mapping_set_for(flow_name: str | None) -> Kind:
    """The kind of a mapping set of an onboarding.

    :param flow_name: of the flow that uses it, and by which it is found where AEP forgets its name
    """
    if flow_name is None:
        return replace(MAPPING_SET, guard=_check_users)
    return replace(
        MAPPING_SET,
        elsewhere=lambda client: _used_by(client, flow_name),
        guard=lambda client, found: _check_users(client, found, flow_name),
    )


def _used_by(client: AepClient, flow_name: str) -> Iterator[Found]:
    for flow in client.items(flow_service.list_flows({"name": flow_name})):
        if flow.name == flow_name:
            for step in flow.transformations:
                if step.name == "Mapping" and (id_ := step.params.get("mappingId")):
                    found = MAPPING_SET.found(client.send(data_prep.get_mapping_set(str(id_))))
                    if not found.name:  # one that has a name would have been found by it
                        yield found


def _check_users(client: AepClient, found: Found, flow_name: str | None = None) -> None:
    """:raises AepConflictError: another flow uses the mapping set, so it is not this onboarding's to change"""
    flows = [flow for _, flow in users_of(client, MAPPING_SET.label, found.id)]
    users = [f for f in flows if not (f.name != before(f.name) and unsigned(f.description)[1])]
    may_use = 1 if found.marker else 0  # of ours, one flow may be that of its onboarding
    others = [f for f in users if f.name != flow_name] if flow_name else users[may_use:]
    if others:
        raise AepConflictError(
            f"The mapping set {found.name!r} ({found.id}) is used by "
            + ", ".join(f"the flow {f.name!r} ({f.id})" for f in others),
            next_step="Choose another name for this one, so that it is made anew.",
        )


# -- flow -----------------------------------------------------------------------------------------------------------


def _flow(flow: Flow) -> Found:
    found = _flow_object(flow)
    fields = {
        **found.fields,
        "steps": {t.name: t.params for t in flow.transformations},
        "runs": runs(flow.scheduleParams.get("frequency")),
    }
    return replace(found, fields=fields)


_MARGIN = 10.0
"""Seconds by which a draft's start must be ahead when it is published."""


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


def _starting(wanted: Body, now: float, later: float) -> Body:
    """A start that is ``start_in_minutes`` ahead of the moment of the create, however long that was waited for."""
    if "start_in_minutes" not in wanted:
        return wanted
    start = math.ceil(now + later + 60 * wanted["start_in_minutes"])
    return {**wanted, "scheduleParams": {**wanted["scheduleParams"], "startTime": start}}


def _start_again(found: Found, wanted: Body, now: float) -> Call[Ref] | None:
    if "start_in_minutes" not in wanted or float(found.fields["scheduleParams"]["startTime"]) > now + _MARGIN:
        return None
    start = _starting(wanted, now, 0)["scheduleParams"]["startTime"]
    op = {"op": "replace", "path": "/scheduleParams/startTime", "value": start}
    return flow_service.patch_flow(found.id, found.fields["etag"], [op])


def _create_flow(wanted: Body) -> Call[Ref]:
    steps = [{"name": name, "params": params} for name, params in wanted["steps"].items()]
    body = {k: v for k, v in wanted.items() if k not in {"steps", "runs", "draft", "start_in_minutes"}}
    return flow_service.create_flow({**body, "transformations": steps}, draft=bool(wanted.get("draft")))


FLOW = Kind(
    label="flow",
    scope="flowSpec.id",
    find=lambda name: flow_service.list_flows({"name": name}),
    get=flow_service.get_flow,
    found=_flow,
    create=_create_flow,
    created=_ref,
    fixed=("flowSpec.id", "sourceConnectionIds", "targetConnectionIds", "runs", "steps.Copy.deltaColumn.name"),
    # Start time and backfill are used at birth only: a re-run must not move the start.
    owned=("steps.Mapping", "scheduleParams.frequency", "scheduleParams.interval", "description"),
    mend=_mend_flow,
    born=_starting,
    revive=_start_again,
    publish=flow_service.publish_flow,
    enable=flow_service.enable_flow,
    remove=flow_service.delete_flow,
)

FLOW_UPDATE = replace(FLOW, owned=(*FLOW.owned, "scheduleParams.startTime"))
"""A flow whose start may move, because somebody asks for just that."""
