"""Flow Service: flow specs, flows and their runs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from aep_emulator.core.errors import flow, problem, source
from aep_emulator.core.http import Evidence, Reply, Request, Route
from aep_emulator.core.world import World
from aep_emulator.data.specs import SECONDS, flow_specs
from aep_emulator.data.xdm import Registry
from aep_emulator.engine.runs import open_run
from aep_emulator.services.flow_service.connections import ACTION
from aep_emulator.services.flow_service.explore import tables_of
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
    listed,
    named,
    not_for_users,
    operation,
    patched,
    search_route,
    shown,
    wrapped,
)


def list_flow_specs(world: World, request: Request) -> Reply:
    """Return a page of flow specs."""
    return listing(request, list(flow_specs().values()), "flowSpecs")


def get_flow_spec(world: World, request: Request, id_: str) -> Reply:
    """Return a flow spec."""
    return wrapped(flow_specs().get(id_), "flowSpecs", id_)


# -- flows ----------------------------------------------------------------------------------------------------------


def create_flow(world: World, request: Request) -> Reply:
    """Create a flow."""
    body = request.object(EMPTY, "flows")
    named(body)
    if "state" in body:
        raise flow("1410-400", "state is not allowed in the body")
    origin, target = _checked(world, request, body, {})
    check_parents(world, request, origin, target)
    if int(body["scheduleParams"]["startTime"]) * 1000 < world.now_ms():
        raise source(1360, "The start time cannot be in the past")
    body["_emulator"] = {"nextRunAt": int(body["scheduleParams"]["startTime"])}
    body["providerRefId"] = world.new_id()
    body["inheritedAttributes"] = {
        "properties": {"isSourceFlow": True},
        "sourceConnections": [_inherited(origin)],
        "targetConnections": [_inherited(target)],
    }
    return add(world, request, "flows", body, uses=_needs(body))


def _needs(body: Body) -> list[str]:
    """Return the ids of the objects that a flow refers to."""
    mapping = _steps(body["transformations"])["Mapping"]
    return [*body["sourceConnectionIds"], *body["targetConnectionIds"], _mapping_id(mapping)]


def _mapping_id(params: Body) -> str:
    """Return a mapping set's id without dashes; some of Adobe's samples contain dashes."""
    return str(params.get("mappingId")).replace("-", "")


def patch_flow(world: World, request: Request, id_: str) -> Reply:
    """Update a flow."""
    before = found(world, request, "flows", id_)

    def check(body: Body) -> None:
        _check_schedule(body.get("scheduleParams"))
        _check_change(world, body, before)
        _checked(world, request, body, before)
        body["_emulator"]["nextRunAt"] = _next_run(world, body, before)

    return patched(world, request, "flows", id_, check, _needs)


def _next_run(world: World, body: Body, before: Body) -> int | None:
    """Return when a changed flow runs next.

    It is the new start, or the time before the change, or the next time of a new schedule.
    """
    schedule = body["scheduleParams"]
    start, planned = int(schedule["startTime"]), before["_emulator"]["nextRunAt"]
    if planned is None and schedule["frequency"] == "once":
        return None  # the one run has begun
    if start != int(before["scheduleParams"]["startTime"]):
        return start
    if planned is not None:
        return planned
    length = SECONDS[schedule["frequency"]] * int(schedule["interval"])
    return start + (int(world.clock.now() - start) // length + 1) * length


def _check_change(world: World, body: Body, before: Body) -> None:
    """Refuse changes of a schedule that AEP does not allow after the start."""
    old, new = before["scheduleParams"], body["scheduleParams"]
    passed = int(old["startTime"]) * 1000 < world.now_ms()
    if passed and new["frequency"] == "once" != old["frequency"]:
        raise source(1366, "The start time has passed, so frequency cannot become once")
    if passed and new["frequency"] != "once" != old["frequency"] and _backfills(new) != _backfills(old):
        raise source(1404, "The start time has passed, so backfill cannot be updated")
    if int(new["startTime"]) != int(old["startTime"]) and int(new["startTime"]) * 1000 < world.now_ms():
        raise source(1360, "The start time cannot be in the past")


def _backfills(schedule: Body) -> bool:
    return str(schedule.get("backfill", True)).lower() == "true"


def act_on_flow(world: World, request: Request, id_: str) -> Reply:
    """Enable, disable or publish a flow."""
    body = found(world, request, "flows", id_)
    op = operation(request, "enable", "disable", "publish")
    check_no_transition(body, op)
    needed = {"enable": "disabled", "disable": "enabled", "publish": "draft"}[op]
    if body["state"] != needed:
        raise flow("1422-400", f"{op} is not applicable in the state {body['state']}")
    if op == "publish":
        ids = [
            ("sourceConnections", body["sourceConnectionIds"][0]),
            ("targetConnections", body["targetConnectionIds"][0]),
        ]
        for resource, connection in ids:
            if found(world, request, resource, connection)["state"] == "draft":
                raise flow("1422-400", f"One of its {resource} is a draft: publish it first")
    if op == "disable":
        return changed(world, request, "flows", body, "disabled", "disabling")
    return changed(world, request, "flows", body, "enabled", "enabled-finalizing")


def _after_deletion(world: World, request: Request, body: Body) -> None:
    """Delete the flow's connections, too, if the switch ``flow-delete`` says so."""
    if world.choices["flow-delete"] == "cascades":
        for resource, link in (
            ("sourceConnections", "sourceConnectionIds"),
            ("targetConnections", "targetConnectionIds"),
        ):
            for id_ in body[link]:
                if not [u for u in world.store.users("flows", request.scope, id_) if u["id"] != body["id"]]:
                    world.store.delete(resource, request.scope, id_)


