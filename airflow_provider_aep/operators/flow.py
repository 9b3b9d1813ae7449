"""Operators for the objects that connect source and target: mapping set, flow spec and flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, AepReconcileOperator, native, optional_text, text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


MOST_PREVIEWED = 100
"""Maximum number of rows of a preview. Source: the mapping page of Adobe's user interface."""


class AepCreateMappingSetOperator(AepReconcileOperator):
    """Reconcile a mapping set: the fields of a schema that receive the columns of a source.

    The operator checks the mappings against the columns and the schema, and AEP validates them, before anything is
    written. If a mapping changes, the operator creates a new version.

    :param name: name of the mapping set (templated)
    :param schema_id: ``$id`` of the target schema (templated)
    :param mappings: column, :class:`~airflow_provider_aep.mappings.Expression` or
        :class:`~airflow_provider_aep.mappings.Constant` by path of a field, such as
        ``{"personalEmail.address": "email"}`` (templated). ``{tenant}`` in a path stands for the organization's tenant
        id. A text that is no column is a path, such as ``emails[0].email``
    :param columns: columns as :class:`~.source.AepExploreOperator` returns them (templated); by default the source
        columns are not checked. A name with special characters is then written as AEP reads it, such as ``${E-mail}``
    :param flow_name: name of the flow that uses the mapping set (templated); the default is the flow name that
        :class:`~airflow_provider_aep.naming.Names` derives. A mapping set of another flow is never changed
    :return: ``{"id", "version"}`` of the mapping set
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "name",
        "schema_id",
        "mappings",
        "columns",
        "flow_name",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"mappings": "json", "columns": "json"}

    def __init__(
        self,
        *,
        name: str,
        schema_id: str,
        mappings: Mapping[str, str | Mapping[str, Any]],
        columns: list[dict[str, Any]] | None = None,
        flow_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.schema_id = schema_id
        self.mappings = mappings
        self.columns = columns
        self.flow_name = flow_name

    def execute(self, context: Context) -> dict[str, Any]:
        """Reconcile the mapping set, and return its id and version."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import MAPPING_SET

        with self.aep() as client:
            desired = build.mapping_set(
                client,
                name=text(self.name),
                schema_id=self.schema_id,
                mappings=native(self.mappings),
                columns=native(self.columns),
                flow_name=text(self.flow_name),
            )
            return self.reconcile(client, context, MAPPING_SET, desired)


class AepPreviewMappingOperator(AepOperator):
    """Apply mappings to some rows, without a write, and fail if a value cannot be transformed.

    The operator checks the mappings as :class:`AepCreateMappingSetOperator` does. AEP's preview then applies them to
    rows of the author, or to rows of the source.

    :param schema_id: ``$id`` of the target schema (templated)
    :param mappings: as for :class:`AepCreateMappingSetOperator` (templated)
    :param columns: as for :class:`AepCreateMappingSetOperator` (templated)
    :param rows: rows as dicts by column (templated); by default AEP reads some rows of the source
    :param base_connection_id: id of the source's base connection (templated); required without ``rows``
    :param table: table of the source (templated); required without ``rows``, except for a REST source
    :param source_params: parameters of a REST source's connector, as for
        :class:`~.source.AepExploreOperator` (templated)
    :param max_rows: number of rows that are previewed, 1 to 100
    :param log_rows: whether the mapped rows are logged. They may hold personal data, so the default is ``False``
    :param fail_on_errors: whether the task fails if a value cannot be transformed
    :return: ``{"rows", "errors"}``: the number of rows, and the number of errors by path of a field
    :raises ValueError: during DAG parsing, if ``max_rows`` is out of range
    :raises AepPermanentError: a mapping is invalid, or a value cannot be transformed and ``fail_on_errors`` is set
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "schema_id",
        "mappings",
        "columns",
        "rows",
        "base_connection_id",
        "table",
        "source_params",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"mappings": "json", "columns": "json", "rows": "json"}

    def __init__(
        self,
        *,
        schema_id: str,
        mappings: Mapping[str, str | Mapping[str, Any]],
        columns: list[dict[str, Any]] | None = None,
        rows: list[dict[str, Any]] | None = None,
        base_connection_id: str | None = None,
        table: str | None = None,
        source_params: dict[str, Any] | None = None,
        max_rows: int = 10,
        log_rows: bool = False,
        fail_on_errors: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= max_rows <= MOST_PREVIEWED:
            raise ValueError(f"max_rows is {max_rows!r}. Set it to a number from 1 to {MOST_PREVIEWED}")
        self.schema_id = schema_id
        self.mappings = mappings
        self.columns = columns
        self.rows = rows
        self.base_connection_id = base_connection_id
        self.table = table
        self.source_params = source_params
        self.max_rows = max_rows
        self.log_rows = log_rows
        self.fail_on_errors = fail_on_errors

    def execute(self, context: Context) -> dict[str, Any]:
        """Preview the mappings, and return the number of rows, and of errors by field."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.preview import preview

        with self.aep() as client:
            desired = build.mapping_set(
                client,
                name="preview",
                schema_id=self.schema_id,
                mappings=native(self.mappings),
                columns=native(self.columns),
            )
            result = preview(
                client,
                desired,
                rows=native(self.rows),
                base_connection_id=self.base_connection_id,
                table=text(self.table),
                source_params=native(self.source_params),
                max_rows=self.max_rows,
            )
            if self.log_rows:
                for row in result.rows:
                    self.log.info("Mapped row: %s", row)
            if self.fail_on_errors:
                result.check()
            return {"rows": len(result.rows), "errors": result.errors}


