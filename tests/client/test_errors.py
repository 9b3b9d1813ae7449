"""Every error that the code tells apart, with its code, its class and its next step."""

import pytest

from airflow_provider_aep.client import errors
from airflow_provider_aep.client.errors import (
    AepConfigurationError,
    AepConflictError,
    AepCredentialsError,
    AepError,
    AepHostNotAllowedError,
    AepInvalidRequestError,
    AepNotFoundError,
    AepPermissionError,
    AepResponseError,
    AepThrottledError,
    AepTooLateError,
    AepUnavailableError,
    Where,
    service_error,
)

WHERE = Where("GET flows", "dev")

GATEWAY = [
    ("403010", 403, AepCredentialsError, "AEP received no Authorization header"),
    ("401013", 401, AepCredentialsError, "Compare client id, secret and ims_url"),
    ("403000", 403, AepCredentialsError, "AEP received no x-api-key header"),
    ("403003", 403, AepCredentialsError, "Check the client id"),
    ("400003", 400, AepCredentialsError, "Set org_id"),
    ("403027", 403, AepCredentialsError, "product profile"),
    ("403025", 403, AepCredentialsError, "to the organization of the credential"),
    ("429050", 429, AepThrottledError, "Airflow pool"),
]

SERVICE = [
    ("1100-400", 400, AepPermissionError, "role with this permission"),
    ("1101-404", 404, AepNotFoundError, "Check the id and the sandbox"),
    ("1304-400", 400, AepInvalidRequestError, "Add the field"),
    ("1307-400", 400, AepInvalidRequestError, "c604ff05-7f1a-43c0-8e18-33bf874cb11c (data lake)"),
    ("1360-400", 400, AepTooLateError, "computes a new start time"),
    ("1330-400", 400, AepInvalidRequestError, "AepExploreOperator lists the tables"),
    ("1362-400", 400, AepInvalidRequestError, "to 15 or more"),
    ("1367-400", 400, AepInvalidRequestError, "date-time column"),
    ("1369-400", 400, AepInvalidRequestError, "Remove delta_column"),
    ("1383-400", 400, AepInvalidRequestError, "date-time column"),
    ("1404-412", 412, AepConflictError, "Read the object again"),
    ("1412-400", 400, AepInvalidRequestError, "id and version that the mapping set task returns"),
    ("1415-400", 400, AepInvalidRequestError, "an auth spec"),
    ("1418-400", 400, AepInvalidRequestError, "Delete the flows"),
    ("1419-400", 400, AepInvalidRequestError, "permissions for its target fields"),
    ("1425-400", 400, AepInvalidRequestError, "Use the same schema"),
    ("1447-400", 400, AepInvalidRequestError, "Delete the flows"),
    ("2000-401", 401, AepCredentialsError, "Check the organization id"),
    ("2100-404", 404, AepConfigurationError, "Set sandbox in the extra"),
    ("2101-404", 404, AepConfigurationError, "Set sandbox in the extra"),
    ("2103-404", 404, AepConfigurationError, "Set sandbox in the extra"),
    ("2105-400", 400, AepConfigurationError, "Set sandbox in the extra"),
    ("2118-403", 403, AepPermissionError, "role with this permission"),
    ("2120-403", 403, AepPermissionError, "role with this permission"),
    ("2121-403", 403, AepPermissionError, "role with this permission"),
    ("XDM-1521-400", 400, AepConflictError, "Choose another title"),
    ("XDM-1528-400", 400, AepInvalidRequestError, "primary identity"),
]

BY_STATUS = [
    (400, AepInvalidRequestError, "Correct the request as the message describes"),
    (401, AepCredentialsError, "Check client id"),
    (403, AepPermissionError, "role with this permission"),
    (404, AepNotFoundError, "Check the id and the sandbox"),
    (405, AepInvalidRequestError, "Correct the request as the message describes"),
    (408, AepUnavailableError, "Try again later"),
    (409, AepConflictError, "Read the object again"),
    (412, AepConflictError, "Read the object again"),
    (422, AepInvalidRequestError, "Correct the request as the message describes"),
    (429, AepThrottledError, "Reduce the number of concurrent AEP tasks"),
    (499, AepInvalidRequestError, "Correct the request as the message describes"),
    (500, AepUnavailableError, "Try again later"),
    (501, AepInvalidRequestError, "emulator's list of operations"),
    (502, AepUnavailableError, "Try again later"),
    (503, AepUnavailableError, "Try again later"),
    (504, AepUnavailableError, "Try again later"),
    (505, AepUnavailableError, "Try again later"),
    (302, AepResponseError, "Redirects are not followed"),
]

