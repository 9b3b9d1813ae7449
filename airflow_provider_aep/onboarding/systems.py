"""The customer success systems: which connector each is, and how an Airflow connection becomes its parameters.

Source: the "customer success" pages of Adobe's sources guide; ids as the flow specs list them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_aep.client.errors import AepConfigurationError


@dataclass(frozen=True)
class System:
    """A source system.

    :param auth_spec: one of its connection spec's
    :param auth_params: parameter of the auth spec -> field of the Airflow connection: ``url`` (of host, port and
        schema), ``host``, ``login``, ``password``, ``schema``, or ``extra.`` and a name
    :param table: what is onboarded unless said otherwise; the only one where the source delivers records, not tables
    :param delta_column: tells the changed rows of its tables; ``None`` where AEP takes none
    :param target_format: data format of the target connection, where Adobe's samples have one
    :param mappings: a start for the person fields of Adobe's profile schemas: by table, column -> destination path
    """

    connection_spec_id: str
    auth_spec: str
    auth_params: Mapping[str, str]
    table: str = ""
    delta_column: str | None = None
    target_format: str | None = None
    mappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def mappings_of(self, table: str | None) -> Mapping[str, str]:
        """Those of a table, or of the usual one; none, if it is not known."""
        return self.mappings.get(table or self.table, {})


SYSTEMS: Mapping[str, System] = {
    "servicenow": System(
        "eb13cb25-47ab-407f-ba89-c0125281c563",
        "Basic Authentication",
        {"endpoint": "url", "username": "login", "password": "password"},
        table="customer_contact",
        delta_column="sys_updated_on",
        mappings={
            "customer_contact": {
                "sys_id": "_id",
                "first_name": "person.name.firstName",
                "last_name": "person.name.lastName",
                "birth_date": "person.birthDate",
                "email": "personalEmail.address",
            },
            "customer_account": {"sys_id": "_id", "name": "person.name.fullName", "email": "personalEmail.address"},
            "incident": {"sys_id": "_id", "caller_email": "personalEmail.address"},
        },
    ),
    # Adobe announced the end of basic authentication for Salesforce for January 2026.
    "salesforce-service-cloud": System(
        "cb66ab34-8619-49cb-96d1-39b37ede86ea",
        "OAuth2 Client Credential",
        {"environmentUrl": "url", "clientId": "login", "clientSecret": "password", "apiVersion": "extra.apiVersion"},
        table="Contact",
        delta_column="LastModifiedDate",
        mappings={
            "Contact": {
                "Id": "_id",
                "FirstName": "person.name.firstName",
                "LastName": "person.name.lastName",
                "Birthdate": "person.birthDate",
                "Email": "personalEmail.address",
            },
            "Account": {"Id": "_id", "Name": "person.name.fullName", "Phone": "mobilePhone.number"},
        },
    ),
    "oracle-service-cloud": System(
        "ba5126ec-c9ac-11eb-b8bc-0242ac130003",
        "Basic Authentication",
        {"host": "host", "username": "login", "password": "password"},
        table="contacts",
        delta_column="updatedTime",
        mappings={
            "contacts": {
                "id": "_id",
                "firstName": "person.name.firstName",
                "lastName": "person.name.lastName",
                "email": "personalEmail.address",
            },
            "organizations": {"id": "_id", "name": "person.name.fullName"},
        },
    ),
    # A REST source: AEP reads its users, and nothing else, through Zendesk's search export.
    "zendesk": System(
        "0a27232b-2c6e-4396-b8c6-c9fc24e37ba4",
        "OAuth2 Refresh Code",
        {"subdomain": "url", "accessToken": "password"},
        table="users",
        target_format="json",
        mappings={
            "users": {
                "result.id": "_id",
                "result.name": "person.name.fullName",
                "result.email": "personalEmail.address",
            },
        },
    ),
}


def system_of(name: str) -> System:
    """:raises AepConfigurationError: there is no such system"""
    if name not in SYSTEMS:
        raise AepConfigurationError(
            f"system is {name!r}",
            next_step=f"It must be one of {', '.join(SYSTEMS)}; other connectors are given by id.",
        )
    return SYSTEMS[name]


def connector(
    system: str, connection_spec_id: str | None, auth_spec: str | None, auth_params: Mapping[str, str] | None
) -> System:
    """A system, with what is given instead; or another connector, of which everything must be given.

    :raises AepConfigurationError: there is no such system, or something is missing
    """
    if not connection_spec_id:
        usual = system_of(system)
        return replace(usual, auth_spec=auth_spec or usual.auth_spec, auth_params=auth_params or usual.auth_params)
    if not auth_spec or not auth_params:
        raise AepConfigurationError(
            f"connection_spec_id is {connection_spec_id!r}, without auth_spec and auth_params",
            next_step="Give both, as the connection spec lists them.",
        )
    return System(connection_spec_id, auth_spec, auth_params)


def source_conn_id(system: str, connection_spec_id: str | None) -> str:
    """The Airflow connection of a system's login, where none is named.

    :raises AepConfigurationError: it is another connector, so nobody knows
    """
    if connection_spec_id:
        raise AepConfigurationError(
            f"connection_spec_id is {connection_spec_id!r}, without source_conn_id",
            next_step="Name the Airflow connection of the source.",
        )
    return f"aep_{system.replace('-', '_')}"
