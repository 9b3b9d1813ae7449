"""The fields of an XDM schema, as far as a mapping needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aep_data_prep.syntax import Each, Step


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an XDM schema.

    :param type: ``string``, ``boolean``, ``integer``, ``number``, ``object``, ``array`` or ``map``
    :param format: ``date`` or ``date-time`` of a text; otherwise empty
    :param children: fields of an object, by name
    :param items: field of an array's elements, or of a map's values
    :param required: names of the children that every row has
    :param minimum: least number; ``None`` for any
    :param maximum: greatest number; ``None`` for any
    """

    type: str
    format: str = ""
    children: Mapping[str, Field] = field(default_factory=dict)
    items: Field | None = None
    required: frozenset[str] = frozenset()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def label(self) -> str:
        """The type as an author knows it, such as ``date-time``."""
        return self.format or self.type

    def find(self, steps: tuple[Step, ...]) -> Field | None:
        """Return the field at a path; ``None`` if the schema does not have it."""
        found: Field | None = self
        for step in steps:
            if found is None:
                return None
            if isinstance(step, Each | int):
                found = found.items if found.type == "array" else None
            else:
                found = found.items if found.type == "map" else found.children.get(step)
        return found

    def paths(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths of all fields without children."""
        for name, child in self.children.items():
            path = f"{prefix}.{name}" if prefix else name
            if child.children:
                yield from child.paths(path)
            elif child.type == "array" and child.items and child.items.children:
                yield from child.items.paths(f"{path}[*]")
            else:
                yield path


def field_of(definition: Mapping[str, Any]) -> Field:
    """Return the field of a JSON schema without references, such as an expanded XDM schema.

    :param definition: ``{"type", "properties", ...}``
    """
    kind = definition.get("type") or ("object" if "properties" in definition else "string")
    kind = kind if isinstance(kind, str) else next((k for k in kind if k != "null"), "string")
    extra = definition.get("additionalProperties")
    if kind == "object" and isinstance(extra, Mapping) and not definition.get("properties"):
        return Field("map", items=field_of(extra))
    if kind == "array":
        items = definition.get("items")
        return Field("array", items=field_of(items if isinstance(items, Mapping) else {}))
    if kind == "object":
        children = {name: field_of(child) for name, child in (definition.get("properties") or {}).items()}
        return Field("object", children=children, required=frozenset(definition.get("required") or ()))
    form = definition.get("format", "")
    return Field(
        kind,
        form if form in {"date", "date-time"} else "",
        minimum=definition.get("minimum"),
        maximum=definition.get("maximum"),
    )