def _checked(world: World, request: Request, body: Body, before: Body) -> tuple[Body, Body]:
    """Check a flow that is written; return its source and target connection.

    :param before: the flow before the change; empty when it is created
    """
    spec = flow_specs().get(str((body.get("flowSpec") or {}).get("id")))
    if spec is None:
        raise flow("1413-400", "The flow spec id is invalid")
    origin = _only(world, request, "sourceConnections", body.get("sourceConnectionIds"))
    target = _only(world, request, "targetConnections", body.get("targetConnectionIds"))
    if origin["connectionSpec"]["id"] not in spec["sourceConnectionSpecIds"]:
        raise flow("1413-400", f"The flow spec {spec['name']} does not take this source")
    once = _check_schedule(body.get("scheduleParams"))
    percent = (body.get("options") or {}).get("partialIngestionPercent")
    if percent is not None and not 0 < percent <= 100:
        raise problem(400, "Bad Request", "options.partialIngestionPercent is above 0, and at most 100")
    steps = _steps(body.get("transformations"))
    ran_once = (before.get("scheduleParams") or {}).get("frequency") == "once"
    _check_delta(
        world, spec, origin, steps, once, kept=_steps(before["transformations"]).get("Copy") if ran_once else None
    )
    _check_mapping(world, request, steps, target)
    return origin, target


def _inherited(connection: Body) -> Body:
    brief = {"id": connection["id"], "connectionSpec": connection["connectionSpec"]}
    return {**brief, **connection.get("inheritedAttributes", {})}


def _only(world: World, request: Request, resource: str, ids: Any) -> Body:
    if not isinstance(ids, list) or not ids:
        raise source(1320, f"The id array of {resource} is null or empty")
    if len(ids) != 1:
        raise source(1321, f"The id array of {resource} must hold exactly one id")
    one = found(world, request, resource, ids[0])
    if one.get("baseConnectionId"):
        found(world, request, "connections", one["baseConnectionId"])
    return one


def _check_schedule(schedule: Any) -> bool:
    """Check a schedule by Adobe's rules that hold for every write; return whether the flow runs once."""
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
    """Return an integer of at most 11 digits, as seconds have; Adobe's samples also send strings."""
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if re.fullmatch(r"-?[0-9]{1,11}", text) else None


def _steps(transformations: Any) -> dict[Any, Body]:
    """Return the transformations by name."""
    if not isinstance(transformations, list) or not all(isinstance(t, dict) for t in transformations):
        raise source(1370, "The mapping transformation is missing")
    names = [t.get("name") for t in transformations]
    if not all(isinstance(n, str) and n for n in names) or len(set(names)) != len(names):
        raise source(1392, "Each transformation needs a unique name")
    return {t["name"]: t.get("params") or {} for t in transformations}


