"""What a person wants to know of a run that went badly: codes by activity, fields, and where the rows are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_aep.client import data_prep, export, flow_service
from airflow_provider_aep.client.errors import AepError
from airflow_provider_aep.client.models import Flow, MappingSet
from airflow_provider_aep.client.steps import Steps
from airflow_provider_aep.onboarding.verdict import RunResult, explained

MOST_BATCHES = 5
"""Batches of a run that are asked for their failed rows."""

Row = dict[str, Any]


def described(result: RunResult, *, rows: int = 0) -> Steps[list[str]]:
    """Lines for the log. What cannot be had is said, and is no error: it changes nothing about how the run went.

    AEP's own messages may quote rows, so of them only names of mapped fields are taken.

    :param rows: how many failed rows to show, as AEP keeps them; they may hold personal data
    """
    lines = _by_activity(result)
    if not result.batch_ids:
        return lines
    kept = export.KEPT_DAYS
    ended = result.completed_at or result.started_at
    until = f", until {datetime.fromtimestamp(ended / 1000, UTC) + timedelta(days=kept):%Y-%m-%d}" if ended else ""
    failed: list[Row] = []
    try:
        for id_ in result.batch_ids[:MOST_BATCHES]:
            path = f"{export.BASE}/batches/{id_}/meta?path=row_errors"
            lines.append(f"AEP keeps the failed rows of batch {id_} for {kept} days{until}: GET {path}")
            failed += yield export.get_failed_rows(id_)
        lines += _by_field(failed, (yield from _mapped(result.flow_id)) if failed else [])
    except AepError as e:
        lines.append(f"More is not known of the failed rows: {e}")
    return lines + [json.dumps(row, default=str) for row in failed[:rows]]


def _by_activity(result: RunResult) -> list[str]:
    lines = []
    for e in result.errors:
        records = "" if e.get("records") is None else f", {e['records']} records"
        lines.append(f"{e['activity']}: {explained(str(e['code']))}{records}")
    return list(dict.fromkeys(lines))


def _mapped(flow_id: str) -> Steps[list[set[str]]]:
    """The fields that a flow maps to, and the columns that it maps from."""
    flow: Flow = yield flow_service.get_flow(flow_id)
    mapping = next((t.params for t in flow.transformations if t.name == "Mapping"), {})
    if not mapping.get("mappingId"):
        return []
    found: MappingSet = yield data_prep.get_mapping_set(str(mapping["mappingId"]), mapping.get("mappingVersion"))
    return [{m.destination for m in found.mappings}, {m.source for m in found.mappings}]


def _by_field(failed: Sequence[Row], mapped: Iterable[set[str]]) -> list[str]:
    """How often each code and mapped field was named, or else column."""
    counted = Counter[tuple[str, str]]()
    for row in failed:
        errors = row.get("_errors")
        for e in errors if isinstance(errors, list) else []:
            words = set(re.findall(r"[\w@$][\w.@$-]*[\w]|\w", str(e.get("message", ""))))
            named = next((words & known for known in mapped if words & known), set())
            for name in sorted(named) or ["no field is named"]:
                counted[str(e.get("code", "")), name] += 1
    said = ", ".join(f"{name} ({code}) {n}" for (code, name), n in counted.most_common(20))
    return [f"Of {len(failed)} failed rows that AEP shows: {said}"] if said else []
