"""Operators that delete the objects of an onboarding.

They delete only objects with the onboarding's marker that no other object refers to. They delete datasets, schemas,
field groups and classes only if the task names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _AepDeleteOperator(AepOperator):
    """Base of the operators that delete one object by its id."""

    label: ClassVar[str]
    """A key of :data:`~airflow_provider_aep.onboarding.resources.RESOURCE_TYPES`."""

    id_field: ClassVar[str]
    name_field: ClassVar[str | None] = None

    def execute(self, context: Context) -> str:
        """Check and delete the object, log the outcome, and return its id."""
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.lifecycle.teardown import delete
        from airflow_provider_aep.onboarding.resources import RESOURCE_TYPES
        from airflow_provider_aep.runtime.configuration import may_delete_in_production

        with self.aep() as client:
            id_ = validate_id(getattr(self, self.id_field), self.id_field)
            name = getattr(self, self.name_field) if self.name_field else None
            resource_type = RESOURCE_TYPES[self.label]
            outcome = delete(client, resource_type, id_, name=name, production=may_delete_in_production())
            return self.log_outcome(client, self.label, outcome)


class AepDeleteFlowOperator(_AepDeleteOperator):
    """Delete a flow that an onboarding created. The rows that it ingested remain in the dataset.

    The operator disables the flow first, and waits until the flow is deleted.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param flow_id: id of the flow (templated)
    :return: the id of the flow
    :raises AepPermanentError: no onboarding created the flow, or the sandbox is not allowed
    """

    label, id_field = "flow", "flow_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "flow_id")

    def __init__(self, *, flow_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id


class AepDeleteSourceConnectionOperator(_AepDeleteOperator):
    """Delete a source connection that an onboarding created and that no flow uses.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param source_connection_id: id of the source connection (templated)
    :return: the id of the source connection
    :raises AepPermanentError: a flow uses it, no onboarding created it, or the sandbox is not allowed
    """

    label, id_field = "source connection", "source_connection_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "source_connection_id")

    def __init__(self, *, source_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_connection_id = source_connection_id


class AepDeleteTargetConnectionOperator(_AepDeleteOperator):
    """Delete a target connection that an onboarding created and that no flow uses.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param target_connection_id: id of the target connection (templated)
    :return: the id of the target connection
    :raises AepPermanentError: a flow uses it, no onboarding created it, or the sandbox is not allowed
    """

    label, id_field = "target connection", "target_connection_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "target_connection_id")

    def __init__(self, *, target_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_connection_id = target_connection_id


class AepDeleteBaseConnectionOperator(_AepDeleteOperator):
    """Delete a base connection that an onboarding created and that no source or target connection uses.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param base_connection_id: id of the base connection (templated)
    :return: the id of the base connection
    :raises AepPermanentError: a connection uses it, no onboarding created it, or the sandbox is not allowed
    """

    label, id_field = "base connection", "base_connection_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id")

    def __init__(self, *, base_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id


class AepDeleteDatasetOperator(_AepDeleteOperator):
    """Delete a dataset **and its rows**, which AEP cannot undo.

    An onboarding must have created the dataset, and no target connection may use it.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param dataset_id: id of the dataset (templated)
    :param name: name that the dataset must have, so that a wrong id deletes no rows (templated)
    :return: the id of the dataset
    :raises AepPermanentError: the name differs, a target connection uses the dataset, no onboarding created it, or
        the sandbox is not allowed
    """

    label, id_field, name_field = "dataset", "dataset_id", "name"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "dataset_id", "name")

    def __init__(self, *, dataset_id: str, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset_id = dataset_id
        self.name = name


class AepDeleteSchemaOperator(_AepDeleteOperator):
    """Delete a schema that an onboarding created and that no other object uses.

    A dataset or source connection uses a schema. A schema that is enabled for Profile cannot be deleted.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param schema_id: ``$id`` of the schema (templated)
    :param title: title that the schema must have (templated)
    :return: the ``$id`` of the schema
    :raises AepPermanentError: the title differs, another object uses the schema, it is enabled for Profile, no
        onboarding created it, or the sandbox is not allowed
    """

    label, id_field, name_field = "schema", "schema_id", "title"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "schema_id", "title")

    def __init__(self, *, schema_id: str, title: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema_id = schema_id
        self.title = title


class AepDeleteFieldGroupOperator(_AepDeleteOperator):
    """Delete a custom field group that an onboarding created and that no schema or class uses.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param field_group_id: ``$id`` of the field group (templated)
    :param title: title that the field group must have (templated)
    :return: the ``$id`` of the field group
    :raises AepPermanentError: the title differs, a schema or class uses the field group, no onboarding created it, or
        the sandbox is not allowed
    """

    label, id_field, name_field = "field group", "field_group_id", "title"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "field_group_id", "title")

    def __init__(self, *, field_group_id: str, title: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.field_group_id = field_group_id
        self.title = title


class AepDeleteClassOperator(_AepDeleteOperator):
    """Delete a custom class that an onboarding created and that no schema uses.

    An object that does not exist is skipped. The task fails unless the sandbox is a development sandbox, or the
    configuration sets ``[aep] allow_production_teardown``.

    :param class_id: ``$id`` of the class (templated)
    :param title: title that the class must have (templated)
    :return: the ``$id`` of the class
    :raises AepPermanentError: the title differs, a schema uses the class, no onboarding created it, or the sandbox is
        not allowed
    """

    label, id_field, name_field = "class", "class_id", "title"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "class_id", "title")

    def __init__(self, *, class_id: str, title: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_id = class_id
        self.title = title


class AepTeardownOnboardingOperator(AepOperator):
    """Delete the objects of an onboarding: its flow, its connections and, if named, what holds or describes its data.

    The operator disables the flow first, and waits until the flow is deleted. Objects that do not exist are skipped.
    Mapping sets and identity namespaces are not deleted.

    Before the first deletion the operator checks that this onboarding created each object, and that no other object
    uses it. It fails unless the sandbox is a development sandbox, or the configuration sets
    ``[aep] allow_production_teardown``.

    :param onboarding: name of the onboarding, as in :class:`~airflow_provider_aep.naming.Names` (templated)
    :param data: names of the dataset, schemas, field group and classes to delete in addition (templated). A dataset is
        deleted **with its rows**. By default none of them is deleted
    :param keep: names of objects to keep, for instance objects that the onboarding did not create (templated)
    :return: ids by name, in the order of deletion
    :raises AepPermanentError: a check failed; nothing is deleted
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "onboarding", "data", "keep")
    template_fields_renderers: ClassVar[dict[str, str]] = {"data": "json", "keep": "json"}

    def __init__(
        self, *, onboarding: str, data: Sequence[str] | str = (), keep: Sequence[str] | str = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.onboarding = onboarding
        self.data = data
        self.keep = keep

    def execute(self, context: Context) -> dict[str, str]:
        """Check and delete the objects, and return their ids by name."""
        from airflow_provider_aep.onboarding.lifecycle.teardown import teardown
        from airflow_provider_aep.runtime.configuration import creation_grace_period, may_delete_in_production

        with self.aep() as client:
            deleted = teardown(
                client,
                self.onboarding,
                data=_names(self.data),
                keep=_names(self.keep),
                production=may_delete_in_production(),
                grace_period=creation_grace_period(),
            )
            for outcome in deleted:
                self.log.info("Deleted %r (%s) in sandbox %s", outcome.name, outcome.id, client.settings.sandbox)
            if not deleted:
                self.log.info("Found no object of onboarding %r: nothing to delete", self.onboarding)
            return {outcome.name: outcome.id for outcome in deleted}


def _names(value: Any) -> tuple[str, ...]:
    """Return names as a tuple, from a sequence, one name, or rendered text."""
    value = native(value) or ()
    return (value,) if isinstance(value, str) else tuple(value)
