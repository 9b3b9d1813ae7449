"""The escape hatch: Airflow's HTTP provider with our authentication, and what must never leave."""

import json
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.providers.http.operators.http import HttpOperator
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aep_emulator.core.store import Scope
from airflow_provider_aep.client import flow_service
from airflow_provider_aep.client.call import by_link
from airflow_provider_aep.client.errors import AepHostNotAllowedError
from airflow_provider_aep.exceptions import AepPermanentError, AepRetryableError
from airflow_provider_aep.hooks import http
from airflow_provider_aep.hooks.aep import AepHook
from airflow_provider_aep.hooks.http import AepHttpHook
from airflow_provider_aep.operators.http import AepHttpOperator
from airflow_provider_aep.operators.target import AepCreateSchemaOperator
from airflow_provider_aep.sensors.flow_run import AepFlowRunSensor
from airflow_provider_aep.sensors.http import AepHttpSensor

DATASETS = "/data/foundation/catalog/dataSets"
FLOWS = "/data/foundation/flowservice/flows"


@pytest.fixture
def aep(emulator, connect):
    connect(emulator)
    return emulator


@pytest.fixture
def recorder():
    """A server that keeps every byte that it receives, and sends a prepared response."""
    received, answer = [], {"status": 200, "headers": {}, "body": "{}"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("content-length") or 0)
            received.append(f"{self.command} {self.path}\n{self.headers}\n{self.rfile.read(length).decode()}")
            body = answer["body"].encode()
            self.send_response(answer["status"])
            for name, value in {"content-length": str(len(body)), **answer["headers"]}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    server.url, server.received, server.answer = f"http://127.0.0.1:{server.server_address[1]}", received, answer
    yield server
    server.shutdown()
    server.server_close()


def ask(endpoint, operator=AepHttpOperator, **arguments):
    return operator(task_id="t", endpoint=endpoint, **arguments).execute({})


# -- what it is for -------------------------------------------------------------------------------------------------


def test_it_pages_through_250_datasets(aep):
    schema = AepCreateSchemaOperator(task_id="s", title="S").execute({})
    for n in range(250):
        body = {"name": f"dataset {n}", "schemaRef": {"id": schema, "contentType": "x"}}
        answer = ask(DATASETS, method="POST", data=json.dumps(body), headers={"Content-Type": "application/json"})
        assert json.loads(answer)[0].startswith("@/dataSets/")

    def following(response):
        start = int(dict(p.split("=") for p in response.request.url.split("?")[1].split("&"))["start"])
        return {"data": {"start": start + 100}} if len(response.json()) == 100 else None

    names = ask(
        DATASETS,
        data={"limit": 100, "start": 0, "orderBy": "asc:created"},
        pagination_function=following,
        response_check=lambda responses: len(responses) == 3,
        response_filter=lambda responses: [d["name"] for r in responses for d in r.json().values()],
    )
    assert names == [f"dataset {n}" for n in range(250)]


def test_a_request_without_data_has_no_body(aep):
    operator = AepHttpOperator(task_id="t", method="DELETE", endpoint=f"{DATASETS}/none")
    with pytest.raises(AepPermanentError):
        operator.execute({})
    [request] = aep.requests("DELETE */dataSets/{id}")
    assert not request["body"]


def test_a_dict_is_sent_as_json(aep):
    schema = AepCreateSchemaOperator(task_id="s", title="S").execute({})
    body = {"name": "by dict", "schemaRef": {"id": schema, "contentType": "x"}}
    assert json.loads(ask(DATASETS, method="POST", data=body))[0].startswith("@/dataSets/")
    [(_, stored)] = aep.world.store.everywhere("dataSets")
    assert stored["name"] == "by dict"


def test_a_failed_check_fails_the_task(aep):
    with pytest.raises(Exception, match="Response check returned False"):
        ask(DATASETS, response_check=lambda response: False)


def test_errors_are_typed_and_say_what_to_do(aep, caplog):
    with pytest.raises(AepPermanentError, match=r"HTTP 404, AEP code 1101-404, request id .*Next step:") as caught:
        ask(f"{FLOWS}/nobody")
    assert caught.value.__cause__.code == "1101-404"
    assert "nobody in flows" not in caplog.text  # what AEP says may quote a row


