"""What joins source and target: mapping set, flow spec, flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepCreateMappingSetOperator(AepOperator):
    """Ensure a mapping set, after checking it against the columns and the schema, and letting AEP validate it.

    A change writes a new version.

    :param name: (templated)
    :param schema_id: ``$id`` of the target schema (templated)
    :param mappings: source column to destination path, such as ``{"email": "personalEmail.address"}`` (templated)
    :param static: destination path to a fixed value (templated)
    :param columns: as :class:`~.source.AepExploreOperator` returns them (templated); without them source columns are
        not checked
    :return: ``{"id", "version"}``
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "name",
        "schema_id",
        "mappings",
        "static",
        "columns",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"mappings": "json", "static": "json", "columns": "json"}

    def __init__(
        self,
        *,
        name: str,
        schema_id: str,
        mappings: Mapping[str, str],
        static: Mapping[str, Any] | None = None,
        columns: list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.schema_id = schema_id
        self.mappings = mappings
        self.static = static
        self.columns = columns

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_aep.client import schema_registry
        from airflow_provider_aep.onboarding.ensure import checked_id, fresh
        from airflow_provider_aep.onboarding.kinds import MAPPING_SET
        from airflow_provider_aep.onboarding.mapping import mapping_set

        with self.aep() as client:
            schema_id = checked_id(self.schema_id, "schema_id")
            schema = fresh(client, schema_registry.get_schema(schema_id, resolved=True))
            entries = mapping_set(
                native(self.mappings),
                native(self.static) or {},
                columns=native(self.columns),
                schema=schema.properties,
            )
            wanted = {
                "name": self.name,
                "outputSchema": {"schemaRef": {"id": schema_id, "contentType": schema_registry.FULL}},
                "mappings": entries,
            }
            return self.ensure(client, MAPPING_SET, wanted)


class AepGetFlowSpecOperator(AepOperator):
    """Look up a flow spec by name.

    :param flow_spec: such as ``CRMToAEP``, for all table-based sources (templated)
    :return: ``{"id", "version"}``
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "flow_spec")

    def __init__(self, *, flow_spec: str = "CRMToAEP", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow_spec = flow_spec

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.errors import AepConfigurationError

        with self.aep() as client:
            found = [s for s in client.items(flow_service.list_flow_specs(self.flow_spec)) if s.name == self.flow_spec]
            if not found:
                raise AepConfigurationError(
                    f"AEP has no flow spec {self.flow_spec!r}", next_step="CRMToAEP serves all table-based sources."
                )
            return {"id": found[0].id, "version": found[0].version}


class AepCreateFlowOperator(AepOperator):
    """Ensure a flow (dataflow): it starts by itself at its start time.

    The schedule is checked against AEP's rules before anything is written. Start time and backfill count when the
    flow is created; a re-run does not move them.

    :param name: (templated)
    :param source_connection_id: (templated)
    :param target_connection_id: (templated)
    :param mapping_set: ``{"id", "version"}`` (templated)
    :param flow_spec: ``{"id", "version"}`` (templated)
    :param frequency: ``once``, ``minute``, ``hour``, ``day`` or ``week`` (templated)
    :param interval: in units of frequency (templated); at least 15 with ``minute`` and 1 with the others, which is the
        default; left out with ``once``
    :param start_in_minutes: from now to the first run (templated)
    :param backfill: whether the first run takes all data of the source (templated); left out with ``once``
    :param delta_column: date-time column that tells changed rows (templated); left out with ``once``
    :param columns: as :class:`~.source.AepExploreOperator` returns them, to check the delta column (templated)
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "name",
        "source_connection_id",
        "target_connection_id",
        "mapping_set",
        "flow_spec",
        "frequency",
        "interval",
        "start_in_minutes",
        "backfill",
        "delta_column",
        "columns",
        "description",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json"}

    def __init__(
        self,
        *,
        name: str,
        source_connection_id: str,
        target_connection_id: str,
        mapping_set: Mapping[str, Any],
        flow_spec: Mapping[str, Any],
        frequency: str = "once",
        interval: int | None = None,
        start_in_minutes: float = 1,
        backfill: bool | None = None,
        delta_column: str | None = None,
        columns: list[dict[str, Any]] | None = None,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.source_connection_id = source_connection_id
        self.target_connection_id = target_connection_id
        self.mapping_set = mapping_set
        self.flow_spec = flow_spec
        self.frequency = frequency
        self.interval = interval
        self.start_in_minutes = start_in_minutes
        self.backfill = backfill
        self.delta_column = delta_column
        self.columns = columns
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.onboarding.ensure import checked_id, checked_reference
        from airflow_provider_aep.onboarding.kinds import FLOW, runs
        from airflow_provider_aep.onboarding.schedule import delta_transformation, schedule_params

        with self.aep() as client:
            schedule = schedule_params(
                frequency=self.frequency,
                start_in_minutes=native(self.start_in_minutes),
                now=client.clock.now(),
                interval=native(self.interval),
                backfill=native(self.backfill),
            )
            copy = delta_transformation(self.frequency, native(self.delta_column), native(self.columns))
            steps = {"Copy": copy["params"]} if copy else {}
            mapping = checked_reference(native(self.mapping_set), "mapping_set")
            steps["Mapping"] = {"mappingId": mapping["id"], "mappingVersion": mapping["version"]}
            wanted = {
                "name": self.name,
                "description": self.description,
                "flowSpec": checked_reference(native(self.flow_spec), "flow_spec"),
                "sourceConnectionIds": [checked_id(self.source_connection_id, "source_connection_id")],
                "targetConnectionIds": [checked_id(self.target_connection_id, "target_connection_id")],
                "steps": steps,
                "runs": runs(self.frequency),
                "scheduleParams": schedule,
            }
            return self.ensure(client, FLOW, wanted)
