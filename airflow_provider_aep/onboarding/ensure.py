"""Find, compare, then create or mend: exactly one object, whoever dies when, and no write where nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepConflictError,
    AepError,
    AepInvalidRequestError,
    AepNotFoundError,
    AepTooLateError,
    AepUnavailableError,
)
from airflow_provider_aep.onboarding.attempt import Attempt
from airflow_provider_aep.onboarding.compare import at, drift, pairs, stuck_at
from airflow_provider_aep.onboarding.identity import Marker, identity, signed
from airflow_provider_aep.onboarding.kind import Body, Found, Kind, in_description
from airflow_provider_aep.onboarding.names import checked_name, put_aside
from airflow_provider_aep.onboarding.users import user_of
from airflow_provider_aep.onboarding.wait import GOING, act, fresh, gone, read, settled, wait_until

T = TypeVar("T")

_STALE_ONCE = Retrying(
    retry=retry_if_exception(lambda e: isinstance(e, AepConflictError) and e.status == 412),
    stop=stop_after_attempt(2),
    reraise=True,
)

_NO_DRAFTS = "1368-400"
"""AEP's code where a source or its flow spec knows no drafts. Source: "Draft mode" in Adobe's guide."""


@dataclass(frozen=True)
class Outcome:
    """What became of an object.

    :param result: what the task returns
    :param action: ``created``, ``found``, ``adopted`` (it is not ours, and as wanted), ``updated``, or ``replaced``
    :param changed: the dot paths that were written
    :param ignored: the dot paths that differ and were left as they are, because that was asked for
    :param spares: ids of others of this name that stay
    :param remark: what else a person should know
    """

    name: str
    id: str
    result: Any
    action: str
    changed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()
    remark: str = ""


def ensure(client: AepClient, kind: Kind, wanted: Body, attempt: Attempt | None = None) -> Outcome:
    """Make sure that exactly one object of this name exists and is as wanted.

    :param wanted: the body of a create
    :raises AepConfigurationError: the name is not one that can be found again, or what there is cannot be used
    :raises AepConflictError: several objects have this name, or the one that has it is not ours and differs, or
        differs in what cannot change
    :raises AepAnswerLostError: the answers to two creates were lost, and nothing is there ``settle`` after either
    """
    return _Ensuring(client, kind, wanted, attempt or Attempt()).outcome()


class _Ensuring:
    """One call of :func:`ensure`."""

    def __init__(self, client: AepClient, kind: Kind, wanted: Body, attempt: Attempt) -> None:
        if isinstance(text := wanted.get("description"), str):
            wanted = {**wanted, "description": text.rstrip()}  # as it is read again, before the marker
        self.client, self.kind, self.wanted, self.attempt = client, kind, wanted, attempt
        name = wanted.get(kind.title)
        self.name = checked_name(name, f"{kind.label} {kind.title}") if kind.sign else str(name)
        scope = at(wanted, kind.scope)
        self.me = Marker(identity(client.settings, kind.label, scope, self.name), attempt.nonce)
        self.note = attempt.note(f"aep:{self.me.identity}")
        self.others: list[Found] = []  # ours, too, and younger than the one that counts
        self.made: set[str] = set()  # ids of what this very call has made
        self.replaced: set[str] = set()  # ids of what lists may still show under this name
        self.sent = 0.0  # when the last create left, by the server's clock

    def outcome(self) -> Outcome:
        if not self.note.read() and not self.attempt.tried_before:
            self.note.write(began=self.client.server_now())
        # Among several writers an elder one may be listed beside the one that was noted.
        among = self.attempt.concurrent_writers
        there = (self._find() or self._remembered()) if among else (self._remembered() or self._find())
        if there is None and (since := self._suspicious_since()) is not None:
            wait_until(self.client, since + self.attempt.settle, self.attempt.settle)
            there = self._find()
        if there is not None:
            return self._use(there)
        check(self.client, self.kind, self.wanted)
        return self._create()

    # -- find -------------------------------------------------------------------------------------------------------

    def _find(self) -> Found | None:
        """The object that counts; ``None`` if there is none.

        :raises AepConflictError: there are several, and no rule says which counts
        """
        there = self._named() or [f for f in self.kind.elsewhere(self.client) if self._still_there(f)]
        if len(there) > 1:  # a list may be behind: one of them may be gone by now, or have another name
            there = [f for f in {f.id: f for f in there}.values() if self._still_named(f)]
        self.others = []
        if len(there) > 1 and (self.kind.spare or self.attempt.concurrent_writers) and all(map(self._ours, there)):
            eldest, *self.others = sorted(there, key=lambda f: (f.created, f.id))
            return eldest
        if len(there) > 1:
            ids = ", ".join(f.id for f in there)
            raise AepConflictError(
                f"{len(there)} {self.kind.label}s are named {self.name!r}: {ids}",
                next_step="Delete or rename all but the one to keep.",
            )
        return there[0] if there else None

    def _named(self) -> list[Found]:
        listed = map(self.kind.found, self.client.items(self.kind.find(self.name)))
        there = [f for f in listed if f.name == self.name and f.id not in self.replaced]
        return [f for f in there if self._still_there(f) and not self._left_over(f)]

    def _still_named(self, found: Found) -> bool:
        """Whether it is there by the name that was listed; AEP may forget that of a mapping set."""
        try:
            return self.kind.found(fresh(self.client, self.kind.get(found.id))).name == found.name
        except AepNotFoundError:
            return False

    def _left_over(self, found: Found) -> bool:
        """Whether it is of another scope, and nobody's any more: it cannot be deleted, and does no harm."""
        elsewhere = at(found.fields, self.kind.scope) != at(self.wanted, self.kind.scope)
        # Only what carries a marker has a scope that is read again.
        asked = self.kind.spare and self.kind.sign is not None and elsewhere
        return asked and not user_of(self.client, self.kind, found)

    def _still_there(self, found: Found) -> bool:
        """Whether it is not being deleted; one that is, is waited for: its name is not free before it is gone."""
        return found.state != GOING or not gone(self.client, self.kind, found)

    def _ours(self, found: Found) -> bool:
        return self.kind.sign is None or (found.marker is not None and found.marker.identity == self.me.identity)

    def _remembered(self) -> Found | None:
        """What an earlier try noted, if it is still there under its name."""
        note = self.note.read()
        if "id" not in note:
            return None
        found = self._as_it_is(note["id"])
        return found if found and found.name == self.name and found.state != GOING else None

    def _as_it_is(self, id_: str) -> Found | None:
        try:
            return read(self.client, self.kind, id_)
        except AepNotFoundError:
            return None

    # -- suspicion --------------------------------------------------------------------------------------------------

    def _suspicious_since(self) -> float | None:
        """The moment, by the server's clock, at which a create may have been sent; ``None`` if none was."""
        note = self.note.read()
        if "sent" in note:
            return float(note["sent"])
        if self.attempt.tried_before and not note:  # nothing is noted, or what was is lost
            return self.client.server_now()
        return None

    # -- create -----------------------------------------------------------------------------------------------------

    def _create(self) -> Outcome:
        """Create what is not there.

        A create is not sent again on a guess: a lost one may still be carried out, and lists lag behind writes, so
        nothing counts as not made before it had ``settle`` seconds to appear. That a title is taken is no answer
        either: whoever took it may be an earlier try.
        """
        failure: AepError | None = None
        body, remark = self.kind.succeed(self.client, self.wanted)
        for _ in range(2):
            try:
                id_, result = self.kind.created(self._sent(body))
            except (AepAnswerLostError, AepConflictError) as e:
                failure = e
            else:
                failure = None
                self.made.add(id_)
                self.note.write(id=id_, sent=self.sent)  # reads may lag: it is suspicious until it can be read
                if not self.attempt.concurrent_writers:
                    return Outcome(self.name, id_, result, "created", remark=remark)
            self.client.clock.sleep(self.attempt.settle)
            if there := self._find():
                outcome = replace(self._use(there), remark=remark)
                if self.attempt.concurrent_writers and there.id in self.made:
                    return replace(outcome, action="created", changed=())
                return outcome
            if isinstance(failure, AepConflictError):
                break
            if failure is None:
                raise AepUnavailableError(
                    f"The {self.kind.label} {self.name!r} was created, and AEP does not list it after "
                    f"{self.attempt.settle:.0f} s",
                    next_step="Try again later.",
                )
        assert failure is not None
        raise failure

    def _sent(self, wanted: Body) -> Any:
        """The answer to a create. Among several writers a draft is made, so that one that loses never runs."""
        body = self.kind.sign(wanted, self.me) if self.kind.sign else wanted
        as_draft = self.attempt.concurrent_writers and self.kind.publish and not self.wanted.get("draft")
        if not as_draft:
            return self._create_once(body, 0)
        try:  # it is published once it has won, which takes a while
            return self._create_once({**body, "draft": True}, self.attempt.settle)
        except AepInvalidRequestError as e:
            if e.code != _NO_DRAFTS:
                raise
        # Long enough ahead that it is gone before it would run, should it lose.
        return self._create_once(body, 3 * self.attempt.settle)

    def _create_once(self, body: Body, later: float) -> Any:
        """Send a create, and note each time that it leaves: a throttled one leaves again, minutes later.

        :param later: seconds by which its start is put off
        """
        try:
            return self._send(self.kind.born(body, self.client.server_now(), later))
        except AepTooLateError:  # refused: its start has passed on the way, and another may be ahead
            return self._send(self.kind.born(body, self.client.server_now(), later))

    def _send(self, body: Body) -> Any:
        return fresh(self.client, replace(self.kind.create(body), announce=self._announce))

    def _announce(self) -> None:
        self.sent = self.client.server_now()
        self.note.write(sent=self.sent)

    # -- use --------------------------------------------------------------------------------------------------------

    def _use(self, there: Found) -> Outcome:
        """What is there becomes what is wanted, or it is said why it cannot."""
        if self.attempt.concurrent_writers:
            there = self._winner(there)
        spares = self._remove_losers()
        found = settled(self.client, self.kind, there)
        if self.kind.short:
            found = self.kind.found(self.client.send(self.kind.get(found.id)))
        ours, terms = self._ours(found), self.attempt
        if terms.if_exists == "fail" and found.marker != self.me and self.kind.sign:
            raise AepConflictError(
                f"The {self.kind.label} {found.name!r} exists ({found.id}), and not by this task",
                next_step="Choose another name, or say if_exists='update' or 'adopt'.",
            )
        if terms.replace and ours and self.kind.rename and stuck_at(self.kind, found, self.wanted):
            return self._replace(found)
        self._check_state(found, ours)
        drifted = drift(self.kind, found, self.wanted)
        ignored: tuple[str, ...] = ()
        if drifted and terms.if_exists == "adopt":
            drifted, ignored = [], tuple(drifted)
        taken = terms.take_over and not ours
        if drifted and not ours and not taken:
            raise _differing(self.kind, found, self.wanted, drifted)
        action = "found" if ours else "adopted"
        outcome = Outcome(found.name, found.id, found.result, action, (), ignored, spares)
        if drifted or taken:
            self.kind.guard(self.client, found)
            check(self.client, self.kind, self.wanted)
            mended = mend(self.client, self.kind, found.id, self.wanted, self.me if taken else None)
            outcome = replace(mended, ignored=ignored, spares=outcome.spares)
        return self._usable(found, outcome)

    def _replace(self, found: Found) -> Outcome:
        """Put aside what cannot become what is wanted, and make that anew. What is wrong is told before."""
        check(self.client, self.kind, self.wanted)
        self.kind.rest(self.client, found, self.wanted, self.attempt.settle)
        renamed = _stale_once(self.kind, found.id, self._put_aside, found.id)
        self.replaced.add(found.id)
        # An earlier try may have come as far, or farther, and lists lag behind a change of name, too.
        if not renamed:
            self.client.clock.sleep(self.attempt.settle)
            if there := self._find() or self._remembered():
                return self._use(there)
        return replace(self._create(), action="replaced")

    def _put_aside(self, id_: str) -> bool:
        """Rename it, and mark it as what it is from now on; whether an earlier try has not."""
        found = read(self.client, self.kind, id_)
        if found.name != self.name or self.kind.rename is None:
            return False
        name = put_aside(self.name, datetime.fromtimestamp(self.client.server_now(), UTC))
        own = identity(self.client.settings, self.kind.label, at(found.fields, self.kind.scope), name)
        marker = Marker(own, found.marker.nonce if found.marker else self.me.nonce)
        self.client.send(self.kind.rename(found, name, signed(found.fields.get("description"), marker)))
        return True

    def _winner(self, there: Found) -> Found:
        """The one that counts once everybody's is listed: an elder one may not be, as long as this one is young."""
        if there.marker is not None and there.created:
            age = self.client.server_now() - there.created / 1000
            if age < self.attempt.settle:
                self.client.clock.sleep(self.attempt.settle - max(age, 0.0))
                return self._find() or there
        return there

    def _remove_losers(self) -> tuple[str, ...]:
        """Remove what this task made and another one made before; returns what stays.

        Another's is another's to remove, and what has come into use is nobody's.
        """
        spares = []
        for other in self.others:
            remove, mine = self.kind.remove, other.marker == self.me or other.id in self.made
            if remove is None or not mine or self._in_use(other):
                spares.append(other.id)
                continue
            try:
                self.client.send(remove(settled(self.client, self.kind, other).id))
            except AepNotFoundError:
                continue
            except AepInvalidRequestError:  # in use
                spares.append(other.id)
        return tuple(spares)

    def _in_use(self, found: Found) -> bool:
        idle = self.kind.idle
        return bool(idle and not self.client.send(idle(found.id))) or bool(user_of(self.client, self.kind, found))

    def _check_state(self, found: Found, ours: bool) -> None:
        """:raises AepConfigurationError: it is in a state in which it cannot be used, and may not be brought out of"""
        if found.state == "draft" and not ours and not self.wanted.get("draft"):
            raise AepConfigurationError(
                f"The {self.kind.label} {found.name!r} ({found.id}) is somebody's draft",
                next_step="Publish it, or choose another name.",
            )
        if found.state == "disabled" and not (self.attempt.enable and self.kind.enable):
            raise AepConfigurationError(
                f"The {self.kind.label} {found.name!r} ({found.id}) is disabled",
                next_step="Enable it, or say enable=True." if self.kind.enable else "Enable it in AEP.",
            )

    def _usable(self, found: Found, outcome: Outcome) -> Outcome:
        """Finish what is a draft, and enable what is disabled."""
        if found.state == "draft" and not self.wanted.get("draft") and self.kind.publish:
            _stale_once(self.kind, found.id, self._revive, found.id)
            act(self.client, self.kind, found.id, self.kind.publish, frozenset({"enabled", "disabled"}))
        elif found.state == "disabled" and self.kind.enable:
            act(self.client, self.kind, found.id, self.kind.enable, frozenset({"enabled"}))
        else:
            return outcome
        return replace(outcome, action="updated", changed=(*outcome.changed, "state"))

    def _revive(self, id_: str) -> None:
        """Move the start of a draft that has passed."""
        now = self.client.server_now()
        if late := self.kind.revive(read(self.client, self.kind, id_), self.wanted, now):
            self.client.send(late)


