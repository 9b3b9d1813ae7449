"""The journal's entries: what is stored of a request, without secrets and rows."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aep_emulator.core.validation import parsed

MASK = "******"
LONGEST_BODY = 16_384
"""Maximum length of a body in the journal; of a longer one, the journal has the size."""

_KEPT_HEADERS = ("accept", "content-type", "if-match", "pragma", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")
_SECRET = re.compile(
    r"secret|password|passphrase|authorization|token|credential|private|signature|sasuri|connectionstring|key$", re.I
)
_FORM = {"grant_type", "client_id", "scope"}
"""Fields of a token request that are not secret."""

_ROWS = "/preview"
"""The ending of operations whose bodies contain rows."""


def kept_headers(headers: dict[str, str]) -> str:
    """Return the headers that the journal stores, as JSON."""
    return json.dumps({k: headers[k] for k in _KEPT_HEADERS if k in headers})


def kept_query(text: str) -> str:
    """Return the query string with its secrets masked.

    :param text: the query string as it was sent
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    if not any(_is_secret(k) for k, _ in pairs):
        return text[:LONGEST_BODY]
    return urlencode([(k, MASK if _is_secret(k) else v) for k, v in pairs], safe="*")


def _is_secret(name: str) -> bool:
    bare = name.replace("_", "").replace("-", "")
    return name != "continuationToken" and (bare.lower() in {"code", "pwd"} or bool(_SECRET.search(bare)))


def kept_body(operation: str, content: bytes, content_type: str) -> str:
    """Return the body with its secrets masked; its size if its content is unknown; empty if there is none.

    :param operation: empty if no operation exists for the request
    """
    if not content:
        return ""
    if operation == "POST token" and "urlencoded" in content_type:
        pairs = parse_qsl(content.decode("latin-1"), keep_blank_values=True)
        return urlencode([(k, v if k in _FORM else MASK) for k, v in pairs if len(k) < 40], safe="*")
    if not operation or operation == "POST token" or operation.endswith(_ROWS):
        return _size(content)
    try:
        body = parsed(content)
    except (ValueError, RecursionError):
        return _size(content)
    operations = body if isinstance(body, list) else [body]
    if operation.startswith("PATCH") and any(_touches_login(op) for op in operations):
        body = [{**op, "value": MASK} if _touches_login(op) and "value" in op else op for op in operations]
    text = json.dumps(_masked(body))
    return text if len(text) <= LONGEST_BODY else _size(content)


def _size(content: bytes) -> str:
    return f"({len(content)} bytes)"


def _touches_login(op: Any) -> bool:
    """Return whether a patch operation writes a login, or the whole object."""
    return isinstance(op, dict) and str(op.get("path", "auth")).strip("/").split("/")[0] in {"auth", ""}


def _masked(node: Any, within: str = "") -> Any:
    """Return a JSON value with all logins masked, at every depth."""
    if isinstance(node, list):
        return [_masked(n, within) for n in node]
    if not isinstance(node, dict):
        return MASK if within else node
    shown: dict[str, Any] = {}
    for name, value in node.items():
        if name == "specName" and isinstance(value, str) and within == "auth":
            shown[name] = value
        elif _is_secret(name) and not isinstance(value, dict | list):
            shown[name] = MASK
        else:
            below = {"": "auth" if name.lower() == "auth" else "", "auth": "params"}.get(within, within)
            shown[name] = _masked(value, below)
    return shown
