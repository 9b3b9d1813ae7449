"""The names of the objects that one onboarding makes."""

from __future__ import annotations

import re

from airflow_provider_aep.client.errors import AepConfigurationError

# AEP's filter language has no safe quoting, so names are kept to what needs none.
_NAME = re.compile(r"[A-Za-z0-9 _.:()/-]{1,100}")


def checked_name(name: object, field: str = "name") -> str:
    """Return ``name`` if AEP can find it again by an equality filter.

    :raises AepConfigurationError: forbidden characters, blank at an end, empty or longer than 100
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name != name.strip():
        raise AepConfigurationError(
            f"{field} is {name!r}, which AEP's filters could not find again",
            next_step="Use 1 to 100 letters, digits, spaces and _ . : ( ) / - without a space at either end.",
        )
    return name
