"""What the journal keeps of a request, without secrets and rows, and how to send it again with curl."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import parse_qsl, urlencode

from airflow_provider_aep.emulator.shapes import parsed

MASK = "******"
LONGEST_BODY = 16_384
"""Characters of a body that are kept; of a longer one only its size."""

_KEPT_HEADERS = ("accept", "content-type", "if-match", "pragma", "x-api-key", "x-gw-ims-org-id", "x-sandbox-name")
_SECRET_FIELDS = {"client_secret", "jwt_token", "code", "password", "access_token", "refresh_token"}
_ROWS = {"data", "sampleData"}
"""Fields of Data Prep's requests that carry rows."""


def kept_headers(headers: dict[str, str]) -> str:
    return json.dumps({k: headers[k] for k in _KEPT_HEADERS if k in headers})


def kept_query(text: str) -> str:
    """:param text: the query string as it was sent"""
    pairs = parse_qsl(text, keep_blank_values=True)
    if not any(k in _SECRET_FIELDS for k, _ in pairs):
        return text
    return urlencode([(k, MASK if k in _SECRET_FIELDS else v) for k, v in pairs], safe="*")


def kept_body(path: str, content: bytes, content_type: str) -> str:
    """The body without what must not be kept; empty if there was none."""
    if not content:
        return ""
    if path.startswith("/ims/"):
        return kept_query(content.decode("latin-1")) if "urlencoded" in content_type else _size(content)
    try:
        body = parsed(content)
    except (ValueError, RecursionError):
        return _size(content)
    if isinstance(body, list):
        body = [_masked_operation(op) for op in body]
    elif isinstance(body, dict):
        body = _masked(body)
        if "/conversion/" in path:
            body = {k: MASK if k in _ROWS else v for k, v in body.items()}
    text = json.dumps(body)
    return text if len(text) <= LONGEST_BODY else _size(content)


def _size(content: bytes) -> str:
    return f"({len(content)} bytes)"


def _masked(body: dict[str, Any]) -> dict[str, Any]:
    """What a source is logged in with is the business of nobody who reads a journal."""
    auth = body.get("auth")
    if auth is None:
        return body
    if not isinstance(auth, dict):
        return {**body, "auth": MASK}
    params = auth.get("params")
    shown = dict.fromkeys(params, MASK) if isinstance(params, dict) else MASK
    return {**body, "auth": {"specName": auth.get("specName"), "params": shown}}


def _masked_operation(op: Any) -> Any:
    if not isinstance(op, dict):
        return op
    if str(op.get("path", "")).lstrip("/").startswith("auth") and "value" in op:
        return {**op, "value": MASK}
    return op


def curl(entry: dict[str, Any], url: str) -> str:
    """A line for a shell; the token is in its variable ``TOKEN``, and what was masked is masked."""
    query = f"?{entry['query']}" if entry["query"] else ""
    words = ["curl", "-sS"]
    if entry["method"] != "GET":
        words += ["-X", entry["method"]]
    words.append(shlex.quote(f"{url}{entry['path']}{query}"))
    if entry["operation"] != "POST token":
        words += ["-H", '"Authorization: Bearer $TOKEN"']
    for name, value in json.loads(entry["headers"]).items():
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if entry["body"]:
        words += ["--data-raw", shlex.quote(entry["body"])]
    return " ".join(words)
