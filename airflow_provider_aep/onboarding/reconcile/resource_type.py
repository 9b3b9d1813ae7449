"""Interfaces between reconciler and resource types: desired state, observed state, field policy and capabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from airflow_provider_aep.client.call import Call, Page
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.onboarding.reconcile.marker import Marker, add_marker

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Desired(ABC):
    """The desired state of one object.

    :param name: the object's name, or title
    :param description: description for users; ``None`` keeps the description of an existing object
    :param draft: whether a new object stays a draft, where the resource type supports drafts
    """

    name: str
    description: str | None = None
    draft: bool = False

    @abstractmethod
    def fields(self) -> Body:
        """Return the comparable fields, in the form in which :meth:`ResourceType.observe` returns them.

        An absent field and a ``None`` are neither compared nor sent.
        """


@dataclass(frozen=True)
class Observed:
    """The observed state of one object.

    :param fields: the body in the form of a create request, as far as AEP returns it, without our marker
    :param result: return value of a task for the object: its id, or its id and version
    :param state: AEP's lifecycle state; empty if the object has none
    :param marker: our marker; ``None`` without one
    :param created: creation time in milliseconds since the epoch; 0 if AEP does not return it
    :param is_partial: whether a list returned a short form, so that the object must be read to compare it
    """

    id: str
    name: str
    fields: Body
    result: Any
    state: str = ""
    marker: Marker | None = None
    created: int = 0
    is_partial: bool = False


@dataclass(frozen=True)
class Difference:
    """The difference of one field.

    :param path: dot path
    :param immutable: whether AEP cannot update the field in place
    :param rule: AEP's rule that an update would break, in place of the values; empty for none
    """

    path: str
    observed: Any = None
    desired: Any = None
    immutable: bool = False
    rule: str = ""

    def __str__(self) -> str:
        if self.rule:
            return f"{self.path}: {self.rule}"
        return f"{self.path} is {self.observed!r}, desired is {self.desired!r}"


@dataclass(frozen=True)
class FieldPolicy:
    """Dot paths of a resource type's fields, by their treatment.

    Other fields are create-only (sent, never compared) or managed by AEP.

    :param immutable: compared; a difference cannot be updated in place
    :param managed: compared; a difference is updated
    :param required_members: lists that must contain every desired entry; missing entries are added
    """

    immutable: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    required_members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dependents:
    """The kind of objects that may refer to an object.

    :param label: label of the referring objects
    :param list_all: returns the call that lists all of them
    :param refers_to: returns the ids that one of them refers to
    """

    label: str
    list_all: Callable[[], Call[Page[Any]]]
    refers_to: Callable[[Any], Iterable[Any]]


@dataclass(frozen=True)
class CreateOptions:
    """Options of a create request that are not part of the desired state.

    :param marker: our marker; ``None`` for a resource type without one
    :param draft: whether to create a draft
    :param now: AEP's time in seconds since the epoch
    :param start_delay: seconds to add to a start time that is relative to now
    """

    marker: Marker | None = None
    draft: bool = False
    now: float = 0.0
    start_delay: float = 0.0


D = TypeVar("D", bound=Desired)


class ResourceType(ABC, Generic[D]):
    """One kind of AEP object. ``onboarding/resources/`` contains a subclass for each.

    :cvar label: Adobe's noun for the objects
    :cvar parent: dot path of the parent field; empty for none. Objects with the same name and different parents are
        different objects
    :cvar policy: how fields are compared
    :cvar name_field: field of the body that contains the name
    :cvar allows_duplicates: whether several objects of one name may exist; the oldest is used, the others are unused
    :cvar has_marker: whether objects have our marker; without it the name is a natural key
    :cvar page: path of an object's page in the user interface of Experience Platform; ``{0}`` stands for the id
    :cvar dependents: the objects that may refer to an object of this type
    :cvar deletion_order: position in a teardown; the lowest is deleted first
    """

    label: ClassVar[str]
    parent: ClassVar[str]
    policy: ClassVar[FieldPolicy]
    page: ClassVar[str]
    name_field: ClassVar[str] = "name"
    allows_duplicates: ClassVar[bool] = False
    has_marker: ClassVar[bool] = True
    dependents: ClassVar[tuple[Dependents, ...]] = ()
    deletion_order: ClassVar[int] = 0

    @abstractmethod
    def find(self, name: str) -> Call[Page[Any]]:
        """Return the call that lists candidates for a name. The reconciler then compares names exactly."""

    @abstractmethod
    def read(self, id_: str) -> Call[Any]:
        """Return the call that reads one object."""

    @abstractmethod
    def observe(self, answer: Any) -> Observed:
        """Return the observed state in a result of :meth:`find` or :meth:`read`."""

    @abstractmethod
    def create(self, desired: D, options: CreateOptions) -> Call[Any]:
        """Return the call that creates an object."""

    def body(self, desired: D, options: CreateOptions) -> Body:
        """Return the desired fields with our marker: the body of most create requests."""
        return self.with_marker(desired.fields(), options.marker) if options.marker else desired.fields()

    def parse_created(self, answer: Any) -> tuple[str, Any]:
        """Return the id of a new object, and the task's return value, from the result of :meth:`create`."""
        return answer.id, answer.id

    @abstractmethod
    def update(self, observed: Observed, fields: Body, paths: Sequence[str]) -> Call[Any]:
        """Return the call that writes the fields at some dot paths.

        :param fields: the desired fields, with the marker in the description
        :param paths: dot paths of the fields to write
        """

    def parse_updated(self, observed: Observed, answer: Any) -> Any:
        """Return the task's return value from the result of :meth:`update`."""
        return observed.result

    def with_marker(self, fields: Body, marker: Marker) -> Body:
        """Return fields with our marker, by default at the end of the description."""
        return {**fields, "description": add_marker(fields.get("description"), marker)}

    def policy_for(self, desired: D) -> FieldPolicy:
        """Return the field policy for one desired state."""
        return self.policy

    def more_differences(self, observed: Observed, desired: D) -> Iterable[Difference]:
        """Return the differences that a field policy cannot express."""
        return ()

    def validate(self, desired: D) -> Iterable[Call[Sequence[str]]]:
        """Return the calls by which AEP validates a desired state without a write; each result lists problems."""
        return ()

    def find_fallback(self, client: AepClient, desired: D) -> Iterable[Observed]:
        """Return candidates that AEP cannot find by name."""
        return ()

    def check_update(self, client: AepClient, observed: Observed, desired: D) -> None:
        """Raise if an object must not be updated.

        :raises AepConflictError: another flow uses it
        """


