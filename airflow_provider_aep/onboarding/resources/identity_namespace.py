"""Resource type identity namespace: what the identities of a field are, such as numbers of a loyalty program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow_provider_aep.client import identity
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.models import IdentityNamespace
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    Difference,
    FieldPolicy,
    Observed,
    ResourceType,
    drop_none,
)

ID_TYPES = ("COOKIE", "CROSS_DEVICE", "DEVICE", "EMAIL", "MOBILE", "NON_PEOPLE", "PHONE")
"""The types of identities that a namespace of the organization may have."""


@dataclass(frozen=True, kw_only=True)
class IdentityNamespaceDesired(Desired):
    """The desired state of an identity namespace; ``name`` is its code.

    :param display_name: name in the user interface
    :param id_type: one of :data:`ID_TYPES`
    """

    display_name: str
    id_type: str

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        texts = drop_none(name=self.display_name, description=self.description)
        return {**texts, "code": self.name, "idType": self.id_type}


class IdentityNamespaceType(ResourceType[IdentityNamespaceDesired]):
    """The resource type of identity namespaces. AEP deletes none, so they stay after a teardown."""

    label = "identity namespace"
    parent = ""
    name_field = "code"
    policy = FieldPolicy(immutable=("idType",), managed=("name", "description"))
    page = "identity/overview"

    def find(self, name: str) -> Call[Page[IdentityNamespace]]:
        """Return the call that lists all namespaces."""
        return identity.list_namespaces()

    def read(self, id_: str) -> Call[IdentityNamespace]:
        """Return the call that reads a namespace."""
        return identity.get_namespace(id_)

    def observe(self, answer: IdentityNamespace) -> Observed:
        """Return the observed state of a namespace."""
        description, marker = split_marker(answer.description)
        fields = {
            "name": answer.name,
            "description": description,
            "code": answer.code,
            "idType": answer.id_type.upper(),
            "custom": answer.custom,
        }
        return Observed(str(answer.id), answer.code, fields, answer.code, marker=marker)

    def more_differences(self, observed: Observed, desired: IdentityNamespaceDesired) -> Iterable[Difference]:
        """Return the texts of one of Adobe's namespaces that differ, which nobody can change."""
        if not observed.fields["custom"]:
            wanted = desired.fields()
            for path in self.policy.managed:
                if wanted.get(path) not in (None, "", observed.fields[path]):
                    yield Difference(path, immutable=True, rule="the namespace is one of Adobe's")

    def validate(self, desired: IdentityNamespaceDesired) -> Iterable[Call[Sequence[str]]]:
        """Return the call that finds a namespace whose code differs in case only."""

        def problems(page: Page[IdentityNamespace]) -> Sequence[str]:
            alike = [n.code for n in page.items if n.code.lower() == desired.name.lower() and n.code != desired.name]
            return [f"the namespace {code!r} exists, whose code differs in case only" for code in alike]

        return [identity.list_namespaces().then(problems)]

    def create(self, desired: IdentityNamespaceDesired, options: CreateOptions) -> Call[IdentityNamespace]:
        """Return the call that creates a namespace."""
        return identity.create_namespace(self.body(desired, options))

    def parse_created(self, answer: IdentityNamespace) -> tuple[str, str]:
        """Return the id and the code of a new namespace."""
        return str(answer.id), answer.code

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[IdentityNamespace]:
        """Return the call that writes name and description."""
        body = {**observed.fields, **fields}
        return identity.put_namespace(
            observed.id, {name: body[name] for name in ("name", "description", "code", "idType")}
        )
