"""Flow Service: connection specs, and base, source and target connections."""

from __future__ import annotations

import jsonschema

from aep_emulator.core.errors import Refusal, flow, source
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.data.specs import DATA_LAKE, FORMATS, LANDING_ZONE, connection_specs, flow_spec_of
from aep_emulator.data.xdm import Registry
from aep_emulator.engine.source_data import column_delimiter, is_recursive
from aep_emulator.services.flow_service import explore
from aep_emulator.services.flow_service.lists import PARAMETERS, listing
from aep_emulator.services.flow_service.resources import (
    BASE,
    EMPTY,
    GUIDE,
    MODE,
    Body,
    add,
    changed,
    check_no_transition,
    check_parents,
    crud,
    found,
    known_spec,
    missing,
    named,
    not_for_users,
    operation,
    patched,
    search_route,
    wrapped,
)

ACTION = frozenset({"op", "subOp"})


# -- specs ----------------------------------------------------------------------------------------------------------


def list_connection_specs(world: World, request: Request) -> Reply:
    """Return a page of connection specs."""
    return listing(request, list(connection_specs().values()), "connectionSpecs")


def get_connection_spec(world: World, request: Request, id_: str) -> Reply:
    """Return a connection spec."""
    return wrapped(connection_specs().get(id_), "connectionSpecs", id_)


# -- base connections -----------------------------------------------------------------------------------------------


def create_connection(world: World, request: Request) -> Reply:
    """Create a base connection; the data lake's needs no ``auth``."""
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
        # The message of a type error contains the value, which may be a secret.
        what = error.message if error.validator == "required" else "has a wrong type"
        raise source(1304, f"auth.params {'.'.join(map(str, error.path))} {what}")
    known_params = known[auth["specName"]]["properties"]
    request.unknown("field", [f"auth.params.{p}"[:100] for p in auth["params"] if p not in known_params])


def test_connection(world: World, request: Request, id_: str) -> Reply:
    """Test the login of a base connection."""
    found(world, request, "connections", id_)
    return Reply({"result": True})


def configs(world: World, request: Request, id_: str) -> Reply:
    """Return the configurations of a base connection: none."""
    found(world, request, "connections", id_)
    return Reply({"items": []})


def configs_of_spec(world: World, request: Request, id_: str) -> Reply:
    """Return the configurations of a connection spec: none."""
    if id_ not in connection_specs():
        raise missing("connectionSpecs", id_)
    return Reply({"items": []})


# -- source and target connections ----------------------------------------------------------------------------------


def create_source_connection(world: World, request: Request) -> Reply:
    """Create a source connection."""
    body = request.object(EMPTY, "sourceConnections")
    named(body)
    base = _checked_source(world, request, body)
    stored = {**body, "providerRefId": world.new_id()}
    if base:
        check_parents(world, request, base)
        stored["inheritedAttributes"] = {"baseConnection": {"id": base["id"], "connectionSpec": base["connectionSpec"]}}
    return add(world, request, "sourceConnections", stored, parent=base["id"] if base else "")


def _checked_source(world: World, request: Request, body: Body) -> Body | None:
    """Check a source connection that is written; return its base connection, if it has one."""
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
        raise flow("1413-400", f"{spec['name']} is not a batch source")
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
    if isinstance(schema, dict) and Registry(world, request.scope).schema(schema.get("id") or "") is None:
        raise source(1391, "data.schema: there is no such schema")
    return base


def _check_table(world: World, body: Body, params: Body) -> None:
    if not isinstance(params.get("tableName"), str):
        raise source(1304, "The mandatory field params.tableName is missing")
    if explore.tables_of(world, body).get(params["tableName"]) is None:
        raise source(1330, f"No columns found for table {params['tableName'][:100]!r}")


def _check_path(world: World, body: Body, params: Body) -> None:
    if not isinstance(params.get("path"), str) or not params["path"]:
        raise source(1304, "The mandatory field params.path is missing")
    column_delimiter(body)  # refuses an invalid one
    found = explore.files_of(world, body).matching(params["path"], body["data"]["format"], is_recursive(params))
    if not found:
        raise source(1330, f"There is no {body['data']['format']} file at {params['path'][:100]!r}")


def create_target_connection(world: World, request: Request) -> Reply:
    """Create a target connection."""
    body = request.object(EMPTY, "targetConnections")
    named(body)
    base, dataset_id = _checked_target(world, request, body)
    if base:
        check_parents(world, request, base)
    uses = [base["id"]] if base else []
    return add(world, request, "targetConnections", body, parent=dataset_id, uses=uses)


def _checked_target(world: World, request: Request, body: Body) -> tuple[Body | None, str]:
    """Check a target connection that is written; return its base connection and dataset id."""
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
    if data.get("format") not in {
        None,
        "parquet_xdm",
        "json",
        "delimited",
        "parquet",
    }:  # as in Adobe's samples and in clients
        raise source(1396, f"The format {data['format']!r} of a target is not supported")
    schema = data.get("schema")
    if isinstance(schema, dict) and schema.get("id") != dataset["schemaRef"]["id"]:
        raise flow("1425-400", "The schema is not that of the dataset")
    return base, dataset_id


def patch_connection(world: World, request: Request, id_: str) -> Reply:
    """Update a base connection."""
    return patched(world, request, "connections", id_, lambda body: _check_auth(request, body))


def patch_source_connection(world: World, request: Request, id_: str) -> Reply:
    """Update a source connection."""
    return patched(world, request, "sourceConnections", id_, lambda body: _checked_source(world, request, body))


def patch_target_connection(world: World, request: Request, id_: str) -> Reply:
    """Update a target connection."""
    return patched(world, request, "targetConnections", id_, lambda body: _checked_target(world, request, body))


# -- actions and deletion -------------------------------------------------------------------------------------------


def _publish(resource: str) -> Route:
    def publish(world: World, request: Request, id_: str) -> Reply:
        body = found(world, request, resource, id_)
        operation(request, "publish")
        check_no_transition(body, "publish")
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
    """Return the refusal to delete a base connection that a flow uses through a source or target connection."""
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


_SAMPLE = Evidence.SAMPLE
ROUTES = [
    *explore.ROUTES,
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
    Route("GET", f"{BASE}/connections/{{id}}/configs", configs, Evidence.ASSUMED, "flow-service.yaml has no sample"),
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
