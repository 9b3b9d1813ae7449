"""Operators for the target side of an onboarding: class, field group, schema, dataset and target connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepReconcileOperator, native, text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepCreateClassOperator(AepReconcileOperator):
    """Reconcile a custom class, with the fields that all its schemas have.

    Most onboardings need no custom class: persons have the class ``profile``, and events ``experienceevent``.

    :param title: title of the class, which is unique in the Schema Registry (templated)
    :param behavior: ``record``, or ``time-series`` for events (templated); it cannot be changed
    :param fields: fields that all schemas of the class have, in short form (templated); see
        :doc:`/reference/field-types`
    :param keep_undeclared_fields: whether an existing class may have fields that are not declared. By default the task
        fails, as AEP removes no field
    :param description: description of the class (templated); by default an existing description is not changed
    :return: the ``$id`` of the class
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "title",
        "behavior",
        "fields",
        "description",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"fields": "json"}

    def __init__(
        self,
        *,
        title: str,
        behavior: str = "record",
        fields: Mapping[str, Any] | None = None,
        keep_undeclared_fields: bool = False,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.behavior = behavior
        self.fields = fields
        self.keep_undeclared_fields = keep_undeclared_fields
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the class, and return its ``$id``."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import CLASS

        with self.aep() as client:
            desired = build.xdm_class(
                client,
                title=text(self.title),
                behavior=self.behavior,
                fields=native(self.fields),
                keep_undeclared_fields=self.keep_undeclared_fields,
                description=self.description,
            )
            return self.reconcile(client, context, CLASS, desired)


class AepCreateFieldGroupOperator(AepReconcileOperator):
    """Reconcile a custom field group, whose fields are below the namespace of the tenant.

    Changes are additive: the task adds new fields, and values of an enum. It fails before the first write if AEP would
    refuse a change once data exists, such as another type of a field.

    :param title: title of the field group, which is unique in the Schema Registry (templated)
    :param fields: type, or attributes, by path, such as ``{"ticket.priority": "integer"}`` (templated); see
        :doc:`/reference/field-types`
    :param classes: classes whose schemas may contain the field group (templated): ``$id``, ``meta:altId``, title, or
        Adobe's short name. Missing ones are added, others are kept
    :param keep_undeclared_fields: whether an existing field group may have fields that are not declared. By default the
        task fails, as AEP removes no field
    :param description: description of the field group (templated); by default an existing description is not changed
    :return: the ``$id`` of the field group
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "title",
        "fields",
        "classes",
        "description",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"fields": "json"}

    def __init__(
        self,
        *,
        title: str,
        fields: Mapping[str, Any],
        classes: str | Sequence[str] = ("profile",),
        keep_undeclared_fields: bool = False,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.fields = fields
        self.classes = classes
        self.keep_undeclared_fields = keep_undeclared_fields
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the field group, and return its ``$id``."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import FIELD_GROUP

        with self.aep() as client:
            desired = build.field_group(
                client,
                title=text(self.title),
                fields=native(self.fields),
                classes=native(self.classes),
                keep_undeclared_fields=self.keep_undeclared_fields,
                description=self.description,
            )
            return self.reconcile(client, context, FIELD_GROUP, desired)


class AepCreateSchemaOperator(AepReconcileOperator):
    """Reconcile an XDM schema, and add missing field groups.

    The title of a schema is unique in the Schema Registry.

    :param title: title of the schema (templated)
    :param class_id: class that the schema extends (templated): ``$id``, ``meta:altId``, title, or Adobe's short name,
        such as ``experienceevent``; the default is XDM Individual Profile
    :param field_groups: field groups, in the same forms (templated); the default is Demographic Details and Personal
        Contact Details
    :param description: description of the schema (templated); by default an existing description is not changed
    :return: the ``$id`` of the schema
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "title",
        "class_id",
        "field_groups",
        "description",
    )

    def __init__(
        self,
        *,
        title: str,
        class_id: str = "profile",
        field_groups: Sequence[str] = ("profile-person-details", "profile-personal-details"),
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.class_id = class_id
        self.field_groups = field_groups
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the schema, and return its ``$id``."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import SCHEMA

        with self.aep() as client:
            desired = build.schema(
                client,
                title=text(self.title),
                class_id=self.class_id,
                field_groups=native(self.field_groups),
                description=self.description,
            )
            return self.reconcile(client, context, SCHEMA, desired)


class AepCreateDatasetOperator(AepReconcileOperator):
    """Reconcile a dataset, whose rows have the fields of a schema.

    :param name: name of the dataset (templated)
    :param schema_id: ``$id`` of the schema (templated)
    :param description: description of the dataset (templated); by default an existing description is not changed
    :return: the id of the dataset
    """

    template_fields: Sequence[str] = (*AepReconcileOperator.template_fields, "name", "schema_id", "description")

    def __init__(self, *, name: str, schema_id: str, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.schema_id = schema_id
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the dataset, and return its id."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import DATASET

        with self.aep() as client:
            desired = build.dataset(name=text(self.name), schema_id=self.schema_id, description=self.description)
            return self.reconcile(client, context, DATASET, desired)


class AepCreateDatasetBaseConnectionOperator(AepReconcileOperator):
    """Reconcile a dataset base connection, the base connection of the data lake in Adobe's tutorial.

    AEP no longer needs one: a target connection without a base connection also writes to the data lake.

    :param name: name of the base connection (templated)
    :param description: description of the base connection (templated); by default an existing description is not
        changed
    :return: the id of the base connection
    """

    template_fields: Sequence[str] = (*AepReconcileOperator.template_fields, "name", "description")

    def __init__(self, *, name: str, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the base connection, and return its id."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import BASE_CONNECTION

        with self.aep() as client:
            desired = build.dataset_base_connection(name=text(self.name), description=self.description)
            return self.reconcile(client, context, BASE_CONNECTION, desired)


class AepCreateTargetConnectionOperator(AepReconcileOperator):
    """Reconcile a target connection, which selects the dataset that receives the rows of a flow.

    :param name: name of the target connection (templated)
    :param dataset_id: id of the dataset (templated)
    :param base_connection_id: id of the data lake's base connection, as
        :class:`AepCreateDatasetBaseConnectionOperator` returns it (templated); AEP no longer needs one
    :param schema_id: ``$id`` of the schema that the dataset must have (templated); by default any schema is accepted
    :param data_format: data format as in Adobe's samples (templated), which is ``json`` for a REST source
    :param description: description of the target connection (templated); by default an existing description is not
        changed
    :param replace: whether to replace the object of this name if an immutable field differs. The task renames the old
        target connection and creates a new one. The flow also needs ``replace=True``
    :return: the id of the target connection
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "name",
        "dataset_id",
        "base_connection_id",
        "schema_id",
        "data_format",
        "description",
    )

    def __init__(
        self,
        *,
        name: str,
        dataset_id: str,
        base_connection_id: str | None = None,
        schema_id: str | None = None,
        data_format: str | None = None,
        description: str | None = None,
        replace: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.dataset_id = dataset_id
        self.data_format = data_format
        self.base_connection_id = base_connection_id
        self.schema_id = schema_id
        self.description = description
        self.replace = replace

    def execute(self, context: Context) -> str:
        """Reconcile the target connection, and return its id."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import TARGET_CONNECTION

        with self.aep() as client:
            desired = build.target_connection(
                client,
                name=text(self.name),
                dataset_id=self.dataset_id,
                base_connection_id=self.base_connection_id,
                schema_id=self.schema_id,
                data_format=native(self.data_format),
                description=self.description,
            )
            return self.reconcile(client, context, TARGET_CONNECTION, desired, replace=self.replace)
