"""The names of the objects that one onboarding makes."""

from __future__ import annotations

import re
from datetime import datetime

from airflow_provider_aep.client.errors import AepConfigurationError

# AEP's filter language has no safe quoting, so names are kept to what needs none.
_NAME = re.compile(r"[A-Za-z0-9 _.:()/-]{1,100}")

_MAPPING, _REPLACED = " mapping", " (replaced "

ONBOARDING_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9 _.:()/-]{0,78}[A-Za-z0-9_.:()/-])?(?!\n)$"
"""What an onboarding may be called, for the ``pattern`` of a DAG's ``Param``: every name made of it is a good one."""


def checked_name(name: object, field: str = "name") -> str:
    """Return ``name`` if AEP can find it again by an equality filter.

    :raises AepConfigurationError: forbidden characters, blank at an end, empty or longer than 100
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name != name.strip():
        raise AepConfigurationError(
            f"{field} is {name!r}, which AEP's filters could not find again",
            next_step="Use 1 to 100 letters (A to Z), digits, spaces and _ . : ( ) / - without a space at either end.",
        )
    return name


def put_aside(name: str, moment: datetime) -> str:
    """What an object is called once another one has taken its place.

    :param moment: in UTC
    """
    return f"{name}{_REPLACED}{moment:%Y-%m-%dT%H:%M:%SZ})"


def is_put_aside(name: str, before: str) -> bool:
    """Whether an object was called ``before`` until another one took its place."""
    return name.startswith(f"{before}{_REPLACED}")


def before(name: str) -> str:
    """What an object was called, if another one has taken its place."""
    return name.partition(_REPLACED)[0]


def flow_of(mapping: str) -> str | None:
    """The flow's name in the onboarding of a mapping set; ``None`` if that is not named as :class:`Names` does."""
    onboarding, last = mapping[: -len(_MAPPING)], mapping[-len(_MAPPING) :]
    return Names(onboarding).flow if onboarding and last == _MAPPING else None


class Names:
    """The names of everything that the onboarding called ``onboarding`` makes; a template will do.

    Titles differ between class and schemas, because the Schema Registry knows one title once.
    """

    def __init__(self, onboarding: str) -> None:
        self.base = f"{onboarding} base"
        self.source_class = f"{onboarding} source class"
        self.source_schema = f"{onboarding} source schema"
        self.schema = f"{onboarding} schema"
        self.dataset = f"{onboarding} dataset"
        self.dataset_base = f"{onboarding} dataset base"
        self.source = f"{onboarding} source"
        self.target = f"{onboarding} target"
        self.mapping = f"{onboarding}{_MAPPING}"
        self.flow = f"{onboarding} flow"
