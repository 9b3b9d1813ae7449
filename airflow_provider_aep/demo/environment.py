"""Environment variables of the demo's Airflow: folders, settings and connections."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aep_emulator.core.options import Options
from airflow_provider_aep.systems import SYSTEMS
from airflow_provider_aep.testing import connection_variable

LOGIN: dict[str, Any] = {
    "conn_type": "http",
    "host": "https://source.example",
    "login": "demo",
    "password": "demo-only",
    "extra": {"apiVersion": "60.0"},  # Salesforce needs one
}
"""The login to each source system. The emulator accepts any."""


def example_dags() -> Path:
    """Return the folder of the example DAGs: ``example_dags`` in a wheel, ``dags`` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "example_dags"
    return installed if installed.is_dir() else package.parent / "dags"


def isolated_environment(home: Path, dags: Path) -> dict[str, str]:
    """Return the environment variables of an Airflow that ignores the user's configuration.

    :param home: value of ``AIRFLOW_HOME``
    :param dags: folder of the DAGs
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "_AIRFLOW"))}
    return inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SENSORS__DEFAULT_TIMEOUT": "300",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",  # Airflow 3.1.0 ignores NO_COLOR
        "COLUMNS": "1000",  # Airflow 3.0 wraps error messages
        "NO_COLOR": "1",
        # The lower-case name has priority.
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), "127.0.0.1"])),
        "PYTHONUNBUFFERED": "1",
    }


def airflow_environment(home: Path, dags: Path, url: str, options: Options) -> dict[str, str]:
    """Return the variables of :func:`isolated_environment`, with the connections to the emulator and all sources.

    :param home: value of ``AIRFLOW_HOME``
    :param dags: folder of the DAGs
    :param url: URL of the emulator, for the connection ``aep_default``
    :param options: options of the emulator, which contain its credential
    """
    aep = {
        "conn_type": "aep",
        "login": options.client_id,
        "password": options.client_secret,
        "host": url,
        "extra": {"org_id": options.org_id, "sandbox": "dev", "ims_url": url},
    }
    # The example DAGs derive the connection id from the system.
    sources = {connection_variable(f"aep_{system}"): json.dumps(LOGIN) for system in SYSTEMS}
    connections = {connection_variable("aep_default"): json.dumps(aep), **sources}
    return isolated_environment(home, dags) | connections
