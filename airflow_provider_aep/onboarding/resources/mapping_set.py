"""Resource type mapping set: maps columns of a source to fields of a schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aep_data_prep import Kind
from aep_data_prep.errors import ExpressionSyntaxError
from aep_data_prep.mapping import MEDIA_TYPES
from aep_data_prep.syntax import Literal, parse
from airflow_provider_aep.client import data_prep, flow_service, schema_registry
from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConflictError
from airflow_provider_aep.client.filters import name_filter
from airflow_provider_aep.client.models import MappingSet, MappingValidation
from airflow_provider_aep.naming import original_name
from airflow_provider_aep.onboarding.reconcile.marker import Marker, split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Desired,
    FieldPolicy,
    Observed,
    ResourceType,
)
from airflow_provider_aep.onboarding.resources.dependents import FLOWS_BY_MAPPING_SET

_TAG = "airflow-provider-aep"


def literal_text(expression: str) -> str | None:
    """Return the text of an expression that is a constant, such as ``"ServiceNow"`` or ``5``; otherwise ``None``."""
    try:
        tree = parse(expression)
    except ExpressionSyntaxError:
        return None
    if not isinstance(tree, Literal) or not isinstance(tree.value, str | int):
        return None
    return str(tree.value).lower() if isinstance(tree.value, bool) else str(tree.value)


def normalize_entry(source_type: str, source: str, destination: str) -> Body:
    """Return a stored entry as a create request has it. AEP has two names for a kind, and two forms of a constant."""
    kind = MEDIA_TYPES.get(source_type.lower(), source_type.upper())
    if kind == Kind.EXPRESSION and (text := literal_text(source)) is not None:
        kind, source = Kind.STATIC, text
    return {"sourceType": str(kind), "source": source, "destination": destination}


@dataclass(frozen=True, kw_only=True)
class MappingSetDesired(Desired):
    """The desired state of a mapping set.

    :param schema_id: ``$id`` of the target schema
    :param mappings: entries with ``sourceType``, ``source`` and ``destination``, sorted by destination
    :param flow_name: name of the onboarding's flow, which refers to the mapping set even if AEP has lost its name
    """

    schema_id: str
    mappings: tuple[Mapping[str, Any], ...]
    flow_name: str | None = None

    def fields(self) -> Body:
        """Return the comparable fields; see :meth:`.Desired.fields`."""
        return {
            "name": self.name,
            "outputSchema": {"schemaRef": {"id": self.schema_id, "contentType": schema_registry.FULL}},
            "mappings": [dict(entry) for entry in self.mappings],
        }


def _prefix(destination: str) -> Callable[[str], list[str]]:
    return lambda error: [f"{destination}: {error}"] if error else []


class MappingSetType(ResourceType[MappingSetDesired]):
    """The resource type of mapping sets. AEP documents no deletion, and unused duplicates have no effect."""

    label = "mapping set"
    parent = "outputSchema.schemaRef.id"
    policy = FieldPolicy(immutable=("outputSchema.schemaRef.id",), managed=("mappings",))
    page = "source/dataflows"
    allows_duplicates = True
    dependents = (FLOWS_BY_MAPPING_SET,)

    def find(self, name: str) -> Call[Page[MappingSet]]:
        """Return the call that lists mapping sets by name."""
        return data_prep.list_mapping_sets(name)

    def read(self, id_: str) -> Call[MappingSet]:
        """Return the call that reads a mapping set."""
        return data_prep.get_mapping_set(id_)

    def observe(self, answer: MappingSet) -> Observed:
        """Return the observed state of a mapping set."""
        entries = [normalize_entry(m.sourceType, m.source, m.destination) for m in answer.mappings]
        fields = {
            "outputSchema": {"schemaRef": {"id": answer.schema_id}},
            "mappings": sorted(entries, key=lambda entry: entry["destination"]),
        }
        marker = next((m for m in (split_marker(value)[1] for value in answer.tag_values(_TAG)) if m), None)
        result = {"id": answer.id, "version": answer.version}
        return Observed(answer.id, answer.name or "", fields, result, marker=marker, created=answer.createdDate)

    def create(self, desired: MappingSetDesired, options: CreateOptions) -> Call[MappingSet]:
        """Return the call that creates a mapping set."""
        return data_prep.create_mapping_set(self.body(desired, options))

    def parse_created(self, answer: MappingSet) -> tuple[str, dict[str, Any]]:
        """Return the id and the return value of the task for a new object."""
        return answer.id, {"id": answer.id, "version": answer.version}

    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[MappingSet]:
        """Return the call that writes some fields of a mapping set."""
        return data_prep.put_mapping_set(observed.id, fields)

    def parse_updated(self, observed: Observed, answer: MappingSet) -> dict[str, Any]:
        """Return the return value of the task for an updated object."""
        return {"id": answer.id, "version": answer.version}

    def with_marker(self, fields: Body, marker: Marker) -> Body:
        """Return fields with our marker in the tags, because a mapping set has no description."""
        return {**fields, "tags": [{"name": _TAG, "values": [str(marker)]}]}

    def validate(self, desired: MappingSetDesired) -> Iterator[Call[Sequence[str]]]:
        """Yield the calls by which AEP validates the expressions, and the mapping set."""
        for entry in desired.mappings:
            if entry["sourceType"] == Kind.EXPRESSION:
                yield data_prep.validate_expression(entry["source"]).then(_prefix(entry["destination"]))

        def problems(results: list[MappingValidation]) -> list[str]:
            pairs = zip(desired.mappings, results, strict=False)
            return [f"{entry['destination']}: {v.message}" for entry, v in pairs if v.status != "SUCCESS"]

        yield data_prep.validate_mapping_set(desired.fields()).then(problems)

    def find_fallback(self, client: AepClient, desired: MappingSetDesired) -> Iterator[Observed]:
        """Yield mapping sets without a name that the onboarding's flow refers to."""
        if desired.flow_name is None:
            return
        for flow in client.items(flow_service.list_flows(name_filter(desired.flow_name))):
            if flow.name != desired.flow_name:
                continue
            for step in flow.transformations:
                if step.name == "Mapping" and (id_ := step.params.get("mappingId")):
                    observed = self.observe(client.send(data_prep.get_mapping_set(str(id_))))
                    # guard: fall back to nameless mapping sets only
                    if not observed.name:
                        yield observed

    def check_update(self, client: AepClient, observed: Observed, desired: MappingSetDesired) -> None:
        """Raise if a flow of another onboarding uses the mapping set.

        :raises AepConflictError: another flow uses it
        """
        flows = [
            f for f in client.items(flow_service.list_flows({})) if observed.id in FLOWS_BY_MAPPING_SET.refers_to(f)
        ]
        # A retired flow is ignored, although it refers to the mapping set.
        current = [
            f
            for f in flows
            # guard: ignore replaced flows of a mapping set
            if not (f.name != original_name(f.name) and split_marker(f.description)[1])
        ]
        if desired.flow_name:
            others = [f for f in current if f.name != desired.flow_name]
        else:  # one flow may belong to the onboarding of the mapping set
            others = current[1 if observed.marker else 0 :]
        if others:
            raise AepConflictError(
                f"The mapping set {observed.name!r} ({observed.id}) is used by "
                + ", ".join(f"the flow {f.name!r} ({f.id})" for f in others),
                next_step="Set another name for the mapping set, so that the task creates a new one.",
            )
