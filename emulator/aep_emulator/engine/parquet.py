"""The Parquet schema of the mapped fields of an XDM schema."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from aep_data_prep import Field
from aep_data_prep.syntax import Step

_SCALARS = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "date-time": pa.timestamp("us", tz="UTC"),
}

Paths = list[tuple[Step, ...]]


def arrow_schema(schema: Field, destinations: Iterable[tuple[Step, ...]]) -> pa.Schema:
    """Return the Parquet schema of the mapped fields, nested as in XDM; whole objects where an object is mapped."""
    return pa.schema(_children(schema, [*destinations]))


def _children(field: Field, paths: Paths) -> list[pa.Field]:
    names = field.children if () in paths else dict.fromkeys(path[0] for path in paths)
    fields = []
    for name in names:
        child = field.children[str(name)]
        below: Paths = [()] if () in paths else [path[1:] for path in paths if path[0] == name]
        type_ = _type(child, below)
        if type_ is not None:
            fields.append(pa.field(str(name), type_))
    return fields


def _type(field: Field, paths: Paths) -> pa.DataType | None:
    """Return the type of a field; ``None`` for an object without fields, which Parquet does not have."""
    if field.type == "array":
        items = _type(field.items or Field("string"), [path[1:] for path in paths])
        return pa.list_(items) if items else None
    if field.type == "map":
        values = _type(field.items or Field("string"), [()])
        return pa.map_(pa.string(), values) if values else None
    if field.type == "object":
        children = _children(field, paths)
        return pa.struct(children) if children else None
    return _SCALARS.get(field.label, pa.string())
