"""What Airflow discovers must be discoverable, cheap and true."""

import importlib
import subprocess
import sys
from importlib.metadata import entry_points

import jsonschema
import pytest

from airflow_provider_aep.get_provider_info import get_provider_info


def test_fits_airflows_own_schema():
    import json
    from importlib.resources import files

    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_is_found_under_its_canonical_name():
    [point] = [p for p in entry_points(group="apache_airflow_provider") if p.module.startswith("airflow_provider_aep")]
    assert point.load()()["package-name"] == point.dist.name == "airflow-provider-aep"


def test_importing_it_loads_neither_airflow_nor_httpx_nor_pydantic():
    heavy = ("airflow", "httpx", "pydantic")
    code = f"import sys, airflow_provider_aep.get_provider_info; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def _named_modules():
    info = get_provider_info()
    for kind in ("operators", "sensors", "hooks", "triggers"):
        for entry in info[kind]:
            yield from entry["python-modules"]


@pytest.mark.parametrize("module", sorted(_named_modules()))
def test_every_named_module_exists(module):
    assert importlib.import_module(module)
