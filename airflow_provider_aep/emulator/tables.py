"""The source systems: tables (CSV, Parquet) and records (JSON lines) in a folder, listed once at start.

A request names a table, never a path: it is looked up in this listing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

SAMPLED_ROWS = 1000
"""Rows from which a CSV column's type is told."""

SOUND_SHARE = 0.9
"""A CSV column has a type if this share of its filled cells fit: real systems declare types and hold broken cells."""

_BATCH = 10_000

_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?")

XDM: dict[str, dict[str, str]] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "double": {"type": "number"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "array": {"type": "array"},
}


def sample_data() -> Path:
    """The source systems that the package ships."""
    return Path(str(files(__package__) / "sample"))


def moment(text: str) -> datetime | None:
    """A date-time of the forms that source systems use; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) < 11:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _is(kind: str, text: str) -> bool:
    match kind:
        case "boolean":
            return text.lower() in {"true", "false"}
        case "integer":
            return bool(_INTEGER.fullmatch(text))
        case "double":
            return bool(_NUMBER.fullmatch(text))
        case "date":
            return day(text) is not None
        case "date-time":
            return moment(text) is not None
    return True


@dataclass(frozen=True)
class Table:
    """One table of a source system."""

    name: str
    file: Path

    @cached_property
    def columns(self) -> dict[str, str]:
        """Column name to one of the keys of ``XDM``."""
        if self.file.suffix == ".parquet":
            return {f.name: _arrow_kind(f.type) for f in pyarrow.parquet.read_schema(self.file)}
        names = self._header()
        head: list[dict[str, Any]] = []
        for batch in self._batches():
            head += batch.to_pylist()
            if len(head) >= SAMPLED_ROWS:
                break
        return {name: _kind_of([r[name] for r in head[:SAMPLED_ROWS]]) for name in names}

    def rows(self) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """The rows, as the file has them, in batches of bounded size; with each, how many lines could not be read."""
        unreadable = 0

        def skip(_: Any) -> str:
            nonlocal unreadable
            unreadable += 1
            return "skip"

        told = 0
        for batch in self._batches(skip):
            now = unreadable
            yield batch.to_pylist(), now - told
            told = now
        if unreadable > told:
            yield [], unreadable - told

    def _header(self) -> list[str]:
        parse = pyarrow.csv.ParseOptions(invalid_row_handler=lambda _: "skip")
        with pyarrow.csv.open_csv(self.file, parse_options=parse) as reader:
            return list(reader.schema.names)

    def _batches(self, skip: Callable[[Any], str] = lambda _: "skip") -> Iterator[pa.RecordBatch]:
        """:param skip: told of each line with too many or too few cells"""
        if self.file.suffix == ".parquet":
            yield from pyarrow.parquet.ParquetFile(self.file).iter_batches(batch_size=_BATCH)
            return
        options = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(self._header(), pa.string()), strings_can_be_null=True, null_values=[""]
        )
        parse = pyarrow.csv.ParseOptions(invalid_row_handler=skip)
        with pyarrow.csv.open_csv(self.file, convert_options=options, parse_options=parse) as reader:
            yield from reader


def _kind_of(cells: list[str | None]) -> str:
    filled = [c for c in cells if c]
    for kind in ("boolean", "integer", "double", "date", "date-time"):
        if filled and sum(_is(kind, c) for c in filled) >= SOUND_SHARE * len(filled):
            return kind
    return "string"


def _arrow_kind(type_: pa.DataType) -> str:
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_integer(type_):
        return "integer"
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "double"
    if pa.types.is_date(type_):
        return "date"
    return "date-time" if pa.types.is_timestamp(type_) else "string"


@dataclass(frozen=True)
class Records:
    """What a REST source delivers: one stream of nested records, a JSON object a line."""

    name: str
    file: Path

    @cached_property
    def columns(self) -> dict[str, str]:
        """Dot path to one of the keys of ``XDM``; what is empty in every sampled record is text."""
        kinds: dict[str, set[str]] = {}
        for record in self._head():
            for path, value in _flat(record).items():
                kinds.setdefault(path, set()).update([] if value is None else [_json_kind(value)])
        return {path: _common(found) for path, found in kinds.items()}

    @property
    def schema(self) -> dict[str, Any]:
        """The columns as the nested JSON schema that explore answers with."""
        root: dict[str, Any] = {"type": "object", "properties": {}}
        for path, kind in self.columns.items():
            *parents, leaf = path.split(".")
            node = root
            for name in parents:
                node = node["properties"].setdefault(name, {"type": "object", "properties": {}})
            node["properties"][leaf] = dict(XDM[kind])
        return root

    def preview(self, size: int) -> list[dict[str, Any]]:
        return self._head()[:size]

    def rows(self) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """The records by dot path, in batches of bounded size; with each, how many lines could not be read."""
        kept: list[dict[str, Any]] = []
        unreadable = 0
        for record in self._lines():
            if record is None:
                unreadable += 1
            else:
                kept.append(_flat(record))
            if len(kept) + unreadable >= _BATCH:
                yield kept, unreadable
                kept, unreadable = [], 0
        yield kept, unreadable

    def _head(self) -> list[dict[str, Any]]:
        return list(islice((r for r in self._lines() if r is not None), SAMPLED_ROWS))

    def _lines(self) -> Iterator[dict[str, Any] | None]:
        """Each line's record, or ``None`` where it is none."""
        with self.file.open(encoding="utf-8", errors="replace") as lines:
            for line in filter(str.strip, lines):
                try:
                    record = json.loads(line)
                except ValueError:
                    record = None
                yield record if isinstance(record, dict) else None


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        path = f"{prefix}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {int: "integer", float: "double", list: "array"}.get(type(value), "string")


def _common(kinds: set[str]) -> str:
    return kinds.pop() if len(kinds) == 1 else "double" if kinds == {"integer", "double"} else "string"


class Tables:
    """The tables of one source system by name."""

    def __init__(self, folder: Path) -> None:
        found = sorted(folder.iterdir())
        self._tables = {f.stem: Table(f.stem, f) for f in found if f.suffix in {".csv", ".parquet"}}
        self.records = next((Records(f.stem, f) for f in found if f.suffix == ".jsonl"), None)
        readable: list[Table | Records] = [*self._tables.values(), *([self.records] if self.records else [])]
        for table in readable:
            try:
                _ = table.columns
            except (pa.ArrowException, OSError, UnicodeError) as e:
                raise SystemExit(
                    f"--source-data: {table.file} cannot be read ({type(e).__name__}). "
                    "A CSV file is UTF-8 text with a header line."
                ) from None

    def __bool__(self) -> bool:
        return bool(self._tables or self.records)

    def names(self) -> list[str]:
        return sorted(self._tables)

    def get(self, name: str) -> Table | None:
        return self._tables.get(name)


class Sources:
    """The source systems behind all connectors, found in a folder when the emulator starts.

    A folder in it that is named like a connection spec is that connector's own; the files beside such folders are
    what every other connector finds.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SystemExit(f"--source-data {folder} is not a folder.")
        self._rest = Tables(folder)
        own = {f.name: Tables(f) for f in sorted(folder.iterdir()) if f.is_dir()}
        self._own = {name: tables for name, tables in own.items() if tables}
        if not self._rest and not self._own:
            raise SystemExit(f"--source-data {folder} holds no .csv, .parquet or .jsonl file.")

    def of(self, connector: str) -> Tables:
        """:param connector: name of a connection spec"""
        return self._own.get(connector, self._rest)
