"""Sandboxes, read only. Source: Adobe's sandbox OpenAPI file."""

from __future__ import annotations

from airflow_provider_aep.client.call import Answer, Call, Safety
from airflow_provider_aep.client.models import Sandbox

BASE = "/data/foundation/sandbox-management"


def list_sandboxes() -> Call[list[Sandbox]]:
    """The sandboxes the credential may use; needs no administrator's right."""

    def read(answer: Answer) -> list[Sandbox]:
        return [Sandbox.model_validate(s) for s in answer.body["sandboxes"]]

    return Call("GET sandboxes", "GET", f"{BASE}/", read, Safety.READ)
