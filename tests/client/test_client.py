"""What the client does with answers, delays and failures: sync and async alike, on a clock that tests move."""

import asyncio
import json
import logging
import re

import httpx
import pytest

from airflow_provider_aep.client import catalog, data_prep, flow_service, sandboxes, schema_registry
from airflow_provider_aep.client.auth import TokenCache
from airflow_provider_aep.client.client import MAX_PAGES, AepClient, AsyncAepClient
from airflow_provider_aep.client.clock import ManualClock
from airflow_provider_aep.client.errors import (
    AepCredentialsError,
    AepError,
    AepInvalidRequestError,
    AepLostResponseError,
    AepNotFoundError,
    AepResponseError,
    AepThrottledError,
    AepTooLateError,
    AepUnavailableError,
    AepUnreachableError,
)
from airflow_provider_aep.client.models import Batch, Run
from airflow_provider_aep.client.settings import AepSettings
from airflow_provider_aep.runs.verdict import evaluate_run

GOOD = {"client_id": "id", "client_secret": "canary-secret", "org_id": "ORG@AdobeOrg", "sandbox": "dev"}
SETTINGS = AepSettings.from_fields(**GOOD)
TOKEN = "/ims/token/v3"
IMS_TOKEN = (200, {"access_token": "t1", "expires_in": 86399})
READ = flow_service.get_flow("f")
CREATE = flow_service.create_flow({"name": "x"})
PATCH = flow_service.patch_flow("f", '"e"', [{"op": "add", "path": "/name", "value": "x"}])
FLOW = {"items": [{"id": "f", "name": "n"}]}
REF = {"id": "f", "etag": '"e"'}
THROTTLED = (429, {"error_code": "429050", "message": "Too many requests"})
GONE = (503, {"errorCode": "1103-503", "message": "Service Unavailable"})


class Script:
    """Answers requests in order (the last answer again and again) and remembers them; tokens have a list of their own.

    An answer is ``(status, body)``, ``(status, body, headers)`` or an exception to raise.
    """

    def __init__(self, *answers, tokens=(IMS_TOKEN,)):
        self.answers, self.tokens, self.requests, self.token_requests = list(answers), list(tokens), [], []
        self.authorizations = []

    def __call__(self, request):
        for_token = request.url.path == TOKEN
        (self.token_requests if for_token else self.requests).append(request)
        if not for_token:  # noted now: a replay changes the request
            self.authorizations.append(request.headers["authorization"])
        queue = self.tokens if for_token else self.answers
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        status, body, *headers = answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content, headers=headers[0] if headers else None)


@pytest.fixture(params=["sync", "async"])
def client_of(request):
    """``client_of(script).send(call)`` and ``.items(call)``, on a manual clock."""

    class Client:
        def __init__(self, script, settings=SETTINGS, **options):
            self.clock = ManualClock()
            self.masked = []
            transport = httpx.MockTransport(script)
            tokens = options.pop("tokens", None) or TokenCache()
            options = {"clock": self.clock, "tokens": tokens, "on_token": self.masked.append, **options}
            make = AepClient if request.param == "sync" else AsyncAepClient
            self._make = lambda: make(settings, transport=transport, **options)

        def send(self, call):
            if request.param == "sync":
                with self._make() as c:
                    return c.send(call)

            async def run():
                async with self._make() as c:
                    return await c.send(call)

            return asyncio.run(run())

        def items(self, call):
            if request.param == "sync":
                with self._make() as c:
                    return list(c.items(call))

            async def run():
                async with self._make() as c:
                    return [i async for i in c.items(call)]

            return asyncio.run(run())

    return Client


# -- what is sent ---------------------------------------------------------------------------------------------------


def test_a_request_carries_token_key_org_sandbox_and_an_id(client_of):
    script = Script((200, FLOW))
    client = client_of(script)
    assert client.send(READ).name == "n"
    [sent] = script.requests
    assert str(sent.url) == "https://platform.adobe.io/data/foundation/flowservice/flows/f"
    assert sent.headers["authorization"] == "Bearer t1"
    assert sent.headers["x-api-key"] == "id"
    assert sent.headers["x-gw-ims-org-id"] == "ORG@AdobeOrg"
    assert sent.headers["x-sandbox-name"] == "dev"
    assert sent.headers["user-agent"].startswith("airflow-provider-aep/")
    assert len(sent.headers["x-request-id"]) == 36
    assert sent.headers["accept"] == "application/json"
    assert client.masked == ["t1"]


