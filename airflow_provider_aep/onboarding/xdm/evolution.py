"""Changes of fields that exist: which ones AEP accepts once data exists, and the patch that makes them.

Source: "Principles of schema evolution" in Adobe's XDM guide. Fields may be added, and values may be added to an enum.
Nothing may be removed, renamed, moved, or restricted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airflow_provider_aep.onboarding.xdm.fields import Definition, XdmField, definition_of, is_required


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
    for name, mine in declared.items():
        path = f"{prefix}{name}"
        if name in observed:
            yield from _of_field(path, observed[name], mine, keep_undeclared)
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
    if old.required != new.required and new.type != "object":
        yield Change(path, "required")
    for text in ("title", "description"):
        declared = getattr(new, text)
        if declared is not None and declared != (getattr(old, text) or ""):
            yield Change(path, text)
    if new.type == "object":
        yield from changes(old.fields, new.fields, keep_undeclared=keep_undeclared, prefix=f"{path}.")
    if old.items and new.items:
        yield from _of_field(
            f"{path}[*]" if new.type == "array" else f"{path}.*", old.items, new.items, keep_undeclared
        )


def _of_values(path: str, old: XdmField, new: XdmField) -> Iterator[Change]:
    if new.enum is not None and old.enum is None:
        yield Change(path, "enum", "it allows all values, and an enum would restrict them")
    elif new.enum is not None and old.enum is not None and (gone := [v for v in old.enum if v not in new.enum]):
        yield Change(path, "enum", f"it allows {', '.join(map(repr, gone))}, and AEP removes no value of an enum")
    elif new.enum != old.enum:
        yield Change(path, "enum")
    if new.suggested_values is not None and new.suggested_values != old.suggested_values:
        yield Change(path, "suggested values")


def operations(pointer: str, definition: Definition, declared: Mapping[str, XdmField]) -> Iterator[Definition]:
    """Yield the JSON Patch operations that make the accepted changes of an object, and keep all else as it is.

    :param pointer: JSON Pointer of the object's definition
    :param definition: JSON Schema of the object
    """
    properties = definition.get("properties")
    if not isinstance(properties, Mapping):
        yield {"op": "add", "path": f"{pointer}/properties", "value": {}}
        properties = {}
    for name, field in declared.items():
        at = f"{pointer}/properties/{name}"
        if name in properties:
            yield from _field_operations(at, properties[name], field)
        else:
            yield {"op": "add", "path": at, "value": definition_of(field)}
    before = set(definition.get("required") or ())
    after = {*(before - declared.keys()), *(name for name, field in declared.items() if is_required(field))}
    yield from _member(pointer, "required", sorted(before), sorted(after) or None)


def _field_operations(pointer: str, definition: Definition, field: XdmField) -> Iterator[Definition]:
    wanted = definition_of(field)
    for text in ("title", "description"):
        yield from _member(pointer, text, definition.get(text), wanted.get(text, definition.get(text)))
    if field.type == "object":
        yield from operations(pointer, definition, field.fields)
    elif field.items:
        member = "items" if field.type == "array" else "additionalProperties"
        yield from _field_operations(f"{pointer}/{member}", definition[member], field.items)
    else:
        yield from _member(pointer, "enum", definition.get("enum"), wanted.get("enum"))
        labels = definition.get("meta:enum")
        if field.enum is not None or field.suggested_values is not None:
            labels = wanted.get("meta:enum")
        yield from _member(pointer, "meta:enum", definition.get("meta:enum"), labels)


def _member(pointer: str, name: str, before: object, after: object) -> Iterator[Definition]:
    if after == before or not (after or before):
        return
    path = f"{pointer}/{name}"
    yield {"op": "remove", "path": path} if after is None else {"op": "add", "path": path, "value": after}
