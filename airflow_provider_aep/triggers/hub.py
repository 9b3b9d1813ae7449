"""One poller for all waits on one event loop with one credential and sandbox.

A wait is a future. The hub asks AEP for many runs at a time, and wakes only those whose run has ended. It begins with
the first wait and ends with the last; none of it is there while nobody waits.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.client import AsyncAepClient
from airflow_provider_aep.client.clock import Clock
from airflow_provider_aep.client.errors import (
    AepAnswerError,
    AepCredentialsError,
    AepError,
    AepInvalidRequestError,
)
from airflow_provider_aep.client.models import Run
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.client.steps import Steps, afollow, every
from airflow_provider_aep.hooks.aep import AepHook, requests_per_second
from airflow_provider_aep.onboarding.verdict import Verdict, judge
from airflow_provider_aep.onboarding.watch import (
    Awaited,
    Patience,
    Seen,
    check_that_it_will_run,
    chosen,
    look,
)

T = TypeVar("T")
log = logging.getLogger(__name__)

AT_ONCE = 100
"""Runs, or flows, that one request asks for: as many as a page holds, and a URL of 4,000 characters."""

CONCURRENT = 8
"""Requests that are under way at a time."""

DEADLINE = 30.0
"""Seconds for which one request is repeated before the round goes on without its answer."""

WELCOME = 1.0
"""Seconds in which newcomers gather that nobody has looked for yet."""

TOGETHER_AGAIN = 600.0
"""Seconds after which AEP is asked for many at a time again, where it has refused."""

CONNECTION_FOR = 60.0
"""Seconds for which newcomers believe what an Airflow connection said."""

FLOWS_EVERY = 5
"""Rounds after which the flows are looked at that have no run yet: nobody waits for a disabled one."""


class TimedOut(Exception):
    """A wait's own deadline has passed."""


@dataclass(slots=True, eq=False)
class Wait:
    """One wait.

    :param interval: seconds between two looks
    :param deadline: seconds since the epoch
    :param no_run_deadline: likewise, for the time in which there is no run
    :param looked: whether somebody has looked just before
    :param complete: whether its end is that of its batches, too; otherwise a worker looks at them
    :param floor: seconds since the epoch before which no run counts; 0: nobody has looked for one
    :param seen_at: when its turn to be looked at was last, likewise
    :param future: what the hub ends, once somebody waits
    """

    awaited: Awaited
    interval: float
    deadline: float | None = None
    no_run_deadline: float | None = None
    looked: bool = False
    complete: bool = False
    patience: Patience = field(default_factory=Patience)
    floor: float = 0.0
    seen_at: float = 0.0
    future: asyncio.Future[Seen] | None = None

    @property
    def waits(self) -> bool:
        return self.future is not None and not self.future.done()

    def is_late(self, now: float) -> bool:
        until = [self.deadline, self.no_run_deadline if self.awaited.run_id is None else None]
        return any(at is not None and now >= at for at in until)

    def end(self, how: Seen | Exception) -> None:
        if self.future is None or self.future.done():
            return
        if isinstance(how, Seen):
            self.future.set_result(how)
        else:
            self.future.set_exception(how)


class Budget:
    """So many requests a second and no more, however many wait.

    :param per_second: of an org and sandbox
    """

    def __init__(self, per_second: float, clock: Clock) -> None:
        self.gap, self._clock, self._next = 1 / per_second, clock, 0.0

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = self._clock.now()
        at = max(now, self._next)
        self._next = at + self.gap
        if at > now:
            await self._clock.asleep(at - now)

    def hold(self, seconds: float | None) -> None:
        """Nobody's turn comes before AEP wants it."""
        if seconds:
            self._next = max(self._next, self._clock.now() + seconds)


