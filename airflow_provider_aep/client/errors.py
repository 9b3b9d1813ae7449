"""Typed errors of the client, and the tables that map AEP's status codes and error codes to them.

Each error has a message, its context (operation, sandbox, HTTP status, AEP code, request id) and the next step. Its
type defines whether a retry can succeed. No error contains a request body, a token or a secret.

Sources of the codes:

- gateway: Adobe's "Experience Platform troubleshooting guide"
- Flow Service: "Flow Service API error messages" and "Sources error messages"
- Schema Registry: "XDM System troubleshooting guide"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Where:
    """The context of an error.

    :param operation: ``METHOD resource``; empty if no request was sent
    :param sandbox: name of the sandbox
    :param status: HTTP status; ``None`` without a response
    :param code: AEP's error code
    :param request_id: the ``x-request-id`` under which Adobe finds the request
    """

    operation: str
    sandbox: str = ""
    status: int | None = None
    code: str = ""
    request_id: str = ""

    def __str__(self) -> str:
        parts = [self.operation]
        if self.sandbox:
            parts.append(f"sandbox {self.sandbox}")
        if self.status is not None:
            parts.append(f"HTTP {self.status}")
        if self.code:
            parts.append(f"AEP code {self.code}")
        if self.request_id:
            parts.append(f"request id {self.request_id}")
        return ", ".join(parts)


class AepError(Exception):
    """Base class of all errors of the client.

    :param message: the problem, in one sentence without secrets
    :param where: the context; ``None`` if no request was sent
    :param next_step: an instruction that resolves the problem
    :param retry_after: seconds of the response's ``Retry-After``; ``None`` without one
    :cvar retryable: whether a retry can succeed
    """

    retryable = False

    def __init__(
        self, message: str, *, where: Where | None = None, next_step: str = "", retry_after: float | None = None
    ) -> None:
        """Build the text from message, context and next step."""
        self.message = message
        self.where = where or Where("")
        self.next_step = next_step
        self.retry_after = retry_after
        text = f"{message} [{self.where}]" if str(self.where) else message
        sentence = text if text.endswith("?") else f"{text.rstrip('.')}."
        super().__init__(f"{sentence} Next step: {next_step}" if next_step else text)

    @property
    def status(self) -> int | None:
        """The HTTP status; ``None`` without a response."""
        return self.where.status

    @property
    def code(self) -> str:
        """AEP's error code; empty without one."""
        return self.where.code


class AepConfigurationError(AepError):
    """The configuration is invalid. Most of these errors are raised before a request is sent."""


class AepMissingConnectionError(AepConfigurationError):
    """There is no Airflow connection of an id."""


class AepHostNotAllowedError(AepConfigurationError):
    """A connection names a host that the configuration does not allow."""


class AepCredentialsError(AepError):
    """IMS or AEP's gateway rejected the credentials."""


class AepPermissionError(AepError):
    """The credential has no permission for the operation."""


class AepInvalidRequestError(AepError):
    """AEP rejected the content of a request."""


class AepNotFoundError(AepError):
    """The organization and sandbox contain no such object."""


class AepConflictError(AepError):
    """The etag of an update is stale, a title is not unique, or an existing object prevents the operation."""


class AepResponseError(AepError):
    """A response has an undocumented shape."""


class AepThrottledError(AepError):
    """AEP or IMS throttles requests (429)."""

    retryable = True


class AepUnavailableError(AepError):
    """AEP, or a proxy before it, is temporarily not available."""

    retryable = True


class AepUnreachableError(AepError):
    """The request was not sent, because the host cannot be reached or IMS issues no token."""

    retryable = True


class AepTooLateError(AepError):
    """The start time of a flow passed before AEP received the request. A retry computes a new start time."""

    retryable = True


class AepLostResponseError(AepError):
    """The response to a create was lost, so the object may or may not exist."""

    retryable = True


class AepUncertainError(AepError):
    """AEP may have executed an operation that must not be repeated. A person must check AEP."""


@dataclass(frozen=True)
class _Verdict:
    error: type[AepError]
    next_step: str


_CONSOLE = "in the Adobe Developer Console"
_REDIRECT = "Check host and ims_url of the connection. Redirects are not followed, because they could leak the token."
_PERMISSIONS = "Ask an administrator to add the credential to a role with this permission (AEP, Permissions)."

