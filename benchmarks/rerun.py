"""What an onboarding costs that is there already: requests of an unchanged re-run, and of each change, by sandbox size.

``make bench-rerun``, or ``python benchmarks/rerun.py``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
os.environ.update(AIRFLOW_HOME=tempfile.mkdtemp(prefix="rerun-"), AIRFLOW__CORE__UNIT_TEST_MODE="True")

import httpx
from rich.console import Console
from rich.table import Table

import emulator as harness
from airflow_provider_aep.naming import Names
from airflow_provider_aep.operators import flow, source, target

SIZES = (10, 10_000)
NAMES, CUSTOM = Names("Contacts"), Names("Custom contacts")
MAPPINGS = {"_id": "sys_id", "person.name.lastName": "last_name", "personalEmail.address": "email"}


def chain(names: Names = NAMES, **changes: Any) -> None:
    """The README's DAG up to the flow, a task after the other; with ``CUSTOM``, also a class and a field group.

    :param changes: by kind, arguments of its operator that differ
    """

    def run(kind: str, operator: Any, **arguments: Any) -> Any:
        return operator(task_id=kind, **arguments, **changes.get(kind, {})).execute({})

    base = run("base", source.AepCreateBaseConnectionOperator, name=names.base)
    columns = run("explore", source.AepExploreOperator, base_connection_id=base, table="customer_contact")
    rows = {"base_connection_id": base, "table": "customer_contact", "columns": columns}
    origin = run("source", source.AepCreateSourceConnectionOperator, name=names.source, **rows)
    parts: dict[str, Any] = {}
    if names is CUSTOM:
        class_ = run("class", target.AepCreateClassOperator, title=names.xdm_class, fields={"contact.number": "string"})
        fields = {"contact.state": "string", "contact.tags": "string[]"}
        group = run("group", target.AepCreateFieldGroupOperator, title=names.field_group, fields=fields, classes=class_)
        groups = ["profile-person-details", "profile-personal-details", group]
        parts = {"class_id": class_, "field_groups": groups}
    schema = run("schema", target.AepCreateSchemaOperator, title=names.schema, **parts)
    dataset = run("dataset", target.AepCreateDatasetOperator, name=names.dataset, schema_id=schema)
    lake = run("target", target.AepCreateTargetConnectionOperator, name=names.target, dataset_id=dataset)
    mappings = changes.pop("mappings", MAPPINGS)
    pairs = {"schema_id": schema, "columns": columns, "mappings": mappings}
    mapping = run("mapping", flow.AepCreateMappingSetOperator, name=names.mapping, **pairs)
    spec = run("flow_spec", flow.AepGetFlowSpecOperator)
    ends = {"source_connection_id": origin, "target_connection_id": lake, "mapping_set": mapping, "flow_spec": spec}
    run("flow", flow.AepCreateFlowOperator, name=names.flow, start_in_minutes=10_000, **ends)


def counted(admin: httpx.Client, act: Callable[[], None]) -> tuple[int, int]:
    """Reads and writes of something, without tokens; AEP's own validation writes nothing."""
    after = admin.get("/_emulator/requests", params={"count": "true"}).json()["count"]
    act()
    new = admin.get("/_emulator/requests", params={"after": after, "limit": 1000}).json()["requests"]
    asked = [r for r in new if r["operation"] != "POST token"]
    writes = [r for r in asked if r["method"] != "GET" and not r["operation"].endswith("/validate")]
    return len(asked) - len(writes), len(writes)


CHANGES = {
    "nothing": {},
    **{f"description of the {k}": {k: {"description": "new"}} for k in ("base", "source", "schema", "dataset", "flow")},
    "mappings (a new version, and the flow's reference)": {
        "mappings": {**MAPPINGS, "person.name.firstName": "first_name"}
    },
}


def measured(size: int) -> dict[str, tuple[int, int]]:
    with harness.emulator() as (port, _):
        url = f"http://127.0.0.1:{port}"
        admin = httpx.Client(base_url=url, trust_env=False, timeout=120)
        crowd = harness.Client(port)
        crowd(
            "POST",
            f"{harness.FLOW}/connections",
            {"name": "o", "auth": harness.AUTH, "connectionSpec": harness.SERVICENOW},
        )
        document = harness.crowded(size, crowd("GET", "/_emulator/snapshot"))
        admin.put("/_emulator/snapshot", json=document).raise_for_status()
        extra = {"org_id": "EMULATOR@AdobeOrg", "sandbox": "dev", "ims_url": url}
        login = {"conn_type": "aep", "login": "emulator", "password": "emulator-secret", "host": url, "extra": extra}
        os.environ["AIRFLOW_CONN_AEP_DEFAULT"] = json.dumps(login)
        there = {"conn_type": "http", "host": "https://source.example", "login": "any", "password": "any password"}
        os.environ["AIRFLOW_CONN_AEP_SERVICENOW"] = json.dumps(there)
        found = {"the first run": counted(admin, chain)}
        found |= {what: counted(admin, lambda: chain(**dict(change))) for what, change in CHANGES.items()}  # noqa: B023
        found["the first run, with a custom class and field group"] = counted(admin, lambda: chain(CUSTOM))
        found["nothing, with a custom class and field group"] = counted(admin, lambda: chain(CUSTOM))
        return found


def main() -> None:
    results = {size: measured(size) for size in SIZES}
    table = Table(title="Requests of an onboarding of nine tasks")
    table.add_column("what has changed")
    for size in SIZES:
        table.add_column(f"{size:,} objects in the sandbox", justify="right")
    for what in results[SIZES[0]]:
        table.add_row(what, *(f"{r} reads, {w} writes" for r, w in (results[s][what] for s in SIZES)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
