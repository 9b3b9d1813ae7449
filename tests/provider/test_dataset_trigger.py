"""The trigger of a DAG that is scheduled by a dataset: it reports each landed batch once, in any order of lists."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from chain import StoredState

from aep_emulator.core.store import Scope
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.steps import run_steps
from airflow_provider_aep.runs.batches import HORIZON, Watermark, find_landed_batches
from airflow_provider_aep.runtime import compat, poller
from airflow_provider_aep.triggers import dataset
from airflow_provider_aep.triggers.dataset import AepDatasetTrigger, Poll

NAME = "X dataset"


def now(aep):
    return aep.world.clock.now()


def scope(aep):
    return Scope(aep.world.options.org_id, "dev")


def put(aep, id_, status="success", ago=0.0, failed=0, to="d"):
    """A batch that began a while ago."""
    counts = {"inputRecordCount": 10, "outputRecordCount": 10 - failed, "failedRecordCount": failed}
    at = int((now(aep) - ago) * 1000)
    body = {"id": id_, "status": status, "dataSet": to, "created": at, "updated": at, "metrics": counts}
    store = aep.world.store
    if store.get("batches", scope(aep), id_):
        store.put("batches", scope(aep), id_, {**store.get("batches", scope(aep), id_), "status": status})
    else:
        store.add("batches", scope(aep), id_, body, parent=to)


class Look:
    """One look after the other, as a triggerer that is restarted after each of them has it."""

    def __init__(self, aep):
        self.aep, self.mark = aep, None

    def __call__(self):
        with self.aep.client() as client:
            mark = Watermark.from_dict(json.loads(json.dumps(self.mark))) if self.mark else None
            new, after = run_steps(client, find_landed_batches("d", mark, client.server_now))
        self.mark = after.as_dict()
        return [result.batch_id for result in new]


@pytest.fixture
def observe(aep):
    aep.freeze()
    return Look(aep)


def test_what_was_there_before_is_not_news(aep, observe):
    put(aep, "old")
    assert (observe(), observe()) == ([], [])
    put(aep, "new")
    assert (observe(), observe()) == (["new"], [])


def test_they_land_in_another_order_than_they_begin_in(aep, observe):
    put(aep, "slow", "processing", ago=3600)
    assert observe() == []
    put(aep, "fast")
    assert observe() == ["fast"]
    aep.advance(7200)
    put(aep, "later")
    assert observe() == ["later"]
    put(aep, "slow", "success")
    assert (observe(), observe()) == (["slow"], [])


def test_a_batch_that_is_listed_late_is_reported(aep, observe):
    assert observe() == []
    aep.advance(300)
    put(aep, "first")
    assert observe() == ["first"]
    put(aep, "late", ago=200)
    assert (observe(), observe()) == (["late"], [])


def test_a_failed_batch_is_not_reported(aep, observe):
    observe()
    put(aep, "bad", "processing")
    assert observe() == []
    put(aep, "bad", "failed")
    assert observe() == []


def test_a_stuck_batch_is_not_waited_for_forever(aep, observe):
    observe()
    put(aep, "stuck", "stalled")
    observe()
    aep.advance(HORIZON + 60)
    observe()
    assert observe.mark["since"] > (now(aep) - HORIZON) * 1000


def test_what_is_kept_does_not_grow(aep, observe):
    observe()
    for n in range(50):
        put(aep, f"b{n}")
        assert observe() == [f"b{n}"]
        aep.advance(300)
    assert len(observe.mark["reported"]) <= 3


def leave_out(aep, id_):
    """A batch that a list does not show, though it is there."""
    aep.world.store.put("batches", scope(aep), id_, {**aep.world.store.get("batches", scope(aep), id_), "dataSet": "e"})


def come_back(aep, id_, status):
    body = aep.world.store.get("batches", scope(aep), id_)
    aep.world.store.put("batches", scope(aep), id_, {**body, "dataSet": "d", "status": status})


def test_a_batch_that_a_list_omits_once_is_not_reported_again(aep, observe):
    observe()
    put(aep, "b")
    assert observe() == ["b"]
    leave_out(aep, "b")
    assert observe() == []
    come_back(aep, "b", "success")
    assert observe() == []


def test_one_on_its_way_that_lists_leave_out_is_not_lost(aep, observe):
    observe()
    put(aep, "slow", "processing")
    observe()
    leave_out(aep, "slow")
    for _ in range(3):
        aep.advance(7200)
        observe()
    come_back(aep, "slow", "success")
    assert observe() == ["slow"]


def test_batches_of_another_dataset_are_not_reported(aep, observe):
    observe()
    put(aep, "other", to="e")
    assert observe() == []


# -- the trigger ----------------------------------------------------------------------------------------------------


class Store(StoredState):
    """An asset's state store, as the triggerer gives it to a watcher."""

    def __init__(self):
        super().__init__()
        self._by_name, self._by_uri = {"a": self}, {}

    async def aget(self, key):
        return self.get(key)

    async def aset(self, key, value):
        self[key] = json.loads(json.dumps(value))


