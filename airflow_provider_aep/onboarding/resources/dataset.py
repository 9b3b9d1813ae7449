"""Resource type dataset: a dataset of the data lake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_aep.client import catalog, schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import DataSet
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    FieldPolicy,
    Observed,
    ResourceType,
    drop_none,
)
from airflow_provider_aep.onboarding.resources.dependents import TARGETS_BY_DATASET


@dataclass(frozen=True, kw_only=True)
class DatasetDesired(Desired):
    """The desired state of a dataset.

    :param schema_id: ``$id`` of the schema
    """

    schema_id: str

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return drop_none(
            name=self.name,
            description=self.description,
            schemaRef={"id": self.schema_id, "contentType": schema_registry.FULL},
        )


class DatasetType(ResourceType[DatasetDesired]):
    """The resource type of datasets."""

    label = "dataset"
    parent = "schemaRef.id"
    policy = FieldPolicy(immutable=("schemaRef.id",), managed=("description",))
    page = "dataset/browse/{0}"
    dependents = (TARGETS_BY_DATASET,)
    deletion_order = 4

    def find(self, name: str) -> Call[Page[DataSet]]:
        """Return the call that lists datasets by name."""
        return catalog.list_datasets(name)

    def read(self, id_: str) -> Call[DataSet]:
        """Return the call that reads a dataset."""
        return catalog.get_dataset(id_)

    def observe(self, answer: DataSet) -> Observed:
        """Return the observed state of a dataset."""
        description, marker = split_marker(answer.description)
        fields = {**answer.model_dump(), "description": description}
        return Observed(answer.id, answer.name, fields, answer.id, marker=marker, created=answer.created)

    def create(self, desired: DatasetDesired, options: CreateOptions) -> Call[str]:
        """Return the call that creates a dataset."""
        return catalog.create_dataset(self.body(desired, options))

    def parse_created(self, answer: str) -> tuple[str, str]:
        """Return the id and the return value of the task for a new object."""
        return answer, answer

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[str]:
        """Return the call that writes some fields of a dataset."""
        return catalog.patch_dataset(observed.id, {path: fields[path] for path in paths})

    def delete(self, id_: str) -> Call[None]:
        """Return the call that deletes a dataset and its rows. AEP does so even if the dataset has dependents."""
        return catalog.delete_dataset(id_)

    def is_empty(self, id_: str) -> Call[bool]:
        """Return the call that reads whether a dataset has no batches."""
        return catalog.list_batches(id_).then(lambda page: not page.items)
