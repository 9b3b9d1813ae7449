"""Check the wording of documentation pages, docstrings, comments and names.

Usage: ``python tools/check_prose.py [FILE ...]``. Without files it checks the targets of ``tools/prose.toml``, which
holds all rules. Each problem is one line, ``file:line:column: rule: message; say instead``. The exit code is 1 if there
is a problem.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
RULES = Path(__file__).with_name("prose.toml")

ATOM = "\N{OBJECT REPLACEMENT CHARACTER}"  # one code span: a word that no wording rule reads
GLUE = "\N{NO-BREAK SPACE}"  # joins the words of a link, which count as one
ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "cf.")
SENTENCE_END = re.compile(r"[.!?][\"')\]*]*(?=\s+[\"'(\[*]*(?:[A-Z0-9]|" + ATOM + "))")
REST_SPAN = re.compile(r"(?::[\w:]+:)?``?[^`]+``?_{0,2}")
REST_FIELD = re.compile(r"\s*:(?:\w+)(?: [^:]+)?:(?=\s|$)")
REST_ITEM = re.compile(r"\s*(?:[-*]|\d+\.|#\.)\s")
REST_DIRECTIVE = re.compile(r"\s*\.\. ")
PYTHON_FOLDERS_TO_SKIP = {".venv", "__pycache__"}


@dataclass(frozen=True)
class Problem:
    """One violation of a rule, with its position."""

    file: str
    line: int
    column: int
    rule: str
    message: str

    def __str__(self) -> str:
        """Return the problem in the form that editors and CI recognise."""
        return f"{self.file}:{self.line}:{self.column}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Passage:
    """A run of prose, and the position in the file of each of its characters."""

    text: str
    positions: tuple[tuple[int, int], ...]

    def sentences(self) -> Iterator[Passage]:
        """Yield the sentences of the passage."""
        ends = [m.end() for m in SENTENCE_END.finditer(self.text) if not self.text[: m.end()].endswith(ABBREVIATIONS)]
        for start, end in pairwise([0, *ends, len(self.text)]):
            start += len(self.text[start:end]) - len(self.text[start:end].lstrip())
            if self.text[start:end].strip():
                yield Passage(self.text[start:end], self.positions[start:end])


class Rules:
    """The rules of the data file, compiled."""

    def __init__(self, file: Path = RULES) -> None:
        """Read the rules.

        :param file: the TOML file.
        """
        self.data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
        self.words_per_sentence: int = self.data["limits"]["words_per_sentence"]
        self.code_columns: int = self.data["limits"]["code_columns"]
        self.wording = [(re.compile(rule["match"], re.IGNORECASE), rule["say"]) for rule in self.data["wording"]]
        openings = "|".join(word.capitalize() for word in self.data["openings"]["words"])
        self.opening = re.compile(rf"[\W_]*({openings})\b(?!.*\?\W*$)", re.DOTALL)
        self.name_parts: frozenset[str] = frozenset(self.data["names"]["parts"])
        self.function_names = frozenset(self.data["names"]["functions"])

    def check_passage(self, file: str, passage: Passage) -> Iterator[Problem]:
        """Check wording, sentence length and sentence openings."""
        yield from self.check_wording(file, passage)
        for sentence in passage.sentences():
            words = [word for word in re.split(r"[ \n\t]+", sentence.text) if re.search(rf"\w|{ATOM}", word)]
            if len(words) > self.words_per_sentence:
                limit = f"{len(words)} words, at most {self.words_per_sentence}; split the sentence"
                yield Problem(file, *sentence.positions[0], "sentence-length", limit)
            if match := self.opening.match(sentence.text):
                text = f"a sentence begins with '{match[1]}'; {self.data['openings']['say']}"
                yield Problem(file, *sentence.positions[match.start(1)], "opening", text)

    def check_wording(self, file: str, passage: Passage) -> Iterator[Problem]:
        """Check the wording rules alone."""
        text = re.sub(r"\s", " ", passage.text)
        for pattern, say in self.wording:
            for match in pattern.finditer(text):
                found = " ".join(match[0].split())
                yield Problem(file, *passage.positions[match.start()], "wording", f"'{found}'; say instead: {say}")

    def check_name(self, name: str, *, is_function: bool) -> str | None:
        """Return the word for which an identifier is rejected, or None."""
        words: list[str] = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
        if is_function and len(words) == 1 and words[0] in self.function_names:
            return words[0]
        rejected = [word for word in words if word in self.name_parts]
        return rejected[0] if rejected else None


def check_page(rules: Rules, file: str, text: str) -> Iterator[Problem]:
    """Check a Markdown page.

    :param rules: the rules to apply.
    :param file: the name to report.
    :param text: the page.
    """
    lines = text.splitlines()
    block_line = 0
    prose = re.sub(r"^:{3,}.*$", "", text, flags=re.MULTILINE)  # fences of admonitions
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(prose):
        if token.map:
            block_line = token.map[0]
        if token.type in {"fence", "code_block"}:
            if token.info.startswith(("{", "mermaid")):
                continue  # a directive: the site shows its result
            for number, line in enumerate(token.content.splitlines(), block_line + 1 + (token.type == "fence")):
                if len(line) > rules.code_columns:
                    message = f"a code line has {len(line)} columns, at most {rules.code_columns}; wrap the line"
                    yield Problem(file, number, rules.code_columns + 1, "code-width", message)
        elif token.type == "inline":
            yield from rules.check_passage(file, _markdown_passage(token.children or [], lines, block_line))


def _markdown_passage(children: list[Any], lines: list[str], line: int) -> Passage:
    """Return the prose of one inline token, with code spans as atoms and links as single words."""
    text: list[str] = []
    positions: list[tuple[int, int]] = []
    column, in_link = 0, False
    for child in children:
        source = lines[line] if line < len(lines) else ""
        if child.type in {"softbreak", "hardbreak"}:
            text.append(GLUE if in_link else "\n")
            positions.append((line + 1, column + 1))
            line, column = line + 1, 0
        elif child.type in {"link_open", "link_close"}:
            in_link = child.type == "link_open"
        elif child.type in {"code_inline", "image", "text"}:
            is_text = child.type == "text"
            found = source.find(child.content, column)
            start = found if found >= 0 else column
            content = child.content if is_text else ATOM
            text.append(content.replace(" ", GLUE) if in_link else content)
            positions.extend((line + 1, start + 1 + offset) for offset in range(len(content)))
            column = start + len(child.content)
    return Passage("".join(text), tuple(positions))


def check_docstrings(rules: Rules, file: str, text: str) -> Iterator[Problem]:
    """Check the docstrings of the public module, classes and functions of a Python file."""
    for node in _public_nodes(ast.parse(text), module=Path(file).stem):
        if ast.get_docstring(node, clean=False):
            constant = node.body[0].value  # type: ignore[attr-defined]
            for passage in _rest_passages(
                text.splitlines()[constant.lineno - 1 : constant.end_lineno], constant.lineno
            ):
                yield from rules.check_passage(file, passage)


def _public_nodes(tree: ast.Module, module: str) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef]:
    if module.startswith("_") and not module.startswith("__"):
        return
    nodes: list[Any] = [tree]
    while nodes:
        node = nodes.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes.extend(
                child
                for child in node.body
                if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and (not child.name.startswith("_") or child.name.endswith("__"))
            )


def _rest_passages(lines: list[str], number: int) -> Iterator[Passage]:
    """Yield the paragraphs, list items and fields of a reST docstring; literal blocks and tables are left out."""
    text: list[str] = []
    positions: list[tuple[int, int]] = []
    literal_indent: int | None = None  # of the paragraph that introduced a literal block
    for index, source in enumerate(lines):
        line = re.sub(r'^\s*[rR]?"""', lambda m: " " * len(m[0]), source) if index == 0 else source
        line = line.removesuffix('"""') if index == len(lines) - 1 else line
        indent = len(line) - len(line.lstrip()) if index else len(lines[0]) - len(lines[0].lstrip())
        is_blank = not line.strip()
        if literal_indent is not None and (is_blank or indent > literal_indent):
            continue
        literal_indent = None
        is_table = bool(re.fullmatch(r"\s*[=+|][=+|\- ].*", line))
        field = REST_FIELD.match(line)
        start = field or REST_ITEM.match(line)
        directive = REST_DIRECTIVE.match(line)
        if (is_blank or is_table or start or directive) and text:
            yield Passage("".join(text), tuple(positions))
            text, positions = [], []
        if directive:
            literal_indent = indent
        elif not is_blank and not is_table:
            offset = start.end() if start else len(line) - len(line.lstrip())
            ends_literal = line.rstrip().endswith("::")
            for character, column in _replace_spans(line.rstrip(), offset):
                text.append(character)
                positions.append((number + index, column + 1))
            text.append("\n")
            positions.append((number + index, len(line) + 1))
            if ends_literal:
                literal_indent = indent
    if text:
        yield Passage("".join(text), tuple(positions))


