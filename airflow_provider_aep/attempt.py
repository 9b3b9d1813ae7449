"""One try of a task: its identity (nonce), its task state, and the creation grace period."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_aep.client.errors import AepConfigurationError

CREATION_GRACE_PERIOD = 60.0
"""Seconds after which AEP did not execute a create with a lost response, if its lists do not show the object."""

STATE_VERSION = 1
"""Version of a stored task state. A reader ignores unknown keys."""


class TaskStateStore(Protocol):
    """Storage of JSON values that all tries of one task share."""

    def get(self, key: str) -> Any:
        """Return the stored value; ``None`` if the key has none."""

    def set(self, key: str, value: Any) -> None:
        """Store a value."""


@dataclass(frozen=True)
class TaskState:
    """The values that the tries of one task store under one key.

    :param store: ``None`` if Airflow provides no storage; then the state is always empty
    :param key: key in the store
    """

    store: TaskStateStore | None
    key: str

    def read(self) -> dict[str, Any]:
        """Return the stored values without their version; empty if the stored value is not a JSON object."""
        stored = self.store.get(self.key) if self.store is not None else None
        return {k: v for k, v in stored.items() if k != "version"} if isinstance(stored, dict) else {}

    def write(self, **values: Any) -> None:
        """Replace the stored values; without values, the state becomes empty."""
        if self.store is not None:
            self.store.set(self.key, {**values, "version": STATE_VERSION} if values else {})


@dataclass(frozen=True)
class Attempt:
    """One try of a task.

    :param nonce: identifies the task; all tries of a task share it
    :param tried_before: whether an earlier try may have sent a create and ended before it stored this fact
    :param since: due time of the task's DAG run, in seconds since the epoch
    :param store: storage of the task state; ``None`` without one. It saves waits; correctness does not depend on it
    :param creation_grace_period: seconds after which AEP's lists show a created object
    """

    nonce: str = field(default_factory=lambda: task_nonce())
    tried_before: bool = False
    since: float = 0.0
    store: TaskStateStore | None = None
    creation_grace_period: float = CREATION_GRACE_PERIOD

    def __post_init__(self) -> None:
        """Validate the grace period.

        :raises AepConfigurationError: it is not a number of seconds
        """
        if not 0 <= self.creation_grace_period < math.inf:
            raise AepConfigurationError(
                f"creation_grace_period is {self.creation_grace_period!r}, not a number of seconds",
                next_step="Set [aep] creation_grace_period to a number of seconds, 0 or more.",
            )

    def state(self, key: str) -> TaskState:
        """Return the task state under a key."""
        return TaskState(self.store, key)


def task_nonce(*task: object) -> str:
    """Return the nonce of a task, in 12 hexadecimal digits. All tries of a task have the same nonce.

    :param task: values that identify the task; without any, the nonce is random
    """
    parts = list(task) if task else [uuid.uuid4().hex]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]