def fired(trigger, meanwhile=(), store=None, stored=True):
    """The payloads of a trigger that looks, and looks again after each thing that happens meanwhile."""
    trigger.asset_state_store = store

    async def rounds():
        for happens in (lambda: None, *meanwhile):
            happens()
            yield (one := Poll())
            assert one.done.is_set()
            if one.store_result and stored:
                await one.store_result()

    async def all_of_them():
        return [json.loads(json.dumps(e.payload)) async for e in trigger.filter_shared_stream(rounds())]

    return asyncio.run(all_of_them())


@pytest.fixture
def made(aep, parts):
    """The id of a dataset."""
    [(_, body)] = aep.world.store.everywhere("dataSets")
    return body["id"]


def a_trigger(**given):
    _, kwargs = AepDatasetTrigger(**given).serialize()
    return AepDatasetTrigger(**json.loads(json.dumps(kwargs)))


def test_the_event_tells_which_rows(aep, made):
    [event] = fired(a_trigger(dataset_id=made), [lambda: put(aep, "b", failed=2, to=made)])
    assert (event["dataset_id"], event["records"]) == (made, 8)
    assert [(b["batch_id"], b["verdict"], b["failed"]) for b in event["batches"]] == [("b", "partial", 2)]


def test_a_dataset_is_found_by_its_name(aep, made):
    body = aep.world.store.get("dataSets", scope(aep), made)
    [event] = fired(a_trigger(dataset_name=body["name"]), [lambda: put(aep, "b", to=made)])
    assert event["dataset_id"] == made


def test_what_lands_in_a_dataset_that_was_not_there_is_news(aep):
    def made():
        body = {"id": "d", "name": "later", "tags": {}, "created": int(now(aep) * 1000)}
        aep.world.store.add("dataSets", scope(aep), "d", body, name="later")
        put(aep, "first")

    [event] = fired(a_trigger(dataset_name="later"), [made])
    assert [b["batch_id"] for b in event["batches"]] == ["first"]


def test_a_triggerer_that_starts_anew_goes_on(aep, made):
    store, trigger = Store(), {"dataset_id": made}
    assert fired(a_trigger(**trigger), store=store) == []
    put(aep, "meanwhile", to=made)
    [event] = fired(a_trigger(**trigger), store=store)
    assert [b["batch_id"] for b in event["batches"]] == ["meanwhile"]
    assert fired(a_trigger(**trigger), store=store) == []


def test_an_asset_may_have_two_watchers(aep, made):
    """Each has a watermark of its own, in the one store of their asset."""
    store = Store()
    put(aep, "slow", "processing", ago=3600, to=made)

    def observe(id_):
        return [b["batch_id"] for event in fired(a_trigger(dataset_id=id_), store=store) for b in event["batches"]]

    assert (observe(made), observe("other")) == ([], [])
    put(aep, "one", to=made)
    put(aep, "two", to="other")
    put(aep, "slow", "success", to=made)
    assert (sorted(observe(made)), observe("other")) == (["one", "slow"], ["two"])
    assert (observe(made), observe("other")) == ([], [])


def test_an_event_that_is_not_stored_is_fired_again(aep, made):
    store = Store()
    fired(a_trigger(dataset_id=made), store=store)
    put(aep, "b", to=made)
    assert len(fired(a_trigger(dataset_id=made), store=store, stored=False)) == 1
    assert len(fired(a_trigger(dataset_id=made), store=store)) == 1


@pytest.fixture
def opened(monkeypatch):
    """Return the names of what the poller opened: clients, and Airflow connections that it read."""
    found = []

    class Client(poller.AsyncAepClient):
        def __init__(self, *args, **kwargs):
            found.append("client")
            super().__init__(*args, **kwargs)

    read = poller.get_connection
    monkeypatch.setattr(poller, "AsyncAepClient", Client)
    monkeypatch.setattr(poller, "get_connection", lambda conn_id: found.append("connection") or read(conn_id))
    return found


def test_polls_share_a_client_and_a_connection(aep, made, opened):
    fired(a_trigger(dataset_id=made), [lambda: None] * 5)
    assert len(aep.requests("GET */batches")) == 6
    assert sorted(opened) == ["client", "connection"]
    assert len(aep.requests("POST token")) <= 1


def test_the_connection_is_read_again_after_an_error(aep, made, opened, connect):
    """A person has corrected it meanwhile."""
    connect(aep, extra={"sandbox": "gone"})
    put_later = [lambda: None, lambda: connect(aep), lambda: put(aep, "b", to=made)]
    [event] = fired(a_trigger(dataset_id=made), put_later)
    assert event["dataset_id"] == made
    assert opened.count("connection") == 3


