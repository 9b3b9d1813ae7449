"""Ids that are derived from names."""

from __future__ import annotations


def sandbox_id(name: str) -> str:
    """Return a sandbox's id: a UUID, always the same for a name."""
    raw = name.encode().hex().ljust(32, "0")[:32]
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
