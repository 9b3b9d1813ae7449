"""Custom fields: their short form, and the JSON Schema of the Schema Registry.

Types and limits: "Define XDM fields in the Schema Registry API" of Adobe's XDM guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aep_data_prep.errors import nearest
from airflow_provider_aep.client.errors import AepConfigurationError

Definition = dict[str, Any]

_BOUNDS = {"integer": 2**31, "long": 2**53, "short": 2**15, "byte": 2**7}
_SCALARS: dict[str, Definition] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**53 - 1), "maximum": 2**53 - 1},
    "short": {"type": "integer", "minimum": -(2**15), "maximum": 2**15},
    "byte": {"type": "integer", "minimum": -(2**7), "maximum": 2**7},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
}
TYPES = (*_SCALARS, "object", "array", "map")
"""The types of the short form. ``string[]`` stands for an array of texts."""

FORMATS = ("email", "uri", "uri-reference", "ipv4", "ipv6", "hostname", "uuid")
"""The formats of a text in short form; ``date`` and ``date-time`` are types."""

_DATA_TYPE = "https://ns.adobe.com/"
_KEYS = (
    "type", "format", "enum", "suggested_values", "required", "title", "description", "fields", "items", "values",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_TENANT = "_{tenant}."


@dataclass(frozen=True, kw_only=True)
class XdmField:
    """A custom field.

    :param type: one of :data:`TYPES`, or the ``$id`` of a data type
    :param format: one of :data:`FORMATS`; empty for none
    :param enum: label by allowed value, where ``None`` keeps an existing label. An empty one allows all values, and
        ``None`` keeps the values of an existing field
    :param suggested_values: label by value that the user interface suggests; others are kept
    :param required: whether each row needs a value; ``None`` keeps that of an existing field
    :param title: name in the user interface; ``None`` keeps the title of an existing field
    :param description: text for users; ``None`` keeps the description of an existing field
    :param fields: fields of an object, by name
    :param items: the elements of an array, or the values of a map
    """

    type: str
    format: str = ""
    enum: Mapping[str | int, str | None] | None = None
    suggested_values: Mapping[str | int, str | None] | None = None
    required: bool | None = None
    title: str | None = None
    description: str | None = None
    fields: Mapping[str, XdmField] = field(default_factory=dict)
    items: XdmField | None = None

    @property
    def label(self) -> str:
        """The type as an author writes it, such as ``string[]``."""
        if self.type == "array" and self.items:
            return f"{self.items.label}[]"
        return f"{self.type} ({self.format})" if self.format else self.type


# -- the short form ---------------------------------------------------------------------------------------------------


def parse_fields(fields: object) -> dict[str, XdmField]:
    """Return the fields of an author.

    :param fields: type, or attributes, by the field's path below the namespace of the tenant. A path such as
        ``ticket.priority`` may begin with ``_{tenant}.``, as in mappings
    :return: the outermost fields by name
    :raises AepConfigurationError: a field is invalid; the message lists all problems
    """
    problems: list[str] = []
    found = _Parser(problems).tree(fields, "")
    if not problems and not found:
        problems.append("fields is empty. Declare at least one field, such as {'ticket.priority': 'integer'}.")
    if problems:
        raise AepConfigurationError(
            "The fields are invalid:\n  " + "\n  ".join(dict.fromkeys(problems)),
            next_step="Correct the fields. The types and attributes are in the reference of field types.",
        )
    return found


@dataclass
class _Parser:
    """Parses the short form, and keeps the problems of all fields."""

    problems: list[str]

    def tree(self, fields: object, where: str) -> dict[str, XdmField]:
        """Return fields by name; a path of several names makes objects.

        :param where: path of the object that has the fields; empty for the outermost ones
        """
        if not isinstance(fields, Mapping):
            self.problems.append(f"{where or 'fields'}: {fields!r} is no mapping of a path to a type.")
            return {}
        grouped: dict[str, Any] = {}
        for path, attributes in fields.items():
            text = path if isinstance(path, str) else repr(path)
            text = text.removeprefix(_TENANT) if not where else text
            name, _, rest = text.partition(".")
            at = f"{where}.{text}" if where else text
            if not all(self._is_name(step, at) for step in text.split(".")):
                continue
            known = next((other for other in grouped if other.lower() == name.lower()), name)
            if known != name:
                self.problems.append(f"{at}: {name!r} and {known!r} differ in case only. AEP needs other names.")
            inner = grouped.setdefault(name, {} if rest else attributes)
            if rest and isinstance(inner, _Nested):
                inner[rest] = attributes
            elif rest and inner == {}:
                grouped[name] = _Nested({rest: attributes})
            elif rest or inner is not attributes:
                self.problems.append(f"{at}: {name!r} is declared twice. Declare its fields in one way.")
        return {
            name: self._nested(inner, f"{where}.{name}" if where else name)
            if isinstance(inner, _Nested)
            else self.field(inner, f"{where}.{name}" if where else name)
            for name, inner in grouped.items()
        }

    def _nested(self, fields: _Nested, where: str) -> XdmField:
        return XdmField(type="object", fields=self.tree(fields, where))

    def field(self, attributes: object, where: str) -> XdmField:
        """Return one field."""
        if isinstance(attributes, str):
            attributes = {"type": attributes}
        if not isinstance(attributes, Mapping) or not isinstance(attributes.get("type"), str):
            self.problems.append(f"{where}: {attributes!r} has no type. Use one of {', '.join(TYPES)}.")
            return XdmField(type="string")
        for key in attributes:
            if key not in _KEYS:
                self.problems.append(f"{where}: there is no attribute {key!r}.{_hint(str(key), _KEYS)}")
        kind = str(attributes["type"])
        if kind.endswith("[]"):
            element = {k: v for k, v in attributes.items() if k not in {"required", "title", "description"}}
            outer = {k: v for k, v in attributes.items() if k in {"required", "title", "description"}}
            attributes = {**outer, "type": "array", "items": {**element, "type": kind[:-2]}}
            kind = "array"
        if kind not in TYPES and not kind.startswith(_DATA_TYPE):
            self.problems.append(f"{where}: there is no type {kind!r}.{_hint(kind, TYPES)}")
            return XdmField(type="string")
        return self._complete(kind, attributes, where)

    def _complete(self, kind: str, attributes: Mapping[str, Any], where: str) -> XdmField:
        self._check_members(kind, attributes, where)
        children = self.tree(attributes["fields"], where) if kind == "object" and "fields" in attributes else {}
        member = {"array": "items", "map": "values"}.get(kind, "")
        inside = f"{where}[*]" if kind == "array" else f"{where}.*"
        items = self.field(attributes[member], inside) if member in attributes else None
        if items and (items.required or items.type == "array"):
            self.problems.append(f"{inside}: an element is neither required nor an array itself. Use an object.")
        form = attributes.get("format") or ""
        if not isinstance(form, str):
            form = repr(form)
        if form in {"date", "date-time"} and kind == "string":
            kind, form = form, ""
        elif form and (kind != "string" or form not in FORMATS):
            self.problems.append(f"{where}: {kind} has no format {form!r}. A string has one of {', '.join(FORMATS)}.")
        return XdmField(
            type=kind,
            format=form,
            enum=self._values("enum", kind, attributes, where),
            suggested_values=self._values("suggested_values", kind, attributes, where),
            required=self._typed("required", bool, attributes, where),
            title=self._typed("title", str, attributes, where),
            description=self._typed("description", str, attributes, where),
            fields=children,
            items=items,
        )

    def _check_members(self, kind: str, attributes: Mapping[str, Any], where: str) -> None:
        for member, owner in (("fields", "object"), ("items", "array"), ("values", "map")):
            if kind == owner and not attributes.get(member):
                self.problems.append(f"{where}: {kind} without {member}. Add {member}.")
            elif kind != owner and member in attributes:
                self.problems.append(f"{where}: {kind} has no {member}, which belong to {owner}.")

    def _typed(self, name: str, wanted: type, attributes: Mapping[str, Any], where: str) -> Any:
        value = attributes.get(name)
        if value is not None and not isinstance(value, wanted):
            self.problems.append(f"{where}: {name} is {value!r}, not {'True or False' if wanted is bool else 'text'}.")
            return None
        return value

    def _values(
        self, name: str, kind: str, attributes: Mapping[str, Any], where: str
    ) -> Mapping[str | int, str | None] | None:
        given = attributes.get(name)
        if given is None:
            return None
        wanted = str if kind == "string" else int if kind in _BOUNDS else None
        if wanted is None or not isinstance(given, Mapping | list | tuple):
            step = "Use a list of values, or labels by value." if wanted else "Only text and whole numbers have values."
            self.problems.append(f"{where}: {name} is {given!r}. {step}")
            return None
        labels = list(given.items()) if isinstance(given, Mapping) else [(value, None) for value in given]
        if wanted is int:  # JSON has only texts as keys
            labels = [
                (int(v) if isinstance(v, str) and re.fullmatch("-?[0-9]{1,18}", v) else v, lb) for v, lb in labels
            ]
        for value, label in labels:
            if not isinstance(value, wanted) or isinstance(value, bool):
                values = "texts" if wanted is str else "whole numbers"
                self.problems.append(f"{where}: {name} has {value!r}, and the values of {kind} are {values}.")
                return None
            if wanted is int and not -_BOUNDS[kind] <= int(value) <= _BOUNDS[kind]:
                self.problems.append(f"{where}: {name} has {value!r}, which is no {kind}.")
                return None
            if label is not None and not isinstance(label, str):
                self.problems.append(f"{where}: the label of {value!r} in {name} is {label!r}, not text.")
                return None
        return dict(labels)

    def _is_name(self, name: str, at: str) -> bool:
        if _NAME.fullmatch(name):
            return True
        self.problems.append(
            f"{at}: {name!r} is no name of a field. Use up to 100 of A-Z, a-z, 0-9, _ and -, with a letter first."
        )
        return False


class _Nested(dict[str, Any]):
    """Fields of an object that only paths declare."""


def _hint(word: str, words: tuple[str, ...]) -> str:
    near = nearest(word, words)
    return f" Did you mean {near!r}?" if near else f" Use one of {', '.join(words)}."


# -- the JSON Schema --------------------------------------------------------------------------------------------------


def definition_of(field_: XdmField) -> Definition:
    """Return the JSON Schema of a field."""
    texts = {"title": field_.title, "description": field_.description}
    found: Definition = {name: text for name, text in texts.items() if text is not None}
    if field_.type.startswith(_DATA_TYPE):
        return {**found, "$ref": field_.type}
    if field_.type == "object":
        return {**found, **object_of(field_.fields)}
    if field_.type == "array":
        return {**found, "type": "array", "items": definition_of(_item(field_))}
    if field_.type == "map":
        values = definition_of(_item(field_))
        return {**found, "type": "object", "meta:xdmType": "map", "additionalProperties": values}
    found |= _SCALARS[field_.type]
    if field_.format:
        found["format"] = field_.format
    if field_.enum:
        found["enum"] = list(field_.enum)
    if labels := labels_of(field_, {}):
        found["meta:enum"] = labels
    return found


def labels_of(field_: XdmField, existing: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a field's values: the existing ones, and those that are declared."""
    declared = {**(field_.suggested_values or {}), **(field_.enum or {})}
    found = dict(existing)
    for value, label in declared.items():
        found[str(value)] = existing.get(str(value), str(value)) if label is None else label
    return found


