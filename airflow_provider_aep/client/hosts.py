"""Which hosts may receive a token or a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from airflow_provider_aep.client.errors import AepConfigurationError, AepHostNotAllowedError

PLATFORM_URL = "https://platform.adobe.io"
IMS_URL = "https://ims-na1.adobelogin.com"
UI_URL = "https://experience.adobe.com"

_PORTS = {"http": 80, "https": 443}
_ACCEPTED = "Accepted: a full URL (https://platform.adobe.io), host, or host with port and schema; blank for Adobe's."


@dataclass(frozen=True)
class AllowedHosts:
    """Adobe's hosts, loopback, and what the deployer added.

    :param extra: entries ``host``, ``host:port`` or ``http://host:port`` of ``[aep] allowed_hosts``
    """

    extra: Sequence[str] = ()

    def check(self, url: str, *, suffix: str, field: str) -> str:
        """Return ``url`` as ``scheme://host[:port]``, or raise before anything is sent to it.

        :param suffix: Adobe's domain for this field, ``.adobe.io`` or ``.adobelogin.com``
        :param field: name of the connection's field, for the error
        :raises AepConfigurationError: not a URL of an accepted form
        :raises AepHostNotAllowedError: not Adobe's, not loopback, not listed; or plain HTTP where it is not allowed
        """
        scheme, host, port = _parse(url, field)
        loopback = _is_loopback(host)
        listed = {entry for raw in self.extra if (entry := _entry(raw))}
        allowed = (
            (host.endswith(suffix) and port == 443)
            or loopback
            or any(e_host == host and e_port in {None, port} for _, e_host, e_port in listed)
        )
        if not allowed:
            raise AepHostNotAllowedError(
                f"{field} names the host {host!r} (port {port}), which is not allowed to receive credentials",
                next_step=f"Use a host of *{suffix} or loopback, or have the deployer add it to allowed_hosts, "
                "section aep of Airflow's configuration.",
            )
        plain = loopback or any(s == "http" and h == host and p in {None, port} for s, h, p in listed)
        if scheme != "https" and not plain:
            raise AepHostNotAllowedError(
                f"{field} uses plain HTTP for {host!r}",
                next_step=f"Use https, or have the deployer list http://{host}:{port} in allowed_hosts, section aep.",
            )
        return _origin(scheme, host, port)


def checked_link(url: str, *, field: str) -> str:
    """``scheme://host[:port]`` of a page that a person may open; nothing is sent there.

    :raises AepConfigurationError: not an HTTP URL
    """
    scheme, host, port = _parse(url, field)
    return _origin(scheme, host, port)


def _origin(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port == _PORTS[scheme] else f":{port}")


def _parse(url: str, field: str) -> tuple[str, str, int]:
    text = url if "://" in url else f"https://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise AepConfigurationError(f"{field} {url!r} is not a URL", next_step=_ACCEPTED) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise AepConfigurationError(f"{field} {url!r} is not a URL", next_step=_ACCEPTED)
    if parts.username is not None or parts.password is not None:
        raise AepConfigurationError(f"{field} carries a user name or password", next_step=_ACCEPTED)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise AepConfigurationError(f"{field} {url!r} has a path, query or fragment", next_step=_ACCEPTED)
    return parts.scheme, parts.hostname.lower().rstrip("."), port or _PORTS[parts.scheme]


def _entry(raw: str) -> tuple[str, str, int | None] | None:
    text = raw.strip()
    if not text:
        return None
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        return parts.scheme, (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise AepConfigurationError(
            f"[aep] allowed_hosts has the entry {text!r}, which is no host", next_step="Write host or host:port."
        ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
