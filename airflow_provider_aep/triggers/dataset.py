"""Trigger that watches a dataset for landed batches, to schedule DAGs with an ``AssetWatcher``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_aep.client.errors import AepConfigurationError, AepError
from airflow_provider_aep.runtime.compat import TRIGGER_VERSION, asset_state_stores, check_unknown_arguments

if TYPE_CHECKING:
    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_provider_aep.runtime.poller import PollerLease


class Poll:
    """One poll of a dataset."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        """Set when the poll has ended."""
        self.store_result: Callable[[], Awaitable[None]] | None = None
        """Stores the watermark of the poll, once Airflow has stored its event; ``None`` if it is unchanged."""


class AepDatasetTrigger(BaseEventTrigger):
    """Fire when batches have landed in a dataset; in an ``AssetWatcher``, this starts DAGs.

    The event is a dict with these keys:

    - ``dataset_id``
    - ``records``, the number of records written, as far as AEP counts them
    - ``batches``, each as :class:`~.sensors.batch.AepBatchSensor` returns it

    A ``partial`` batch has landed, without its failed records. A failed batch starts no DAG. Batches that landed before
    the first poll start no DAG, unless the dataset did not exist at that time.

    Airflow 3.3 and later store the reported batches in the asset's state store. So the trigger also reports batches
    that land while no triggerer runs. It reports a batch twice only if the triggerer is killed within seconds, between
    storing the event and storing the state. Before Airflow 3.3, a restarted trigger does not report batches that landed
    while no triggerer ran.

    The trigger never ends by itself. After an error of AEP it logs the error and continues with the next poll.

    :param dataset_name: name of the dataset in AEP. Set either this or ``dataset_id``
    :param dataset_id: id of the dataset
    :param aep_conn_id: id of an Airflow connection of type ``aep``
    :param poke_interval: seconds between two polls; at least 1
    :param version: of the serialized arguments; with it, unknown arguments of another release are ignored
    :raises AepConfigurationError: both or neither of ``dataset_name`` and ``dataset_id`` are set
    :raises TypeError: an argument is unknown, and there is no version
    """

    def __init__(
        self,
        *,
        dataset_name: str | None = None,
        dataset_id: str | None = None,
        aep_conn_id: str = "aep_default",
        poke_interval: float = 60.0,
        version: int | None = None,
        **other: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        check_unknown_arguments(version, other)
        if (dataset_name is None) is (dataset_id is None):
            raise AepConfigurationError(
                f"dataset_name is {dataset_name!r} and dataset_id is {dataset_id!r}, but exactly one must be set",
                next_step="Set either dataset_name or dataset_id.",
            )
        self.dataset_name = dataset_name
        self.dataset_id = dataset_id
        self.aep_conn_id = aep_conn_id
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and the arguments, for Airflow's database."""
        return (
            "airflow_provider_aep.triggers.dataset.AepDatasetTrigger",
            {
                "dataset_name": self.dataset_name,
                "dataset_id": self.dataset_id,
                "aep_conn_id": self.aep_conn_id,
                "poke_interval": self.poke_interval,
                "version": TRIGGER_VERSION,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the dataset and yield events, in Airflow before 3.3."""
        events = self.filter_shared_stream(poll_regularly(self.poke_interval))
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    # Airflow 3.3 confirms stored events only to shared streams. So each trigger has a shared stream with a unique key.

    def shared_stream_key(self) -> tuple[object, ...]:
        """Return a key that is unique to this trigger."""
        return (*self.serialize()[1].values(), self.trigger_id)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return the stream of polls, which stores a watermark after Airflow has stored its event.

        :param kwargs: arguments of the trigger
        """
        from airflow_provider_aep.runtime.compat import confirmed_stream

        return confirmed_stream(poll_regularly(float(kwargs.get("poke_interval", 60.0))))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncGenerator[TriggerEvent, None]:
        """Poll the dataset once per item of the stream, and yield an event if batches have landed.

        :param shared_stream: of :class:`Poll`
        """
        from airflow_provider_aep.runtime.poller import PollerLease

        lease = PollerLease(self.aep_conn_id)
        try:
            async for event in self._events(shared_stream, lease):
                yield event
        finally:
            await lease.release()

    async def _events(
        self, shared_stream: AsyncIterator[Any], lease: PollerLease
    ) -> AsyncGenerator[TriggerEvent, None]:
        stored: dict[str, Any] | None = None
        is_restored = False
        async for poll in shared_stream:
            try:
                if not is_restored:
                    stored, is_restored = await self._read_watermark(), True
                dataset, batches, watermark = await self._poll(lease, stored)
            except Exception as e:
                subject, is_expected = self.dataset_name or self.dataset_id, isinstance(e, AepError)
                self.log.error(
                    "The poll of dataset %s failed, and the trigger polls again: %s",
                    subject,
                    e,
                    exc_info=not is_expected,
                )
                await lease.release()  # the connection may have changed
                poll.done.set()
                continue
            if batches:
                records = sum(batch["written"] or 0 for batch in batches)
                self.log.info("%d batches with %d records have landed in dataset %s", len(batches), records, dataset)
                yield TriggerEvent({"dataset_id": dataset, "records": records, "batches": batches})
            # A trigger that Airflow cancels at the yield has reported nothing, so the watermark changes only here.
            if watermark != stored:
                poll.store_result, stored = self._bind_watermark(watermark), watermark
            poll.done.set()

    async def _poll(
        self, lease: PollerLease, stored: dict[str, Any] | None
    ) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
        """Return the id of the dataset, the batches that have landed in it, and the next watermark."""
        from airflow_provider_aep.runs.batches import Watermark, find_dataset_id, find_landed_batches

        watermark = Watermark.from_dict(stored) if stored else None
        poller = await lease.poller()
        dataset = self.dataset_id or await poller.run_steps(find_dataset_id(str(self.dataset_name)))
        if dataset is None:
            self.log.info("The dataset %s does not exist yet", self.dataset_name)
            return "", [], (watermark or Watermark.starting_at(poller.server_now())).as_dict()
        batches, next_watermark = await poller.run_steps(find_landed_batches(dataset, watermark, poller.server_now))
        return dataset, [batch.as_dict() for batch in batches], next_watermark.as_dict()

    @property
    def _key(self) -> str:
        # Several triggers may watch one asset, and each needs its own watermark in the asset's store.
        arguments = "\n".join(map(str, (self.aep_conn_id, self.dataset_id, self.dataset_name)))
        return f"aep:landed:{sha256(arguments.encode()).hexdigest()[:16]}"

    # One trigger may serve several assets, each with its own store.

    def _stores(self) -> list[Any]:
        return asset_state_stores(self)

    async def _read_watermark(self) -> dict[str, Any] | None:
        watermarks = [mark for store in self._stores() if isinstance(mark := await store.aget(self._key), dict)]
        return min(watermarks, key=lambda mark: int(mark["since"]), default=None)

    def _bind_watermark(self, watermark: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        async def write() -> None:
            for store in self._stores():
                await store.aset(self._key, watermark)

        return write


async def poll_regularly(interval: float) -> AsyncIterator[Poll]:
    """Yield a poll immediately, then one per interval; no poll begins before the previous one has ended.

    :param interval: seconds between two polls; values below 1 count as 1
    """
    while True:
        yield (poll := Poll())
        await asyncio.sleep(max(interval, 1.0))
        await poll.done.wait()