def test_an_unchanged_connection_that_is_read_again_keeps_its_client(aep, made, opened, monkeypatch):
    monkeypatch.setattr(poller, "LEASE_TTL", 0.0)
    monkeypatch.setattr(poller, "CONNECTION_TTL", -1.0)
    fired(a_trigger(dataset_id=made), [lambda: None] * 2)
    assert opened.count("connection") == 3
    assert opened.count("client") == 1


def test_a_trigger_that_ends_closes_its_poller(aep, made):
    async def main():
        events = a_trigger(dataset_id=made).filter_shared_stream(endless())
        waiting = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(10):
            while not aep.requests("GET */batches"):  # noqa: ASYNC110 - the emulator wakes nobody
                await asyncio.sleep(0.01)
        here = poller._LOOPS[asyncio.get_running_loop()]
        open_before = len(here.pollers)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return open_before, len(here.pollers), len(here.reference_counts)

    async def endless():
        while True:
            yield (one := Poll())
            await one.done.wait()

    assert asyncio.run(main()) == (1, 0, 0)


def test_an_outage_ends_nothing_and_hides_nothing(aep, made, log_lines, monkeypatch):
    monkeypatch.setattr("airflow_provider_aep.runtime.poller.POLL_DEADLINE", 0.1)

    def down():
        put(aep, "b", to=made)
        aep.fault("GET */batches", "answer", status=503)

    [event] = fired(a_trigger(dataset_id=made), [down, lambda: aep.world.faults.clear()])
    assert [b["batch_id"] for b in event["batches"]] == ["b"]
    assert [text for level, text in log_lines() if level == "error" and f"The poll of dataset {made} failed" in text]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dataset_name": "nothing"}, "The dataset nothing does not exist yet"),
        (
            {"dataset_id": "d", "aep_conn_id": "nothing"},
            "The poll of dataset d failed, and the trigger polls again: There is no Airflow",
        ),
    ],
)
def test_what_cannot_be_watched_is_said_and_tried_again(aep, given, says, log_lines):
    assert fired(a_trigger(**given), [lambda: None]) == []
    assert len([text for _, text in log_lines() if says in text]) == 2


def sleeps(monkeypatch, how):
    """How the trigger sleeps, and nobody else: the emulator in this process rests, too."""
    monkeypatch.setattr(dataset, "asyncio", SimpleNamespace(sleep=how, Event=asyncio.Event))


def test_it_looks_at_its_interval_and_not_faster(aep, made, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    sleeps(monkeypatch, sleep)

    async def watched():
        async for _ in AepDatasetTrigger(dataset_id=made, poke_interval=0.001).run():
            pass

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(watched())
    assert slept == [1, 1, 1]
    assert len(aep.requests("GET */batches")) == 3


def test_an_event_that_airflow_did_not_take_is_not_noted(aep, made):
    """The trigger is cancelled, and another triggerer goes on."""
    put(aep, "old", to=made)
    looks = []

    async def rounds():
        for _ in range(2):
            looks.append(Poll())
            yield looks[-1]
            put(aep, "b", to=made)

    async def main():
        events = a_trigger(dataset_id=made).filter_shared_stream(rounds())
        await anext(events)
        before = looks[-1].store_result
        await events.aclose()
        return before, looks[-1].store_result

    assert asyncio.run(main()) == (None, None)
    assert looks[0].store_result


def test_no_look_begins_before_the_one_before_is_over(monkeypatch):
    sleeps(monkeypatch, lambda _: asyncio.sleep(0))

    async def main():
        stream = dataset.poll_regularly(60)
        first = await anext(stream)
        second = asyncio.ensure_future(anext(stream))
        for _ in range(9):
            await asyncio.sleep(0)
        early = second.done()
        first.done.set()
        return early, await asyncio.wait_for(second, 10) is not first

    assert asyncio.run(main()) == (False, True)


def test_a_note_that_airflow_does_not_take_ends_nothing(caplog):
    pytest.importorskip("airflow.triggers.shared_stream", exc_type=ImportError)  # Airflow 3.3
    noted = []

    async def fails():
        raise RuntimeError("the API server is away")

    async def note():
        noted.append(True)

    def item(how, clean=True):
        one = Poll()
        one.store_result = how
        return SimpleNamespace(outcome=SimpleNamespace(is_clean=clean), broker_payload=one)

    items = [item(fails), item(None), item(note, clean=False), item(note)]
    asyncio.run(compat.confirmed_stream(dataset.poll_regularly(60)).advance(items))
    assert noted == [True]
    assert "Airflow did not store the watermark" in caplog.text


def test_one_of_name_and_id_is_given():
    for given in ({}, {"dataset_name": "a", "dataset_id": "b"}):
        with pytest.raises(AepConfigurationError, match="Set either dataset_name or dataset_id"):
            AepDatasetTrigger(**given)


def test_two_with_the_same_arguments_are_one_trigger():
    one, other = (AepDatasetTrigger(dataset_name=NAME).serialize() for _ in range(2))
    assert AepDatasetTrigger.hash(*one) == AepDatasetTrigger.hash(*other)
