"""Operators that enable identities, schemas and datasets for Real-Time Customer Profile, which AEP cannot undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, AepReconcileOperator, native, text

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


class AepCreateIdentityNamespaceOperator(_AepIrreversibleOperator, AepReconcileOperator):
    """Reconcile an identity namespace of the organization, such as the numbers of a loyalty program.

    **Irreversible:** AEP deletes no namespace, and its code and type cannot be changed.

    :param code: short name that descriptors and ``identityMap`` use: letters and digits (templated)
    :param name: name in the user interface (templated)
    :param id_type: ``CROSS_DEVICE`` for the number of a person in a system, ``EMAIL``, ``PHONE``, ``MOBILE``,
        ``COOKIE``, ``DEVICE``, or ``NON_PEOPLE`` for what is no person (templated)
    :param description: description of the namespace (templated); by default an existing description is not changed
    :param irreversible: must be ``True``
    :return: the code of the namespace
    :raises AepPermanentError: ``irreversible`` is not ``True``, or a namespace of this code has another type
    """

    consequence = "AEP deletes no identity namespace"
    template_fields: Sequence[str] = (*AepReconcileOperator.template_fields, "code", "name", "id_type", "description")

    def __init__(
        self,
        *,
        code: str,
        name: str,
        id_type: str = "CROSS_DEVICE",
        description: str | None = None,
        irreversible: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.code = code
        self.name = name
        self.id_type = id_type
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the namespace, and return its code."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import IDENTITY_NAMESPACE

        with self.aep() as client:
            self.check_consent()
            desired = build.identity_namespace(
                code=text(self.code), name=text(self.name), id_type=self.id_type, description=self.description
            )
            return self.reconcile(client, context, IDENTITY_NAMESPACE, desired)


class AepCreateIdentityDescriptorOperator(_AepIrreversibleOperator):
    """Reconcile an identity descriptor, which makes a field of a schema an identity in Identity Service.

    **Irreversible:** the primary identity of a schema that is enabled for Profile cannot be removed. Identity Service
    keeps the links between identities that it has found.

    :param schema_id: ``$id`` of the schema (templated)
    :param path: path of a text field, with dots as in mappings, such as ``personalEmail.address`` or
        ``_{tenant}.ticket.email`` (templated)
    :param namespace: code of an identity namespace, such as ``Email`` (templated). The operator checks before a create
        that the namespace exists
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
                text(self.path),
                text(self.namespace),
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
    :param upsert: whether a row updates the fields that it has in a profile, and keeps all others (tag
        ``isUpsert:true``). A dataset that has the tag keeps it
    :param irreversible: must be ``True``
    :return: the id of the dataset
    :raises AepPermanentError: ``irreversible`` is not ``True``, or the schema is not enabled
    """

    consequence = "Profile and Identity Service keep the rows that they ingest from the dataset"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "dataset_id")

    def __init__(self, *, dataset_id: str, upsert: bool = False, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.dataset_id = dataset_id
        self.upsert = upsert

    def execute(self, context: Context) -> str:
        """Enable the dataset, and return its id."""
        from airflow_provider_aep.client.validation import validate_flag, validate_id
        from airflow_provider_aep.onboarding.lifecycle.profile import enable_dataset

        with self.aep() as client:
            self.check_consent()
            upsert = validate_flag(native(self.upsert), "upsert") or False
            outcome = enable_dataset(client, validate_id(self.dataset_id, "dataset_id"), upsert)
            return self.log_outcome(client, "dataset", outcome)