class Hub:
    """See the module. Its waits share a client, a token and a budget.

    :param client: closed when the hub ends
    """

    def __init__(self, client: AsyncAepClient, budget: Budget) -> None:
        self._client, self._budget = client, budget
        self._at_once = asyncio.Semaphore(CONCURRENT)
        self._groups: dict[float, set[Wait]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._newcomers: set[Wait] = set()
        self._refused = -math.inf
        """When AEP took no list of ids at last, in seconds since the epoch."""

    @property
    def settings(self) -> AepSettings:
        return self._client.settings

    async def wait(self, wait: Wait) -> Seen:
        """Wait for the end of a run.

        :raises TimedOut: a deadline of its own has passed; ``wait.awaited`` is what is known by then
        :raises AepError: it cannot be watched any more, or AEP has not answered for too long
        """
        wait.future = asyncio.get_running_loop().create_future()
        wait.floor = wait.awaited.since or 0.0
        wait.seen_at = self._client.clock.now()
        interval = max(round(wait.interval, 3), 0.001)
        group = self._groups.setdefault(interval, set())
        group.add(wait)
        if len(group) == 1:
            self._start(self._poll(interval, group))
        if not wait.looked:
            self._newcomers.add(wait)
            if len(self._newcomers) == 1:
                self._start(self._welcome(min(WELCOME, interval)))
        try:
            return await wait.future
        finally:
            group.discard(wait)
            self._newcomers.discard(wait)
            if not group and self._groups.get(interval) is group:
                del self._groups[interval]

    async def ask(self, steps: Steps[T]) -> T:
        """Carry out steps within the budget.

        :raises AepError: that of a call which the steps do not handle
        """
        async with self._at_once:
            return await self._carried_out(steps)

    async def _carried_out(self, steps: Steps[T]) -> T:
        return await afollow(self._client, steps, self._budget.turn)

    def server_now(self) -> float:
        return self._client.server_now()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        # In a context of its own: it would log in the name of the wait that happened to come first.
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _poll(self, interval: float, group: set[Wait]) -> None:
        number, clock = 0, self._client.clock
        while group:
            waits = sorted(group - self._newcomers, key=lambda w: w.seen_at)
            if (rest := self._begin(interval, waits) - clock.now()) > 0:
                # Others may come meanwhile, and so many that it has to begin earlier.
                await clock.asleep(min(rest, max(rest / 2, WELCOME)))
                continue
            number += 1
            await self._round(waits, number % FLOWS_EVERY == 0)

    def _begin(self, interval: float, waits: Sequence[Wait]) -> float:
        """When a round has to begin, in seconds since the epoch, so that each is looked at one interval after it was: a
        look at ten thousand takes ten seconds of the budget."""
        turns = (w.seen_at - n * self._budget.gap for n, w in enumerate(waits[::AT_ONCE]))
        return interval + min(turns, default=self._client.clock.now())

    async def _welcome(self, gather: float) -> None:
        await self._client.clock.asleep(gather)
        newcomers, self._newcomers = [*self._newcomers], set()
        await self._round(newcomers, True)

    async def _round(self, waits: Sequence[Wait], with_flows: bool) -> None:
        """Look once at what is waited for; whatever goes wrong there ends no other wait, nor the hub."""
        now = self._client.clock.now()
        for n, wait in enumerate(waits):
            wait.seen_at = now + n // AT_ONCE * self._budget.gap  # its turn, whatever comes of it
            if wait.is_late(now):
                wait.end(TimedOut())
        waits = [w for w in waits if w.waits]
        known = [w for w in waits if w.awaited.run_id is not None]
        # Those that want runs since about the same moment are asked for together: few other runs come along.
        unknown = sorted((w for w in waits if w.awaited.run_id is None), key=lambda w: w.floor)
        rounds = [self._look_at_runs(chunk) for chunk in _chunks(known)]
        rounds += [self._look_for_runs(chunk, with_flows) for chunk in _chunks(unknown)]
        for done in await asyncio.gather(*rounds, return_exceptions=True):
            if isinstance(done, Exception):
                log.error("A look at AEP's runs went wrong", exc_info=done)

    async def _look_at_runs(self, waits: Sequence[Wait]) -> None:
        """Waits whose run is known by its id."""
        ids = list(dict.fromkeys(str(w.awaited.run_id) for w in waits))
        runs = await self._asked(waits, every(flow_service.list_runs_by_id(ids)))
        if runs is None:
            return
        by_id = {run.id: run for run in runs}
        alone = []
        for wait in waits:
            run = by_id.get(str(wait.awaited.run_id))
            with _understood(wait):
                if run is None or run.flowId != wait.awaited.flow_id or self._has_ended(wait, run):
                    alone.append(wait)
        await self._each_alone(alone)

    async def _look_for_runs(self, waits: Sequence[Wait], with_flows: bool) -> None:
        """Waits that have no run yet."""
        await self._each_alone([w for w in waits if not w.floor])
        if not (waits := [w for w in waits if w.floor and w.waits and w.awaited.run_id is None]):
            return
        ids = list(dict.fromkeys(w.awaited.flow_id for w in waits))
        since = int(min(w.floor for w in waits) * 1000)
        runs = await self._asked(waits, every(flow_service.list_runs_of(ids, since)))
        if runs is None:
            return
        by_flow: dict[str, list[Run]] = {}
        for run in runs:
            by_flow.setdefault(run.flowId, []).append(run)
        alone = []
        for wait in waits:
            mine = [run for run in by_flow.get(wait.awaited.flow_id, []) if run.createdAt >= wait.floor * 1000]
            with _understood(wait):
                if (first := chosen(wait.awaited, mine)) is None:
                    wait.patience.heard()
                elif self._has_ended(wait, first):
                    alone.append(wait)
        await self._each_alone(alone)
        if with_flows and (left := [w for w in waits if w.awaited.run_id is None and w.waits]):
            await self._look_at_flows(left)

    async def _look_at_flows(self, waits: Sequence[Wait]) -> None:
        ids = list(dict.fromkeys(w.awaited.flow_id for w in waits))
        flows = await self._asked(waits, every(flow_service.list_flows_by_id(ids)))
        by_id = {flow.id: flow for flow in flows or []}
        for wait in waits if flows is not None else ():
            if flow := by_id.get(wait.awaited.flow_id):
                try:
                    check_that_it_will_run(flow)
                except AepError as e:
                    wait.end(e)
            else:
                await self._each_alone([wait])  # it is gone, or not listed yet

    def _has_ended(self, wait: Wait, run: Run) -> bool:
        """Take note of a run that was seen; whether it has ended and has to be looked at alone, with its batches."""
        if wait.awaited.run_id != run.id or not wait.awaited.created:
            wait.awaited = wait.awaited.learnt(run)
        result = judge(run)
        if result.verdict == Verdict.WAITING.value:
            wait.patience.heard()
            return False
        if wait.complete:
            return True
        wait.end(Seen(wait.awaited, result))
        return False

    async def _asked(self, waits: Sequence[Wait], steps: Steps[list[T]]) -> list[T] | None:
        """What AEP lists; ``None`` if it does not, and then everything that can be done about that is done."""
        if self._client.clock.now() < self._refused + TOGETHER_AGAIN:
            await self._each_alone(waits)
            return None
        began = self._client.clock.now()
        try:
            return await self.ask(steps)
        except (AepInvalidRequestError, AepAnswerError) as e:
            # Either it takes no list of ids, or one of the many is not as it should be: each is asked for alone.
            log.warning("AEP does not tell of %d waits in one answer, so each is asked for alone: %s", len(waits), e)
            if isinstance(e, AepInvalidRequestError):
                self._refused = began
            await self._each_alone(waits)
        except AepError as e:
            log.warning("%d waits go on without an answer of AEP: %s", len(waits), e)
            self._failed(waits, e, began)
        return None

    async def _each_alone(self, waits: Iterable[Wait]) -> None:
        await asyncio.gather(*(self._alone(wait) for wait in waits))

    async def _alone(self, wait: Wait) -> None:
        began = self._client.clock.now()
        try:
            async with self._at_once:
                if wait.is_late(self._client.clock.now()):  # it has stood in line
                    wait.end(TimedOut())
                if not wait.waits:
                    return
                seen = None
                with _understood(wait):
                    seen = await self._carried_out(look(wait.awaited, self.server_now, check_batches=wait.complete))
        except AepError as e:
            self._failed([wait], e, began)
            return
        if seen is None:
            return
        wait.patience.heard()
        wait.awaited = seen.awaited
        wait.floor = wait.awaited.since or 0.0
        if seen.over:
            wait.end(seen)

    def _failed(self, waits: Iterable[Wait], error: AepError, began: float) -> None:
        self._budget.hold(error.retry_after)
        now = self._client.clock.now()
        for wait in waits:
            try:
                wait.patience.failed(error, began, now)
            except AepError as e:
                wait.end(e)


@contextmanager
def _understood(wait: Wait) -> Generator[None, None, None]:
    """One odd answer ends its own wait, and must not hide a hundred others."""
    try:
        yield
    except AepError:
        raise
    except Exception as e:
        log.exception("What AEP says of %s is not understood", wait.awaited)
        wait.end(AepAnswerError(f"What AEP says of {wait.awaited} is not understood: {type(e).__name__}"))


def _chunks(waits: Sequence[Wait]) -> Iterator[Sequence[Wait]]:
    for start in range(0, len(waits), AT_ONCE):
        yield waits[start : start + AT_ONCE]


# -- which hub ------------------------------------------------------------------------------------------------------


class _Loop:
    """The hubs of one event loop, and what their Airflow connections say."""

    def __init__(self) -> None:
        self.hubs: dict[AepSettings, Hub] = {}
        self.users: dict[AepSettings, int] = {}
        self.budgets: dict[tuple[str, str], Budget] = {}
        self.lookups: dict[str, asyncio.Task[AepHook]] = {}
        self.looked_up: dict[str, float] = {}

    async def hook(self, conn_id: str) -> AepHook:
        """Looked up once in a while, as long as somebody waits: it blocks, so a thread does it."""
        now = asyncio.get_running_loop().time()
        if conn_id not in self.lookups or now > self.looked_up[conn_id] + CONNECTION_FOR:
            self.looked_up[conn_id] = now
            self.lookups[conn_id] = asyncio.create_task(_looked_up(conn_id), context=contextvars.Context())
        lookup = self.lookups[conn_id]
        try:
            return await asyncio.shield(lookup)  # one wait that ends must not end that of the others
        except Exception:  # a secrets backend may raise anything
            self.forget(conn_id, lookup)
            raise

    def forget(self, conn_id: str, lookup: asyncio.Task[AepHook]) -> None:
        if self.lookups.get(conn_id) is lookup:
            del self.lookups[conn_id]


_LOOPS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


@sync_to_async
def _looked_up(conn_id: str) -> AepHook:
    hook = AepHook(conn_id)
    _ = hook.settings
    return hook


@asynccontextmanager
async def hub_of(conn_id: str) -> AsyncGenerator[Hub, None]:
    """The hub for an Airflow connection, alive while somebody is in this block.

    :raises AepConfigurationError: there is no such connection, or it is not as it should be
    """
    here = _LOOPS.setdefault(asyncio.get_running_loop(), _Loop())
    hook = await here.hook(conn_id)
    settings = hook.settings
    if settings not in here.hubs:
        client = hook.get_async_conn(deadline=DEADLINE)
        place = settings.org_id, settings.sandbox
        if place not in here.budgets:
            here.budgets[place] = Budget(requests_per_second(), client.clock)
        here.hubs[settings] = Hub(client, here.budgets[place])
    hub = here.hubs[settings]
    here.users[settings] = here.users.get(settings, 0) + 1
    try:
        yield hub
    finally:
        here.users[settings] -= 1
        if not here.users[settings]:
            del here.users[settings], here.hubs[settings]
            for known, lookup in [*here.lookups.items()]:
                if not lookup.done() or lookup.cancelled() or lookup.exception():
                    continue
                if lookup.result().settings == settings:
                    here.forget(known, lookup)
            await hub.close()


async def wait_for(conn_id: str, wait: Wait) -> Seen:
    """Wait at the hub of a connection; one whose credentials were renewed meanwhile is looked up again.

    :raises TimedOut: see :meth:`Hub.wait`
    :raises AepError: likewise
    """
    while True:
        async with hub_of(conn_id) as hub:
            try:
                return await hub.wait(wait)
            except AepCredentialsError:
                here = _LOOPS[asyncio.get_running_loop()]
                lookup = here.lookups.get(conn_id)
                if lookup is not None and lookup.done() and lookup.result().settings == hub.settings:
                    here.forget(conn_id, lookup)  # the first to come here; the others find the new one
                if (await here.hook(conn_id)).settings == hub.settings:
                    raise
