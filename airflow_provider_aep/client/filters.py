"""Which names AEP's filters can find. A list without a filter finds the others."""

from __future__ import annotations

import unicodedata

_SAFE = frozenset(" _.:()/-")


def is_filterable(name: str) -> bool:
    """Return whether a filter finds an object with this name, because its language gives no character a meaning.

    Letters, marks and digits of all scripts are safe. Other characters, such as ``&``, are not, as AEP documents no
    way to quote them: a caller lists all objects, and compares their names.
    """
    return all(c in _SAFE or unicodedata.category(c)[0] in "LMN" for c in name)


def name_filter(*names: str) -> dict[str, str]:
    """Return the filter of Flow Service that finds objects with one of these names; empty if no filter does."""
    return {"name": ",".join(names)} if all(map(is_filterable, names)) else {}