def test_the_token_request_has_the_secret_in_its_body_only(client_of):
    script = Script((200, FLOW))
    client_of(script).send(READ)
    [asked] = script.token_requests
    assert str(asked.url) == "https://ims-na1.adobelogin.com/ims/token/v3"
    assert b"client_secret=canary-secret" in asked.content
    assert b"grant_type=client_credentials" in asked.content
    assert b"client_id=id" in asked.content
    assert asked.method == "POST"
    assert b"scope=openid%2CAdobeID" in asked.content


def test_a_list_names_no_version_and_a_lookup_does():
    assert "version" not in dict(schema_registry.find("schemas", "t").headers)["Accept"]
    assert dict(schema_registry.get("schemas", "s").headers)["Accept"] == "application/vnd.adobe.xed+json;version=1"
    assert dict(schema_registry.get("schemas", "s", resolved=True).headers)["Accept"].startswith(
        "application/vnd.adobe.xed-full"
    )


def test_ids_are_encoded_into_one_path_segment():
    path = schema_registry.get("schemas", "https://ns.adobe.com/t/schemas/a").path
    assert path.endswith("/tenant/schemas/https%3A%2F%2Fns.adobe.com%2Ft%2Fschemas%2Fa")
    assert flow_service.get_flow("../connections").path.endswith("/flows/..%2Fconnections")


def test_a_patch_carries_the_etag_verbatim(client_of):
    script = Script((200, REF))
    client_of(script).send(PATCH)
    assert script.requests[0].headers["if-match"] == '"e"'
    assert json.loads(script.requests[0].content)[0]["path"] == "/name"


# -- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_shared_until_shortly_before_its_end(client_of):
    script = Script(
        (200, FLOW),
        tokens=[
            (200, {"access_token": "t1", "expires_in": 86399}),
            (200, {"access_token": "t2", "expires_in": 86399}),
        ],
    )
    client = client_of(script)
    client.send(READ)
    client.clock.sleep(86399 - 301)
    client.send(READ)
    assert len(script.token_requests) == 1
    client.clock.sleep(2)
    client.send(READ)
    assert script.authorizations == ["Bearer t1", "Bearer t1", "Bearer t2"]


def test_a_lifetime_in_milliseconds_is_understood(client_of):
    script = Script((200, FLOW), tokens=[(200, {"access_token": "t", "expires_in": 86399992})])
    client = client_of(script)
    client.send(READ)
    client.clock.sleep(86399 - 301)
    client.send(READ)
    assert len(script.token_requests) == 1
    client.clock.sleep(2)
    client.send(READ)
    assert len(script.token_requests) == 2


def test_a_refused_token_is_replaced_once(client_of):
    refused = (401, {"error_code": "401013", "message": "Oauth token is not valid"})
    tokens = [(200, {"access_token": t, "expires_in": 86399}) for t in ("t1", "t2")]
    script = Script(refused, (200, FLOW), tokens=tokens)
    assert client_of(script).send(READ).id == "f"
    assert script.authorizations == ["Bearer t1", "Bearer t2"]


def test_a_token_refused_again_is_an_error_after_one_replay(client_of):
    script = Script((401, {"error_code": "401013", "message": "Oauth token is not valid"}))
    with pytest.raises(AepCredentialsError, match="Compare client id, secret and ims_url"):
        client_of(script).send(READ)
    assert len(script.requests) == len(script.token_requests) == 2


@pytest.mark.parametrize("body", [{"error_code": "2000-401"}, b"not json", ["a list"]])
def test_another_401_is_not_replayed(client_of, body):
    script = Script((401, body))
    with pytest.raises(AepCredentialsError):
        client_of(script).send(READ)
    assert len(script.requests) == 1


def test_a_rotated_secret_gets_a_token_of_its_own(client_of):
    rotated = AepSettings.from_fields(client_id="id", client_secret="rotated", org_id="ORG@AdobeOrg", sandbox="dev")
    tokens = [(200, {"access_token": t, "expires_in": 86399}) for t in ("t1", "t2")]
    script, cache = Script((200, FLOW), tokens=tokens), TokenCache()
    for settings in (SETTINGS, rotated, SETTINGS):
        client_of(script, settings, tokens=cache).send(READ)
    assert script.authorizations == ["Bearer t1", "Bearer t2", "Bearer t1"]
    assert "canary-secret" not in str(SETTINGS.credential_key)


def test_a_client_shows_its_settings():
    transport = httpx.MockTransport(Script((200, FLOW)))
    with AepClient(SETTINGS, transport=transport) as client:
        assert client.settings is SETTINGS
    assert AsyncAepClient(SETTINGS, transport=transport).settings is SETTINGS


