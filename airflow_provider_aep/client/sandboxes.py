"""Endpoint of sandbox management: list sandboxes. Source: Adobe's sandbox OpenAPI file."""

from __future__ import annotations

from airflow_provider_aep.client.call import Call, Response, Safety
from airflow_provider_aep.client.models import Sandbox

BASE = "/data/foundation/sandbox-management"
"""Path of the service below the platform URL."""


def list_sandboxes() -> Call[list[Sandbox]]:
    """Return the call that lists the sandboxes of the credential; it needs no administrator permission."""

    def read(answer: Response) -> list[Sandbox]:
        return [Sandbox.model_validate(s) for s in answer.body["sandboxes"]]

    return Call("GET sandboxes", "GET", f"{BASE}/", read, Safety.READ)
