"""The source side of an onboarding: base connection, test, explore, source connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepEnsureOperator, AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepCreateBaseConnectionOperator(AepEnsureOperator):
    """Ensure a base connection: AEP's login to a source system.

    The parameters are checked against the connection spec before anything is written. They come from the Airflow
    connection of the source when the task runs, are never compared, and never leave the request.

    :param name: name of the base connection (templated)
    :param source_conn_id: Airflow connection of the source system (templated); its host is the instance's URL, login
        and password are those of a user, or id and secret of a client. ``aep_`` and the system's name unless given,
        such as ``aep_servicenow``
    :param system: one of :data:`~airflow_provider_aep.onboarding.systems.SYSTEMS` (templated)
    :param connection_spec_id: of another connector (templated); then the next two are needed
    :param auth_spec: one of the connection spec's auth specs (templated); the system's usual one unless given
    :param auth_params: parameter of the auth spec to field of the Airflow connection, such as ``{"server": "host"}``;
        fields are ``url``, ``host``, ``login``, ``password``, ``schema``, or ``extra.`` and a name
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepEnsureOperator.template_fields,
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
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.hooks.source import source_params
        from airflow_provider_aep.onboarding.connection_spec import checked_auth
        from airflow_provider_aep.onboarding.kinds import BASE_CONNECTION
        from airflow_provider_aep.onboarding.systems import connector, source_conn_id

        with self.aep() as client:
            source = connector(self.system, self.connection_spec_id, self.auth_spec, self.auth_params)
            spec = client.send(flow_service.get_connection_spec(source.connection_spec_id))
            login = self.source_conn_id or source_conn_id(self.system, self.connection_spec_id)
            params = source_params(login, source.auth_params)
            wanted = {
                "name": self.name,
                "description": self.description,
                "auth": checked_auth(spec, source.auth_spec, params, login=login, fields=source.auth_params),
                "connectionSpec": {"id": spec.id, "version": spec.version},
            }
            return self.ensure(client, BASE_CONNECTION, wanted)


