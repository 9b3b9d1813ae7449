"""Look up the existing object of a request by task state, name and marker, and detect duplicates."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from airflow_provider_aep.attempt import Attempt, TaskState
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import DELETING, send_retrying_not_found
from airflow_provider_aep.client.errors import AepConflictError, AepNotFoundError
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.naming import validate_name
from airflow_provider_aep.onboarding.reconcile.consistency import read, wait_until_deleted
from airflow_provider_aep.onboarding.reconcile.marker import Marker, identity
from airflow_provider_aep.onboarding.reconcile.resource_type import Desired, Observed, ResourceType, at
from airflow_provider_aep.onboarding.reconcile.terms import Terms

D = TypeVar("D", bound=Desired)


@dataclass(frozen=True)
class Request(Generic[D]):
    """One object to reconcile, with the try of the task and the author's terms.

    :param marker: marker for a new object
    :param state: task state of the object, which all tries of the task share
    """

    resource_type: ResourceType[D]
    desired: D
    attempt: Attempt
    terms: Terms
    marker: Marker
    state: TaskState

    @classmethod
    def of(
        cls, settings: AepSettings, resource_type: ResourceType[D], desired: D, attempt: Attempt, terms: Terms
    ) -> Request[D]:
        """Return a validated request.

        :raises AepConfigurationError: AEP cannot find the name
        """
        if resource_type.has_marker:
            validate_name(desired.name, f"{resource_type.label} {resource_type.name_field}")
        if desired.description is not None:  # the observed description has no spaces before the marker
            # guard: strip descriptions
            desired = replace(desired, description=desired.description.rstrip())
        parent = at(desired.fields(), resource_type.parent)
        marker = Marker(identity(settings, resource_type.label, parent, desired.name), attempt.nonce)
        return cls(resource_type, desired, attempt, terms, marker, attempt.state(f"aep:{marker.identity}"))

    def has_our_marker(self, observed: Observed) -> bool:
        """Return whether an object belongs to this onboarding, according to its marker."""
        if not self.resource_type.has_marker:
            return True
        marker = observed.marker
        # guard: compare the marker's identity
        return marker is not None and marker.identity == self.marker.identity


@dataclass
class Lookup(Generic[D]):
    """Look-up of the existing object of a request.

    :param replaced: ids of retired objects, which lists may still show under the old name
    :param losers: duplicates with our marker that are newer than the used object; :meth:`find` sets them
    """

    client: AepClient
    request: Request[D]
    replaced: set[str] = field(default_factory=set)
    losers: list[Observed] = field(default_factory=list)

    def find(self) -> Observed | None:
        """Find the object by its name; return ``None`` if it does not exist.

        :raises AepConflictError: several objects have the name, and no rule selects one
        """
        resource_type, desired = self.request.resource_type, self.request.desired
        candidates = self._find_by_name() or [
            observed
            # guard: find a mapping set through its flow
            for observed in resource_type.find_fallback(self.client, desired)
            if self._exists(observed)
        ]
        if len(candidates) > 1:  # one may be deleted or renamed, because lists have a read lag
            # guard: deduplicate a list
            distinct = {observed.id: observed for observed in candidates}.values()
            # guard: read each duplicate
            candidates = [observed for observed in distinct if self._is_still_named(observed)]
        self.losers = []
        may_be_several = resource_type.allows_duplicates or self.request.terms.concurrent_writers
        # guard: writers: only our objects may be several
        if len(candidates) > 1 and may_be_several and all(map(self.request.has_our_marker, candidates)):
            # guard: writers: the oldest counts
            oldest, *self.losers = sorted(candidates, key=lambda o: (o.created, o.id))
            return oldest
        # guard: refuse duplicates
        if len(candidates) > 1:
            raise AepConflictError(
                f"{len(candidates)} {resource_type.label}s have the name {desired.name!r}: "
                + ", ".join(observed.id for observed in candidates),
                next_step="Delete or rename all of them except one.",
            )
        return candidates[0] if candidates else None

    def find_stored(self) -> Observed | None:
        """Read the object whose id an earlier try stored; return ``None`` if it was deleted or renamed."""
        state = self.request.state.read()
        if "id" not in state:
            return None
        try:
            observed = read(self.client, self.request.resource_type, state["id"])
        # guard: distrust a deleted stored id
        except AepNotFoundError:
            return None
        # guard: distrust a renamed stored id
        has_name = observed.name == self.request.desired.name
        return observed if has_name and observed.state != DELETING else None

    def _find_by_name(self) -> list[Observed]:
        resource_type, name = self.request.resource_type, self.request.desired.name
        entries = map(resource_type.observe, self.client.items(resource_type.find(name)))
        # guard: compare names exactly
        matches = [o for o in entries if o.name == name and o.id not in self.replaced]
        # guard: ignore abandoned mapping sets
        return [o for o in matches if self._exists(o) and not self._is_abandoned(o)]

    def _is_still_named(self, observed: Observed) -> bool:
        """Return whether an object still has its listed name. AEP may lose the name of a mapping set."""
        resource_type = self.request.resource_type
        try:
            # guard: retry a 404 of a duplicate
            answer = send_retrying_not_found(self.client, resource_type.read(observed.id))
        except AepNotFoundError:
            return False
        return resource_type.observe(answer).name == observed.name

    def _is_abandoned(self, observed: Observed) -> bool:
        """Return whether an object of another parent cannot be deleted and has no dependents."""
        resource_type = self.request.resource_type
        parent = at(self.request.desired.fields(), resource_type.parent)
        may_be = resource_type.allows_duplicates and resource_type.has_marker  # AEP returns the parent only of these
        has_other_parent = at(observed.fields, resource_type.parent) != parent
        return may_be and has_other_parent and not describe_dependent(self.client, resource_type, observed)

    def _exists(self, observed: Observed) -> bool:
        """Return whether an object exists, after a deletion in progress has ended and freed the name."""
        # guard: wait for a deletion
        if observed.state != DELETING:
            return True
        return not wait_until_deleted(self.client, self.request.resource_type, observed)


def describe_dependent(
    client: AepClient, resource_type: ResourceType[D], observed: Observed, ignored: Container[str] = ()
) -> str:
    """Return a description of a dependent of an object; empty if it has none.

    :param ignored: ids of dependents to ignore
    """
    for dependents in resource_type.dependents:
        for dependent in client.items(dependents.list_all()):
            if observed.id in dependents.refers_to(dependent) and dependent.id not in ignored:
                return f"the {dependents.label} {dependent.name!r} ({dependent.id})"
    return ""
