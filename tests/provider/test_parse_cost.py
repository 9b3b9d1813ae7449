"""Parsing a DAG imports nothing that only a running task or a triggerer needs."""

import json
import subprocess
import sys

PARSE = """
import json, sys
{before}
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor

def modules_after(**arguments):
    AepFlowRunSensor(task_id="t", **arguments)
    return sorted(sys.modules)

other = modules_after(flow_id="f", start_in_triggerer=False)
started = [modules_after(flow_id=id_, start_in_triggerer=True) for id_ in ("f", "{{{{ params.flow }}}}")]
print(json.dumps([other, started[-1]]))
"""


def modules_after_parsing(before=""):
    """Return the modules that a wait needs, and those with a wait that starts in the triggerer."""
    code = PARSE.format(before=before)
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    other, started = map(set, json.loads(output.splitlines()[-1]))
    return other, started


IMPORT_ALL = """
import importlib, json, pkgutil, sys
import airflow_provider_aep.operators, airflow_provider_aep.sensors

for package in (airflow_provider_aep.operators, airflow_provider_aep.sensors):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(".http"):  # these extend the HTTP provider's
            importlib.import_module(module.name)
print(json.dumps(sorted(m for m in sys.modules if m.startswith("airflow_provider_aep."))))
"""


def test_operators_and_sensors_import_no_client():
    output = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True).stdout
    modules = json.loads(output.splitlines()[-1])
    parsed = {"airflow_provider_aep.client", "airflow_provider_aep.client.errors"}
    assert {m for m in modules if m.startswith(("airflow_provider_aep.client", "airflow_provider_aep.runs"))} <= parsed


def test_neither_a_dag_nor_a_triggerer_imports_the_mapping_language():
    code = (
        IMPORT_ALL
        + """
import airflow_provider_aep.mappings, airflow_provider_aep.triggers.flow_run
assert not {"aep_data_prep", "lark"} & {name.partition(".")[0] for name in sys.modules}
"""
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_dag_processor_has_what_a_start_in_the_triggerer_imports():
    """Airflow reads a task's trigger when the task is created. Its DAG processor has imported the module before."""
    other, started = modules_after_parsing("import airflow.dag_processing.processor")
    assert started == other


def test_only_a_start_in_the_triggerer_imports_triggers():
    other, started = modules_after_parsing()
    assert "airflow.triggers.base" in started - other
    assert {name.split(".")[0] for name in started - other} <= {"airflow", "pydantic"}
    assert "airflow_provider_aep.triggers.flow_run" not in started
    assert not {name for name in started - other if name.startswith(("httpx", "airflow_provider_aep"))}
