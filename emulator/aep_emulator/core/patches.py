"""JSON patches (RFC 6902) with AEP's rules: ``add``, ``replace`` and ``remove``, in any case of letters."""

from __future__ import annotations

from typing import Any

import jsonpatch
import jsonpointer

MAX_DEPTH = 20
"""Maximum number of names in a path."""

_OPERATIONS = {"add", "replace", "remove"}


class BadPatch(Exception):
    """An operation that cannot be applied.

    :ivar reason: ``malformed``, ``unsupported`` (the operation), or ``missing`` (the field)
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def path_of(operation: Any) -> list[str]:
    """Return the path of an operation as a list of names; AEP's clients omit the first slash or add one at the end.

    :raises BadPatch: it is not an operation that AEP accepts
    """
    valid = isinstance(operation, dict) and all(isinstance(operation.get(name), str) for name in ("op", "path"))
    if not valid:
        raise BadPatch("malformed", "Each patch operation needs op and path")
    if operation["op"].lower() not in _OPERATIONS:
        raise BadPatch("unsupported", f"The operation {operation['op'][:40]!r} is not supported")
    if operation["op"].lower() != "remove" and "value" not in operation:
        raise BadPatch("malformed", f"{operation['op'][:40]} needs a value")
    names = [jsonpointer.unescape(name) for name in operation["path"].strip("/").split("/")]
    if len(names) > MAX_DEPTH:
        raise BadPatch("malformed", f"The path {operation['path'][:100]!r} is too long")
    return names


def apply(body: Any, operation: Any) -> None:
    """Apply one operation to ``body``, in place.

    :raises BadPatch: it cannot be applied; ``body`` is unchanged
    """
    pointer = jsonpointer.JsonPointer.from_parts(path_of(operation))
    patch = jsonpatch.JsonPatch([{**operation, "op": operation["op"].lower(), "path": pointer.path}])
    try:
        patch.apply(body, in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, LookupError, TypeError, ValueError):
        raise BadPatch("missing", f"There is no field at {operation['path'][:100]!r}") from None
