"""Real-Time Customer Profile: identities, union schema and dataset tags. These changes are irreversible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from aep_data_prep import field_of
from aep_data_prep.errors import nearest
from aep_data_prep.syntax import is_path, steps_of
from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client import catalog, identity, schema_registry
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import becomes_true, send_retrying_not_found
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError
from airflow_provider_aep.client.models import DataSet, Descriptor, XdmSchema
from airflow_provider_aep.onboarding.mapping import TENANT
from airflow_provider_aep.onboarding.reconcile.act import Outcome, reconcile
from airflow_provider_aep.onboarding.reconcile.terms import Terms
from airflow_provider_aep.onboarding.resources.identity_descriptor import (
    IDENTITY,
    IdentityDescriptorDesired,
    IdentityDescriptorType,
)

PROFILE_TAGS = {"unifiedProfile": ("enabled:true",), "unifiedIdentity": ("enabled:true",)}
"""Tags of a dataset that is enabled for Profile and Identity Service."""

UPSERT = "isUpsert:true"
"""Value of the tag ``unifiedProfile`` by which rows update profiles. Source: "Enable a dataset for upsert"."""


def create_identity_descriptor(
    client: AepClient,
    schema_id: str,
    path: str,
    namespace: str,
    primary: bool,
    attempt: Attempt | None = None,
    terms: Terms | None = None,
) -> Outcome:
    """Make a field of a schema an identity.

    :param path: dot path of a text field, as in mappings; it may have ``{tenant}``
    :param namespace: code of an identity namespace, such as ``Email``
    :param primary: whether the field becomes the primary identity
    :param attempt: the try of the task; default: the first try of an unknown task
    :param terms: default: update managed fields that differ
    :raises AepConfigurationError: the schema has no such text field, or there is no such namespace; the message lists
        all problems
    :raises AepConflictError: the field is an identity of another kind, or the schema has another primary identity
    """
    subject, desired, existing = find_identity(client, schema_id, path, namespace, primary)
    if existing:
        return Outcome(subject, existing, existing, "unchanged")
    outcome = reconcile(client, IdentityDescriptorType(desired.schema_id), desired, attempt, terms)
    return replace(outcome, name=subject)


def find_identity(
    client: AepClient, schema_id: str, path: str, namespace: str, primary: bool
) -> tuple[str, IdentityDescriptorDesired, str | None]:
    """Return an identity as text, its desired descriptor, and the id of an existing one; the function only reads.

    :raises AepError: see :func:`create_identity_descriptor`
    """
    schema = send_retrying_not_found(client, schema_registry.get("schemas", schema_id, resolved=True))
    if TENANT in path:
        path = path.replace(TENANT, client.send(schema_registry.stats()).tenantId)
    slashed = "/" + path.replace(".", "/")
    subject = f"{path} ({namespace}, {'primary' if primary else 'secondary'})"
    desired = IdentityDescriptorDesired(name=slashed, schema_id=schema.id, namespace=namespace, primary=primary)
    identities = sorted(_identities(client, schema.id), key=lambda d: d.id)  # all tasks choose the same duplicate
    conflict: AepConflictError | None = None
    for existing in identities:
        if existing.property_path == slashed:
            if (existing.namespace, existing.is_primary) == (namespace, primary):
                return subject, desired, existing.id
            conflict = conflict or _conflict(schema.title, existing, "identity of this field")
    if primary and (other := next((d for d in identities if d.is_primary), None)):
        conflict = conflict or _conflict(schema.title, other, "primary identity")
    problems = [*_path_problems(schema, path), *_namespace_problems(client, namespace)]
    if problems:
        raise AepConfigurationError(
            f"The identity is invalid: {'; '.join([*problems, *([conflict.message] if conflict else [])])}",
            next_step="Correct the arguments. A namespace is created by AepCreateIdentityNamespaceOperator.",
        )
    if conflict:
        raise conflict
    return subject, desired, None


def _path_problems(schema: XdmSchema, path: str) -> Iterator[str]:
    """Yield why a field cannot be an identity."""
    fields = field_of({"type": "object", "properties": schema.properties})
    steps = steps_of(path) if is_path(path) else ()
    field = fields.find(steps) if steps else None
    inside = [str(step) for n, step in enumerate(steps) if (f := fields.find(steps[:n])) and f.type in {"array", "map"}]
    if inside or (field and field.type in {"array", "map"}):
        yield f"path is {path!r}, which is in a list or a map. An identity is one value of a row"
    elif field is None or field.type != "string":
        near = nearest(path, fields.paths()) if field is None else None
        hint = f". Did you mean {near!r}?" if near else ""
        yield f"path is {path!r}, which is not a text field of the schema {schema.title!r}{hint}"


def _namespace_problems(client: AepClient, namespace: str) -> Iterator[str]:
    codes: list[str] = []

    def is_listed() -> bool:
        codes[:] = [n.code for n in client.items(identity.list_namespaces())]
        return namespace in codes

    if not is_listed() and not becomes_true(client, is_listed):
        near = nearest(namespace, codes)
        yield f"there is no identity namespace {namespace!r}" + (f". Did you mean {near!r}?" if near else "")


def _identities(client: AepClient, schema_id: str) -> list[Descriptor]:
    return [d for d in client.items(schema_registry.list_descriptors(schema_id)) if d.type == IDENTITY]


def _conflict(title: str, existing: Descriptor, role: str) -> AepConflictError:
    kind = "primary" if existing.is_primary else "secondary"
    return AepConflictError(
        f"The schema {title!r} already has another {role}: {existing.property_path} in namespace "
        f"{existing.namespace!r} ({kind}, {existing.id})",
        next_step="Use that identity, or delete its descriptor before the schema is enabled for Profile.",
    )


def enable_schema(client: AepClient, schema_id: str) -> Outcome:
    """Enable a schema for Profile: add it to the union schema of its class.

    :raises AepConfigurationError: the schema has no primary identity and no ``identityMap`` (AEP: XDM-1528-400)
    """
    schema = send_retrying_not_found(client, schema_registry.get("schemas", schema_id))
    if "union" in schema.immutable_tags:
        return Outcome(schema.title, schema.id, schema.id, "unchanged")
    fields = client.send(schema_registry.get("schemas", schema_id, resolved=True)).properties
    has_identity = "identityMap" in fields or becomes_true(
        client, lambda: any(d.is_primary for d in _identities(client, schema.id))
    )
    if not has_identity:
        raise AepConfigurationError(
            f"The schema {schema.title!r} has neither a primary identity nor identityMap (XDM-1528-400)",
            next_step="Add a primary identity to the schema (AepCreateIdentityDescriptorOperator).",
        )
    ops = [{"op": "add", "path": "/meta:immutableTags", "value": [*schema.immutable_tags, "union"]}]
    client.send(schema_registry.patch("schemas", schema.id, ops))
    return Outcome(schema.title, schema.id, schema.id, "updated", ("meta:immutableTags",))


def enable_dataset(client: AepClient, dataset_id: str, upsert: bool = False) -> Outcome:
    """Enable a dataset, so that new rows are ingested into Profile and Identity Service.

    :param upsert: whether a row updates the fields of a profile that it has, and keeps the others
    :raises AepConfigurationError: the schema of the dataset is not enabled for Profile
    """
    dataset, missing = missing_tags(client, dataset_id, upsert)
    if not missing:
        return Outcome(dataset.name, dataset.id, dataset.id, "unchanged")
    schema_id = dataset.schemaRef.id if dataset.schemaRef else ""
    if not schema_id or not becomes_true(client, lambda: is_schema_enabled(client, schema_id)):
        raise AepConfigurationError(
            f"The dataset {dataset.name!r} ({dataset.id}) has the schema {schema_id or '(none)'}, which is not enabled "
            "for Profile",
            next_step="Enable the schema (AepEnableSchemaForProfileOperator), then try again.",
        )
    client.send(catalog.tag_dataset(dataset.id, missing))
    return Outcome(dataset.name, dataset.id, dataset.id, "updated", tuple(f"tags.{name}" for name in missing))


def is_schema_enabled(client: AepClient, schema_id: str) -> bool:
    """Return whether a schema is in the union schema of its class."""
    return "union" in client.send(schema_registry.get("schemas", schema_id)).immutable_tags


def missing_tags(client: AepClient, dataset_id: str, upsert: bool) -> tuple[DataSet, dict[str, tuple[str, ...]]]:
    """Return a dataset, and the tags that it lacks for Profile, each with all values that it needs then."""
    dataset = send_retrying_not_found(client, catalog.get_dataset(dataset_id))
    wanted = {**PROFILE_TAGS, "unifiedProfile": (*PROFILE_TAGS["unifiedProfile"], *((UPSERT,) if upsert else ()))}
    return dataset, {
        name: tuple(dict.fromkeys((*dataset.tags.get(name, ()), *values)))  # other tags stay as they are
        for name, values in wanted.items()
        if not all(_has_tag(dataset, name, value) for value in values)
    }


def _has_tag(dataset: DataSet, tag: str, value: str) -> bool:
    """Return whether a dataset has a Profile tag. Adobe's pages show ``enabled:true`` with and without a space."""
    return value in [found.replace(" ", "") for found in dataset.tags.get(tag, [])]
