"""Read YAML with the position of each key, and refuse what YAML 1.1 reads in another way than a person does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple["str | int", ...]
Position = tuple[str, int, int]
"""File, line and column; the latter from 1."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEAN_WORDS = {"true", "True", "TRUE", "false", "False", "FALSE"}
_DEEPEST = 50
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, order=True)
class Problem:
    """A mistake at one place of a file.

    :param line: from 1
    :param column: from 1
    :param key: path of the key, with dots; empty for the whole file
    :param grade: ``error``, ``warning`` or ``note``
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    grade: str = "error"

    def __str__(self) -> str:
        grade = "" if self.grade == "error" else f"{self.grade}: "
        return f"{self.file}:{self.line}:{self.column} {self.key}{': ' if self.key else ''}{grade}{self.message}"


@dataclass(frozen=True)
class Document:
    """One YAML document of a file.

    :param data: mappings, lists and plain values
    :param positions: position of each value by its path; that of the key, if there is one
    """

    file: Path
    data: dict[str, Any]
    positions: dict[KeyPath, Position] = field(repr=False)

    def problem(self, path: KeyPath, message: str, grade: str = "error") -> Problem:
        """Return a problem at a path, or at the nearest parent that the file has."""
        return problem_at(self.positions, self.file, path, message, grade)


def problem_at(
    positions: Mapping[KeyPath, Position], file: Path, path: KeyPath, message: str, grade: str = "error"
) -> Problem:
    """Return a problem at the position of a path or of its nearest parent; without one, at the start of the file."""
    known = path
    while known and known not in positions:
        known = known[:-1]
    return Problem(*positions.get(known, (str(file), 1, 1)), dotted(path), message, grade)


def dotted(path: KeyPath) -> str:
    """Return a path as text; a name with a dot is in quotation marks.

    >>> dotted(("mappings", "person.name", 0))
    'mappings."person.name"[0]'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (f'"{step}"' if "." in step else step)
    return text


def read_documents(file: Path) -> tuple[list[Document], list[Problem]]:
    """Return the documents of a file, and all problems of its YAML."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as e:
        return [], [Problem(str(file), 1, 1, "", f"The file cannot be read: {e}")]
    try:
        nodes = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return [], [Problem(str(file), line, column, "", f"This is no YAML: {e.problem or e.context}")]
    except yaml.YAMLError as e:
        return [], [Problem(str(file), 1, 1, "", f"This is no YAML: {e}")]
    documents: list[Document] = []
    problems: list[Problem] = []
    for node in nodes:
        reader = _Reader(str(file))
        data = reader.value(node, ())
        problems += reader.problems
        if isinstance(data, dict):
            documents.append(Document(file, data, reader.positions))
        elif not reader.problems:
            problems.append(reader.problem(node, (), "A document is a mapping of keys to values."))
    if not nodes:
        problems.append(Problem(str(file), 1, 1, "", "The file is empty."))
    return documents, problems


class _Reader:
    """Turns nodes into values."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.positions: dict[KeyPath, Position] = {}
        self.problems: list[Problem] = []
        self._open: list[yaml.Node] = []

    def problem(self, node: yaml.Node, path: KeyPath, message: str) -> Problem:
        return Problem(*self._position(node), dotted(path), message)

    def _position(self, node: yaml.Node) -> Position:
        return self._file, node.start_mark.line + 1, node.start_mark.column + 1

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.positions.setdefault(path, self._position(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if any(node is other for other in self._open) or len(path) > _DEEPEST:
            self.problems.append(self.problem(node, path, "The value contains itself, or is nested too deeply."))
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return dict(self._entries(node, path))
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        finally:
            self._open.pop()

    def _entries(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                self.problems.append(self.problem(key, path, "Merge keys and keys that are no text are not supported."))
                continue
            name = str(key.value)
            if key.tag != f"{_TAG}str" and not key.style:
                self.problems.append(self.problem(key, (*path, name), f"{name} is no text to YAML. Quote the key."))
            if name in seen:
                self.problems.append(self.problem(key, (*path, name), "The key is repeated. Remove one of them."))
                continue
            seen.add(name)
            self.positions[(*path, name)] = self._position(key)
            yield name, self.value(value, (*path, name))

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text, tag = str(node.value), node.tag.removeprefix(_TAG)
        if tag == "null":
            return None
        if tag == "bool":
            if text not in _BOOLEAN_WORDS:
                self.problems.append(
                    self.problem(node, path, f"YAML reads {text} as a boolean. Write true or false, or quote it.")
                )
            return text.lower() == "true"
        if tag == "int":
            if not text.lstrip("+-").isdigit() or (text.lstrip("+-").startswith("0") and len(text.lstrip("+-")) > 1):
                self.problems.append(
                    self.problem(
                        node,
                        path,
                        f"YAML reads {text} as another number. Quote it, or write it without 0 or : in front.",
                    )
                )
                return 0
            return int(text)
        if tag == "float":
            try:
                return float(text)
            except ValueError:
                self.problems.append(self.problem(node, path, f"{text} is no plain number. Quote it."))
                return 0.0
        if tag == "timestamp":
            self.problems.append(self.problem(node, path, f"YAML reads {text} as a date. Quote it."))
        elif tag != "str":
            self.problems.append(self.problem(node, path, f"The tag {node.tag} is not supported. Remove it."))
        return text
