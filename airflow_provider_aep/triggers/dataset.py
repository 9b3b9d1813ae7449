"""Fires whenever data has landed in a dataset, for DAGs that are scheduled by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_aep.client.errors import AepConfigurationError, AepError

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer


class Round:
    """One look at a dataset."""

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        """Whether it is over."""
        self.noted: Callable[[], Awaitable[None]] | None = None
        """Writes down what came of it, once its event is stored."""


class AepDatasetTrigger(BaseEventTrigger):
    """Fires when batches have landed in a dataset: in an ``AssetWatcher``, it starts DAGs.

    The event is a dict: ``dataset_id``, ``records`` (written, as far as AEP counts) and ``batches``, each as
    :class:`~.sensors.batch.AepBatchSensor` returns it; a ``partial`` one has landed but for the rows that failed, and
    one that has failed starts nothing. What landed before the first look starts nothing, either; in a dataset that was
    not there at that time, everything is news.

    What was told is kept in the asset's state store (Airflow 3.3): nothing is missed while no triggerer runs, and
    nothing is told twice, unless the triggerer is killed in the second or two between an event and the note of it.
    Before Airflow 3.3, a triggerer that starts anew knows nothing of the time in which none ran.

    Where AEP does not answer, or refuses, the trigger says so in the log and asks again at its next look: it never ends
    by itself.

    :param dataset_name: its name in AEP; or
    :param dataset_id: its id
    :param poke_interval: seconds between two looks
    """

    def __init__(
        self,
        *,
        dataset_name: str | None = None,
        dataset_id: str | None = None,
        aep_conn_id: str = "aep_default",
        poke_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if (dataset_name is None) is (dataset_id is None):
            raise AepConfigurationError("Which dataset?", next_step="Give its dataset_name or its dataset_id.")
        self.dataset_name = dataset_name
        self.dataset_id = dataset_id
        self.aep_conn_id = aep_conn_id
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "airflow_provider_aep.triggers.dataset.AepDatasetTrigger",
            {
                "dataset_name": self.dataset_name,
                "dataset_id": self.dataset_id,
                "aep_conn_id": self.aep_conn_id,
                "poke_interval": self.poke_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """As Airflow before 3.3 calls it."""
        async for event in self.filter_shared_stream(rounds(self.poke_interval)):
            yield event

    # From Airflow 3.3 on, a trigger can be told that its event is stored: of a stream that several triggers may share.
    # Here each has one of its own.

    def shared_stream_key(self) -> tuple[object, ...]:
        return (*self.serialize()[1].values(), self.trigger_id)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        from airflow_provider_aep.triggers.confirmed import Confirmed

        return Confirmed(rounds(float(kwargs.get("poke_interval", 60.0))))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        stored: dict[str, Any] | None = None
        known = False
        async for one in shared_stream:
            try:
                if not known:
                    stored, known = await self._stored(), True
                dataset, new, note = await self._look(stored)
            except Exception as e:
                which, expected = self.dataset_name or self.dataset_id, isinstance(e, AepError)
                self.log.error("The dataset %s cannot be watched now: %s", which, e, exc_info=not expected)
                one.looked.set()
                continue
            if new:
                records = sum(batch["written"] or 0 for batch in new)
                self.log.info("%d batches with %d records have landed in dataset %s", len(new), records, dataset)
                yield TriggerEvent({"dataset_id": dataset, "records": records, "batches": new})
            if note != stored:  # not before Airflow has taken the event: a trigger that ends meanwhile has told nothing
                one.noted, stored = self._noting(note), note
            one.looked.set()

    async def _look(self, stored: dict[str, Any] | None) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
        """The dataset, what has landed in it, and what to note."""
        from airflow_provider_aep.onboarding.landed import Watermark, dataset_named, landed
        from airflow_provider_aep.triggers.hub import hub_of

        mark = Watermark.of(stored) if stored else None
        async with hub_of(self.aep_conn_id) as hub:
            dataset = self.dataset_id or await hub.ask(dataset_named(str(self.dataset_name)))
            if dataset is None:  # whatever lands in it, once it is there, is news
                self.log.info("There is no dataset %s yet", self.dataset_name)
                return "", [], (mark or Watermark.nothing(hub.server_now())).as_dict()
            new, after = await hub.ask(landed(dataset, mark, hub.server_now))
            return dataset, [result.as_dict() for result in new], after.as_dict()

    # One trigger may serve several assets.

    def _places(self) -> list[Any]:
        store = getattr(self, "asset_state_store", None)
        return [] if store is None else [*store._by_name.values(), *store._by_uri.values()]

    @property
    def _key(self) -> str:
        """One asset may be watched by several triggers, each with a watermark of its own."""
        what = "\n".join(map(str, (self.aep_conn_id, self.dataset_id, self.dataset_name)))
        return f"aep:landed:{sha256(what.encode()).hexdigest()[:16]}"

    async def _stored(self) -> dict[str, Any] | None:
        notes = [note for place in self._places() if isinstance(note := await place.aget(self._key), dict)]
        return min(notes, key=lambda note: int(note["since"]), default=None)

    def _noting(self, note: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        async def write() -> None:
            for place in self._places():
                await place.aset(self._key, note)

        return write


async def rounds(interval: float) -> AsyncIterator[Round]:
    """The first at once, and never one before the other is over."""
    while True:
        yield (one := Round())
        await asyncio.sleep(max(interval, 1.0))
        await one.looked.wait()
