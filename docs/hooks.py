"""What the documentation takes from the code: examples are statements of DAGs that are tested.

``<!-- example: FILE TASK_ID ... -->`` becomes the source of these tasks, ``<!-- file: FILE -->`` a whole file, and
``<!-- coverage -->`` the tables of what the emulator has.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

from airflow_provider_aep.emulator.operations import coverage

ROLE = re.compile(r":\w+:<code>(?:~?[\w.]*\.)?(\w+)</code>")
ROOT = Path(__file__).parents[1]
FILE = re.compile(r"<!-- file: (?P<file>\S+) -->")
EXAMPLE = re.compile(r"<!-- example: (?P<file>\S+) (?P<tasks>[\w ]+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the source of the tasks in place of each mark."""
    markdown = EXAMPLE.sub(lambda m: example(m["file"], m["tasks"].split()), markdown)
    markdown = markdown.replace("<!-- coverage -->", coverage_tables())
    return FILE.sub(lambda m: f"```python\n{(ROOT / m['file']).read_text()}```", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name what they refer to in Sphinx's way; the name alone is enough here."""
    return ROLE.sub(r"<code>\1</code>", html)


def coverage_tables() -> str:
    """Operations, refusals and switches of the emulator, with their classes."""
    found = coverage()
    return "\n\n".join(
        [
            f"## Operations\n\nAs of {found['as_of']}.",
            _table(found["operations"], operation="`{}`", evidence="{}", source="{}"),
            "## Refusals",
            _table(found["refusals"], code="`{}`", service="{}", title="{}", when="{}", evidence="{}", source="{}"),
            "Refusals without a code of Adobe's, such as a missing title or an unknown schema, have the status and the "
            "shape of their service; their texts are the emulator's own, and their class is `assumed`.",
            "## Switches\n\nWhere Adobe is silent: `--assume NAME=VALUE`.",
            _table(found["switches"], switch="`{}`", default="`{}`", values="{}", what="{}", evidence="{}"),
        ]
    )


def _table(rows: list[dict[str, Any]], **columns: str) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = (", ".join(v) if isinstance(v := row[name], list) else str(v) for name in columns)
        shown = (form.format(cell).replace("|", "\\|") for form, cell in zip(columns.values(), cells, strict=True))
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def example(file: str, tasks: list[str]) -> str:
    """The statements of a DAG file that make these tasks, as a code block."""
    source = (ROOT / file).read_text()
    found = {task: text for task, text in _statements(source) if task in tasks}
    if missing := [t for t in tasks if t not in found]:
        raise PluginError(f"{file} has no task {', '.join(missing)}")
    return "\n".join(["```python", *(found[t] for t in tasks), "```"])


def _statements(source: str) -> list[tuple[str, str]]:
    """Task id and text of each statement that names one."""
    found = []
    for block in ast.walk(ast.parse(source)):
        for statement in getattr(block, "body", []) if isinstance(block, ast.With) else []:
            text = ast.get_source_segment(source, statement) or ""
            if task := re.search(r'task_id="(\w+)"', text):
                found.append((task[1], re.sub(r"^ {4}", "", text, flags=re.MULTILINE)))
    return found