def test_forgetting_a_token_keeps_its_successor():
    from airflow_provider_aep.client.auth import Token

    cache = TokenCache()
    cache.put(("k",), Token("new", 1e12))
    cache.drop(("k",), "old")
    assert cache.get(("k",), 0).value == "new"
    cache.drop(("k",), "new")
    assert cache.get(("k",), 0) is None


def test_threads_wait_for_one_token():
    import threading

    entered, go = threading.Event(), threading.Event()

    def handler(request):
        if request.url.path == TOKEN:
            entered.set()
            assert go.wait(5)
            asked.append(1)
            return httpx.Response(200, json={"access_token": "t", "expires_in": 86399})
        return httpx.Response(200, json=FLOW)

    asked, cache = [], TokenCache()
    clients = [AepClient(SETTINGS, tokens=cache, transport=httpx.MockTransport(handler)) for _ in range(4)]
    threads = [threading.Thread(target=c.send, args=(READ,)) for c in clients]
    for t in threads:
        t.start()
    assert entered.wait(5)
    go.set()
    for t in threads:
        t.join(5)
    assert asked == [1]


def test_coroutines_wait_for_one_token():
    script = Script((200, FLOW))

    async def slowly(request):
        await asyncio.sleep(0.001)
        return script(request)

    async def run():
        async with AsyncAepClient(SETTINGS, tokens=TokenCache(), transport=httpx.MockTransport(slowly)) as c:
            await asyncio.gather(*(c.send(READ) for _ in range(10)))

    asyncio.run(run())
    assert (len(script.token_requests), len(script.requests)) == (1, 10)


def test_clients_on_one_loop_share_a_token():
    script = Script((200, FLOW))

    async def slowly(request):
        await asyncio.sleep(0.001)
        return script(request)

    async def send(tokens):
        async with AsyncAepClient(SETTINGS, tokens=tokens, transport=httpx.MockTransport(slowly)) as c:
            await c.send(READ)

    async def run():
        tokens = TokenCache()
        await asyncio.gather(*(send(tokens) for _ in range(50)))

    asyncio.run(run())
    assert (len(script.token_requests), len(script.requests)) == (1, 50)


OTHER = AepSettings.from_fields(**{**GOOD, "client_id": "other"})


def test_a_credential_does_not_wait_for_anothers_token():
    import threading

    entered, go = threading.Event(), threading.Event()

    def handler(request):
        if b"client_id=id" in request.content:
            entered.set()
            assert go.wait(30)
        return httpx.Response(200, json={"access_token": "t", "expires_in": 86399, **FLOW})

    cache, transport = TokenCache(), httpx.MockTransport(handler)
    slow, quick = (
        threading.Thread(target=AepClient(settings, tokens=cache, transport=transport).send, args=(READ,))
        for settings in (SETTINGS, OTHER)
    )
    slow.start()
    assert entered.wait(5)
    quick.start()
    quick.join(5)
    was_held_up = quick.is_alive()
    go.set()
    slow.join(5)
    quick.join(5)
    assert not was_held_up


def test_a_credential_does_not_wait_for_anothers_token_on_a_loop():
    async def run():
        entered, go = asyncio.Event(), asyncio.Event()

        async def handler(request):
            if b"client_id=id" in request.content:
                entered.set()
                await asyncio.wait_for(go.wait(), 5)
            return httpx.Response(200, json={"access_token": "t", "expires_in": 86399, **FLOW})

        cache, transport = TokenCache(), httpx.MockTransport(handler)
        async with (
            AsyncAepClient(SETTINGS, tokens=cache, transport=transport) as slow,
            AsyncAepClient(OTHER, tokens=cache, transport=transport) as quick,
        ):
            waiting = asyncio.create_task(slow.send(READ))
            await entered.wait()
            assert (await quick.send(READ)).id == "f"
            go.set()
            await waiting

    asyncio.run(run())


