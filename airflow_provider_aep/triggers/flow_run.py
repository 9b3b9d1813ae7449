"""Trigger that waits for a flow run in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_aep.client.clock import SYSTEM_CLOCK
from airflow_provider_aep.client.errors import AepConfigurationError, AepError
from airflow_provider_aep.runs.observation import MAX_UNREACHABLE, OutageBudget
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runs.verdict import RunResult, Tolerance
from airflow_provider_aep.runtime.compat import TRIGGER_VERSION, check_unknown_arguments
from airflow_provider_aep.runtime.poller import TimedOut, Wait, wait_for
from airflow_provider_aep.runtime.run_wait import RUN_CONTINUES


class AepFlowRunTrigger(BaseTrigger):
    """Fire once, when the run has ended or no later poll can succeed.

    All waits of a triggerer for one credential and sandbox share one poller; see
    :mod:`airflow_provider_aep.runtime.poller`. The arguments are JSON and hold no secret. Deadlines are points in time,
    so a restart of the triggerer does not extend them.

    The event is a dict with ``selector``, ``unreachable``, ``complete`` and one of these:

    - ``result``, the run as a dict, and ``remarks`` for the log
    - ``timed_out``
    - ``error``, a message, with ``retryable`` and ``retry_after``

    :param flow_id: id of the flow
    :param run_id: id of the run; ``None`` for the flow's first run since ``since``
    :param aep_conn_id: id of an Airflow connection of type ``aep``
    :param poke_interval: seconds between two polls
    :param since: see :class:`~.selector.RunSelector`
    :param since_of: see :class:`~.selector.RunSelector`
    :param selector: the run selector after earlier polls, as ``RunSelector.as_dict`` returns it; ``None`` before the
        first poll
    :param deadline: end of the wait in seconds since the epoch; ``None`` for no deadline
    :param no_run_deadline: the same for a wait whose run does not exist yet
    :param no_run_timeout: seconds from the start of the trigger to ``no_run_deadline``, for a task that starts in the
        triggerer
    :param max_unreachable: outage budget: seconds for which AEP may be unreachable without a break
    :param unreachable: start of the current outage in seconds since the epoch; ``None`` while AEP answers
    :param complete: whether the run's batches must have landed before the trigger fires
    :param tolerance: arguments of :class:`~.verdict.Tolerance`, for a task that starts in the triggerer: an accepted
        run ends the task without a worker
    :param version: of the serialized arguments; with it, unknown arguments of another release are ignored
    :raises TypeError: an argument is unknown, and there is no version
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
        selector: Mapping[str, Any] | None = None,
        deadline: float | None = None,
        no_run_deadline: float | None = None,
        no_run_timeout: float | None = None,
        max_unreachable: float = MAX_UNREACHABLE,
        unreachable: float | None = None,
        complete: bool = False,
        tolerance: Mapping[str, Any] | None = None,
        version: int | None = None,
        **other: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        check_unknown_arguments(version, other)
        self.flow_id = flow_id
        self.run_id = run_id
        self.aep_conn_id = aep_conn_id
        self.poke_interval = poke_interval
        self.since = since
        self.since_of = since_of
        self.selector = selector
        self.deadline = deadline
        self.no_run_deadline = no_run_deadline
        self.no_run_timeout = no_run_timeout
        self.max_unreachable = max_unreachable
        self.unreachable = unreachable
        self.complete = complete
        self.tolerance = tolerance

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and the arguments, for Airflow's database."""
        return (
            "airflow_provider_aep.triggers.flow_run.AepFlowRunTrigger",
            {
                "flow_id": self.flow_id,
                "run_id": self.run_id,
                "aep_conn_id": self.aep_conn_id,
                "poke_interval": self.poke_interval,
                "since": self.since,
                "since_of": self.since_of,
                "selector": self.selector,
                "deadline": self.deadline,
                "no_run_deadline": self.no_run_deadline,
                "no_run_timeout": self.no_run_timeout,
                "max_unreachable": self.max_unreachable,
                "unreachable": self.unreachable,
                "complete": self.complete,
                "tolerance": self.tolerance,
                "version": TRIGGER_VERSION,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the run, and yield one event."""
        event = await self._wait_for_event()
        if self.tolerance is not None and "result" in event and (result := self._accepted_result(event)):
            yield TaskSuccessEvent(xcoms={"return_value": result})
        else:
            yield TriggerEvent(event)

    async def _wait_for_event(self) -> dict[str, Any]:
        selector: RunSelector | None = None
        outage_budget = OutageBudget(self.max_unreachable, self.unreachable)
        no_run_deadline = self.no_run_deadline
        if self.no_run_timeout is not None:
            no_run_deadline = SYSTEM_CLOCK.now() + self.no_run_timeout
        try:
            selector = self._run_selector()
            wait = Wait(
                selector,
                float(self.poke_interval),
                self.deadline,
                no_run_deadline,
                is_polled=self.selector is not None,
                check_batches=self.complete,
                outage_budget=outage_budget,
            )
            try:
                observation = await wait_for(self.aep_conn_id, wait)
            finally:
                selector = wait.selector
        except TimedOut:
            event: dict[str, Any] = {"timed_out": True}
        except AepError as e:
            event = {"error": str(e), "retryable": e.retryable, "retry_after": e.retry_after}
        else:
            result = observation.result
            event = {"result": result.as_dict() if result else None, "remarks": list(observation.remarks)}
        return {
            **event,
            "selector": selector.as_dict() if selector else None,
            "complete": self.complete,
            "unreachable": outage_budget.since,
        }

    def _run_selector(self) -> RunSelector:
        """Return the run selector of earlier polls, or a new one from the arguments.

        :raises AepConfigurationError: a rendered template has a value of another form
        """
        if self.selector is not None:
            return RunSelector.from_dict(self.selector)
        try:
            float(self.poke_interval)
        except (TypeError, ValueError):
            raise AepConfigurationError(
                f"poke_interval is {self.poke_interval!r}, not a number of seconds",
                next_step="Set poke_interval to a number of seconds above 0.",
            ) from None
        return RunSelector.parse(self.flow_id, self.run_id, self.since, self.since_of)

    def _accepted_result(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result of a run that is accepted without a warning or remark; ``None`` for another run."""
        result = RunResult.from_dict(event["result"])
        known = {field.name for field in fields(Tolerance)}
        tolerance = Tolerance(**{name: value for name, value in (self.tolerance or {}).items() if name in known})
        is_accepted = tolerance.accepts(result) and not tolerance.warns(result) and not event["remarks"]
        return result.as_dict() if is_accepted else None

    async def on_kill(self) -> None:
        """Log that the run continues in AEP, because AEP cannot cancel it.

        Airflow may also call this method when the wait moves to another triggerer.
        """
        self.log.info(RUN_CONTINUES)
