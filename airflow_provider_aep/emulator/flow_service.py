"""Flow Service: specs, connections, source and target connections, flows and runs.

Codes and titles: Adobe's "Flow Service API error messages" and "Sources error messages".
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import jsonschema

from airflow_provider_aep.emulator import xdm
from airflow_provider_aep.emulator.filters import equal_to, listing
from airflow_provider_aep.emulator.ingest import SECONDS
from airflow_provider_aep.emulator.refusals import Refusal, flow, problem, source
from airflow_provider_aep.emulator.service import Reply, Request, Route, World
from airflow_provider_aep.emulator.shapes import misfit
from airflow_provider_aep.emulator.specs import DATA_LAKE, connection_specs, flow_specs
from airflow_provider_aep.emulator.tables import XDM

BASE = "/data/foundation/flowservice"
_EMPTY = flow("1405-400", "Invalid request", "The request body is empty")


# -- specs ----------------------------------------------------------------------------------------------------------


def list_connection_specs(world: World, request: Request) -> Reply:
    return listing(request, list(connection_specs().values()), "connectionSpecs")


def get_connection_spec(world: World, request: Request, id_: str) -> Reply:
    return _wrapped(connection_specs().get(id_), "connectionSpecs", id_)


def list_flow_specs(world: World, request: Request) -> Reply:
    return listing(request, list(flow_specs().values()), "flowSpecs")


def get_flow_spec(world: World, request: Request, id_: str) -> Reply:
    return _wrapped(flow_specs().get(id_), "flowSpecs", id_)


# -- what all resources share ---------------------------------------------------------------------------------------


def _missing(resource: str, id_: str) -> Refusal:
    return flow("1101-404", "Resource not found", f"There is no {resource} with id {id_}")


def _wrapped(found: dict[str, Any] | None, resource: str, id_: str) -> Reply:
    if found is None:
        raise _missing(resource, id_)
    return Reply({"items": [_shown(found)]})


def _shown(body: dict[str, Any]) -> dict[str, Any]:
    """Without the emulator's own notes."""
    return {k: v for k, v in body.items() if k != "_emulator"}


def _without_secrets(body: dict[str, Any]) -> dict[str, Any]:
    """The emulator logs in nowhere, so it does not keep what it would log in with."""
    auth = body.get("auth")
    if not isinstance(auth, dict) or not isinstance(auth.get("params"), dict):
        return body
    masked = {k: "******" if _is_secret(body, k) else v for k, v in auth["params"].items()}
    return {**body, "auth": {**auth, "params": masked}}


def _is_secret(connection: dict[str, Any], param: str) -> bool:
    spec = connection_specs().get(connection["connectionSpec"]["id"], {})
    for auth in spec.get("authSpec", []):
        if auth["name"] == connection["auth"].get("specName"):
            return auth["spec"]["properties"].get(param, {"format": "password"}).get("format") == "password"
    return True


