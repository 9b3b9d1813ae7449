"""Take one guard of the engine out after the other, and report which test fails: ``make safety``.

A guard is a statement whose line above is ``# guard: <name>``; several names may be stacked above one statement. The
guard is taken out in a copy of the project, in which the engine's tests run until one fails. With arguments
(``make safety ARGS="window teardown"``), only the guards whose names contain one of them.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("airflow_provider_aep",)
_GUARD = re.compile(r"^\s*# guard: (?P<name>.+)$")


@dataclass(frozen=True)
class Region:
    """What a guard comment stands above: a simple statement, the header of a compound one, or a line within one.

    :param tree: the statement or the ``except`` clause; ``None`` for a line within a statement
    """

    source: str
    start: int
    end: int
    tree: ast.AST | None

    @property
    def text(self) -> str:
        """The text of the region."""
        return self.source[self.start : self.end]

    def replacing(self, old: str, new: str) -> str:
        """Return the source with a text replaced that occurs once in the region."""
        if self.text.count(old) != 1:
            raise LookupError(f"{old!r} occurs {self.text.count(old)} times in {self.text!r}")
        return self.source[: self.start] + self.text.replace(old, new) + self.source[self.end :]

    def with_node(self, node: ast.AST, new: str) -> str:
        """Return the source with a node replaced."""
        start, end = _span(self.source, node)
        return self.source[:start] + new + self.source[end:]


Mutation = Callable[[Region], str]


def constant(value: str) -> Mutation:
    """Replace the condition of an ``if`` or ``while``, or the value of an assignment or ``return``."""

    def mutate(region: Region) -> str:
        if region.tree is None and (found := re.fullmatch(r"(\s*if ).*?(\n?)", region.text, re.DOTALL)):
            return region.source[: region.start] + found[1] + value + found[2] + region.source[region.end :]
        return region.with_node(_value(region), value)

    return mutate


true, false, none = constant("True"), constant("False"), constant("None")


def drop(region: Region) -> str:
    """Replace a statement by ``pass``; a line within a statement is removed."""
    new = "" if region.tree is None else "pass"
    return region.source[: region.start] + new + region.source[region.end :]


def drop_filter(region: Region) -> str:
    """Drop the condition of the only comprehension that has one."""
    assert region.tree is not None
    [generator] = [n for n in ast.walk(region.tree) if isinstance(n, ast.comprehension) and n.ifs]
    [condition] = generator.ifs
    return region.with_node(condition, "True")


def without(number: int) -> Mutation:
    """Drop one operand of the outermost ``and`` or ``or``."""

    def mutate(region: Region) -> str:
        node = _boolean(region)
        parts = [ast.get_source_segment(region.source, v) for i, v in enumerate(node.values) if i != number]
        return region.with_node(node, _joined(node, parts))

    return mutate


def operand(number: int) -> Mutation:
    """Keep one operand of the outermost ``and`` or ``or``."""

    def mutate(region: Region) -> str:
        node = _boolean(region)
        return region.with_node(node, ast.get_source_segment(region.source, node.values[number]) or "")

    return mutate


def swap(region: Region) -> str:
    """Reverse the operands of the outermost ``and`` or ``or``."""
    node = _boolean(region)
    parts = [ast.get_source_segment(region.source, value) for value in reversed(node.values)]
    return region.with_node(node, _joined(node, parts))


def unhandled(region: Region) -> str:
    """Let an ``except`` clause handle nothing."""
    assert isinstance(region.tree, ast.ExceptHandler)
    assert region.tree.type is not None
    return region.with_node(region.tree.type, "()")


def sub(old: str, new: str) -> Mutation:
    """Replace a text within the guarded statement."""
    return lambda region: region.replacing(old, new)


MUTATIONS: dict[str, Mutation] = {
    # -- find and decide
    "find before create": operand(0),
    "compare names exactly": without(0),
    "suspect earlier try": false,
    "suspect a stored create": false,
    "wait after an ambiguous create": drop,
    "find after the wait": none,
    "distrust a deleted stored id": unhandled,
    "distrust a renamed stored id": true,
    "read each duplicate": drop_filter,
    "retry a 404 of a duplicate": sub("send_retrying_not_found(self.client, ", "self.client.send("),
    "deduplicate a list": constant("candidates"),
    "refuse duplicates": false,
    "compare the marker's identity": operand(0),
    "update only our objects": false,
    "if_exists=fail accepts own object": without(1),
    "wait for a deletion": sub(" != DELETING", " != DELETING or True"),
    "wait out a transitional state": false,
    "refuse a disabled flow": false,
    "publish our draft": false,
    "refuse another's draft": false,
    "find a mapping set through its flow": sub("resource_type.find_fallback(self.client, desired)", "()"),
    "ignore abandoned mapping sets": without(1),
    "strip descriptions": sub(".rstrip()", ""),
    "replace only our objects": without(1),
    # -- create and update
    "store before a create": sub("self._store_sent", "None"),
    "store that a try has begun": drop,
    "store the created id": drop,
    "suspect an unreadable stored id": sub(", sent=self.sent", ""),
    "never resend a create": true,
    "wait after a lost response": drop,
    "find after a lost response": false,
    "find after a taken title": sub(", AepConflictError", ""),
    "no second create after a taken title": false,
    "keep the marker in an update": operand(0),
    "mark a taken-over object": none,
    "retry a stale etag": sub("(2)", "(1)"),
    "keep a mapping set of another flow": drop,
    "ignore replaced flows of a mapping set": true,
    "fall back to nameless mapping sets only": true,
    "compute a relative start at the create": constant("self"),
    "recompute a start that passed": unhandled,
    "reschedule a late draft": false,
    # -- concurrent writers
    "writers: wait and find again": true,
    "writers: find before task state": swap,
    "writers: the oldest counts": sub("(o.created,", "(-o.created,"),
    "writers: wait for older objects": false,
    "writers: only our objects may be several": without(2),
    "writers: create a draft first": true,
    "writers: postpone a draft's start": sub("delay=self.grace_period", "delay=0"),
    "writers: postpone the start without drafts": sub("delay=3 * self.grace_period", "delay=0"),
    "writers: delete losers": drop,
    "writers: delete own losers only": without(1),
    "writers: keep a loser with rows": false,
    "writers: keep a loser with dependents": operand(0),
    "writers: keep a loser that AEP keeps": unhandled,
    # -- replacement
    "retire before the successor": true,
    "suspect an earlier replacement": false,
    "wait for an earlier successor": drop,
    "remark a retired object": constant("self.request.marker.identity"),
    "no backfill for a successor": sub("backfill=False", "backfill=True"),
    "disable before a replacement": false,
    "wait for a run before a replacement": false,
    "wait for an unlisted first run": false,
    "a failed run does not hide the next": without(1),
    "count runs of a deleted predecessor": unhandled,
    "ignore runs into another dataset": false,
    "no second run-once flow": false,
    "count a predecessor under its old name": sub("flow.name == name or ", ""),
    "count unfinished runs as ingested": sub("run.verdict != ", "run.verdict not in {Verdict.WAITING.value} and run.verdict != "),
    "check again after the last run": drop,
    # -- on-demand runs
    "run: suspect earlier try": false,
    "run: find without task state": none,
    "run: prefer one that has not failed": constant("next(iter(runs), None)"),
    "run: store before a create": drop,
    "run: store the created id": drop,
    "run: a refusal is not ambiguous": drop,
    "run: find after an ambiguous create": operand(0),
    "run: find after a lost response": false,
    "run: wait until listed": false,
    "run: a failed run does not hide the next": sub("all(map(_has_failed, runs))", "not runs"),
    "run: compare windows": without(2),
    "run: compare creation times": operand(1),
    "run: no second start on a guess": false,
    "run: translate Airflow's clock to AEP's": constant("attempt.since"),
    "run: refuse a flow that is not enabled": drop,
    "run: task state by window": sub(":{self.start}-{self.end}", ""),
    "re-trigger: store before it": drop,
    "re-trigger: keep its stored time": sub("**{**self.stored, \"id\": new_id}", "id=made, sent=sent"),
    "re-trigger: wait for an earlier one": false,
    "re-trigger: find before": false,
    "re-trigger: find after a refusal": none,
    "re-trigger: wait after a refusal": drop,
    "re-trigger: count another task's run": sub("self.window[1] - CREATION_SLACK if self.exclusive else sent", "sent"),
    "re-trigger: wait until it is read as running": drop,
    "re-trigger: refuse a flow that is not enabled": drop,
    "overlap: refuse rows of another run": true,
    "overlap: refuse another DAG run's window": sub("own_window", "self.window"),
    "overlap: an unknown window may be any": sub("not is_waiting if", "True if"),
    # -- windows
    "window: wait until it has ended": false,
    "window: infer again if unsent": operand(0),
    "window: start only after landed rows": drop,
    "window: same for all tries": drop,
    "window: on-demand runs are no first run": sub('"windowStartTime" not in run.params and ', ""),
    "window: wait for an unlisted first run": false,
    "window: wait no longer than lists lag": without(1),
    "window: wait for the first run": false,
    "window: refuse unknown rows": false,
    "window: a narrower run leaves a gap": sub("any(other <= start for other in landed_starts)", "landed"),
    # -- landing
    "landing: wait for an unlisted batch": operand(0),
    "landing: wait for an unnamed batch": drop,
    "landing: wait no longer than Catalog lags": without(2),
    "use another's object only if allowed": false,
    # -- apply
    "apply: wait for an earlier apply": drop,
    # -- teardown
    "teardown: wait for recent creates": false,
    "teardown: wait for recent dependents": operand(0),
    "teardown: wait until unlisted": false,
    "teardown: compare names exactly": drop_filter,
    "teardown: skip another onboarding's parts": true,
    "teardown: delete only our objects": false,
    "teardown: keep objects in use": false,
    "teardown: refuse production": false,
    "delete: compare the name": false,
    "teardown: keep Profile schemas": false,
    "teardown: disable the flow first": false,
}  # fmt: skip
"""How each guard is taken out, by its name."""

TESTS = {
    "runs/observation.py": ["tests/provider/test_waiting.py"],
    "runs/": ["tests/onboarding/test_on_demand.py", "tests/provider/test_run_flow.py"],
    "lifecycle/teardown.py": ["tests/provider/test_teardown.py"],
}
"""Which tests run for a guard, by a part of its file's path; those of the reconciler for the others."""


