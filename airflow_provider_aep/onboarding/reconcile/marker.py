"""Marker at the end of an object's description: identifies the onboarding and the task that created the object.

The marker makes creates idempotent, because AEP has no idempotency keys. Only titles in the Schema Registry are unique.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from airflow_provider_aep.client.settings import AepSettings

_MARKER = re.compile(r"\s*\[aep:1:(?P<identity>[0-9a-f]{16}):(?P<nonce>[0-9a-f]{12})\]\s*$")


@dataclass(frozen=True)
class Marker:
    """Identity and creator of an object.

    :param identity: digest of the object's identity; see :func:`identity`
    :param nonce: nonce of the task that created the object; see :func:`~airflow_provider_aep.attempt.task_nonce`
    """

    identity: str
    nonce: str

    def __str__(self) -> str:
        return f"[aep:1:{self.identity}:{self.nonce}]"


def identity(settings: AepSettings, label: str, parent: object, name: str) -> str:
    """Return the digest of an object's identity, in 16 hexadecimal digits.

    It does not depend on Airflow's database, so a new database changes no identity.

    :param label: label of the resource type
    :param parent: value of the resource type's ``parent`` field
    :param name: the object's name
    """
    parts = [settings.org_id, settings.sandbox, label, parent, name]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def add_marker(description: str | None, marker: Marker) -> str:
    """Return a description with a marker, which replaces an existing one."""
    return f"{split_marker(description or '')[0]} {marker}".strip()


def split_marker(description: str) -> tuple[str, Marker | None]:
    """Return a description without its marker, and the marker; ``None`` without one."""
    if match := _MARKER.search(description):
        return description[: match.start()], Marker(match["identity"], match["nonce"])
    return description.rstrip(), None
