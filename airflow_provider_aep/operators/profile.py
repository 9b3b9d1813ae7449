"""Operators that enable identities, schemas and datasets for Real-Time Customer Profile, which AEP cannot undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _AepIrreversibleOperator(AepOperator):
    """Base of the operators that fail unless ``irreversible=True``.

    :param irreversible: must be ``True``
    """

    consequence: ClassVar[str] = ""

    def __init__(self, *, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.irreversible = irreversible

    def check_consent(self) -> None:
        """Raise if ``irreversible`` is not ``True``.

        :raises AepConfigurationError: the argument has another value
        """
        from airflow_provider_aep.client.errors import AepConfigurationError

        if self.irreversible is not True:
            raise AepConfigurationError(
                f"irreversible is {self.irreversible!r}, but AEP cannot undo this operation: {self.consequence}",
                next_step="Set irreversible=True if you accept that.",
            )


class AepCreateIdentityDescriptorOperator(_AepIrreversibleOperator):
    """Reconcile an identity descriptor, which makes a field of a schema an identity in Identity Service.

    **Irreversible:** the primary identity of a schema that is enabled for Profile cannot be removed. Identity Service
    keeps the links between identities that it has found.

    :param schema_id: ``$id`` of the schema (templated)
    :param path: path of a text field, with dots as in mappings, such as ``personalEmail.address`` (templated)
    :param namespace: code of an identity namespace of the organization, such as ``Email`` (templated); the operator
        does not check the code
    :param primary: whether the field becomes the schema's primary identity, the key of its profiles. A schema has at
        most one
    :param irreversible: must be ``True``
    :param concurrent_writers: whether another DAG or another Airflow deployment may create the same descriptor at the
        same time. After a create, the task then waits ``[aep] creation_grace_period`` seconds
    :return: the id of the descriptor
    :raises AepPermanentError: ``irreversible`` is not ``True``, or AEP refuses the descriptor
    """

    consequence = "a schema that is enabled for Profile keeps its primary identity, and identities stay linked"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "schema_id", "path", "namespace")

    def __init__(
        self,
        *,
        schema_id: str,
        path: str,
        namespace: str = "Email",
        primary: bool = True,
        irreversible: bool = False,
        concurrent_writers: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.schema_id = schema_id
        self.path = path
        self.namespace = namespace
        self.primary = primary
        self.concurrent_writers = concurrent_writers

    def execute(self, context: Context) -> str:
        """Reconcile the identity descriptor, and return its id."""
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.lifecycle.profile import create_identity_descriptor
        from airflow_provider_aep.onboarding.reconcile.terms import Terms
        from airflow_provider_aep.runtime.task_attempt import attempt_of

        with self.aep() as client:
            self.check_consent()
            schema_id = validate_id(self.schema_id, "schema_id")
            outcome = create_identity_descriptor(
                client,
                schema_id,
                self.path,
                self.namespace,
                self.primary,
                attempt_of(context),
                Terms(concurrent_writers=self.concurrent_writers),
            )
            result = self.log_outcome(client, "identity descriptor", outcome)
            self._link_target = ("schema", schema_id)
            return result


class AepEnableSchemaForProfileOperator(_AepIrreversibleOperator):
    """Enable a schema for Real-Time Customer Profile, by adding it to the union schema of its class.

    The schema needs a primary identity or the field ``identityMap``. The operator checks that first.

    **Irreversible:** AEP removes no schema from the union. Later changes to the schema can only add fields.

    :param schema_id: ``$id`` of the schema (templated)
    :param irreversible: must be ``True``
    :return: the ``$id`` of the schema
    :raises AepPermanentError: ``irreversible`` is not ``True``, or the schema has no identity
    """

    consequence = "AEP removes no schema from the union, and later changes can only add fields"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "schema_id")

    def __init__(self, *, schema_id: str, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.schema_id = schema_id

    def execute(self, context: Context) -> str:
        """Enable the schema, and return its ``$id``."""
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.lifecycle.profile import enable_schema

        with self.aep() as client:
            self.check_consent()
            return self.log_outcome(client, "schema", enable_schema(client, validate_id(self.schema_id, "schema_id")))


class AepEnableDatasetForProfileOperator(_AepIrreversibleOperator):
    """Enable a dataset for Real-Time Customer Profile and Identity Service, which then ingest its new rows.

    The schema of the dataset must be enabled. The operator checks that first.

    **Irreversible:** Profile and Identity Service keep the ingested rows, also if the dataset's tags are removed.

    :param dataset_id: id of the dataset (templated)
    :param irreversible: must be ``True``
    :return: the id of the dataset
    :raises AepPermanentError: ``irreversible`` is not ``True``, or the schema is not enabled
    """

    consequence = "Profile and Identity Service keep the rows that they ingest from the dataset"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "dataset_id")

    def __init__(self, *, dataset_id: str, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.dataset_id = dataset_id

    def execute(self, context: Context) -> str:
        """Enable the dataset, and return its id."""
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.lifecycle.profile import enable_dataset

        with self.aep() as client:
            self.check_consent()
            outcome = enable_dataset(client, validate_id(self.dataset_id, "dataset_id"))
            return self.log_outcome(client, "dataset", outcome)
