"""Terms of an author for existing objects: ``if_exists``, ``take_over``, ``enable``, ``replace``."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_aep.client.errors import AepConfigurationError

_IF_EXISTS = ("update", "adopt", "fail")


@dataclass(frozen=True)
class Terms:
    """The author's terms for an existing object.

    :param if_exists: ``update`` writes differences, ``adopt`` uses the object as it is, ``fail`` raises unless this
        task created the object
    :param take_over: whether to update an object without our marker, and add the marker
    :param adopt: whether an object without our marker may be used as it is
    :param enable: whether to enable a disabled object
    :param replace: whether to replace an object whose immutable fields differ
    :param concurrent_writers: whether another task may create the same object at the same time
    """

    if_exists: str = "update"
    take_over: bool = False
    adopt: bool = True
    enable: bool = False
    replace: bool = False
    concurrent_writers: bool = False

    def __post_init__(self) -> None:
        """Validate the terms before anything is sent.

        :raises AepConfigurationError: a value is not allowed, or two of them contradict each other
        """
        if self.if_exists not in _IF_EXISTS:
            raise AepConfigurationError(
                f"if_exists is {self.if_exists!r}, which is not supported",
                next_step=f"Set if_exists to one of {', '.join(_IF_EXISTS)}.",
            )
        for name in ("take_over", "adopt", "enable", "replace", "concurrent_writers"):
            if not isinstance(value := getattr(self, name), bool):
                raise AepConfigurationError(
                    f"{name} is {value!r}, not True or False", next_step=f"Set {name} to True or False."
                )
        if self.if_exists != "update" and (self.take_over or self.replace):
            raise AepConfigurationError(
                f"if_exists is {self.if_exists!r}, which contradicts take_over and replace",
                next_step="Remove if_exists, or remove take_over and replace.",
            )
