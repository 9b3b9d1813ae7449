"""Writes down what came of a look once Airflow has stored its event: it needs Airflow 3.3."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

log = logging.getLogger(__name__)


class Confirmed(SharedStreamProducer):
    """A stream of :class:`~.dataset.Round`, each of which is noted when nothing of it can be lost any more."""

    def __init__(self, rounds: AsyncIterator[Any]) -> None:
        self._rounds = rounds

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        async for one in self._rounds:
            yield one, one

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        for item in batch:
            if item.outcome.is_clean and item.broker_payload.noted:
                try:
                    await item.broker_payload.noted()
                except Exception:  # the next note says this one's, too
                    log.exception("What has landed could not be noted in Airflow")

    async def aclose(self) -> None:
        """Nothing is held."""
