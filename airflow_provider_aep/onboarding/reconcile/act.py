"""Carry out a decision: create, update or replace one object. It is idempotent across crashes and lost responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_aep.attempt import Attempt
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.consistency import send_retrying_not_found
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepConflictError,
    AepError,
    AepInvalidRequestError,
    AepLostResponseError,
    AepNotFoundError,
    AepTooLateError,
    AepUnavailableError,
)
from airflow_provider_aep.naming import retired_name
from airflow_provider_aep.onboarding.reconcile.consistency import read, transition, wait_until_stable
from airflow_provider_aep.onboarding.reconcile.decide import Action, Decision, decide_existing, decide_request
from airflow_provider_aep.onboarding.reconcile.diff import diff, paths
from airflow_provider_aep.onboarding.reconcile.lookup import Lookup, Request, describe_dependent
from airflow_provider_aep.onboarding.reconcile.marker import Marker, add_marker, identity
from airflow_provider_aep.onboarding.reconcile.resource_type import (
    Body,
    CreateOptions,
    Deletable,
    Desired,
    HoldsData,
    Observed,
    Replaceable,
    ResourceType,
    SupportsDrafts,
    SupportsEnabling,
    SupportsHandover,
    at,
)
from airflow_provider_aep.onboarding.reconcile.terms import Terms

D = TypeVar("D", bound=Desired)
T = TypeVar("T")

_RETRY_STALE_ETAG = Retrying(
    retry=retry_if_exception(lambda e: isinstance(e, AepConflictError) and e.status == 412),
    # guard: retry a stale etag
    stop=stop_after_attempt(2),
    reraise=True,
)

_NO_DRAFTS = "1368-400"
"""AEP's code if a source or its flow spec supports no drafts. Source: "Draft mode" in Adobe's guide."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of an operation on one object.

    :param result: return value of the task
    :param action: ``created``, ``unchanged``, ``adopted`` (used as it is, without our marker), ``updated``,
        ``replaced``, ``deleted`` or ``not found``
    :param changed: dot paths that were written
    :param ignored: dot paths that differ and were not written, because ``if_exists="adopt"``
    :param duplicates: ids of duplicates that were not deleted
    :param remark: further facts for the log; empty without any
    """

    name: str
    id: str
    result: Any
    action: str
    changed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    remark: str = ""


def reconcile(
    client: AepClient,
    resource_type: ResourceType[D],
    desired: D,
    attempt: Attempt | None = None,
    terms: Terms | None = None,
) -> Outcome:
    """Ensure that exactly one object of a name exists in the desired state: :func:`~.decide.decide`, then :func:`act`.

    :param attempt: the try of the task; default: the first try of an unknown task
    :param terms: default: update managed fields that differ
    :raises AepConfigurationError: AEP cannot find the name, or the existing object cannot be used
    :raises AepConflictError: several objects have the name, or the existing one differs and must not be changed
    :raises AepLostResponseError: the responses to two creates were lost, and no object appeared after either
    """
    request = Request.of(client.settings, resource_type, desired, attempt or Attempt(), terms or Terms())
    if not request.state.read() and not request.attempt.tried_before:
        # guard: store that a try has begun
        request.state.write(began=client.server_now())
    return act(client, decide_request(Lookup(client, request)))


def act(client: AepClient, decision: Decision[D]) -> Outcome:
    """Carry out a decision.

    :raises AepError: see :func:`reconcile`
    """
    return _Actor(Lookup(client, decision.request)).act(decision)


@dataclass
class _Actor(Generic[D]):
    """One call of :func:`act`.

    :param created: ids of the objects that this call created
    :param sent: AEP's time of the last create request, in seconds since the epoch
    """

    lookup: Lookup[D]
    created: set[str] = field(default_factory=set)
    sent: float = 0.0

    @property
    def client(self) -> AepClient:
        return self.lookup.client

    @property
    def request(self) -> Request[D]:
        return self.lookup.request

    @property
    def resource_type(self) -> ResourceType[D]:
        return self.lookup.request.resource_type

    @property
    def grace_period(self) -> float:
        return self.lookup.request.attempt.creation_grace_period

    def act(self, decision: Decision[D]) -> Outcome:
        duplicates = self._remove_losers(decision.losers)
        if decision.error is not None:
            raise decision.error
        if decision.observed is None:
            validate(self.client, self.resource_type, self.request.desired)
            return self._create()
        if decision.action is Action.REPLACE:
            return self._replace(decision.observed)
        return self._update(decision, decision.observed, duplicates)

    def _act_on(self, observed: Observed) -> Outcome:
        return self.act(decide_existing(self.lookup, observed))

    # -- create -------------------------------------------------------------------------------------------------------

    def _create(self) -> Outcome:
        """Create an object that does not exist.

        A create with a lost response may have been executed, and lists have a read lag. So the create is repeated only
        if the object does not appear within the grace period. A title conflict is ambiguous, too, because an earlier
        try may have used the title.
        """
        failure: AepError | None = None
        name, terms = self.request.desired.name, self.request.terms
        desired, remark = self.request.desired, ""
        if isinstance(self.resource_type, SupportsHandover):
            desired, remark = self.resource_type.prepare_successor(self.client, desired)
        for _ in range(2):
            try:
                id_, result = self.resource_type.parse_created(self._send_create(desired))
            # guard: find after a taken title
            except (AepLostResponseError, AepConflictError) as e:
                failure = e
            else:
                failure = None
                self.created.add(id_)
                # Reads have a lag, so the next try treats the create as ambiguous until it can read the object.
                # guard: store the created id
                # guard: suspect an unreadable stored id
                self.request.state.write(id=id_, sent=self.sent)
                # guard: writers: wait and find again
                if not terms.concurrent_writers:
                    return Outcome(name, id_, result, "created", remark=remark)
            # guard: wait after a lost response
            self.client.clock.sleep(self.grace_period)
            # guard: find after a lost response
            if observed := self.lookup.find():
                outcome = replace(self._act_on(observed), remark=remark)
                if terms.concurrent_writers and observed.id in self.created:
                    return replace(outcome, action="created", changed=())
                return outcome
            # guard: no second create after a taken title
            if isinstance(failure, AepConflictError):
                break
            if failure is None:
                raise AepUnavailableError(
                    f"The {self.resource_type.label} {name!r} was created, but AEP does not list it after "
                    f"{self.grace_period:.0f} s",
                    next_step="Try again later.",
                )
        assert failure is not None
        raise failure

    def _send_create(self, desired: D) -> Any:
        """Send a create. With concurrent writers it creates a draft, so that a losing object never runs."""
        supports_drafts = isinstance(self.resource_type, SupportsDrafts)
        # guard: writers: create a draft first
        if not (self.request.terms.concurrent_writers and supports_drafts and not desired.draft):
            return self._send_create_in_time(desired, draft=desired.draft)
        try:
            # guard: writers: postpone a draft's start
            return self._send_create_in_time(desired, draft=True, delay=self.grace_period)
        except AepInvalidRequestError as e:
            if e.code != _NO_DRAFTS:
                raise
        # A losing object is deleted before this start.
        # guard: writers: postpone the start without drafts
        return self._send_create_in_time(desired, draft=False, delay=3 * self.grace_period)

    def _send_create_in_time(self, desired: D, *, draft: bool, delay: float = 0) -> Any:
        """Send a create, and once more with a new start time if AEP rejects the start as past.

        :param delay: seconds to add to a start time that is relative to now
        """
        marker = self.request.marker if self.resource_type.has_marker else None

        def send() -> Any:
            options = CreateOptions(marker, draft, self.client.server_now(), delay)
            call = self.resource_type.create(desired, options)
            # guard: store before a create
            return send_retrying_not_found(self.client, replace(call, before_send=self._store_sent))

        try:
            return send()
        # guard: recompute a start that passed
        except AepTooLateError:
            return send()

    def _store_sent(self) -> None:
        """Store the time of a create request. A throttled request is sent again minutes later, with a new time."""
        self.sent = self.client.server_now()
        self.request.state.write(sent=self.sent)

    # -- update ---------------------------------------------------------------------------------------------------

    def _update(self, decision: Decision[D], observed: Observed, duplicates: tuple[str, ...]) -> Outcome:
        """Write differences, then publish a draft or enable a disabled object."""
        ignored = paths(decision.ignored)
        action = "unchanged" if decision.has_our_marker else "adopted"
        outcome = Outcome(observed.name, observed.id, observed.result, action, (), ignored, duplicates)
        if decision.action is Action.UPDATE:
            # guard: keep a mapping set of another flow
            self.resource_type.check_update(self.client, observed, self.request.desired)
            validate(self.client, self.resource_type, self.request.desired)
            # guard: mark a taken-over object
            marker = self.request.marker if decision.take_over else None
            updated = update(self.client, self.resource_type, observed.id, self.request.desired, marker)
            outcome = replace(updated, ignored=ignored, duplicates=duplicates)
        if not decision.transition:
            return outcome
        if decision.transition == "publish":
            assert isinstance(self.resource_type, SupportsDrafts)
            _retry_stale_etag(self.resource_type, observed.id, self._reschedule_draft, observed.id)
            done = frozenset({"enabled", "disabled"})
            transition(self.client, self.resource_type, observed.id, self.resource_type.publish, done)
        else:
            assert isinstance(self.resource_type, SupportsEnabling)
            transition(self.client, self.resource_type, observed.id, self.resource_type.enable, frozenset({"enabled"}))
        return replace(outcome, action="updated", changed=(*outcome.changed, "state"))

    def _reschedule_draft(self, id_: str) -> None:
        """Move the start of a draft if it has passed."""
        assert isinstance(self.resource_type, SupportsDrafts)
        observed = read(self.client, self.resource_type, id_)
        now = self.client.server_now()
        # guard: reschedule a late draft
        if call := self.resource_type.reschedule_draft(observed, self.request.desired, now):
            self.client.send(call)

    # -- replace --------------------------------------------------------------------------------------------------

    def _replace(self, observed: Observed) -> Outcome:
        """Retire an object whose immutable fields differ, and create its successor. Validation precedes both."""
        resource_type, desired = self.resource_type, self.request.desired
        assert isinstance(resource_type, Replaceable)
        validate(self.client, resource_type, desired)
        if isinstance(resource_type, SupportsHandover):
            resource_type.quiesce(self.client, observed, desired, self.grace_period)
        # guard: retire before the successor
        renamed = _retry_stale_etag(resource_type, observed.id, self._retire, observed.id)
        self.lookup.replaced.add(observed.id)
        # An earlier try may have retired the object and created the successor, which lists may not show yet.
        # guard: suspect an earlier replacement
        if not renamed:
            # guard: wait for an earlier successor
            self.client.clock.sleep(self.grace_period)
            if successor := self.lookup.find() or self.lookup.find_stored():
                return self._act_on(successor)
        return replace(self._create(), action="replaced")

    def _retire(self, id_: str) -> bool:
        """Rename an object and give it the marker of its new name; return whether this call did so.

        With the old marker, the object would count as its own successor.
        """
        resource_type, name = self.resource_type, self.request.desired.name
        observed = read(self.client, resource_type, id_)
        if observed.name != name or not isinstance(resource_type, Replaceable):
            return False
        new_name = self._unused_retired_name(name)
        parent = at(observed.fields, resource_type.parent)
        # guard: remark a retired object
        new_identity = identity(self.client.settings, resource_type.label, parent, new_name)
        marker = Marker(new_identity, observed.marker.nonce if observed.marker else self.request.marker.nonce)
        description = add_marker(observed.fields.get("description"), marker)
        self.client.send(resource_type.rename(observed, new_name, description))
        return True

    def _unused_retired_name(self, name: str) -> str:
        """Return the first retired name without an object. Because of the read lag, two objects may get the same."""
        number = 1
        while True:
            candidate = retired_name(name, number)
            answers = self.client.items(self.resource_type.find(candidate))
            if not any(self.resource_type.observe(answer).name == candidate for answer in answers):
                return candidate
            number += 1

    # -- concurrent writers -----------------------------------------------------------------------------------------

    def _remove_losers(self, losers: Sequence[Observed]) -> tuple[str, ...]:
        """Delete duplicates that this task created and that have no dependents; return the ids of the others.

        Each task deletes only its own duplicates.
        """
        kept_ids = []
        for loser in losers:
            is_created_here = loser.marker == self.request.marker or loser.id in self.created
            deletable = isinstance(self.resource_type, Deletable)
            # guard: writers: delete own losers only
            if not deletable or not is_created_here or self._is_in_use(loser):
                kept_ids.append(loser.id)
                continue
            assert isinstance(self.resource_type, Deletable)
            try:
                stable = wait_until_stable(self.client, self.resource_type, loser)
                # guard: writers: delete losers
                self.client.send(self.resource_type.delete(stable.id))
            except AepNotFoundError:
                continue
            # guard: writers: keep a loser that AEP keeps
            except AepInvalidRequestError:
                kept_ids.append(loser.id)
        return tuple(kept_ids)

    def _is_in_use(self, observed: Observed) -> bool:
        # guard: writers: keep a loser with rows
        holds_data = isinstance(self.resource_type, HoldsData) and not self.client.send(
            self.resource_type.is_empty(observed.id)
        )
        # guard: writers: keep a loser with dependents
        return holds_data or bool(describe_dependent(self.client, self.resource_type, observed))


def update(
    client: AepClient, resource_type: ResourceType[Any], id_: str, desired: Desired, marker: Marker | None = None
) -> Outcome:
    """Write the managed fields of an object that differ.

    :param id_: the object's id
    :param desired: the desired state to compare
    :param marker: new marker of the object; ``None`` keeps its marker
    :raises AepConflictError: immutable fields differ
    :raises AepUnavailableError: another client changed the object twice between read and write
    """
    return _retry_stale_etag(resource_type, id_, _update_once, client, resource_type, id_, desired, marker)


def _update_once(
    client: AepClient, resource_type: ResourceType[Any], id_: str, desired: Desired, marker: Marker | None
) -> Outcome:
    """Read an object and write differences with its etag. The read is necessary, as AEP itself also changes etags."""
    observed = read(client, resource_type, id_)
    differences = diff(resource_type, observed, desired)
    if immutable := [difference for difference in differences if difference.immutable]:
        raise AepConflictError(
            f"The {resource_type.label} {observed.name!r} ({observed.id}) has immutable fields that differ: "
            + "; ".join(map(str, immutable)),
            next_step=f"Create a new {resource_type.label} with these fields.",
        )
    takes_marker = marker is not None and resource_type.has_marker and observed.marker != marker
    if not differences and not takes_marker:  # an earlier try or another task has written them
        return Outcome(observed.name, id_, observed.result, "unchanged")
    fields, changed = _fields_and_paths(resource_type, observed, desired, paths(differences), marker)
    answer = client.send(resource_type.update(observed, fields, changed))
    written = (*paths(differences), *(["marker"] if takes_marker else []))
    return Outcome(observed.name, id_, resource_type.parse_updated(observed, answer), "updated", written)


def _fields_and_paths(
    resource_type: ResourceType[Any],
    observed: Observed,
    desired: Desired,
    changed: Sequence[str],
    marker: Marker | None,
) -> tuple[Body, list[str]]:
    """Return the fields and paths of an update, which include the object's marker or its new one."""
    fields, written_paths = desired.fields(), list(changed)
    # guard: keep the marker in an update
    new_marker = marker or observed.marker
    if new_marker is None or not resource_type.has_marker:
        return fields, written_paths
    if "description" in resource_type.policy.managed:
        if fields.get("description") is None:
            fields["description"] = observed.fields.get("description")
        if marker and "description" not in written_paths:
            written_paths.append("description")
    return resource_type.with_marker(fields, new_marker), written_paths


def _retry_stale_etag(resource_type: ResourceType[Any], id_: str, work: Callable[..., T], *arguments: Any) -> T:
    """Read and write an object, and repeat it once if the etag is stale.

    :raises AepUnavailableError: the etag is stale again
    """
    try:
        return _RETRY_STALE_ETAG(work, *arguments)
    except AepConflictError as e:
        if e.status != 412:
            raise
        raise AepUnavailableError(
            f"The {resource_type.label} {id_} changed twice between read and write",
            where=e.where,
            next_step="Try again later, and check which other client updates it.",
        ) from None


def validate(client: AepClient, resource_type: ResourceType[D], desired: D) -> None:
    """Raise if AEP's own validation of a desired state fails. Only some resource types have one.

    :raises AepConfigurationError: AEP would reject the object
    """
    calls = resource_type.validate(desired)
    if problems := [problem for call in calls for problem in send_retrying_not_found(client, call)]:
        raise AepConfigurationError(
            f"The {resource_type.label} {desired.name!r} is rejected by AEP's validation: {'; '.join(problems)}",
            next_step="Correct the fields that the message names.",
        )
