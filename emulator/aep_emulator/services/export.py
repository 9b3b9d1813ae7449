"""Data Access: the diagnostics of a batch's failed rows.

Source: "Retrieving error diagnostics" in Adobe's ingestion guide, and its data-access OpenAPI file. The host of a link
is AEP's, not the emulator's: a client joins its path to the configured host.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from aep_emulator.core.errors import problem
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.engine.ingest import EXPORT

BASE = "/data/foundation/export"
SAMPLES = 100


def meta(world: World, request: Request, id_: str) -> Reply:
    """Return the files about a batch, or one: ``input_files``, ``row_errors``, ``row_error_samples.json``."""
    kept = _diagnostics(world, request, id_)
    files = _files(kept)
    path = request.first("path").strip("/")
    if path in files:
        lines = "".join(f"{json.dumps(line, default=str)}\n" for line in files[path])
        return Reply(text=lines, headers={"Content-Type": "application/octet-stream"})
    inside = [name for name in files if not path or name.startswith(f"{path}/")]
    if path and path not in {"input_files", "row_errors"}:
        raise problem(404, "NotFound", f"The batch {id_[:60]} has no {path[:100]}")
    return _listing(request, id_, {n.rpartition("/")[2]: (n, files[n]) for n in inside})


def failed(world: World, request: Request, id_: str) -> Reply:
    """Return the files with a batch's failed rows."""
    files = _files(_diagnostics(world, request, id_))
    return _listing(
        request, id_, {n.rpartition("/")[2]: (n, f) for n, f in files.items() if n.startswith("row_errors/")}
    )


def _listing(request: Request, id_: str, files: dict[str, tuple[str, list[Any]]]) -> Reply:
    limit, start = request.integer("limit", 100, 1, 100), request.integer("start", 0, 0, 10**6)
    data = [
        {
            "name": name,
            "length": str(sum(len(json.dumps(line, default=str)) + 1 for line in lines)),
            "_links": {"self": {"href": f"{EXPORT}/batches/{quote(id_)}/meta?path={quote(path, safe='')}"}},
        }
        for name, (path, lines) in list(files.items())[start : start + limit]
    ]
    return Reply({"data": data, "_page": {"limit": limit, "count": len(data)}})


def _diagnostics(world: World, request: Request, id_: str) -> dict[str, Any]:
    batch = world.store.get("batches", request.scope, id_)
    kept = world.store.get("diagnostics", request.scope, id_)
    if batch is None or kept is None:
        raise problem(404, "NotFound", f"There is no batch {id_[:60]}, or its 30 days are over")
    return kept


def _files(kept: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the lines of each file by path."""
    files = {f"input_files/fileMetaData{n}.json": [one] for n, one in enumerate(kept["input_files"], 1)}
    errors = kept["row_errors"]
    for name, chosen in (
        ("parsing_errors_0.json", [e for e in errors if "_corrupt_record" in e]),
        ("conversion_errors_0.json", [e for e in errors if "_corrupt_record" not in e]),
    ):
        if chosen:
            files[f"row_errors/{name}"] = [{**e, "_filename": name} for e in chosen]
    if errors:
        files["row_error_samples.json"] = errors[:SAMPLES]
    return files


_GUIDE = "ingestion/quality/error-diagnostics.md"
_PAGE = frozenset({"path", "limit", "start"})
ROUTES = [
    Route("GET", f"{BASE}/batches/{{id}}/meta", meta, Evidence.SAMPLE, _GUIDE, _PAGE),
    Route("GET", f"{BASE}/batches/{{id}}/failed", failed, Evidence.OPENAPI, "data-access.yaml", _PAGE),
]
