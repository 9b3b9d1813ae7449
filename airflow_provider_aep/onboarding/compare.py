"""What differs between what there is and what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_aep.client.errors import AepConflictError
from airflow_provider_aep.onboarding.kind import Body, Found, Kind


def stuck_at(kind: Kind, found: Found, wanted: Body) -> list[str]:
    """The dot paths that differ and cannot change in place."""
    return [p for p in kind.fixed if differs(found.fields, wanted, p)]


def drift(kind: Kind, found: Found, wanted: Body) -> list[str]:
    """The dot paths that must be written.

    :raises AepConflictError: what differs cannot change in place
    """
    if stuck := stuck_at(kind, found, wanted):
        raise AepConflictError(
            f"The {kind.label} {found.name!r} ({found.id}) exists and differs in what cannot change: "
            + pairs(found, wanted, stuck),
            next_step="Choose another name, or change what is wanted to what exists"
            + ("; or say replace=True, if a new one shall take its place." if _replaceable(kind, stuck) else "."),
        )
    drifted = [p for p in kind.owned if differs(found.fields, wanted, p)]
    return drifted + [p for p in kind.includes if not set(at(wanted, p)) <= set(at(found.fields, p))]


def _replaceable(kind: Kind, stuck: Sequence[str]) -> bool:
    """Of another scope it is another object, which nobody asked to replace."""
    return kind.rename is not None and kind.scope not in stuck


def pairs(found: Found, wanted: Body, paths: Sequence[str]) -> str:
    """Both values of each path, for a person."""
    return "; ".join(f"{p} is {at(found.fields, p)!r}, wanted {at(wanted, p)!r}" for p in paths)


def at(body: Mapping[str, Any], path: str) -> Any:
    """The value at a dot path, or ``None``."""
    node: Any = body
    for step in path.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def differs(have: Mapping[str, Any], want: Mapping[str, Any], path: str) -> bool:
    """Whether a wanted value is not there; what is not wanted is not compared, ``""`` and absent are the same."""
    wanted = at(want, path)
    return wanted is not None and _plain(at(have, path)) != _plain(wanted)


def _plain(value: Any) -> Any:
    """Numbers may come back as strings (Adobe's samples have both), and order of keys means nothing."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value or ""
    return str(value)