def _replace_spans(line: str, offset: int) -> Iterator[tuple[str, int]]:
    """Yield each character with its column; a code span or a role becomes one atom."""
    while offset < len(line):
        if match := REST_SPAN.match(line, offset):
            yield ATOM, offset
            offset = match.end()
        else:
            yield line[offset], offset
            offset += 1


def check_comments(rules: Rules, file: str, text: str) -> Iterator[Problem]:
    """Check the wording of a Python file's comments."""
    lines = iter(text.splitlines(keepends=True))
    for token in tokenize.generate_tokens(lambda: next(lines, "")):
        if token.type == tokenize.COMMENT:
            line, start = token.start
            characters = list(_replace_spans(token.string, 0))
            positions = tuple((line, start + column + 1) for _, column in characters)
            yield from rules.check_wording(file, Passage("".join(c for c, _ in characters), positions))


def check_names(rules: Rules, file: str, text: str) -> Iterator[Problem]:
    """Check the identifiers that a Python file defines, and the name of its module."""
    defined = [(1, 0, Path(file).stem, False)]
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                defined.append((node.lineno, node.col_offset, node.name, True))
            case ast.ClassDef():
                defined.append((node.lineno, node.col_offset, node.name, False))
            case ast.arg():
                defined.append((node.lineno, node.col_offset, node.arg, False))
            case ast.Name(ctx=ast.Store()):
                defined.append((node.lineno, node.col_offset, node.id, False))
            case ast.Attribute(ctx=ast.Store()):
                defined.append((node.lineno, node.col_offset, node.attr, False))
    for line, column, name, is_function in sorted(set(defined)):
        if word := rules.check_name(name, is_function=is_function):
            message = f"'{name}' contains '{word}'; {rules.data['names']['say']}"
            yield Problem(file, line, column + 1, "name", message)


