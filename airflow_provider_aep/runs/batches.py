"""Batches that landed in a dataset since the last poll, for triggers that watch a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_aep.client import catalog
from airflow_provider_aep.client.consistency import LIST_LAG
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.steps import Steps, list_all
from airflow_provider_aep.runs.verdict import LANDED_VERDICTS, BatchResult, Verdict, evaluate_batch

HORIZON = 7 * 86_400
"""Seconds after which a batch that has neither landed nor failed is no longer expected."""

_OPEN_VERDICTS = frozenset({Verdict.WAITING.value, Verdict.UNKNOWN.value})


@dataclass(frozen=True)
class Watermark:
    """The batches of a dataset that were reported, and those that are still open.

    Batches do not land in the order of their creation, and AEP's lists have a read lag. So a time alone is not enough.

    :param since: milliseconds since the epoch; all batches created earlier are reported, or will never land
    :param reported: creation time (milliseconds since the epoch) by id, for reported batches created since then
    :param open: the same for batches that have neither landed nor failed; a list may omit one for some time
    """

    since: int
    reported: Mapping[str, int] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the watermark as JSON, for a state store."""
        return {"since": self.since, "reported": dict(self.reported), "open": dict(self.open)}

    @classmethod
    def starting_at(cls, now: float) -> Watermark:
        """Return the watermark of a dataset that does not exist yet: all of its batches will be new.

        :param now: AEP's clock, in seconds since the epoch
        """
        return cls(int((now - LIST_LAG) * 1000))

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Watermark:
        """Return the watermark that :meth:`as_dict` wrote."""
        return cls(int(stored["since"]), stored.get("reported") or {}, stored.get("open") or {})


def find_landed_batches(
    dataset_id: str, watermark: Watermark | None, server_now: Callable[[], float]
) -> Steps[tuple[list[BatchResult], Watermark]]:
    """Return the batches that have landed and were not reported, oldest first, and the next watermark.

    :param dataset_id: id of the dataset in Catalog
    :param watermark: of the previous poll; ``None`` for the first poll, which reports no batch
    :param server_now: returns AEP's clock in seconds since the epoch; exact once AEP has answered
    :raises AepError: Catalog does not list the batches
    """
    since = watermark.since if watermark else int((server_now() - HORIZON) * 1000)
    batches = yield from list_all(catalog.list_batches(dataset_id, created_since=since))
    now = server_now()
    created = {batch.id: batch.created or int(now * 1000) for batch in batches}
    results = {batch.id: evaluate_batch(batch) for batch in batches}
    landed_ids = sorted(
        (id_ for id_, r in results.items() if r.verdict in LANDED_VERDICTS), key=lambda id_: created[id_]
    )
    listed_open = {id_: created[id_] for id_, r in results.items() if r.verdict in _OPEN_VERDICTS}
    reported = {**(watermark.reported if watermark else {}), **{id_: created[id_] for id_ in landed_ids}}
    omitted = {id_: at for id_, at in (watermark.open if watermark else {}).items() if id_ not in results}
    still_open = {id_: at for id_, at in {**omitted, **listed_open}.items() if at > (now - HORIZON) * 1000}
    next_since = max(since, min([int((now - LIST_LAG) * 1000), *still_open.values()]))
    next_watermark = Watermark(next_since, {id_: at for id_, at in reported.items() if at >= next_since}, still_open)
    return [results[id_] for id_ in landed_ids if watermark and id_ not in watermark.reported], next_watermark


def find_dataset_id(name: str) -> Steps[str | None]:
    """Return the id of the dataset with a name; ``None`` if no dataset has it.

    :param name: the exact name of the dataset in AEP
    :raises AepConfigurationError: several datasets have the name
    """
    ids = [d.id for d in (yield from list_all(catalog.list_datasets(name))) if d.name == name]
    if len(ids) > 1:
        raise AepConfigurationError(
            f"dataset_name is {name!r}, which {len(ids)} datasets have: {', '.join(ids)}",
            next_step="Set dataset_id to the id of one of them instead.",
        )
    return ids[0] if ids else None