_GATEWAY: Mapping[str, _Verdict] = {
    "403010": _Verdict(AepCredentialsError, "Check the proxies: AEP received no Authorization header."),
    "401013": _Verdict(
        AepCredentialsError, f"Compare client id, secret and ims_url of the connection with the credential {_CONSOLE}."
    ),
    "403000": _Verdict(AepCredentialsError, "Check the proxies: AEP received no x-api-key header."),
    "403003": _Verdict(
        AepCredentialsError, f"Check the client id, and add the Experience Platform API to the project {_CONSOLE}."
    ),
    "400003": _Verdict(AepCredentialsError, "Set org_id in the extra of the connection."),
    "403027": _Verdict(
        AepCredentialsError, "Check org_id of the connection and the product profile of the credential."
    ),
    "403025": _Verdict(AepCredentialsError, "Set org_id of the connection to the organization of the credential."),
    "429050": _Verdict(
        AepThrottledError, "Reduce the number of concurrent AEP tasks, for instance with an Airflow pool."
    ),
}

# The key contains the HTTP status, because Flow Service and its sources provider use the same codes differently.
_SERVICE: Mapping[tuple[str, int], _Verdict] = {
    ("1100-400", 400): _Verdict(AepPermissionError, _PERMISSIONS),
    ("1101-404", 404): _Verdict(AepNotFoundError, "Check the id and the sandbox."),
    ("1304-400", 400): _Verdict(AepInvalidRequestError, "Add the field that the message names."),
    ("1307-400", 400): _Verdict(
        AepInvalidRequestError,
        "Set connectionSpec.id of the target connection to c604ff05-7f1a-43c0-8e18-33bf874cb11c (data lake).",
    ),
    ("1404-412", 412): _Verdict(AepConflictError, "Read the object again and repeat the change."),
    ("1412-400", 400): _Verdict(
        AepInvalidRequestError, "Set mapping_set to the id and version that the mapping set task returns."
    ),
    ("1415-400", 400): _Verdict(AepInvalidRequestError, "Set auth_spec to an auth spec of the connection spec."),
    ("1418-400", 400): _Verdict(AepInvalidRequestError, "Delete the flows that use this connection, then try again."),
    ("1419-400", 400): _Verdict(
        AepInvalidRequestError, "Check the version of the mapping set, and the permissions for its target fields."
    ),
    ("1425-400", 400): _Verdict(
        AepInvalidRequestError, "Use the same schema id and version for dataset, target connection and mapping set."
    ),
    ("1447-400", 400): _Verdict(AepInvalidRequestError, "Delete the flows that use this connection, then try again."),
    ("1360-400", 400): _Verdict(AepTooLateError, "Run the task again: it computes a new start time."),
    ("1330-400", 400): _Verdict(
        AepInvalidRequestError, "Set table to a table of the source; AepExploreOperator lists the tables."
    ),
    ("1367-400", 400): _Verdict(AepInvalidRequestError, "Set delta_column to a date-time column of the table."),
    ("1369-400", 400): _Verdict(AepInvalidRequestError, "Remove delta_column: frequency is once."),
    ("1383-400", 400): _Verdict(AepInvalidRequestError, "Set delta_column to a date-time column of the table."),
    ("1362-400", 400): _Verdict(AepInvalidRequestError, "Set interval to 15 or more, as frequency is minute."),
    ("2000-401", 401): _Verdict(AepCredentialsError, "Check the organization id of the connection."),
    ("2100-404", 404): _Verdict(
        AepConfigurationError, "Set sandbox in the extra of the connection to a sandbox of the organization."
    ),
    ("2101-404", 404): _Verdict(
        AepConfigurationError, "Set sandbox in the extra of the connection to a sandbox of the organization."
    ),
    ("2103-404", 404): _Verdict(
        AepConfigurationError, "Set sandbox in the extra of the connection to a sandbox of the organization."
    ),
    ("2105-400", 400): _Verdict(AepConfigurationError, "Set sandbox in the extra of the connection."),
    ("2118-403", 403): _Verdict(AepPermissionError, _PERMISSIONS),
    ("2120-403", 403): _Verdict(AepPermissionError, _PERMISSIONS),
    ("2121-403", 403): _Verdict(AepPermissionError, _PERMISSIONS),
    ("XDM-1521-400", 400): _Verdict(
        AepConflictError, "Choose another title: titles are unique in the Schema Registry."
    ),
    ("XDM-1528-400", 400): _Verdict(
        AepInvalidRequestError, "Add a primary identity to the schema before the schema is enabled for Profile."
    ),
}