def test_an_expired_token_is_replaced_once(aep):
    with AepHook().get_conn() as client:
        client.identity_headers()
    aep.world.store._db.execute("DELETE FROM tokens")
    assert ask(DATASETS) == "{}"
    codes = [e["code"] for e in aep.requests() if e["operation"].endswith("dataSets")]
    assert codes == ["401013", ""]


def test_throttling_and_outages_are_retryable(aep, recorder, connect):
    connect(aep, host=recorder.url)
    recorder.answer |= {"status": 429, "headers": {"retry-after": "7"}, "body": '{"error_code": "429050"}'}
    with pytest.raises(AepRetryableError) as caught:
        ask(DATASETS)
    assert caught.value.retry_after == 7
    recorder.answer |= {"status": 503, "body": ""}
    with pytest.raises(AepRetryableError):
        ask(DATASETS)
    connect(aep, host="http://127.0.0.1:9")
    with pytest.raises(AepRetryableError, match="The host 127.0.0.1:9 cannot be reached"):
        ask(DATASETS)


def test_a_request_that_cannot_be_sent_is_permanent(aep):
    with pytest.raises(AepPermanentError, match="The request is invalid .InvalidHeader"):
        ask(DATASETS, headers={"x-number": 1})


def test_a_broken_connection_is_retryable_and_its_url_is_not_logged(aep, recorder, connect, caplog, capsys):
    connect(aep, host=recorder.url)
    recorder.answer |= {"headers": {"content-length": "1000"}, "body": "short"}
    with pytest.raises(AepRetryableError, match="The connection to .* was interrupted .ChunkedEncodingError") as caught:
        ask("/data/x?entityId=alice%40example.com", extra_options={"timeout": 5})
    connect(aep, host="http://127.0.0.1:9")
    with pytest.raises(AepRetryableError, match="cannot be reached"):
        ask("/data/x?entityId=alice%40example.com")
    said = caplog.text + "".join(capsys.readouterr()) + str(caught.value)
    assert "alice" not in said


@pytest.mark.parametrize(
    ("method", "says"), [("GET", "Try again later"), ("POST", "Check in AEP whether the request was executed")]
)
@pytest.mark.parametrize("answer", [{"status": 503, "body": ""}, {"headers": {"content-length": "99"}}])
def test_an_operation_that_must_not_be_repeated_raises(aep, recorder, connect, method, says, answer):
    connect(aep, host=recorder.url)
    recorder.answer |= answer
    with pytest.raises(AepRetryableError, match=says):
        ask(DATASETS, method=method, extra_options={"timeout": 5})


