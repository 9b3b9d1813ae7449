"""Directives that take the content of a page from the code, so that it cannot become stale.

- ``dag-tasks FILE TASK_ID ...`` shows the statements of an example DAG that create these tasks.
- ``dag-graph FILE`` draws the tasks of an example DAG.
- ``emulator-coverage TABLE`` is a table of the emulator: ``operations``, ``refusals`` or ``switches``.
- ``mapping-functions``, ``date-formats`` and ``mapping-choices`` are tables of the mapping language.
- ``configuration`` lists the options of the provider's section in ``airflow.cfg``.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from diagrams import drawing_nodes
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]

COVERAGE_COLUMNS: dict[str, dict[str, str]] = {
    "operations": {"operation": "`{}`", "evidence": "{}", "source": "{}"},
    "refusals": {"code": "`{}`", "service": "{}", "title": "{}", "when": "{}", "evidence": "{}", "source": "{}"},
    "switches": {"switch": "`{}`", "default": "`{}`", "values": "{}", "what": "{}", "evidence": "{}"},
}


def task_statements(source: str) -> dict[str, str]:
    """Return the source of the statement that creates each task, by task id."""
    found = {}
    for function in ast.walk(ast.parse(source)):
        for statement in function.body if isinstance(function, ast.FunctionDef) else []:
            for call in ast.walk(statement):
                if isinstance(call, ast.keyword) and call.arg == "task_id" and isinstance(call.value, ast.Constant):
                    lines = source.splitlines()[statement.lineno - 1 : statement.end_lineno]
                    found[str(call.value.value)] = textwrap.dedent("\n".join(lines))
    return found


def task_graph(source: str) -> str:
    """Return a Mermaid flowchart of the tasks that read the output of other tasks."""
    edges = []
    for task_id, statement in task_statements(source).items():
        for node in ast.walk(ast.parse(statement)):
            if isinstance(node, ast.Attribute) and node.attr == "output" and isinstance(node.value, ast.Name):
                edges.append((node.value.id, task_id))
    return "\n".join(["flowchart LR", *(f"{a} --> {b}" for a, b in dict.fromkeys(edges))])


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Return a Markdown table.

    :param rows: a value by column name.
    :param columns: the format of a cell by column name.
    """
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        values = [", ".join(v) if isinstance(v := row[name], list) else str(v) for name in columns]
        cells = [form.format(value).replace("|", "\\|") for form, value in zip(columns.values(), values, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def wrapping_table(content: list[nodes.Node], *classes: str) -> list[nodes.Node]:
    """Let the cells of a table wrap anywhere, since they hold long paths.

    :param classes: more classes of the table
    """
    for node in content:
        if isinstance(node, nodes.table):
            node["classes"] += ["long-cells", *classes]
    return content


class DagTasks(SphinxDirective):
    """Show the statements of a DAG file that create the named tasks."""

    required_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return one code block."""
        file, task_ids = self.arguments[0], self.arguments[1].split()
        self.env.note_dependency(str(ROOT / file))
        statements = task_statements((ROOT / file).read_text(encoding="utf-8"))
        if missing := [task_id for task_id in task_ids if task_id not in statements]:
            raise self.error(f"{file} has no task {', '.join(missing)}")
        code = "\n".join(statements[task_id] for task_id in task_ids)
        return [nodes.literal_block(code, code, language="python")]


class DagGraph(SphinxDirective):
    """Draw the tasks of a DAG file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the SVG as HTML."""
        file = self.arguments[0]
        self.env.note_dependency(str(ROOT / file))
        return drawing_nodes(task_graph((ROOT / file).read_text(encoding="utf-8")))


class EmulatorCoverage(SphinxDirective):
    """Show a table of the emulator's own description."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from aep_emulator.control.coverage import coverage

        name = self.arguments[0]
        text = table(coverage()[name], COVERAGE_COLUMNS[name]).replace(" /data/foundation/", " …/")
        return wrapping_table(self.parse_text_to_nodes(text))


class Configuration(SphinxDirective):
    """Show the configuration options that the provider declares to Airflow."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Return a definition list."""
        return self.parse_text_to_nodes("\n".join(self.lines()))

    @staticmethod
    def lines() -> Iterator[str]:
        """Yield the Markdown of the list."""
        from airflow_provider_aep.get_provider_info import get_provider_info

        for section, content in get_provider_info()["config"].items():
            for name, option in content["options"].items():
                yield f"`[{section}] {name}`"
                yield f": {option['description']}"
                yield ""
                example = f" Example: `{option['example']}`." if option["example"] else ""
                default = f"`{option['default']}`" if option["default"] else "empty"
                yield f"  Type: {option['type']}. Default: {default}.{example}"
                yield ""


class ResourceTypes(SphinxDirective):
    """Show the fields of each resource type by their treatment."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from airflow_provider_aep.onboarding.resources import RESOURCE_TYPES
        from airflow_provider_aep.onboarding.resources.identity_descriptor import IdentityDescriptorType

        rows = [
            {
                "object": resource_type.label,
                "parent": [f"`{resource_type.parent}`"] if resource_type.parent else [],
                "managed": [f"`{path}`" for path in (*policy.managed, *policy.required_members)],
                "immutable": [f"`{path}`" for path in policy.immutable],
            }
            for resource_type in (*RESOURCE_TYPES.values(), IdentityDescriptorType(""))
            for policy in [resource_type.policy]
        ]
        columns = {"object": "{}", "parent": "{}", "managed": "{}", "immutable": "{}"}
        return wrapping_table(self.parse_text_to_nodes(table(rows, columns)), "first-column-of-words")


class MappingFunctions(SphinxDirective):
    """Show the functions of the mapping language by category, with an example and its result."""

    columns: ClassVar[dict[str, str]] = {"function": "`{}`", "meaning": "{}", "example": "`{}`", "result": "`{}`"}

    def run(self) -> list[nodes.Node]:
        """Return a table for each category."""
        from aep_data_prep.catalogue import functions

        lines = []
        usable = [f for f in functions().values() if f.flows == "source"]
        for category in dict.fromkeys(f.category for f in usable):
            rows = [self._row(f) for f in usable if f.category == category]
            lines += [f"**{category.capitalize()}**", "", table(rows, self.columns), ""]
        return wrapping_table(self.parse_text_to_nodes("\n".join(lines)))

    @staticmethod
    def _row(function: Any) -> dict[str, Any]:
        from aep_data_prep import DataPrepError, evaluate
        from aep_data_prep.values import text_of

        marks = ("" if function.offline else " *AEP*") + (
            f" Deprecated: use `{function.deprecated}`." if function.deprecated else ""
        )
        try:
            value = evaluate(function.example, {}, now=lambda: NOW, new_id=lambda: NEW_ID)
            result = "null" if value is None else text_of(value)
        except DataPrepError:
            result = "—"
        row = {"function": function.signature, "meaning": f"{function.description}{marks}"}
        return {**row, "example": function.example, "result": result or " "}


NOW, NEW_ID = datetime(2026, 1, 31, 14, 5, tzinfo=UTC), "9d7b9c6a-3a3e-4f0a-8f53-5b1d2c3e4f5a"
"""Time and random id in examples."""


class DateFormats(SphinxDirective):
    """Show the default formats of dates in their order."""

    def run(self) -> list[nodes.Node]:
        """Return a list."""
        from aep_data_prep.dates import DEFAULT_FORMATS

        return self.parse_text_to_nodes("\n".join(f"1. `{form}`" for form in DEFAULT_FORMATS))


class MappingChoices(SphinxDirective):
    """Show the named choices of the mapping language."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from aep_data_prep import CHOICES

        rows = [
            {"name": name, "question": c.question, "values": c.effect, "default": c.values[0]}
            for name, c in CHOICES.items()
        ]
        columns = {"name": "`{}`", "question": "{}", "values": "{}", "default": "`{}`"}
        return wrapping_table(self.parse_text_to_nodes(table(rows, columns)))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("dag-tasks", DagTasks)
    app.add_directive("dag-graph", DagGraph)
    app.add_directive("emulator-coverage", EmulatorCoverage)
    app.add_directive("configuration", Configuration)
    app.add_directive("resource-types", ResourceTypes)
    app.add_directive("mapping-functions", MappingFunctions)
    app.add_directive("date-formats", DateFormats)
    app.add_directive("mapping-choices", MappingChoices)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
