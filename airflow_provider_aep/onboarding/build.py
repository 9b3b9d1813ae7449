"""Functions that build the desired state of each object from the arguments of an author.

Operators and onboarding files use these functions. They validate arguments and read from AEP; they never write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_aep.client import catalog, flow_service, schema_registry
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import send_retrying_not_found
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.validation import (
    validate_columns,
    validate_flag,
    validate_id,
    validate_percent,
    validate_reference,
)
from airflow_provider_aep.naming import flow_name_of
from airflow_provider_aep.onboarding import mapping as mapping_rules
from airflow_provider_aep.onboarding.resources.ad_hoc_class import AdHocClassDesired, xdm_fields
from airflow_provider_aep.onboarding.resources.base_connection import BaseConnectionDesired
from airflow_provider_aep.onboarding.resources.dataset import DatasetDesired
from airflow_provider_aep.onboarding.resources.field_group import FieldGroupDesired
from airflow_provider_aep.onboarding.resources.flow import FlowDesired
from airflow_provider_aep.onboarding.resources.identity_namespace import ID_TYPES, IdentityNamespaceDesired
from airflow_provider_aep.onboarding.resources.mapping_set import MappingSetDesired
from airflow_provider_aep.onboarding.resources.schema import SchemaDesired
from airflow_provider_aep.onboarding.resources.source_connection import SourceConnectionDesired
from airflow_provider_aep.onboarding.resources.target_connection import TargetConnectionDesired
from airflow_provider_aep.onboarding.resources.xdm_class import ClassDesired
from airflow_provider_aep.onboarding.schedule import validate_delta_column, validate_schedule
from airflow_provider_aep.onboarding.sources import flow_specs
from airflow_provider_aep.onboarding.sources.auth_specs import validate_auth
from airflow_provider_aep.onboarding.xdm.fields import parse_fields
from airflow_provider_aep.onboarding.xdm.parts import PartResource, part_ids, standard_parts
from airflow_provider_aep.systems import System


def base_connection(
    client: AepClient,
    *,
    name: str,
    source: System,
    login: str,
    credentials: Callable[[str, Mapping[str, str]], Mapping[str, Any]],
    description: str | None = None,
) -> BaseConnectionDesired:
    """Return the desired state of a base connection, whose credentials are valid for the connection spec.

    :param source: connector and authentication parameters of the source system
    :param login: id of the Airflow connection of the source
    :param credentials: takes ``login`` and ``source.auth_params``, and returns the values of the parameters
    :raises AepConfigurationError: a parameter is missing or unknown
    """
    spec = client.send(flow_service.get_connection_spec(source.connection_spec_id))
    params = credentials(login, source.auth_params)
    return BaseConnectionDesired(
        name=name,
        description=description,
        auth=validate_auth(spec, source.auth_spec, params, login=login, fields=source.auth_params),
        connection_spec={"id": spec.id, "version": spec.version},
    )


def dataset_base_connection(*, name: str, description: str | None = None) -> BaseConnectionDesired:
    """Return the desired state of a dataset base connection, which connects a flow to the data lake."""
    spec = {"id": flow_service.DATA_LAKE, "version": "1.0"}
    return BaseConnectionDesired(name=name, description=description, connection_spec=spec)


def source_connection(
    client: AepClient,
    *,
    name: str,
    base_connection_id: object,
    table: str | None = None,
    columns: object = None,
    schema_id: object = None,
    source_params: object = None,
    description: str | None = None,
) -> SourceConnectionDesired:
    """Return the desired state of a source connection to a table, or to the records of a REST source.

    :param table: required for a source of tables
    :param columns: columns of the table, as explore returns them; default: none are sent
    :param schema_id: ``$id`` of an ad hoc schema; default: none
    :param source_params: parameters of a REST source's connector
    :raises AepConfigurationError: the table is missing, or an argument is invalid for this source
    """
    base_call = flow_service.get_connection(validate_id(base_connection_id, "base_connection_id"))
    base = send_retrying_not_found(client, base_call)
    params: dict[str, Any] | None = None
    if flow_specs.flow_spec_of(client, base).name == flow_specs.RECORDS:
        flow_specs.check_records(base, table)
        table, columns, params = None, None, flow_specs.validate_source_params(source_params)
    elif not table:
        raise AepConfigurationError("table is missing", next_step="Set table to a table of the source.")
    else:
        flow_specs.check_no_source_params(source_params)
    if schema_id is not None:
        schema_call = schema_registry.get("schemas", validate_id(schema_id, "schema_id"))
        schema_id = send_retrying_not_found(client, schema_call).id
    return SourceConnectionDesired(
        name=name,
        description=description,
        base_connection_id=base.id,
        connection_spec=base.connectionSpec.model_dump(include={"id", "version"}) if base.connectionSpec else None,
        table=table,
        columns=validate_columns(columns),
        source_params=params,
        schema_id=schema_id,
    )


def ad_hoc_class(*, title: str, columns: object, description: str | None = None) -> AdHocClassDesired:
    """Return the desired state of an ad hoc class, whose fields are the columns of a table.

    :param columns: columns of the table, as explore returns them
    :raises AepConfigurationError: ``columns`` is empty, or two columns cannot both be fields
    """
    valid = validate_columns(columns)
    if not valid:
        raise AepConfigurationError(
            f"columns is {columns!r}, not a list of columns",
            next_step="Set columns to the output of the explore task.",
        )
    return AdHocClassDesired(name=title, description=description, properties=xdm_fields(valid))


def ad_hoc_schema(client: AepClient, *, title: str, class_id: object, description: str | None = None) -> SchemaDesired:
    """Return the desired state of the schema of an ad hoc class.

    :raises AepConfigurationError: the class is not an ad hoc class
    """
    class_ = send_retrying_not_found(client, schema_registry.get("classes", validate_id(class_id, "class_id")))
    if schema_registry.AD_HOC not in class_.extends:
        raise AepConfigurationError(
            f"The class {class_.title!r} ({class_.id}) is not an ad hoc class",
            next_step="Set class_id to the output of the task that creates the ad hoc class.",
        )
    return SchemaDesired(name=title, description=description, class_id=class_.id)


def xdm_class(
    client: AepClient,
    *,
    title: str,
    behavior: object = "record",
    fields: object = None,
    keep_undeclared_fields: object = False,
    description: str | None = None,
) -> ClassDesired:
    """Return the desired state of a class.

    :param behavior: ``record`` or ``time-series``
    :param fields: fields that all schemas of the class have, in short form; default: those of the behavior only
    :param keep_undeclared_fields: whether an existing class may have fields that are not declared
    :raises AepConfigurationError: there is no such behavior, or a field is invalid
    """
    if behavior not in schema_registry.BEHAVIORS:
        raise AepConfigurationError(
            f"behavior is {behavior!r}, which is no behavior",
            next_step=f"Set behavior to one of {', '.join(schema_registry.BEHAVIORS)}.",
        )
    _check_title(title, "classes")
    return ClassDesired(
        name=title,
        description=description,
        behavior=schema_registry.BEHAVIORS[str(behavior)],
        custom_fields=parse_fields(fields) if fields else {},
        keep_undeclared=_flag(keep_undeclared_fields, "keep_undeclared_fields"),
        tenant_id=lambda: client.send(schema_registry.stats()).tenantId,
    )


def field_group(
    client: AepClient,
    *,
    title: str,
    fields: object,
    classes: object,
    keep_undeclared_fields: object = False,
    description: str | None = None,
) -> FieldGroupDesired:
    """Return the desired state of a field group with custom fields.

    :param fields: type, or attributes, by path; see :func:`~.xdm.fields.parse_fields`
    :param classes: classes whose schemas may contain it; see :func:`~.xdm.parts.part_ids`
    :param keep_undeclared_fields: whether an existing field group may have fields that are not declared
    :raises AepConfigurationError: a field is invalid, or a class does not exist; the message lists all of them
    """
    _check_title(title, "fieldgroups")
    names = _names(classes, "classes")
    if not names:
        raise AepConfigurationError("classes is empty", next_step="Set classes to the classes of the schemas.")
    custom_fields, class_ids = _all(lambda: parse_fields(fields), lambda: part_ids(client, "classes", names, "classes"))
    return FieldGroupDesired(
        name=title,
        description=description,
        custom_fields=custom_fields,
        classes=class_ids,
        keep_undeclared=_flag(keep_undeclared_fields, "keep_undeclared_fields"),
        tenant_id=lambda: client.send(schema_registry.stats()).tenantId,
    )


def schema(
    client: AepClient, *, title: str, class_id: object, field_groups: object, description: str | None = None
) -> SchemaDesired:
    """Return the desired state of a schema with a class and field groups.

    :param class_id: the class; see :func:`~.xdm.parts.part_ids`
    :param field_groups: a list of field groups, or one; see :func:`~.xdm.parts.part_ids`
    :raises AepConfigurationError: a name is empty or unknown, or ``field_groups`` is not a list
    """
    class_name, group_names = validate_id(class_id, "class_id"), _names(field_groups, "field_groups")
    classes, groups = _all(
        lambda: part_ids(client, "classes", [class_name], "class_id"),
        lambda: part_ids(client, "fieldgroups", group_names, "field_groups"),
    )
    return SchemaDesired(name=title, description=description, class_id=classes[0], field_groups=groups)


def _all(*checks: Callable[[], Any]) -> list[Any]:
    """Return the results of all checks; their errors become one."""
    results: list[Any] = []
    errors: list[AepConfigurationError] = []
    for check in checks:
        try:
            results.append(check())
        except AepConfigurationError as e:
            errors.append(e)
    if len(errors) > 1:
        message = "\n".join(e.message for e in errors)
        raise AepConfigurationError(message, next_step=" ".join(e.next_step for e in errors))
    if errors:
        raise errors[0]
    return results


def _check_title(title: str, resource: PartResource) -> None:
    if title in standard_parts(resource):
        raise AepConfigurationError(
            f"title is {title!r}, which is the short name of one of Adobe's {resource}",
            next_step="Choose another title, so that the name means one of them.",
        )


def _names(value: object, argument: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence):
        raise AepConfigurationError(
            f"{argument} is {value!r}, not a list", next_step=f"Set {argument} to a list of names."
        )
    return [validate_id(name, argument) for name in names]


def _flag(value: object, argument: str) -> bool:
    return validate_flag(value, argument) or False


def identity_namespace(
    *, code: object, name: object, id_type: object, description: str | None = None
) -> IdentityNamespaceDesired:
    """Return the desired state of an identity namespace.

    :param code: the short name that descriptors and ``identityMap`` use
    :param name: name in the user interface
    :param id_type: one of :data:`~.identity_namespace.ID_TYPES`, in any case
    :raises AepConfigurationError: an argument is invalid; the message lists all of them
    """
    problems = []
    if not isinstance(code, str) or not re.fullmatch("[A-Za-z0-9]{1,100}", code):
        problems.append(f"code is {code!r}. Use letters and digits")
    if not isinstance(name, str) or not name.strip():
        problems.append(f"name is {name!r}. Use a text")
    if not isinstance(id_type, str) or id_type.upper() not in ID_TYPES:
        problems.append(f"id_type is {id_type!r}. Use one of {', '.join(ID_TYPES)}")
    if problems:
        raise AepConfigurationError(
            f"The identity namespace is invalid: {'; '.join(problems)}", next_step="Correct the arguments."
        )
    return IdentityNamespaceDesired(
        name=str(code), display_name=str(name).strip(), id_type=str(id_type).upper(), description=description
    )


def dataset(*, name: str, schema_id: object, description: str | None = None) -> DatasetDesired:
    """Return the desired state of a dataset with a schema."""
    return DatasetDesired(name=name, description=description, schema_id=validate_id(schema_id, "schema_id"))


def target_connection(
    client: AepClient,
    *,
    name: str,
    dataset_id: object,
    base_connection_id: object = None,
    schema_id: str | None = None,
    data_format: str | None = None,
    description: str | None = None,
) -> TargetConnectionDesired:
    """Return the desired state of a target connection to a dataset.

    :param base_connection_id: a dataset base connection; default: none, because AEP no longer requires one
    :param schema_id: expected ``$id`` of the dataset's schema; ``None`` accepts any schema
    :param data_format: ``json`` for a REST source; default: none
    :raises AepConfigurationError: the dataset has another schema, or none
    """
    existing = send_retrying_not_found(client, catalog.get_dataset(validate_id(dataset_id, "dataset_id")))
    actual = existing.schemaRef.id if existing.schemaRef else ""
    if not actual or schema_id not in {None, actual}:
        raise AepConfigurationError(
            f"The dataset {existing.name!r} ({existing.id}) has the schema {actual}, not {schema_id}"
            if actual
            else f"The dataset {existing.name!r} ({existing.id}) has no schema",
            next_step="Set dataset_id to a dataset with the schema of schema_id, or remove schema_id."
            if actual
            else "Set dataset_id to a dataset with a schema.",
        )
    base = None if base_connection_id is None else validate_id(base_connection_id, "base_connection_id")
    return TargetConnectionDesired(
        name=name,
        description=description,
        dataset_id=existing.id,
        schema_id=actual,
        base_connection_id=base,
        data_format=data_format or None,
    )


def mapping_set(
    client: AepClient,
    *,
    name: str,
    schema_id: object,
    mappings: object,
    columns: object = None,
    flow_name: str | None = None,
) -> MappingSetDesired:
    """Return the desired state of a mapping set, whose mappings are valid for the columns and the schema.

    :param mappings: column, expression or constant by path of a field; see :func:`~.mapping.entries_of`
    :param columns: columns of the source table, as explore returns them; ``None`` if unknown
    :param flow_name: name of the flow that uses the mapping set; default: that of :class:`~.naming.Names`
    :raises AepConfigurationError: a mapping is invalid; the message lists all of them
    """
    call = schema_registry.get("schemas", validate_id(schema_id, "schema_id"), resolved=True)
    properties = send_retrying_not_found(client, call).properties
    entries = mapping_rules.entries_of(
        mappings,
        columns=validate_columns(columns),
        schema=properties,
        tenant_id=lambda: client.send(schema_registry.stats()).tenantId,
    )
    return MappingSetDesired(
        name=name,
        schema_id=validate_id(schema_id, "schema_id"),
        mappings=tuple(entries),
        flow_name=flow_name or flow_name_of(name),
    )


def flow(
    client: AepClient,
    *,
    name: str,
    source_connection_id: object,
    target_connection_id: object,
    mapping_set: object,
    flow_spec: object,
    frequency: str = "once",
    interval: int | None = None,
    start_in_minutes: float = 1,
    backfill: bool | None = None,
    delta_column: str | None = None,
    columns: object = None,
    partial_ingestion_percent: float | None = None,
    error_diagnostics: bool | None = None,
    draft: bool = False,
    description: str | None = None,
) -> FlowDesired:
    """Return the desired state of a flow, whose schedule, delta column and options are valid.

    The parameters of the schedule are those of :func:`~.schedule.validate_schedule`.

    :param columns: columns of the source table; default: those of the source connection
    :param partial_ingestion_percent: percentage of failed records, above 0, up to which a run succeeds
    :param error_diagnostics: whether AEP keeps failed records
    :param draft: whether a new flow stays a draft
    :raises AepConfigurationError: AEP would reject the flow
    """
    schedule = validate_schedule(
        frequency=frequency, start_in_minutes=start_in_minutes, interval=interval, backfill=backfill
    )
    spec = validate_reference(flow_spec, "flow_spec")
    supports_delta = client.send(flow_service.get_flow_spec(spec["id"])).supports_delta
    source_id = validate_id(source_connection_id, "source_connection_id")
    explored = validate_columns(columns)
    source_columns, connection_spec_id = explored, ""
    if explored is None or delta_column:
        source = send_retrying_not_found(client, flow_service.get_source_connection(source_id))
        connection_spec_id = source.connectionSpec.id if source.connectionSpec else ""
        source_columns = source.params.get("columns") if explored is None else explored
    delta = validate_delta_column(
        frequency,
        delta_column,
        source_columns,
        supports_delta=supports_delta,
        is_complete=explored is not None,
        connection_spec_id=connection_spec_id,
    )
    return FlowDesired(
        name=name,
        description=description,
        draft=draft,
        flow_spec=spec,
        source_connection_id=source_id,
        target_connection_id=validate_id(target_connection_id, "target_connection_id"),
        mapping_set=validate_reference(mapping_set, "mapping_set"),
        delta_column=delta,
        schedule=schedule,
        partial_ingestion_percent=validate_percent(partial_ingestion_percent, "partial_ingestion_percent"),
        error_diagnostics=validate_flag(error_diagnostics, "error_diagnostics"),
    )
