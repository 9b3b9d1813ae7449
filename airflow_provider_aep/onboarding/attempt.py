"""Who makes sure of something, on which terms, and what its earlier tries have noted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.onboarding.identity import nonce

SETTLE = 60.0
"""Seconds after which AEP's lists show what a create made whose answer was lost, or it was not carried out."""


class Memory(Protocol):
    """What outlives a try of a task. A JSON value by key; ``None`` is none."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True)
class Note:
    """What the tries of one task know of one thing; always empty where nothing outlives a try."""

    memory: Memory | None
    key: str

    def read(self) -> dict[str, Any]:
        return (self.memory.get(self.key) if self.memory is not None else None) or {}

    def write(self, **note: Any) -> None:
        if self.memory is not None:
            self.memory.set(self.key, note)


@dataclass(frozen=True)
class Attempt:
    """Who makes sure of an object, on which terms, and what is known of earlier tries.

    :param nonce: who; the same for all tries of one task
    :param tried_before: somebody of this nonce may have sent a create and not lived to hear of it
    :param since: when it began to be tried, in seconds since the epoch
    :param memory: says whether they did, and what came of it; never needed for correctness
    :param settle: seconds after which AEP's lists show what a create made
    :param if_exists: ``update`` mends what differs; ``adopt`` takes it as it is; ``fail`` wants it made by this task
    :param take_over: mark and mend one that is not ours
    :param enable: enable a disabled one
    :param replace: let a new one take the place of one of ours that differs in what cannot change
    :param concurrent_writers: somebody else may make the same at this moment
    """

    nonce: str = field(default_factory=nonce)
    tried_before: bool = False
    since: float = 0.0
    memory: Memory | None = None
    settle: float = SETTLE
    if_exists: str = "update"
    take_over: bool = False
    enable: bool = False
    replace: bool = False
    concurrent_writers: bool = False

    def __post_init__(self) -> None:
        """:raises AepConfigurationError: a value that means nothing; told before anything is asked"""
        if self.if_exists not in {"update", "adopt", "fail"}:
            raise AepConfigurationError(
                f"if_exists is {self.if_exists!r}", next_step="It must be update, adopt or fail."
            )
        for name in ("take_over", "enable", "replace", "concurrent_writers"):
            if not isinstance(getattr(self, name), bool):
                raise AepConfigurationError(f"{name} is {getattr(self, name)!r}", next_step="It must be True or False.")
        if self.if_exists != "update" and (self.take_over or self.replace):
            raise AepConfigurationError(
                f"if_exists is {self.if_exists!r}, and what there is shall be taken over or replaced",
                next_step="Leave if_exists out, or take_over and replace.",
            )
        if not 0 <= self.settle < math.inf:
            raise AepConfigurationError(
                f"settle is {self.settle!r}", next_step="Set [aep] settle to a number of seconds."
            )

    def note(self, key: str) -> Note:
        return Note(self.memory, key)
