"""Operators for the source side of an onboarding: base connection, connection test, exploration, source connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, AepReconcileOperator, native, optional_text, text

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepCreateBaseConnectionOperator(AepReconcileOperator):
    """Reconcile a base connection, which holds AEP's credentials for a source system.

    The operator checks the parameters against the connection spec before anything is written. It reads the credentials
    from the Airflow connection of the source when the task runs. It never compares them, and sends them only to AEP.

    :param name: name of the base connection (templated)
    :param source_conn_id: id of the source system's Airflow connection (templated). Its host is the URL of the
        instance. Login and password are those of a user, or id and secret of a client. The default is ``aep_`` and the
        name of the system, such as ``aep_servicenow``
    :param system: one of :data:`~airflow_provider_aep.systems.SYSTEMS` (templated)
    :param connection_spec_id: id of another connector's connection spec (templated), which also needs ``auth_spec``
        and ``auth_params``
    :param auth_spec: name of an auth spec of the connection spec (templated); the default is that of the system
    :param auth_params: field of the Airflow connection by parameter of the auth spec, such as ``{"server": "host"}``.
        A field is ``url``, ``host``, ``login``, ``password``, ``schema``, or ``extra.`` followed by a name
    :param description: description of the base connection (templated); by default an existing description is not
        changed
    :return: the id of the base connection
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "name",
        "source_conn_id",
        "system",
        "connection_spec_id",
        "auth_spec",
        "description",
    )

    def __init__(
        self,
        *,
        name: str,
        source_conn_id: str | None = None,
        system: str = "servicenow",
        connection_spec_id: str | None = None,
        auth_spec: str | None = None,
        auth_params: Mapping[str, str] | None = None,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.source_conn_id = source_conn_id
        self.system = system
        self.connection_spec_id = connection_spec_id
        self.auth_spec = auth_spec
        self.auth_params = auth_params
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the base connection, and return its id."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import BASE_CONNECTION
        from airflow_provider_aep.runtime.source_credentials import source_credentials
        from airflow_provider_aep.systems import default_source_conn_id, resolve_system

        with self.aep() as client:
            desired = build.base_connection(
                client,
                name=text(self.name),
                source=resolve_system(self.system, self.connection_spec_id, self.auth_spec, self.auth_params),
                login=self.source_conn_id or default_source_conn_id(self.system, self.connection_spec_id),
                credentials=source_credentials,
                description=self.description,
            )
            return self.reconcile(client, context, BASE_CONNECTION, desired)


class AepTestConnectionOperator(AepOperator):
    """Test a base connection: AEP logs in to the source system with it.

    :param base_connection_id: id of the base connection (templated)
    :return: the id of the base connection
    :raises AepPermanentError: AEP cannot log in to the source
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id")

    def __init__(self, *, base_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id

    def execute(self, context: Context) -> str:
        """Test the base connection, and return its id."""
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.consistency import send_retrying_not_found
        from airflow_provider_aep.client.errors import AepInvalidRequestError
        from airflow_provider_aep.client.validation import validate_id

        with self.aep() as client:
            base = validate_id(self.base_connection_id, "base_connection_id")
            self._link_target = ("base connection", base)
            if not send_retrying_not_found(client, flow_service.test_connection(base)):
                raise AepInvalidRequestError(
                    f"AEP cannot log in to the source with base connection {base}",
                    next_step="Check the Airflow connection of the source (source_conn_id).",
                )
            self.log.info("AEP can log in to the source with base connection %s", base)
            return base


class AepExploreOperator(AepOperator):
    """List the tables of a source, the columns of one table, or the record fields of a REST source.

    The flow spec of the source decides whether it delivers tables or records.

    :param base_connection_id: id of the source's base connection (templated)
    :param table: name of the table whose columns are returned (templated); by default the tables are listed. A REST
        source has no tables; for Zendesk, ``users`` is accepted, which is the name of its records
    :param source_params: parameters of a REST source, such as ``{"object_type": "accounts"}`` (templated)
    :return: table names, or columns as AEP describes them (``name``, ``type``, ``xdm``); the name of a record's field
        is its path with dots
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id", "table", "source_params")
    template_fields_renderers: ClassVar[dict[str, str]] = {"source_params": "json"}

    def __init__(
        self,
        *,
        base_connection_id: str,
        table: str | None = None,
        source_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id
        self.table = table
        self.source_params = source_params

    def execute(self, context: Context) -> list[Any]:
        """Explore the source, and return table names or columns."""
        from airflow_provider_aep.onboarding.sources.explore import explore_columns, explore_tables

        with self.aep() as client:
            base_id = self.base_connection_id
            if not self.table and (tables := explore_tables(client, base_id)) is not None:
                self._link_target = ("base connection", base_id)
                self.log.info("The source of base connection %s has %d tables", base_id, len(tables))
                return tables
            columns = explore_columns(client, base_id, text(self.table), native(self.source_params))
            self._link_target = ("base connection", base_id)
            subject = f"Table {self.table!r}" if self.table else "A record"
            self.log.info(
                "%s of base connection %s has %d columns: %s",
                subject,
                base_id,
                len(columns),
                ", ".join(c["name"] for c in columns),
            )
            return columns


class AepProposeFieldsOperator(AepOperator):
    """Propose custom fields, and mappings to them, for the columns of a table. The operator writes nothing.

    Names are made legal. Types come from AEP's explore, and from sample rows where a column is text: dates, yes and no,
    email addresses, lists. The log has the proposal as YAML, with a comment where it is a guess. The same table gives
    the same proposal.

    Copy the proposal into a DAG and correct it there. A DAG that passes it on as it is creates other fields when the
    source gets other columns.

    :param base_connection_id: id of the source's base connection (templated)
    :param table: name of the table (templated); not for a REST source
    :param object_name: name of the object that has the fields (templated); default: the table, or ``record``
    :param columns: columns as :class:`AepExploreOperator` returns them (templated); default: all of the table
    :param rows: sample rows by column (templated); by default AEP reads some of the source
    :param source_params: parameters of a REST source (templated)
    :return: ``{"fields", "mappings", "comments"}``. ``fields`` is an argument of
        :class:`~.target.AepCreateFieldGroupOperator`, and ``mappings`` of :class:`~.flow.AepCreateMappingSetOperator`.
        Values of rows are not part of it
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "base_connection_id",
        "table",
        "object_name",
        "columns",
        "rows",
        "source_params",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json", "rows": "json", "source_params": "json"}

    def __init__(
        self,
        *,
        base_connection_id: str,
        table: str | None = None,
        object_name: str | None = None,
        columns: list[dict[str, Any]] | None = None,
        rows: list[dict[str, Any]] | None = None,
        source_params: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id
        self.table = table
        self.object_name = object_name
        self.columns = columns
        self.rows = rows
        self.source_params = source_params

    def execute(self, context: Context) -> dict[str, Any]:
        """Propose fields and mappings, log them as YAML, and return them."""
        from airflow_provider_aep.client.validation import validate_columns
        from airflow_provider_aep.onboarding.sources.explore import explore_columns, explore_rows
        from airflow_provider_aep.onboarding.xdm.proposal import propose

        table, params = optional_text(self.table), native(self.source_params)
        with self.aep() as client:
            self._link_target = ("base connection", self.base_connection_id)
            columns = validate_columns(native(self.columns))
            if columns is None:
                columns = explore_columns(client, self.base_connection_id, table, params)
            rows = native(self.rows)
            if rows is None:
                rows = explore_rows(client, self.base_connection_id, table, params)
            proposal = propose(columns, rows, optional_text(self.object_name) or table or "record")
            self.log.info("Proposal from %d columns and %d rows:\n%s", len(columns), len(rows), proposal.text())
            return {"fields": proposal.fields, "mappings": proposal.mappings, "comments": proposal.comments}


class AepCreateSourceConnectionOperator(AepReconcileOperator):
    """Reconcile a source connection, which selects the rows that a flow reads.

    It selects a table and its columns, or the records of a REST source.

    :param name: name of the source connection (templated)
    :param base_connection_id: id of the source's base connection (templated)
    :param table: name of the table (templated); must not be set for a REST source
    :param columns: columns as :class:`AepExploreOperator` returns them (templated)
    :param schema_id: ``$id`` of an ad hoc schema that describes the rows (templated); AEP no longer needs one
    :param source_params: parameters of a REST source (templated)
    :param description: description of the source connection (templated); by default an existing description is not
        changed
    :param replace: whether to replace the object of this name if an immutable field differs. The task renames the old
        source connection and creates a new one. The flow also needs ``replace=True``
    :return: the id of the source connection
    """

    template_fields: Sequence[str] = (
        *AepReconcileOperator.template_fields,
        "name",
        "base_connection_id",
        "table",
        "columns",
        "schema_id",
        "source_params",
        "description",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json", "source_params": "json"}

    def __init__(
        self,
        *,
        name: str,
        base_connection_id: str,
        table: str | None = None,
        columns: list[dict[str, Any]] | None = None,
        schema_id: str | None = None,
        source_params: Mapping[str, Any] | None = None,
        description: str | None = None,
        replace: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.base_connection_id = base_connection_id
        self.table = table
        self.columns = columns
        self.schema_id = schema_id
        self.source_params = source_params
        self.description = description
        self.replace = replace

    def execute(self, context: Context) -> str:
        """Reconcile the source connection, and return its id."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import SOURCE_CONNECTION

        with self.aep() as client:
            desired = build.source_connection(
                client,
                name=text(self.name),
                base_connection_id=self.base_connection_id,
                table=text(self.table),
                columns=native(self.columns),
                schema_id=self.schema_id,
                source_params=native(self.source_params),
                description=self.description,
            )
            return self.reconcile(client, context, SOURCE_CONNECTION, desired, replace=self.replace)


class AepCreateAdHocClassOperator(AepReconcileOperator):
    """Reconcile an ad hoc class, whose fields are the columns of one table.

    Adobe's tutorial describes the rows of a source with such a class. AEP no longer needs one.

    :param title: title of the class (templated)
    :param columns: columns as :class:`AepExploreOperator` returns them (templated); create-only
    :param description: description of the class (templated); by default an existing description is not changed
    :return: the ``$id`` of the class
    """

    template_fields: Sequence[str] = (*AepReconcileOperator.template_fields, "title", "columns", "description")
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json"}

    def __init__(
        self, *, title: str, columns: list[dict[str, Any]], description: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.columns = columns
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the ad hoc class, and return its ``$id``."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import AD_HOC_CLASS

        with self.aep() as client:
            columns = native(self.columns)
            desired = build.ad_hoc_class(title=text(self.title), columns=columns, description=self.description)
            return self.reconcile(client, context, AD_HOC_CLASS, desired)


class AepCreateAdHocSchemaOperator(AepReconcileOperator):
    """Reconcile an ad hoc schema, which has the fields of one ad hoc class and no field groups.

    :param title: title of the schema (templated)
    :param class_id: ``$id`` of the class, as :class:`AepCreateAdHocClassOperator` returns it (templated)
    :param description: description of the schema (templated); by default an existing description is not changed
    :return: the ``$id`` of the schema
    """

    template_fields: Sequence[str] = (*AepReconcileOperator.template_fields, "title", "class_id", "description")

    def __init__(self, *, title: str, class_id: str, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.class_id = class_id
        self.description = description

    def execute(self, context: Context) -> str:
        """Reconcile the ad hoc schema, and return its ``$id``."""
        from airflow_provider_aep.onboarding import build
        from airflow_provider_aep.onboarding.resources import SCHEMA

        with self.aep() as client:
            desired = build.ad_hoc_schema(
                client, title=text(self.title), class_id=self.class_id, description=self.description
            )
            return self.reconcile(client, context, SCHEMA, desired)
