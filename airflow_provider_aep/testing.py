"""Test support: Airflow connections to a running AEP emulator."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aep_emulator.testing import AepEmulator

SOURCE_LOGIN = {
    "conn_type": "http",
    "host": "https://source.example",
    "login": "any",
    "password": "any password",
    "extra": {"apiVersion": "60.0"},
}
"""Fields of an Airflow connection that the emulator accepts for every source system."""


def connection(emulator: AepEmulator, sandbox: str = "dev", **changes: Any) -> dict[str, Any]:
    """Return the fields of an Airflow connection to an emulator, with the emulator's first credential.

    :param sandbox: name of the sandbox
    :param changes: fields to override; ``None`` removes a field
    """
    options = emulator.world.options
    credential = next(iter(emulator.world.credentials.values()))
    extra = {"org_id": options.org_id, "sandbox": sandbox, "ims_url": emulator.url, **changes.pop("extra", {})}
    fields = {
        "conn_type": "aep",
        "login": credential.client_id,
        "password": credential.client_secret,
        "host": emulator.url,
        "extra": {k: v for k, v in extra.items() if v is not None},
        **changes,
    }
    return {k: v for k, v in fields.items() if v is not None}


def connection_variable(connection_id: str) -> str:
    """Return the name of the environment variable from which Airflow reads a connection."""
    return f"AIRFLOW_CONN_{connection_id.upper().replace('-', '_')}"


def environment(emulator: AepEmulator, systems: Iterable[str] = ()) -> dict[str, str]:
    """Return environment variables with the connection ``aep_default`` and a login for each source system."""
    logins = {connection_variable(f"aep_{system}"): json.dumps(SOURCE_LOGIN) for system in systems}
    return {connection_variable("aep_default"): json.dumps(connection(emulator)), **logins}
