"""JSON patches (RFC 6902) as AEP's services take them: ``add``, ``replace`` and ``remove``, in any case of letters."""

from __future__ import annotations

from typing import Any

DEEPEST = 20


class BadPatch(Exception):
    """An operation that cannot be applied.

    :ivar why: ``malformed``, ``unsupported`` (the operation), or ``missing`` (the field)
    """

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


def steps_of(op: Any) -> list[str]:
    """The path of an operation, taken apart."""
    if not isinstance(op, dict) or not isinstance(op.get("path"), str) or not isinstance(op.get("op"), str):
        raise BadPatch("malformed", "Each patch operation needs op and path")
    if op["op"].lower() not in {"add", "replace", "remove"}:
        raise BadPatch("unsupported", f"The operation {op['op'][:40]!r} is not supported")
    if op["op"].lower() != "remove" and "value" not in op:
        raise BadPatch("malformed", f"{op['op'][:40]} needs a value")
    steps = [s.replace("~1", "/").replace("~0", "~") for s in op["path"].strip("/").split("/")]
    if len(steps) > DEEPEST:
        raise BadPatch("malformed", f"The path {op['path'][:100]!r} is too long")
    return steps


def apply(body: Any, op: Any) -> None:
    """Change ``body`` as one operation says.

    :raises BadPatch: it cannot be applied; ``body`` is as it was
    """
    *parents, last = steps_of(op)
    verb, node = op["op"].lower(), body
    try:
        for step in parents:
            node = node[_index(step)] if isinstance(node, list) else node[step]
        if isinstance(node, list):
            _in_list(node, last, verb, op)
        elif verb == "add":
            node[last] = op["value"]
        else:
            node[last]  # what is missing cannot be replaced or removed
            if verb == "remove":
                del node[last]
            else:
                node[last] = op["value"]
    except (KeyError, IndexError, ValueError, TypeError):
        raise BadPatch("missing", f"There is no field at {op['path'][:100]!r}") from None


def _in_list(node: list[Any], last: str, verb: str, op: dict[str, Any]) -> None:
    if last == "-" and verb == "add":
        node.append(op["value"])
        return
    index = _index(last)
    if verb == "add":
        if index > len(node):
            raise IndexError(last)
        node.insert(index, op["value"])
    elif verb == "remove":
        del node[index]
    else:
        node[index] = op["value"]


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(text)
    return int(text)