def _check_delta(world: World, spec: Body, origin: Body, steps: dict[Any, Body], once: bool, kept: Body | None) -> None:
    """Check the delta column of a flow.

    :param kept: the existing ``Copy``; the first on-demand run of a one-time flow creates it
    """
    takes_delta = any(t["name"] == "Copy" for t in spec["transformationSpecs"])
    delta = steps.get("Copy", {}).get("deltaColumn")
    if delta and not takes_delta:
        raise source(1392, f"The flow spec {spec['name']} has no Copy transformation")
    if once and "Copy" in steps and steps["Copy"] != kept:
        raise source(1369, "A delta column is not allowed when the frequency is once")
    if takes_delta and not once:
        if not isinstance(delta, dict) or not delta.get("name"):
            raise source(1367, "A delta column is required in the Copy transformation")
        if not is_moment(world, origin, delta["name"]):
            raise source(1367, f"The delta column {delta['name']!r} is not a date-time column of the table")


def is_moment(world: World, origin: Body, column: str) -> bool:
    """Return whether a column of a source connection's table is a date-time; true if the table is unknown."""
    if origin["data"].get("format") != "tabular":
        return True
    table = tables_of(world, origin).get((origin.get("params") or {}).get("tableName") or "")
    return table is None or table.columns.get(column) == "date-time"


def _check_mapping(world: World, request: Request, steps: dict[Any, Body], target: Body) -> None:
    if "Mapping" not in steps:
        raise source(1370, "The mapping transformation is missing")
    if not steps["Mapping"].get("mappingId"):
        raise source(1328, "The mapping transformation has no mappingId")
    mapping = world.store.get("mappingSets", request.scope, _mapping_id(steps["Mapping"]))
    if mapping is None:
        raise flow("1419-400", "The mapping id failed validation")
    version = _integer(steps["Mapping"].get("mappingVersion"))
    versions = mapping["_emulator"]["versions"]
    if version is None or not 0 <= version < len(versions):
        raise flow("1412-400", "The mapping version is invalid")
    dataset = world.store.get("dataSets", request.scope, str((target.get("params") or {}).get("dataSetId")))
    if dataset is None or versions[version]["schema"] != dataset["schemaRef"]["id"]:
        raise flow("1425-400", "Schema of mapping and of target dataset must be the same")
    if Registry(world, request.scope).schema(dataset["schemaRef"]["id"]) is None:
        raise flow("1425-400", "The schema of the target dataset is gone")


# -- runs -----------------------------------------------------------------------------------------------------------


def list_runs(world: World, request: Request) -> Reply:
    """Return a page of runs."""
    return listed(world, request, "runs", "flowId")


def runs_of_flow(world: World, request: Request, id_: str) -> Reply:
    """Return the runs of a flow: the target of the flow's link ``runs``."""
    found(world, request, "flows", id_)
    query = {**request.query, "property": [*request.query.get("property", []), f"flowId=={id_}"]}
    return listed(world, replace(request, query=query), "runs", "flowId")


def get_run(world: World, request: Request, id_: str) -> Reply:
    """Return a run."""
    return wrapped(shown(world, found(world, request, "runs", id_)), "runs", id_)


def create_run(world: World, request: Request) -> Reply:
    """Start a run on demand of a flow that is scheduled once.

    Source: "Create a flow run on demand" in Adobe's guide.
    """
    body = request.object(EMPTY, "runs")
    if not body.get("flowId"):
        raise flow("1446-400", "flowId is null or empty")
    one = world.store.get("flows", request.scope, str(body.get("flowId")))
    if one is None:
        raise flow("1430-400", f"There is no flow with id {body.get('flowId')}")
    if one["scheduleParams"]["frequency"] != "once":
        raise source(1386, "On-demand runs need a flow whose frequency is once")
    if one["state"] != "enabled":
        raise source(1388, "The flow is not enabled")
    params = body.get("params")
    if not isinstance(params, dict) or not params:
        raise source(1384, "params is invalid or empty")
    start, end = _integer(params.get("windowStartTime")), _integer(params.get("windowEndTime"))
    if start is None or end is None:
        raise source(1384, "params.windowStartTime and params.windowEndTime must be seconds since the epoch")
    if end < start:
        raise source(1381, "The window ends before it starts")
    delta = _run_delta(world, request, one, params)
    kept = params if world.choices["run-params"] == "echoed" else {}
    id_ = world.new_id()
    begins = _integer(params.get("startTime")) or 0
    open_run(world, request.scope, one, (start, end), delta=delta, id_=id_, params=kept, after=begins)
    run = found(world, request, "runs", id_)
    return Reply({"items": [{"id": id_, "etag": run["etag"]}]}, 201, {"Location": f"{BASE}/runs/{id_}"})


