"""The source systems: tables (CSV, Parquet), records (JSON lines) and files in a folder.

They are listed when the emulator starts. A request names a table or a listed file; its text never becomes a path.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib.resources import files
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from aep_emulator.core.errors import source

SAMPLED_ROWS = 1000
"""Rows of a CSV file that decide a column's type."""

BROKEN_SHARE = 0.1
"""Share of a CSV column's cells that may not fit its type: real systems declare types and contain broken cells."""

_BATCH = 10_000
_BLOCK = 4 << 20
"""Bytes of a CSV file that are read at once. A row, with its line breaks, is shorter."""

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
    "object": {"type": "object"},
}


def sample_data() -> Path:
    """Return the folder of the source systems in this package."""
    return Path(str(files("aep_emulator") / "samples"))


@cache
def sample_sources() -> Sources:
    """Return the source systems in this package; they are read once."""
    return Sources(sample_data())


def date_time(text: str) -> datetime | None:
    """Parse a date-time in the formats of source systems; without an offset it is UTC. Other text is ``None``."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) < 11:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def day(text: str) -> date | None:
    """Parse an ISO date. Return ``None`` for other text."""
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
            return date_time(text) is not None
    return True


@dataclass(frozen=True)
class Table:
    """One table of a source system."""

    name: str
    file: Path
    delimiter: str = ","
    is_parquet: bool = False

    @cached_property
    def columns(self) -> dict[str, str]:
        """The type of each column: a key of ``XDM``."""
        if self.is_parquet:
            return {f.name: _arrow_kind(f.type) for f in pyarrow.parquet.read_schema(self.file)}
        names = self._header
        head: list[dict[str, Any]] = []
        for batch in self._batches():
            head += batch.to_pylist()
            if len(head) >= SAMPLED_ROWS:
                break
        return {name: _kind_of([r[name] for r in head[:SAMPLED_ROWS]]) for name in names}

    def rows(self) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Yield rows in batches of limited size, each with the number of lines that could not be read."""
        unreadable = 0

        def skip(_: Any) -> str:
            nonlocal unreadable
            unreadable += 1
            return "skip"

        reported = 0
        for batch in self._batches(skip):
            now = unreadable
            yield batch.to_pylist(maps_as_pydicts="lossy"), now - reported
            reported = now
        if unreadable > reported:
            yield [], unreadable - reported

    @cached_property
    def _header(self) -> list[str]:
        """The names of a CSV file's columns.

        :raises TableError: a name is missing or used twice, or a quotation mark is not closed
        """
        parse = self._parsing(lambda _: "skip")
        with pyarrow.csv.open_csv(self.file, read_options=_READ, parse_options=parse) as reader:
            names = list(reader.schema.names)
        for name in names:
            if not name.strip():
                raise TableError(f"{self.file.name}, line 1: column {names.index(name) + 1} has no name")
            if names.count(name) > 1:
                raise TableError(f"{self.file.name}, line 1: {names.count(name)} columns are named {name!r}")
        if line := _unclosed_quote(self.file, self.delimiter):
            raise TableError(f"{self.file.name}, line {line}: a quotation mark of this row is not closed")
        return names

    def _batches(self, skip: Callable[[Any], str] = lambda _: "skip") -> Iterator[pa.RecordBatch]:
        """Yield batches of text cells, or of Parquet's values.

        :param skip: called with each line with too many or too few cells
        """
        if self.is_parquet:
            yield from pyarrow.parquet.ParquetFile(self.file).iter_batches(batch_size=_BATCH)
            return
        options = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(self._header, pa.string()), strings_can_be_null=True, null_values=[""]
        )
        parse = self._parsing(skip)
        with pyarrow.csv.open_csv(
            self.file, read_options=_READ, convert_options=options, parse_options=parse
        ) as reader:
            yield from reader

    def _parsing(self, skip: Callable[[Any], str]) -> pyarrow.csv.ParseOptions:
        # Cells such as the description of a ticket have line breaks.
        return pyarrow.csv.ParseOptions(delimiter=self.delimiter, invalid_row_handler=skip, newlines_in_values=True)


class TableError(ValueError):
    """A CSV file whose rows cannot be separated, or whose columns cannot."""


def _unclosed_quote(file: Path, delimiter: str) -> int | None:
    """Return the line where a row begins whose quoted cell takes up the rest of the file."""
    with pa.input_stream(file, compression="detect") as stream:
        if not any(b'"' in chunk for chunk in iter(lambda: stream.read(_BLOCK), b"")):
            return None
    with pa.input_stream(file, compression="detect") as stream, _long_cells():
        kept: list[str] = []
        lines = 0

        def read() -> Iterator[str]:
            nonlocal lines
            for line in TextIOWrapper(stream, encoding="utf-8", errors="replace", newline=""):
                lines += 1
                kept.append(line)
                yield line

        last, first_line = "", 1
        try:
            for _ in csv.reader(read(), delimiter=delimiter):
                last, first_line = "".join(kept), lines - len(kept) + 1
                kept.clear()
        except csv.Error:  # a cell is longer than any that can be read
            return lines - len(kept) + 1
        try:
            list(csv.reader([last], delimiter=delimiter, strict=True))
        except csv.Error as e:
            return first_line if "unexpected end" in str(e) else None
    return None