def check_file(rules: Rules, path: Path, kinds: set[str], root: Path = ROOT) -> list[Problem]:
    """Check one file.

    :param rules: the rules to apply.
    :param path: the file.
    :param kinds: target groups that the file belongs to: ``pages``, ``docstrings``, ``comments``, ``names``.
    :param root: the folder that reported names are relative to.
    """
    file, text = str(path.relative_to(root) if path.is_relative_to(root) else path), path.read_text(encoding="utf-8")
    checks = {"docstrings": check_docstrings, "comments": check_comments, "names": check_names}
    if path.suffix == ".md":
        problems = list(check_page(rules, file, text)) if "pages" in kinds else []
    else:
        problems = [problem for kind in checks if kind in kinds for problem in checks[kind](rules, file, text)]
    return sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.rule))


def target_files(rules: Rules, root: Path = ROOT) -> dict[Path, set[str]]:
    """Return each file to check, with the target groups that it belongs to."""
    files: dict[Path, set[str]] = {}
    for kind, targets in rules.data["targets"].items():
        suffix = ".md" if kind == "pages" else ".py"
        for target in targets:
            path = root / target
            for file in [path] if path.is_file() else sorted(path.rglob(f"*{suffix}")):
                if not PYTHON_FOLDERS_TO_SKIP & set(file.parts):
                    files.setdefault(file, set()).add(kind)
    return files


def main(arguments: list[str]) -> int:
    """Check the named files, or all targets, and print the problems.

    :param arguments: files; none for the targets of the rule file.
    """
    rules = Rules()
    everything = {"pages", "docstrings", "comments", "names"}
    files = {Path(name).resolve(): everything for name in arguments} or target_files(rules)
    problems = [problem for path, kinds in files.items() for problem in check_file(rules, path, kinds)]
    print("\n".join(map(str, problems)), end="\n" if problems else "")
    if problems:
        print(f"{len(problems)} problems. The rules are in {RULES.relative_to(ROOT)}.", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