_BY_STATUS: Mapping[int, _Verdict] = {
    401: _Verdict(AepCredentialsError, "Check client id, secret and organization id of the connection."),
    403: _Verdict(AepPermissionError, _PERMISSIONS),
    404: _Verdict(AepNotFoundError, "Check the id and the sandbox."),
    408: _Verdict(AepUnavailableError, "Try again later."),
    409: _Verdict(AepConflictError, "Read the object again and repeat the change."),
    412: _Verdict(AepConflictError, "Read the object again and repeat the change."),
    429: _GATEWAY["429050"],
    501: _Verdict(AepInvalidRequestError, "Check the emulator's list of operations: it does not support this one."),
}

_IMS_STEPS: Mapping[str, str] = {
    "invalid_client": f"Compare login and password of the connection with client id and client secret {_CONSOLE}.",
    "invalid_scope": f"Set scopes of the connection to the scopes of the credential {_CONSOLE}.",
}


def ims_error(body: object, where: Where, retry_after: float | None = None) -> AepError:
    """Return the error for a response of IMS without a token; 429 and 5xx are retryable, other 4xx are permanent.

    :param body: the parsed JSON
    :param where: context with the HTTP status
    :param retry_after: seconds of the response's ``Retry-After``
    """
    status = where.status or 0
    if status < 400:
        return AepResponseError("The response of Adobe IMS contains no token", where=where, next_step=_REDIRECT)
    if status == 429:
        return AepThrottledError(
            "Adobe IMS throttles token requests",
            where=where,
            next_step=_GATEWAY["429050"].next_step,
            retry_after=retry_after,
        )
    if status >= 500:
        return AepUnreachableError(
            "Adobe IMS is not available",
            where=where,
            next_step="Try again later.",
            retry_after=retry_after,
        )
    answer = body if isinstance(body, Mapping) else {}
    code = str(answer.get("error") or "")
    reason = str(answer.get("error_description") or "IMS returned no reason")
    step = _IMS_STEPS.get(code, f"Compare the connection with the credential {_CONSOLE}.")
    return AepCredentialsError(
        f"Adobe IMS rejected the credentials: {reason}", where=replace(where, code=code), next_step=step
    )


def service_error(status: int, body: object, where: Where, retry_after: float | None = None) -> AepError:
    """Return the error for an unsuccessful response of the gateway or a service.

    :param body: the parsed JSON
    :param where: context without status and code, which are added
    :param retry_after: seconds of the response's ``Retry-After``
    """
    answer = body if isinstance(body, Mapping) else {}
    code = _code(answer)
    message = _message(answer) or "AEP rejected the request without a reason"
    where = replace(where, status=status, code=code, request_id=where.request_id or _request_id(answer))
    if status < 400:
        return AepResponseError("AEP responded with a redirect", where=where, next_step=_REDIRECT)
    verdict = _SERVICE.get((code, status)) or _GATEWAY.get(code) or _BY_STATUS.get(status)
    if verdict is None and status >= 500:
        verdict = _Verdict(AepUnavailableError, "Try again later.")
    if verdict is None:
        verdict = _Verdict(AepInvalidRequestError, "Correct the request as the message describes.")
    return verdict.error(message, where=where, next_step=verdict.next_step, retry_after=retry_after)


def _code(answer: Mapping[str, Any]) -> str:
    """Return the error code, which Adobe's services put in one of four places; the most specific one counts."""
    for key in ("errorCode", "error_code"):
        if answer.get(key):
            return str(answer[key])
    kind = str(answer.get("type") or "")
    last = kind.rstrip("/").rsplit("/", 1)[-1]
    if any(c.isdigit() for c in last):
        return last
    report = answer.get("report")  # of Identity Service
    return str(report.get("code") or "") if isinstance(report, Mapping) else ""


def _message(answer: Mapping[str, Any]) -> str:
    for key in ("message", "errorMessage", "detail", "description", "title"):
        if answer.get(key):
            return str(answer[key])
    return ""


def _request_id(answer: Mapping[str, Any]) -> str:
    report = answer.get("report")
    return str(report.get("requestId") or report.get("registryRequestId") or "") if isinstance(report, Mapping) else ""
