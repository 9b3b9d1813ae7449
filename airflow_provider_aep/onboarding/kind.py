"""What the engine knows of an object, and of a kind of objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.onboarding.identity import Marker, signed

Body = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """An object as it is in AEP.

    :param fields: the body in the form that a create would send it, as far as AEP returns it, without our marker
    :param result: what a task returns for it: the id, or id and version
    :param marker: what it says it was made for, and by whom; ``None``: not made by us
    :param created: milliseconds since the epoch, by AEP's clock; 0 where it does not say
    """

    id: str
    name: str
    fields: Body
    result: Any
    state: str = ""
    marker: Marker | None = None
    created: int = 0


def in_description(body: Body, marker: Marker) -> Body:
    """Where most kinds carry the marker."""
    return {**body, "description": signed(body.get("description"), marker)}


@dataclass(frozen=True)
class Kind:
    """What the engine must know about one kind of object.

    :param label: Adobe's noun
    :param title: the body's field that holds the name
    :param scope: dot path of what belongs to an object's identity beside its name; another one of the name is an error
    :param find: the list of candidates with a name; compared exactly afterwards
    :param get: one object by id
    :param create: the call that creates it; ``created`` reads its result
    :param mend: the call that writes the owned fields of a found object, given a body and the paths that differ
    :param fixed: dot paths that are compared and cannot change in place
    :param owned: dot paths that are compared and mended
    :param includes: dot paths of lists in which every wanted entry must be; mended by adding
    :param short: whether a list gives a short form, so that a candidate is read again before it is compared
    :param check: AEP's own validation of a body, sent before a write only; the call answers what it refuses
    :param sign: a body with our marker; ``None``: the kind has a natural key, and of two with it either will do
    :param born: a body for a create at a moment (seconds since the epoch), or later by some seconds
    :param publish: makes a draft one that can be used; ``None``: there are no drafts
    :param enable: lets a disabled one run; ``None``: nothing but AEP disables it
    :param remove: deletes it; ``None``: it stays, and does no harm
    :param idle: whether it holds nothing, where ``remove`` would take along what it holds
    :param revive: moves the start of a draft that has passed before it is published
    :param elsewhere: where else it may be found, if AEP does not find it by its name
    :param guard: raises if it must not be changed
    :param rename: gives it another name and description, so that a new one can take its place; ``None``: it is never
        replaced, because what it holds would stay behind
    :param rest: brings it to rest before it is replaced, given ``settle``; raises if it must not be
    :param succeed: a body for what takes the place of others that were replaced, and
        what is to be said of it
    :param spare: whether more than one of a name may be there: the eldest is used, the others do no harm
    """

    label: str
    scope: str
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
    sign: Callable[[Body, Marker], Body] | None = in_description
    born: Callable[[Body, float, float], Body] = lambda body, now, later: body
    publish: Callable[[str], Call[Any]] | None = None
    enable: Callable[[str], Call[Any]] | None = None
    remove: Callable[[str], Call[Any]] | None = None
    idle: Callable[[str], Call[bool]] | None = None
    spare: bool = False
    revive: Callable[[Found, Body, float], Call[Any] | None] = lambda found, wanted, now: None
    elsewhere: Callable[[AepClient], Iterable[Found]] = lambda client: ()
    guard: Callable[[AepClient, Found], None] = lambda client, found: None
    rename: Callable[[Found, str, str], Call[Any]] | None = None
    rest: Callable[[AepClient, Found, Body, float], None] = lambda client, found, wanted, settle: None
    succeed: Callable[[AepClient, Body], tuple[Body, str]] = lambda client, body: (body, "")
