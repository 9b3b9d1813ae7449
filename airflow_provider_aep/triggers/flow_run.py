"""Waits for a flow run on the triggerer's event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_aep.client.errors import AepConfigurationError, AepError
from airflow_provider_aep.hooks.watching import GOES_ON
from airflow_provider_aep.onboarding.verdict import RunResult, Tolerance
from airflow_provider_aep.onboarding.watch import MAX_UNREACHABLE, Awaited, Patience
from airflow_provider_aep.triggers.hub import TimedOut, Wait, wait_for


class AepFlowRunTrigger(BaseTrigger):
    """Fires once, when the awaited run has ended or can no longer be watched.

    All waits of a triggerer for one credential and sandbox share one poller (:mod:`~.hub`). Nothing secret is among the
    arguments; they are JSON, and deadlines are moments, so that a restart of the triggerer changes nothing.

    The event is a dict with ``awaited``, ``unreachable`` and one of: ``result`` (the run as a dict), ``timed_out``, or
    ``error`` (a message) with ``retryable`` and ``retry_after``.

    :param flow_id: the flow
    :param run_id: the run; without it, the flow's first since a moment
    :param since: the moment; see :class:`~.onboarding.watch.Awaited`
    :param poke_interval: seconds between two looks
    :param seen: what is known of the run, as ``Awaited.as_dict`` gives it; ``None``: nobody has looked yet
    :param deadline: seconds since the epoch after which nothing is waited for any more
    :param no_run_deadline: likewise, as long as there is no run
    :param no_run_timeout: of a task that has started here: seconds from now on, for the same
    :param max_unreachable: seconds for which AEP may fail to answer without a break
    :param unreachable: since when it has not, in seconds since the epoch
    :param complete: whether the end is that of the run's batches, too
    :param tolerance: of a task that has started here: a run within it ends the task, without a worker
    """

    def __init__(
        self,
        *,
        flow_id: str,
        run_id: str | None = None,
        aep_conn_id: str = "aep_default",
        poke_interval: float = 60.0,
        since: Any = None,
        since_of: str = "created",
        seen: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        no_run_deadline: float | None = None,
        no_run_timeout: float | None = None,
        max_unreachable: float = MAX_UNREACHABLE,
        unreachable: float | None = None,
        complete: bool = False,
        tolerance: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow_id = flow_id
        self.run_id = run_id
        self.aep_conn_id = aep_conn_id
        self.poke_interval = poke_interval
        self.since = since
        self.since_of = since_of
        self.seen = seen
        self.deadline = deadline
        self.no_run_deadline = no_run_deadline
        self.no_run_timeout = no_run_timeout
        self.max_unreachable = max_unreachable
        self.unreachable = unreachable
        self.complete = complete
        self.tolerance = tolerance

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider_aep.triggers.flow_run.AepFlowRunTrigger",
            {
                "flow_id": self.flow_id,
                "run_id": self.run_id,
                "aep_conn_id": self.aep_conn_id,
                "poke_interval": self.poke_interval,
                "since": self.since,
                "since_of": self.since_of,
                "seen": self.seen,
                "deadline": self.deadline,
                "no_run_deadline": self.no_run_deadline,
                "no_run_timeout": self.no_run_timeout,
                "max_unreachable": self.max_unreachable,
                "unreachable": self.unreachable,
                "complete": self.complete,
                "tolerance": self.tolerance,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        event = await self._event()
        if self.tolerance is not None and "result" in event and (result := self._accepted(event)):
            yield TaskSuccessEvent(xcoms={"return_value": result})
        else:
            yield TriggerEvent(event)

    async def _event(self) -> dict[str, Any]:
        awaited: Awaited | None = None
        patience = Patience(self.max_unreachable, self.unreachable)
        no_run_deadline = self.no_run_deadline
        if self.no_run_timeout is not None:
            no_run_deadline = time.time() + self.no_run_timeout
        try:
            awaited = self._awaited()
            wait = Wait(
                awaited,
                float(self.poke_interval),
                self.deadline,
                no_run_deadline,
                looked=self.seen is not None,
                complete=self.complete,
                patience=patience,
            )
            try:
                seen = await wait_for(self.aep_conn_id, wait)
            finally:
                awaited = wait.awaited
        except TimedOut:
            event: dict[str, Any] = {"timed_out": True}
        except AepError as e:
            event = {"error": str(e), "retryable": e.retryable, "retry_after": e.retry_after}
        else:
            result = seen.result
            event = {"result": result.as_dict() if result else None, "remarks": list(seen.remarks)}
        known = awaited.as_dict() if awaited else None
        return {**event, "awaited": known, "complete": self.complete, "unreachable": patience.since}

    def _awaited(self) -> Awaited:
        """
        :raises AepConfigurationError: what came out of a template is no id, moment or number
        """
        if self.seen is not None:
            return Awaited.of(self.seen)
        try:
            float(self.poke_interval)
        except (TypeError, ValueError):
            raise AepConfigurationError(
                f"poke_interval is {self.poke_interval!r}", next_step="It must be a number of seconds above 0."
            ) from None
        return Awaited.asked(self.flow_id, self.run_id, self.since, self.since_of)

    def _accepted(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of a run that is as good as it must be, without a word to be said about it."""
        result = RunResult(**event["result"])
        tolerance = Tolerance(**(self.tolerance or {}))
        good = tolerance.accepts(result) and not tolerance.warns(result) and not event["remarks"]
        return result.as_dict() if good else None

    async def on_kill(self) -> None:
        """Airflow calls this when a person ends the task, and also, at times, when the wait moves to another
        triggerer; so nothing is done, and AEP has no way to cancel a run anyway."""
        self.log.info(GOES_ON)
