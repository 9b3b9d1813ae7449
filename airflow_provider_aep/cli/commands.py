"""The functions of the commands. Each takes the parsed arguments, and ends the process unless it succeeds."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from airflow_provider_aep.client.clock import SYSTEM_CLOCK
from airflow_provider_aep.client.errors import AepConflictError, AepError
from airflow_provider_aep.onboarding.reconcile.act import Outcome
from airflow_provider_aep.onboarding.spec import offline
from airflow_provider_aep.onboarding.spec.apply import apply as apply_onboarding
from airflow_provider_aep.onboarding.spec.loader import Loaded, load
from airflow_provider_aep.onboarding.spec.models import Onboarding
from airflow_provider_aep.onboarding.spec.plan import Plan, make_plan
from airflow_provider_aep.onboarding.spec.saved_plan import as_json, find_misfits, read_saved
from airflow_provider_aep.onboarding.spec.yaml_source import Problem, dotted


class Code(IntEnum):
    """How a command ends."""

    FINE = 0
    FAILED = 1
    CHANGES = 2
    WRONG_FILE = 4
    DECIDE = 5


def validate(args: Namespace) -> None:
    """Check files without AEP."""
    loaded, problems = _loaded(args)
    _report([*problems, *_offline(loaded)], args.output, f"{len(loaded)} onboardings")


def test(args: Namespace) -> None:
    """Run the tests of the files' mappings."""
    loaded, problems = _loaded(args)
    problems += [p for p in _offline(loaded) if p.grade == "error"]
    if problems:
        _report(problems, args.output, "no test")
    results = [result for one in loaded for result in offline.run_tests(one)]
    failures = [failure for result in results for failure in result.failures]
    passed = sum(not result.failures for result in results)
    _report(failures, args.output, f"{passed} of {len(results)} tests passed")


def plan(args: Namespace) -> None:
    """Show what an apply would change."""
    plans = _plans(_checked(args))
    if args.output == "json":
        print(as_json(plans), end="")
    else:
        print("\n\n".join(p.text() for p in plans))
    if args.out:
        try:
            Path(args.out).write_text(as_json(plans), encoding="utf-8")
        except OSError as e:
            _end(Code.FAILED, f"The plan cannot be written to {args.out}: {e.strerror}.")
    if args.exit_code and any(p.needs_decision for p in plans):
        raise SystemExit(Code.DECIDE)
    if args.exit_code and any(p.has_changes for p in plans):
        raise SystemExit(Code.CHANGES)


def apply(args: Namespace) -> None:
    """Create and change the objects of the files."""
    loaded = _checked(args)
    saved = _saved(args.plan) if args.plan else None
    plans = _plans(loaded)
    print("\n\n".join(p.text() for p in plans))
    if any(p.needs_decision for p in plans):
        _end(Code.DECIDE, "Decide first: the lines above say what each object needs. Nothing was written.")
    if saved is not None and (misfits := list(find_misfits(saved, plans))):
        lines = "\n".join(misfits)
        _end(Code.DECIDE, f"{args.plan} does not fit any more. Make a new plan. Nothing was written.\n{lines}")
    if not any(p.has_changes for p in plans):
        return
    if not args.yes and not _confirmed(loaded):
        _end(Code.FAILED, "Nothing was written.")
    grace_period = _grace_period()
    if grace_period and any(a.action == "create" for p in plans for a in p.actions):
        print(f"Waiting {grace_period:.0f} s: AEP may not list what an earlier apply has created.", file=sys.stderr)
        SYSTEM_CLOCK.sleep(grace_period)  # once for all files
    with _errors():
        for one in loaded:
            with _client(one) as client:
                apply_onboarding(client, one, _credentials, _print_outcome, grace_period=grace_period, wait=False)


def explain(args: Namespace) -> None:
    """Show each value of a file with its place."""
    loaded, problems = _loaded(args)
    for one in loaded:
        for path, (file, line, _) in sorted(one.origins.items(), key=lambda entry: str(entry[0])):
            value: Any = one.data
            for step in path:
                value = value[step]
            if path and not isinstance(value, dict | list):
                print(f"{dotted(path)}: {json.dumps(value, ensure_ascii=False)}  # {file}:{line}")
    if problems:
        _report(problems, "text", "")