def test_masking_on_a_loop_is_awaited():
    masked = []

    async def mask(token):
        await asyncio.sleep(0)
        masked.append(token)

    async def run():
        transport = httpx.MockTransport(Script((200, FLOW)))
        async with AsyncAepClient(SETTINGS, tokens=TokenCache(), transport=transport, on_token=mask) as c:
            await c.send(READ)

    asyncio.run(run())
    assert masked == ["t1"]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ((400, {"error": "invalid_client", "error_description": "invalid client_secret parameter"}),
         AepCredentialsError, r"invalid client_secret parameter.*AEP code invalid_client.*Compare login and password"),
        ((400, {"error": "invalid_scope", "error_description": "x"}), AepCredentialsError, "Set scopes of the connection"),
        ((401, {"error": "odd"}), AepCredentialsError, "IMS returned no reason.*Compare the connection"),
        ((400, b"<html>"), AepCredentialsError, "HTTP 400"),
        ((200, {"token": "x"}), AepResponseError, "contains no token.*Check ims_url"),
        ((200, b"<html>"), AepResponseError, "contains no token"),
        ((302, b"", {"location": "https://evil.example/"}), AepResponseError, "Redirects are not followed"),
    ],
)  # fmt: skip
def test_what_ims_refuses_is_permanent_and_names_the_remedy(client_of, answer, error, says):
    script = Script((200, FLOW), tokens=[answer])
    with pytest.raises(error, match=says) as caught:
        client_of(script).send(READ)
    assert not caught.value.retryable
    assert len(script.token_requests) == 1
    assert not script.requests
    assert "canary-secret" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("call", [READ, CREATE])
@pytest.mark.parametrize("answer", [(503, {}), (429, {}), (500, {}), httpx.ReadTimeout("late")])
def test_what_ims_cannot_do_for_the_moment_is_tried_again_even_for_a_create(client_of, answer, call):
    script = Script((200, {**FLOW, **REF}), tokens=[answer, (200, {"access_token": "t", "expires_in": 86399})])
    script.answers = [(200, FLOW if call is READ else REF)]
    assert client_of(script).send(call).id == "f"
    assert len(script.requests) == 1


@pytest.mark.parametrize(("status", "error"), [(429, AepThrottledError), (503, AepUnreachableError)])
def test_ims_is_not_asked_for_ever(client_of, status, error):
    client = client_of(Script((200, FLOW), tokens=[(status, {})]))
    with pytest.raises(error) as caught:
        client.send(READ)
    assert caught.value.retryable
    assert 30 < sum(client.clock.slept) <= 120


# -- retries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [READ, PATCH])
@pytest.mark.parametrize("trouble", [THROTTLED, GONE, (500, b"<html>"), (504, {}), (408, {}), httpx.ReadTimeout("x")])
def test_reads_and_idempotent_writes_are_sent_again(client_of, call, trouble):
    script = Script(trouble, trouble, (200, FLOW if call is READ else REF))
    client = client_of(script)
    assert client.send(call).id == "f"
    assert len(script.requests) == 3
    assert len(client.clock.slept) == 2


@pytest.mark.parametrize(
    "trouble", [THROTTLED, httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")]
)
def test_a_create_is_sent_again_if_it_surely_made_nothing(client_of, trouble):
    script = Script(trouble, (201, REF))
    assert client_of(script).send(CREATE).id == "f"
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "trouble",
    [(500, {}), GONE, (504, {"errorCode": "1104-504"}), httpx.ReadTimeout("x"), httpx.ReadError("x"),
     httpx.RemoteProtocolError("x"), httpx.WriteError("x"), (201, b"cut"), (201, {"no": "id"}),
     (201, b"not gzip", {"content-encoding": "gzip"})],
)  # fmt: skip
def test_a_create_whose_answer_is_lost_is_never_sent_again(client_of, trouble):
    script = Script(trouble)
    client = client_of(script)
    with pytest.raises(
        AepLostResponseError, match="The response to POST flows was lost, so AEP may have executed the request:"
    ) as caught:
        client.send(CREATE)
    assert caught.value.retryable
    assert len(script.requests) == 1
    assert client.clock.slept == []


def test_a_create_that_aep_does_not_have_is_not_lost(client_of):
    with pytest.raises(AepInvalidRequestError, match="does not support this one"):
        client_of(Script((501, {}))).send(CREATE)


def test_adding_to_a_schema_is_never_sent_again(client_of):
    call = schema_registry.patch("schemas", "s", [{"op": "add", "path": "/allOf/-", "value": {"$ref": "g"}}])
    script = Script(GONE)
    with pytest.raises(AepLostResponseError, match="PATCH schemas was lost"):
        client_of(script).send(call)
    assert len(script.requests) == 1


@pytest.mark.parametrize("call", [CREATE, PATCH])
def test_a_start_time_that_passed_on_the_way_is_worth_another_task_try(client_of, call):
    script = Script((400, {"errorCode": "1360-400", "message": "past"}))
    with pytest.raises(AepTooLateError, match="computes a new start time") as caught:
        client_of(script).send(call)
    assert caught.value.retryable
    assert len(script.requests) == 1


