"""Flow Service: connection specs, base connections, source and target connections."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pyarrow as pa

from airflow_provider_aep.emulator.filters import PARAMETERS, listing
from airflow_provider_aep.emulator.flow_service import (
    BASE,
    EMPTY,
    GUIDE,
    MODE,
    Body,
    add,
    changed,
    check_parents,
    check_steady,
    crud,
    found,
    known_spec,
    missing,
    named,
    not_for_users,
    operation,
    patched,
    shown,
    wrapped,
)
from airflow_provider_aep.emulator.refusals import Refusal, flow, source
from airflow_provider_aep.emulator.service import Evidence, Reply, Request, Route, World
from airflow_provider_aep.emulator.shapes import plain
from airflow_provider_aep.emulator.specs import (
    DATA_LAKE,
    FORMATS,
    LANDING_ZONE,
    connection_specs,
    flow_spec_of,
    flow_specs,
    folder_of,
)
from airflow_provider_aep.emulator.tables import FORMATS as FILE_FORMATS
from airflow_provider_aep.emulator.tables import XDM, Files, Records, Table, Tables

PREVIEW_ROWS = 100
ACTION = frozenset({"op", "subOp"})


# -- specs ----------------------------------------------------------------------------------------------------------


def list_connection_specs(world: World, request: Request) -> Reply:
    return listing(request, list(connection_specs().values()), "connectionSpecs")


def get_connection_spec(world: World, request: Request, id_: str) -> Reply:
    return wrapped(connection_specs().get(id_), "connectionSpecs", id_)


# -- base connections -----------------------------------------------------------------------------------------------


def create_connection(world: World, request: Request) -> Reply:
    """A login to a source; with the data lake's spec, and without ``auth``, the dataset base connection of old."""
    body = request.object(EMPTY, "connections")
    named(body)
    _check_auth(request, body)
    return add(world, request, "connections", body)


def _check_auth(request: Request, body: Body) -> None:
    spec = known_spec(body)
    auth = body.get("auth")
    if not spec["authSpec"]:
        return
    if not isinstance(auth, dict):
        raise source(1304, "The mandatory field auth is missing")
    known = {a["name"]: a["spec"] for a in spec["authSpec"]}
    if auth.get("specName") not in known:
        raise flow("1415-400", f"The auth spec {auth.get('specName')!r} is not known")
    for error in jsonschema.Draft7Validator(known[auth["specName"]]).iter_errors(auth.get("params")):
        # The message of a type error quotes the value, which may be a secret.
        what = error.message if error.validator == "required" else "has a wrong type"
        raise source(1304, f"auth.params {'.'.join(map(str, error.path))} {what}")
    known_params = known[auth["specName"]]["properties"]
    request.unknown("field", [f"auth.params.{p}"[:100] for p in auth["params"] if p not in known_params])


def test_connection(world: World, request: Request, id_: str) -> Reply:
    found(world, request, "connections", id_)
    return Reply({"result": True})


def tables_of(world: World, connection: Body) -> Tables:
    """What the source behind a connection holds."""
    return world.sources.of(folder_of(connection["connectionSpec"]["id"]))


_EXPLORE = frozenset(
    "objectType object preview previewCount fileType FileType CompressionType compressionType columnDelimiter "
    "determineProperties encoding filters sourceParams".split()
)


def files_of(world: World, connection: Body) -> Files:
    """What the cloud storage behind a connection holds."""
    return world.sources.files_of(folder_of(connection["connectionSpec"]["id"]))


def explore(world: World, request: Request, id_: str) -> Reply:
    """What a source holds. Source: "Explore a tabular source" and "Explore a cloud storage" in Adobe's guide."""
    connection = found(world, request, "connections", id_)
    return _explored(world, request, connection)


def explore_spec(world: World, request: Request, id_: str) -> Reply:
    """A source without a base connection is explored by its spec."""
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
    """Columns, or the schema of nested records, and some rows if asked for."""
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
    if kind in {"date", "date-time"}:  # a text to the source, a moment to XDM
        return {"name": name, "type": "string", "meta:xdmType": kind, "xdm": XDM[kind]}
    return {"name": name, "type": kind, "xdm": XDM[kind]}


