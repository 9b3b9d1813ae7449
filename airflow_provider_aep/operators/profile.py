"""Getting to Real-Time Customer Profile. AEP can undo none of it, so each operator wants to be told that you know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _AepIrreversibleOperator(AepOperator):
    """Refuses to run without ``irreversible=True``.

    :param irreversible: must be ``True``
    """

    consequence: ClassVar[str] = ""

    def __init__(self, *, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.irreversible = irreversible

    def check_consent(self) -> None:
        from airflow_provider_aep.client.errors import AepConfigurationError

        if self.irreversible is not True:
            raise AepConfigurationError(
                f"This cannot be undone: {self.consequence}",
                next_step="Say irreversible=True if that is what you want.",
            )


class AepCreateIdentityDescriptorOperator(_AepIrreversibleOperator):
    """Ensure that a field of a schema is an identity: what Identity Service links people by.

    **Irreversible:** once the schema is enabled for Profile its primary identity stays, and what was linked by an
    identity stays linked.

    :param schema_id: ``$id`` (templated)
    :param path: of a text field, with dots as in mappings, such as ``personalEmail.address`` (templated)
    :param namespace: code of an identity namespace that the organization has, such as ``Email`` (templated); it is not
        checked here
    :param primary: whether profiles are keyed by it; a schema has one such identity
    :param irreversible: must be ``True``
    :param concurrent_writers: another DAG, or another Airflow, may make the same at this moment
    :return: the descriptor's id
    """

    consequence = "the primary identity of a schema that is enabled for Profile stays, and what it linked stays linked"
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
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.profile import ensure_identity

        with self.aep() as client:
            self.check_consent()
            schema_id = checked_id(self.schema_id, "schema_id")
            outcome = ensure_identity(
                client,
                schema_id,
                self.path,
                self.namespace,
                self.primary,
                self.attempt(concurrent_writers=self.concurrent_writers),
            )
            result = self.told(client, "identity descriptor", outcome)
            self._object = ("schema", schema_id)
            return result


class AepEnableSchemaForProfileOperator(_AepIrreversibleOperator):
    """Ensure that a schema takes part in the union of its class, which is what Real-Time Customer Profile reads.

    The schema needs a primary identity, or the field ``identityMap``; that is checked first.

    **Irreversible:** AEP removes no schema from the union, and its fields can only be added to from then on.

    :param schema_id: ``$id`` (templated)
    :param irreversible: must be ``True``
    :return: the ``$id``
    """

    consequence = "a schema never leaves the union, and from then on fields can only be added to it"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "schema_id")

    def __init__(self, *, schema_id: str, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.schema_id = schema_id

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.profile import ensure_union

        with self.aep() as client:
            self.check_consent()
            return self.told(client, "schema", ensure_union(client, checked_id(self.schema_id, "schema_id")))


class AepEnableDatasetForProfileOperator(_AepIrreversibleOperator):
    """Ensure that what lands in a dataset from now on reaches Real-Time Customer Profile and Identity Service.

    Its schema must be enabled first; that is checked.

    **Irreversible:** what Profile and Identity Service have taken from the dataset does not go with the tags.

    :param dataset_id: (templated)
    :param irreversible: must be ``True``
    :return: the id
    """

    consequence = "what Profile and Identity Service take from the dataset stays there"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "dataset_id")

    def __init__(self, *, dataset_id: str, irreversible: bool = False, **kwargs: Any) -> None:
        super().__init__(irreversible=irreversible, **kwargs)
        self.dataset_id = dataset_id

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.profile import ensure_profile_tags

        with self.aep() as client:
            self.check_consent()
            outcome = ensure_profile_tags(client, checked_id(self.dataset_id, "dataset_id"))
            return self.told(client, "dataset", outcome)