def test_what_was_lost_keeps_status_and_wait(client_of):
    with pytest.raises(AepLostResponseError) as caught:
        client_of(Script((503, {}, {"retry-after": "9"}))).send(CREATE)
    assert (caught.value.status, caught.value.retry_after) == (503, 9.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422])
def test_a_permanent_refusal_is_not_repeated(client_of, status):
    script = Script((status, {"message": "no"}))
    with pytest.raises(Exception, match="no") as caught:
        client_of(script).send(READ)
    assert not caught.value.retryable
    assert len(script.requests) == 1


def test_retry_after_in_seconds_is_obeyed(client_of):
    client = client_of(Script((*THROTTLED, {"retry-after": "17"}), (200, FLOW)))
    client.send(READ)
    assert client.clock.slept == [17.0]


def test_retry_after_as_a_date_is_obeyed(client_of):
    client = client_of(Script((*THROTTLED, {"retry-after": "Thu, 01 Jan 2026 00:00:42 GMT"}), (200, FLOW)))
    client.send(READ)
    assert client.clock.slept == [42.0]


@pytest.mark.parametrize("value", ["soon", "0", "-5", "\u00b2", "Wed, 21 Oct 99999999999 07:28:00 GMT"])
def test_a_retry_after_that_means_nothing_is_ignored(client_of, value):
    client = client_of(Script((*THROTTLED, {"retry-after": value.encode("latin-1")}), (200, FLOW)))
    client.send(READ)
    assert 1 <= client.clock.slept[0] <= 3


def test_waits_grow_and_end_by_the_deadline(client_of):
    client = client_of(Script(GONE), deadline=60.0)
    with pytest.raises(AepUnavailableError):
        client.send(READ)
    assert len(client.clock.slept) >= 4
    assert client.clock.slept[3] > client.clock.slept[0]
    assert sum(client.clock.slept) <= 60


def test_a_retry_after_beyond_the_deadline_ends_at_once_and_is_passed_on(client_of):
    client = client_of(Script((*THROTTLED, {"retry-after": "3600"})))
    with pytest.raises(AepThrottledError) as caught:
        client.send(READ)
    assert caught.value.retry_after == 3600
    assert client.clock.slept == []


def test_a_retry_is_logged(client_of, caplog):
    with caplog.at_level(logging.WARNING):
        client_of(Script(GONE, (200, FLOW))).send(READ)
    assert "Service Unavailable [GET flows, sandbox dev, HTTP 503, AEP code 1103-503" in caplog.text
    [record] = caplog.records
    assert re.search(r"^GET flows failed and is sent again in \d+ s: Service Unavailable \[", record.getMessage())


def test_an_unreachable_host_is_named(client_of):
    with pytest.raises(
        AepUnreachableError, match=r"The host platform\.adobe\.io cannot be reached \(ConnectError\).*request id"
    ):
        client_of(Script(httpx.ConnectError("x")), deadline=0).send(READ)


def test_a_deadline_bounds_each_attempt_too(client_of):
    script = Script((200, FLOW))
    client_of(script, deadline=5.0).send(READ)
    assert script.requests[0].extensions["timeout"] == {"connect": 5.0, "read": 5.0, "write": 30.0, "pool": 60.0}


def test_a_broken_connection_is_named(client_of):
    with pytest.raises(AepUnavailableError, match=r"connection to platform\.adobe\.io was interrupted \(ReadTimeout\)"):
        client_of(Script(httpx.ReadTimeout("x")), deadline=0).send(READ)


# -- what a person reads --------------------------------------------------------------------------------------------

LATER = "Next step: Try again later."
POOL = "Next step: Reduce the number of concurrent AEP tasks, for instance with an Airflow pool."
REDIRECT = "Redirects are not followed, because they could leak the token."
NETWORK = "Next step: Check the network, the proxy and the URLs of the connection."
LOST = "Next step: Retry the task: it looks for the object before it sends another create."
PLACE = "GET flows, sandbox dev"