RETRYABLE = {
    AepThrottledError,
    AepTooLateError,
    AepUnavailableError,
    errors.AepUnreachableError,
    errors.AepLostResponseError,
}


def checked(error, kind, says, status, code):
    assert type(error) is kind
    assert says in error.next_step
    assert says in str(error)
    assert (error.status, error.code) == (status, code)
    assert error.retryable == (kind in RETRYABLE)


@pytest.mark.parametrize(("code", "status", "kind", "says"), GATEWAY)
def test_gateway_codes(code, status, kind, says):
    checked(service_error(status, {"error_code": code, "message": "m"}, WHERE), kind, says, status, code)


def test_every_gateway_code_is_tested():
    assert {c for c, *_ in GATEWAY} == set(errors._GATEWAY)


@pytest.mark.parametrize(("code", "status", "kind", "says"), SERVICE)
def test_service_codes(code, status, kind, says):
    checked(service_error(status, {"errorCode": code, "errorMessage": "m"}, WHERE), kind, says, status, code)


def test_every_service_code_is_tested():
    assert {(c, s) for c, s, *_ in SERVICE} == set(errors._SERVICE)


@pytest.mark.parametrize(("status", "kind", "says"), BY_STATUS)
def test_other_codes_are_judged_by_their_status(status, kind, says):
    checked(service_error(status, {}, WHERE), kind, says, status, "")


def test_a_number_means_what_its_status_says():
    """Adobe's two catalogues use 1404 for a stale etag (412) and for a rule about backfill (400)."""
    assert type(service_error(400, {"errorCode": "1404-400"}, WHERE)) is AepInvalidRequestError
    assert type(service_error(412, {"errorCode": "1404-412"}, WHERE)) is AepConflictError


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"errorCode": "a1", "error_code": "b2", "type": "x/c3"}, "a1", "AEP rejected the request without a reason"),
        ({"error_code": "b2", "type": "x/c3", "message": "m", "errorMessage": "e"}, "b2", "m"),
        ({"type": "http://ns.adobe.com/aep/errors/XDM-1521-400/", "errorMessage": "e"}, "XDM-1521-400", "e"),
        ({"type": "/placeholder/type/uri", "detail": "d", "title": "t"}, "", "d"),
        ({"title": "t"}, "", "t"),
        ("text", "", "AEP rejected the request without a reason"),
        (None, "", "AEP rejected the request without a reason"),
    ],
)  # fmt: skip
def test_code_and_message_are_found_where_each_service_puts_them(body, code, message):
    error = service_error(400, body, WHERE)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("report", "id_"),
    [({"requestId": "r1"}, "r1"), ({"registryRequestId": "r2"}, "r2"), ({}, ""), ("text", ""), (None, "")],
)
def test_the_request_id_may_be_in_the_report(report, id_):
    assert service_error(400, {"report": report}, WHERE).where.request_id == id_


def test_the_request_id_of_the_header_counts_more():
    where = Where("GET flows", request_id="header")
    assert service_error(400, {"report": {"requestId": "body"}}, where).where.request_id == "header"


def test_a_message_says_what_where_and_what_next():
    where = Where("POST flows", "dev", 400, "1360-400", "r-1")
    error = AepInvalidRequestError("The start time is past", where=where, next_step="Choose another.", retry_after=None)
    assert str(error) == (
        "The start time is past [POST flows, sandbox dev, HTTP 400, AEP code 1360-400, request id r-1]"
        ". Next step: Choose another."
    )
    assert str(AepError("only this")) == "only this"
    assert str(AepError("Only this.", next_step="Go on.")) == "Only this. Next step: Go on."
    assert AepError("x").retry_after is None


def test_every_class_says_whether_a_retry_helps():
    classes = {c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, AepError)}
    assert {c for c in classes if c.retryable} == RETRYABLE
    assert issubclass(AepHostNotAllowedError, AepConfigurationError)
