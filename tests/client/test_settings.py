"""What a connection may say, and which hosts may hear a secret."""

import pytest

from airflow_provider_aep.client.errors import AepConfigurationError, AepHostNotAllowedError
from airflow_provider_aep.client.hosts import AllowedHosts
from airflow_provider_aep.client.settings import DEFAULT_SCOPES, AepSettings

GOOD = {"client_id": "id", "client_secret": "canary-secret", "org_id": "ORG@AdobeOrg", "sandbox": "dev"}


def platform(url, *listed):
    return AllowedHosts(listed).check(url, suffix=".adobe.io", field="host")


def test_blank_means_adobes():
    settings = AepSettings.from_fields(**GOOD, scopes="", platform_url="", ims_url=None)
    assert settings.platform_url == "https://platform.adobe.io"
    assert settings.ims_url == "https://ims-na1.adobelogin.com"
    assert settings.scopes == DEFAULT_SCOPES


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("client_id", "", r"no client id \(login\).*Developer Console"),
        ("client_secret", None, r"no client secret \(password\).*Developer Console"),
        ("org_id", None, "The connection has no org_id.*Set org_id.*XXXXXXXX@AdobeOrg"),
        ("org_id", "ORG", "org_id is 'ORG'"),
        ("org_id", "O RG@AdobeOrg", "org_id is"),
        ("sandbox", None, "The connection has no sandbox.*it has no default"),
        ("sandbox", "", "The connection has no sandbox"),
        ("sandbox", "Dev", "sandbox is 'Dev', not a lower-case sandbox name"),
        ("sandbox", "*", "sandbox is"),
        ("sandbox", 5, "sandbox is 5"),
        ("org_id", 5, "org_id is 5"),
        ("scopes", ["a"], r"scopes is \['a'\], not a text"),
        ("ims_url", 5, "ims_url is 5, not a text"),
        ("platform_url", {}, "host is {}, not a text"),
    ],
)
def test_what_is_missing_or_malformed_is_named(field, value, says):
    with pytest.raises(AepConfigurationError, match=says) as caught:
        AepSettings.from_fields(**{**GOOD, field: value})
    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://platform.adobe.io", "https://platform.adobe.io"),
        ("https://platform-stage.adobe.io/", "https://platform-stage.adobe.io"),
        ("platform.adobe.io", "https://platform.adobe.io"),
        ("https://PLATFORM.Adobe.IO.", "https://platform.adobe.io"),
        ("https://platform.adobe.io:443", "https://platform.adobe.io"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("http://127.8.9.1:1", "http://127.8.9.1:1"),
        ("https://localhost:8443", "https://localhost:8443"),
    ],
)
def test_adobes_hosts_and_loopback_are_allowed(url, checked):
    assert platform(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "https://adobe.io",
        "https://adobe.io.evil.example",
        "https://evil-adobe.io",
        "https://platform.adobe.io:8443",
        "https://ims-na1.adobelogin.com",
        "https://10.0.0.1",
        "https://[::ffff:10.0.0.1]",
        "https://0.0.0.0",
        "https://localhost.evil.example",
        "https://platform。adobe。io",
    ],
)
def test_other_hosts_are_refused_with_the_way_to_allow_them(url):
    with pytest.raises(AepHostNotAllowedError, match=r"host names the host.*allowed_hosts in section \[aep\]"):
        platform(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://platform.adobe.io", "is not a URL.*Set host to a full URL"),
        ("https://", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://platform.adobe.io:http", "is not a URL"),
        ("https://u:p@platform.adobe.io", "user name or password"),
        ("https://platform.adobe.io@evil.example", "user name or password"),
        ("https://platform.adobe.io/data", "path, query or fragment"),
        ("https://platform.adobe.io?x=1", "path, query or fragment"),
        ("https://platform.adobe.io#x", "path, query or fragment"),
    ],
)
def test_what_is_not_a_plain_url_is_refused(url, says):
    with pytest.raises(AepConfigurationError, match=says):
        platform(url)


def test_plain_http_is_refused_away_from_loopback():
    with pytest.raises(
        AepHostNotAllowedError, match="plain HTTP.*Set host to an https URL.*http://platform.adobe.io:443"
    ):
        platform("http://platform.adobe.io:443")


@pytest.mark.parametrize(
    ("listed", "url", "checked"),
    [
        ("aep-emulator", "https://aep-emulator:8787", "https://aep-emulator:8787"),
        ("aep-emulator:8787", "https://aep-emulator:8787", "https://aep-emulator:8787"),
        (" http://AEP-emulator:8787 ", "http://aep-emulator:8787", "http://aep-emulator:8787"),
        ("http://aep-emulator", "http://aep-emulator:1", "http://aep-emulator:1"),
    ],
)
def test_the_deployer_may_list_more(listed, url, checked):
    assert platform(url, "", listed) == checked


@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("aep-emulator:8787", "https://aep-emulator:9999"),
        ("aep-emulator", "http://aep-emulator:8787"),
        ("http://aep-emulator:8787", "http://aep-emulator:8788"),
        ("emulator", "https://aep.emulator"),
    ],
)
def test_a_listed_host_is_taken_as_it_is_listed(listed, url):
    with pytest.raises(AepHostNotAllowedError):
        platform(url, listed)


@pytest.mark.parametrize("listed", ["host:abc", "[::1"])
def test_an_entry_that_is_no_host_is_said(listed):
    with pytest.raises(AepConfigurationError, match="allowed_hosts contains .* which is not a host"):
        platform("https://evil.example", listed)


def test_ims_has_its_own_domain():
    with pytest.raises(AepHostNotAllowedError, match="ims_url names the host 'platform.adobe.io'"):
        AepSettings.from_fields(**GOOD, ims_url="https://platform.adobe.io")


def test_the_secret_shows_in_no_repr():
    assert "canary-secret" not in repr(AepSettings.from_fields(**GOOD))
