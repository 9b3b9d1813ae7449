"""One poller for many waits: how often it asks, what it makes of a bad answer, and that it ends."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from waits import put_run

from aep_emulator.core.store import Scope
from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import AsyncAepClient
from airflow_provider_aep.client.clock import ManualClock, SystemClock
from airflow_provider_aep.client.errors import AepCredentialsError, AepError, AepNotFoundError
from airflow_provider_aep.runs.observation import OutageBudget
from airflow_provider_aep.runs.selector import RunSelector
from airflow_provider_aep.runtime import connections
from airflow_provider_aep.runtime import poller as module
from airflow_provider_aep.runtime.poller import Poller, RateLimit, TimedOut, Wait, poller_of, wait_for

INTERVAL = 0.2


class Rounds(ManualClock):
    """Rounds begin when a test says so, and only turns take time, however slow the machine is."""

    def __init__(self):
        super().__init__(SystemClock().now())
        self.rests, self.go = asyncio.Event(), asyncio.Semaphore(0)

    async def asleep(self, seconds):
        if seconds >= 0.5 * INTERVAL:  # a rest, not a turn
            self.rests.set()
            await self.go.acquire()
        await super().asleep(seconds)

    async def round(self):
        """One round, from its beginning to its end."""
        await self.rests.wait()
        self.rests.clear()
        self.go.release()
        await self.rests.wait()


@asynccontextmanager
async def poller_at(aep, per_second=1000.0, clock=None, deadline=20.0):
    client = AsyncAepClient(aep.settings(), tokens=TokenCache(), deadline=deadline, clock=clock)
    poller = Poller(client, RateLimit(per_second, client.clock))
    try:
        yield poller
    finally:
        await poller.close()


def put_flows(aep, *ids, state="enabled"):
    scope = Scope(aep.world.options.org_id, "dev")
    for id_ in ids:
        body = {"id": id_, "name": id_, "state": state, "_emulator": {"nextRunAt": None}}
        store = aep.world.store
        (store.put if store.get("flows", scope, id_) else store.add)("flows", scope, id_, body, name=id_)


def wait(run=None, flow="f", **more):
    return Wait(RunSelector(flow, run), **{"interval": INTERVAL, "is_polled": True, **more})


async def ends(poller, waits, within=10.0):
    """How waits end, each for itself."""
    return await asyncio.wait_for(asyncio.gather(*map(poller.wait, waits), return_exceptions=True), within)


async def beginning(poller, waits):
    """Waits that have begun."""
    tasks = [asyncio.create_task(poller.wait(w)) for w in waits]
    await asyncio.sleep(0)
    return tasks


async def finished(tasks):
    """Return the tasks that a finished round has ended, and the others."""
    for _ in range(10):  # each needs a few turns of the loop
        await asyncio.sleep(0)
    return {t for t in tasks if t.done()}, {t for t in tasks if not t.done()}


async def until(happened):
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - the emulator wakes nobody
            await asyncio.sleep(0.01)


def test_250_waits_are_three_requests_a_round(aep):
    for n in range(250):
        put_run(aep, f"r{n}", status="inProgress")

    async def main():
        async with poller_at(aep, clock=(clock := Rounds())) as poller:
            tasks = await beginning(poller, [wait(f"r{n}") for n in range(250)])
            for _ in range(4):
                await clock.round()
            before = len(aep.requests("GET */runs"))
            put_run(aep, "r7", status="failed")
            put_run(aep, "r8")
            await clock.round()
            done, left = await finished(tasks)
            for task in left:
                task.cancel()
            return before, {(t.result().selector.run_id, t.result().result.verdict) for t in done}

    before, ended = asyncio.run(main())
    assert ended == {("r7", "failed"), ("r8", "succeeded")}
    assert (before, len(aep.requests("GET */runs"))) == (12, 15)
    assert aep.requests("GET */runs/{id}") == []
    assert len(aep.requests("POST token")) == 1


def test_the_last_of_many_is_looked_at_after_one_interval_too(aep):
    """Three requests that take 20 s each of the budget begin 40 s before the interval is over."""
    for n in range(300):
        put_run(aep, f"r{n}")
    clock = ManualClock()
    began = clock.now()

    async def main():
        async with poller_at(aep, per_second=0.05, clock=clock) as poller:
            waits = [wait(f"r{n}", interval=60) for n in range(300)]
            await ends(poller, waits)
            return sorted(w.polled_at - began for w in waits)

    assert asyncio.run(main()) == [20.0] * 100 + [40.0] * 100 + [60.0] * 100
    assert clock.now() - began == 60  # and that was so: requests, too, wait by this clock
    assert len(aep.requests("GET */runs")) == 3


def test_flows_without_a_run_are_asked_for_together_too(aep):
    flows = [f"f{n}" for n in range(120)]
    put_flows(aep, *flows)

    async def main():
        async with poller_at(aep, clock=(clock := Rounds())) as poller:
            tasks = await beginning(poller, [wait(flow=f) for f in flows])
            await clock.round()  # each is looked for alone once
            start = len(aep.requests("GET */runs"))
            for _ in range(4):
                await clock.round()
            asked = len(aep.requests("GET */runs")) - start
            put_run(aep, "r1", flow="f3", created=int(SystemClock().now() * 1000))
            await clock.round()
            first, left = await finished(tasks)
            put_flows(aep, "f4", state="disabled")
            for _ in range(module.FLOW_CHECK_ROUNDS):
                await clock.round()
            second, left = await finished(left)
            for task in left:
                task.cancel()
            return asked, [t.result().selector.run_id for t in first], [str(t.exception()) for t in second]

    asked, first, second = asyncio.run(main())
    assert asked == 2 * 4
    assert first == ["r1"]
    assert len(second) == 1
    assert "(f4) has no run and will have none: it is disabled" in second[0]


@pytest.mark.parametrize("why", ["refused", "garbage"])
def test_where_one_answer_for_many_cannot_be_had_each_is_asked_for_alone(aep, why):
    put_run(aep, "r1")
    put_run(aep, "r2", status="failed")
    put_run(aep, "r3")
    if why == "refused":
        aep.fault("GET */runs", "answer", status=400, code="1440-400")
    else:
        scope = Scope(aep.world.options.org_id, "dev")
        body = aep.world.store.get("runs", scope, "r3")
        aep.world.store.put("runs", scope, "r3", {**body, "metrics": "garbage"})

    async def main():
        async with poller_at(aep) as poller:
            return await ends(poller, [wait("r1"), wait("r2"), wait("r3"), wait("r4")])

    one, two, three, four = asyncio.run(main())
    assert (one.result.verdict, two.result.verdict) == ("succeeded", "failed")
    assert isinstance(four, AepNotFoundError)
    assert three.result.verdict == "succeeded" if why == "refused" else isinstance(three, AepError)


def test_an_error_that_waiting_cannot_mend_is_everybodys_at_once(aep):
    put_run(aep, "r1", status="inProgress")
    aep.fault("GET */runs", "answer", status=403, code="403025")

    async def main():
        async with poller_at(aep) as poller:
            return await ends(poller, [wait("r1") for _ in range(50)])

    ended = asyncio.run(main())
    assert {type(e) for e in ended} == {AepCredentialsError}
    assert len(aep.requests("GET */runs*")) == 1


def test_each_wait_has_its_own_patience_and_deadline(aep):
    put_run(aep, "r1", status="inProgress")
    put_flows(aep, "f")
    aep.fault("GET */flowservice/*", "answer", status=503)
    now = SystemClock().now()

    async def main():
        async with poller_at(aep, deadline=0.5) as poller:
            return await ends(
                poller,
                [
                    wait("r1", outage_budget=OutageBudget(0.1)),
                    wait("r1", deadline=now + 0.5, outage_budget=OutageBudget(60)),
                    wait(no_run_deadline=now + 0.5, outage_budget=OutageBudget(60)),
                ],
            )

    impatient, late, none = asyncio.run(main())
    assert "AEP has not answered for 0.1 s" in str(impatient)
    assert isinstance(late, TimedOut)
    assert isinstance(none, TimedOut)


def test_a_budget_spreads_requests_and_obeys_retry_after(aep):
    class Clock(SystemClock):
        slept, time = [], 100.0

        def now(self):
            return self.time

        async def asleep(self, seconds):
            self.slept.append(round(seconds, 3))

    async def main():
        rate_limit = RateLimit(10.0, Clock())
        for _ in range(3):
            await rate_limit.acquire()
        rate_limit.pause(7)
        rate_limit.pause(None)
        await rate_limit.acquire()

    asyncio.run(main())
    assert Clock.slept == [0.1, 0.2, 7.0]


def test_each_request_has_its_turn(aep):
    """Also those of one look: of each batch of a run, and of each page of a list."""
    for n in range(10):
        put_run(aep, f"r{n}")
        ids = [f"b{n}-{m}" for m in range(3)]
        scope = Scope(aep.world.options.org_id, "dev")
        body = aep.world.store.get("runs", scope, f"r{n}")
        body["activities"] = [{"id": "promotion", "targetInfo": [{"reference": {"type": "Batch", "ids": ids}}]}]
        aep.world.store.put("runs", scope, f"r{n}", body)
        for id_ in ids:
            aep.world.store.add("batches", scope, id_, {"id": id_, "status": "success", "metrics": {}})
    turns = []

    class Counted(RateLimit):
        async def acquire(self):
            turns.append(1)

    async def main():
        async with poller_at(aep) as poller:
            poller._rate_limit = Counted(1000.0, SystemClock())
            return await ends(poller, [wait(f"r{n}", check_batches=True) for n in range(10)])

    assert {observation.result.verdict for observation in asyncio.run(main())} == {"succeeded"}
    asked = [r for r in aep.requests() if r["operation"] != "POST token"]
    assert len(turns) == len(asked) > 40


def test_one_answer_that_is_not_understood_hides_no_other(aep, monkeypatch):
    for n in range(3):
        put_run(aep, f"r{n}")
    evaluate_run = module.evaluate_run

    def odd(run):
        if run.id == "r1":
            raise TypeError("odd")
        return evaluate_run(run)

    monkeypatch.setattr(module, "evaluate_run", odd)

    async def main():
        async with poller_at(aep) as poller:
            return await ends(poller, [wait(f"r{n}") for n in range(3)])

    one, two, three = asyncio.run(main())
    assert (one.selector.run_id, three.selector.run_id) == ("r0", "r2")
    assert "The response of AEP about run r1 of flow f cannot be read: TypeError" in str(two)


@pytest.mark.parametrize("where", ["select_run", "observe"])
def test_nor_does_one_in_a_list_or_in_a_look_alone(aep, monkeypatch, where):
    put_flows(aep, "f1", "f2")
    for n in (1, 2):
        put_run(aep, f"r{n}", flow=f"f{n}", created=int(SystemClock().now() * 1000))
    known = getattr(module, where)

    def odd(selector, *rest, **more):
        if selector.flow_id == "f1":
            raise TypeError("odd")
        return known(selector, *rest, **more)

    monkeypatch.setattr(module, where, odd)
    since = SystemClock().now() - 60 if where == "select_run" else None

    async def main():
        async with poller_at(aep) as poller:
            return await ends(poller, [Wait(RunSelector(f, since=since), INTERVAL) for f in ("f1", "f2")])

    one, two = asyncio.run(main())
    assert two.selector.run_id == "r2"
    assert "the first run of flow f1 cannot be read: TypeError" in str(one)


@pytest.mark.parametrize("given", [None, "soon"])
def test_a_window_that_is_no_number_is_none(aep, given):
    put_run(aep, "r1")
    scope = Scope(aep.world.options.org_id, "dev")
    body = aep.world.store.get("runs", scope, "r1")
    params = {"windowStartTime": given, "windowEndTime": given}
    aep.world.store.put("runs", scope, "r1", {**body, "params": params})

    async def main():
        async with poller_at(aep) as poller:
            return await ends(poller, [wait("r1")])

    [observation] = asyncio.run(main())
    assert observation.result.window_start is None
    put_run(aep, "r1", durationSummary={"extensions": {"windowStart": given, "windowEnd": "3600000"}})
    [observation] = asyncio.run(main())
    assert (observation.result.window_start, observation.result.window_end) == (None, 3_600_000)


def test_many_are_asked_for_at_a_time_again_after_a_refusal(aep, monkeypatch):
    monkeypatch.setattr(module, "BATCH_RETRY_AFTER", 0.0)
    for n in range(5):
        put_run(aep, f"r{n}", status="inProgress")
    aep.fault("GET */runs", "answer", status=400, code="1440-400", calls=[1])

    async def main():
        async with poller_at(aep, clock=(clock := Rounds())) as poller:
            tasks = await beginning(poller, [wait(f"r{n}") for n in range(5)])
            for _ in range(3):
                await clock.round()
            for task in tasks:
                task.cancel()

    asyncio.run(main())
    assert (len(aep.requests("GET */runs")), len(aep.requests("GET */runs/{id}"))) == (3, 5)


def test_those_that_somebody_has_looked_for_are_not_looked_for_alone(aep):
    """A triggerer that begins anew with thousands of them would have no turn for anything else."""
    flows = [f"f{n}" for n in range(50)]
    put_flows(aep, *flows)

    async def main():
        async with poller_at(aep, clock=(clock := Rounds())) as poller:
            since = SystemClock().now() - 10
            waits = [Wait(RunSelector(f, since=since), INTERVAL, is_polled=True) for f in flows]
            tasks = await beginning(poller, waits)
            await clock.round()
            for task in tasks:
                task.cancel()

    asyncio.run(main())
    assert len(aep.requests("GET */runs")) == 1


def test_a_connection_that_was_changed_is_looked_up_again(aep, connect, monkeypatch):
    monkeypatch.setattr(module, "CONNECTION_TTL", -1.0)

    async def main():
        async with poller_of("aep_default") as one:
            connect(aep, extra={"sandbox": "prod"})
            async with poller_of("aep_default") as other:
                return one.settings.sandbox, other.settings.sandbox

    assert asyncio.run(main()) == ("dev", "prod")


def test_it_begins_with_the_first_wait_and_ends_with_the_last(aep):
    put_run(aep, "r1", status="inProgress")

    async def main():
        tasks = [asyncio.create_task(wait_for("aep_default", wait("r1"))) for _ in range(20)]
        await until(lambda: aep.requests("GET */runs"))
        here = module._LOOPS[asyncio.get_running_loop()]
        there = len(here.pollers), len(here.lookups)
        tasks[0].cancel()
        await asyncio.sleep(INTERVAL)
        assert len(here.pollers) == 1
        put_run(aep, "r1")
        await asyncio.gather(*tasks[1:])
        left = len(here.pollers), len(here.lookups), len(here.reference_counts)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        return there, left, others

    there, left, others = asyncio.run(main())
    assert there == (1, 1)
    assert left == (0, 0, 0)
    assert not others
    assert len(aep.requests("POST token")) <= 1


def test_two_connections_that_say_the_same_share_one(aep, monkeypatch):
    import os

    monkeypatch.setenv("AIRFLOW_CONN_OTHER", os.environ["AIRFLOW_CONN_AEP_DEFAULT"])

    async def main():
        async with poller_of("aep_default") as one, poller_of("other") as other:
            return one is other

    assert asyncio.run(main())


def test_a_connection_that_could_not_be_looked_up_is_looked_up_again(aep, monkeypatch):
    """A secrets backend may fail with anything."""
    put_run(aep, "r1")
    found = connections.BaseHook.get_connection
    monkeypatch.setattr(connections.BaseHook, "get_connection", lambda _: {}["blip"])

    async def main():
        with pytest.raises(KeyError):
            await wait_for("aep_default", wait("r1"))
        monkeypatch.setattr(connections.BaseHook, "get_connection", found)
        return await wait_for("aep_default", wait("r1"))

    assert asyncio.run(main()).result.verdict == "succeeded"


def test_credentials_that_were_renewed_meanwhile_are_looked_up_again(aep, connect):
    """A triggerer need not be restarted for them."""
    put_run(aep, "r1", status="inProgress")

    async def main():
        tasks = [asyncio.create_task(wait_for("aep_default", wait("r1"))) for _ in range(20)]
        await until(lambda: aep.requests("GET */runs"))
        connect(aep, extra={"ui_url": "https://other.example"})  # the same AEP, by other words
        aep.fault("GET */runs", "answer", status=403, code="403025", calls=[1])
        await until(lambda: not aep.unfired())
        put_run(aep, "r1")
        return await asyncio.gather(*tasks)

    assert {observation.result.verdict for observation in asyncio.run(main())} == {"succeeded"}
    assert aep.unfired() == []