def _run_delta(world: World, request: Request, one: Body, params: Body) -> str | None:
    """Return the delta column of an on-demand run; the first run sets it, and the flow's ``Copy`` stores it."""
    if not any(t["name"] == "Copy" for t in flow_specs()[one["flowSpec"]["id"]]["transformationSpecs"]):
        return None
    name = (params.get("deltaColumn") or {}).get("name")
    stored = (_steps(one["transformations"]).get("Copy", {}).get("deltaColumn") or {}).get("name")
    if not name and not stored:
        raise source(1383, "The delta column is missing in params")
    if name and stored and name != stored:
        raise source(1382, f"The delta column differs from the flow's, {stored!r}")
    if not is_moment(
        world, found(world, request, "sourceConnections", one["sourceConnectionIds"][0]), str(name or stored)
    ):
        raise source(1383, f"The delta column {name!r} is not a date-time column of the table")
    if not stored:
        copy = {"name": "Copy", "params": {"deltaColumn": {"name": name}}}
        one["transformations"] = [copy, *one["transformations"]]
        changed(world, request, "flows", one, one["state"])
    return str(name or stored)


def act_on_run(world: World, request: Request, id_: str) -> Reply:
    """Retry a failed run."""
    run = found(world, request, "runs", id_)
    operation(request, "re_trigger")
    one = found(world, request, "flows", run["flowId"])
    if one["state"] != "enabled":
        raise source(1388, "The flow is not enabled")
    status = run["metrics"]["statusSummary"]["status"]
    if status != "failed":
        raise source(1387, f"A run with the status {status} cannot be triggered again")
    window = run["metrics"]["durationSummary"]["extensions"]
    seconds = (window["windowStart"] // 1000, window["windowEnd"] // 1000)
    again = world.new_id() if world.choices["re-trigger"] == "new-run" else id_
    open_run(world, request.scope, one, seconds, delta=run["_emulator"]["delta"], id_=again, params=run["params"])
    return Reply({"id": again, "etag": found(world, request, "runs", again)["etag"]})


_SAMPLE, _SPEC = Evidence.SAMPLE, Evidence.OPENAPI
ROUTES = [
    Route("GET", f"{BASE}/flowSpecs", list_flow_specs, _SAMPLE, f"{GUIDE}/collect/customer-success.md", PARAMETERS),
    Route("GET", f"{BASE}/flowSpecs/{{id}}", get_flow_spec, _SPEC, "flow-service.yaml"),
    Route("POST", f"{BASE}/flowSpecs", not_for_users("1426-400"), _SPEC, "flow-service.yaml", status=400),
    Route("PUT", f"{BASE}/flowSpecs/{{id}}", not_for_users("1426-400"), _SPEC, "flow-service.yaml", status=400),
    search_route("flowSpecs"),
    Route("POST", f"{BASE}/flows", create_flow, _SAMPLE, f"{GUIDE}/collect/customer-success.md", MODE, "flows", 201),
    search_route("flows"),
    *crud("flows", "", patch=patch_flow, page=f"{GUIDE}/update-dataflows.md", after=_after_deletion),
    Route("POST", f"{BASE}/flows/{{id}}/action", act_on_flow, _SAMPLE, f"{GUIDE}/update-dataflows.md", ACTION),
    Route("GET", f"{BASE}/flows/{{id}}/runs", runs_of_flow, _SAMPLE, f"{GUIDE}/monitor.md", PARAMETERS),
    Route("GET", f"{BASE}/runs", list_runs, _SAMPLE, f"{GUIDE}/monitor.md", PARAMETERS),
    Route("POST", f"{BASE}/runs", create_run, _SAMPLE, f"{GUIDE}/on-demand-ingestion.md", body="runs", status=201),
    Route("GET", f"{BASE}/runs/{{id}}", get_run, _SAMPLE, f"{GUIDE}/monitor.md"),
    Route("PUT", f"{BASE}/runs/{{id}}", not_for_users("1427-400"), _SPEC, "flow-service.yaml", status=400),
    Route("POST", f"{BASE}/runs/{{id}}/action", act_on_run, _SPEC, "flow-service.yaml", ACTION),
]
