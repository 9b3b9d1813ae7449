"""Wait for a run in a task: poll, resume after a trigger, accept or reject.

Poking, rescheduling and deferring tasks share this module, so they accept and reject alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.client.errors import AepConfigurationError, AepError
from airflow_provider_aep.client.retries import DEADLINE
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.client.steps import Steps, run_steps
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError, airflow_errors
from airflow_provider_aep.runs.diagnostics import describe_failures
from airflow_provider_aep.runs.observation import Observation, OutageBudget, observe, observe_batches
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runs.verdict import RunResult, Tolerance

GRACE = 60.0
"""Seconds that the triggerer has, in addition to the poll interval, to report a timeout before Airflow does."""

RUN_CONTINUES = "This wait ends here. The run itself continues in AEP, which cannot cancel it"


class ClientSource(Protocol):
    """A factory of clients for one Airflow connection, such as a hook."""

    @property
    def settings(self) -> AepSettings:
        """The connection's settings."""

    def get_conn(self, deadline: float = DEADLINE) -> AepClient:
        """Return a client.

        :param deadline: seconds after which a call is no longer retried
        """


def trigger_failure(next_kwargs: Mapping[str, Any] | None, timed_out: Exception) -> Exception:
    """Return the exception for a task whose trigger failed or timed out.

    :param next_kwargs: as Airflow passes them to ``resume_execution``
    :param timed_out: the exception to return for a trigger that timed out
    """
    cause = str((next_kwargs or {}).get("error"))
    if "timeout" in cause.lower():
        return timed_out
    return AepRetryableError(f"The trigger of the wait failed ({cause}). Next step: Look at the triggerer's log.")


@dataclass(frozen=True)
class RunWait:
    """The wait of one task for a run.

    :param hook: opens clients
    :param log: logger of the task
    :param page: returns the address of an object in AEP's user interface
    :param tolerance: the partial and empty runs that the task accepts
    :param check_batches: whether the run's batches must have landed before the wait ends
    :param sample_rows: number of failed rows in the log of a bad run
    """

    hook: ClientSource
    log: Any  # The class of Airflow's logger differs between versions.
    page: Callable[..., str]
    tolerance: Tolerance
    check_batches: bool = True
    sample_rows: int = 0

    @classmethod
    def from_task(cls, task: Any, hook: ClientSource, page: Callable[..., str]) -> RunWait:
        """Return the wait that the arguments of a task describe.

        :param task: has the arguments of :class:`~.sensors.flow_run.AepFlowRunSensor`
        :param hook: opens clients
        :param page: returns the address of an object in AEP's user interface
        :raises AepConfigurationError: an argument has a value that is not allowed
        """
        rows = task.log_sample_rows
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
            raise AepConfigurationError(
                f"log_sample_rows is {rows!r}, not a number of rows",
                next_step="Set log_sample_rows to a number of rows, 0 or more.",
            )
        tolerance = Tolerance(task.on_partial, task.max_failed_ratio, task.max_failed_records, task.on_empty)
        return cls(hook, task.log, page, tolerance, task.check_batches, rows)

    def poll(self, selector: RunSelector, outage_budget: OutageBudget) -> Observation:
        """Poll the run once. During an outage within the budget, the observation has no result.

        :param selector: the run
        :param outage_budget: of the wait
        :raises AepPermanentError: no later poll can succeed
        :raises AepRetryableError: the outage budget is used up
        """
        return self._observe(partial(observe, selector), Observation(selector), outage_budget)

    def resume(self, event: Mapping[str, Any] | None, outage_budget: OutageBudget) -> Observation | None:
        """Return the observation in a trigger's event; ``None`` if the trigger's deadline has passed.

        :param event: of :class:`~.triggers.flow_run.AepFlowRunTrigger`
        :param outage_budget: receives the outage that the trigger reports
        :raises AepPermanentError: no later poll can succeed, or the event has another form
        :raises AepRetryableError: the outage budget is used up
        """
        if not isinstance(event, Mapping):
            raise _unknown_event_error(event)
        if "error" in event:
            if event.get("retryable"):
                raise AepRetryableError(str(event["error"]), event.get("retry_after"))
            raise AepPermanentError(str(event["error"]))
        if event.get("timed_out"):
            return None
        if not event.get("result") or not event.get("selector"):
            raise _unknown_event_error(event)
        selector, result = RunSelector.from_dict(event["selector"]), RunResult.from_dict(event["result"])
        if event.get("complete"):
            return Observation(selector, result, tuple(event.get("remarks") or ()))
        outage_budget.since = event.get("unreachable")
        steps = partial(observe_batches, selector, result)
        return self._observe(steps, Observation(selector, ended=self.check_batches), outage_budget)

    def _observe(
        self, steps: Callable[..., Steps[Observation]], otherwise: Observation, outage_budget: OutageBudget
    ) -> Observation:
        """Return the observation of the steps, or ``otherwise`` during an outage."""
        deadline = max(min(outage_budget.limit, DEADLINE), 1)
        with airflow_errors(), self.hook.get_conn(deadline) as client:
            asked_at = client.clock.now()
            try:
                observation = run_steps(client, steps(client.server_now, check_batches=self.check_batches))
            except AepError as e:
                outage_budget.spend(e, asked_at, client.clock.now())
                self.log.warning("AEP is unreachable; the wait for %s continues: %s", otherwise.selector, e)
                return otherwise
        outage_budget.reset()
        return observation

    def accept(self, observation: Observation, rejection: type[Exception] = AepPermanentError) -> dict[str, Any]:
        """Return an accepted run as a dict, and log details of a partial, failed or rejected run.

        :param observation: a final one
        :param rejection: class of the exception for a run that the tolerance does not accept
        :raises AepPermanentError: the tolerance does not accept the run, with the default ``rejection``
        """
        result = observation.result
        assert result is not None
        for remark in observation.remarks:
            self.log.warning(remark)
        is_accepted, needs_warning = self.tolerance.accepts(result), self.tolerance.warns(result)
        if not is_accepted or needs_warning:
            self._describe(result)
        if not is_accepted:
            raise rejection(f"Not accepted: {result.summary()}. Next step: {result.next_step}")
        (self.log.warning if needs_warning else self.log.info)("Accepted: %s", result.summary())
        return result.as_dict()

    def _describe(self, result: RunResult) -> None:
        try:
            with self.hook.get_conn() as client:
                for line in run_steps(client, describe_failures(result, rows=self.sample_rows)):
                    self.log.warning(line)
                page = self.page(self.hook.settings, "run", result.flow_id, result.run_id)
                self.log.warning("Open run %s in Experience Platform: %s", result.run_id, page)
        except AepError as e:  # A missing description must not change the verdict.
            self.log.warning("AEP returned no details of run %s: %s", result.run_id, e)


def _unknown_event_error(event: object) -> AepPermanentError:
    return AepPermanentError(
        f"Unknown event of the trigger: {event!r}. Next step: Install one version of this provider in workers and "
        "triggerers, and clear the task."
    )
