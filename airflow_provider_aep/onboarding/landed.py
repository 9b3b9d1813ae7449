"""Which batches of a dataset have landed since somebody asked last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_aep.client import catalog
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.steps import Steps, every
from airflow_provider_aep.onboarding.verdict import LANDED, BatchResult, Verdict, judge_batch
from airflow_provider_aep.onboarding.watch import LAG

HORIZON = 7 * 86_400
"""Seconds after which nobody waits for a batch any more that has begun and neither landed nor failed."""

_OPEN = frozenset({Verdict.WAITING.value, Verdict.UNKNOWN.value})


@dataclass(frozen=True)
class Watermark:
    """What has been told of a dataset.

    Batches land in another order than they begin in, and AEP's lists are behind: so it is a moment, and what is known
    of the time after it.

    :param since: milliseconds since the epoch: whatever began before has landed and been told, or will not land
    :param told: batches that began since then and have been told, and when they began
    :param open: likewise, those that have neither landed nor failed; a list may leave one out for a while
    """

    since: int
    told: Mapping[str, int] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"since": self.since, "told": dict(self.told), "open": dict(self.open)}

    @classmethod
    def nothing(cls, now: float) -> Watermark:
        """Nothing has been told, and nothing is there: whatever begins from now on is news."""
        return cls(int((now - LAG) * 1000))

    @classmethod
    def of(cls, known: dict[str, Any]) -> Watermark:
        return cls(int(known["since"]), known["told"], known["open"])


def landed(
    dataset_id: str, mark: Watermark | None, server_now: Callable[[], float]
) -> Steps[tuple[list[BatchResult], Watermark]]:
    """The batches that have landed and were not told, the eldest first, and what is told then.

    :param mark: without one nothing has been told, and what is there already is not news
    :param server_now: in seconds since the epoch; right once the server has answered
    """
    since = mark.since if mark else int((server_now() - HORIZON) * 1000)
    batches = yield from every(catalog.list_batches(dataset_id, created_since=since))
    now = server_now()
    began = {batch.id: batch.created or int(now * 1000) for batch in batches}
    results = {batch.id: judge_batch(batch) for batch in batches}
    there = sorted((id_ for id_, r in results.items() if r.verdict in LANDED), key=lambda id_: began[id_])
    still_open = {id_: began[id_] for id_, r in results.items() if r.verdict in _OPEN}
    told = {**(mark.told if mark else {}), **{id_: began[id_] for id_ in there}}
    left_out = {id_: at for id_, at in (mark.open if mark else {}).items() if id_ not in results}
    held = {id_: at for id_, at in {**left_out, **still_open}.items() if at > (now - HORIZON) * 1000}
    then = max(since, min([int((now - LAG) * 1000), *held.values()]))
    after = Watermark(then, {id_: at for id_, at in told.items() if at >= then}, held)
    return [results[id_] for id_ in there if mark and id_ not in mark.told], after


def dataset_named(name: str) -> Steps[str | None]:
    """The id of the dataset of this name; ``None`` if there is none.

    :raises AepConfigurationError: there are several
    """
    ids = [d.id for d in (yield from every(catalog.list_datasets(name))) if d.name == name]
    if len(ids) > 1:
        raise AepConfigurationError(f"{len(ids)} datasets are named {name!r}", next_step="Give its id instead.")
    return ids[0] if ids else None
