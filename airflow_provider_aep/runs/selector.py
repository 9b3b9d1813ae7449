"""Run selector: which flow run a wait is for, by run id or as the first run since a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.models import Run
from airflow_provider_aep.client.validation import validate_id, validate_timestamp

CREATED, WINDOW = "created", "window"

VERSION = 1
"""Version of the JSON form. A reader ignores keys that it does not know."""


@dataclass(frozen=True, slots=True)
class RunSelector:
    """A run by its id, or the first run of a flow since a time, with the facts that polls have observed.

    :param flow_id: id of the flow
    :param run_id: id of the run; ``None`` until a poll finds the run
    :param since: seconds since the epoch; ``None`` for the flow's creation
    :param since_of: whether ``since`` is compared with the time a run was ``created``, or with its ``window`` start
    :param window: start and end in seconds since the epoch, once observed; a later run of the same window replaces a
        failed run
    :param created: creation time of the run in milliseconds since the epoch; 0 until observed
    """

    flow_id: str
    run_id: str | None = None
    since: float | None = None
    since_of: str = CREATED
    window: tuple[int, int] | None = None
    created: int = 0

    def __post_init__(self) -> None:
        """Validate ``since_of``.

        :raises AepConfigurationError: ``since_of`` is neither ``created`` nor ``window``
        """
        if self.since_of not in {CREATED, WINDOW}:
            raise AepConfigurationError(
                f"since_of is {self.since_of!r}, which is not supported",
                next_step=f"Set since_of to {CREATED} or {WINDOW}.",
            )

    @classmethod
    def parse(cls, flow_id: object, run_id: object, since: object, since_of: str) -> RunSelector:
        """Return the selector for an operator's arguments.

        :param flow_id: rendered argument of the same name, and so are the others
        :param run_id: empty, ``None`` or ``"None"`` for no id
        :param since: ISO 8601, a datetime, or seconds since the epoch
        :param since_of: ``created`` or ``window``
        :raises AepConfigurationError: an argument has a value of another form
        """
        run = None if run_id in {None, "", "None"} else validate_id(run_id, "run_id")
        return cls(validate_id(flow_id, "flow_id"), run, validate_timestamp(since, "since"), since_of)

    def __str__(self) -> str:
        if self.run_id:
            return f"run {self.run_id} of flow {self.flow_id}"
        return f"the first run of flow {self.flow_id}"

    def with_run(self, run: Run) -> RunSelector:
        """Return the selector with the id, creation time and window of an observed run."""
        start, end = run.window
        window = None if start is None or end is None else (start, end)
        return replace(self, run_id=run.id, created=run.createdAt, window=window)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults as JSON."""
        values = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != f.default}
        return {"version": VERSION, **values}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RunSelector:
        """Return the selector that :meth:`as_dict` wrote, perhaps in another release."""
        values = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        window = values.get("window")
        return cls(**{**values, "window": tuple(window) if window else None})
