"""What joins source and target: mapping set, flow spec, flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepEnsureOperator, AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepCreateMappingSetOperator(AepEnsureOperator):
    """Ensure a mapping set, after checking it against the columns and the schema, and letting AEP validate it.

    A change writes a new version.

    :param name: (templated)
    :param schema_id: ``$id`` of the target schema (templated)
    :param mappings: source column to destination path, such as ``{"email": "personalEmail.address"}`` (templated)
    :param static: destination path to a fixed value (templated)
    :param columns: as :class:`~.source.AepExploreOperator` returns them (templated); without them source columns are
        not checked
    :param flow_name: of the flow that uses it (templated); that of ``Names`` unless given. A set that another flow uses
        is never changed
    :return: ``{"id", "version"}``
    """

    template_fields: Sequence[str] = (
        *AepEnsureOperator.template_fields,
        "name",
        "schema_id",
        "mappings",
        "static",
        "columns",
        "flow_name",
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
        flow_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.schema_id = schema_id
        self.mappings = mappings
        self.static = static
        self.columns = columns
        self.flow_name = flow_name

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_aep.client import schema_registry
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.kinds import mapping_set_for
        from airflow_provider_aep.onboarding.mapping import mapping_set
        from airflow_provider_aep.onboarding.names import flow_of
        from airflow_provider_aep.onboarding.wait import fresh

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
            return self.ensure(client, mapping_set_for(self.flow_name or flow_of(self.name)), wanted)


class AepGetFlowSpecOperator(AepOperator):
    """Look up a flow spec: the one that takes a source, or one by name.

    :param base_connection_id: finds the flow spec for the source behind it (templated)
    :param flow_spec: without a base connection, the name (templated): ``CRMToAEP`` for table-based sources,
        ``RestStorageToAEP`` for REST sources
    :return: ``{"id", "version"}``
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id", "flow_spec")

    def __init__(self, *, base_connection_id: str | None = None, flow_spec: str = "CRMToAEP", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id
        self.flow_spec = flow_spec

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.onboarding import flow_spec
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            if self.base_connection_id is None:
                found = flow_spec.named(client, self.flow_spec)
            else:
                base = flow_service.get_connection(checked_id(self.base_connection_id, "base_connection_id"))
                found = flow_spec.taking(client, fresh(client, base))
            self.log.info("Flow spec %s: %s", found.name, found.id)
            return {"id": found.id, "version": found.version}


class AepCreateFlowOperator(AepEnsureOperator):
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
    :param delta_column: date-time column that tells changed rows (templated); left out with ``once``, and where the
        source is a REST source
    :param columns: as :class:`~.source.AepExploreOperator` returns them, to check the delta column (templated); those
        of the source connection unless given
    :param replace: where the flow of this name differs in what cannot change, put it aside (disabled, at rest, renamed)
        and make a new one, which takes no backfill if the old one has ingested
    :param enable: enable the flow if it is disabled, which is an error otherwise
    :param draft: a new flow is a draft, which does not run until :class:`~.control.AepPublishFlowOperator` publishes
        it; one that exists is found as it is. Without it, a draft that a task like this one left behind is published
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepEnsureOperator.template_fields,
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
        draft: bool = False,
        enable: bool = False,
        replace: bool = False,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.draft = draft
        self.enable = enable
        self.replace = replace
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
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.onboarding.given import checked_id, checked_reference
        from airflow_provider_aep.onboarding.kinds import runs
        from airflow_provider_aep.onboarding.schedule import delta_transformation, schedule_params
        from airflow_provider_aep.onboarding.succession import FLOW_WITH_SUCCESSION
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            schedule = schedule_params(
                frequency=self.frequency,
                start_in_minutes=native(self.start_in_minutes),
                now=client.clock.now(),
                interval=native(self.interval),
                backfill=native(self.backfill),
            )
            spec = checked_reference(native(self.flow_spec), "flow_spec")
            takes_delta = client.send(flow_service.get_flow_spec(spec["id"])).takes_delta
            origin_id = checked_id(self.source_connection_id, "source_connection_id")
            delta, columns = native(self.delta_column), native(self.columns)
            explored = columns is not None
            if not explored:
                columns = fresh(client, flow_service.get_source_connection(origin_id)).params.get("columns")
            copy = delta_transformation(self.frequency, delta, columns, taken=takes_delta, all_of=explored)
            steps = {"Copy": copy["params"]} if copy else {}
            mapping = checked_reference(native(self.mapping_set), "mapping_set")
            steps["Mapping"] = {"mappingId": mapping["id"], "mappingVersion": mapping["version"]}
            wanted = {
                "name": self.name,
                "description": self.description,
                "flowSpec": spec,
                "sourceConnectionIds": [origin_id],
                "targetConnectionIds": [checked_id(self.target_connection_id, "target_connection_id")],
                "steps": steps,
                "runs": runs(self.frequency),
                "scheduleParams": schedule,
                "start_in_minutes": native(self.start_in_minutes),
                "draft": self.draft,
            }
            return self.ensure(client, FLOW_WITH_SUCCESSION, wanted, enable=self.enable, replace=self.replace)
