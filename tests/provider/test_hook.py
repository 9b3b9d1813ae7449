"""A connection of type aep becomes a client; what it may say, and what its test answers."""

import asyncio
import json
from urllib.parse import urlencode

import pytest
from airflow.providers.common.compat.sdk import Connection, redact

from airflow_provider_aep.client import sandboxes
from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.hooks.aep import AepHook
from airflow_provider_aep.runtime.connections import platform_url, settings_of
from airflow_provider_aep.runtime.source_credentials import source_credentials
from airflow_provider_aep.systems import SYSTEMS

CONNECTED = "Connected to sandbox dev of EMULATOR@AdobeOrg: the credential can use all services"


@pytest.mark.parametrize(
    ("host", "port", "schema", "url"),
    [
        (None, None, None, None),
        ("", 0, "", None),
        ("https://platform.adobe.io", None, None, "https://platform.adobe.io"),
        ("https://platform.adobe.io", 0, "", "https://platform.adobe.io"),
        ("http://127.0.0.1:8787", None, None, "http://127.0.0.1:8787"),
        ("platform.adobe.io", None, None, "https://platform.adobe.io"),
        ("127.0.0.1", 8787, "http", "http://127.0.0.1:8787"),
        ("localhost", 0, "https", "https://localhost"),
    ],
)
def test_the_accepted_forms_of_host(host, port, schema, url):
    assert platform_url(host, port, schema) == url


@pytest.mark.parametrize(
    ("host", "port", "schema", "says"),
    [
        (None, 8787, None, "port or schema but no host"),
        (None, None, "https", "port or schema but no host"),
        ("https://platform.adobe.io", 443, None, "full URL, but port or schema is also set"),
        ("https://platform.adobe.io", None, "https", "full URL, but port or schema is also set"),
        ("platform.adobe.io", None, "ftp", "schema is 'ftp'"),
    ],
)
def test_other_forms_of_host_are_refused(host, port, schema, says):
    with pytest.raises(AepConfigurationError, match=f"{says}.*Next step"):
        platform_url(host, port, schema)


def test_the_fields_become_settings(emulator, connect):
    connect(emulator, extra={"scopes": "a,b"})
    settings = AepHook().settings
    assert (settings.client_id, settings.org_id, settings.sandbox) == ("emulator", "EMULATOR@AdobeOrg", "dev")
    assert (settings.platform_url, settings.ims_url, settings.scopes) == (emulator.url, emulator.url, "a,b")


def test_a_uri_does_as_well(emulator, monkeypatch):
    host = emulator.url.removeprefix("http://")
    extra = urlencode({"org_id": "EMULATOR@AdobeOrg", "sandbox": "dev", "ims_url": emulator.url})
    monkeypatch.setenv("AIRFLOW_CONN_AEP_DEFAULT", f"aep://emulator:emulator-secret@{host}/http?{extra}")
    assert AepHook().test_connection() == (True, CONNECTED)


def test_the_deployers_list_is_obeyed(monkeypatch):
    extra = {"org_id": "a@AdobeOrg", "sandbox": "dev", "ims_url": "http://aep-emulator:8787"}
    connection = {
        "conn_type": "aep",
        "login": "i",
        "password": "secret",
        "host": "http://aep-emulator:8787",
        "extra": extra,
    }
    monkeypatch.setenv("AIRFLOW_CONN_AEP_DEFAULT", json.dumps(connection))
    with pytest.raises(AepConfigurationError, match=r"'aep-emulator'.*allowed_hosts in section"):
        _ = AepHook().settings
    monkeypatch.setenv("AIRFLOW__AEP__ALLOWED_HOSTS", "other, http://aep-emulator:8787")
    assert AepHook().settings.platform_url == "http://aep-emulator:8787"


def test_a_connection_of_another_type_is_an_error(emulator, connect):
    connect(emulator)
    with pytest.raises(AepConfigurationError, match="'aep_servicenow' is of type 'http', not 'aep'"):
        _ = AepHook("aep_servicenow").settings


