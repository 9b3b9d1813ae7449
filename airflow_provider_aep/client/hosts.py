"""Allow-list of the hosts that may receive a token or a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from airflow_provider_aep.client.errors import AepConfigurationError, AepHostNotAllowedError

# Adobe's hosts, the defaults of the connection's fields.
PLATFORM_URL = "https://platform.adobe.io"
IMS_URL = "https://ims-na1.adobelogin.com"
UI_URL = "https://experience.adobe.com"

_PORTS = {"http": 80, "https": 443}
_HOW_TO_SET = "to a full URL (https://platform.adobe.io), a host, or a host with port and schema; or leave it blank."


@dataclass(frozen=True)
class AllowedHosts:
    """The hosts that may receive credentials: Adobe's, loopback, and those of ``[aep] allowed_hosts``.

    :param extra: entries ``host``, ``host:port`` or ``http://host:port``; the latter also permits plain HTTP
    """

    extra: Sequence[str] = ()

    def check(self, url: str, *, suffix: str, field: str) -> str:
        """Return ``url`` as ``scheme://host[:port]``, or raise if its host may not receive credentials.

        :param suffix: Adobe's domain for this field, ``.adobe.io`` or ``.adobelogin.com``
        :param field: name of the connection's field, for the error
        :raises AepConfigurationError: the text is not a URL of an accepted form
        :raises AepHostNotAllowedError: the host is not allowed, or not allowed with plain HTTP
        """
        scheme, host, port = _parse(url, field)
        is_loopback = _is_loopback(host)
        entries = {entry for text in self.extra if (entry := _parse_entry(text))}
        is_allowed = (
            (host.endswith(suffix) and port == 443)
            or is_loopback
            or any(e_host == host and e_port in {None, port} for _, e_host, e_port in entries)
        )
        if not is_allowed:
            raise AepHostNotAllowedError(
                f"{field} names the host {host!r} (port {port}), which is not allowed to receive credentials",
                next_step=f"Set {field} to a host of *{suffix} or loopback, or ask an administrator to add the host to "
                "allowed_hosts in section [aep] of Airflow's configuration.",
            )
        may_be_plain = is_loopback or any(s == "http" and h == host and p in {None, port} for s, h, p in entries)
        if scheme != "https" and not may_be_plain:
            raise AepHostNotAllowedError(
                f"{field} uses plain HTTP for {host!r}, which is not allowed",
                next_step=f"Set {field} to an https URL, or ask an administrator to add http://{host}:{port} to "
                "allowed_hosts in section [aep] of Airflow's configuration.",
            )
        return _origin(scheme, host, port)


def validate_link(url: str, *, field: str) -> str:
    """Return ``scheme://host[:port]`` of a link for users. The client sends nothing to its host, so any is allowed.

    :param field: name of the connection's field, for the error
    :raises AepConfigurationError: the text is not an HTTP URL
    """
    scheme, host, port = _parse(url, field)
    return _origin(scheme, host, port)


def _origin(scheme: str, host: str, port: int) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}" + ("" if port == _PORTS[scheme] else f":{port}")


def _parse(url: str, field: str) -> tuple[str, str, int]:
    text = url if "://" in url else f"https://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise AepConfigurationError(f"{field} {url!r} is not a URL", next_step=f"Set {field} {_HOW_TO_SET}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise AepConfigurationError(f"{field} {url!r} is not a URL", next_step=f"Set {field} {_HOW_TO_SET}")
    if parts.username is not None or parts.password is not None:
        raise AepConfigurationError(f"{field} carries a user name or password", next_step=f"Set {field} {_HOW_TO_SET}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise AepConfigurationError(
            f"{field} {url!r} has a path, query or fragment", next_step=f"Set {field} {_HOW_TO_SET}"
        )
    return parts.scheme, parts.hostname.lower().rstrip("."), port or _PORTS[parts.scheme]


def _parse_entry(entry: str) -> tuple[str, str, int | None] | None:
    text = entry.strip()
    if not text:
        return None
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        return parts.scheme, (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise AepConfigurationError(
            f"[aep] allowed_hosts contains {text!r}, which is not a host",
            next_step="Set each entry to host, host:port or http://host:port.",
        ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
