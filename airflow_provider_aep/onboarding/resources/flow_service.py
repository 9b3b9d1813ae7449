"""Functions that the resource types of Flow Service share: observe, patch and rename."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_aep.client.call import Call
from airflow_provider_aep.client.models import FlowObject, Ref
from airflow_provider_aep.onboarding.reconcile.marker import split_marker
from airflow_provider_aep.onboarding.reconcile.resource_type import Body, Observed, at

Patch = Callable[[str, str, Sequence[dict[str, Any]]], Call[Ref]]
"""A function of id, etag and JSON Patch operations."""


def observe(answer: FlowObject) -> Observed:
    """Return the observed state of an object of Flow Service."""
    description, marker = split_marker(answer.description)
    fields = {**answer.model_dump(by_alias=True), "etag": answer.etag, "description": description}
    return Observed(answer.id, answer.name, fields, answer.id, answer.state, marker, answer.createdAt)


def update(patch: Patch, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Ref]:
    """Return the call that patches the fields at some dot paths."""
    return patch(observed.id, observed.fields["etag"], [patch_operation(observed, fields, path) for path in paths])


def patch_operation(observed: Observed, fields: Body, path: str) -> dict[str, Any]:
    """Return the JSON Patch operation that writes the field at a dot path."""
    verb = "add" if at(observed.fields, path) is None else "replace"
    return {"op": verb, "path": "/" + path.replace(".", "/"), "value": at(fields, path)}


def rename(patch: Patch, observed: Observed, name: str, description: str) -> Call[Ref]:
    """Return the call that gives an object another name and description."""
    values = {"name": name, "description": description}
    operations = [{"op": "replace", "path": f"/{field}", "value": value} for field, value in values.items()]
    return patch(observed.id, observed.fields["etag"], operations)
