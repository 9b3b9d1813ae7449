"""Poller: one loop per event loop, credential and sandbox that polls AEP for all deferred waits.

A wait is a future. The poller asks AEP for many runs in one request, and resolves the waits whose run has ended. It
starts with the first wait and stops with the last.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AsyncAepClient
from airflow_provider_aep.client.clock import Clock
from airflow_provider_aep.client.errors import (
    AepCredentialsError,
    AepError,
    AepInvalidRequestError,
    AepResponseError,
)
from airflow_provider_aep.client.models import Run
from airflow_provider_aep.client.retries import POLL_DEADLINE
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.client.steps import Steps, list_all, run_steps_async
from airflow_provider_aep.runs.observation import (
    Observation,
    OutageBudget,
    check_will_run,
    observe,
    select_run,
)
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runs.verdict import Verdict, evaluate_run
from airflow_provider_aep.runtime.compat import mask_secret_on_loop
from airflow_provider_aep.runtime.configuration import requests_per_second
from airflow_provider_aep.runtime.connections import get_connection, settings_of

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_IDS = 100
"""Runs, or flows, in one list request. A page holds as many, and their URL has at most 4,000 characters."""

MAX_REQUESTS = 8
"""Concurrent requests of one poller."""

NEWCOMER_DELAY = 1.0
"""Seconds for which new waits are collected before their first polling request."""

BATCH_RETRY_AFTER = 600.0
"""Seconds after which list requests by id are sent again, once AEP has refused one."""

CONNECTION_TTL = 60.0
"""Seconds for which new waits use the cached fields of an Airflow connection."""

LEASE_TTL = 600.0
"""Seconds after which a trigger that never ends reads its Airflow connection again."""

FLOW_CHECK_ROUNDS = 5
"""Rounds between checks of the flows that have no run, because a disabled flow starts none."""


class TimedOut(Exception):
    """The deadline of a wait has passed."""


@dataclass(slots=True, eq=False)
class Wait:
    """The wait of one trigger for a run.

    :param selector: the run; the poller adds the facts that it observes
    :param interval: seconds between two polls
    :param deadline: seconds since the epoch; ``None`` for no deadline
    :param no_run_deadline: seconds since the epoch, for a wait whose run does not exist yet; ``None`` for no deadline
    :param is_polled: whether the run was polled immediately before, so that the first poll is one interval later
    :param check_batches: whether the wait ends with the run's batches; otherwise a worker checks them
    :param outage_budget: how long AEP may be unreachable
    :param created_since: only runs created later match, in seconds since the epoch; 0 until the first poll
    :param polled_at: time of the last poll, in seconds since the epoch
    :param future: the poller resolves it; ``None`` until :meth:`Poller.wait`
    """

    selector: RunSelector
    interval: float
    deadline: float | None = None
    no_run_deadline: float | None = None
    is_polled: bool = False
    check_batches: bool = False
    outage_budget: OutageBudget = field(default_factory=OutageBudget)
    created_since: float = 0.0
    polled_at: float = 0.0
    future: asyncio.Future[Observation] | None = None

    @property
    def is_pending(self) -> bool:
        """Whether the wait has started and not ended."""
        return self.future is not None and not self.future.done()

    def is_late(self, now: float) -> bool:
        """Return whether a deadline of the wait has passed.

        :param now: seconds since the epoch
        """
        deadlines = [self.deadline, self.no_run_deadline if self.selector.run_id is None else None]
        return any(at is not None and now >= at for at in deadlines)

    def finish(self, outcome: Observation | Exception) -> None:
        """Resolve the future of a pending wait.

        :param outcome: the observation to return, or the exception to raise
        """
        if self.future is None or self.future.done():
            return
        if isinstance(outcome, Observation):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)


class RateLimit:
    """The request rate that all pollers of one organization and sandbox share.

    :param per_second: requests per second
    :param clock: of the client
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        self.gap, self._clock, self._next = 1 / per_second, clock, 0.0

    async def acquire(self) -> None:
        """Wait until the rate allows the next request."""
        now = self._clock.now()
        at = max(now, self._next)
        self._next = at + self.gap
        if at > now:
            await self._clock.asleep(at - now)

    def pause(self, seconds: float | None) -> None:
        """Delay all requests, as AEP's ``Retry-After`` asks.

        :param seconds: from now; ``None`` or 0 for no delay
        """
        if seconds:
            self._next = max(self._next, self._clock.now() + seconds)