@contextmanager
def _long_cells() -> Generator[None, None, None]:
    """Let the ``csv`` module read cells that are as long as pyarrow can read them."""
    before = csv.field_size_limit(_BLOCK)
    try:
        yield
    finally:
        csv.field_size_limit(before)


_READ = pyarrow.csv.ReadOptions(block_size=_BLOCK)


def _kind_of(cells: list[str | None]) -> str:
    filled = [c for c in cells if c]
    tolerated = int(BROKEN_SHARE * len(filled))
    for kind in ("boolean", "integer", "double", "date", "date-time"):
        broken = (c for c in filled if not _is(kind, c))
        if filled and next(islice(broken, tolerated, None), None) is None:
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
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return "array"
    if pa.types.is_struct(type_) or pa.types.is_map(type_):
        return "object"
    return "date-time" if pa.types.is_timestamp(type_) else "string"


@dataclass(frozen=True)
class Records:
    """The records of a REST source: a file with one nested JSON object a line."""

    name: str
    file: Path

    @cached_property
    def columns(self) -> dict[str, str]:
        """The type of each dot path: a key of ``XDM``; text if it is empty in all sampled records."""
        kinds: dict[str, set[str]] = {}
        for record in self._head():
            for path, value in flat(record).items():
                kinds.setdefault(path, set()).update([] if value is None else [_json_kind(value)])
        above = _above(kinds)
        # A path that is an object in one record and null in another is an object.
        return {path: _common(found) for path, found in kinds.items() if path not in above}

    @property
    def schema(self) -> dict[str, Any]:
        """The columns as the nested JSON Schema that explore returns."""
        root: dict[str, Any] = {"type": "object", "properties": {}}
        for path, kind in self.columns.items():
            *parents, leaf = path.split(".")
            node = root
            for name in parents:
                node = node["properties"].setdefault(name, {"type": "object", "properties": {}})
            node["properties"][leaf] = dict(XDM[kind])
        return root

    def preview(self, size: int) -> list[dict[str, Any]]:
        """Return the first records."""
        return self._head()[:size]

    def rows(self) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Yield records in batches of limited size, each with the number of unreadable lines."""
        kept: list[dict[str, Any]] = []
        unreadable = 0
        for record in self._lines():
            if record is None:
                unreadable += 1
            else:
                kept.append(record)
            if len(kept) + unreadable >= _BATCH:
                yield kept, unreadable
                kept, unreadable = [], 0
        yield kept, unreadable

    def _head(self) -> list[dict[str, Any]]:
        return list(islice((r for r in self._lines() if r is not None), SAMPLED_ROWS))

    def _lines(self) -> Iterator[dict[str, Any] | None]:
        """Yield each line's record, or ``None`` if it is invalid; a file may also be one array of records."""
        with self.file.open(encoding="utf-8", errors="replace") as lines:
            if lines.read(1) == "[":
                lines.seek(0)
                yield from self._array(lines.read())
                return
            lines.seek(0)
            for line in filter(str.strip, lines):
                try:
                    record = json.loads(line)
                    if "\\u" in line:  # half of a surrogate pair is no text
                        json.dumps(record, ensure_ascii=False).encode()
                except (ValueError, RecursionError):
                    record = None
                yield record if isinstance(record, dict) else None

    @staticmethod
    def _array(text: str) -> Iterator[dict[str, Any] | None]:
        try:
            records = json.loads(text)
        except (ValueError, RecursionError):
            records = [None]
        yield from (r if isinstance(r, dict) else None for r in records)


def flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a record's values by dot path."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        path = f"{prefix}{name}"
        found |= flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found


def _above(paths: Iterable[str]) -> set[str]:
    """Return the paths that are parents of other paths."""
    found: set[str] = set()
    for path in paths:
        steps = path.split(".")
        found.update(".".join(steps[:n]) for n in range(1, len(steps)))
    return found


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
        self._tables = {
            f.stem: Table(f.stem, f, is_parquet=f.suffix == ".parquet")
            for f in found
            if f.suffix in {".csv", ".parquet"}
        }
        self.records = next((Records(f.stem, f) for f in found if f.suffix == ".jsonl"), None)
        readable: list[Table | Records] = [*self._tables.values(), *([self.records] if self.records else [])]
        for table in readable:
            try:
                _ = table.columns
            except TableError as e:
                raise SystemExit(
                    f"--source-data: in {table.file.parent}, {e}. Correct the file, or remove it."
                ) from None
            except (pa.ArrowException, OSError, UnicodeError) as e:
                raise SystemExit(
                    f"--source-data: {table.file} cannot be read ({type(e).__name__}). "
                    "A CSV file is UTF-8 text with a header line."
                ) from None

    def __bool__(self) -> bool:
        return bool(self._tables or self.records)

    def names(self) -> list[str]:
        """Return the names of the tables."""
        return sorted(self._tables)

    def get(self, name: str) -> Table | None:
        """Return a table, or ``None``."""
        return self._tables.get(name)