class AepGetFlowSpecOperator(AepOperator):
    """Find a flow spec, which is the type of a flow, by the source's base connection or by name.

    :param base_connection_id: id of the source's base connection (templated); by default ``flow_spec`` selects the
        flow spec
    :param flow_spec: name of the flow spec (templated), ignored if ``base_connection_id`` is set: ``CRMToAEP`` for
        table-based sources, ``RestStorageToAEP`` for REST sources
    :return: ``{"id", "version"}`` of the flow spec
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id", "flow_spec")

    def __init__(self, *, base_connection_id: str | None = None, flow_spec: str = "CRMToAEP", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id
        self.flow_spec = flow_spec

    def execute(self, context: Context) -> dict[str, Any]:
        """Find the flow spec, and return its id and version."""
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.consistency import send_retrying_not_found
        from airflow_provider_aep.client.validation import validate_id
        from airflow_provider_aep.onboarding.sources import flow_specs

        with self.aep() as client:
            if self.base_connection_id is None:
                spec = flow_specs.find_flow_spec(client, self.flow_spec)
            else:
                base = flow_service.get_connection(validate_id(self.base_connection_id, "base_connection_id"))
                spec = flow_specs.flow_spec_of(client, send_retrying_not_found(client, base))
            self.log.info("Found flow spec %r (%s)", spec.name, spec.id)
            return {"id": spec.id, "version": spec.version}


class AepCreateFlowOperator(AepReconcileOperator):
    """Reconcile a flow (dataflow), which AEP starts at its start time.

    The operator validates the schedule by AEP's rules before anything is written. Start time and backfill are
    create-only: a later task run does not change them.

    :param name: name of the flow (templated)
    :param source_connection_id: id of the source connection (templated)
    :param target_connection_id: id of the target connection (templated)
    :param mapping_set: ``{"id", "version"}`` of the mapping set (templated)
    :param flow_spec: ``{"id", "version"}`` of the flow spec (templated)
    :param frequency: ``once``, ``minute``, ``hour``, ``day`` or ``week`` (templated)
    :param interval: number of frequency units between two runs (templated). The minimum, which is the default, is 15
        with ``minute`` and 1 with the others. It must not be set with ``once``
    :param start_in_minutes: minutes from now to the first run (templated)
    :param backfill: whether the first run reads all rows of the source (templated); the default is ``True``. It must
        not be set with ``once``
    :param delta_column: date-time column by which AEP selects changed rows (templated); required for repeated flows.
        It must not be set with ``once`` or for a REST source
    :param columns: columns as :class:`~.source.AepExploreOperator` returns them, to check the delta column
        (templated); the default is the columns of the source connection
    :param replace: whether to replace the flow of this name if an immutable field differs. The task disables the old
        flow, waits for its runs to end, renames it and creates a new flow. The new flow has no backfill if the old
        flow has ingested rows
    :param enable: whether to enable a disabled flow; by default a disabled flow is an error
    :param partial_ingestion_percent: percentage of failed records, above 0 and up to 100, up to which a run is a
        success (templated). By default a run with a failed record fails, and lands nothing
    :param error_diagnostics: whether AEP keeps failed records, so that they can be read (templated); the default is
        AEP's, which is no
    :param draft: whether to create a new flow as a draft, which does not run until
        :class:`~.control.AepPublishFlowOperator` publishes it. An existing flow keeps its state. By default, the
        operator publishes a draft that this onboarding created
    :param description: description of the flow (templated); by default an existing description is not changed
    :return: the id of the flow
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
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
        "partial_ingestion_percent",
        "error_diagnostics",
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
        partial_ingestion_percent: float | None = None,
        error_diagnostics: bool | None = None,
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
        self.partial_ingestion_percent = partial_ingestion_percent
        self.error_diagnostics = error_diagnostics
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the flow, and return its id."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import FLOW

        with self.aep() as client:
            desired = build.flow(
                client,
                name=text(self.name),
                source_connection_id=self.source_connection_id,
                target_connection_id=self.target_connection_id,
                mapping_set=native(self.mapping_set),
                flow_spec=native(self.flow_spec),
                frequency=self.frequency,
                interval=native(self.interval),
                start_in_minutes=native(self.start_in_minutes),
                backfill=native(self.backfill),
                delta_column=optional_text(self.delta_column),
                columns=native(self.columns),
                partial_ingestion_percent=native(self.partial_ingestion_percent),
                error_diagnostics=native(self.error_diagnostics),
                draft=self.draft,
                description=self.description,
            )
            return self.reconcile(client, context, FLOW, desired, enable=self.enable, replace=self.replace)
