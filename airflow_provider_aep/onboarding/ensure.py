"""Find, compare, then create or mend: one object per name, and no write where nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt

from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient, AsyncAepClient
from airflow_provider_aep.client.errors import (
    AepAnswerLostError,
    AepConfigurationError,
    AepConflictError,
    AepNotFoundError,
    AepUnavailableError,
)
from airflow_provider_aep.onboarding.names import checked_name

T = TypeVar("T")
Body = dict[str, Any]

FRESH_WAITS = (1.0, 2.0, 4.0)
"""Seconds between looks at an object that AEP does not know yet: its reads lag behind its writes."""

SETTLE = 60.0
"""Seconds after which AEP's lists show what a create made whose answer was lost, or it was not carried out."""

STATE_WAIT = 120.0
"""Seconds to wait for a transitional state to end."""

_STALE_ONCE = Retrying(
    retry=retry_if_exception(lambda e: isinstance(e, AepConflictError) and e.status == 412),
    stop=stop_after_attempt(2),
    reraise=True,
)

_STABLE = frozenset({"", "enabled", "disabled", "draft"})
_GONE = "delete-finalizing"


@dataclass(frozen=True)
class Found:
    """An object as it is in AEP.

    :param fields: the body in the form that a create would send it, as far as AEP returns it
    :param result: what a task returns for it: the id, or id and version
    """

    id: str
    name: str
    fields: Body
    result: Any
    state: str = ""


@dataclass(frozen=True)
class Kind:
    """What the engine must know about one kind of object.

    :param label: Adobe's noun
    :param title: the body's field that holds the name
    :param find: the list of candidates with a name; compared exactly afterwards
    :param get: one object by id
    :param create: the call that creates it; ``created`` reads its result
    :param mend: the call that writes the owned fields of a found object, given a body and the paths that differ
    :param fixed: dot paths that are compared and cannot change in place
    :param owned: dot paths that are compared and mended
    :param includes: dot paths of lists in which every wanted entry must be; mended by adding
    :param short: whether a list gives a short form, so that a candidate is read again before it is compared
    :param check: AEP's own validation of a body, sent before a write only; the call answers what it refuses
    """

    label: str
    find: Callable[[str], Call[Page[Any]]]
    get: Callable[[str], Call[Any]]
    found: Callable[[Any], Found]
    create: Callable[[Body], Call[Any]]
    created: Callable[[Any], tuple[str, Any]]
    mend: Callable[[Found, Body, Sequence[str]], Call[Any]]
    fixed: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    short: bool = False
    check: Callable[[Body], Call[Sequence[str]]] | None = None
    mended: Callable[[Found, Any], Any] = lambda found, _: found.result
    title: str = "name"


@dataclass(frozen=True)
class Outcome:
    """``result`` is what the task returns; ``action`` is ``created``, ``found`` or ``updated``."""

    name: str
    id: str
    result: Any
    action: str
    changed: tuple[str, ...] = ()


def ensure(client: AepClient, kind: Kind, wanted: Body, *, suspicious: bool = False, settle: float = SETTLE) -> Outcome:
    """Make sure that exactly one object of this name exists and is as wanted.

    :param wanted: the body of a create
    :param suspicious: a create may have been sent before, by somebody who did not hear the answer
    :param settle: seconds to wait where there is a suspicion, before what is not listed counts as not made
    :raises AepConfigurationError: the name is not one that can be found again
    :raises AepConflictError: several objects have this name, or the one that has it differs in what cannot change
    :raises AepAnswerLostError: the answers to two creates were lost, and nothing is there ``settle`` after either
    """
    name = checked_name(wanted.get(kind.title), f"{kind.label} {kind.title}")
    there = _named(client, kind, name)
    if there is None and suspicious:
        client.clock.sleep(settle)
        there = _named(client, kind, name)
    if there is None:
        _check(client, kind, wanted)
        made = _create(client, kind, name, wanted, settle)
        if isinstance(made, Outcome):
            return made
        there = made
    found = settled(client, kind, there)
    if kind.short:
        found = kind.found(client.send(kind.get(found.id)))
    if not _drift(kind, found, wanted):
        return Outcome(name, found.id, found.result, "found")
    _check(client, kind, wanted)
    return mend(client, kind, found.id, wanted)


def _named(client: AepClient, kind: Kind, name: str) -> Found | None:
    """The one object with a name; ``None`` if there is none.

    :raises AepConflictError: there are several
    """
    candidates = [f for f in map(kind.found, client.items(kind.find(name))) if f.name == name and f.state != _GONE]
    if len(candidates) > 1:
        ids = ", ".join(f.id for f in candidates)
        raise AepConflictError(
            f"{len(candidates)} {kind.label}s are named {name!r}: {ids}",
            next_step="Delete or rename all but the one to keep.",
        )
    return candidates[0] if candidates else None


def _create(client: AepClient, kind: Kind, name: str, wanted: Body, settle: float) -> Outcome | Found:
    """Create what is not there; where the answer is lost, what is found afterwards.

    A create is not sent again on a guess: a lost one may still be carried out, and lists lag behind writes, so nothing
    counts as not made before it had ``settle`` seconds to appear.
    """
    lost: AepAnswerLostError | None = None
    for _ in range(2):
        try:
            id_, result = kind.created(fresh(client, kind.create(wanted)))
            return Outcome(name, id_, result, "created")
        except AepAnswerLostError as e:
            lost = e
        client.clock.sleep(settle)
        if there := _named(client, kind, name):
            return there
    assert lost is not None
    raise lost