def test_silence_is_not_waited_for_without_end(aep, connect, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect(aep, host=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(AepRetryableError, match="ReadTimeout"):
            ask(DATASETS)


@pytest.fixture
def self_signed(tmp_path, recorder):
    """The recorder, behind a certificate that nobody knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(today - timedelta(1)).not_valid_after(today + timedelta(1))
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "both.pem"
    file.write_bytes(secret + made.sign(key, hashes.SHA256()).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    recorder.socket = context.wrap_socket(recorder.socket, server_side=True)
    return recorder.url.replace("http://127.0.0.1", "https://localhost")


def test_an_unknown_certificate_is_a_permanent_error(aep, connect, self_signed, recorder):
    connect(aep, host=self_signed)
    with pytest.raises(AepPermanentError, match="The certificate of .* is not trusted"):
        ask(DATASETS)
    assert recorder.received == []


def test_a_handshake_that_breaks_off_is_retryable(aep, connect):
    connect(aep, host=aep.url.replace("http://", "https://"))  # no TLS is spoken there
    with pytest.raises(AepRetryableError, match="The connection to .* was interrupted"):
        ask(DATASETS)


def test_a_dead_proxy_has_sent_nothing(aep):
    with pytest.raises(AepRetryableError, match="cannot be reached .ProxyError"):
        ask(DATASETS, method="POST", extra_options={"proxies": {"http": "http://127.0.0.1:9"}})


def test_a_proxy_is_used(aep, recorder, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    ask(DATASETS, extra_options={"proxies": {"http": recorder.url}})
    assert recorder.received[0].startswith(f"GET {aep.url}{DATASETS}")


def test_the_session_signs_nothing_for_another_host(aep, recorder):
    with pytest.raises(AepHostNotAllowedError, match="not the host of the connection"):
        AepHttpHook("GET").get_conn(extra_options={}).get(f"{recorder.url}/x")
    assert recorder.received == []


def test_the_hooks_other_doors(aep):
    assert AepHttpHook().test_connection() == AepHook().test_connection()
    with pytest.raises(AepPermanentError, match="TLS cannot be disabled"):
        AepHttpHook().get_conn(extra_options={"verify": False})


def test_a_moment_to_retry_after_is_understood(aep, recorder, connect):
    connect(aep, host=recorder.url)
    recorder.answer |= {"status": 503, "headers": {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}}
    with pytest.raises(AepRetryableError) as caught:
        ask(DATASETS)
    assert caught.value.retry_after > 1_000_000


def test_wrong_credentials_are_permanent(aep, connect):
    connect(aep, password="another")
    with pytest.raises(AepPermanentError, match="Adobe IMS rejected the credentials"):
        ask(DATASETS)


def test_the_sensor_waits_for_what_is_not_there_yet(aep):
    sensor = AepHttpSensor(task_id="t", endpoint=f"{FLOWS}/nobody")
    assert sensor.poke({}) is False
    checks = []
    sensor = AepHttpSensor(
        task_id="t",
        endpoint=FLOWS,
        request_params={"limit": 1},
        response_check=lambda response: checks.append(response) or bool(response.json()["items"]),
    )
    assert sensor.poke({}) is False
    assert len(checks) == 1
    assert AepHttpSensor(task_id="t", endpoint=FLOWS).poke({}) is True
    strict = AepHttpSensor(task_id="t", endpoint=f"{FLOWS}/nobody", response_error_codes_allowlist=[])
    with pytest.raises(AepPermanentError, match="1101-404"):
        strict.poke({})


def test_the_sensor_waits_out_an_outage(aep, recorder, connect):
    connect(aep, host=recorder.url)
    recorder.answer |= {"status": 503}
    assert AepHttpSensor(task_id="t", endpoint=FLOWS).poke({}) is False


# -- what is refused when the DAG is parsed -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AepHttpOperator, AepHttpSensor])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"endpoint": "https://evil.example/x"}, "is an absolute URL"),
        ({"endpoint": "//evil.example/x"}, "is an absolute URL"),
        ({"endpoint": "/x", "deferrable": True}, "deferrable is True"),
        ({"endpoint": "/x", "http_conn_id": "other"}, "http_conn_id is set"),
    ],
)
def test_what_cannot_work_is_an_import_error(kind, arguments, says):
    with pytest.raises(ValueError, match=says):
        kind(task_id="t", **arguments)


def test_a_default_of_deferring_does_not_make_it_defer(aep, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    assert ask(DATASETS) == "{}"


# -- what must never leave ------------------------------------------------------------------------------------------


def test_a_plain_http_operator_fails_and_sends_nothing(aep, recorder, connect):
    connect(aep, host=recorder.url, extra={"ims_url": recorder.url, "scopes": "openid,emulator-secret-in-extra"})
    with pytest.raises(AepPermanentError, match="Use AepHttpOperator"):
        ask("/x", HttpOperator, http_conn_id="aep_default", method="GET")
    assert recorder.received == []


def test_a_hostile_link_to_the_next_page_gets_nothing(aep, recorder):
    with pytest.raises(AepPermanentError, match="is an absolute URL"):
        ask(DATASETS, pagination_function=lambda response: {"endpoint": f"{recorder.url}/steal"})
    assert recorder.received == []


@pytest.mark.parametrize(
    "endpoint", ["@{host}/x", "\\\\{host}/x", ":80@{host}/x", ".{host}", "/\\{host}", "?@{host}", "http:{host}/x"]
)
def test_no_spelling_of_an_endpoint_leads_elsewhere(aep, recorder, endpoint):
    host = recorder.url.removeprefix("http://")
    with suppress(AepPermanentError, AepRetryableError):
        AepHttpHook("GET").run(endpoint.format(host=host))
    assert recorder.received == []


def test_a_redirect_is_not_followed(aep, recorder, connect):
    connect(aep, host=recorder.url)
    other = aep.url.replace("127.0.0.1", "localhost")
    recorder.answer |= {"status": 302, "headers": {"location": f"{other}{DATASETS}"}}
    before = len(aep.requests())
    with pytest.raises(AepPermanentError, match="redirect"):
        ask(DATASETS)
    assert [e["operation"] for e in aep.requests()[before:]] in ([], ["POST token"])


def test_the_session_alone_follows_no_redirect_either(aep, recorder, connect):
    connect(aep, host=recorder.url)
    recorder.answer |= {"status": 302, "headers": {"location": aep.url.replace("127.0.0.1", "localhost")}}
    session = AepHttpHook("GET").get_conn(extra_options={})
    assert session.get(f"{recorder.url}/x").status_code == 302
    assert len(recorder.received) == 1


def test_a_hostile_ims_or_host_gets_nothing(aep, recorder, connect, monkeypatch):
    """The recorder stands for a host that is not allowed: loopback is, so the rule is made to say no."""
    from airflow_provider_aep.client import hosts

    monkeypatch.setattr(hosts, "_is_loopback", lambda host: host == "localhost")
    good = aep.url.replace("127.0.0.1", "localhost")
    for changes in (
        {"host": recorder.url, "extra": {"ims_url": good}},
        {"host": good, "extra": {"ims_url": recorder.url}},
    ):
        connect(aep, **changes)
        with pytest.raises(AepPermanentError, match="not allowed to receive credentials"):
            ask(DATASETS)
        with pytest.raises(AepPermanentError, match="not allowed to receive credentials"):
            AepCreateSchemaOperator(task_id="s", title="S").execute({})
        assert AepHook().test_connection()[0] is False
    assert recorder.received == []


def test_links_in_answers_lead_nowhere_else(aep, recorder):
    """A run's manifest and a list's next page name another host: it is not asked."""
    scope = Scope(aep.world.options.org_id, "dev")
    manifest = {"failedRecords": f"{recorder.url}/meta?path=row_errors", "sampleErrors": f"{recorder.url}/x"}
    status = {"status": "success", "errors": [{"code": "CONNECTOR-2001-500"}], "extensions": {"manifest": manifest}}
    run = {"id": "r", "flowId": "f", "createdAt": 1, "activities": [{"id": "a", "statusSummary": status}]}
    run["metrics"] = {"statusSummary": status, "fileSummary": {"extensions": {"manifest": manifest}}}
    aep.world.store.add("runs", scope, "r", run, parent="f")
    with pytest.raises(AepPermanentError, match="Not accepted"):
        AepFlowRunSensor(task_id="s", flow_id="f", run_id="r").execute({})
    flows = flow_service.list_flows({"name": "f"})
    with aep.client() as client:
        hostile = by_link(f"{recorder.url}/data/foundation/flowservice/flows?limit=1", flow_service.BASE)
        assert client.send(hostile(flows)).items == []
    assert recorder.received == []


def test_extras_never_become_headers_and_the_secret_is_not_sent(aep, recorder, connect):
    connect(aep, host=recorder.url, extra={"x-evil": "from-the-extra", "private_key": "canary-key"})
    ask(DATASETS, headers={"x-own": "mine", "Authorization": "Bearer mine"})
    [received] = recorder.received
    assert "x-own: mine" in received
    assert "from-the-extra" not in received
    assert "canary-key" not in received
    assert "emulator-secret" not in received
    assert "Basic" not in received
    assert "Bearer mine" not in received
    for header in ("Authorization: Bearer emulated.", "x-api-key: emulator", "x-gw-ims-org-id:", "x-sandbox-name: dev"):
        assert header in received


@pytest.mark.parametrize("verify", [False, 0, "", None])
def test_tls_stays_on(aep, verify):
    with pytest.raises(AepPermanentError, match="verify=.*TLS cannot be disabled"):
        ask(DATASETS, extra_options={"verify": verify})


def test_unsupported_options_are_logged(aep):
    with pytest.raises(AepPermanentError, match="extra_options contains allow_redirects"):
        ask(DATASETS, extra_options={"allow_redirects": True})
    assert ask(DATASETS, extra_options={"timeout": 5}) == "{}"
