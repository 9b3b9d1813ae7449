"""The target side of an onboarding: schema, dataset, target connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_aep.operators.base import AepEnsureOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

PROFILE_CLASS = "https://ns.adobe.com/xdm/context/profile"
PERSON_DETAILS = "https://ns.adobe.com/xdm/context/profile-person-details"
PERSONAL_DETAILS = "https://ns.adobe.com/xdm/context/profile-personal-details"


class AepCreateSchemaOperator(AepEnsureOperator):
    """Ensure an XDM schema. Its title is unique in the Schema Registry; missing field groups are added.

    :param title: (templated)
    :param class_id: ``$id`` of the class it extends (templated); XDM Individual Profile unless said otherwise
    :param field_groups: ``$id`` of field groups (templated); by default Demographic Details and Personal Contact
        Details
    :param description: left as it is unless given (templated)
    :return: the schema's ``$id``
    """

    template_fields: Sequence[str] = (
        *AepEnsureOperator.template_fields,
        "title",
        "class_id",
        "field_groups",
        "description",
    )

    def __init__(
        self,
        *,
        title: str,
        class_id: str = PROFILE_CLASS,
        field_groups: Sequence[str] = (PERSON_DETAILS, PERSONAL_DETAILS),
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.class_id = class_id
        self.field_groups = field_groups
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.onboarding.kinds import SCHEMA

        with self.aep() as client:
            wanted = {
                "title": self.title,
                "description": self.description,
                "class": self.class_id,
                "refs": list(native(self.field_groups)),
            }
            return self.ensure(client, SCHEMA, wanted)


class AepCreateDatasetOperator(AepEnsureOperator):
    """Ensure a dataset of a schema.

    :param name: (templated)
    :param schema_id: ``$id`` of the schema (templated)
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (*AepEnsureOperator.template_fields, "name", "schema_id", "description")

    def __init__(self, *, name: str, schema_id: str, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.schema_id = schema_id
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client.schema_registry import FULL
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.kinds import DATASET

        with self.aep() as client:
            wanted = {
                "name": self.name,
                "description": self.description,
                "schemaRef": {"id": checked_id(self.schema_id, "schema_id"), "contentType": FULL},
            }
            return self.ensure(client, DATASET, wanted)


class AepCreateDatasetBaseConnectionOperator(AepEnsureOperator):
    """Ensure a dataset base connection: the data lake's end of a flow, as Adobe's tutorial has it.

    AEP needs it no more: a target connection without one goes to the data lake, too.

    :param name: (templated)
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (*AepEnsureOperator.template_fields, "name", "description")

    def __init__(self, *, name: str, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client.flow_service import DATA_LAKE
        from airflow_provider_aep.onboarding.kinds import BASE_CONNECTION

        with self.aep() as client:
            spec = {"id": DATA_LAKE, "version": "1.0"}
            wanted = {"name": self.name, "description": self.description, "connectionSpec": spec}
            return self.ensure(client, BASE_CONNECTION, wanted)


class AepCreateTargetConnectionOperator(AepEnsureOperator):
    """Ensure a target connection: the dataset in the data lake that receives the rows.

    :param name: (templated)
    :param dataset_id: (templated)
    :param base_connection_id: as :class:`AepCreateDatasetBaseConnectionOperator` returns it (templated); AEP needs
        none today
    :param schema_id: ``$id`` of the schema that the dataset must have (templated); without it, any
    :param data_format: as Adobe's samples have it: ``json`` where the source is a REST source (templated)
    :param description: left as it is unless given (templated)
    :param replace: where the one of this name differs in what cannot change, rename it and make a new one; the flow
        needs ``replace=True``, too
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepEnsureOperator.template_fields,
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
        from airflow_provider_aep.client import catalog
        from airflow_provider_aep.client.errors import AepConfigurationError
        from airflow_provider_aep.client.flow_service import DATA_LAKE
        from airflow_provider_aep.client.schema_registry import FULL
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.kinds import TARGET_CONNECTION
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            dataset_id = checked_id(self.dataset_id, "dataset_id")
            dataset = fresh(client, catalog.get_dataset(dataset_id))
            schema_id = dataset.schemaRef.id if dataset.schemaRef else ""
            if not schema_id or self.schema_id not in {None, schema_id}:
                raise AepConfigurationError(
                    f"The dataset {dataset.name!r} ({dataset_id}) is of schema {schema_id or '(none)'}, "
                    f"not {self.schema_id or 'of any'}",
                    next_step="Pass the dataset of this schema, or leave schema_id out.",
                )
            base, form = self.base_connection_id, native(self.data_format)
            wanted = {
                "name": self.name,
                "description": self.description,
                "baseConnectionId": None if base is None else checked_id(base, "base_connection_id"),
                "data": {"schema": {"id": schema_id, "version": FULL}, **({"format": form} if form else {})},
                "params": {"dataSetId": dataset_id},
                "connectionSpec": {"id": DATA_LAKE, "version": "1.0"},
            }
            return self.ensure(client, TARGET_CONNECTION, wanted, replace=self.replace)