def mend(client: AepClient, kind: Kind, id_: str, wanted: Body, taken_by: Marker | None = None) -> Outcome:
    """Write what differs in an object that is known by its id.

    :param wanted: the fields to compare, and no others
    :param taken_by: the marker that it gets; the one it has stays unless given
    :raises AepConflictError: what differs cannot change in place
    """
    return _stale_once(kind, id_, _mended, client, kind, id_, wanted, taken_by)


def _stale_once(kind: Kind, id_: str, work: Callable[..., T], *arguments: Any) -> T:
    """Read and write an object, a second time if it has changed in between.

    :raises AepUnavailableError: it has changed in between both times
    """
    try:
        return _STALE_ONCE(work, *arguments)
    except AepConflictError as e:
        if e.status != 412:
            raise
        raise AepUnavailableError(
            f"The {kind.label} {id_} changed twice while it was read and written",
            where=e.where,
            next_step="Try again later: somebody else is at work on it.",
        ) from None


def _mended(client: AepClient, kind: Kind, id_: str, wanted: Body, taken_by: Marker | None) -> Outcome:
    """Write what differs, with the etag of a read just before it: AEP moves etags on its own, too."""
    found = read(client, kind, id_)
    drifted = drift(kind, found, wanted)
    taken = taken_by is not None and kind.sign is not None and found.marker != taken_by
    if not drifted and not taken:  # the answer to an earlier try was lost, or somebody else was faster
        return Outcome(found.name, id_, found.result, "found")
    answer = client.send(kind.mend(found, *_to_write(kind, found, wanted, drifted, taken_by)))
    changed = (*drifted, *(["marker"] if taken else []))
    return Outcome(found.name, id_, kind.mended(found, answer), "updated", changed)