def mend(client: AepClient, kind: Kind, id_: str, wanted: Body) -> Outcome:
    """Write what differs in an object that is known by its id.

    :param wanted: the fields to compare, and no others
    :raises AepConflictError: what differs cannot change in place
    """
    return _STALE_ONCE(_mended, client, kind, id_, wanted)


def _mended(client: AepClient, kind: Kind, id_: str, wanted: Body) -> Outcome:
    """Write what differs, with the etag of a read just before it: AEP moves etags on its own, too."""
    found = kind.found(client.send(kind.get(id_)))
    drifted = _drift(kind, found, wanted)
    if not drifted:  # the answer to an earlier try was lost, or somebody else was faster
        return Outcome(found.name, id_, found.result, "found")
    answer = client.send(kind.mend(found, wanted, drifted))
    return Outcome(found.name, id_, kind.mended(found, answer), "updated", tuple(drifted))


def _drift(kind: Kind, found: Found, wanted: Body) -> list[str]:
    """The dot paths that must be written.

    :raises AepConflictError: what differs cannot change in place
    """
    stuck = [p for p in kind.fixed if differs(found.fields, wanted, p)]
    if stuck:
        raise AepConflictError(
            f"The {kind.label} {found.name!r} ({found.id}) exists and differs in what cannot change: "
            + "; ".join(f"{p} is {at(found.fields, p)!r}, wanted {at(wanted, p)!r}" for p in stuck),
            next_step="Choose another name, or change what is wanted to what exists.",
        )
    drifted = [p for p in kind.owned if differs(found.fields, wanted, p)]
    return drifted + [p for p in kind.includes if not set(at(wanted, p)) <= set(at(found.fields, p))]


def _check(client: AepClient, kind: Kind, wanted: Body) -> None:
    if kind.check and (refused := fresh(client, kind.check(wanted))):
        raise AepConfigurationError(
            f"AEP refuses the {kind.label} {wanted[kind.title]!r}: {'; '.join(refused)}",
            next_step="Correct what it names.",
        )


def fresh(client: AepClient, call: Call[T]) -> T:
    """Send a call that refers to an object which may have been made a moment ago: a 404 is looked at again.

    Safe for a create, too: one that is answered 404 has made nothing.

    :raises AepNotFoundError: still unknown after ``FRESH_WAITS``
    """
    for wait in FRESH_WAITS:
        try:
            return client.send(call)
        except AepNotFoundError:
            client.clock.sleep(wait)
    return client.send(call)


def eventually(client: AepClient, there: Callable[[], bool]) -> bool:
    """Whether something that may have been written a moment ago is there: AEP's reads lag behind its writes."""
    for wait in FRESH_WAITS:
        if there():
            return True
        client.clock.sleep(wait)
    return there()


async def afresh(client: AsyncAepClient, call: Call[T]) -> T:
    """:func:`fresh` on an event loop."""
    for wait in FRESH_WAITS:
        try:
            return await client.send(call)
        except AepNotFoundError:
            await client.clock.asleep(wait)
    return await client.send(call)


def settled(client: AepClient, kind: Kind, found: Found) -> Found:
    """Wait until a found object is in a state that can be used."""
    started = client.clock.now()
    while found.state not in _STABLE:
        if client.clock.now() - started > STATE_WAIT:
            raise AepUnavailableError(
                f"The {kind.label} {found.name!r} ({found.id}) is still {found.state!r} after {STATE_WAIT:.0f} s",
                next_step="Try again later.",
            )
        client.clock.sleep(5)
        found = kind.found(client.send(kind.get(found.id)))
    return found


def at(body: Mapping[str, Any], path: str) -> Any:
    """The value at a dot path, or ``None``."""
    node: Any = body
    for step in path.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def differs(have: Mapping[str, Any], want: Mapping[str, Any], path: str) -> bool:
    """Whether a wanted value is not there; what is not wanted is not compared, ``""`` and absent are the same."""
    wanted = at(want, path)
    return wanted is not None and _plain(at(have, path)) != _plain(wanted)


def _plain(value: Any) -> Any:
    """Numbers may come back as strings (Adobe's samples have both), and order of keys means nothing."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value or ""
    return str(value)


def checked_reference(value: object, field: str) -> dict[str, Any]:
    """An ``{"id", "version"}`` that an upstream task should have delivered.

    :raises AepConfigurationError: it is something else
    """
    if not isinstance(value, Mapping) or not {"id", "version"} <= set(value):
        raise AepConfigurationError(
            f'{field} is {value!r}, not {{"id", "version"}}', next_step="Pass the output of the task that returns it."
        )
    return {"id": value["id"], "version": value["version"]}


def checked_id(value: object, field: str) -> str:
    """An id that an upstream task should have delivered.

    :raises AepConfigurationError: it is empty, which means that the upstream task returned nothing
    """
    if not isinstance(value, str) or not value:
        raise AepConfigurationError(
            f"{field} is {value!r}, not an id", next_step="Pass the output of the task that creates it."
        )
    return value
