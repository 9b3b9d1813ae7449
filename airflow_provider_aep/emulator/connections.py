"""Flow Service: connection specs, base connections, source and target connections."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from typing import Any

import jsonschema

from airflow_provider_aep.emulator.filters import listing
from airflow_provider_aep.emulator.flow_service import (
    BASE,
    EMPTY,
    Body,
    add,
    changed,
    check_parents,
    crud,
    found,
    known_spec,
    named,
    operation,
    patched,
    wrapped,
)
from airflow_provider_aep.emulator.refusals import Refusal, flow, source
from airflow_provider_aep.emulator.service import Reply, Request, Route, World
from airflow_provider_aep.emulator.specs import DATA_LAKE, connection_specs, is_rest
from airflow_provider_aep.emulator.tables import XDM, Records, Tables

PREVIEW_ROWS = 100


# -- specs ----------------------------------------------------------------------------------------------------------


def list_connection_specs(world: World, request: Request) -> Reply:
    return listing(request, list(connection_specs().values()), "connectionSpecs")


def get_connection_spec(world: World, request: Request, id_: str) -> Reply:
    return wrapped(connection_specs().get(id_), "connectionSpecs", id_)


# -- base connections -----------------------------------------------------------------------------------------------


def create_connection(world: World, request: Request) -> Reply:
    """A login to a source; with the data lake's spec, and without ``auth``, the dataset base connection of old."""
    body = request.object(EMPTY, "flowservice")
    named(body)
    _check_auth(body)
    return add(world, request, "connections", body)


def _check_auth(body: Body) -> None:
    spec = known_spec(body)
    auth = body.get("auth")
    if not spec["authSpec"]:
        return
    if not isinstance(auth, dict):
        raise source(1304, "The mandatory field auth is missing")
    known = {a["name"]: a["spec"] for a in spec["authSpec"]}
    if auth.get("specName") not in known:
        raise flow("1415-400", "Invalid request", f"The auth spec {auth.get('specName')!r} is not known")
    for error in jsonschema.Draft7Validator(known[auth["specName"]]).iter_errors(auth.get("params")):
        # The message of a type error quotes the value, which may be a secret.
        what = error.message if error.validator == "required" else "has a wrong type"
        raise source(1304, f"auth.params {'.'.join(map(str, error.path))} {what}")


def test_connection(world: World, request: Request, id_: str) -> Reply:
    found(world, request, "connections", id_)
    return Reply({"result": True})


def tables_of(world: World, connection: Body) -> Tables:
    """What the source behind a connection holds."""
    return world.sources.of(connection_specs()[connection["connectionSpec"]["id"]]["name"])


def explore(world: World, request: Request, id_: str) -> Reply:
    connection = found(world, request, "connections", id_)
    tables, kind = tables_of(world, connection), request.first("objectType").lower()
    preview = request.first("preview").lower() == "true"
    if is_rest(connection["connectionSpec"]["id"]):
        return _explore_records(request, tables.records, kind, preview)
    if kind == "root":
        return Reply(
            [
                {"type": "table", "name": t, "path": t, "canPreview": True, "canFetchSchema": True}
                for t in tables.names()
            ]
        )
    if kind != "table":
        raise source(1358, f"The objectType {kind!r} is invalid")
    name = request.first("object")
    if not name:
        raise source(1337, "The query parameter object is empty")
    table = tables.get(name)
    if table is None:
        raise flow("1101-404", "Resource not found", f"The source has no table {name!r}")
    columns = [{"name": c, "type": k, "xdm": XDM[k]} for c, k in table.columns.items()]
    answer: dict[str, Any] = {"format": "flat", "schema": {"columns": columns}}
    if preview:
        rows, _ = next(table.rows(), ([], 0))
        answer["data"] = json.loads(json.dumps(rows[:PREVIEW_ROWS], default=str))
    return Reply(answer)


def _explore_records(request: Request, records: Records | None, kind: str, preview: bool) -> Reply:
    """A REST source has no tables: it is asked for its one stream of records."""
    if kind != "rest":
        raise source(1358, f"The objectType {kind!r} is invalid: this source is explored with rest")
    if request.first("object") != "json":
        raise source(1337, "The query parameter object must be json")
    text = request.first("sourceParams", "e30")
    try:
        params = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except (ValueError, binascii.Error):
        params = None
    if not isinstance(params, dict):
        raise source(1335, "sourceParams is no JSON object in base64")
    if records is None:
        raise source(1330, "The source has no records: no .jsonl file")
    answer: dict[str, Any] = {"format": "hierarchical", "schema": records.schema}
    return Reply({**answer, "data": records.preview(PREVIEW_ROWS)} if preview else answer)


# -- source and target connections ----------------------------------------------------------------------------------


def create_source_connection(world: World, request: Request) -> Reply:
    body = request.object(EMPTY, "flowservice")
    named(body)
    base = _checked_source(world, request, body)
    check_parents(request, base)
    inherited = {"baseConnection": {"id": base["id"], "connectionSpec": base["connectionSpec"]}}
    stored = {**body, "inheritedAttributes": inherited, "providerRefId": str(uuid.uuid4())}
    return add(world, request, "sourceConnections", stored, parent=base["id"])


