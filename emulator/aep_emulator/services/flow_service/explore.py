"""Flow Service: explore the tables, records, folders and files of a source system, their columns and some rows.

Source: "Explore a tabular source" and "Explore a cloud storage" in Adobe's guide.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import pyarrow as pa

from aep_emulator.core.errors import flow, source
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.validation import plain
from aep_emulator.core.world import World
from aep_emulator.data.specs import LANDING_ZONE, connection_specs, flow_spec_of, folder_of
from aep_emulator.engine.source_data import FORMATS as FILE_FORMATS
from aep_emulator.engine.source_data import XDM, Files, Records, Table, TableError, Tables, validate_delimiter
from aep_emulator.services.flow_service.resources import BASE, GUIDE, Body, found, missing

PREVIEW_ROWS = 100


def tables_of(world: World, connection: Body) -> Tables:
    """Return the tables of the source system behind a connection."""
    return world.sources.of(folder_of(connection["connectionSpec"]["id"]))


_EXPLORE = frozenset(
    "objectType object preview previewCount fileType FileType CompressionType compressionType columnDelimiter "
    "determineProperties encoding filters sourceParams".split()
)


def files_of(world: World, connection: Body) -> Files:
    """Return the files of the cloud storage behind a connection."""
    return world.sources.files_of(folder_of(connection["connectionSpec"]["id"]))


def explore(world: World, request: Request, id_: str) -> Reply:
    """Explore the source system behind a base connection."""
    connection = found(world, request, "connections", id_)
    return _explored(world, request, connection)


def explore_spec(world: World, request: Request, id_: str) -> Reply:
    """Explore a source without a base connection, by its connection spec."""
    spec = connection_specs().get(id_)
    if spec is None:
        raise missing("connectionSpecs", id_)
    if id_ != LANDING_ZONE:
        raise source(1336, f"{spec['name']} is explored by its base connection")
    return _explored(world, request, {"connectionSpec": {"id": id_}})


def _explored(world: World, request: Request, connection: Body) -> Reply:
    spec_id, kind = connection["connectionSpec"]["id"], request.first("objectType", "root").lower()
    if request.first("filters"):
        _decoded(request.first("filters"), 1389, "filters is not in base64")
    match flow_spec_of(spec_id):
        case "CRMToAEP":
            return _explore_tables(request, tables_of(world, connection), kind)
        case "RestStorageToAEP":
            return _explore_records(request, tables_of(world, connection).records, kind)
        case "CloudStorageToAEP":
            return _explore_files(request, files_of(world, connection), kind)
    raise source(1336, f"Explore is not supported by {connection_specs()[spec_id]['name']}")


def _explore_tables(request: Request, tables: Tables, kind: str) -> Reply:
    if kind == "root":
        return Reply(
            [
                {"type": "table", "name": t, "path": t, "canPreview": True, "canFetchSchema": True}
                for t in tables.names()
            ]
        )
    if kind != "table":
        raise source(1358, f"The objectType {kind[:40]!r} is invalid")
    name = request.first("object")
    if not name:
        raise source(1337, "The query parameter object is empty")
    table = tables.get(name)
    if table is None:
        raise flow("1101-404", f"The source has no table {name[:100]!r}")
    return _structure(table, request.is_true("preview"))


def _structure(table: Table | Records, preview: bool) -> Reply:
    """Return the columns, or the schema of nested records, and some rows on request."""
    if isinstance(table, Records):
        nested: dict[str, Any] = {"format": "hierarchical", "schema": table.schema}
        return Reply({**nested, "data": table.preview(PREVIEW_ROWS)} if preview else nested)
    columns = [_column(name, kind) for name, kind in table.columns.items()]
    answer: dict[str, Any] = {"format": "flat", "schema": {"columns": columns}}
    if preview:
        rows, _ = next(table.rows(), ([], 0))
        answer["data"] = plain(rows[:PREVIEW_ROWS])
    return Reply(answer)


def _column(name: str, kind: str) -> dict[str, Any]:
    if kind in {"date", "date-time"}:  # text in the source, a time in XDM
        return {"name": name, "type": "string", "meta:xdmType": kind, "xdm": XDM[kind]}
    return {"name": name, "type": kind, "xdm": XDM[kind]}


def _explore_records(request: Request, records: Records | None, kind: str) -> Reply:
    """Explore a REST source: it has one stream of records, and no tables."""
    if kind != "rest":
        raise source(1358, f"The objectType {kind[:40]!r} is invalid: this source is explored with rest")
    if request.first("object") != "json":
        raise source(1337, "The query parameter object must be json")
    try:
        params = json.loads(_decoded(request.first("sourceParams", "e30"), 1335, "sourceParams is not in base64"))
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise source(1335, "sourceParams is not a JSON object in base64")
    if records is None:
        raise source(1330, "The source has no records: no .jsonl file")
    return _structure(records, request.is_true("preview"))


def _explore_files(request: Request, files: Files, kind: str) -> Reply:
    path = request.first("object")
    if kind not in {"root", "folder", "file"}:
        raise source(1358, f"The objectType {kind[:40]!r} is invalid: this source has folders and files")
    if kind != "root" and not path:
        raise source(1337, "The query parameter object is empty")
    if kind != "file":
        listing = files.listing(path if kind == "folder" else "/")
        if listing is None:
            raise flow("1101-404", f"The source has no folder {path[:100]!r}")
        return Reply(listing)
    form = (request.first("fileType") or request.first("FileType") or "delimited").lower()
    if form not in FILE_FORMATS:
        raise source(1396, f"The fileType {form[:40]!r} is not supported")
    delimiter = request.first("columnDelimiter")
    if request.is_true("determineProperties") and delimiter:
        raise source(1374, "determineProperties cannot be used with properties of the user's")
    table = files.reader(path, form, validate_delimiter(delimiter or ","))
    if table is None:
        raise flow("1101-404", f"The source has no file {path[:100]!r}")
    try:
        return _structure(table, request.is_true("preview"))
    except TableError as e:
        raise source(1330, f"The file cannot be read: {e}") from None
    except (pa.ArrowException, OSError, ValueError):
        raise source(1330, f"The file {path[:100]!r} cannot be read as {form}") from None


def _decoded(text: str, code: int, what: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise source(code, what) from None


ROUTES = [
    Route(
        "GET", f"{BASE}/connections/{{id}}/explore", explore, Evidence.SAMPLE, f"{GUIDE}/explore/tabular.md", _EXPLORE
    ),
    Route(
        "GET", f"{BASE}/connectionSpecs/{{id}}/explore", explore_spec, Evidence.OPENAPI, "flow-service.yaml", _EXPLORE
    ),
]
