"""Endpoints of Flow Service: specs, connections, flows and runs.

Source: Adobe's OpenAPI file ``flow-service`` and the source tutorials.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from airflow_provider_aep.client.call import Call, Page, Response, Safety, by_link
from airflow_provider_aep.client.errors import AepNotFoundError, Where
from airflow_provider_aep.client.models import (
    Column,
    Connection,
    ConnectionSpec,
    Flow,
    FlowSpec,
    Ref,
    Run,
    SourceConnection,
    Table,
    TargetConnection,
)

BASE = "/data/foundation/flowservice"
"""Path of the service below the platform URL."""

DATA_LAKE = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
"""Connection spec id of the data lake, the only target of source flows."""

M = TypeVar("M", bound=BaseModel)

PAGE_SIZE = 100
"""Entries in one page of a list, and ids in one filter."""


def _one(model: type[M], operation: str) -> Callable[[Response], M]:
    """Return the parser of a GET by id, whose response is ``{"items": [object]}``."""

    def read(answer: Response) -> M:
        items = answer.body["items"]
        if not items:
            raise AepNotFoundError(
                f"The response of {operation} contains no object",
                where=Where(operation, status=answer.status),
                next_step="Check the id and the sandbox.",
            )
        return model.model_validate(items[0])

    return read


def _page(model: type[M]) -> Callable[[Response], Page[M]]:
    def read(answer: Response) -> Page[M]:
        items = [model.model_validate(item) for item in answer.body["items"]]
        href = ((answer.body.get("_links") or {}).get("next") or {}).get("href")
        return Page(items, by_link(href, BASE) if href else None)

    return read


def _ref(answer: Response) -> Ref:
    """Return the reference in ``{"id", "etag"}``. One page shows ``{"items": [{"id", "etag"}]}`` for runs."""
    body = answer.body["items"][0] if "items" in answer.body else answer.body
    return Ref.model_validate(body)


def _get(resource: str, id_: str, model: type[M]) -> Call[M]:
    operation = f"GET {resource}"
    return Call(operation, "GET", f"{BASE}/{resource}/{quote(id_, safe='')}", _one(model, operation), Safety.READ)


def _list(
    resource: str,
    model: type[M],
    where: Mapping[str, str],
    orderby: str = "",
    limit: int = PAGE_SIZE,
    since: int | None = None,
) -> Call[Page[M]]:
    """Return the call that lists objects.

    :param where: equality filters, value by field; a value may hold several alternatives, separated by commas
    :param orderby: field to sort by, with ``-`` for descending order; empty for AEP's order
    :param limit: entries in a page
    :param since: earliest creation time in milliseconds since the epoch; ``None`` for all objects
    """
    query = [("property", f"{field}=={value}") for field, value in where.items()]
    if since is not None:
        query.append(("property", f"createdAt>={since}"))
    query.append(("limit", str(limit)))
    if orderby:
        query.append(("orderby", orderby))
    return Call(f"GET {resource}", "GET", f"{BASE}/{resource}", _page(model), Safety.READ, tuple(query))


def _create(resource: str, body: Mapping[str, Any], draft: bool = False) -> Call[Ref]:
    """Return the call that creates an object.

    :param draft: whether to create a draft, which is inactive until it is published
    """
    query = (("mode", "draft"),) if draft else ()
    return Call(f"POST {resource}", "POST", f"{BASE}/{resource}", _ref, Safety.CREATE, query, dict(body))


def _delete(resource: str, id_: str) -> Call[None]:
    path = f"{BASE}/{resource}/{quote(id_, safe='')}"
    return Call(f"DELETE {resource}", "DELETE", path, lambda _: None, Safety.IDEMPOTENT)


def _action(resource: str, id_: str, op: str, safety: Safety = Safety.IDEMPOTENT) -> Call[Ref]:
    path = f"{BASE}/{resource}/{quote(id_, safe='')}/action"
    return Call(f"POST {resource}/action {op}", "POST", path, _ref, safety, (("op", op),))


def _patch(resource: str, id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    """Return the call that patches an object.

    :param etag: etag of the object, from its last read; AEP responds with 1404-412 if it is stale
    """
    return Call(
        f"PATCH {resource}",
        "PATCH",
        f"{BASE}/{resource}/{quote(id_, safe='')}",
        _ref,
        Safety.IDEMPOTENT,
        body=list(ops),
        headers=(("If-Match", etag),),
    )


# -- specs ----------------------------------------------------------------------------------------------------------


def get_connection_spec(id_: str) -> Call[ConnectionSpec]:
    """Return the call that reads a connection spec."""
    return _get("connectionSpecs", id_, ConnectionSpec)


def list_connection_specs(where: Mapping[str, str]) -> Call[Page[ConnectionSpec]]:
    """Return the call that lists connection specs.

    :param where: equality filters, value by field
    """
    return _list("connectionSpecs", ConnectionSpec, where)


def get_flow_spec(id_: str) -> Call[FlowSpec]:
    """Return the call that reads a flow spec."""
    return _get("flowSpecs", id_, FlowSpec)


def list_flow_specs(name: str) -> Call[Page[FlowSpec]]:
    """Return the call that lists the flow specs of a name."""
    return _list("flowSpecs", FlowSpec, {"name": f'"{name}"'})


# -- base connections -----------------------------------------------------------------------------------------------


def get_connection(id_: str) -> Call[Connection]:
    """Return the call that reads a base connection."""
    return _get("connections", id_, Connection)


def list_connections(where: Mapping[str, str]) -> Call[Page[Connection]]:
    """Return the call that lists base connections.

    :param where: equality filters, value by field
    """
    return _list("connections", Connection, where)


def create_connection(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    """Return the call that creates a base connection."""
    return _create("connections", body, draft)


def patch_connection(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    """Return the call that patches a base connection.

    :param etag: etag of the object, from its last read
    :param ops: JSON Patch operations
    """
    return _patch("connections", id_, etag, ops)


def publish_connection(id_: str) -> Call[Ref]:
    """Return the call that publishes a draft. Its source and target connections are published afterwards."""
    return _action("connections", id_, "publish")


def delete_connection(id_: str) -> Call[None]:
    """Return the call that deletes a base connection. AEP rejects it while a flow uses the connection."""
    return _delete("connections", id_)


def test_connection(id_: str) -> Call[bool]:
    """Return the call that tests whether AEP can log in to the source. It returns ``{"result": true}`` or an error."""

    def read(answer: Response) -> bool:
        result = answer.body["result"]
        return result is True or str(result).lower() == "true"

    path = f"{BASE}/connections/{quote(id_, safe='')}/test"
    return Call("GET connections/test", "GET", path, read, Safety.READ)


test_connection.__test__ = False  # type: ignore[attr-defined]  # keeps pytest from collecting it


def explore_root(id_: str) -> Call[list[Table]]:
    """Return the call that lists the tables of a source, which AEP returns as an array or as ``{"items": [...]}``."""

    def read(answer: Response) -> list[Table]:
        items = answer.body["items"] if isinstance(answer.body, dict) else answer.body
        return [Table.model_validate(item) for item in items]

    return _explore(id_, read, (("objectType", "root"),))


def explore_table(id_: str, table: str) -> Call[list[Column]]:
    """Return the call that lists the columns of a table."""

    def read(answer: Response) -> list[Column]:
        return [Column.model_validate(c) for c in answer.body["schema"]["columns"]]

    return _explore(id_, read, (("objectType", "table"), ("object", table)))


def explore_records(id_: str, source_params: Mapping[str, Any] | None = None) -> Call[list[Column]]:
    """Return the call that lists the fields of a REST source's records, with their dot paths as names.

    :param source_params: parameters of the connector, such as ``{"object_type": "accounts"}``; default: none
    """

    def read(answer: Response) -> list[Column]:
        return list(_fields(answer.body["schema"]["properties"]))

    return _explore(id_, read, _records_query(source_params))


def explore_rows(id_: str, table: str) -> Call[list[dict[str, Any]]]:
    """Return the call that reads some rows of a table. They may hold personal data."""
    return _explore(id_, _rows, (("objectType", "table"), ("object", table), ("preview", "true")))


def explore_record_rows(id_: str, source_params: Mapping[str, Any] | None = None) -> Call[list[dict[str, Any]]]:
    """Return the call that reads some records of a REST source. They may hold personal data.

    :param source_params: as for :func:`explore_records`
    """
    return _explore(id_, _rows, _records_query(source_params))


def _rows(answer: Response) -> list[dict[str, Any]]:
    return list(answer.body.get("data") or ())


def _records_query(source_params: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    params = base64.b64encode(json.dumps(dict(source_params or {}), separators=(",", ":")).encode()).decode()
    query = (("objectType", "rest"), ("object", "json"), ("fileType", "json"), ("preview", "true"))
    return (*query, ("sourceParams", params))


def _fields(properties: Mapping[str, Any], prefix: str = "", path: str = "") -> Iterator[Column]:
    from aep_data_prep.syntax import escape_name  # the triggerer, which imports this module, needs no parser

    for key, field in properties.items():
        name, step = f"{prefix}{key}", f"{path}{escape_name(key)}"
        if isinstance(field.get("properties"), Mapping):
            yield from _fields(field["properties"], f"{name}.", f"{step}.")
        else:
            xdm = {k: field[k] for k in ("type", "format") if k in field}
            yield Column(name=name, path=step, type=str(field.get("type", "string")), xdm=xdm)


def _explore(id_: str, read: Callable[[Response], Any], query: tuple[tuple[str, str], ...]) -> Call[Any]:
    path = f"{BASE}/connections/{quote(id_, safe='')}/explore"
    return Call("GET connections/explore", "GET", path, read, Safety.READ, query)


# -- source and target connections ----------------------------------------------------------------------------------


def get_source_connection(id_: str) -> Call[SourceConnection]:
    """Return the call that reads a source connection."""
    return _get("sourceConnections", id_, SourceConnection)


def list_source_connections(where: Mapping[str, str]) -> Call[Page[SourceConnection]]:
    """Return the call that lists source connections.

    :param where: equality filters, value by field
    """
    return _list("sourceConnections", SourceConnection, where)


def create_source_connection(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    """Return the call that creates a source connection."""
    return _create("sourceConnections", body, draft)


def patch_source_connection(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    """Return the call that patches a source connection.

    :param etag: etag of the object, from its last read
    :param ops: JSON Patch operations
    """
    return _patch("sourceConnections", id_, etag, ops)


def publish_source_connection(id_: str) -> Call[Ref]:
    """Return the call that publishes a draft. A base connection that is a draft is published first."""
    return _action("sourceConnections", id_, "publish")


def delete_source_connection(id_: str) -> Call[None]:
    """Return the call that deletes a source connection. AEP rejects it while a flow uses the connection."""
    return _delete("sourceConnections", id_)


def get_target_connection(id_: str) -> Call[TargetConnection]:
    """Return the call that reads a target connection."""
    return _get("targetConnections", id_, TargetConnection)


def list_target_connections(where: Mapping[str, str]) -> Call[Page[TargetConnection]]:
    """Return the call that lists target connections.

    :param where: equality filters, value by field
    """
    return _list("targetConnections", TargetConnection, where)


def create_target_connection(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    """Return the call that creates a target connection."""
    return _create("targetConnections", body, draft)


def patch_target_connection(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    """Return the call that patches a target connection.

    :param etag: etag of the object, from its last read
    :param ops: JSON Patch operations
    """
    return _patch("targetConnections", id_, etag, ops)


def publish_target_connection(id_: str) -> Call[Ref]:
    """Return the call that publishes a draft. A base connection that is a draft is published first."""
    return _action("targetConnections", id_, "publish")


def delete_target_connection(id_: str) -> Call[None]:
    """Return the call that deletes a target connection. AEP rejects it while a flow uses the connection."""
    return _delete("targetConnections", id_)


# -- flows and runs -------------------------------------------------------------------------------------------------


def get_flow(id_: str) -> Call[Flow]:
    """Return the call that reads a flow."""
    return _get("flows", id_, Flow)


def list_flows(where: Mapping[str, str]) -> Call[Page[Flow]]:
    """Return the call that lists flows.

    :param where: equality filters, value by field
    """
    return _list("flows", Flow, where)


def list_flows_by_id(ids: Sequence[str]) -> Call[Page[Flow]]:
    """Return the call that lists flows by id. Flows that do not exist are omitted.

    :param ids: at most ``PAGE_SIZE`` ids
    """
    return _list("flows", Flow, {"id": ",".join(ids)})


def create_flow(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    """Return the call that creates a flow."""
    return _create("flows", body, draft)


def patch_flow(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    """Return the call that patches a flow.

    :param etag: etag of the object, from its last read
    :param ops: JSON Patch operations
    """
    return _patch("flows", id_, etag, ops)


def enable_flow(id_: str) -> Call[Ref]:
    """Return the call that enables a flow. AEP rejects it (1422-400) unless the flow is ``disabled``."""
    return _action("flows", id_, "enable")


def disable_flow(id_: str) -> Call[Ref]:
    """Return the call that disables a flow. AEP rejects it (1422-400) unless the flow is ``enabled``."""
    return _action("flows", id_, "disable")


def publish_flow(id_: str) -> Call[Ref]:
    """Return the call that publishes a draft, which then runs as scheduled. Its connections are published first."""
    return _action("flows", id_, "publish")


def delete_flow(id_: str) -> Call[None]:
    """Return the call that deletes a flow. Its data, connections, mapping set and dataset are kept."""
    return _delete("flows", id_)


def get_run(id_: str) -> Call[Run]:
    """Return the call that reads a flow run."""
    return _get("runs", id_, Run)


def list_runs(flow_id: str, orderby: str = "createdAt") -> Call[Page[Run]]:
    """Return the call that lists the runs of a flow.

    :param orderby: field to sort by, with ``-`` for descending order; default: oldest run first
    """
    return _list("runs", Run, {"flowId": flow_id}, orderby)


def list_runs_by_id(ids: Sequence[str]) -> Call[Page[Run]]:
    """Return the call that lists runs by id. Runs that do not exist are omitted.

    :param ids: at most ``PAGE_SIZE`` ids
    """
    return _list("runs", Run, {"id": ",".join(ids)})


def list_runs_of(flow_ids: Sequence[str], since: int) -> Call[Page[Run]]:
    """Return the call that lists the runs of several flows, oldest first.

    :param since: earliest creation time of a run in milliseconds since the epoch
    """
    return _list("runs", Run, {"flowId": ",".join(flow_ids)}, "createdAt", since=since)


def create_run(flow_id: str, params: Mapping[str, Any]) -> Call[Ref]:
    """Return the call that starts an on-demand run. AEP requires a flow with frequency ``once``.

    :param params: ``windowStartTime`` and ``windowEndTime``, in seconds since the epoch, and ``deltaColumn``
    """
    return _create("runs", {"flowId": flow_id, "params": dict(params)})


def retrigger_run(id_: str) -> Call[Ref]:
    """Return the call that ingests the window of a failed run again."""
    return _action("runs", id_, "RE_TRIGGER", Safety.CREATE)