def _item(field_: XdmField) -> XdmField:
    return field_.items or XdmField(type="string")


def object_of(fields: Mapping[str, XdmField]) -> Definition:
    """Return the JSON Schema of an object. A required field makes its parents required, as AEP demands."""
    required = sorted(name for name, field_ in fields.items() if is_required(field_))
    properties = {name: definition_of(field_) for name, field_ in fields.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def is_required(field_: XdmField) -> bool:
    """Return whether a field, or one within its objects, is required."""
    return bool(field_.required) or any(map(is_required, field_.fields.values()))


def read_field(definition: object, required: bool = False) -> XdmField:
    """Return the field of a JSON Schema in the Schema Registry."""
    known = definition if isinstance(definition, Mapping) else {}
    texts: dict[str, Any] = {name: known.get(name) for name in ("title", "description")}
    kind = known.get("type")
    if "$ref" in known:
        return XdmField(type=str(known["$ref"]), required=required, **texts)
    extra = known.get("additionalProperties")
    if kind == "array":
        return XdmField(type="array", items=read_field(known.get("items")), required=required, **texts)
    if isinstance(extra, Mapping) and not known.get("properties"):
        return XdmField(type="map", items=read_field(extra), required=required, **texts)
    if kind == "object" or "properties" in known:
        return XdmField(type="object", fields=read_object(known), required=required, **texts)
    labels = known.get("meta:enum") if isinstance(known.get("meta:enum"), Mapping) else {}
    values = known.get("enum")
    enum = {v: str((labels or {}).get(str(v), v)) for v in values} if isinstance(values, list) else None
    suggested: dict[str | int, str | None] = {str(v): str(label) for v, label in (labels or {}).items()}
    form = str(known.get("format") or "")
    kind = form if form in {"date", "date-time"} else _integer_type(known) if kind == "integer" else str(kind)
    return XdmField(
        type=kind,
        format="" if form in _SCALARS else form,
        enum=enum,
        suggested_values=suggested or None,
        required=required,
        **texts,
    )


def _integer_type(definition: Mapping[str, Any]) -> str:
    known = {"int": "integer", "long": "long", "short": "short", "byte": "byte"}
    if named := known.get(str(definition.get("meta:xdmType"))):
        return named
    largest = definition.get("maximum")
    return next((name for name, bound in _BOUNDS.items() if largest in {bound, bound - 1}), "integer")


def read_object(definition: Mapping[str, Any]) -> dict[str, XdmField]:
    """Return the fields of an object's JSON Schema by name."""
    required = definition.get("required") or ()
    properties = definition.get("properties") or {}
    return {name: read_field(child, name in required) for name, child in properties.items()}


def parts_of(body: Mapping[str, Any], namespace: str) -> list[tuple[str, Definition]]:
    """Return the parts of a raw class or field group that have fields in a namespace, each with its JSON Pointer."""
    parts = [
        *((f"/definitions/{escaped(name)}", part) for name, part in (body.get("definitions") or {}).items()),
        *((f"/allOf/{number}", part) for number, part in enumerate(body.get("allOf") or ())),
        ("", body),
    ]
    return [(pointer, dict(part)) for pointer, part in parts if namespace in ((part or {}).get("properties") or {})]


def escaped(name: str) -> str:
    """Return a name as a step of a JSON Pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def custom_fields(body: Mapping[str, Any], namespace: str) -> XdmField:
    """Return the object of a namespace in a raw class or field group, with the fields of all parts."""
    found: dict[str, XdmField] = {namespace: XdmField(type="object")}
    for _, part in parts_of(body, namespace):
        inner = read_object(part)
        found = merged(found, {namespace: inner[namespace]})
    return found[namespace]


def merged(one: Mapping[str, XdmField], other: Mapping[str, XdmField]) -> dict[str, XdmField]:
    """Return the fields of both; objects of one name are merged."""
    found = dict(one)
    for name, field_ in other.items():
        mine = found.get(name)
        if mine and mine.type == field_.type == "object":
            inner = merged(mine.fields, field_.fields)
            found[name] = XdmField(
                type="object",
                fields=inner,
                required=bool(mine.required or field_.required),
                title=mine.title or field_.title,
                description=mine.description or field_.description,
            )
        else:
            found[name] = field_
    return found


def walk(fields: Mapping[str, XdmField], prefix: str = "") -> Iterator[tuple[str, XdmField]]:
    """Yield each field with its path, the parents first."""
    for name, field_ in fields.items():
        path = f"{prefix}{name}"
        yield path, field_
        yield from walk(field_.fields, f"{path}.")
        if field_.items:
            yield from walk({"": field_.items}, f"{path}[*]" if field_.type == "array" else f"{path}.*")
