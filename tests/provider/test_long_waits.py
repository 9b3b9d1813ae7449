"""Days of waiting, on the emulator's time: what they ask of AEP, and which outages they outlast."""

import asyncio
import heapq
from itertools import count

import httpx
import pytest
from waits import put_run

from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AsyncAepClient
from airflow_provider_aep.client.errors import AepUnavailableError
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runtime.poller import POLL_DEADLINE, Poller, RateLimit, Wait

MINUTE, HOUR = 60, 3600
WAITS = 50


class Timeline(httpx.AsyncHTTPTransport):
    """The emulator's clock for one event loop: once everybody sleeps and no answer is awaited, it goes on to the next
    moment at which somebody wakes, or something is to happen."""

    def __init__(self, aep):
        super().__init__()
        self.aep, self.number, self.under_way, self.next = aep, count(), 0, []
        aep.freeze(1_767_225_600)
        self.began = self.now()

    def now(self):
        return self.aep.world.clock.now()

    async def asleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self._at(self.now() + seconds, lambda: None if woken.done() else woken.set_result(None))
        await woken

    def after(self, seconds, happens):
        self._at(self.began + seconds, happens)

    def _at(self, moment, happens):
        heapq.heappush(self.next, (moment, next(self.number), happens))

    async def handle_async_request(self, request):
        self.under_way += 1
        try:
            response = await super().handle_async_request(request)
            await response.aread()
            return response
        finally:
            self.under_way -= 1

    async def pass_until(self, tasks):
        await self._quiet()
        while not all(task.done() for task in tasks):
            assert self.now() < self.began + 80 * HOUR, "somebody waits for ever"
            moment, _, happens = heapq.heappop(self.next)
            if moment > self.now():
                self.aep.advance(moment - self.now())
            happens()
            await self._quiet()

    async def _quiet(self):
        turns = 0
        while turns < 20:
            await asyncio.sleep(0.0005 if self.under_way else 0)
            turns = 0 if self.under_way else turns + 1


@pytest.fixture
def timeline(emulator):
    for n in range(WAITS):
        put_run(emulator, f"r{n}", status="inProgress")
    return Timeline(emulator)


def ends(timeline, hours):
    """The runs end one after the other, the last of them with the time."""
    for n in range(WAITS):
        timeline.after((n + 1) * hours * HOUR / WAITS - 1, lambda n=n: put_run(timeline.aep, f"r{n}"))


def waited(timeline, interval=5 * MINUTE):
    """How each wait ends, and when, in seconds since the beginning."""
    at = {}

    async def one(poller, n):
        observation = await poller.wait(Wait(RunSelector("f", f"r{n}"), interval=interval))
        at[n] = timeline.now() - timeline.began
        return observation.result.verdict

    async def all_of_them():
        options = {"tokens": TokenCache(), "clock": timeline, "transport": timeline, "deadline": POLL_DEADLINE}
        client = AsyncAepClient(timeline.aep.settings(), **options)
        poller = Poller(client, RateLimit(20.0, timeline))
        tasks = [asyncio.create_task(one(poller, n)) for n in range(WAITS)]
        await timeline.pass_until(tasks)
        await poller.close()
        return [task.exception() or task.result() for task in tasks]

    return asyncio.run(all_of_them()), at


def test_fifty_waits_over_three_days_need_a_token_a_day(timeline):
    ends(timeline, 72)
    found, at = waited(timeline)
    assert set(found) == {"succeeded"}
    assert all(0 <= at[n] - ((n + 1) * 72 * HOUR / WAITS - 1) <= 5 * MINUTE + 2 for n in at)
    assert len(timeline.aep.requests("POST token")) <= 4
    assert len(timeline.aep.requests("GET */runs*")) <= 72 * HOUR / (5 * MINUTE) + 2


def faulty(aep):
    """One request in twenty goes wrong."""
    for n, fault in enumerate(({"status": 500}, {"status": 503}, {"status": 429, "retry_after": 3}, None)):
        aep.fault("*", "answer" if fault else "reset", rate=0.0125, seed=n, **(fault or {}))


def outage(timeline, minutes):
    def begins():
        timeline.aep.fault("*", "answer", status=503)

    def is_over():
        assert timeline.aep.unfired() == []
        timeline.aep.world.faults.clear()
        faulty(timeline.aep)

    timeline.after(12 * HOUR, begins)
    timeline.after(12 * HOUR + minutes * MINUTE, is_over)


def test_a_day_of_faults_and_an_outage_of_fourteen_minutes_end_no_wait(timeline):
    faulty(timeline.aep)
    outage(timeline, 14)
    ends(timeline, 24)
    found, _ = waited(timeline, MINUTE)
    assert set(found) == {"succeeded"}
    assert timeline.aep.writes() == []


def test_an_outage_of_sixteen_minutes_is_said_once_by_each_wait(timeline):
    outage(timeline, 16)
    faulty(timeline.aep)
    for n in range(WAITS // 2):
        timeline.after((n + 1) * HOUR / 4, lambda n=n: put_run(timeline.aep, f"r{n}"))
    found, at = waited(timeline, MINUTE)
    assert set(found[: WAITS // 2]) == {"succeeded"}
    for error in found[WAITS // 2 :]:
        assert isinstance(error, AepUnavailableError)
        assert "has not answered for 900 s" in str(error)
        assert error.retryable
    assert max(at.values()) < 12 * HOUR
    assert timeline.now() - timeline.began < 12 * HOUR + 16 * MINUTE
    assert timeline.aep.writes() == []