@runtime_checkable
class SupportsDrafts(Protocol):
    """A resource type whose objects may be created as drafts and published later."""

    def publish(self, id_: str) -> Call[Any]:
        """Return the call that publishes a draft."""

    def reschedule_draft(self, observed: Observed, desired: Any, now: float) -> Call[Any] | None:
        """Return the call that moves a draft's start if it has passed; ``None`` if it has not."""


@runtime_checkable
class SupportsEnabling(Protocol):
    """A resource type whose objects may be disabled and enabled."""

    def enable(self, id_: str) -> Call[Any]:
        """Return the call that enables an object."""


@runtime_checkable
class Replaceable(Protocol):
    """A resource type whose objects a successor may replace."""

    def rename(self, observed: Observed, name: str, description: str) -> Call[Any]:
        """Return the call that gives an object another name and description."""


@runtime_checkable
class SupportsHandover(Protocol):
    """A replaceable resource type whose objects must be stopped before a successor takes over."""

    def quiesce(self, client: AepClient, observed: Observed, desired: Any, grace_period: float) -> None:
        """Stop an object before it is replaced.

        :param grace_period: read lag of AEP's lists after a create, in seconds
        :raises AepConfigurationError: a successor would ingest every row again
        :raises AepUnavailableError: a run has not ended yet
        """

    def prepare_successor(self, client: AepClient, desired: Any) -> tuple[Any, str]:
        """Return the desired state of a successor, and a remark for the log, which may be empty."""


@runtime_checkable
class Deletable(Protocol):
    """A resource type whose objects can be deleted."""

    def delete(self, id_: str) -> Call[Any]:
        """Return the call that deletes an object."""


@runtime_checkable
class HoldsData(Protocol):
    """A resource type whose deletion also deletes the rows that an object holds."""

    def is_empty(self, id_: str) -> Call[bool]:
        """Return the call that reads whether an object holds no data."""


def at(fields: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dot path; ``None`` if a field is absent."""
    node: Any = fields
    for step in path.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def drop_none(**values: Any) -> Body:
    """Return a dict of the values that are not ``None``."""
    return {key: value for key, value in values.items() if value is not None}
