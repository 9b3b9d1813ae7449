"""Example DAGs are written so that a reader can copy them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The DAGs of aep_onboardings.py come from files, not from statements.
DAGS = sorted(f for f in (ROOT / "dags").glob("*.py") if f.stem != "aep_onboardings")
PUBLIC = (
    "airflow.sdk",
    "airflow_provider_aep.assets",
    "airflow_provider_aep.hooks",
    "airflow_provider_aep.mappings",
    "airflow_provider_aep.naming",
    "airflow_provider_aep.onboarding.names",
    "airflow_provider_aep.onboarding.systems",
    "airflow_provider_aep.operators",
    "airflow_provider_aep.sensors",
    "airflow_provider_aep.systems",
    "airflow_provider_aep.triggers",
)
OPERATOR = ("Operator", "Sensor")


def called_name(call):
    """Return ``Operator`` of ``Operator(...)``, and of ``Operator.partial(...)``."""
    function = call.func
    while isinstance(function, ast.Attribute):
        function = function.value
    return getattr(function, "id", "")


def operator_calls(node):
    calls = [child for child in ast.walk(node) if isinstance(child, ast.Call)]
    return [call for call in calls if called_name(call).endswith(OPERATOR)]


def statements(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr)]


def violations(source):
    """Return what a reader would not want to copy, as ``line: problem``."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.append((node.lineno, "lambda"))
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [(node.lineno, f"import of {n}") for n in names if n.startswith("airflow") and not is_public(n)]
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Tuple) for target in node.targets):
            found.append((node.lineno, "several values in one assignment"))
    for statement in statements(tree):
        calls = operator_calls(statement)
        if len(calls) > 1:
            found.append((statement.lineno, "several operators in one statement"))
        for call in calls:
            found += operator_violations(statement, call)
    if not ast.get_docstring(tree):
        found.append((1, "no docstring"))
    found += [(1, f"no {argument}") for argument in {"tags", "doc_md", "dag_id"} - dag_arguments(tree)]
    return [f"{line}: {problem}" for line, problem in sorted(found)]


def operator_violations(statement, call):
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    if call.args or None in arguments:
        yield call.lineno, "argument without a keyword"
    if "task_id" not in arguments:
        yield call.lineno, "no task_id"
    elif isinstance(statement, ast.Assign):
        [target] = statement.targets
        if getattr(target, "id", "") != ast.literal_eval(arguments["task_id"]):
            yield call.lineno, "variable and task_id differ"


def is_public(module):
    return module.startswith(PUBLIC) or module == "airflow"


def dag_arguments(tree):
    decorators = [d for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for d in node.decorator_list]
    calls = [d for d in decorators if isinstance(d, ast.Call) and called_name(d) == "dag"]
    return {keyword.arg for call in calls for keyword in call.keywords}


@pytest.mark.parametrize("file", DAGS, ids=[file.stem for file in DAGS])
def test_example_dag(file):
    source = file.read_text()
    assert violations(source) == []
    assert max(len(line) for line in source.splitlines()) <= 88
    assert f'dag_id="{file.stem}"' in source


GOOD = '''"""Text."""
from airflow.sdk import dag
from airflow_provider_aep.operators.run import AepRunFlowOperator
@dag(dag_id="x", tags=["aep"], doc_md=__doc__)
def x():
    run = AepRunFlowOperator(task_id="run", flow_id="f")
    AepRunFlowOperator.partial(task_id="others").expand(flow_id=run.output)
'''


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('flow_id="f"', "flow_id=(lambda: 1)()", "6: lambda"),
        ("operators.run", "client.flow_service", "3: import of airflow_provider_aep.client.flow_service"),
        ('"run", flow_id="f"', '"run", **settings', "6: argument without a keyword"),
        ('task_id="run", ', '"run", ', "6: argument without a keyword"),
        ('task_id="run", ', "", "6: no task_id"),
        ("run = Aep", "started = Aep", "6: variable and task_id differ"),
        ("run = Aep", 'run = AepRunFlowOperator(task_id="run") >> Aep', "6: several operators in one statement"),
        ("def x():\n", "def x():\n    A, B = 1, 2\n", "6: several values in one assignment"),
        ('"""Text."""', "", "1: no docstring"),
        (', tags=["aep"]', "", "1: no tags"),
    ],
)
def test_each_violation_is_found(old, new, problem):
    assert violations(GOOD) == []
    assert old in GOOD
    assert problem in violations(GOOD.replace(old, new, 1))