def _checked_source(world: World, request: Request, body: Body) -> Body:
    """What must hold of a source connection whenever it is written; returns its base connection."""
    spec = known_spec(body)
    base = found(world, request, "connections", body.get("baseConnectionId"))
    if base["connectionSpec"]["id"] != spec["id"]:
        raise flow("1413-400", "Invalid request", "The connection spec is not that of the base connection")
    data, params = body.get("data"), body.get("params")
    if not isinstance(data, dict) or data.get("format") not in {"tabular", "delimited", "json", "parquet"}:
        raise source(1327, "The source format is not supported")
    if is_rest(spec["id"]) != (data["format"] == "json"):
        raise source(1327, f"The source format {data['format']} is not supported by {spec['name']}")
    if not isinstance(params, dict) or (data["format"] == "tabular" and not isinstance(params.get("tableName"), str)):
        raise source(1304, "The mandatory field params.tableName is missing")
    if data["format"] == "tabular" and tables_of(world, base).get(params["tableName"]) is None:
        raise source(1330, f"No columns found for table {params['tableName']!r}")
    schema = data.get("schema")
    if isinstance(schema, dict) and world.registry(request.scope).schema(schema.get("id") or "") is None:
        raise source(1391, "data.schema: there is no such schema")
    return base


def create_target_connection(world: World, request: Request) -> Reply:
    body = request.object(EMPTY, "flowservice")
    named(body)
    base, dataset_id = _checked_target(world, request, body)
    if base:
        check_parents(request, base)
    return add(world, request, "targetConnections", body, parent=dataset_id)


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
        raise flow("1101-404", "Resource not found", f"There is no dataset with id {dataset_id}")
    data = body.get("data") or {}
    if data.get("format") not in {None, "parquet_xdm", "json"}:  # what Adobe's samples have
        raise source(1396, f"The format {data['format']!r} of a target is not supported")
    schema = data.get("schema")
    if isinstance(schema, dict) and schema.get("id") != dataset["schemaRef"]["id"]:
        raise flow("1425-400", "Invalid request", "The schema is not that of the dataset")
    return base, dataset_id


def patch_connection(world: World, request: Request, id_: str) -> Reply:
    return patched(world, request, "connections", id_, _check_auth)


def patch_source_connection(world: World, request: Request, id_: str) -> Reply:
    return patched(world, request, "sourceConnections", id_, lambda body: _checked_source(world, request, body))


def patch_target_connection(world: World, request: Request, id_: str) -> Reply:
    return patched(world, request, "targetConnections", id_, lambda body: _checked_target(world, request, body))


# -- actions and deletion -------------------------------------------------------------------------------------------


def _publish(resource: str) -> Route:
    def publish(world: World, request: Request, id_: str) -> Reply:
        body = found(world, request, resource, id_)
        operation(request, "publish")
        if body["state"] != "draft":
            raise flow("1422-400", "Invalid request", f"publish is not applicable in the state {body['state']}")
        if base_id := body.get("baseConnectionId"):
            base = found(world, request, "connections", base_id)
            if base["state"] == "draft":
                raise flow("1422-400", "Invalid request", "The base connection is a draft: publish it first")
        return changed(world, request, resource, body, "enabled")

    return Route("POST", f"{BASE}/{resource}/{{id}}/action", publish)


def _base_in_use(world: World, request: Request, body: Body) -> Refusal | None:
    """Flows reach a base connection through their source or target connection."""
    for link, resource in (("sourceConnectionIds", "sourceConnections"), ("targetConnectionIds", "targetConnections")):
        for one in world.store.find("flows", request.scope):
            users = [world.store.get(resource, request.scope, id_) or {} for id_ in one[link]]
            if any(u.get("baseConnectionId") == body["id"] for u in users):
                return flow("1418-400", "Invalid request", f"The connection is in use by the flow {one['name']}")
    return None


def _in_use(link: str) -> Any:
    def refusal(world: World, request: Request, body: Body) -> Refusal | None:
        users = [f["name"] for f in world.store.find("flows", request.scope) if body["id"] in f[link]]
        return flow("1447-400", "Invalid request", f"The flow {users[0]} contains this id") if users else None

    return refusal


ROUTES = [
    Route("GET", f"{BASE}/connectionSpecs", list_connection_specs),
    Route("GET", f"{BASE}/connectionSpecs/{{id}}", get_connection_spec),
    Route("POST", f"{BASE}/connections", create_connection),
    Route("GET", f"{BASE}/connections/{{id}}/test", test_connection),
    Route("GET", f"{BASE}/connections/{{id}}/explore", explore),
    *crud("connections", "", patch=patch_connection, in_use=_base_in_use),
    Route("POST", f"{BASE}/sourceConnections", create_source_connection),
    *crud(
        "sourceConnections", "baseConnectionId", patch=patch_source_connection, in_use=_in_use("sourceConnectionIds")
    ),
    Route("POST", f"{BASE}/targetConnections", create_target_connection),
    *crud(
        "targetConnections", "params.dataSetId", patch=patch_target_connection, in_use=_in_use("targetConnectionIds")
    ),
    *map(_publish, ("connections", "sourceConnections", "targetConnections")),
]
