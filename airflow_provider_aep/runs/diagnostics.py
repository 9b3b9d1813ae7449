"""Diagnostics of a bad run for the task log: error codes by activity, failed fields, and where AEP keeps the rows."""

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
from airflow_provider_aep.runs.verdict import RunResult, explain_code

MAX_BATCHES = 5
"""Batches of a run whose failed rows are requested."""

Row = dict[str, Any]


def describe_failures(result: RunResult, *, rows: int = 0) -> Steps[list[str]]:
    """Return log lines that describe the failures of a run.

    An error of AEP becomes a line, because a missing description does not change the verdict.
    AEP's messages may quote rows. So only names of mapped fields are taken from them.

    :param result: of the run
    :param rows: number of failed rows to append as JSON; they may hold personal data. The default shows none
    """
    lines = _errors_by_activity(result)
    if not result.batch_ids:
        return lines
    kept = export.KEPT_DAYS
    ended = result.completed_at or result.started_at
    until = f", until {datetime.fromtimestamp(ended / 1000, UTC) + timedelta(days=kept):%Y-%m-%d}" if ended else ""
    failed: list[Row] = []
    try:
        for id_ in result.batch_ids[:MAX_BATCHES]:
            path = f"{export.BASE}/batches/{id_}/meta?path=row_errors"
            lines.append(f"AEP keeps the failed rows of batch {id_} for {kept} days{until}: GET {path}")
            failed += yield export.get_failed_rows(id_)
        lines += _errors_by_field(failed, (yield from _mapped_fields(result.flow_id)) if failed else [])
    except AepError as e:
        lines.append(f"AEP returned no details of the failed rows of run {result.run_id}: {e}")
    return lines + [json.dumps(row, default=str) for row in failed[:rows]]


def _errors_by_activity(result: RunResult) -> list[str]:
    lines = []
    for e in result.errors:
        records = "" if e.get("records") is None else f", {e['records']} records"
        lines.append(f"{e['activity']}: {explain_code(str(e['code']))}{records}")
    return list(dict.fromkeys(lines))


def _mapped_fields(flow_id: str) -> Steps[list[set[str]]]:
    """Return the fields that a flow maps to, and the columns that it maps from."""
    flow: Flow = yield flow_service.get_flow(flow_id)
    mapping = next((t.params for t in flow.transformations if t.name == "Mapping"), {})
    if not mapping.get("mappingId"):
        return []
    found: MappingSet = yield data_prep.get_mapping_set(str(mapping["mappingId"]), mapping.get("mappingVersion"))
    return [{m.destination for m in found.mappings}, {m.source for m in found.mappings}]


def _errors_by_field(failed: Sequence[Row], mapped: Iterable[set[str]]) -> list[str]:
    """Return a line that counts the errors by code and mapped field; a row without a known field counts its column."""
    counts = Counter[tuple[str, str]]()
    for row in failed:
        errors = row.get("_errors")
        for e in errors if isinstance(errors, list) else []:
            words = set(re.findall(r"[\w@$][\w.@$-]*[\w]|\w", str(e.get("message", ""))))
            fields = next((words & known for known in mapped if words & known), set())
            for name in sorted(fields) or ["no field is named"]:
                counts[str(e.get("code", "")), name] += 1
    summary = ", ".join(f"{name} ({code}) {n}" for (code, name), n in counts.most_common(20))
    return [f"AEP shows {len(failed)} failed rows, with these errors: {summary}"] if summary else []
