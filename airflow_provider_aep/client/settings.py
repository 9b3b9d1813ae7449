"""Settings of a client: URLs, credential, organization and sandbox, validated before a request is sent."""

from __future__ import annotations

import hashlib
import re

from pydantic import BaseModel, ConfigDict, SecretStr

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.hosts import IMS_URL, PLATFORM_URL, UI_URL, AllowedHosts, validate_link

DEFAULT_SCOPES = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"
"""The scopes of a credential with the Experience Platform API, as the Adobe Developer Console assigns them."""

_ORG = re.compile(r"[0-9A-Za-z._-]+@AdobeOrg")
_SANDBOX = re.compile(r"[a-z0-9][a-z0-9-]*")


class AepSettings(BaseModel):
    """Validated settings of one client. Its ``repr`` does not contain the secret.

    :param client_id: of the credential in the Adobe Developer Console
    :param client_secret: of the same credential
    :param org_id: the IMS organization, ``XXXXXXXX@AdobeOrg``
    :param sandbox: name of the sandbox
    :param scopes: comma-separated, as the Developer Console shows them
    :param platform_url: ``scheme://host[:port]`` of AEP
    :param ims_url: ``scheme://host[:port]`` of Adobe IMS
    :param ui_url: ``scheme://host[:port]`` of the user interface, for links
    """

    model_config = ConfigDict(frozen=True)

    client_id: str
    client_secret: SecretStr
    org_id: str
    sandbox: str
    scopes: str = DEFAULT_SCOPES
    platform_url: str = PLATFORM_URL
    ims_url: str = IMS_URL
    ui_url: str = UI_URL

    @classmethod
    def from_fields(
        cls,
        *,
        client_id: str | None,
        client_secret: str | None,
        org_id: str | None,
        sandbox: str | None,
        scopes: str | None = None,
        platform_url: str | None = None,
        ims_url: str | None = None,
        ui_url: str | None = None,
        allowed_hosts: AllowedHosts | None = None,
        subject: str = "The connection",
    ) -> AepSettings:
        """Return validated settings. A blank URL or blank scopes stand for Adobe's defaults.

        :param allowed_hosts: default: only Adobe's hosts and loopback
        :param subject: the owner of these fields, as the subject of errors
        :raises AepConfigurationError: a field is missing or malformed, or names a host that is not allowed
        """
        hosts = allowed_hosts or AllowedHosts()
        for field, text in (("scopes", scopes), ("host", platform_url), ("ims_url", ims_url), ("ui_url", ui_url)):
            if text is not None and not isinstance(text, str):
                raise AepConfigurationError(
                    f"{subject}: {field} is {text!r}, not a text", next_step=f"Set {field} to a text."
                )
        for field, value in (("client id (login)", client_id), ("client secret (password)", client_secret)):
            if not value:
                raise AepConfigurationError(
                    f"{subject} has no {field}",
                    next_step=f"Set {field} to that of the credential in the Adobe Developer Console.",
                )
        if not isinstance(org_id, str) or not _ORG.fullmatch(org_id):
            raise AepConfigurationError(
                f"{subject}: org_id is {org_id!r}, not of the form XXXXXXXX@AdobeOrg"
                if org_id
                else f"{subject} has no org_id",
                next_step="Set org_id in the extra to the organization id, of the form XXXXXXXX@AdobeOrg.",
            )
        if not isinstance(sandbox, str) or not _SANDBOX.fullmatch(sandbox):
            raise AepConfigurationError(
                f"{subject}: sandbox is {sandbox!r}, not a lower-case sandbox name"
                if sandbox
                else f"{subject} has no sandbox",
                next_step="Set sandbox in the extra to the name of a sandbox; it has no default.",
            )
        return cls(
            client_id=client_id or "",
            client_secret=SecretStr(client_secret or ""),
            org_id=org_id,
            sandbox=sandbox,
            scopes=scopes or DEFAULT_SCOPES,
            platform_url=hosts.check(platform_url or PLATFORM_URL, suffix=".adobe.io", field="host"),
            ims_url=hosts.check(ims_url or IMS_URL, suffix=".adobelogin.com", field="ims_url"),
            ui_url=validate_link(ui_url or UI_URL, field="ui_url"),
        )

    @property
    def credential_key(self) -> tuple[str, str, str, str]:
        """The key of the token cache. A rotated secret has a new fingerprint, so it gets a new token."""
        fingerprint = hashlib.sha256(self.client_secret.get_secret_value().encode()).hexdigest()[:16]
        return self.ims_url, self.client_id, self.scopes, fingerprint