class AepTestConnectionOperator(AepOperator):
    """Ask AEP to log in to the source with a base connection.

    :param base_connection_id: (templated)
    :return: the id that was tested
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id")

    def __init__(self, *, base_connection_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.errors import AepInvalidRequestError
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            base = checked_id(self.base_connection_id, "base_connection_id")
            self._object = ("base connection", base)
            if not fresh(client, flow_service.test_connection(base)):
                raise AepInvalidRequestError(
                    f"AEP cannot log in to the source with base connection {base}",
                    next_step="Check the Airflow connection of the source (source_conn_id).",
                )
            self.log.info("AEP can log in to the source with base connection %s", base)
            return base


class AepExploreOperator(AepOperator):
    """List the tables of a source, or the columns of one table, or the fields of a REST source's records.

    Whether a source delivers tables or records is AEP's to say: by the flow spec that takes it.

    :param base_connection_id: (templated)
    :param table: the table whose columns are wanted (templated); without it the tables are listed. A REST source has
        none; for Zendesk ``users`` is accepted, which is what it delivers.
    :param source_params: what a REST source wants to be told, such as ``{"object_type": "accounts"}`` (templated)
    :return: table names, or columns as AEP describes them (``name``, ``type``, ``xdm``); a record's field has a dot
        path for a name
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
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.onboarding import flow_spec
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            base = fresh(client, flow_service.get_connection(checked_id(self.base_connection_id, "base_connection_id")))
            self._object = ("base connection", base.id)
            if flow_spec.taking(client, base).name == flow_spec.RECORDS:
                flow_spec.check_records(base, self.table)
                asked = flow_spec.checked_params(native(self.source_params))
                columns = client.send(flow_service.explore_records(base.id, asked))
                return self._listed("The records have", [c.verbatim for c in columns])
            tables = [t.name for t in client.send(flow_service.explore_root(base.id))]
            if not self.table:
                return tables
            self._check_table(tables)
            columns = client.send(flow_service.explore_table(base.id, self.table))
            return self._listed(f"Table {self.table} has", [c.verbatim for c in columns])

    def _check_table(self, tables: list[str]) -> None:
        from airflow_provider_aep.client.errors import AepConfigurationError

        if self.table not in tables:
            raise AepConfigurationError(
                f"The source has no table {self.table!r}", next_step=f"Choose one of: {', '.join(sorted(tables))}."
            )

    def _listed(self, what: str, columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.log.info("%s %d columns: %s", what, len(columns), ", ".join(c["name"] for c in columns))
        return columns


class AepCreateSourceConnectionOperator(AepEnsureOperator):
    """Ensure a source connection: which table of the source, with which columns; or a REST source's records.

    :param name: (templated)
    :param base_connection_id: (templated)
    :param table: (templated); a REST source has none
    :param columns: as :class:`AepExploreOperator` returns them (templated)
    :param schema_id: ``$id`` of an ad hoc schema that describes the rows (templated); AEP needs none today
    :param source_params: what a REST source wants to be told (templated)
    :param description: left as it is unless given (templated)
    :param replace: where the one of this name differs in what cannot change, rename it and make a new one; the flow
        needs ``replace=True``, too
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepEnsureOperator.template_fields,
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
        from airflow_provider_aep.client import flow_service, schema_registry
        from airflow_provider_aep.client.errors import AepConfigurationError
        from airflow_provider_aep.onboarding import flow_spec
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.kinds import SOURCE_CONNECTION
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            base = fresh(client, flow_service.get_connection(checked_id(self.base_connection_id, "base_connection_id")))
            data: dict[str, Any]
            if flow_spec.taking(client, base).name == flow_spec.RECORDS:
                flow_spec.check_records(base, self.table)
                data, params = {"format": "json"}, flow_spec.checked_params(native(self.source_params))
            elif not self.table:
                raise AepConfigurationError("table is missing", next_step="Name the table of the source to onboard.")
            else:
                flow_spec.check_no_params(native(self.source_params))
                data, params = {"format": "tabular"}, {"tableName": self.table, "columns": native(self.columns)}
            if self.schema_id is not None:
                schema = fresh(client, schema_registry.get_schema(checked_id(self.schema_id, "schema_id")))
                data["schema"] = {"id": schema.id, "version": schema_registry.FULL}
            wanted = {
                "name": self.name,
                "description": self.description,
                "baseConnectionId": base.id,
                "data": data,
                "params": {k: v for k, v in params.items() if v is not None},
                "connectionSpec": base.connectionSpec and base.connectionSpec.model_dump(include={"id", "version"}),
            }
            # What a REST source is asked for decides what a flow delivers, so it cannot change. What AEP adds may.
            asked = [f"params.{name}" for name in params] if data["format"] == "json" else []
            kind = replace(SOURCE_CONNECTION, fixed=(*SOURCE_CONNECTION.fixed, *asked))
            return self.ensure(client, kind, wanted, replace=self.replace)


class AepCreateAdHocClassOperator(AepEnsureOperator):
    """Ensure an ad hoc class: a class whose fields are the columns of one table.

    Adobe's tutorial describes a source's rows with it; AEP needs it no more.

    :param title: (templated)
    :param columns: as :class:`AepExploreOperator` returns them (templated); they count when the class is created
    :param description: left as it is unless given (templated)
    :return: the class's ``$id``
    """

    template_fields: Sequence[str] = (*AepEnsureOperator.template_fields, "title", "columns", "description")
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json"}

    def __init__(
        self, *, title: str, columns: list[dict[str, Any]], description: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.columns = columns
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client.errors import AepConfigurationError
        from airflow_provider_aep.client.schema_registry import AD_HOC
        from airflow_provider_aep.onboarding.kinds import AD_HOC_CLASS, ad_hoc_fields

        with self.aep() as client:
            columns = native(self.columns)
            if not isinstance(columns, list) or not columns:
                raise AepConfigurationError(
                    f"columns is {columns!r}, not a list of columns", next_step="Pass the output of the explore task."
                )
            wanted = {
                "title": self.title,
                "description": self.description,
                "behavior": AD_HOC,
                "fields": ad_hoc_fields(columns),
            }
            return self.ensure(client, AD_HOC_CLASS, wanted)


class AepCreateAdHocSchemaOperator(AepEnsureOperator):
    """Ensure an ad hoc schema: that of an ad hoc class, and nothing more.

    :param title: (templated)
    :param class_id: as :class:`AepCreateAdHocClassOperator` returns it (templated)
    :param description: left as it is unless given (templated)
    :return: the schema's ``$id``
    """

    template_fields: Sequence[str] = (*AepEnsureOperator.template_fields, "title", "class_id", "description")

    def __init__(self, *, title: str, class_id: str, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.class_id = class_id
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client import schema_registry
        from airflow_provider_aep.client.errors import AepConfigurationError
        from airflow_provider_aep.onboarding.given import checked_id
        from airflow_provider_aep.onboarding.kinds import SCHEMA
        from airflow_provider_aep.onboarding.wait import fresh

        with self.aep() as client:
            class_ = fresh(client, schema_registry.get_class(checked_id(self.class_id, "class_id")))
            if schema_registry.AD_HOC not in class_.extends:
                raise AepConfigurationError(
                    f"The class {class_.title!r} ({class_.id}) is no ad hoc class",
                    next_step="Pass the output of the task that creates the ad hoc class.",
                )
            wanted: dict[str, Any] = {
                "title": self.title,
                "description": self.description,
                "class": class_.id,
                "refs": [],
            }
            return self.ensure(client, SCHEMA, wanted)