FORMATS = {"delimited": (".csv", ".tsv", ".txt"), "json": (".json", ".jsonl"), "parquet": (".parquet",)}
"""Endings of the files of a cloud storage, by format; delimited files may be compressed, such as ``.csv.gz``."""


class Files:
    """The files of a cloud storage by path, such as ``/leads/2026.csv``."""

    def __init__(self, folder: Path) -> None:
        found = (f for f in sorted(folder.rglob("*")) if f.is_file() and any(self._ends(f.name, k) for k in FORMATS))
        self._files = {f"/{f.relative_to(folder).as_posix()}": f for f in found}

    def listing(self, path: str) -> list[dict[str, Any]] | None:
        """Return the files and folders in a folder, in explore's format; ``None`` if the folder does not exist."""
        inside = f"/{path.strip('/')}/".replace("//", "/")
        entries: dict[str, str] = {}
        for file in self._files:
            if file.startswith(inside):
                name, _, more = file[len(inside) :].partition("/")
                entries[name] = "folder" if more else "file"
        if not entries and inside != "/":
            return None
        return [
            {
                "type": kind,
                "name": n,
                "path": f"{inside}{n}",
                "canPreview": kind == "file",
                "canFetchSchema": kind == "file",
            }
            for n, kind in entries.items()
        ]

    def matching(self, path: str, kind: str, recursive: bool = False) -> list[tuple[str, Path]]:
        """Return path and file for the ``path`` of a source connection: a file, a folder, or a pattern with ``*``."""
        wanted = f"/{path.strip('/')}"
        found = []
        for name, file in self._files.items():
            folder = name.rpartition("/")[0] or "/"
            within = folder == wanted or (recursive and (wanted == "/" or name.startswith(f"{wanted}/")))
            if name != wanted and not within and not ("*" in wanted and fnmatchcase(name, wanted)):
                continue
            if name == wanted or self._ends(name, kind):
                found.append((name, file))
        return found

    @staticmethod
    def _ends(name: str, kind: str) -> bool:
        name = name.lower()
        bare = name.removesuffix(".gz").removesuffix(".bz2") if kind == "delimited" else name
        return bare.endswith(FORMATS.get(kind, ()))

    def reader(self, path: str, kind: str, delimiter: str = ",") -> Table | Records | None:
        """Return a reader of one file, or ``None``."""
        file = self._files.get(f"/{path.strip('/')}")
        return read_file(path, file, kind, delimiter) if file else None


def read_file(name: str, file: Path, kind: str, delimiter: str = ",") -> Table | Records:
    """Return a reader of a file.

    :param kind: a key of :data:`FORMATS`
    """
    return Records(name, file) if kind == "json" else Table(name, file, delimiter, kind == "parquet")


class Sources:
    """The source systems of all connectors, in a folder that is read when the emulator starts.

    A subfolder with the name that ``data.specs.folder_of`` returns for a connector, such as ``servicenow``, belongs to
    that connector. Other connectors read the files that are directly in the folder; a cloud storage sees all files.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SystemExit(f"--source-data {folder} is not a folder.")
        self._rest = Tables(folder)
        own = {f.name: Tables(f) for f in sorted(folder.iterdir()) if f.is_dir()}
        self._own = {name: tables for name, tables in own.items() if tables}
        self._files = Files(folder)
        self._own_files = {f.name: Files(f) for f in sorted(folder.iterdir()) if f.is_dir()}
        if not self._rest and not self._own and not self._files.listing("/"):
            raise SystemExit(f"--source-data {folder} holds no .csv, .parquet or .jsonl file.")

    def of(self, connector: str) -> Tables:
        """Return the tables of a connector.

        :param connector: the name of its folder
        """
        return self._own.get(connector, self._rest)

    def files_of(self, connector: str) -> Files:
        """Return the files of a cloud storage: of its folder, or all files.

        :param connector: the name of its folder
        """
        return self._own_files.get(connector, self._files)


def column_delimiter(source_connection: dict[str, Any]) -> str:
    """Return the delimiter of a source connection's files; Adobe documents two places for it."""
    data = source_connection["data"]
    properties = data.get("properties") or {}
    return validate_delimiter(str(data.get("columnDelimiter") or properties.get("columnDelimiter") or ","))


def is_recursive(params: dict[str, Any]) -> bool:
    """Return whether a source connection includes the folders within its folder."""
    return str(params.get("recursive", "")).lower() == "true"


def validate_delimiter(text: str) -> str:
    """Return a delimiter; refuse text that is not a single character."""
    text = {"\\t": "\t"}.get(text, text)
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise source(1337, "columnDelimiter must be a single character")
    return text
