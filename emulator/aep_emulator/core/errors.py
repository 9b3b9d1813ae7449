"""Error responses, with Adobe's codes and in Adobe's formats.

The tables below contain every code that the emulator uses. A refusal names its code and takes title and status from
here. Sources: "Platform troubleshooting" (gateway), "Flow Service API error messages", "Sources error messages" and the
XDM troubleshooting guide, all of Adobe's documentation.
"""

from __future__ import annotations

from typing import Any

COVERAGE = "/_emulator/coverage"
"""The path at which a client reads what the emulator has, and on what evidence."""

GATEWAY = {
    "400003": "the organization's header is missing",
    "401013": "the token is unknown, revoked or expired",
    "403000": "the API key is missing",
    "403003": "the API key is not that of the token",
    "403010": "the token is missing",
    "403025": "the credential is not entitled for the organization",
    "403027": "the organization id is malformed",
    "429050": "throttled (on command)",
}

_INVALID = "Invalid request"
FLOW: dict[str, tuple[str, str]] = {
    "1101-404": ("Resource not found", "no object with that id in this org and sandbox"),
    "1102-500": ("Internal Error", "on command"),
    "1103-503": ("Service Unavailable", "on command"),
    "1104-504": ("Gateway Timeout", "on command"),
    "1401-400": (_INVALID, "limit beside count=true"),
    "1402-400": (_INVALID, "finalize is for providers"),
    "1403-400": ("Header is missing", "PATCH without If-Match"),
    "1404-412": ("Version not matching", "If-Match is not the current etag"),
    "1405-400": (_INVALID, "null or empty body"),
    "1410-400": (_INVALID, "state in the body of a new flow"),
    "1411-400": (_INVALID, "the path names no entity"),
    "1412-400": (_INVALID, "a mapping version that is not there"),
    "1413-400": (_INVALID, "an unknown or unfitting spec id"),
    "1414-400": (_INVALID, "the connection spec of a connection is immutable"),
    "1415-400": (_INVALID, "an unknown auth spec"),
    "1416-400": (_INVALID, "a connection is updated and deleted only when enabled, disabled or initializing"),
    "1418-400": (_INVALID, "a base connection that a flow uses"),
    "1419-400": (_INVALID, "a mapping set that is not there"),
    "1420-400": (_INVALID, "the current state cannot be updated"),
    "1421-400": (_INVALID, "the current state cannot be transitioned"),
    "1422-400": (_INVALID, "the action is not applicable in the current state"),
    "1425-400": (_INVALID, "schemas of dataset, target connection and mapping set differ"),
    "1426-400": (_INVALID, "specs are written by providers"),
    "1427-400": (_INVALID, "runs are written by providers"),
    "1430-400": (_INVALID, "no flow with that id"),
    "1433-400": (_INVALID, "an unknown field in orderby"),
    "1434-400": (_INVALID, "a patch operation other than add, replace and remove"),
    "1435-400": (_INVALID, "an unknown action"),
    "1440-400": (_INVALID, "the operator ~"),
    "1443-400": (_INVALID, "a comparison with several values"),
    "1446-400": (_INVALID, "a run without a flow id"),
    "1447-400": (_INVALID, "a source or target connection that a flow contains"),
    "1448-400": (_INVALID, "a comparison of ids"),
    "1449-400": (_INVALID, "a filter's field is malformed"),
    "1450-400": (_INVALID, "a filter without an operator"),
    "1451-400": (_INVALID, "an invalid query parameter"),
    "1453-400": (_INVALID, "a filter without a value"),
    "1454-400": (_INVALID, "a comparison with something else than a number"),
    "1455-400": (_INVALID, "a patch of a field that is not there"),
    "1457-400": (_INVALID, "an update in delete-finalizing"),
    "1458-400": (_INVALID, "a deletion in delete-finalizing"),
    "2002-401": ("Header is empty", "an empty header x-gw-ims-org-id"),
    "2100-404": ("Sandbox not found", "no such sandbox, or none that is active"),
    "2105-400": ("Header is missing", "x-sandbox-name is missing in Flow Service"),
    "2106-404": ("Get default sandbox error", "the request names no sandbox, and prod does not exist"),
    "2110-400": ("Headers not allowed", "x-sandbox-id"),
    "2111-403": ("Headers with value restricted", "x-sandbox-name: *"),
    "2118-403": ("Missing permission", "the credential may not use the sandbox"),
    "2121-403": ("Forbidden", "the credential may not use sources"),
    "2200-500": ("External service request error", "on command"),
    "2250-500": ("External service request error", "on command"),
}

