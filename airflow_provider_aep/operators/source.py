"""The source side of an onboarding: base connection, test, explore, source connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_aep.operators.base import AepOperator, native

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AepCreateBaseConnectionOperator(AepOperator):
    """Ensure a base connection: AEP's login to a source system.

    The parameters are checked against the connection spec before anything is written. They come from the Airflow
    connection of the source when the task runs, are never compared, and never leave the request.

    :param name: name of the base connection (templated)
    :param source_conn_id: Airflow connection of the source system (templated); its host is the instance's URL, login
        and password are those of a user, or id and secret of a client
    :param system: one of :data:`~airflow_provider_aep.onboarding.systems.SYSTEMS` (templated)
    :param connection_spec_id: of another connector (templated); then the next two are needed
    :param auth_spec: one of the connection spec's auth specs (templated); the system's usual one unless given
    :param auth_params: parameter of the auth spec to field of the Airflow connection, such as ``{"server": "host"}``;
        fields are ``url``, ``host``, ``login``, ``password``, ``schema``, or ``extra.`` and a name
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
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
        source_conn_id: str = "aep_source",
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
        from airflow_provider_aep.onboarding.systems import connector

        with self.aep() as client:
            source = connector(self.system, self.connection_spec_id, self.auth_spec, self.auth_params)
            spec = client.send(flow_service.get_connection_spec(source.connection_spec_id))
            params = source_params(self.source_conn_id, source.auth_params)
            wanted = {
                "name": self.name,
                "description": self.description,
                "auth": checked_auth(spec, source.auth_spec, params),
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
        from airflow_provider_aep.onboarding.ensure import checked_id, fresh

        with self.aep() as client:
            base = checked_id(self.base_connection_id, "base_connection_id")
            if not fresh(client, flow_service.test_connection(base)):
                raise AepInvalidRequestError(
                    f"AEP cannot log in to the source with base connection {base}",
                    next_step="Check the Airflow connection of the source (source_conn_id).",
                )
            self.log.info("AEP can log in to the source with base connection %s", base)
            return base


class AepExploreOperator(AepOperator):
    """List the tables of a source, or the columns of one table.

    :param base_connection_id: (templated)
    :param table: the table whose columns are wanted (templated); without it the tables are listed
    :return: table names, or columns as AEP describes them (``name``, ``type``, ``xdm``)
    """

    template_fields: Sequence[str] = (*AepOperator.template_fields, "base_connection_id", "table")

    def __init__(self, *, base_connection_id: str, table: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base_connection_id = base_connection_id
        self.table = table

    def execute(self, context: Context) -> list[Any]:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.client.errors import AepConfigurationError
        from airflow_provider_aep.onboarding.ensure import checked_id, fresh

        with self.aep() as client:
            base = checked_id(self.base_connection_id, "base_connection_id")
            tables = [t.name for t in fresh(client, flow_service.explore_root(base))]
            if self.table is None:
                return tables
            if self.table not in tables:
                raise AepConfigurationError(
                    f"The source has no table {self.table!r}", next_step=f"Choose one of: {', '.join(sorted(tables))}."
                )
            columns = [c.verbatim for c in client.send(flow_service.explore_table(base, self.table))]
            self.log.info(
                "Table %s has %d columns: %s", self.table, len(columns), ", ".join(c["name"] for c in columns)
            )
            return columns


class AepCreateSourceConnectionOperator(AepOperator):
    """Ensure a source connection: which table of the source, with which columns.

    :param name: (templated)
    :param base_connection_id: (templated)
    :param table: (templated)
    :param columns: as :class:`AepExploreOperator` returns them (templated)
    :param description: left as it is unless given (templated)
    :return: the id
    """

    template_fields: Sequence[str] = (
        *AepOperator.template_fields,
        "name",
        "base_connection_id",
        "table",
        "columns",
        "description",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json"}

    def __init__(
        self,
        *,
        name: str,
        base_connection_id: str,
        table: str,
        columns: list[dict[str, Any]],
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.base_connection_id = base_connection_id
        self.table = table
        self.columns = columns
        self.description = description

    def execute(self, context: Context) -> str:
        from airflow_provider_aep.client import flow_service
        from airflow_provider_aep.onboarding.ensure import checked_id, fresh
        from airflow_provider_aep.onboarding.kinds import SOURCE_CONNECTION

        with self.aep() as client:
            base = fresh(client, flow_service.get_connection(checked_id(self.base_connection_id, "base_connection_id")))
            wanted = {
                "name": self.name,
                "description": self.description,
                "baseConnectionId": base.id,
                "data": {"format": "tabular"},
                "params": {"tableName": self.table, "columns": native(self.columns)},
                "connectionSpec": base.connectionSpec and base.connectionSpec.model_dump(include={"id", "version"}),
            }
            return self.ensure(client, SOURCE_CONNECTION, wanted)
