"""What Airflow discovers must be discoverable, cheap and true."""

import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files

import jsonschema
import pytest

from airflow_provider_aep.get_provider_info import get_provider_info
from airflow_provider_aep.hooks.aep import AepHook


def _schema(name):
    return json.loads((files("airflow") / name).read_text())


def test_fits_airflows_own_schema():
    jsonschema.validate(get_provider_info(), _schema("provider_info.schema.json"))


@pytest.mark.parametrize("part", ["connection-types", "config"])
def test_fits_the_stricter_schema_of_apaches_own_providers(part):
    """The one above ignores a misspelt ``conn-fields``; this one does not."""
    whole = _schema("provider.yaml.schema.json")
    jsonschema.validate(get_provider_info()[part], {**whole["properties"][part], "definitions": whole["definitions"]})


def test_the_connection_form_has_our_fields_and_no_others():
    [type_] = get_provider_info()["connection-types"]
    assert type_["connection-type"] == AepHook.conn_type
    assert type_["hook-class-name"] == f"{AepHook.__module__}.{AepHook.__qualname__}"
    assert list(type_["conn-fields"]) == ["org_id", "sandbox", "scopes", "ims_url", "ui_url"]
    assert type_["ui-field-behaviour"]["hidden-fields"] == ["port", "schema", "extra"]


def test_airflow_lists_it():
    command = [sys.executable, "-m", "airflow", "providers", "get", "airflow-provider-aep", "--full", "-o", "json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "airflow_provider_aep.hooks.aep.AepHook" in shown


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