SOURCE = {
    1300: "this connector takes no PATCH of that part",
    1304: "a mandatory field is missing",
    1307: "the connection spec of a target connection is not the data lake's",
    1308: "the source refuses the login (on command)",
    1317: "no schedule",
    1320: "an array of ids is null or empty",
    1321: "an array of ids holds more than one",
    1324: "params.dataSetId is missing",
    1327: "a source format that the connector does not have",
    1328: "a mapping transformation without parameters",
    1330: "no columns for that table, file or folder",
    1332: "this spec takes no base connection",
    1335: "sourceParams or filters cannot be read",
    1336: "this connector cannot be explored",
    1337: "an empty query parameter",
    1340: "a time cannot be parsed",
    1358: "an objectType that the connector does not have",
    1360: "the start time is in the past",
    1361: "interval with one-time ingestion",
    1362: "an interval below the minimum",
    1364: "backfill with one-time ingestion",
    1365: "an invalid patch path",
    1366: "frequency becomes once after the start time",
    1367: "a schedule without a valid delta column",
    1368: "an unknown mode",
    1369: "a delta column with one-time ingestion",
    1370: "the mapping transformation is missing",
    1374: "determineProperties cannot be used so",
    1381: "the window of a run ends before it starts",
    1382: "the delta column of a run is not the flow's",
    1383: "the delta column of a run is missing",
    1384: "params of a run are invalid or empty",
    1386: "a run on demand of a flow that is not scheduled once",
    1387: "the state of a run allows no other try",
    1388: "the flow is not enabled",
    1389: "filters are not in base64",
    1391: "data.schema is not there",
    1392: "a transformation that the flow spec does not have",
    1396: "a target format that is not supported",
    1397: "an invalid frequency",
    1404: "backfill changes after the start time",
}
"""Codes of the sources provider: status 400, titled Bad Request."""

XDM = {
    "XDM-1006-400": ("Accept header invalid", "a list with a version in Accept"),
    "XDM-1007-400": ("Accept header invalid", "a lookup without a version in Accept"),
    "XDM-1008-400": ("Accept header invalid", "an Accept that the registry does not have"),
    "XDM-1010-404": ("Resource not found", "no such object"),
    "XDM-1011-404": ("Class not found", "no such class"),
    "XDM-1012-404": ("Schema not found", "no such schema"),
    "XDM-1013-404": ("Field group not found", "no such field group"),
    "XDM-1014-404": ("Data type not found", "no such data type"),
    "XDM-1016-404": ("Descriptor not found", "no such descriptor"),
    "XDM-1413-400": ("Incompatible types", "two parts of a schema give one field two types"),
    "XDM-1521-400": ("Title not unique", "another object of the tenant has the title"),
    "XDM-1528-400": ("Union validation failed", "the union tag without a primary identity or identityMap"),
}


IDENTITY = {
    "INVALID_REQUEST_PARAMS": (
        400,
        "a namespace without name, code or idType, or with another code or type than before",
    ),
    "NAMESPACE_NOT_FOUND": (404, "no namespace with that id"),
    "INTEGRATION_CODE_EXISTS": (409, "another namespace has the code"),
}
"""Codes of Identity Service: status and occasion."""


class Refusal(Exception):
    """An error response: HTTP status, JSON body and headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.headers = headers or {}


def code_of(body: Any) -> str:
    """Return the code in an error's body, in any of Adobe's formats."""
    if not isinstance(body, dict):
        return ""
    _, found, last = str(body.get("type", "")).rpartition("/errors/")
    report = body.get("report")
    reported = report.get("code") if isinstance(report, dict) else None
    return str(body.get("errorCode") or body.get("error_code") or (last if found else "") or reported or "")


def gateway(code: str, message: str) -> Refusal:
    """Return an error of the gateway; its status is the first three digits of the code."""
    return Refusal(int(code[:3]), {"error_code": code, "message": message})


def ims(error: str, description: str) -> Refusal:
    """Return an error of IMS, which answers 400 even for wrong credentials."""
    return Refusal(400, {"error": error, "error_description": description})


def flow(code: str, message: str) -> Refusal:
    """Return an error of Flow Service, with every key that Adobe documents: no page shows the whole format."""
    provider = ("Bad Request", "") if code[:2] == "13" else ("Fault", "")
    return _flow(code, FLOW.get(code, provider)[0], message)


def source(code: int, message: str) -> Refusal:
    """Return an error of the sources provider: every 13xx code is a 400 titled Bad Request."""
    return _flow(f"{code}-400", "Bad Request", message)


def _flow(code: str, title: str, message: str) -> Refusal:
    status = int(code.rsplit("-", 1)[-1])
    return Refusal(
        status,
        {
            "type": f"http://ns.adobe.com/aep/errors/FLOW-{code}",
            "title": title,
            "status": status,
            "detail": message,
            "errorCode": code,
            "errorMessage": message,
        },
    )


def xdm(code: str, message: str) -> Refusal:
    """Return an error of the Schema Registry."""
    status = int(code.rsplit("-", 1)[-1])
    return Refusal(
        status,
        {
            "type": f"http://ns.adobe.com/aep/errors/{code}",
            "title": XDM.get(code, ("Fault", ""))[0],
            "status": status,
            "report": {"detailed-message": message, "sub-errors": []},
            "detail": message,
        },
    )


def identity(code: str, message: str) -> Refusal:
    """Return an error of Identity Service."""
    status = IDENTITY[code][0]
    return Refusal(
        status,
        {
            "type": "http://ns.adobe.com/adobecloud/problem/namespacevalidation",
            "status": status,
            "title": "Namespace validation",
            "description": message,
            "report": {"code": code},
        },
    )


def problem(status: int, title: str, message: str, type_: str = "/problem") -> Refusal:
    """Return an error in the format that Catalog and Data Prep document."""
    return Refusal(status, {"type": type_, "status": status, "title": title, "detail": message})
