"""Regular expressions of filters: text with ``^``, ``$`` and ``.*``.

More is not supported: a malicious expression could need exponential time.
"""

from __future__ import annotations

import re

_ALLOWED = re.compile(r"\^?(?:[\w :/@-]|\.\*)*\$?")


def is_allowed(pattern: str) -> bool:
    """Return whether a regular expression is supported."""
    return len(pattern) <= 200 and bool(_ALLOWED.fullmatch(pattern))


def matches(pattern: str, text: str) -> bool:
    """Return whether ``text`` matches a supported pattern, in one pass."""
    start, end = pattern.startswith("^"), pattern.endswith("$")
    parts = pattern.removeprefix("^").removesuffix("$").split(".*")
    if len(parts) == 1 and start and end:
        return text == parts[0]
    position = 0
    for number, part in enumerate(parts):
        if number == 0 and start:
            if not text.startswith(part):
                return False
            position = len(part)
        elif number == len(parts) - 1 and end:
            return len(text) - len(part) >= position and text.endswith(part)
        else:
            found = text.find(part, position)
            if found < 0:
                return False
            position = found + len(part)
    return True