def guards() -> Iterator[tuple[str, Path, int]]:
    """Yield the name of each guard in the sources, its file, and the index of its comment's line."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for number, line in enumerate(file.read_text().split("\n")):
                if found := _GUARD.match(line):
                    yield found["name"], file, number


def mutated(name: str) -> tuple[Path, str]:
    """Return the file of a guard, and its source without the guard.

    :raises LookupError: the mutation does not fit the guarded statement
    """
    [(file, comment)] = [(file, number) for guard, file, number in guards() if guard == name]
    source = file.read_text()
    changed = MUTATIONS[name](_region(source, comment))
    if changed == source:
        raise LookupError(f"The mutation of {name!r} changes nothing")
    ast.parse(changed)
    return file.relative_to(ROOT), changed


def _region(source: str, comment: int) -> Region:
    lines = source.split("\n")
    first = comment
    while _GUARD.match(lines[first]):
        first += 1
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt | ast.ExceptHandler) and node.lineno == first + 1:
            body = getattr(node, "body", None)
            start, end = _span(source, node)
            return Region(source, start, offsets[body[0].lineno - 1] if body else end, node)
    return Region(source, offsets[first], offsets[first + 1], None)


def _span(source: str, node: ast.AST) -> tuple[int, int]:
    lines = source.split("\n")

    def offset(line: int, column: int) -> int:
        column = len(lines[line - 1].encode()[:column].decode())
        return sum(len(text) + 1 for text in lines[: line - 1]) + column

    start = offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]
    return start, offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _value(region: Region) -> ast.expr:
    tree = region.tree
    if isinstance(tree, ast.If | ast.While):
        return tree.test
    if isinstance(tree, ast.Assign | ast.AnnAssign | ast.Return) and tree.value is not None:
        return tree.value
    raise LookupError(f"{region.text!r} has no condition and no value")


def _boolean(region: Region) -> ast.BoolOp:
    value = _value(region)
    return next(node for node in ast.walk(value) if isinstance(node, ast.BoolOp))


def _joined(node: ast.BoolOp, parts: list[str | None]) -> str:
    return (" and " if isinstance(node.op, ast.And) else " or ").join(str(part) for part in parts)


def failing_test(name: str) -> str:
    """Return the test that fails without a guard; empty if none does."""
    file, source = mutated(name)
    with tempfile.TemporaryDirectory(prefix="safety-") as folder:
        copy = Path(folder) / "project"
        ignored = shutil.ignore_patterns(".*", "site", "mutants", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=ignored)
        (copy / file).write_text(source)
        tests = next((tests for part, tests in TESTS.items() if part in file.as_posix()), ["tests/onboarding"])
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:warnings", *tests]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
        failed = re.search(r"^(?:FAILED|ERROR) \S*?(\w+\.py)(?:::(\w+))?", done.stdout, re.MULTILINE)
        return f"{failed[1]} {failed[2] or ''}" if failed else ""


def main() -> None:
    """Print a line for each guard, and exit with 1 if a guard is noticed by no test."""
    names = [n for n in MUTATIONS if not sys.argv[1:] or any(word in n for word in sys.argv[1:])]
    failing: dict[str, str] = {}
    with ThreadPoolExecutor(2) as pool:
        for name, test in zip(names, pool.map(failing_test, names), strict=True):
            failing[name] = test
            print(f"{name:46} {test or 'NO TEST FAILS'}", flush=True)
    survived = [name for name, test in failing.items() if not test]
    print(f"A test fails for {len(failing) - len(survived)} of {len(failing)} guards")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
