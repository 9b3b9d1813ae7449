"""A request of the journal as a shell command."""

from __future__ import annotations

import json
import shlex
from typing import Any


def curl(entry: dict[str, Any], url: str) -> str:
    """Return a ``curl`` command; the token is the shell variable ``TOKEN``, and masked values stay masked."""
    query = f"?{entry['query']}" if entry["query"] else ""
    words = ["curl", "-sS"]
    if entry["method"] != "GET":
        words += ["-X", entry["method"]]
    words.append(shlex.quote(f"{url}{entry['path']}{query}"))
    if entry["operation"] != "POST token":
        words += ["-H", '"Authorization: Bearer $TOKEN"']
    for name, value in json.loads(entry["headers"]).items():
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if entry["body"].startswith("("):
        return f"{' '.join(words)} --data-raw '...' # {entry['body'].strip('()')} that were not kept"
    if entry["body"]:
        words += ["--data-raw", shlex.quote(entry["body"])]
    return " ".join(words)