def test_an_extra_of_another_shape_is_an_error():
    """Where Airflow gives such a connection at all: 3.0 takes none from the environment."""
    connection = Connection(conn_id="aep_default", conn_type="aep", login="i", password="secret", extra='["org_id"]')
    with pytest.raises(
        AepConfigurationError, match="extra of the Airflow connection 'aep_default' is not a JSON object"
    ):
        settings_of(connection)


def test_a_connection_cannot_list_hosts_itself(emulator, connect):
    connect(emulator, host="https://evil.example", extra={"allowed_hosts": "evil.example"})
    ok, message = AepHook().test_connection()
    assert not ok
    assert "evil.example" in message
    assert emulator.requests() == []


def test_the_client_works_on_a_loop(emulator, connect):
    connect(emulator)

    async def names():
        async with AepHook().get_async_conn() as aep:
            return [s.name for s in await aep.send(sandboxes.list_sandboxes())]

    assert asyncio.run(names()) == ["prod", "dev"]


def test_secret_and_token_are_masked_in_logs(emulator, connect, capsys):
    connect(emulator)
    with AepHook().get_conn() as aep:
        aep.send(sandboxes.list_sandboxes())
        token = aep._plan.auth._cache.get(aep.settings.credential_key, aep.clock.now()).value
    assert redact(f"x {token} y") == "x *** y"
    assert redact(f"x {emulator.world.options.client_secret} y") == "x *** y"


def test_a_token_fetched_on_a_loop_is_masked(emulator, connect):
    from airflow_provider_aep.client.auth import SHARED_TOKENS

    connect(emulator, extra={"scopes": "openid,session"})

    async def fetch():
        async with AepHook().get_async_conn() as aep:
            await aep.send(sandboxes.list_sandboxes())
            return SHARED_TOKENS.get(aep.settings.credential_key, aep.clock.now()).value

    assert redact(asyncio.run(fetch())) == "***"


def test_a_hook_shows_no_secret(emulator, connect):
    connect(emulator)
    hook = AepHook()
    assert "emulator-secret" not in repr(hook) + repr(hook.settings) + str(vars(hook))


# -- sources --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "endpoint"),
    [
        ({"host": "https://x.service-now.com"}, "https://x.service-now.com"),
        ({"host": "x.service-now.com"}, "https://x.service-now.com"),
        ({"host": "x.service-now.com", "schema": "https"}, "https://x.service-now.com"),
        ({"host": "x.example", "schema": "http", "port": 8080}, "http://x.example:8080"),
    ],
)
def test_a_servicenow_connection_becomes_parameters(emulator, connect, fields, endpoint):
    connect(emulator, source=fields)
    params = source_credentials("aep_source", SYSTEMS["servicenow"].auth_params)
    assert params == {"endpoint": endpoint, "username": "u", "password": "source-password"}


def test_what_the_source_connection_leaves_blank_is_left_out(emulator, connect):
    connect(emulator, source={"password": None, "host": ""})
    assert source_credentials("aep_source", SYSTEMS["servicenow"].auth_params) == {"username": "u"}


def test_a_salesforce_connection_has_a_version_in_its_extra(emulator, connect):
    connect(emulator, source={"host": "x.my.salesforce.com", "extra": {"apiVersion": "60.0"}})
    assert source_credentials("aep_source", SYSTEMS["salesforce-service-cloud"].auth_params) == {
        "environmentUrl": "https://x.my.salesforce.com",
        "clientId": "u",
        "clientSecret": "source-password",
        "apiVersion": "60.0",
    }


def test_an_oracle_connection_has_a_host_as_it_is(emulator, connect):
    connect(emulator, source={"host": "x.custhelp.com"})
    assert source_credentials("aep_source", SYSTEMS["oracle-service-cloud"].auth_params)["host"] == "x.custhelp.com"


def test_a_field_that_no_connection_has_is_said(emulator, connect):
    connect(emulator)
    with pytest.raises(AepConfigurationError, match="no field .* for 'accessToken'.*to url, host") as caught:
        source_credentials("aep_source", {"accessToken": "a-secret-by-mistake"})
    assert "by-mistake" not in str(caught.value)
