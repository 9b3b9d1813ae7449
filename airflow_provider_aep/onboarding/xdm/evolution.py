"""Changes of fields that exist: which ones AEP accepts once data exists, and the patch that makes them.

Source: "Principles of schema evolution" in Adobe's XDM guide. Fields may be added, and values may be added to an enum.
Nothing may be removed, renamed, moved, or restricted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_aep.onboarding.xdm.fields import (
    Definition,
    XdmField,
    definition_of,
    escaped,
    is_required,
    labels_of,
)


@dataclass(frozen=True)
class Change:
    """The change of one field.

    :param path: path below the namespace of the tenant
    :param what: such as ``new field``
    :param refusal: why AEP would refuse it; empty for a change that it accepts
    """

    path: str
    what: str
    refusal: str = ""


def changes(
    observed: Mapping[str, XdmField],
    declared: Mapping[str, XdmField],
    *,
    keep_undeclared: bool = False,
    prefix: str = "",
) -> Iterator[Change]:
    """Yield the changes from the fields that exist to the declared ones.

    :param keep_undeclared: whether fields may exist that are not declared
    :param prefix: path of the object that has the fields, with a dot at its end
    """
    in_lower_case = {name.lower(): name for name in observed}
    for name, mine in declared.items():
        path = f"{prefix}{name}"
        if name in observed:
            yield from _of_field(path, observed[name], mine, keep_undeclared)
        elif other := in_lower_case.get(name.lower()):
            yield Change(path, "new field", f"{other} exists, and differs in case only")
        else:
            yield Change(path, "new field")
    for name in [] if keep_undeclared else observed:
        if name not in declared:
            yield Change(f"{prefix}{name}", "removed", "it exists and is not declared, and AEP removes no field")


def _of_field(path: str, old: XdmField, new: XdmField, keep_undeclared: bool) -> Iterator[Change]:
    if old.type != new.type or old.format != new.format:
        yield Change(path, "type", f"it is {old.label}, declared is {new.label}, and a field keeps its type")
        return
    yield from _of_values(path, old, new)
    wanted = None if path.endswith(("[*]", ".*")) else wanted_required(new)  # an element is not required
    if wanted is not None and wanted != bool(old.required):
        yield Change(path, "required")
    for text in ("title", "description"):
        declared = getattr(new, text)
        if declared is not None and declared != (getattr(old, text) or ""):
            yield Change(path, text)
    if new.type == "object":
        yield from changes(old.fields, new.fields, keep_undeclared=keep_undeclared, prefix=f"{path}.")
    if old.items and new.items:
        inside = f"{path}[*]" if new.type == "array" else f"{path}.*"
        yield from _of_field(inside, old.items, new.items, keep_undeclared)


def wanted_required(field: XdmField) -> bool | None:
    """Return whether a field is to be required; ``None`` keeps it as it is. A required field needs its parents."""
    return True if is_required(field) else field.required


def _of_values(path: str, old: XdmField, new: XdmField) -> Iterator[Change]:
    if new.enum and old.enum is None:
        yield Change(path, "enum", "it allows all values, and an enum would restrict them")
    elif new.enum and old.enum and (gone := [v for v in old.enum if v not in new.enum]):
        yield Change(path, "enum", f"it allows {', '.join(map(repr, gone))}, and AEP removes no value of an enum")
    elif new.enum is not None and [*new.enum] != [*(old.enum or ())]:
        yield Change(path, "enum")
    labels = {str(v): str(label) for v, label in (old.suggested_values or {}).items()}
    if labels_of(new, labels) != labels:
        yield Change(path, "labels of values")


def operations(places: Sequence[tuple[str, Definition]], declared: Mapping[str, XdmField]) -> Iterator[Definition]:
    """Yield the JSON Patch operations that make the accepted changes of an object, and keep all else as it is.

    :param places: the definitions of the object, each with its JSON Pointer; several parts of a field group may have
        fields of one object. A field is changed where it is; the first place gets new fields
    """
    added: set[str] = set()
    for name, field in declared.items():
        holders = [
            (f"{pointer}/properties/{escaped(name)}", properties[name])
            for pointer, definition in places
            if name in (properties := definition.get("properties") or {})
        ]
        if holders:
            yield from _field_operations(holders, field)
            continue
        pointer, definition = places[0]
        if not added and not isinstance(definition.get("properties"), Mapping):
            yield {"op": "add", "path": f"{pointer}/properties", "value": {}}
        added.add(name)
        yield {"op": "add", "path": f"{pointer}/properties/{escaped(name)}", "value": definition_of(field)}
    for number, (pointer, definition) in enumerate(places):
        here = {*(definition.get("properties") or {}), *(added if number == 0 else ())}
        wanted = {name: wanted_required(field) for name, field in declared.items() if name in here}
        before = {*(definition.get("required") or ())}
        after = {*(name for name in before if wanted.get(name) is not False), *(n for n, w in wanted.items() if w)}
        yield from _member(pointer, "required", sorted(before), sorted(after) or None)


def _field_operations(holders: Sequence[tuple[str, Definition]], field: XdmField) -> Iterator[Definition]:
    if field.type == "object":
        yield from operations(holders, field.fields)
    wanted = definition_of(field)
    for pointer, definition in holders:
        for text in ("title", "description"):
            yield from _member(pointer, text, definition.get(text), wanted.get(text, definition.get(text)))
        if field.items:
            member = "items" if field.type == "array" else "additionalProperties"
            yield from _field_operations([(f"{pointer}/{member}", definition[member])], field.items)
        elif field.type != "object":
            if field.enum is not None:
                yield from _member(pointer, "enum", definition.get("enum"), wanted.get("enum"))
            labels = definition.get("meta:enum") or {}
            yield from _member(pointer, "meta:enum", labels, labels_of(field, labels))


def _member(pointer: str, name: str, before: object, after: object) -> Iterator[Definition]:
    if after == before or not (after or before):
        return
    path = f"{pointer}/{name}"
    yield {"op": "remove", "path": path} if after is None else {"op": "add", "path": path, "value": after}
