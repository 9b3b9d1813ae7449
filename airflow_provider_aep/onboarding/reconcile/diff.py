"""Diff of an object's observed and desired fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_aep.onboarding.reconcile.resource_type import Desired, Difference, Observed, ResourceType, at


def diff(resource_type: ResourceType[Any], observed: Observed, desired: Desired) -> tuple[Difference, ...]:
    """Return the differences of the compared fields, immutable fields first."""
    policy, fields = resource_type.policy_for(desired), desired.fields()

    def difference(path: str, immutable: bool = False) -> Difference:
        return Difference(path, at(observed.fields, path), at(fields, path), immutable)

    immutable = [difference(path, True) for path in policy.immutable if _differs(observed.fields, fields, path)]
    managed = [difference(path) for path in policy.managed if _differs(observed.fields, fields, path)]
    members = [
        difference(path)
        for path in policy.required_members
        if at(fields, path) is not None and not set(at(fields, path)) <= set(at(observed.fields, path) or ())
    ]
    return (*immutable, *managed, *members, *resource_type.more_differences(observed, desired))


def paths(differences: Sequence[Difference]) -> tuple[str, ...]:
    """Return the dot paths of differences."""
    return tuple(difference.path for difference in differences)


def _differs(observed: Mapping[str, Any], desired: Mapping[str, Any], path: str) -> bool:
    """Return whether a desired value differs from the observed one; ``""`` and an absent value are equal."""
    value = at(desired, path)
    return value is not None and _normalize(at(observed, path)) != _normalize(value)


def _normalize(value: Any) -> Any:
    """Return a comparable form, because AEP returns some numbers as strings (Adobe's samples show both)."""
    if isinstance(value, Mapping):
        return {k: _normalize(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_normalize(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value or ""
    return str(value)
