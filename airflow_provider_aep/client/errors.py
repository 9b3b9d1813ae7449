"""What can go wrong between us and AEP, as types.

Every error says what failed, where (operation, sandbox, HTTP status, AEP code, request id), whether trying again can
help, and the next step. None carries a request body, a token or a secret.

Codes and their meaning: Adobe's "Experience Platform troubleshooting guide" (gateway), "Flow Service API error
messages" and "Sources error messages" (service), "XDM System troubleshooting guide" (Schema Registry).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Where:
    """The place of a failure, for a person who has to find it."""

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
    """Base of all errors of the client.

    :param message: what was wrong, one sentence without secrets
    :param where: operation, sandbox, HTTP status, AEP code, request id
    :param next_step: what a person should do
    :param retry_after: seconds that the server asked to wait, if it did
    """

    retryable = False

    def __init__(
        self, message: str, *, where: Where | None = None, next_step: str = "", retry_after: float | None = None
    ) -> None:
        self.message = message
        self.where = where or Where("")
        self.next_step = next_step
        self.retry_after = retry_after
        said = f"{message} [{self.where}]" if str(self.where) else message
        super().__init__(f"{said.rstrip('.')}. Next step: {next_step}" if next_step else said)

    @property
    def status(self) -> int | None:
        return self.where.status

    @property
    def code(self) -> str:
        return self.where.code


class AepConfigurationError(AepError):
    """The settings cannot work, whatever AEP answers: raised before the first byte is sent."""


class AepHostNotAllowedError(AepConfigurationError):
    """A host that the deployer did not allow."""


class AepCredentialsError(AepError):
    """IMS or the gateway refused who we are."""


class AepPermissionError(AepError):
    """AEP knows us and refuses what we asked."""


class AepInvalidRequestError(AepError):
    """AEP refused the content of a request."""


class AepNotFoundError(AepError):
    """No such object in this org and sandbox."""


class AepConflictError(AepError):
    """The object changed meanwhile (stale etag), or its title is taken."""


class AepAnswerError(AepError):
    """An answer that does not have the documented shape."""


class AepThrottledError(AepError):
    """Too many requests."""

    retryable = True


class AepUnavailableError(AepError):
    """AEP or something before it failed for the moment."""

    retryable = True


class AepUnreachableError(AepError):
    """The request was not sent: no connection could be made, or no token could be had for it."""

    retryable = True


class AepTooLateError(AepError):
    """The start time of a flow passed before AEP had the request; another try computes another."""

    retryable = True


class AepAnswerLostError(AepError):
    """A create was sent and its answer was lost: the object may or may not exist."""

    retryable = True


class AepUncertainError(AepError):
    """Something that must not be done twice may have been done: a person has to look."""


@dataclass(frozen=True)
class _Verdict:
    error: type[AepError]
    next_step: str


_CONSOLE = "in the Adobe Developer Console"
_REDIRECT = "Check host and ims_url of the connection: redirects are not followed, they could take the token elsewhere."
_PERMISSIONS = "Ask an administrator to add the credential to a role with this permission (AEP, Permissions)."

_GATEWAY: Mapping[str, _Verdict] = {
    "403010": _Verdict(AepCredentialsError, "The Authorization header was lost on the way: check proxies."),
    "401013": _Verdict(AepCredentialsError, f"Check client id, secret and IMS URL of the connection {_CONSOLE}."),
    "403000": _Verdict(AepCredentialsError, "The x-api-key header was lost on the way: check proxies."),
    "403003": _Verdict(
        AepCredentialsError, f"Check the client id, and that the Experience Platform API is added {_CONSOLE}."
    ),
    "400003": _Verdict(AepCredentialsError, "Set the organization id of the connection."),
    "403027": _Verdict(
        AepCredentialsError, "Check the organization id of the connection and the credential's product profile."
    ),
    "403025": _Verdict(
        AepCredentialsError, "This credential belongs to another organization: check the organization id."
    ),
    "429050": _Verdict(AepThrottledError, "Lower the concurrency of AEP tasks, for instance with an Airflow pool."),
}

# Keyed by code and HTTP status: the Flow Service and its sources provider use the same numbers for other things.
_SERVICE: Mapping[tuple[str, int], _Verdict] = {
    ("1100-400", 400): _Verdict(AepPermissionError, _PERMISSIONS),
    ("1101-404", 404): _Verdict(AepNotFoundError, "Check the id and the sandbox."),
    ("1304-400", 400): _Verdict(AepInvalidRequestError, "Add the field that the message names."),
    ("1307-400", 400): _Verdict(
        AepInvalidRequestError,
        "A target connection must use the data lake's spec c604ff05-7f1a-43c0-8e18-33bf874cb11c.",
    ),
    ("1404-412", 412): _Verdict(AepConflictError, "Read the object again and repeat the change."),
    ("1412-400", 400): _Verdict(AepInvalidRequestError, "Use the id and version that the mapping set task returned."),
    ("1415-400", 400): _Verdict(AepInvalidRequestError, "Choose one of the auth specs that the connection spec lists."),
    ("1418-400", 400): _Verdict(AepInvalidRequestError, "Delete the flows that use this connection first."),
    ("1419-400", 400): _Verdict(
        AepInvalidRequestError, "Check the mapping set's version, and the rights on the fields it maps."
    ),
    ("1425-400", 400): _Verdict(
        AepInvalidRequestError, "Use one schema, id and version, for dataset, target connection and mapping set."
    ),
    ("1447-400", 400): _Verdict(AepInvalidRequestError, "Delete the flows that use this connection first."),
    ("1360-400", 400): _Verdict(AepTooLateError, "Run the task again: it computes another start time."),
    ("1330-400", 400): _Verdict(
        AepInvalidRequestError, "Name a table that the source has; AepExploreOperator lists them."
    ),
    ("1367-400", 400): _Verdict(AepInvalidRequestError, "Give a date-time column of the table as delta_column."),
    ("1369-400", 400): _Verdict(AepInvalidRequestError, "Leave delta_column out where frequency is once."),
    ("1383-400", 400): _Verdict(AepInvalidRequestError, "Give a date-time column of the table as delta_column."),
    ("1362-400", 400): _Verdict(AepInvalidRequestError, "With frequency minute the interval is at least 15."),
    ("2000-401", 401): _Verdict(AepCredentialsError, "Check the organization id of the connection."),
    ("2100-404", 404): _Verdict(AepConfigurationError, "Check the sandbox of the connection."),
    ("2101-404", 404): _Verdict(AepConfigurationError, "Check the sandbox of the connection."),
    ("2103-404", 404): _Verdict(AepConfigurationError, "Check the sandbox of the connection."),
    ("2105-400", 400): _Verdict(AepConfigurationError, "Set the sandbox of the connection."),
    ("2118-403", 403): _Verdict(AepPermissionError, _PERMISSIONS),
    ("2120-403", 403): _Verdict(AepPermissionError, _PERMISSIONS),
    ("2121-403", 403): _Verdict(AepPermissionError, _PERMISSIONS),
    ("XDM-1521-400", 400): _Verdict(AepConflictError, "Choose another title: they are unique in the Schema Registry."),
    ("XDM-1528-400", 400): _Verdict(
        AepInvalidRequestError, "Give the schema a primary identity before it joins the union."
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
    501: _Verdict(AepInvalidRequestError, "This AEP has no such operation: an emulator lists its own."),
}

_IMS_STEPS: Mapping[str, str] = {
    "invalid_client": f"Check the client id (login) and the client secret (password) of the connection {_CONSOLE}.",
    "invalid_scope": f"Copy the scopes of the credential {_CONSOLE} into the connection.",
}


def ims_error(body: object, where: Where, retry_after: float | None = None) -> AepError:
    """The error for an answer of IMS that is not a token (4xx: configuration, permanent; 429 and 5xx: retryable).

    :param where: with the answer's status
    """
    status = where.status or 0
    if status < 400:
        return AepAnswerError("Adobe IMS answered without a token", where=where, next_step=_REDIRECT)
    if status == 429:
        return AepThrottledError(
            "Adobe IMS refused a token for now: too many requests",
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
    described = str(answer.get("error_description") or "no reason given")
    step = _IMS_STEPS.get(code, f"Compare the connection with the credential {_CONSOLE}.")
    return AepCredentialsError(
        f"Adobe IMS refused the credentials: {described}", where=replace(where, code=code), next_step=step
    )


def service_error(status: int, body: object, where: Where, retry_after: float | None = None) -> AepError:
    """The error for an answer of the gateway or a service that is not a success."""
    answer = body if isinstance(body, Mapping) else {}
    code = _code(answer)
    message = _message(answer) or "AEP refused the request without a reason"
    where = replace(where, status=status, code=code, request_id=where.request_id or _request_id(answer))
    if status < 400:
        return AepAnswerError("AEP answered with a redirect", where=where, next_step=_REDIRECT)
    verdict = _SERVICE.get((code, status)) or _GATEWAY.get(code) or _BY_STATUS.get(status)
    if verdict is None and status >= 500:
        verdict = _Verdict(AepUnavailableError, "Try again later.")
    if verdict is None:
        verdict = _Verdict(AepInvalidRequestError, "Correct what the message names.")
    return verdict.error(message, where=where, next_step=verdict.next_step, retry_after=retry_after)


def _code(answer: Mapping[str, Any]) -> str:
    """Adobe's services name the code in three places; the order is that of how specific they are."""
    for key in ("errorCode", "error_code"):
        if answer.get(key):
            return str(answer[key])
    kind = str(answer.get("type") or "")
    last = kind.rstrip("/").rsplit("/", 1)[-1]
    return last if any(c.isdigit() for c in last) else ""


def _message(answer: Mapping[str, Any]) -> str:
    for key in ("message", "errorMessage", "detail", "title"):
        if answer.get(key):
            return str(answer[key])
    return ""


def _request_id(answer: Mapping[str, Any]) -> str:
    report = answer.get("report")
    return str(report.get("requestId") or report.get("registryRequestId") or "") if isinstance(report, Mapping) else ""