def _named(body: dict[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise source(1304, "The mandatory field name is missing")
    return name


def _known_spec(body: dict[str, Any]) -> dict[str, Any]:
    given = body.get("connectionSpec")
    id_ = given.get("id") if isinstance(given, dict) else None
    spec = connection_specs().get(id_) if isinstance(id_, str) else None
    if spec is None:
        raise flow("1413-400", "Invalid request", f"The connection spec id {id_!r} is invalid")
    return spec


def _add(world: World, request: Request, resource: str, body: dict[str, Any], parent: str = "") -> Reply:
    now, id_, etag = world.now_ms(), world.new_id(), world.new_etag()
    stored = {
        **_without_secrets(body),
        "id": id_,
        "createdAt": now,
        "updatedAt": now,
        "createdBy": request.client_id,
        "updatedBy": request.client_id,
        "createdClient": request.client_id,
        "updatedClient": request.client_id,
        "sandboxName": request.scope.sandbox,
        "imsOrgId": request.scope.org,
        "state": "enabled",
        "version": etag,
        "etag": etag,
    }
    world.store.add(resource, request.scope, id_, stored, name=body["name"], parent=parent)
    return Reply({"id": id_, "etag": etag}, 201, {"Location": f"{BASE}/{resource}/{id_}"})


def _found(world: World, request: Request, resource: str, id_: Any) -> dict[str, Any]:
    found = world.store.get(resource, request.scope, id_) if isinstance(id_, str) else None
    if found is None:
        raise _missing(resource, str(id_))
    return found


def _listed(world: World, request: Request, resource: str, parent_field: str = "") -> Reply:
    name = equal_to(request, "name")
    parent = equal_to(request, parent_field) if parent_field else None
    items = world.store.find(resource, request.scope, name=name, parent=parent)
    return listing(request, [_shown(i) for i in items], resource)


def _patched(world: World, request: Request, resource: str, id_: str) -> Reply:
    body = _found(world, request, resource, id_)
    wanted = request.headers.get("if-match")
    if not wanted:
        raise flow("1403-400", "Header is missing", "The header If-Match is missing")
    if wanted.strip('"') != body["etag"].strip('"'):
        raise flow("1404-412", "Version not matching", "The version does not match the current version of the entity")
    ops = request.json(_EMPTY)
    if not isinstance(ops, list) or not ops:
        raise flow("1405-400", "Invalid request", "The body must be a JSON patch array")
    for op in ops:
        _apply(body, op)
    if wrong := misfit("flowservice", body):
        raise problem(400, "Bad Request", wrong)
    if resource == "flows":
        _checked_flow(world, request, body)
    body["updatedAt"], body["etag"] = world.now_ms(), world.new_etag()
    body["version"] = body["etag"]
    world.store.put(resource, request.scope, id_, _without_secrets(body), name=_named(body))
    return Reply({"id": id_, "etag": body["etag"]})


def _apply(body: dict[str, Any], op: Any) -> None:
    """One JSON-patch operation; the letters' case is free, ``move`` and ``copy`` are refused."""
    if not isinstance(op, dict) or not isinstance(op.get("path"), str):
        raise flow("1405-400", "Invalid request", "Each patch operation needs op and path")
    verb, steps = str(op.get("op", "")).lower(), op["path"].strip("/").split("/")
    if verb not in {"add", "replace", "remove"}:
        raise flow("1434-400", "Invalid request", f"The operation {op.get('op')!r} is not supported")
    if steps[0] == "connectionSpec":
        raise flow("1414-400", "Invalid request", "The connection spec of a connection cannot be updated")
    if steps[0] not in {"name", "description", "auth", "data", "params", "scheduleParams", "transformations"}:
        raise source(1365, f"The patch path {op['path']!r} is invalid")
    node: Any = body
    try:
        for step in steps[:-1]:
            node = node[int(step)] if isinstance(node, list) else node[step]
        last: Any = int(steps[-1]) if isinstance(node, list) else steps[-1]
        if verb != "add":
            node[last]  # a missing field cannot be replaced or removed
        if verb == "remove":
            del node[last]
        else:
            node[last] = op["value"]
    except (KeyError, IndexError, ValueError, TypeError):
        raise flow("1455-400", "Invalid request", f"There is no field at {op['path']!r}") from None


# -- base connections -----------------------------------------------------------------------------------------------


def create_connection(world: World, request: Request) -> Reply:
    body = request.object(_EMPTY, "flowservice")
    _named(body)
    spec = _known_spec(body)
    auth = body.get("auth")
    if spec["authSpec"]:
        if not isinstance(auth, dict):
            raise source(1304, "The mandatory field auth is missing")
        known = {a["name"]: a["spec"] for a in spec["authSpec"]}
        if auth.get("specName") not in known:
            raise flow("1415-400", "Invalid request", f"The auth spec {auth.get('specName')!r} is not known")
        for error in jsonschema.Draft7Validator(known[auth["specName"]]).iter_errors(auth.get("params")):
            # The message of a type error quotes the value, which may be a secret.
            what = error.message if error.validator == "required" else "has a wrong type"
            raise source(1304, f"auth.params {'.'.join(map(str, error.path))} {what}")
    return _add(world, request, "connections", body)


def test_connection(world: World, request: Request, id_: str) -> Reply:
    _found(world, request, "connections", id_)
    return Reply({"result": True})


def explore(world: World, request: Request, id_: str) -> Reply:
    _found(world, request, "connections", id_)
    kind = request.first("objectType").lower()
    if kind == "root":
        tables = world.tables.names()
        return Reply(
            [{"type": "table", "name": t, "path": t, "canPreview": True, "canFetchSchema": True} for t in tables]
        )
    if kind != "table":
        raise source(1358, f"The objectType {kind!r} is invalid")
    name = request.first("object")
    if not name:
        raise source(1337, "The query parameter object is empty")
    table = world.tables.get(name)
    if table is None:
        raise flow("1101-404", "Resource not found", f"The source has no table {name!r}")
    columns = [{"name": c, "type": k, "xdm": XDM[k]} for c, k in table.columns.items()]
    answer: dict[str, Any] = {"format": "flat", "schema": {"columns": columns}}
    if request.first("preview").lower() == "true":
        rows, _ = next(table.rows(), ([], 0))
        answer["data"] = json.loads(json.dumps(rows[:100], default=str))
    return Reply(answer)


# -- source and target connections ----------------------------------------------------------------------------------


def create_source_connection(world: World, request: Request) -> Reply:
    body = request.object(_EMPTY, "flowservice")
    _named(body)
    spec = _known_spec(body)
    base = _found(world, request, "connections", body.get("baseConnectionId"))
    if base["connectionSpec"]["id"] != spec["id"]:
        raise flow("1413-400", "Invalid request", "The connection spec is not that of the base connection")
    data, params = body.get("data"), body.get("params")
    if not isinstance(data, dict) or data.get("format") not in {"tabular", "delimited", "json", "parquet"}:
        raise source(1327, "The source format is not supported")
    if not isinstance(params, dict) or (data["format"] == "tabular" and not isinstance(params.get("tableName"), str)):
        raise source(1304, "The mandatory field params.tableName is missing")
    if data["format"] == "tabular" and world.tables.get(params["tableName"]) is None:
        raise source(1330, f"No columns found for table {params['tableName']!r}")
    inherited = {"baseConnection": {"id": base["id"], "connectionSpec": base["connectionSpec"]}}
    stored = {**body, "inheritedAttributes": inherited, "providerRefId": str(uuid.uuid4())}
    return _add(world, request, "sourceConnections", stored, parent=base["id"])


def create_target_connection(world: World, request: Request) -> Reply:
    body = request.object(_EMPTY, "flowservice")
    _named(body)
    spec = _known_spec(body)
    if spec["id"] != DATA_LAKE:
        raise source(1307, f"The connection spec of a target connection must be {DATA_LAKE}")
    params = body.get("params")
    dataset_id = params.get("dataSetId") if isinstance(params, dict) else None
    if not isinstance(dataset_id, str) or not dataset_id:
        raise source(1324, "params.dataSetId is missing")
    dataset = world.store.get("dataSets", request.scope, dataset_id)
    if dataset is None:
        raise flow("1101-404", "Resource not found", f"There is no dataset with id {dataset_id}")
    data = body.get("data")
    schema = data.get("schema") if isinstance(data, dict) else None
    if isinstance(schema, dict) and schema.get("id") != dataset["schemaRef"]["id"]:
        raise flow("1425-400", "Invalid request", "The schema is not that of the dataset")
    return _add(world, request, "targetConnections", body, parent=dataset_id)


def _crud(resource: str, parent_field: str) -> list[Route]:
    """List, read and patch: the same for both kinds of connections."""

    def list_(world: World, request: Request) -> Reply:
        return _listed(world, request, resource, parent_field)

    def get(world: World, request: Request, id_: str) -> Reply:
        return _wrapped(_found(world, request, resource, id_), resource, id_)

    def patch(world: World, request: Request, id_: str) -> Reply:
        return _patched(world, request, resource, id_)

    path = f"{BASE}/{resource}"
    return [
        Route("GET", path, list_),
        Route("GET", f"{path}/{{id}}", get),
        Route("PATCH", f"{path}/{{id}}", patch),
    ]


# -- flows and runs -------------------------------------------------------------------------------------------------


def create_flow(world: World, request: Request) -> Reply:
    body = request.object(_EMPTY, "flowservice")
    _named(body)
    if "state" in body:
        raise flow("1410-400", "Invalid request", "state is not allowed in the body")
    origin, target = _checked_flow(world, request, body)
    if int(body["scheduleParams"]["startTime"]) * 1000 < world.now_ms():
        raise source(1360, "The start time cannot be in the past")
    body["_emulator"] = {"nextRunAt": int(body["scheduleParams"]["startTime"])}
    body["inheritedAttributes"] = {
        "properties": {"isSourceFlow": True},
        "sourceConnections": [_inherited(origin)],
        "targetConnections": [_inherited(target)],
    }
    return _add(world, request, "flows", body)


def _checked_flow(world: World, request: Request, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What must hold of a flow whenever it is written; returns its source and its target connection."""
    spec = flow_specs().get(str((body.get("flowSpec") or {}).get("id")))
    if spec is None:
        raise flow("1413-400", "Invalid request", "The flow spec id is invalid")
    origin = _only(world, request, "sourceConnections", body.get("sourceConnectionIds"))
    target = _only(world, request, "targetConnections", body.get("targetConnectionIds"))
    if origin["connectionSpec"]["id"] not in spec["sourceConnectionSpecIds"]:
        raise flow("1413-400", "Invalid request", f"The flow spec {spec['name']} does not take this source")
    once = _check_schedule(body.get("scheduleParams"))
    _check_transformations(world, request, body.get("transformations"), spec, origin, target, once)
    return origin, target


def _inherited(connection: dict[str, Any]) -> dict[str, Any]:
    shown = {"id": connection["id"], "connectionSpec": connection["connectionSpec"]}
    return {**shown, **connection.get("inheritedAttributes", {})}


def _only(world: World, request: Request, resource: str, ids: Any) -> dict[str, Any]:
    if not isinstance(ids, list) or not ids:
        raise source(1320, f"The id array of {resource} is null or empty")
    if len(ids) != 1:
        raise source(1321, f"The id array of {resource} must hold exactly one id")
    return _found(world, request, resource, ids[0])


def _check_schedule(schedule: Any) -> bool:
    """Adobe's schedule rules for what is written at any time; returns whether the flow runs once."""
    if not schedule:
        raise source(1317, "The schedule params are empty")
    frequency = schedule.get("frequency")
    if frequency not in {"once", *SECONDS}:
        raise source(1397, f"The frequency {frequency!r} is invalid")
    start = _integer(schedule.get("startTime"))
    if start is None:
        raise source(1340, "startTime could not be parsed")
    if frequency == "once":
        if "interval" in schedule:
            raise source(1361, "interval is not allowed with one-time ingestion")
        if "backfill" in schedule:
            raise source(1364, "backfill is not allowed with one-time ingestion")
        return True
    interval = _integer(schedule.get("interval"))
    if interval is None or interval < (15 if frequency == "minute" else 1):
        raise source(1362, "The interval is below the minimum")
    return False


def _integer(value: Any) -> int | None:
    """A whole number of at most 15 digits; it may come as a string: Adobe's own samples do so."""
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else None


def _check_transformations(
    world: World,
    request: Request,
    given: Any,
    spec: dict[str, Any],
    origin: dict[str, Any],
    target: dict[str, Any],
    once: bool,
) -> None:
    if not isinstance(given, list) or not all(isinstance(t, dict) for t in given):
        raise source(1370, "The mapping transformation is missing")
    steps = {t.get("name"): t.get("params") or {} for t in given}
    takes_delta = any(t["name"] == "Copy" for t in spec["transformationSpecs"])
    delta = steps.get("Copy", {}).get("deltaColumn")
    if once and delta:
        raise source(1369, "A delta column is not allowed when the frequency is once")
    if takes_delta and not once:
        if not isinstance(delta, dict) or not delta.get("name"):
            raise source(1367, "A delta column is required in the Copy transformation")
        table = world.tables.get((origin.get("params") or {}).get("tableName") or "")
        if table is not None and table.columns.get(delta["name"]) != "date-time":
            raise source(1367, f"The delta column {delta['name']!r} is not a date-time column of the table")
    if "Mapping" not in steps:
        raise source(1370, "The mapping transformation is missing")
    mapping = world.store.get("mappingSets", request.scope, str(steps["Mapping"].get("mappingId")))
    if mapping is None:
        raise flow("1419-400", "Invalid request", "The mapping id failed validation")
    version = _integer(steps["Mapping"].get("mappingVersion"))
    versions = mapping["_emulator"]["versions"]
    if version is None or not 0 <= version < len(versions):
        raise flow("1412-400", "Invalid request", "The mapping version is invalid")
    dataset = world.store.get("dataSets", request.scope, str((target.get("params") or {}).get("dataSetId")))
    if dataset is None or versions[version]["schema"] != dataset["schemaRef"]["id"]:
        raise flow("1425-400", "Invalid request", "Schema of mapping and of target dataset must be the same")
    if xdm.stored(world.store, request.scope, dataset["schemaRef"]["id"]) is None:
        raise flow("1425-400", "Invalid request", "The schema of the target dataset is gone")


def list_runs(world: World, request: Request) -> Reply:
    return _listed(world, request, "runs", "flowId")


def get_run(world: World, request: Request, id_: str) -> Reply:
    return _wrapped(_found(world, request, "runs", id_), "runs", id_)


ROUTES = [
    Route("GET", f"{BASE}/connectionSpecs", list_connection_specs),
    Route("GET", f"{BASE}/connectionSpecs/{{id}}", get_connection_spec),
    Route("GET", f"{BASE}/flowSpecs", list_flow_specs),
    Route("GET", f"{BASE}/flowSpecs/{{id}}", get_flow_spec),
    Route("POST", f"{BASE}/connections", create_connection),
    Route("GET", f"{BASE}/connections/{{id}}/test", test_connection),
    Route("GET", f"{BASE}/connections/{{id}}/explore", explore),
    *_crud("connections", ""),
    Route("POST", f"{BASE}/sourceConnections", create_source_connection),
    *_crud("sourceConnections", "baseConnectionId"),
    Route("POST", f"{BASE}/targetConnections", create_target_connection),
    *_crud("targetConnections", "params.dataSetId"),
    Route("POST", f"{BASE}/flows", create_flow),
    *_crud("flows", ""),
    Route("GET", f"{BASE}/runs", list_runs),
    Route("GET", f"{BASE}/runs/{{id}}", get_run),
]
