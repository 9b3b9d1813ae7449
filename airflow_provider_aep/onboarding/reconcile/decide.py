"""Decide how to reconcile an object: compare its observed and desired state. This module never writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, TypeVar

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import wait_until
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError, AepError
from airflow_provider_aep.onboarding.reconcile.consistency import wait_until_stable
from airflow_provider_aep.onboarding.reconcile.diff import diff
from airflow_provider_aep.onboarding.reconcile.lookup import Lookup, Request
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Desired,
    Difference,
    Observed,
    Replaceable,
    ResourceType,
    SupportsDrafts,
    SupportsEnabling,
)
from airflow_provider_aep.onboarding.reconcile.terms import Terms

D = TypeVar("D", bound=Desired)


class Action(StrEnum):
    """The actions of the reconciler."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    NONE = "none"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Decision(Generic[D]):
    """The action for an object, with its reasons.

    :param observed: the existing object; ``None`` if no object exists
    :param differences: differences to write, or immutable differences
    :param ignored: differences that are not written, because ``if_exists="adopt"``
    :param has_our_marker: whether the existing object has our marker
    :param take_over: whether the update adds our marker
    :param transition: ``publish`` or ``enable``; empty if the object has the desired state
    :param losers: duplicates with our marker, which this task deletes if it created them
    :param error: reason of the action ``refuse``; :func:`~.act.act` raises it
    """

    request: Request[D]
    action: Action
    observed: Observed | None = None
    differences: tuple[Difference, ...] = ()
    ignored: tuple[Difference, ...] = ()
    has_our_marker: bool = True
    take_over: bool = False
    transition: str = ""
    losers: tuple[Observed, ...] = ()
    error: AepError | None = None


def decide(
    client: AepClient,
    resource_type: ResourceType[D],
    desired: D,
    attempt: Attempt | None = None,
    terms: Terms | None = None,
) -> Decision[D]:
    """Return the decision for an object.

    :param attempt: the try of the task; default: the first try of an unknown task
    :param terms: default: update managed fields that differ
    :raises AepConfigurationError: AEP cannot find the name
    :raises AepConflictError: several objects have the name
    :raises AepUnavailableError: an object does not leave a transitional state
    """
    request = Request.of(client.settings, resource_type, desired, attempt or Attempt(), terms or Terms())
    return decide_request(Lookup(client, request))


def decide_request(lookup: Lookup[D]) -> Decision[D]:
    """Return the decision for the object of a request; see :func:`decide`."""
    request, attempt = lookup.request, lookup.request.attempt
    # With concurrent writers, an older object may appear after this task has stored an id.
    if request.terms.concurrent_writers:
        # guard: writers: find before task state
        observed = lookup.find() or lookup.find_stored()
    else:
        # guard: find before create
        observed = lookup.find_stored() or lookup.find()
    if observed is None and (since := _may_have_created_since(lookup)) is not None:
        grace = attempt.creation_grace_period
        # guard: wait after an ambiguous create
        wait_until(lookup.client, since + grace, grace)
        # guard: find after the wait
        observed = lookup.find()
    return decide_existing(lookup, observed) if observed else Decision(request, Action.CREATE)


def _may_have_created_since(lookup: Lookup[Any]) -> float | None:
    """Return AEP's time of a create that may have been sent; ``None`` if none was sent."""
    request = lookup.request
    state = request.state.read()
    # guard: suspect a stored create
    if "sent" in state:
        return float(state["sent"])
    # guard: suspect earlier try
    if request.attempt.tried_before and not state:
        return lookup.client.server_now()
    return None


def decide_existing(lookup: Lookup[D], observed: Observed) -> Decision[D]:
    """Return the decision for an existing object."""
    client, request = lookup.client, lookup.request
    resource_type, terms = request.resource_type, request.terms
    if terms.concurrent_writers:
        observed = _oldest_once_listed(lookup, observed)
    losers = tuple(lookup.losers)
    observed = wait_until_stable(client, resource_type, observed)
    if observed.is_partial:
        observed = resource_type.observe(client.send(resource_type.read(observed.id)))
    has_our_marker = request.has_our_marker(observed)
    differences = diff(resource_type, observed, request.desired)
    immutable = tuple(difference for difference in differences if difference.immutable)
    decision = Decision(request, Action.NONE, observed, differences, has_our_marker=has_our_marker, losers=losers)
    # guard: if_exists=fail accepts own object
    if terms.if_exists == "fail" and observed.marker != request.marker and resource_type.has_marker:
        return _refuse(decision, _exists_error(resource_type, observed))
    # guard: replace only our objects
    if terms.replace and has_our_marker and immutable and isinstance(resource_type, Replaceable):
        return replace(decision, action=Action.REPLACE)
    if error := _state_error(request, observed, has_our_marker):
        return _refuse(decision, error)
    if immutable:
        return _refuse(decision, _immutable_error(resource_type, observed, immutable))
    ignored: tuple[Difference, ...] = ()
    if differences and terms.if_exists == "adopt":
        differences, ignored = (), differences
    take_over = terms.take_over and not has_our_marker
    # guard: update only our objects
    if differences and not has_our_marker and not take_over:
        return _refuse(decision, _marker_error(resource_type, observed, differences))
    # guard: use another's object only if allowed
    if not has_our_marker and not take_over and not terms.adopt:
        return _refuse(decision, _adopt_error(resource_type, observed))
    action = Action.UPDATE if differences or take_over else Action.NONE
    state = _transition(request, observed)
    return replace(
        decision, action=action, differences=differences, ignored=ignored, take_over=take_over, transition=state
    )


