"""Getting to Real-Time Customer Profile: primary identity, union, dataset tags. What is done here cannot be undone."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_aep.client import catalog, schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError
from airflow_provider_aep.client.models import DataSet, Descriptor
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.ensure import Outcome, ensure
from airflow_provider_aep.onboarding.kind import Found, Kind
from airflow_provider_aep.onboarding.mapping import field_at
from airflow_provider_aep.onboarding.wait import eventually, fresh

IDENTITY = "xdm:descriptorIdentity"
PROFILE_TAGS = {"unifiedProfile": ("enabled:true",), "unifiedIdentity": ("enabled:true",)}


def ensure_identity(
    client: AepClient, schema_id: str, path: str, namespace: str, primary: bool, attempt: Attempt | None = None
) -> Outcome:
    """Make sure that a field of a schema is an identity.

    :param path: of a text field, with dots, as in mappings
    :param namespace: code of an identity namespace, such as ``Email``
    :raises AepConfigurationError: the schema has no such text field
    :raises AepConflictError: the field is another identity already, or the schema has another primary one
    """
    schema = fresh(client, schema_registry.get_schema(schema_id, resolved=True))
    field = field_at(path, schema.properties) or {}
    if field.get("type") != "string":
        raise AepConfigurationError(
            f"path is {path!r}, which is no text field of the schema {schema.title!r}",
            next_step="Name a text field of the schema, such as personalEmail.address.",
        )
    slashed = "/" + path.replace(".", "/")
    said = f"{path} ({namespace}, {'primary' if primary else 'secondary'})"
    identities = sorted(_identities(client, schema.id), key=lambda d: d.id)  # of two that say the same, the first
    for there in identities:
        if there.property_path != slashed:
            continue
        if (there.namespace, there.is_primary) == (namespace, primary):
            return Outcome(said, there.id, there.id, "found")
        raise _taken(schema.title, there, "the field is an identity already")
    if primary and (other := next((d for d in identities if d.is_primary), None)):
        raise _taken(schema.title, other, "it has a primary identity already")
    body = {
        "@type": IDENTITY,
        "xdm:sourceSchema": schema.id,
        "xdm:sourceVersion": 1,
        "xdm:sourceProperty": slashed,
        "xdm:namespace": namespace,
        "xdm:property": "xdm:code",
        "xdm:isPrimary": primary,
    }
    return replace(ensure(client, _identity_of(schema.id), body, attempt), name=said)


def _identity_of(schema_id: str) -> Kind:
    """The identities of a schema, each known by the path of its field. Two of one field say the same twice."""

    def named(path: str) -> Call[Page[Descriptor]]:
        identities = schema_registry.list_descriptors(schema_id)
        return identities.then(lambda page: replace(page, items=[d for d in page.items if d.type == IDENTITY]))

    return Kind(
        label="identity descriptor",
        title="xdm:sourceProperty",
        scope="xdm:sourceSchema",
        find=named,
        get=schema_registry.get_descriptor,
        found=_descriptor,
        create=schema_registry.create_descriptor,
        created=lambda descriptor: (descriptor.id, descriptor.id),
        fixed=("xdm:namespace", "xdm:isPrimary"),
        mend=lambda found, wanted, paths: schema_registry.get_descriptor(found.id),  # nothing of it is owned
        sign=None,
        remove=schema_registry.delete_descriptor,
        spare=True,
    )


def _descriptor(descriptor: Descriptor) -> Found:
    fields = {"xdm:namespace": descriptor.namespace, "xdm:isPrimary": descriptor.is_primary}
    return Found(descriptor.id, descriptor.property_path, fields, descriptor.id)


def _identities(client: AepClient, schema_id: str) -> list[Descriptor]:
    return [d for d in client.items(schema_registry.list_descriptors(schema_id)) if d.type == IDENTITY]


def _taken(title: str, there: Descriptor, why: str) -> AepConflictError:
    kind = "primary" if there.is_primary else "secondary"
    return AepConflictError(
        f"The schema {title!r}: {why}, {there.property_path} in namespace {there.namespace!r} ({kind}, {there.id})",
        next_step="Ask for that one, or delete the descriptor before the schema joins the union.",
    )


def ensure_union(client: AepClient, schema_id: str) -> Outcome:
    """Make sure that a schema takes part in the union of its class, which is what Profile reads.

    :raises AepConfigurationError: it has no identity to key profiles by (AEP would answer XDM-1528-400)
    """
    schema = fresh(client, schema_registry.get_schema(schema_id))
    if "union" in schema.immutable_tags:
        return Outcome(schema.title, schema.id, schema.id, "found")
    fields = client.send(schema_registry.get_schema(schema_id, resolved=True)).properties
    keyed = "identityMap" in fields or eventually(
        client, lambda: any(d.is_primary for d in _identities(client, schema.id))
    )
    if not keyed:
        raise AepConfigurationError(
            f"The schema {schema.title!r} has neither a primary identity nor identityMap (XDM-1528-400)",
            next_step="Give it a primary identity first (AepCreateIdentityDescriptorOperator).",
        )
    ops = [{"op": "add", "path": "/meta:immutableTags", "value": [*schema.immutable_tags, "union"]}]
    client.send(schema_registry.patch_schema(schema.id, ops))
    return Outcome(schema.title, schema.id, schema.id, "updated", ("meta:immutableTags",))


def ensure_profile_tags(client: AepClient, dataset_id: str) -> Outcome:
    """Make sure that what lands in a dataset from now on reaches Profile and Identity Service.

    :raises AepConfigurationError: its schema is not in the union
    """
    dataset = fresh(client, catalog.get_dataset(dataset_id))
    missing = {name: values for name, values in PROFILE_TAGS.items() if not _has(dataset, name)}
    if not missing:
        return Outcome(dataset.name, dataset.id, dataset.id, "found")
    schema_id = dataset.schemaRef.id if dataset.schemaRef else ""

    def enabled() -> bool:
        return "union" in client.send(schema_registry.get_schema(schema_id)).immutable_tags

    if not schema_id or not eventually(client, enabled):
        raise AepConfigurationError(
            f"The dataset {dataset.name!r} is of schema {schema_id or '(none)'}, which is not enabled for Profile",
            next_step="Enable the schema first (AepEnableSchemaForProfileOperator).",
        )
    client.send(catalog.tag_dataset(dataset.id, missing))
    return Outcome(dataset.name, dataset.id, dataset.id, "updated", tuple(f"tags.{name}" for name in missing))


def _has(dataset: DataSet, tag: str) -> bool:
    """Adobe's pages write ``enabled:true`` with and without a space."""
    return "enabled:true" in [value.replace(" ", "") for value in dataset.tags.get(tag, [])]
