"""The trigger of a DAG that is scheduled by a dataset: what lands is told, once, in whatever order and however late."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from chain import Notes

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.steps import follow
from airflow_provider_aep.emulator.store import Scope
from airflow_provider_aep.onboarding.landed import HORIZON, Watermark, landed
from airflow_provider_aep.triggers import dataset
from airflow_provider_aep.triggers.dataset import AepDatasetTrigger, Round

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
            mark = Watermark.of(json.loads(json.dumps(self.mark))) if self.mark else None
            new, after = follow(client, landed("d", mark, client.server_now))
        self.mark = after.as_dict()
        return [result.batch_id for result in new]


@pytest.fixture
def look(aep):
    aep.freeze()
    return Look(aep)


def test_what_was_there_before_is_not_news(aep, look):
    put(aep, "old")
    assert (look(), look()) == ([], [])
    put(aep, "new")
    assert (look(), look()) == (["new"], [])


def test_they_land_in_another_order_than_they_begin_in(aep, look):
    put(aep, "slow", "processing", ago=3600)
    assert look() == []
    put(aep, "fast")
    assert look() == ["fast"]
    aep.advance(7200)
    put(aep, "later")
    assert look() == ["later"]
    put(aep, "slow", "success")
    assert (look(), look()) == (["slow"], [])


def test_one_that_is_listed_late_is_told(aep, look):
    assert look() == []
    aep.advance(300)
    put(aep, "first")
    assert look() == ["first"]
    put(aep, "late", ago=200)
    assert (look(), look()) == (["late"], [])


def test_one_that_fails_is_not_told(aep, look):
    look()
    put(aep, "bad", "processing")
    assert look() == []
    put(aep, "bad", "failed")
    assert look() == []


def test_nobody_waits_for_ever_for_one_that_is_stuck(aep, look):
    look()
    put(aep, "stuck", "stalled")
    look()
    aep.advance(HORIZON + 60)
    look()
    assert look.mark["since"] > (now(aep) - HORIZON) * 1000


def test_what_is_kept_does_not_grow(aep, look):
    look()
    for n in range(50):
        put(aep, f"b{n}")
        assert look() == [f"b{n}"]
        aep.advance(300)
    assert len(look.mark["told"]) <= 3


def leave_out(aep, id_):
    """A batch that a list does not show, though it is there."""
    aep.world.store.put("batches", scope(aep), id_, {**aep.world.store.get("batches", scope(aep), id_), "dataSet": "e"})


def come_back(aep, id_, status):
    body = aep.world.store.get("batches", scope(aep), id_)
    aep.world.store.put("batches", scope(aep), id_, {**body, "dataSet": "d", "status": status})


def test_one_that_a_list_leaves_out_once_is_not_told_again(aep, look):
    look()
    put(aep, "b")
    assert look() == ["b"]
    leave_out(aep, "b")
    assert look() == []
    come_back(aep, "b", "success")
    assert look() == []


def test_one_on_its_way_that_lists_leave_out_is_not_lost(aep, look):
    look()
    put(aep, "slow", "processing")
    look()
    leave_out(aep, "slow")
    for _ in range(3):
        aep.advance(7200)
        look()
    come_back(aep, "slow", "success")
    assert look() == ["slow"]


def test_of_another_dataset_nothing_is_told(aep, look):
    look()
    put(aep, "other", to="e")
    assert look() == []


# -- the trigger ----------------------------------------------------------------------------------------------------


class Store(Notes):
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
            yield (one := Round())
            assert one.looked.is_set()
            if one.noted and stored:
                await one.noted()

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

    def look(id_):
        return [b["batch_id"] for event in fired(a_trigger(dataset_id=id_), store=store) for b in event["batches"]]

    assert (look(made), look("other")) == ([], [])
    put(aep, "one", to=made)
    put(aep, "two", to="other")
    put(aep, "slow", "success", to=made)
    assert (sorted(look(made)), look("other")) == (["one", "slow"], ["two"])
    assert (look(made), look("other")) == ([], [])


def test_an_event_that_is_not_stored_is_fired_again(aep, made):
    store = Store()
    fired(a_trigger(dataset_id=made), store=store)
    put(aep, "b", to=made)
    assert len(fired(a_trigger(dataset_id=made), store=store, stored=False)) == 1
    assert len(fired(a_trigger(dataset_id=made), store=store)) == 1


def test_an_outage_ends_nothing_and_hides_nothing(aep, made, told, monkeypatch):
    monkeypatch.setattr("airflow_provider_aep.triggers.hub.DEADLINE", 0.1)

    def down():
        put(aep, "b", to=made)
        aep.fault("GET */batches", "answer", status=503)

    [event] = fired(a_trigger(dataset_id=made), [down, lambda: aep.world.faults.clear()])
    assert [b["batch_id"] for b in event["batches"]] == ["b"]
    assert [text for level, text in told() if level == "error" and f"The dataset {made} cannot be watched now" in text]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dataset_name": "nothing"}, "There is no dataset nothing yet"),
        ({"dataset_id": "d", "aep_conn_id": "nothing"}, "The dataset d cannot be watched now: There is no Airflow"),
    ],
)
def test_what_cannot_be_watched_is_said_and_tried_again(aep, given, says, told):
    assert fired(a_trigger(**given), [lambda: None]) == []
    assert len([text for _, text in told() if says in text]) == 2


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
            looks.append(Round())
            yield looks[-1]
            put(aep, "b", to=made)

    async def main():
        events = a_trigger(dataset_id=made).filter_shared_stream(rounds())
        await anext(events)
        before = looks[-1].noted
        await events.aclose()
        return before, looks[-1].noted

    assert asyncio.run(main()) == (None, None)
    assert looks[0].noted


def test_no_look_begins_before_the_one_before_is_over(monkeypatch):
    sleeps(monkeypatch, lambda _: asyncio.sleep(0))

    async def main():
        stream = dataset.rounds(60)
        first = await anext(stream)
        second = asyncio.ensure_future(anext(stream))
        for _ in range(9):
            await asyncio.sleep(0)
        early = second.done()
        first.looked.set()
        return early, await asyncio.wait_for(second, 10) is not first

    assert asyncio.run(main()) == (False, True)


def test_a_note_that_airflow_does_not_take_ends_nothing(caplog):
    confirmed = pytest.importorskip("airflow_provider_aep.triggers.confirmed", exc_type=ImportError)  # Airflow 3.3
    noted = []

    async def fails():
        raise RuntimeError("the API server is away")

    async def note():
        noted.append(True)

    def item(how, clean=True):
        one = Round()
        one.noted = how
        return SimpleNamespace(outcome=SimpleNamespace(is_clean=clean), broker_payload=one)

    items = [item(fails), item(None), item(note, clean=False), item(note)]
    asyncio.run(confirmed.Confirmed(dataset.rounds(60)).advance(items))
    assert noted == [True]
    assert "could not be noted" in caplog.text


def test_one_of_name_and_id_is_given():
    for given in ({}, {"dataset_name": "a", "dataset_id": "b"}):
        with pytest.raises(AepConfigurationError, match="dataset_name or its dataset_id"):
            AepDatasetTrigger(**given)


def test_two_with_the_same_arguments_are_one_trigger():
    one, other = (AepDatasetTrigger(dataset_name=NAME).serialize() for _ in range(2))
    assert AepDatasetTrigger.hash(*one) == AepDatasetTrigger.hash(*other)
