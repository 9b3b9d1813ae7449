"""Data access: what became of the rows of a batch that did not land. Source: "Retrieving error diagnostics"."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from airflow_provider_aep.client.call import Answer, Call, Safety

BASE = "/data/foundation/export"
KEPT_DAYS = 30
"""Days that AEP keeps failed rows."""


def get_failed_rows(batch_id: str) -> Call[list[dict[str, Any]]]:
    """A sample of a batch's failed rows, each with ``_errors`` (``code`` and ``message``): one JSON object a line."""

    def read(answer: Answer) -> list[dict[str, Any]]:
        if isinstance(answer.body, list):
            return answer.body
        lines = [answer.body] if answer.body else map(json.loads, filter(None, answer.text.splitlines()))
        return [line for line in lines if isinstance(line, dict)]

    path = f"{BASE}/batches/{quote(batch_id, safe='')}/meta"
    return Call("GET batches/meta", "GET", path, read, Safety.READ, (("path", "row_error_samples.json"),))