@pytest.mark.parametrize(
    ("call", "answer", "says"),
    [
        (READ, GONE, f"Service Unavailable [{PLACE}, HTTP 503, AEP code 1103-503, request id ID]. {LATER}"),
        (READ, THROTTLED, f"Too many requests [{PLACE}, HTTP 429, AEP code 429050, request id ID]. {POOL}"),
        (READ, (418, {}), f"AEP rejected the request without a reason [{PLACE}, HTTP 418, request id ID]. "
         "Next step: Correct the request as the message describes."),
        (READ, (307, b""), f"AEP responded with a redirect [{PLACE}, HTTP 307, request id ID]. Next step: Check host "
         f"and ims_url of the connection. {REDIRECT}"),
        (READ, (200, {}), f"The response of AEP has an undocumented shape (KeyError) [{PLACE}, HTTP 200, "
         "request id ID]. Next step: Report the operation and the request id to the maintainers of this provider."),
        (READ, httpx.ConnectError("x"), f"The host platform.adobe.io cannot be reached (ConnectError) [{PLACE}, request id ID]. "
         f"{NETWORK}"),
        (READ, httpx.ReadTimeout("x"), f"The connection to platform.adobe.io was interrupted (ReadTimeout) [{PLACE}, "
         f"request id ID]. {LATER}"),
        (CREATE, httpx.ReadTimeout("x"), "The response to POST flows was lost, so AEP may have executed the "
         "request: The connection to platform.adobe.io was interrupted "
         f"(ReadTimeout) [POST flows, sandbox dev, request id ID]. {LOST}"),
        (CREATE, GONE, "The response to POST flows was lost, so AEP may have executed the request: Service Unavailable [POST "
         f"flows, sandbox dev, HTTP 503, AEP code 1103-503, request id ID]. {LOST}"),
    ],
)  # fmt: skip
def test_the_whole_message(client_of, call, answer, says):
    script = Script(answer)
    with pytest.raises(AepError) as caught:
        client_of(script, deadline=0).send(call)
    assert str(caught.value).replace(script.requests[0].headers["x-request-id"], "ID") == says


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((429, {}), f"Adobe IMS throttles token requests [POST token, HTTP 429]. {POOL}"),
        ((503, {}), f"Adobe IMS is not available [POST token, HTTP 503]. {LATER}"),
        (httpx.ConnectError("x"), f"The host ims-na1.adobelogin.com cannot be reached (ConnectError) [{PLACE}]. {NETWORK}"),
        (httpx.ReadTimeout("x"), f"The host ims-na1.adobelogin.com cannot be reached (ReadTimeout) [{PLACE}]. {NETWORK}"),
        ((200, {}), "The response of Adobe IMS contains no token [POST token, HTTP 200]. Next step: Check ims_url in "
         "the extra of the connection."),
        ((302, b""), "The response of Adobe IMS contains no token [POST token, HTTP 302]. Next step: Check host and ims_url of "
         f"the connection. {REDIRECT}"),
        ((400, {}), "Adobe IMS rejected the credentials: IMS returned no reason [POST token, HTTP 400]. Next step: Compare the "
         "connection with the credential in the Adobe Developer Console."),
    ],
)  # fmt: skip
def test_the_whole_message_of_ims(client_of, answer, says):
    with pytest.raises(AepError) as caught:
        client_of(Script((200, FLOW), tokens=[answer]), deadline=0).send(READ)
    assert str(caught.value) == says


@pytest.mark.parametrize("status", [429, 503])
def test_ims_may_say_how_long_to_wait(client_of, status):
    header = {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"}
    client = client_of(Script((200, FLOW), tokens=[(status, {}, header), IMS_TOKEN]))
    client.send(READ)
    assert client.clock.slept == [30.0]


def test_a_moment_that_has_passed_is_no_wait(client_of):
    client = client_of(Script((*THROTTLED, {"retry-after": "Thu, 01 Jan 2025 00:00:00 GMT"}), (200, FLOW)))
    client.send(READ)
    assert 1 <= client.clock.slept[0] <= 3


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"<html>", {"items": "x"}, {}, [], {"items": [{"no": "id"}]}])
def test_an_unknown_shape_is_said_and_quotes_nothing(client_of, body):
    with pytest.raises(AepResponseError, match="undocumented shape.*HTTP 200") as caught:
        client_of(Script((200, body))).send(READ)
    assert "html" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_redirect_is_not_followed(client_of):
    script = Script((307, b"", {"location": "https://evil.example/take"}))
    with pytest.raises(AepResponseError, match="redirect.*host and ims_url"):
        client_of(script).send(READ)
    assert [r.url.host for r in script.requests] == ["platform.adobe.io"]


@pytest.mark.parametrize("call", [READ, catalog.get_dataset("d"), catalog.get_batch("b")])
def test_an_empty_answer_to_a_lookup_means_not_found(client_of, call):
    body = {"items": []} if call is READ else {}
    with pytest.raises(AepNotFoundError, match=r"The response of GET \w+ contains no object \[GET \w+, HTTP 200\]"):
        client_of(Script((200, body))).send(call)


