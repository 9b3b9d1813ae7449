"""Endpoint of the Data Access API: error diagnostics of a batch. Source: Adobe's "Retrieving error diagnostics"."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from airflow_provider_aep.client.call import Call, Response, Safety

BASE = "/data/foundation/export"
"""Path of the service below the platform URL."""

KEPT_DAYS = 30
"""Days for which AEP stores the failed rows of a batch."""


def get_failed_rows(batch_id: str) -> Call[list[dict[str, Any]]]:
    """Return the call that reads a sample of a batch's failed rows, each with ``_errors`` (``code``, ``message``).

    AEP sends one JSON object per line.
    """

    def read(answer: Response) -> list[dict[str, Any]]:
        if isinstance(answer.body, list):
            return answer.body
        lines = [answer.body] if answer.body else map(json.loads, filter(None, answer.text.splitlines()))
        return [line for line in lines if isinstance(line, dict)]

    path = f"{BASE}/batches/{quote(batch_id, safe='')}/meta"
    return Call("GET batches/meta", "GET", path, read, Safety.READ, (("path", "row_error_samples.json"),))
