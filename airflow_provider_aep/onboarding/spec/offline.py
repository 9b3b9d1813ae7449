"""Checks and tests of an onboarding file without AEP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, get_args

from aep_data_prep import CompiledMappings, field_of
from aep_data_prep.syntax import steps_of
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.naming import validate_name
from airflow_provider_aep.onboarding.mapping import TENANT, entries_offline
from airflow_provider_aep.onboarding.schedule import validate_schedule
from airflow_provider_aep.onboarding.spec.chain import columns_of, delta_column_of, name_of
from airflow_provider_aep.onboarding.spec.loader import Loaded
from airflow_provider_aep.onboarding.spec.models import Kind, Test
from airflow_provider_aep.onboarding.spec.yaml_source import KeyPath, Problem
from airflow_provider_aep.onboarding.xdm.fields import XdmField, object_of, parse_fields
from airflow_provider_aep.systems import SYSTEMS


def check(loaded: Loaded) -> list[Problem]:
    """Return the problems of a file that are known without AEP."""
    return sorted({*_source(loaded), *_fields(loaded), *_mappings(loaded), *_schedule(loaded), *_identities(loaded)})


def _source(loaded: Loaded) -> Iterator[Problem]:
    source = loaded.spec.source
    yield from _names(loaded)
    if source.system not in SYSTEMS:
        yield loaded.problem(("source", "system"), f"{source.system!r} is not one of {', '.join(SYSTEMS)}.")
    elif SYSTEMS[source.system].target_format == "json":
        own = SYSTEMS[source.system].table
        if source.table not in (None, own):
            yield loaded.problem(("source", "table"), f"{source.system} has no tables. Remove the key, or write {own}.")
    else:
        if not source.table:
            yield loaded.problem(("source",), "The key table is missing.")
        if source.params is not None:
            yield loaded.problem(("source", "params"), f"{source.system} has tables, and takes no params.")
    if source.columns == []:
        yield loaded.problem(("source", "columns"), "The list is empty. Write explore, or list the columns.")
    columns = [column.name for column in source.columns] if source.columns != "explore" else []
    for number, name in enumerate(columns):
        if columns.index(name) < number:
            yield loaded.problem(("source", "columns", number, "name"), f"The column {name!r} is repeated.")


def _names(loaded: Loaded) -> Iterator[Problem]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        path: KeyPath = ("names", kind) if kind in loaded.spec.names else ("onboarding",)
        try:
            validate_name(name_of(loaded.spec, kind), kind)
        except AepConfigurationError as e:
            yield loaded.problem(path, e.message)


def _fields(loaded: Loaded) -> Iterator[Problem]:
    fields = loaded.spec.schema_.fields
    if not fields:
        return
    try:
        parse_fields(fields)
    except AepConfigurationError as e:
        for line in e.message.splitlines()[1:]:
            place, _, message = line.strip().partition(": ")
            at: KeyPath = ("schema", "fields")
            key = next((k for k in fields if place == k or place.startswith((f"{k}.", f"{k}["))), None)
            yield loaded.problem((*at, key) if key else at, message if key else line.strip())


def _mappings(loaded: Loaded) -> Iterator[Problem]:
    columns = columns_of(loaded.spec) or None
    if not loaded.spec.mappings:
        yield loaded.problem(("mappings",), "There is no mapping.")
    if "" in loaded.spec.mappings:
        yield loaded.problem(("mappings", ""), "The path of a field is empty.")
    _, problems = entries_offline(loaded.spec.mappings, columns)
    for problem in problems:
        place = f"column {problem.position + 1}: " if problem.position else ""
        path: KeyPath = ("mappings", problem.destination)
        yield loaded.problem(path, f"{place}{problem.message}", str(problem.grade))


def _schedule(loaded: Loaded) -> Iterator[Problem]:
    frequency, interval = loaded.spec.schedule.frequency()
    delta, columns = delta_column_of(loaded.spec), columns_of(loaded.spec)
    if frequency == "once" and delta:
        message = "A flow that runs once has no delta column. Remove the key."
        yield loaded.problem(("schedule", "delta_column"), message)
    elif delta and columns and delta not in [column["name"] for column in columns]:
        yield loaded.problem(("schedule",), f"The delta column {delta!r} is not one of the columns.")
    try:
        validate_schedule(
            frequency=frequency, interval=interval, start_in_minutes=1, backfill=loaded.spec.schedule.backfill
        )
    except AepConfigurationError as e:
        key = "backfill" if e.message.startswith("backfill") else "every"
        yield loaded.problem(("schedule", key), str(e))


def _identities(loaded: Loaded) -> Iterator[Problem]:
    spec = loaded.spec
    primary = [number for number, identity in enumerate(spec.identities) if identity.primary]
    for number in primary[1:]:
        yield loaded.problem(("identities", number, "primary"), "A schema has one primary identity. Remove the others.")
    for number, identity in enumerate(spec.identities):
        if identity.path not in spec.mappings:
            message = f"No mapping fills {identity.path}, so no row has this identity."
            yield loaded.problem(("identities", number, "path"), message)
    has_map = any(path.startswith("identityMap") for path in spec.mappings)
    if spec.profile.enabled and not primary and not has_map:
        yield loaded.problem(("profile", "enabled"), "Profile needs a primary identity, or a mapping to identityMap.")
    if spec.profile.enabled and not spec.profile.irreversible:
        message = "AEP cannot undo this. Add irreversible: true if you accept it."
        yield loaded.problem(("profile", "enabled"), message)
    if spec.profile.upsert and not spec.profile.enabled:
        yield loaded.problem(("profile", "upsert"), "upsert needs enabled: true.")


# -- tests of mappings ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TestResult:
    """The result of one test.

    :param failures: what differs, with the place in the file; empty for a test that passes
    """

    __test__ = False

    name: str
    failures: tuple[Problem, ...]


def run_tests(loaded: Loaded) -> list[TestResult]:
    """Run the tests of a file. Values of custom fields get the types that the file declares."""
    entries, _ = entries_offline(loaded.spec.mappings, columns_of(loaded.spec) or None)
    fields = parse_fields(loaded.spec.schema_.fields) if loaded.spec.schema_.fields else {}
    namespace = f"_{TENANT}"
    schema = field_of(object_of({namespace: XdmField(type="object", fields=fields)}))
    own = [entry for entry in entries if fields and schema.find(steps_of(entry.destination)) is not None]
    compiled = [CompiledMappings(own, schema), CompiledMappings([entry for entry in entries if entry not in own])]
    return [
        TestResult(test.name, tuple(_failures(loaded, compiled, number, test)))
        for number, test in enumerate(loaded.spec.tests)
    ]


def _failures(loaded: Loaded, compiled: list[CompiledMappings], number: int, test: Test) -> Iterator[Problem]:
    results = [mappings.apply(test.row) for mappings in compiled]
    data = {name: value for result in results for name, value in result.data.items()}
    errors = {error.entry.destination: error.message for result in results for error in result.errors}
    missing = [path for result in results for path in result.missing]
    if missing and not test.rejected:
        message = f"AEP rejects the row: {', '.join(missing)} is required and empty."
        yield loaded.problem(("tests", number, "name"), message)
    if test.rejected and not missing:
        yield loaded.problem(("tests", number, "rejected"), "AEP keeps the row.")
    for path, expected in test.expect.items():
        found = _plain(_at(data, path))
        if found != expected:
            reason = f" ({errors[path]})" if path in errors else ""
            message = f"expected {expected!r}, found {found!r}{reason}."
            yield loaded.problem(("tests", number, "expect", path), message)


def _at(data: Any, path: str) -> Any:
    node = data
    for step in steps_of(path):
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