def test_the_server_names_the_request_if_it_can(client_of):
    with pytest.raises(AepInvalidRequestError, match="request id theirs"):
        client_of(Script((400, {}, {"x-request-id": "theirs"}))).send(READ)
    script = Script((400, {}))
    with pytest.raises(AepInvalidRequestError) as caught:
        client_of(script).send(READ)
    assert caught.value.where.request_id == script.requests[0].headers["x-request-id"]


def test_specs_are_read(client_of):
    spec = {"id": "s", "name": "n", "authSpec": [{"name": "a"}]}
    for call in (flow_service.list_connection_specs({"name": "n"}), flow_service.list_flow_specs("n")):
        assert client_of(Script((200, {"items": [spec]}))).items(call)[0].name == "n"
    assert client_of(Script((200, {"items": [spec]}))).send(flow_service.get_flow_spec("s")).id == "s"


def test_both_shapes_that_adobe_documents_are_read(client_of):
    run = flow_service.list_runs("f")
    assert client_of(Script((200, {"items": [{"id": "r", "activites": [{"id": "a"}]}]}))).items(run)[0].activities
    root = flow_service.explore_root("b")
    table = {"name": "t", "path": "t", "type": "table"}
    assert client_of(Script((200, [table]))).send(root) == client_of(Script((200, {"items": [table]}))).send(root)
    wrapped = client_of(Script((201, {"items": [REF]}))).send(CREATE)
    assert wrapped == client_of(Script((201, {"id": "f", "eTag": '"e"'}))).send(CREATE)
    old = {"id": "m", "mappings": [{"sourceAttribute": "a", "destinationXdmPath": "b"}], "xdmSchema": "s"}
    new = {"id": "m", "mappings": [{"source": "a", "destination": "b"}], "outputSchemaRef": {"id": "s"}}
    read = [client_of(Script((200, body))).send(data_prep.get_mapping_set("m")) for body in (old, new)]
    assert {(m.mappings[0].source, m.mappings[0].destination, m.schema_id) for m in read} == {("a", "b", "s")}


@pytest.mark.parametrize(("result", "good"), [(True, True), ("true", True), (False, False), ("false", False)])
def test_a_connection_test_is_read(client_of, result, good):
    assert client_of(Script((200, {"result": result}))).send(flow_service.test_connection("b")) is good


def test_nulls_are_blanks(client_of):
    flow = client_of(Script((200, {"items": [{"id": "f", "name": None, "description": None, "state": None}]}))).send(
        READ
    )
    assert (flow.name, flow.description, flow.state) == ("", "", "")
    call = schema_registry.get("schemas", "s")
    assert client_of(Script((200, {"$id": "s", "title": None}))).send(call).title == ""
    dataset = client_of(Script((200, {"d": {"name": None}}))).send(catalog.get_dataset("d"))
    assert (dataset.id, dataset.name) == ("d", "")
    activity = {"id": None, "statusSummary": {"extensions": None, "status": None}, "targetInfo": None}
    for run in (
        {"id": "r", "activities": None, "metrics": None},
        {"id": "r", "metrics": {"statusSummary": {"errors": None}, "recordSummary": None, "durationSummary": None}},
        {"id": "r", "createdAt": None, "activities": [activity, {"targetInfo": [{"reference": {"ids": None}}]}]},
    ):
        read = client_of(Script((200, {"items": [run]}))).send(flow_service.get_run("r"))
        assert evaluate_run(read).verdict == "waiting"


def test_a_dataset_reference_is_an_id(client_of):
    for prefix in ("@/dataSets/", "@/datasets/"):
        script = Script((201, [f"{prefix}5e54"]))
        assert client_of(script).send(catalog.create_dataset({"name": "d"})) == "5e54"


# -- pages ----------------------------------------------------------------------------------------------------------


def test_links_are_followed_on_our_host_only(client_of):
    first = {
        "items": [{"id": "1"}],
        "_links": {"next": {"href": "https://evil.example/flows?limit=1&continuationToken=%7B%7D"}},
    }
    script = Script((200, first), (200, {"items": [{"id": "2"}], "_links": {}}))
    assert [f.id for f in client_of(script).items(flow_service.list_flows({"name": "n"}))] == ["1", "2"]
    second = script.requests[1].url
    assert second.host == "platform.adobe.io"
    assert second.path == "/data/foundation/flowservice/flows"
    assert dict(second.params) == {"limit": "1", "continuationToken": "{}"}


