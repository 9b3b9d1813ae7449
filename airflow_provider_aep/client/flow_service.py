"""Flow Service: connections, flows and runs. Source: Adobe's flow-service OpenAPI file and source tutorials."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from airflow_provider_aep.client.call import Answer, Call, Page, Safety, by_link
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
DATA_LAKE = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
"""Connection spec id of the data lake, the only target of source flows."""

M = TypeVar("M", bound=BaseModel)

PAGE_SIZE = 100


def _one(model: type[M], operation: str) -> Callable[[Answer], M]:
    """A GET by id answers ``{"items": [object]}``."""

    def read(answer: Answer) -> M:
        items = answer.body["items"]
        if not items:
            raise AepNotFoundError("No such object", where=Where(operation, status=answer.status))
        return model.model_validate(items[0])

    return read


def _page(model: type[M]) -> Callable[[Answer], Page[M]]:
    def read(answer: Answer) -> Page[M]:
        items = [model.model_validate(item) for item in answer.body["items"]]
        href = ((answer.body.get("_links") or {}).get("next") or {}).get("href")
        return Page(items, by_link(href, BASE) if href else None)

    return read


def _ref(answer: Answer) -> Ref:
    """Creates answer ``{"id", "etag"}``; one page documents ``{"items": [{"id", "etag"}]}`` for runs."""
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
    """
    :param where: equality filters ``field -> value``, or values with commas between them; AEP reads them as
        ``property=field==value``
    :param since: only what was created at this moment, in milliseconds since the epoch, or later
    """
    query = [("property", f"{field}=={value}") for field, value in where.items()]
    if since is not None:
        query.append(("property", f"createdAt>={since}"))
    query.append(("limit", str(limit)))
    if orderby:
        query.append(("orderby", orderby))
    return Call(f"GET {resource}", "GET", f"{BASE}/{resource}", _page(model), Safety.READ, tuple(query))


def _create(resource: str, body: Mapping[str, Any], draft: bool = False) -> Call[Ref]:
    """:param draft: as a draft, which does nothing until it is published"""
    query = (("mode", "draft"),) if draft else ()
    return Call(f"POST {resource}", "POST", f"{BASE}/{resource}", _ref, Safety.CREATE, query, dict(body))


def _delete(resource: str, id_: str) -> Call[None]:
    path = f"{BASE}/{resource}/{quote(id_, safe='')}"
    return Call(f"DELETE {resource}", "DELETE", path, lambda _: None, Safety.IDEMPOTENT)


def _act(resource: str, id_: str, op: str, safety: Safety = Safety.IDEMPOTENT) -> Call[Ref]:
    path = f"{BASE}/{resource}/{quote(id_, safe='')}/action"
    return Call(f"POST {resource}/action {op}", "POST", path, _ref, safety, (("op", op),))


def _patch(resource: str, id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    """:param etag: of a read just before; AEP answers 1404-412 when it is stale"""
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
    return _get("connectionSpecs", id_, ConnectionSpec)


def list_connection_specs(where: Mapping[str, str]) -> Call[Page[ConnectionSpec]]:
    return _list("connectionSpecs", ConnectionSpec, where)


def get_flow_spec(id_: str) -> Call[FlowSpec]:
    return _get("flowSpecs", id_, FlowSpec)


def list_flow_specs(name: str) -> Call[Page[FlowSpec]]:
    return _list("flowSpecs", FlowSpec, {"name": f'"{name}"'})


# -- base connections -----------------------------------------------------------------------------------------------


def get_connection(id_: str) -> Call[Connection]:
    return _get("connections", id_, Connection)


def list_connections(where: Mapping[str, str]) -> Call[Page[Connection]]:
    return _list("connections", Connection, where)


def create_connection(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    return _create("connections", body, draft)


def patch_connection(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    return _patch("connections", id_, etag, ops)


def publish_connection(id_: str) -> Call[Ref]:
    """Make a draft one that can be used; before the source and target connections on it."""
    return _act("connections", id_, "publish")


def delete_connection(id_: str) -> Call[None]:
    """Refused while a flow uses it."""
    return _delete("connections", id_)


def test_connection(id_: str) -> Call[bool]:
    """Whether AEP can log in to the source. Answers ``{"result": true}`` or an error."""

    def read(answer: Answer) -> bool:
        result = answer.body["result"]
        return result is True or str(result).lower() == "true"

    path = f"{BASE}/connections/{quote(id_, safe='')}/test"
    return Call("GET connections/test", "GET", path, read, Safety.READ)


test_connection.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test


def explore_root(id_: str) -> Call[list[Table]]:
    """The tables of a source; answered as a bare array, on one page as ``{"items": [...]}``."""

    def read(answer: Answer) -> list[Table]:
        items = answer.body["items"] if isinstance(answer.body, dict) else answer.body
        return [Table.model_validate(item) for item in items]

    return _explore(id_, read, (("objectType", "root"),))


def explore_table(id_: str, table: str) -> Call[list[Column]]:
    """The columns of one table."""

    def read(answer: Answer) -> list[Column]:
        return [Column.model_validate(c) for c in answer.body["schema"]["columns"]]

    return _explore(id_, read, (("objectType", "table"), ("object", table)))


def explore_records(id_: str, source_params: Mapping[str, Any] | None = None) -> Call[list[Column]]:
    """The fields of a REST source's records, each by its dot path.

    :param source_params: what the connector wants to be told, such as ``{"object_type": "accounts"}``
    """

    def read(answer: Answer) -> list[Column]:
        return list(_fields(answer.body["schema"]["properties"]))

    params = base64.b64encode(json.dumps(dict(source_params or {}), separators=(",", ":")).encode()).decode()
    query = (("objectType", "rest"), ("object", "json"), ("fileType", "json"), ("preview", "true"))
    return _explore(id_, read, (*query, ("sourceParams", params)))


def _fields(properties: Mapping[str, Any], prefix: str = "") -> Iterator[Column]:
    for name, field in properties.items():
        if isinstance(field.get("properties"), Mapping):
            yield from _fields(field["properties"], f"{prefix}{name}.")
        else:
            kind = str(field.get("type", "string"))
            yield Column(name=f"{prefix}{name}", type=kind, xdm={k: field[k] for k in ("type", "format") if k in field})


def _explore(id_: str, read: Callable[[Answer], Any], query: tuple[tuple[str, str], ...]) -> Call[Any]:
    path = f"{BASE}/connections/{quote(id_, safe='')}/explore"
    return Call("GET connections/explore", "GET", path, read, Safety.READ, query)


# -- source and target connections ----------------------------------------------------------------------------------


def get_source_connection(id_: str) -> Call[SourceConnection]:
    return _get("sourceConnections", id_, SourceConnection)


def list_source_connections(where: Mapping[str, str]) -> Call[Page[SourceConnection]]:
    return _list("sourceConnections", SourceConnection, where)


def create_source_connection(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    return _create("sourceConnections", body, draft)


def patch_source_connection(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    return _patch("sourceConnections", id_, etag, ops)


def publish_source_connection(id_: str) -> Call[Ref]:
    """Make a draft one that can be used; after the base connection, where that is a draft, too."""
    return _act("sourceConnections", id_, "publish")


def delete_source_connection(id_: str) -> Call[None]:
    """Refused while a flow uses it."""
    return _delete("sourceConnections", id_)


def get_target_connection(id_: str) -> Call[TargetConnection]:
    return _get("targetConnections", id_, TargetConnection)


def list_target_connections(where: Mapping[str, str]) -> Call[Page[TargetConnection]]:
    return _list("targetConnections", TargetConnection, where)


def create_target_connection(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    return _create("targetConnections", body, draft)


def patch_target_connection(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    return _patch("targetConnections", id_, etag, ops)


def publish_target_connection(id_: str) -> Call[Ref]:
    """Make a draft one that can be used; after the base connection, where that is a draft, too."""
    return _act("targetConnections", id_, "publish")


def delete_target_connection(id_: str) -> Call[None]:
    """Refused while a flow uses it."""
    return _delete("targetConnections", id_)


# -- flows and runs -------------------------------------------------------------------------------------------------


def get_flow(id_: str) -> Call[Flow]:
    return _get("flows", id_, Flow)


def list_flows(where: Mapping[str, str]) -> Call[Page[Flow]]:
    return _list("flows", Flow, where)


def list_flows_by_id(ids: Sequence[str]) -> Call[Page[Flow]]:
    """Several flows at once, at most a page; those that do not exist are left out."""
    return _list("flows", Flow, {"id": ",".join(ids)})


def create_flow(body: Mapping[str, Any], *, draft: bool = False) -> Call[Ref]:
    return _create("flows", body, draft)


def patch_flow(id_: str, etag: str, ops: Sequence[Mapping[str, Any]]) -> Call[Ref]:
    return _patch("flows", id_, etag, ops)


def enable_flow(id_: str) -> Call[Ref]:
    """AEP refuses it (1422-400) in another state than ``disabled``."""
    return _act("flows", id_, "enable")


def disable_flow(id_: str) -> Call[Ref]:
    """AEP refuses it (1422-400) in another state than ``enabled``."""
    return _act("flows", id_, "disable")


def publish_flow(id_: str) -> Call[Ref]:
    """Make a draft run as scheduled; after its connections, where those are drafts, too."""
    return _act("flows", id_, "publish")


def delete_flow(id_: str) -> Call[None]:
    """The ingested data stays, and so do connections, mapping set and dataset."""
    return _delete("flows", id_)


def get_run(id_: str) -> Call[Run]:
    return _get("runs", id_, Run)


def list_runs(flow_id: str, orderby: str = "createdAt") -> Call[Page[Run]]:
    """The runs of one flow, oldest first unless ``orderby`` says otherwise."""
    return _list("runs", Run, {"flowId": flow_id}, orderby)


def list_runs_by_id(ids: Sequence[str]) -> Call[Page[Run]]:
    """Several runs at once, at most a page; those that do not exist are left out."""
    return _list("runs", Run, {"id": ",".join(ids)})


def list_runs_of(flow_ids: Sequence[str], since: int) -> Call[Page[Run]]:
    """The runs of several flows that were created at a moment (milliseconds since the epoch) or later, eldest first."""
    return _list("runs", Run, {"flowId": ",".join(flow_ids)}, "createdAt", since=since)


def create_run(flow_id: str, params: Mapping[str, Any]) -> Call[Ref]:
    """Run a flow on demand; its frequency must be ``once``. Each such call starts another run.

    :param params: ``windowStartTime`` and ``windowEndTime``, in seconds since the epoch, and ``deltaColumn``
    """
    return _create("runs", {"flowId": flow_id, "params": dict(params)})


def retrigger_run(id_: str) -> Call[Ref]:
    """Run a failed run's window again."""
    return _act("runs", id_, "RE_TRIGGER", Safety.CREATE)
