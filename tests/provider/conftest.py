"""What the tests of the provider share: a whole Airflow, tasks without one, and what a log says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from real_airflow import airflow_of
from tasks import MAPPINGS, NAMES, run

from airflow_provider_aep.onboarding import wait as engine
from airflow_provider_aep.operators.flow import AepCreateMappingSetOperator, AepGetFlowSpecOperator
from airflow_provider_aep.operators.source import (
    AepCreateBaseConnectionOperator,
    AepCreateSourceConnectionOperator,
    AepExploreOperator,
)
from airflow_provider_aep.operators.target import (
    AepCreateDatasetOperator,
    AepCreateSchemaOperator,
    AepCreateTargetConnectionOperator,
)


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole Airflows one after the other in one process: two at a time are too much for a small machine. And those
    that share an Airflow in the process that has it."""
    for item in items:
        for shared in {"start_airflow", "commands"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.xdist_group(shared))


@pytest.fixture(scope="session")
def start_airflow(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def start(emulator: Any, dag_id: str = "aep_customer_success_onboarding", **environment: str) -> Any:
        return airflow_of(emulator, tmp_path_factory.mktemp("airflow"), dag_id, **environment)

    return start


@pytest.fixture
def aep(emulator, connect, monkeypatch):
    """The emulator behind ``aep_default``; what is not there is not waited for."""
    connect(emulator)
    monkeypatch.setattr(engine, "FRESH_WAITS", ())
    return emulator


@pytest.fixture
def impatient(monkeypatch):
    """Nothing is repeated within one look."""
    from airflow_provider_aep.client import client

    init = client._Plan.__init__

    def without_deadline(self, settings, clock, tokens, on_token, deadline):
        init(self, settings, clock, tokens, on_token, 60)
        self.deadline = 0.0

    monkeypatch.setattr(client._Plan, "__init__", without_deadline)


@pytest.fixture
def parts(aep):
    """Everything up to the flow."""
    base = run(AepCreateBaseConnectionOperator, name=NAMES.base)
    columns = run(AepExploreOperator, base_connection_id=base, table="customer_contact")
    table = {"base_connection_id": base, "table": "customer_contact", "columns": columns}
    schema = run(AepCreateSchemaOperator, title=NAMES.schema)
    dataset = run(AepCreateDatasetOperator, name=NAMES.dataset, schema_id=schema)
    mapping = {"schema_id": schema, "mappings": MAPPINGS, "columns": columns}
    return {
        "base": base,
        "columns": columns,
        "schema": schema,
        "dataset": dataset,
        "source_connection_id": run(AepCreateSourceConnectionOperator, name=NAMES.source, **table),
        "target_connection_id": run(AepCreateTargetConnectionOperator, name=NAMES.target, dataset_id=dataset),
        "mapping_set": run(AepCreateMappingSetOperator, name=NAMES.mapping, **mapping),
        "flow_spec": run(AepGetFlowSpecOperator),
    }


_LOGGED = re.compile(
    r"\{\S+\} (?P<old>[A-Z]+) - (?P<old_text>.+)"  # Airflow 3.0
    r"|\[(?P<level>[a-z]+) *\] (?P<text>.+?) *(?:\[airflow\S+\].*)?$"  # Airflow 3.1 and later
)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[tuple[str, str]]]:
    """What was logged since the last call, as pairs of level and text."""

    def read() -> list[tuple[str, str]]:
        lines = [found for line in capsys.readouterr().out.splitlines() if (found := _LOGGED.search(line))]
        return [((f["old"] or f["level"]).lower(), f["old_text"] or f["text"]) for f in lines]

    return read
