"""What a task does about a run that it waits for, whichever way it waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_aep.client.client import DEADLINE
from airflow_provider_aep.client.errors import AepConfigurationError, AepError
from airflow_provider_aep.client.steps import Steps, follow
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError, airflow_errors
from airflow_provider_aep.hooks.aep import AepHook
from airflow_provider_aep.onboarding.diagnostics import described
from airflow_provider_aep.onboarding.verdict import RunResult, Tolerance
from airflow_provider_aep.onboarding.watch import Awaited, Patience, Seen, concluded, look

LOST = "__fail__"
"""Where Airflow resumes a task whose trigger has failed, or has not fired in time."""

GRACE = 60.0
"""Seconds, beside the interval, that the triggerer has to say itself that the time is over, before Airflow does."""

GOES_ON = "This wait ends here; the run itself goes on in AEP, which cannot cancel it"


def lost(next_kwargs: Mapping[str, Any] | None, late: Exception) -> Exception:
    """What to raise in a task that is resumed at ``LOST``.

    :param late: for a trigger that has not fired in time
    """
    why = str((next_kwargs or {}).get("error"))
    if "timeout" in why.lower():
        return late
    return AepRetryableError(f"The triggerer lost the wait ({why}). Next step: look at the triggerer's log")


@dataclass(frozen=True)
class Watching:
    """
    :param log: of the task
    :param link: the address of a run in AEP's user interface
    :param rows: how many failed rows the log shows
    """

    aep_conn_id: str
    log: Any  # Airflow's logger is another class in each version
    link: Callable[..., str]
    tolerance: Tolerance
    check_batches: bool = True
    rows: int = 0

    @classmethod
    def of(cls, task: Any, link: Callable[..., str]) -> Watching:
        """What a task's arguments say.

        :param task: one with the arguments of :class:`~.sensors.flow_run.AepFlowRunSensor`
        :raises AepConfigurationError: one of them means nothing
        """
        rows = task.log_sample_rows
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
            raise AepConfigurationError(
                f"log_sample_rows is {rows!r}", next_step="It must be a number of rows, not below 0."
            )
        limits = task.on_partial, task.max_failed_ratio, task.max_failed_records, task.on_empty
        return cls(task.aep_conn_id, task.log, link, Tolerance(*limits), task.check_batches, rows)

    def look(self, awaited: Awaited, patience: Patience) -> Seen:
        """One look; that AEP does not answer for a while shows nothing.

        :raises AepPermanentError: waiting is in vain
        :raises AepRetryableError: AEP has not answered for too long
        """
        return self._seen(partial(look, awaited), Seen(awaited), patience)

    def resumed(self, event: Mapping[str, Any] | None, patience: Patience) -> Seen | None:
        """What the trigger has seen; ``None`` if its time was over.

        :param patience: that of the trigger goes on here
        :raises AepPermanentError: as for :meth:`look`, or nobody knows such an event
        :raises AepRetryableError: likewise
        """
        if not isinstance(event, Mapping):
            raise AepPermanentError(f"Unknown event: {event!r}")
        if "error" in event:
            if event.get("retryable"):
                raise AepRetryableError(str(event["error"]), event.get("retry_after"))
            raise AepPermanentError(str(event["error"]))
        if event.get("timed_out"):
            return None
        if not event.get("result"):
            raise AepPermanentError(f"Unknown event: {event!r}")
        awaited, result = Awaited.of(event["awaited"]), RunResult(**event["result"])
        if event.get("complete"):
            return Seen(awaited, result, tuple(event.get("remarks") or ()))
        patience.since = event.get("unreachable")
        return self._seen(partial(concluded, awaited, result), Seen(awaited, ended=self.check_batches), patience)

    def _seen(self, steps: Callable[..., Steps[Seen]], otherwise: Seen, patience: Patience) -> Seen:
        """
        :param otherwise: what is seen where AEP does not answer
        """
        with airflow_errors(), AepHook(self.aep_conn_id).get_conn(max(min(patience.limit, DEADLINE), 1)) as client:
            asked = client.clock.now()
            try:
                seen = follow(client, steps(client.server_now, check_batches=self.check_batches))
            except AepError as e:
                patience.failed(e, asked, client.clock.now())
                self.log.warning("Still waiting: %s", e)
                return otherwise
        patience.heard()
        return seen

    def accepted(self, seen: Seen, bad: type[Exception] = AepPermanentError) -> dict[str, Any]:
        """The run as a dict, if it is as good as it must be; a bad one is described in the log.

        :param seen: of a run that is over
        :param bad: what to raise
        """
        result = seen.result
        assert result is not None
        for remark in seen.remarks:
            self.log.warning(remark)
        good, warns = self.tolerance.accepts(result), self.tolerance.warns(result)
        if not good or warns:
            self._describe(result)
        if not good:
            raise bad(f"Not accepted: {result.summary()}. Next step: {result.next_step}")
        (self.log.warning if warns else self.log.info)("Accepted: %s", result.summary())
        return result.as_dict()

    def _describe(self, result: RunResult) -> None:
        try:
            hook = AepHook(self.aep_conn_id)
            with hook.get_conn() as client:
                for line in follow(client, described(result, rows=self.rows)):
                    self.log.warning(line)
                self.log.warning("The run in AEP: %s", self.link(hook.settings, "run", result.flow_id, result.run_id))
        except AepError as e:  # it is about how the run went, and changes nothing about it
            self.log.warning("More is not known of the run: %s", e)
