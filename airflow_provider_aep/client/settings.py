"""What a client needs to know: where AEP is, who asks, in which org and sandbox."""

from __future__ import annotations

import hashlib
import re

from pydantic import BaseModel, ConfigDict, SecretStr

from airflow_provider_aep.client.errors import AepConfigurationError
from airflow_provider_aep.client.hosts import IMS_URL, PLATFORM_URL, UI_URL, AllowedHosts, checked_link

# The scopes Adobe's console gives a credential with the Experience Platform API.
DEFAULT_SCOPES = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"
_ORG = re.compile(r"[^@\s]+@[^@\s]+")
_SANDBOX = re.compile(r"[a-z0-9][a-z0-9-]*")


class AepSettings(BaseModel):
    """Checked settings of one client; the secret never shows in a repr.

    :param platform_url: ``scheme://host[:port]``
    :param ims_url: ``scheme://host[:port]``
    :param ui_url: ``scheme://host[:port]`` of the user interface; links lead there, nothing is sent
    :param scopes: comma-separated, as the Developer Console shows them
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
    def checked(
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
        called: str = "The connection",
    ) -> AepSettings:
        """Check every field before the first byte is sent; blank means Adobe's where Adobe has one.

        :param called: what has these fields, for the error

        :raises AepConfigurationError: a field is missing or malformed; it names the field and the remedy
        """
        hosts = allowed_hosts or AllowedHosts()
        for field, text in (("scopes", scopes), ("host", platform_url), ("ims_url", ims_url), ("ui_url", ui_url)):
            if text is not None and not isinstance(text, str):
                raise AepConfigurationError(f"{field} is {text!r}, not text", next_step=f"Set {field} as text.")
        for field, value in (("client id (login)", client_id), ("client secret (password)", client_secret)):
            if not value:
                raise AepConfigurationError(
                    f"{called} has no {field}", next_step="Set it from the Adobe Developer Console."
                )
        if not isinstance(org_id, str) or not _ORG.fullmatch(org_id):
            raise AepConfigurationError(
                f"{called}: org_id is {org_id!r}, not of the form XXXXXXXX@AdobeOrg"
                if org_id
                else f"{called} has no org_id",
                next_step="Set org_id in its extra, of the form XXXXXXXX@AdobeOrg.",
            )
        if not isinstance(sandbox, str) or not _SANDBOX.fullmatch(sandbox):
            raise AepConfigurationError(
                f"{called}: sandbox is {sandbox!r}, not a lower-case sandbox name"
                if sandbox
                else f"{called} has no sandbox",
                next_step="Set sandbox in its extra; there is no default, not even prod.",
            )
        return cls(
            client_id=client_id or "",
            client_secret=SecretStr(client_secret or ""),
            org_id=org_id,
            sandbox=sandbox,
            scopes=scopes or DEFAULT_SCOPES,
            platform_url=hosts.check(platform_url or PLATFORM_URL, suffix=".adobe.io", field="host"),
            ims_url=hosts.check(ims_url or IMS_URL, suffix=".adobelogin.com", field="ims_url"),
            ui_url=checked_link(ui_url or UI_URL, field="ui_url"),
        )

    @property
    def credential_key(self) -> tuple[str, str, str, str]:
        """What tokens are shared by: a rotated secret has another fingerprint and so another token."""
        fingerprint = hashlib.sha256(self.client_secret.get_secret_value().encode()).hexdigest()[:16]
        return self.ims_url, self.client_id, self.scopes, fingerprint
