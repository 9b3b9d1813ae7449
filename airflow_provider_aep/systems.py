"""Source systems: connector, authentication parameters, default table and default mappings of each.

Source: the "customer success" pages of Adobe's sources guide; the ids are those of the flow specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_aep.client.errors import AepConfigurationError


@dataclass(frozen=True)
class System:
    """A source system.

    :param connection_spec_id: id of the connection spec
    :param auth_spec: name of an auth spec of the connection spec
    :param auth_params: field of the Airflow connection, by parameter of the auth spec. A field is ``host``, ``login``,
        ``password``, ``schema``, ``url`` (built from host, port and schema), or ``extra.`` and a key
    :param table: default table; the only table of a source that delivers records
    :param delta_column: column by which AEP detects changed rows; ``None`` if AEP supports none for the source
    :param target_format: data format of the target connection, as in Adobe's samples; ``None`` sends none
    :param mappings: default mappings to the person fields of Adobe's profile schemas: by table, column by path
    """

    connection_spec_id: str
    auth_spec: str
    auth_params: Mapping[str, str]
    table: str = ""
    delta_column: str | None = None
    target_format: str | None = None
    mappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def mappings_of(self, table: str | None) -> Mapping[str, str]:
        """Return the default mappings of a table, by default of the default table; empty for an unknown table."""
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
                "_id": "sys_id",
                "person.name.firstName": "first_name",
                "person.name.lastName": "last_name",
                "person.birthDate": "birth_date",
                "personalEmail.address": "email",
            },
            "customer_account": {"_id": "sys_id", "person.name.fullName": "name", "personalEmail.address": "email"},
            "incident": {"_id": "sys_id", "personalEmail.address": "caller_email"},
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
                "_id": "Id",
                "person.name.firstName": "FirstName",
                "person.name.lastName": "LastName",
                "person.birthDate": "Birthdate",
                "personalEmail.address": "Email",
            },
            "Account": {"_id": "Id", "person.name.fullName": "Name", "mobilePhone.number": "Phone"},
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
                "_id": "id",
                "person.name.firstName": "firstName",
                "person.name.lastName": "lastName",
                "personalEmail.address": "email",
            },
            "organizations": {"_id": "id", "person.name.fullName": "name"},
        },
    ),
    # AEP reads only users from this REST source, through Zendesk's search export.
    "zendesk": System(
        "0a27232b-2c6e-4396-b8c6-c9fc24e37ba4",
        "OAuth2 Refresh Code",
        {"subdomain": "url", "accessToken": "password"},
        table="users",
        target_format="json",
        mappings={
            "users": {
                "_id": "result.id",
                "person.name.fullName": "result.name",
                "personalEmail.address": "result.email",
            },
        },
    ),
}


def find_system(name: str) -> System:
    """Return the source system with this name.

    :raises AepConfigurationError: the system is unknown
    """
    if name not in SYSTEMS:
        raise AepConfigurationError(
            f"system is {name!r}, which is not a known source system",
            next_step=f"Set system to one of {', '.join(SYSTEMS)}, or set connection_spec_id for another connector.",
        )
    return SYSTEMS[name]


def resolve_system(
    system: str, connection_spec_id: str | None, auth_spec: str | None, auth_params: Mapping[str, str] | None
) -> System:
    """Return a known system with its authentication overridden, or another connector.

    :param system: name of the system; ignored if ``connection_spec_id`` is set
    :param connection_spec_id: connector that is not in ``SYSTEMS``; it requires the other two arguments
    :param auth_spec: default: that of the system
    :param auth_params: default: those of the system
    :raises AepConfigurationError: the system is unknown, or an argument is missing
    """
    if not connection_spec_id:
        default = find_system(system)
        return replace(
            default, auth_spec=auth_spec or default.auth_spec, auth_params=auth_params or default.auth_params
        )
    if not auth_spec or not auth_params:
        raise AepConfigurationError(
            f"connection_spec_id is {connection_spec_id!r}, but auth_spec or auth_params is missing",
            next_step="Set auth_spec and auth_params to those of the connection spec.",
        )
    return System(connection_spec_id, auth_spec, auth_params)


def default_source_conn_id(system: str, connection_spec_id: str | None) -> str:
    """Return the default Airflow connection of a known system.

    :raises AepConfigurationError: another connector has no default
    """
    if connection_spec_id:
        raise AepConfigurationError(
            f"connection_spec_id is {connection_spec_id!r}, but source_conn_id is missing",
            next_step="Set source_conn_id to the Airflow connection of the source.",
        )
    return f"aep_{system.replace('-', '_')}"