def _to_write(
    kind: Kind, found: Found, wanted: Body, drifted: Sequence[str], taken_by: Marker | None
) -> tuple[Body, list[str]]:
    """The body and the paths of a change that keeps the marker, or brings one."""
    marker, paths = taken_by or found.marker, list(drifted)
    if marker is None or kind.sign is None:
        return wanted, paths
    if kind.sign is in_description:
        wanted = {**wanted, "description": wanted.get("description", found.fields.get("description"))}
        if taken_by and "description" not in paths:
            paths.append("description")
    return kind.sign(wanted, marker), paths


def _differing(kind: Kind, found: Found, wanted: Body, paths: Sequence[str]) -> AepConflictError:
    return AepConflictError(
        f"The {kind.label} {found.name!r} ({found.id}) exists, was not made by this onboarding, and differs: "
        + pairs(found, wanted, paths),
        next_step="Choose another name; or say if_exists='adopt' to use it as it is, or take_over=True to change it "
        "and keep it.",
    )


def check(client: AepClient, kind: Kind, wanted: Body) -> None:
    """:raises AepConfigurationError: AEP would refuse it"""
    if kind.check and (refused := fresh(client, kind.check(wanted))):
        raise AepConfigurationError(
            f"AEP refuses the {kind.label} {wanted[kind.title]!r}: {'; '.join(refused)}",
            next_step="Correct what it names.",
        )