def schema(args: Namespace) -> None:
    """Print the JSON Schema of an onboarding file."""
    print(json_schema(), end="")


def json_schema() -> str:
    """Return the JSON Schema of an onboarding file."""
    return json.dumps(Onboarding.model_json_schema(by_alias=True), indent=2, ensure_ascii=False) + "\n"


# -- files ------------------------------------------------------------------------------------------------------------


def _loaded(args: Namespace) -> tuple[list[Loaded], list[Problem]]:
    return load([Path(path) for path in args.paths], args.env)


def _offline(loaded: Iterable[Loaded]) -> list[Problem]:
    return [problem for one in loaded for problem in offline.check(one)]


def _checked(args: Namespace) -> list[Loaded]:
    """Return the onboardings; end the process if a file has an error."""
    loaded, problems = _loaded(args)
    errors = [p for p in (*problems, *_offline(loaded)) if p.grade == "error"]
    if errors:
        for problem in errors:
            print(problem, file=sys.stderr)
        raise SystemExit(Code.WRONG_FILE)
    return loaded


def _report(problems: Sequence[Problem], output: str, what: str) -> None:
    """Print problems, and end the process if one is an error."""
    errors = [p for p in problems if p.grade == "error"]
    if output == "json":
        print(json.dumps([vars(p) for p in problems], indent=2, ensure_ascii=False))
    elif output == "sarif":
        print(json.dumps(_sarif(problems), indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            print(_github(problem) if output == "github" else problem)
        print(f"{len(errors)} errors, {len(problems) - len(errors)} other remarks; {what}.", file=sys.stderr)
    if errors:
        raise SystemExit(Code.WRONG_FILE)


def _sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """Return problems as SARIF 2.1.0, which code hosts show beside the lines."""

    def location(problem: Problem) -> dict[str, Any]:
        region = {"startLine": problem.line, "startColumn": problem.column}
        return {"physicalLocation": {"artifactLocation": {"uri": quote(problem.file)}, "region": region}}

    results = [
        {"level": p.grade, "message": {"text": f"{p.key}: {p.message}"}, "locations": [location(p)]} for p in problems
    ]
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "airflow-aep"}}, "results": results}]}


def _github(problem: Problem) -> str:
    grade = {"note": "notice"}.get(problem.grade, problem.grade)
    message = f"{problem.key}: {problem.message}".replace("%", "%25").replace("\n", "%0A")
    return f"::{grade} file={problem.file},line={problem.line},col={problem.column}::{message}"


# -- AEP --------------------------------------------------------------------------------------------------------------


def _client(loaded: Loaded) -> Any:
    from airflow_provider_aep.hooks.aep import AepHook  # imports Airflow, which takes seconds

    assert loaded.environment is not None
    return AepHook(loaded.environment.connection).get_conn()


def _grace_period() -> float:
    from airflow_provider_aep.runtime.configuration import creation_grace_period

    return creation_grace_period()


def _credentials(login: str, params: Mapping[str, str]) -> Mapping[str, str]:
    from airflow_provider_aep.runtime.source_credentials import source_credentials

    return source_credentials(login, params)


def _plans(loaded: Sequence[Loaded]) -> list[Plan]:
    plans = []
    with _errors():
        for one in loaded:
            with _client(one) as client:
                plans.append(make_plan(client, one, _credentials))
    return plans


def _saved(file: str) -> list[dict[str, Any]]:
    try:
        return read_saved(Path(file))
    except AepError as e:
        _end(Code.WRONG_FILE, str(e))


@contextmanager
def _errors() -> Any:
    """End the process with one sentence for an error of AEP or of a connection."""
    try:
        yield
    except AepConflictError as e:
        _end(Code.DECIDE, str(e))
    except AepError as e:
        _end(Code.FAILED, str(e))


def _confirmed(loaded: Sequence[Loaded]) -> bool:
    """Ask a person; for a production sandbox, the answer is the name of the environment."""
    wanted = "yes"
    for one in loaded:
        if one.environment is not None and one.environment.type == "production":
            wanted = one.env or "yes"
    try:
        return input(f"Write this? Only {wanted!r} is accepted: ") == wanted
    except EOFError:
        return False


def _print_outcome(kind: str, outcome: Outcome) -> None:
    print(f"{kind} {outcome.name!r} ({outcome.id}): {outcome.action}")


def _end(code: Code, message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)
