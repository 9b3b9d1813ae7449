"""Whose an object is.

AEP has no idempotency keys and, titles in the Schema Registry aside, no unique names. So an object says itself what it
was made for, and by which attempt: by a marker at the end of its description.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass

from airflow_provider_aep.client.settings import AepSettings

_MARKER = re.compile(r"\s*\[aep:1:(?P<identity>[0-9a-f]{16}):(?P<nonce>[0-9a-f]{12})\]\s*$")


@dataclass(frozen=True)
class Marker:
    """What an object says of itself.

    :param identity: of what it was made for; see :func:`identity`
    :param nonce: of who made it; see :func:`nonce`
    """

    identity: str
    nonce: str

    def __str__(self) -> str:
        return f"[aep:1:{self.identity}:{self.nonce}]"


def identity(settings: AepSettings, kind: str, scope: object, name: str) -> str:
    """What an object is for, in 16 hexadecimal digits.

    It is made of nothing but what AEP and the author know, so that losing Airflow's database changes no identity.

    :param scope: what belongs to it beside the name, such as the id of the base connection of a source connection
    """
    return _digest([settings.org_id, settings.sandbox, kind, scope, name], 16)


def nonce(*task: object) -> str:
    """Who makes an object, in 12 hexadecimal digits: the same for all tries of a task, another for each other task.

    :param task: what names it; somebody new unless given
    """
    return _digest(list(task) if task else [uuid.uuid4().hex], 12)


def _digest(parts: list[object], length: int) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:length]


def signed(description: str | None, marker: Marker) -> str:
    """A description with a marker, in place of the one it may have."""
    return f"{unsigned(description or '')[0]} {marker}".strip()


def unsigned(description: str) -> tuple[str, Marker | None]:
    """A description without its marker, and the marker."""
    if found := _MARKER.search(description):
        return description[: found.start()], Marker(found["identity"], found["nonce"])
    return description.rstrip(), None
