"""Deleting what was onboarded: only what is ours, and nobody else uses; data only when it is asked for by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class _AepDeleteOperator(AepOperator):
    """Deletes one object, by its id."""

    kind: ClassVar[str]
    """The name of a :class:`~airflow_provider_aep.onboarding.kind.Kind` in ``onboarding.kinds``."""

    id_field: ClassVar[str]
    name_field: ClassVar[str | None] = None

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.hooks.aep import may_delete_in_production
        from airflow_provider_aep.onboarding import kinds
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.teardown import delete

        with self.aep() as client:
            kind = getattr(kinds, self.kind)
            id_ = checked_id(getattr(self, self.id_field), self.id_field)
            name = getattr(self, self.name_field) if self.name_field else None
            outcome = delete(client, kind, id_, name=name, production=may_delete_in_production())
            return self.told(client, kind.label, outcome)


class AepDeleteFlowOperator(_AepDeleteOperator):
    """Delete a flow of ours: it is disabled first, and waited for. The rows that it ingested stay.

    :param flow_id: (templated)
    :return: the id
    """

    kind, id_field = "FLOW", "flow_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "flow_id")

    def __init__(self, *, flow_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow_id = flow_id


class AepDeleteSourceConnectionOperator(_AepDeleteOperator):
    """Delete a source connection of ours that no flow uses.

    :param source_connection_id: (templated)
    :return: the id
    """

    kind, id_field = "SOURCE_CONNECTION", "source_connection_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "source_connection_id")

    def __init__(self, *, source_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_connection_id = source_connection_id


class AepDeleteTargetConnectionOperator(_AepDeleteOperator):
    """Delete a target connection of ours that no flow uses.

    :param target_connection_id: (templated)
    :return: the id
    """

    kind, id_field = "TARGET_CONNECTION", "target_connection_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "target_connection_id")

    def __init__(self, *, target_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_connection_id = target_connection_id


class AepDeleteBaseConnectionOperator(_AepDeleteOperator):
    """Delete a base connection of ours that no source or target connection stands on.

    :param base_connection_id: (templated)
    :return: the id
    """

    kind, id_field = "BASE_CONNECTION", "base_connection_id"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id")

    def __init__(self, *, base_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id


class AepDeleteDatasetOperator(_AepDeleteOperator):
    """Delete a dataset of ours that no target connection uses, **and its rows**. AEP cannot undo it.

    :param dataset_id: (templated)
    :param name: that it must have, so that no wrong id deletes rows (templated)
    :return: the id
    """

    kind, id_field, name_field = "DATASET", "dataset_id", "name"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "dataset_id", "name")

    def __init__(self, *, dataset_id: str, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset_id = dataset_id
        self.name = name


class AepDeleteSchemaOperator(_AepDeleteOperator):
    """Delete a schema of ours that no dataset and no source connection uses, and that is not enabled for Profile.

    :param schema_id: ``$id`` (templated)
    :param title: that it must have (templated)
    :return: the ``$id``
    """

    kind, id_field, name_field = "SCHEMA", "schema_id", "title"
    template_fields: Sequence[str] = (*AepOperator.template_fields, "schema_id", "title")

    def __init__(self, *, schema_id: str, title: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema_id = schema_id
        self.title = title


class AepTeardownOnboardingOperator(AepOperator):
    """Delete what an onboarding has made: the flow (disabled first, and waited for), its connections, the base
    connections; dataset, schemas and class only if they are named. What is gone already is passed over.

    Everything is checked before the first deletion: that it is ours, that nobody else uses it, and that this is no
    production sandbox, unless the deployer has allowed it (``[aep] allow_production_teardown``). Mapping sets stay.

    :param onboarding: its name, as in :class:`~airflow_provider_aep.onboarding.names.Names` (templated)
    :param data: names of the dataset, **whose rows go with it**, and of schemas and class to delete, too (templated)
    :param keep: names of what is left alone, because the onboarding only used it (templated)
    :return: ids by name, in the order in which they were deleted
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
        from airflow_provider_aep.hooks.aep import may_delete_in_production
        from airflow_provider_aep.hooks.attempt import settle
        from airflow_provider_aep.onboarding.teardown import teardown

        with self.aep() as client:
            gone = teardown(
                client,
                self.onboarding,
                data=_names(self.data),
                keep=_names(self.keep),
                production=may_delete_in_production(),
                settle=settle(),
            )
            for outcome in gone:
                self.log.info("%r deleted: %s in sandbox %s", outcome.name, outcome.id, client.settings.sandbox)
            if not gone:
                self.log.info("Nothing of %r is there", self.onboarding)
            return {outcome.name: outcome.id for outcome in gone}


def _names(given: Any) -> tuple[str, ...]:
    """Names as a list, or as a template renders one."""
    given = native(given) or ()
    return (given,) if isinstance(given, str) else tuple(given)
