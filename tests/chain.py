"""One onboarding as the engine is given it: the bodies of all kinds, each standing on the ones before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.client import AepClient
from airflow_provider_aep.onboarding import kinds
from airflow_provider_aep.onboarding.compare import at
from airflow_provider_aep.onboarding.identity import Marker, identity
from airflow_provider_aep.onboarding.kind import Body, Kind

SERVICENOW = {"id": "eb13cb25-47ab-407f-ba89-c0125281c563", "version": "1.0"}
DATA_LAKE = {"id": "c604ff05-7f1a-43c0-8e18-33bf874cb11c", "version": "1.0"}
CRM = {"id": "14518937-270c-4525-bdec-c2ba7cce3860", "version": "1.0"}
CONTEXT = "https://ns.adobe.com/xdm/context/"
REFS = [f"{CONTEXT}profile-person-details"]
START = 4_000_000_000  # seconds, far in the future: no run begins

KINDS = {
    "base": kinds.BASE_CONNECTION,
    "source": kinds.SOURCE_CONNECTION,
    "schema": kinds.SCHEMA,
    "dataset": kinds.DATASET,
    "target": kinds.TARGET_CONNECTION,
    "mapping": kinds.MAPPING_SET,
    "flow": kinds.FLOW,
}
OPERATIONS = {
    "base": "POST */connections", "source": "POST */sourceConnections", "schema": "POST */tenant/schemas",
    "dataset": "POST */dataSets", "target": "POST */targetConnections", "mapping": "POST */mappingSets",
    "flow": "POST */flows",
}  # fmt: skip
LISTS = {name: operation.replace("POST", "GET") for name, operation in OPERATIONS.items()}


class Notes(dict[str, Any]):
    """What a task notes, as Airflow's store keeps it."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def wanted(name: str, onboarding: str, ids: dict[str, Any], start: int = START) -> Body:
    """The body of one kind.

    :param ids: results by kind of those it stands on
    """
    title = f"{onboarding} {name}"
    ref = {"id": ids.get("schema"), "contentType": schema_registry.FULL}
    match name:
        case "base":
            params = {"endpoint": "https://x", "username": "u", "password": "p"}
            auth = {"specName": "Basic Authentication", "params": params}
            return {"name": title, "description": "", "auth": auth, "connectionSpec": SERVICENOW}
        case "source":
            params = {"tableName": "customer_contact", "columns": [{"name": "email", "type": "string"}]}
            return {"name": title, "description": "", "baseConnectionId": ids["base"], "data": {"format": "tabular"},
                    "params": params, "connectionSpec": SERVICENOW}  # fmt: skip
        case "schema":
            return {"title": title, "description": "", "class": f"{CONTEXT}profile", "refs": REFS}
        case "dataset":
            return {"name": title, "description": "", "schemaRef": ref}
        case "target":
            return {"name": title, "description": "", "data": {"schema": {"id": ids["schema"], "version": "v"}},
                    "params": {"dataSetId": ids["dataset"]}, "connectionSpec": DATA_LAKE}  # fmt: skip
        case "mapping":
            entry = {"sourceType": "ATTRIBUTE", "source": "sys_id", "destination": "_id"}
            return {"name": title, "outputSchema": {"schemaRef": ref}, "mappings": [entry]}
    steps = {
        "Copy": {"deltaColumn": {"name": "sys_updated_on", "dateFormat": "f", "timezone": "UTC"}},
        "Mapping": {"mappingId": ids["mapping"]["id"], "mappingVersion": ids["mapping"]["version"]},
    }
    schedule = {"startTime": start, "frequency": "hour", "interval": 1, "backfill": True}
    return {"name": title, "description": "", "flowSpec": CRM, "sourceConnectionIds": [ids["source"]],
            "targetConnectionIds": [ids["target"]], "steps": steps, "runs": "repeatedly",
            "scheduleParams": schedule}  # fmt: skip


def onboard(onboarding: str, make: Callable[[Kind, Body], Any]) -> dict[str, Body]:
    """The bodies of all kinds; ``make`` brings each into being and gives its result."""
    ids: dict[str, Any] = {}
    bodies: dict[str, Body] = {}
    for name, kind in KINDS.items():
        bodies[name] = wanted(name, onboarding, ids)
        ids[name] = make(kind, bodies[name])
    return bodies


def by_hand(client: AepClient, kind: Kind, body: Body) -> Any:
    """What a person makes who knows nothing of us; its result."""
    return kind.created(client.send(kind.create(body)))[1]


def marked(client: AepClient, kind: Kind, body: Body, nonce: str) -> Body:
    """A body as the engine sends it."""
    assert kind.sign
    mine = identity(client.settings, kind.label, at(body, kind.scope), body[kind.title])
    return kind.sign(body, Marker(mine, nonce))


def listed(client: AepClient, name: str, body: Body) -> list[str]:
    """The ids of everything of a kind and a name."""
    kind = KINDS[name]
    found = map(kind.found, client.items(kind.find(body[kind.title])))
    return [f.id for f in found if f.name == body[kind.title]]