def _explore_records(request: Request, records: Records | None, kind: str) -> Reply:
    """A REST source has no tables: it is asked for its one stream of records."""
    if kind != "rest":
        raise source(1358, f"The objectType {kind[:40]!r} is invalid: this source is explored with rest")
    if request.first("object") != "json":
        raise source(1337, "The query parameter object must be json")
    try:
        params = json.loads(_decoded(request.first("sourceParams", "e30"), 1335, "sourceParams is not in base64"))
    except (ValueError, RecursionError):
        params = None
    if not isinstance(params, dict):
        raise source(1335, "sourceParams is no JSON object in base64")
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
    table = files.reader(path, form, checked_delimiter(delimiter or ","))
    if table is None:
        raise flow("1101-404", f"The source has no file {path[:100]!r}")
    try:
        return _structure(table, request.is_true("preview"))
    except (pa.ArrowException, OSError, UnicodeError):
        raise source(1330, f"The file {path[:100]!r} cannot be read as {form}") from None


def checked_delimiter(text: str) -> str:
    text = {"\\t": "\t"}.get(text, text)
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise source(1337, "columnDelimiter must be a single character")
    return text


def _decoded(text: str, code: int, what: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise source(code, what) from None


def configs(world: World, request: Request, id_: str) -> Reply:
    found(world, request, "connections", id_)
    return Reply({"items": []})


def configs_of_spec(world: World, request: Request, id_: str) -> Reply:
    if id_ not in connection_specs():
        raise missing("connectionSpecs", id_)
    return Reply({"items": []})


# -- source and target connections ----------------------------------------------------------------------------------


def create_source_connection(world: World, request: Request) -> Reply:
    body = request.object(EMPTY, "sourceConnections")
    named(body)
    base = _checked_source(world, request, body)
    stored = {**body, "providerRefId": world.new_id()}
    if base:
        check_parents(world, request, base)
        stored["inheritedAttributes"] = {"baseConnection": {"id": base["id"], "connectionSpec": base["connectionSpec"]}}
    return add(world, request, "sourceConnections", stored, parent=base["id"] if base else "")


def _checked_source(world: World, request: Request, body: Body) -> Body | None:
    """What must hold of a source connection whenever it is written; returns its base connection, if it has one."""
    spec = known_spec(body)
    base = None
    if spec["id"] == LANDING_ZONE:
        if body.get("baseConnectionId"):
            raise source(1332, "A base connection is not allowed for this connection spec")
    else:
        base = found(world, request, "connections", body.get("baseConnectionId"))
        if base["connectionSpec"]["id"] != spec["id"]:
            raise flow("1413-400", "The connection spec is not that of the base connection")
    formats = FORMATS.get(flow_spec_of(spec["id"]))
    if formats is None:
        raise flow("1413-400", f"{spec['name']} is no batch source")
    data, params = body.get("data"), body.get("params")
    form = data.get("format") if isinstance(data, dict) else None
    if form not in formats:
        raise source(1327, f"The source format {str(form)[:40]!r} is not one of {spec['name']}: {', '.join(formats)}")
    if not isinstance(params, dict):
        raise source(1304, "The mandatory field params is missing")
    if form == "tabular":
        _check_table(world, body, params)
    elif flow_spec_of(spec["id"]) == "CloudStorageToAEP":
        _check_path(world, body, params)
    schema = data.get("schema") if isinstance(data, dict) else None
    if isinstance(schema, dict) and world.registry(request.scope).schema(schema.get("id") or "") is None:
        raise source(1391, "data.schema: there is no such schema")
    return base


def _check_table(world: World, body: Body, params: Body) -> None:
    if not isinstance(params.get("tableName"), str):
        raise source(1304, "The mandatory field params.tableName is missing")
    if tables_of(world, body).get(params["tableName"]) is None:
        raise source(1330, f"No columns found for table {params['tableName'][:100]!r}")


def _check_path(world: World, body: Body, params: Body) -> None:
    if not isinstance(params.get("path"), str) or not params["path"]:
        raise source(1304, "The mandatory field params.path is missing")
    checked_delimiter(column_delimiter(body))
    found = files_of(world, body).matching(params["path"], body["data"]["format"], is_recursive(params))
    if not found:
        raise source(1330, f"There is no {body['data']['format']} file at {params['path'][:100]!r}")


def column_delimiter(source_connection: Body) -> str:
    """Of delimited files; it stands in one of two places."""
    data = source_connection["data"]
    properties = data.get("properties") or {}
    return str(data.get("columnDelimiter") or properties.get("columnDelimiter") or ",")


def is_recursive(params: Body) -> bool:
    return str(params.get("recursive", "")).lower() == "true"


def create_target_connection(world: World, request: Request) -> Reply:
    body = request.object(EMPTY, "targetConnections")
    named(body)
    base, dataset_id = _checked_target(world, request, body)
    if base:
        check_parents(world, request, base)
    uses = [base["id"]] if base else []
    return add(world, request, "targetConnections", body, parent=dataset_id, uses=uses)


def _checked_target(world: World, request: Request, body: Body) -> tuple[Body | None, str]:
    """What must hold of a target connection whenever it is written; returns base connection and dataset id."""
    spec, base = known_spec(body), None
    if spec["id"] != DATA_LAKE:
        raise source(1307, f"The connection spec of a target connection must be {DATA_LAKE}")
    if body.get("baseConnectionId"):
        base = found(world, request, "connections", body["baseConnectionId"])
        if base["connectionSpec"]["id"] != DATA_LAKE:
            raise source(1307, f"The base connection of a target connection must be of {DATA_LAKE}")
    params = body.get("params")
    dataset_id = params.get("dataSetId") if isinstance(params, dict) else None
    if not isinstance(dataset_id, str) or not dataset_id:
        raise source(1324, "params.dataSetId is missing")
    dataset = world.store.get("dataSets", request.scope, dataset_id)
    if dataset is None:
        raise flow("1101-404", f"There is no dataset with id {dataset_id}")
    data = body.get("data") or {}
    if data.get("format") not in {None, "parquet_xdm", "json", "delimited", "parquet"}:  # samples' and clients'
        raise source(1396, f"The format {data['format']!r} of a target is not supported")
    schema = data.get("schema")
    if isinstance(schema, dict) and schema.get("id") != dataset["schemaRef"]["id"]:
        raise flow("1425-400", "The schema is not that of the dataset")
    return base, dataset_id


def patch_connection(world: World, request: Request, id_: str) -> Reply:
    return patched(world, request, "connections", id_, lambda body: _check_auth(request, body))


def patch_source_connection(world: World, request: Request, id_: str) -> Reply:
    return patched(world, request, "sourceConnections", id_, lambda body: _checked_source(world, request, body))


def patch_target_connection(world: World, request: Request, id_: str) -> Reply:
    return patched(world, request, "targetConnections", id_, lambda body: _checked_target(world, request, body))


# -- actions and deletion -------------------------------------------------------------------------------------------


def _publish(resource: str) -> Route:
    def publish(world: World, request: Request, id_: str) -> Reply:
        body = found(world, request, resource, id_)
        operation(request, "publish")
        check_steady(body, "publish")
        if body["state"] != "draft":
            raise flow("1422-400", f"publish is not applicable in the state {body['state']}")
        if base_id := body.get("baseConnectionId"):
            base = found(world, request, "connections", base_id)
            if base["state"] == "draft":
                raise flow("1422-400", "The base connection is a draft: publish it first")
        return changed(world, request, resource, body, "enabled", "enabling")

    path = f"{BASE}/{resource}/{{id}}/action"
    return Route("POST", path, publish, Evidence.SAMPLE, f"{GUIDE}/draft.md", ACTION)


def _base_in_use(world: World, request: Request, body: Body) -> Refusal | None:
    """Flows reach a base connection through their source or target connection."""
    between = list(world.store.find("sourceConnections", request.scope, parent=body["id"]))
    between += world.store.users("targetConnections", request.scope, body["id"])
    for one in between:
        for user in world.store.users("flows", request.scope, one["id"]):
            return flow("1418-400", f"The connection is in use by the flow {user['name']}")
    return None


def _in_use(world: World, request: Request, body: Body) -> Refusal | None:
    for user in world.store.users("flows", request.scope, body["id"]):
        return flow("1447-400", f"The flow {user['name']} contains this id")
    return None


def search(kind: str) -> Any:
    """``POST /{kind}/search``. Source: Adobe's flow-service OpenAPI file; no tutorial uses it."""

    def handler(world: World, request: Request) -> Reply:
        body = request.object(EMPTY, "search")
        words = str(body.get("queryString") or "").lower()
        everything = flow_specs().values() if kind == "flowSpecs" else world.store.find(kind, request.scope)
        items = [shown(world, i) for i in everything if words in str(i["name"]).lower()]
        if body.get("count"):
            return Reply({"count": len(items)})
        limit = body.get("limit", 100)
        if not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise flow("1451-400", "limit is a number from 1 to 1000")
        query = {**request.query, "limit": [str(limit)]}
        if body.get("orderby"):
            query["orderby"] = [body["orderby"]]
        answer = listing(replace(request, query=query), items, f"{kind}/search").body
        if wanted := body.get("projectionFields"):
            answer["items"] = [{k: v for k, v in i.items() if k in wanted} for i in answer["items"]]
        return Reply(answer)

    return handler


def search_route(kind: str) -> Route:
    query = frozenset({"continuationToken"})
    return Route(
        "POST", f"{BASE}/{kind}/search", search(kind), Evidence.OPENAPI, "flow-service.yaml", query, body="search"
    )


_SAMPLE = Evidence.SAMPLE
ROUTES = [
    Route("GET", f"{BASE}/connectionSpecs", list_connection_specs, _SAMPLE, f"{GUIDE}/create", PARAMETERS),
    Route("GET", f"{BASE}/connectionSpecs/{{id}}", get_connection_spec, _SAMPLE, f"{GUIDE}/create"),
    Route(
        "POST", f"{BASE}/connectionSpecs", not_for_users("1426-400"), Evidence.OPENAPI, "flow-service.yaml", status=400
    ),
    Route(
        "PUT",
        f"{BASE}/connectionSpecs/{{id}}",
        not_for_users("1426-400"),
        Evidence.OPENAPI,
        "flow-service.yaml",
        status=400,
    ),
    Route(
        "POST",
        f"{BASE}/connections",
        create_connection,
        _SAMPLE,
        f"{GUIDE}/create/customer-success/servicenow.md",
        MODE,
        "connections",
        201,
    ),
    search_route("connections"),
    Route("GET", f"{BASE}/connections/{{id}}/test", test_connection, Evidence.OPENAPI, "flow-service.yaml"),
    Route("GET", f"{BASE}/connections/{{id}}/explore", explore, _SAMPLE, f"{GUIDE}/explore/tabular.md", _EXPLORE),
    Route("GET", f"{BASE}/connections/{{id}}/configs", configs, Evidence.ASSUMED, "flow-service.yaml has no sample"),
    Route(
        "GET", f"{BASE}/connectionSpecs/{{id}}/explore", explore_spec, Evidence.OPENAPI, "flow-service.yaml", _EXPLORE
    ),
    Route(
        "GET",
        f"{BASE}/connectionSpecs/{{id}}/configs",
        configs_of_spec,
        Evidence.ASSUMED,
        "flow-service.yaml has no sample",
    ),
    *crud("connections", "", patch=patch_connection, page=f"{GUIDE}/update.md", in_use=_base_in_use),
    Route(
        "POST",
        f"{BASE}/sourceConnections",
        create_source_connection,
        _SAMPLE,
        f"{GUIDE}/collect/customer-success.md",
        MODE,
        "sourceConnections",
        201,
    ),
    *crud(
        "sourceConnections",
        "baseConnectionId",
        patch=patch_source_connection,
        page=f"{GUIDE}/collect/customer-success.md",
        in_use=_in_use,
    ),
    Route(
        "POST",
        f"{BASE}/targetConnections",
        create_target_connection,
        _SAMPLE,
        f"{GUIDE}/collect/customer-success.md",
        MODE,
        "targetConnections",
        201,
    ),
    *crud(
        "targetConnections",
        "params.dataSetId",
        patch=patch_target_connection,
        page=f"{GUIDE}/collect/customer-success.md",
        in_use=_in_use,
    ),
    *map(_publish, ("connections", "sourceConnections", "targetConnections")),
    Route(
        "GET",
        f"{BASE}/baseConnections/{{id}}",
        not_for_users("1411-400"),
        Evidence.SAMPLE,
        "sources/errors",
        status=400,
    ),
]