def _refuse(decision: Decision[D], error: AepError) -> Decision[D]:
    return replace(decision, action=Action.REFUSE, error=error)


def _oldest_once_listed(lookup: Lookup[Any], observed: Observed) -> Observed:
    """Return the oldest object after the grace period, when AEP's lists show the objects of all writers."""
    grace = lookup.request.attempt.creation_grace_period
    if observed.marker is not None and observed.created:
        age = lookup.client.server_now() - observed.created / 1000
        # guard: writers: wait for older objects
        if age < grace:
            lookup.client.clock.sleep(grace - max(age, 0.0))
            return lookup.find() or observed
    return observed


def _transition(request: Request[Any], observed: Observed) -> str:
    resource_type = request.resource_type
    # guard: publish our draft
    if observed.state == "draft" and not request.desired.draft and isinstance(resource_type, SupportsDrafts):
        return "publish"
    if observed.state == "disabled" and isinstance(resource_type, SupportsEnabling):
        return "enable"
    return ""


def _state_error(request: Request[Any], observed: Observed, has_our_marker: bool) -> AepError | None:
    """Return the error if an object's state prevents its use, else ``None``."""
    label = request.resource_type.label
    # guard: refuse another's draft
    if observed.state == "draft" and not has_our_marker and not request.desired.draft:
        return AepConfigurationError(
            f"The {label} {observed.name!r} ({observed.id}) is a draft that was not created by this onboarding",
            next_step="Publish the draft in AEP, or choose another name.",
        )
    can_enable = isinstance(request.resource_type, SupportsEnabling)
    # guard: refuse a disabled flow
    if observed.state == "disabled" and not (request.terms.enable and can_enable):
        return AepConfigurationError(
            f"The {label} {observed.name!r} ({observed.id}) is disabled",
            next_step="Set enable=True, or enable it in AEP." if can_enable else "Enable it in AEP.",
        )
    return None


def _exists_error(resource_type: ResourceType[Any], observed: Observed) -> AepConflictError:
    return AepConflictError(
        f"The {resource_type.label} {observed.name!r} ({observed.id}) already exists, and this task did not create it",
        next_step="Choose another name, or set if_exists to 'update' or 'adopt'.",
    )


def _immutable_error(
    resource_type: ResourceType[Any], observed: Observed, differences: tuple[Difference, ...]
) -> AepConflictError:
    has_other_parent = any(difference.path == resource_type.parent for difference in differences)
    may_replace = isinstance(resource_type, Replaceable) and not has_other_parent
    return AepConflictError(
        f"The {resource_type.label} {observed.name!r} ({observed.id}) already exists, and its immutable fields differ: "
        + "; ".join(map(str, differences)),
        next_step="Choose another name, or set the arguments to the values of the existing object"
        + (", or set replace=True to replace it." if may_replace else "."),
    )


def _adopt_error(resource_type: ResourceType[Any], observed: Observed) -> AepConflictError:
    return AepConflictError(
        f"The {resource_type.label} {observed.name!r} ({observed.id}) exists, and was not created by this onboarding",
        next_step="Set adopt to true to use it as it is, or choose another name.",
    )


def _marker_error(
    resource_type: ResourceType[Any], observed: Observed, differences: tuple[Difference, ...]
) -> AepConflictError:
    return AepConflictError(
        f"The {resource_type.label} {observed.name!r} ({observed.id}) already exists, was not created by this "
        "onboarding, and differs: " + "; ".join(map(str, differences)),
        next_step="Choose another name, or set if_exists='adopt' to use it as it is, or take_over=True to update it.",
    )