@pytest.mark.parametrize("href", ["/data/foundation/schemaregistry/tenant/schemas?start=9", "/tenant/schemas?start=9"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_schema_registry_pages_by_link(client_of, href, wrapped):
    more = {"results": [{"$id": "1"}], "_links": {"next": {"href": href} if wrapped else href}}
    script = Script((200, more), (200, {"results": [{"$id": "2"}], "_links": {"next": None}}))
    assert [s.id for s in client_of(script).items(schema_registry.find("schemas", "t"))] == ["1", "2"]
    assert script.requests[1].url.path == "/data/foundation/schemaregistry/tenant/schemas"
    assert script.requests[1].headers["accept"] == "application/vnd.adobe.xed+json"


@pytest.mark.parametrize("service", ["catalog", "data prep"])
def test_catalog_and_data_prep_page_by_offset(client_of, service):
    full = list(range(100))
    if service == "catalog":
        call = catalog.list_datasets("n")
        pages = [(200, {str(i): {} for i in full}), (200, {"last": {}})]
    else:
        call = data_prep.list_mapping_sets("n")
        pages = [(200, {"data": [{"id": str(i)} for i in full]}), (200, {"data": [{"id": "last"}]})]
    script = Script(*pages)
    found = client_of(script).items(call)
    assert (len(found), found[-1].id) == (101, "last")
    assert [r.url.params["start"] for r in script.requests] == ["0", "100"]


def test_a_list_that_never_ends_is_stopped(client_of):
    endless = {"items": [], "_links": {"next": {"href": "/flows?x=1"}}}
    script = Script((200, endless))
    says = rf"The list does not end after {MAX_PAGES} pages \[GET flows, sandbox dev\]. Next step: Set a filter"
    with pytest.raises(AepResponseError, match=says):
        client_of(script).items(flow_service.list_flows({}))
    assert len(script.requests) == MAX_PAGES


def test_batches_of_a_dataset_are_listed_newest_first(client_of):
    script = Script((200, {"b": {"status": "success"}}))
    [batch] = client_of(script).items(catalog.list_batches("d"))
    assert (batch.id, batch.status) == ("b", "success")
    assert dict(script.requests[0].url.params)["orderBy"] == "desc:created"


def test_sandboxes_are_listed(client_of):
    script = Script((200, {"sandboxes": [{"name": "dev", "state": "active"}]}))
    assert client_of(script).send(sandboxes.list_sandboxes())[0].name == "dev"


# -- secrets --------------------------------------------------------------------------------------------------------


def test_each_loop_has_locks_of_its_own_and_a_closed_one_is_let_go():
    cache, script = TokenCache(), Script((200, FLOW), tokens=[(200, {"access_token": "t", "expires_in": 1})])

    async def slowly(request):
        await asyncio.sleep(0.001)
        return script(request)

    async def send():  # each needs a token of its own, so they wait for each other
        async with AsyncAepClient(SETTINGS, tokens=cache, transport=httpx.MockTransport(slowly)) as c:
            await asyncio.gather(c.send(READ), c.send(READ))

    for _ in range(3):
        asyncio.run(send())
    assert len(script.token_requests) == 6
    assert len(cache._loop_locks) == 1


def test_no_row_shows_in_a_repr():
    error = {"code": "X", "message": "canary-row"}
    status = {"errors": [error], "extensions": {"errors": [error]}}
    run = Run.model_validate({"id": "r", "metrics": {"statusSummary": status}, "more": "canary-row"})
    assert "canary-row" not in repr(run) + str(run)
    assert "canary-row" not in repr(Batch.model_validate({"id": "b", "errors": [{"description": "canary-row"}]}))


def test_nothing_secret_shows_in_a_repr():
    secret_call = flow_service.create_connection({"auth": {"params": {"password": "canary-secret"}}})
    with AepClient(SETTINGS, tokens=TokenCache(), transport=httpx.MockTransport(Script((200, FLOW)))) as client:
        client.send(READ)
        shown = repr([SETTINGS, str(SETTINGS), secret_call, client, client._plan.auth, vars(client._plan)])
    assert "canary-secret" not in shown


def test_a_silent_ims_is_not_waited_for_beyond_the_deadline(emulator):
    """httpx bounds the request, but not those that an auth flow sends before it."""
    import socket
    import time

    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = emulator.settings(ims_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with AepClient(settings, tokens=TokenCache(), deadline=0.3) as aep:
            for ask in (lambda: aep.send(sandboxes.list_sandboxes()), aep.identity_headers):
                with pytest.raises(AepUnreachableError):
                    ask()
        assert time.monotonic() - started < 20
