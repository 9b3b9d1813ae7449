"""Sources of a field in a mapping set, besides a column."""

from __future__ import annotations


class Expression(dict[str, str]):
    """A calculated field, in the mapping language of AEP's Data Prep.

    It equals ``{"expr": text}``, which means the same in templates and YAML.

    :param text: such as ``concat(first_name, " ", last_name)``

    .. code-block:: python

        mappings = {"person.name.fullName": Expression('concat(first_name, " ", last_name)')}
    """

    def __init__(self, text: str) -> None:
        super().__init__(expr=text)


class Constant(dict[str, "str | int | float | bool"]):
    """The same value in each record.

    It equals ``{"value": value}``, which means the same in templates and YAML.

    :param value: such as ``"ServiceNow"``
    """

    def __init__(self, value: str | int | float | bool) -> None:
        super().__init__(value=value)
