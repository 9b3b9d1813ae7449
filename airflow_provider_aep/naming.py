"""Names of the objects of an onboarding: the naming scheme, validation, and names of retired objects."""

from __future__ import annotations

import hashlib

from airflow_provider_aep.client.errors import AepConfigurationError

MAX_NAME = 100
"""Longest name in characters, also of a retired object."""

_MAPPING, _REPLACED = " mapping", " (replaced "
_STEM = MAX_NAME - len(f"{_REPLACED}999)")

_INVISIBLE = (
    r"\x00-\x1f\x7f-\xa0\xad\u0600-\u0605\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    r"\u06dd\u070f\u0890\u0891\u08e2\ud800-\uf8ff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U00013438"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U0010ffff"
)
"""Characters that Unicode assigns, and that cannot be printed."""

ONBOARDING_PATTERN = rf"^(?!\s)[^{_INVISIBLE}]{{1,80}}(?<!\s)(?!\n)$"
"""Pattern of an onboarding's name, for a DAG's ``Param``.

The names that :class:`Names` derives from it are valid, but for those with a character that Unicode does not assign.
"""


def validate_name(name: object, field: str = "name") -> str:
    """Return a name that can be found again.

    :param field: name of the argument, for the error
    :raises AepConfigurationError: the name is empty, longer than ``MAX_NAME``, contains a character that cannot be
        printed, or has a space at either end
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise AepConfigurationError(
            f"{field} is {name!r}, which is not a name",
            next_step=f"Set {field} to 1 to {MAX_NAME} printable characters, without a space at either end.",
        )
    return name


def retired_name(name: str, number: int) -> str:
    """Return the name of an object that a successor has replaced.

    An equality filter can find retired names, because they contain a number. A long name is shortened to ``MAX_NAME``
    characters.

    :param number: 1 for the first replaced object of this name, 2 for the second
    """
    return f"{_stem(name)}{_REPLACED}{number})"


def is_retired_name(name: str, original: str) -> bool:
    """Return whether an object had the name ``original`` until a successor replaced it."""
    return name.startswith(f"{_stem(original)}{_REPLACED}")


def original_name(name: str) -> str:
    """Return the name before the replacement; a name that is not retired is returned unchanged."""
    return name.partition(_REPLACED)[0]


def _stem(name: str) -> str:
    if len(name) <= _STEM:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _STEM - 9]} {digest}"


def flow_name_of(mapping_set_name: str) -> str | None:
    """Return the name of the flow in a mapping set's onboarding; ``None`` unless :class:`Names` derived the name."""
    onboarding, last = mapping_set_name[: -len(_MAPPING)], mapping_set_name[-len(_MAPPING) :]
    return Names(onboarding).flow if onboarding and last == _MAPPING else None


class Names:
    """The names of all objects of one onboarding.

    Each attribute is the name of one object: ``base``, ``source_class``, ``source_schema``, ``xdm_class``,
    ``field_group``, ``schema``, ``dataset``, ``dataset_base``, ``source``, ``target``, ``mapping`` and ``flow``.
    ``Names("Contacts").flow`` is ``Contacts flow``. The titles of classes, field groups and schemas differ, because
    titles are unique in the Schema Registry.

    :param onboarding: the onboarding's name, which may be a template
    """

    def __init__(self, onboarding: str) -> None:
        """Derive the names."""
        self.base = f"{onboarding} base"
        self.source_class = f"{onboarding} source class"
        self.source_schema = f"{onboarding} source schema"
        self.xdm_class = f"{onboarding} class"
        self.field_group = f"{onboarding} field group"
        self.schema = f"{onboarding} schema"
        self.dataset = f"{onboarding} dataset"
        self.dataset_base = f"{onboarding} dataset base"
        self.source = f"{onboarding} source"
        self.target = f"{onboarding} target"
        self.mapping = f"{onboarding}{_MAPPING}"
        self.flow = f"{onboarding} flow"
