"""Adobe's classes, field groups, data types and behaviors, in the layout of Adobe's public XDM repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Body = dict[str, Any]

_FOLDERS = ("components", "extensions")
_KINDS = {
    "behaviors": "behaviors",
    "classes": "classes",
    "fieldgroups": "fieldgroups",
    "mixins": "fieldgroups",
    "datatypes": "datatypes",
}
_BEHAVIORS = ("https://ns.adobe.com/xdm/data/record", "https://ns.adobe.com/xdm/data/time-series")
_ADOBE = "https://ns.adobe.com/"
_IRRELEVANT = {"$schema", "examples", "meta:license", "meta:titleId", "meta:descriptionId"}
_CONTEXT = "#/definitions/@context"
"""End of the references to JSON-LD's context, which is no field of AEP."""


def read_parts(folder: Path) -> dict[str, dict[str, Body]]:
    """Return the parts in a copy of the repository by kind and ``$id``, with the names that AEP gives to their fields.

    :param folder: contains ``components`` or ``extensions``, with files ``*.schema.json``
    :raises SystemExit: there is no such file, or one is no part of XDM
    """
    found: dict[str, dict[str, Body]] = {kind: {} for kind in ("behaviors", "classes", "fieldgroups", "datatypes")}
    for file in sorted(f for name in _FOLDERS for f in (folder / name).rglob("*.schema.json")):
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as e:
            raise SystemExit(f"--xdm: {file} cannot be read as JSON: {e}") from None
        if not isinstance(body, dict) or not isinstance(body.get("$id"), str):
            raise SystemExit(f"--xdm: {file} has no $id, which each part of XDM has.")
        id_ = body["$id"]
        if any(id_ in parts for parts in found.values()):
            raise SystemExit(f"--xdm: {file} has the $id {id_}, which another file has, too.")
        kind = _kind(file.relative_to(folder), body)
        found[kind][id_] = _normal({k: v for k, v in body.items() if k not in {"$id", "meta:resourceType"}})
    if not any(found.values()):
        raise SystemExit(
            f"--xdm: {folder} has no file *.schema.json in a folder {' or '.join(_FOLDERS)}. "
            "Name the root of a copy of Adobe's XDM repository."
        )
    return found


def _kind(path: Path, body: Body) -> str:
    for name in path.parts:
        if name in _KINDS:
            return _KINDS[name]
    if "meta:intendedToExtend" in body:
        return "fieldgroups"
    return "classes" if {*_BEHAVIORS} & {*(body.get("meta:extends") or ())} else "datatypes"


def _normal(node: Any) -> Any:
    """Return a part of a file with AEP's names of fields, and without texts that only the repository needs."""
    if isinstance(node, list):
        return [_normal(item) for item in node if not _is_context(item)]
    if not isinstance(node, dict):
        return node
    found = {key: _normal(value) for key, value in node.items() if key not in _IRRELEVANT | {"properties"}}
    if isinstance(node.get("definitions"), dict):
        found["definitions"] = {name: _normal(part) for name, part in node["definitions"].items()}
    if isinstance(node.get("properties"), dict):
        found["properties"] = {}
        for name, field in node["properties"].items():
            _place(found["properties"], field_path(name), _normal(field))
    if isinstance(node.get("required"), list):
        found["required"] = [path[0] for path in map(field_path, filter(_is_text, node["required"])) if len(path) == 1]
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_context(item: Any) -> bool:
    return isinstance(item, dict) and str(item.get("$ref", "")).endswith(_CONTEXT)


def _place(properties: Body, path: tuple[str, ...], field: Any) -> None:
    *parents, leaf = path
    for name in parents:
        properties = properties.setdefault(name, {"type": "object", "properties": {}}).setdefault("properties", {})
    if leaf in properties and isinstance(field, dict):
        field = {**field, "properties": {**properties[leaf].get("properties", {}), **field.get("properties", {})}}
    properties[leaf] = field


def field_path(name: str) -> tuple[str, ...]:
    """Return the path in AEP of a field with a name of the repository.

    >>> field_path("xdm:birthDate"), field_path("@id"), field_path("repo:createDate")
    (('birthDate',), ('_id',), ('_repo', 'createDate'))
    >>> field_path("https://ns.adobe.com/experience/campaign")
    ('_experience', 'campaign')
    """
    if name.startswith(_ADOBE):
        first, *rest = name.removeprefix(_ADOBE).removeprefix("xdm/").split("/")
        return (f"_{first}", *rest)
    prefix, colon, local = name.partition(":")
    if name.startswith("@"):
        return (f"_{name[1:]}",)
    if not colon or prefix == "xdm":
        return (local or name,)
    return (f"_{prefix}", local)


def references(node: Any) -> Iterator[str]:
    """Yield the ``$ref`` of a part, at every depth."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
