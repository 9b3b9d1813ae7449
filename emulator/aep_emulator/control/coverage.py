"""Coverage: every operation of the emulator and the evidence for its behaviour.

The routes, the tables of codes and the switches are its only source. The documentation is generated from it.
"""

from __future__ import annotations

from typing import Any

from aep_emulator.core.errors import FLOW, GATEWAY, IDENTITY, SOURCE, XDM
from aep_emulator.core.http import Evidence
from aep_emulator.core.switches import SWITCHES
from aep_emulator.services.routes import ABSENT, ROUTES

AS_OF = "2026-11"
"""The date of Adobe's documentation."""

_TOKEN = {"operation": "POST /ims/token/v3", "evidence": "sample", "source": "landing/api-authentication.md"}
_TOKEN_2 = {"operation": "POST /ims/token/v2", "evidence": "client", "source": "Adobe's Postman collection"}
_CATALOGUES = (
    ("gateway", "landing/troubleshooting.md", {k: ("", v) for k, v in GATEWAY.items()}),
    ("Flow Service", "sources/errors/flow-service-errors.md", FLOW),
    ("sources", "sources/errors/sources-errors.md", {f"{k}-400": ("Bad Request", v) for k, v in SOURCE.items()}),
    ("Schema Registry", "xdm/troubleshooting-guide.md", XDM),
    ("Identity Service", "identity-service.yaml", {k: ("Namespace validation", v) for k, (_, v) in IDENTITY.items()}),
)


def coverage() -> dict[str, Any]:
    """Return all operations, refusals and switches, each with its evidence."""
    return {
        "as_of": AS_OF,
        "operations": [
            _TOKEN,
            _TOKEN_2,
            *(
                {"operation": f"{r.method} {r.path}", "evidence": str(r.evidence), "source": r.source}
                for r in (*ROUTES, *ABSENT)
            ),
        ],
        "refusals": [
            {"code": code, "service": service, "title": title, "when": when, "evidence": "catalogue", "source": source}
            for service, source, codes in _CATALOGUES
            for code, (title, when) in codes.items()
        ],
        "switches": [
            {"switch": s.name, "values": list(s.values), "default": s.values[0], "what": s.what, "evidence": "assumed"}
            for s in SWITCHES
        ],
    }


def unclassified() -> list[str]:
    """Return the operations without evidence or source; a test requires that none exists."""
    return [f"{r.method} {r.path}" for r in ROUTES if not isinstance(r.evidence, Evidence) or not r.source]