class Poller:
    """The loop that polls AEP for all waits of one credential and sandbox.

    Its waits share one client, one token and one rate limit.

    :param client: :meth:`close` closes it
    :param rate_limit: of the organization and sandbox
    """

    def __init__(self, client: AsyncAepClient, rate_limit: RateLimit) -> None:
        self._client, self._rate_limit = client, rate_limit
        self._request_slots = asyncio.Semaphore(MAX_REQUESTS)
        self._groups: dict[float, set[Wait]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._newcomers: set[Wait] = set()
        self._list_refused_at = -math.inf
        """Time at which AEP last refused a list request by id, in seconds since the epoch."""

    @property
    def settings(self) -> AepSettings:
        """The settings of the poller's client."""
        return self._client.settings

    async def wait(self, wait: Wait) -> Observation:
        """Wait until a run ends, and return its final observation.

        :param wait: a new one; its selector holds all observed facts afterwards, also after an exception
        :raises TimedOut: a deadline of the wait has passed
        :raises AepError: no later poll can succeed, or the outage budget is used up
        """
        wait.future = asyncio.get_running_loop().create_future()
        wait.created_since = wait.selector.since or 0.0
        wait.polled_at = self._client.clock.now()
        interval = max(round(wait.interval, 3), 0.001)
        group = self._groups.setdefault(interval, set())
        group.add(wait)
        if len(group) == 1:
            self._start(self._poll_regularly(interval, group))
        if not wait.is_polled:
            self._newcomers.add(wait)
            if len(self._newcomers) == 1:
                self._start(self._poll_newcomers(min(NEWCOMER_DELAY, interval)))
        try:
            return await wait.future
        finally:
            group.discard(wait)
            self._newcomers.discard(wait)
            if not group and self._groups.get(interval) is group:
                del self._groups[interval]

    async def run_steps(self, steps: Steps[T]) -> T:
        """Run steps within the limits for request rate and concurrency.

        :raises AepError: a request failed, and the steps do not handle the error
        """
        async with self._request_slots:
            return await self._run_steps(steps)

    async def _run_steps(self, steps: Steps[T]) -> T:
        return await run_steps_async(self._client, steps, self._rate_limit.acquire)

    def server_now(self) -> float:
        """Return AEP's clock in seconds since the epoch; exact once AEP has answered."""
        return self._client.server_now()

    async def close(self) -> None:
        """Cancel the polling tasks, and close the client."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        # A separate context, because with the caller's the poller would log as the task that started it.
        task = asyncio.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _poll_regularly(self, interval: float, group: set[Wait]) -> None:
        rounds, clock = 0, self._client.clock
        while group:
            waits = sorted(group - self._newcomers, key=lambda w: w.polled_at)
            if (delay := self._round_start(interval, waits) - clock.now()) > 0:
                # New waits may arrive during the sleep, and the round must start earlier for more waits.
                await clock.asleep(min(delay, max(delay / 2, NEWCOMER_DELAY)))
                continue
            rounds += 1
            await self._poll_once(waits, rounds % FLOW_CHECK_ROUNDS == 0)

    def _round_start(self, interval: float, waits: Sequence[Wait]) -> float:
        """Return the time at which a round must start to poll each wait one interval after its last poll.

        The rate limit spreads the requests of a round, so a round of ten thousand waits takes ten seconds.
        """
        starts = (w.polled_at - n * self._rate_limit.gap for n, w in enumerate(waits[::MAX_IDS]))
        return interval + min(starts, default=self._client.clock.now())

    async def _poll_newcomers(self, delay: float) -> None:
        await self._client.clock.asleep(delay)
        newcomers, self._newcomers = [*self._newcomers], set()
        await self._poll_once(newcomers, True)

    async def _poll_once(self, waits: Sequence[Wait], with_flows: bool) -> None:
        """Poll each wait once. A failure ends neither the other waits nor the poller."""
        now = self._client.clock.now()
        for n, wait in enumerate(waits):
            wait.polled_at = now + n // MAX_IDS * self._rate_limit.gap  # When the rate limit allows its request.
            if wait.is_late(now):
                wait.finish(TimedOut())
        waits = [w for w in waits if w.is_pending]
        with_run = [w for w in waits if w.selector.run_id is not None]
        # One request has one start time. Waits with similar times share it, so that AEP lists few other runs.
        without_run = sorted((w for w in waits if w.selector.run_id is None), key=lambda w: w.created_since)
        polls = [self._poll_runs(chunk) for chunk in _chunks(with_run)]
        polls += [self._find_runs(chunk, with_flows) for chunk in _chunks(without_run)]
        for outcome in await asyncio.gather(*polls, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("The poller failed to poll a group of runs, and polls it again", exc_info=outcome)

    async def _poll_runs(self, waits: Sequence[Wait]) -> None:
        """Poll waits whose run id is known."""
        ids = list(dict.fromkeys(str(w.selector.run_id) for w in waits))
        runs = await self._list_or_poll_singly(waits, list_all(flow_service.list_runs_by_id(ids)))
        if runs is None:
            return
        by_id = {run.id: run for run in runs}
        remaining = []
        for wait in waits:
            run = by_id.get(str(wait.selector.run_id))
            with _isolate_failures(wait):
                if run is None or run.flowId != wait.selector.flow_id or self._needs_single_poll(wait, run):
                    remaining.append(wait)
        await self._poll_singly(remaining)

    async def _find_runs(self, waits: Sequence[Wait], with_flows: bool) -> None:
        """Poll waits whose run does not exist yet."""
        await self._poll_singly([w for w in waits if not w.created_since])
        if not (waits := [w for w in waits if w.created_since and w.is_pending and w.selector.run_id is None]):
            return
        ids = list(dict.fromkeys(w.selector.flow_id for w in waits))
        since = int(min(w.created_since for w in waits) * 1000)
        runs = await self._list_or_poll_singly(waits, list_all(flow_service.list_runs_of(ids, since)))
        if runs is None:
            return
        by_flow: dict[str, list[Run]] = {}
        for run in runs:
            by_flow.setdefault(run.flowId, []).append(run)
        remaining = []
        for wait in waits:
            candidates = [
                run for run in by_flow.get(wait.selector.flow_id, []) if run.createdAt >= wait.created_since * 1000
            ]
            with _isolate_failures(wait):
                if (first := select_run(wait.selector, candidates)) is None:
                    wait.outage_budget.reset()
                elif self._needs_single_poll(wait, first):
                    remaining.append(wait)
        await self._poll_singly(remaining)
        if with_flows and (unmatched := [w for w in waits if w.selector.run_id is None and w.is_pending]):
            await self._check_flows(unmatched)

    async def _check_flows(self, waits: Sequence[Wait]) -> None:
        """End the waits whose flow cannot start a run."""
        ids = list(dict.fromkeys(w.selector.flow_id for w in waits))
        flows = await self._list_or_poll_singly(waits, list_all(flow_service.list_flows_by_id(ids)))
        by_id = {flow.id: flow for flow in flows or []}
        for wait in waits if flows is not None else ():
            if flow := by_id.get(wait.selector.flow_id):
                try:
                    check_will_run(flow)
                except AepError as e:
                    wait.finish(e)
            else:
                await self._poll_singly([wait])  # The flow was deleted, or AEP does not list it yet.

    def _needs_single_poll(self, wait: Wait, run: Run) -> bool:
        """Apply an observed run to a wait; return whether the run has ended and its batches must be polled."""
        if wait.selector.run_id != run.id or not wait.selector.created:
            wait.selector = wait.selector.with_run(run)
        result = evaluate_run(run)
        if result.verdict == Verdict.WAITING.value:
            wait.outage_budget.reset()
            return False
        if wait.check_batches:
            return True
        wait.finish(Observation(wait.selector, result))
        return False

    async def _list_or_poll_singly(self, waits: Sequence[Wait], steps: Steps[list[T]]) -> list[T] | None:
        """Return the list; ``None`` if AEP does not answer, or refuses it and each wait was polled singly."""
        if self._client.clock.now() < self._list_refused_at + BATCH_RETRY_AFTER:
            await self._poll_singly(waits)
            return None
        started_at = self._client.clock.now()
        try:
            return await self.run_steps(steps)
        except (AepInvalidRequestError, AepResponseError) as e:
            # AEP refuses a list of ids, or one run in the list has an unexpected form.
            log.warning("AEP did not list the runs of %d waits, so the poller requests each run: %s", len(waits), e)
            if isinstance(e, AepInvalidRequestError):
                self._list_refused_at = started_at
            await self._poll_singly(waits)
        except AepError as e:
            log.warning("The polling request for %d waits failed: %s", len(waits), e)
            self._spend_outage_budgets(waits, e, started_at)
        return None

    async def _poll_singly(self, waits: Iterable[Wait]) -> None:
        await asyncio.gather(*(self._poll_single(wait) for wait in waits))

    async def _poll_single(self, wait: Wait) -> None:
        started_at = self._client.clock.now()
        try:
            async with self._request_slots:
                if wait.is_late(self._client.clock.now()):  # The deadline may pass while the wait is queued.
                    wait.finish(TimedOut())
                if not wait.is_pending:
                    return
                observation = None
                with _isolate_failures(wait):
                    observation = await self._run_steps(
                        observe(wait.selector, self.server_now, check_batches=wait.check_batches)
                    )
        except AepError as e:
            self._spend_outage_budgets([wait], e, started_at)
            return
        if observation is None:
            return
        wait.outage_budget.reset()
        wait.selector = observation.selector
        wait.created_since = wait.selector.since or 0.0
        if observation.is_final:
            wait.finish(observation)

    def _spend_outage_budgets(self, waits: Iterable[Wait], error: AepError, started_at: float) -> None:
        self._rate_limit.pause(error.retry_after)
        now = self._client.clock.now()
        for wait in waits:
            try:
                wait.outage_budget.spend(error, started_at, now)
            except AepError as e:
                wait.finish(e)


@contextmanager
def _isolate_failures(wait: Wait) -> Generator[None, None, None]:
    """End a wait whose response cannot be read, so that the other waits of the request continue."""
    try:
        yield
    except AepError:
        raise
    except Exception as e:
        log.exception("The response of AEP about %s cannot be read", wait.selector)
        wait.finish(
            AepResponseError(
                f"The response of AEP about {wait.selector} cannot be read: {type(e).__name__}",
                next_step="Look at the triggerer's log, and report its traceback to the maintainers of this provider.",
            )
        )


def _chunks(waits: Sequence[Wait]) -> Iterator[Sequence[Wait]]:
    for start in range(0, len(waits), MAX_IDS):
        yield waits[start : start + MAX_IDS]


# -- the pollers of an event loop -----------------------------------------------------------------------------------


class _LoopPollers:
    """The pollers of one event loop, and the cached fields of their Airflow connections."""

    def __init__(self) -> None:
        self.pollers: dict[AepSettings, Poller] = {}
        self.reference_counts: dict[AepSettings, int] = {}
        self.rate_limits: dict[tuple[str, str], RateLimit] = {}
        self.lookups: dict[str, asyncio.Task[AepSettings]] = {}
        self.looked_up_at: dict[str, float] = {}

    async def settings(self, conn_id: str) -> AepSettings:
        """Return the settings of a connection, which a thread reads again after ``CONNECTION_TTL``."""
        now = asyncio.get_running_loop().time()
        if conn_id not in self.lookups or now > self.looked_up_at[conn_id] + CONNECTION_TTL:
            self.looked_up_at[conn_id] = now
            self.lookups[conn_id] = asyncio.create_task(_read_settings(conn_id), context=contextvars.Context())
        lookup = self.lookups[conn_id]
        try:
            return await asyncio.shield(lookup)  # A cancelled wait must not cancel the look-up of the others.
        except Exception:  # A secrets backend may raise any exception.
            self.forget(conn_id, lookup)
            raise

    def forget(self, conn_id: str, lookup: asyncio.Task[AepSettings]) -> None:
        """Remove a look-up from the cache, unless a newer one has replaced it."""
        if self.lookups.get(conn_id) is lookup:
            del self.lookups[conn_id]


_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPollers] = WeakKeyDictionary()


@sync_to_async
def _read_settings(conn_id: str) -> AepSettings:
    return settings_of(get_connection(conn_id))


@asynccontextmanager
async def poller_of(conn_id: str) -> AsyncGenerator[Poller, None]:
    """Open the poller of an Airflow connection, which runs until the last of its blocks ends.

    :param conn_id: id of a connection of type ``aep``
    :raises AepConfigurationError: the connection does not exist, or a field is missing, malformed or not allowed
    """
    loop_pollers = _LOOPS.setdefault(asyncio.get_running_loop(), _LoopPollers())
    settings = await loop_pollers.settings(conn_id)
    if settings not in loop_pollers.pollers:
        client = AsyncAepClient(settings, on_token=mask_secret_on_loop, deadline=POLL_DEADLINE)
        sandbox = settings.org_id, settings.sandbox
        if sandbox not in loop_pollers.rate_limits:
            loop_pollers.rate_limits[sandbox] = RateLimit(requests_per_second(), client.clock)
        loop_pollers.pollers[settings] = Poller(client, loop_pollers.rate_limits[sandbox])
    poller = loop_pollers.pollers[settings]
    loop_pollers.reference_counts[settings] = loop_pollers.reference_counts.get(settings, 0) + 1
    try:
        yield poller
    finally:
        loop_pollers.reference_counts[settings] -= 1
        if not loop_pollers.reference_counts[settings]:
            del loop_pollers.reference_counts[settings], loop_pollers.pollers[settings]
            for cached_id, lookup in [*loop_pollers.lookups.items()]:
                if not lookup.done() or lookup.cancelled() or lookup.exception():
                    continue
                if lookup.result() == settings:
                    loop_pollers.forget(cached_id, lookup)
            await poller.close()


class PollerLease:
    """The poller of an Airflow connection, kept between the polls of a trigger that never ends.

    The connection is read again every ``LEASE_TTL`` seconds, and after :meth:`release`.
    """

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id
        self._stack = AsyncExitStack()
        self._poller: Poller | None = None
        self._read_at = 0.0

    async def __aenter__(self) -> PollerLease:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()

    async def poller(self) -> Poller:
        """Return the poller.

        :raises AepConfigurationError: there is no such connection, or it is not as it should be
        """
        now = asyncio.get_running_loop().time()
        if self._poller is None or now >= self._read_at + LEASE_TTL:
            stack, earlier = AsyncExitStack(), self._stack
            poller = await stack.enter_async_context(poller_of(self._conn_id))
            self._stack, self._poller, self._read_at = stack, poller, now
            await earlier.aclose()  # after the new one is entered: an unchanged connection keeps its client
        return self._poller

    async def release(self) -> None:
        """Give the poller back."""
        self._poller = None
        await self._stack.aclose()


async def wait_for(conn_id: str, wait: Wait) -> Observation:
    """Wait at the poller of a connection until a run ends, and return its final observation.

    After a credentials error the connection is read again, and a changed connection continues the wait.

    :param conn_id: id of a connection of type ``aep``
    :param wait: a new one
    :raises TimedOut: as for :meth:`Poller.wait`
    :raises AepError: as for :meth:`Poller.wait`
    """
    while True:
        async with poller_of(conn_id) as poller:
            try:
                return await poller.wait(wait)
            except AepCredentialsError:
                loop_pollers = _LOOPS[asyncio.get_running_loop()]
                lookup = loop_pollers.lookups.get(conn_id)
                if lookup is not None and lookup.done() and lookup.result() == poller.settings:
                    loop_pollers.forget(conn_id, lookup)  # Only the first failed wait starts a new look-up.
                if (await loop_pollers.settings(conn_id)) == poller.settings:
                    raise
