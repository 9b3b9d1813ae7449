"""Switches: where Adobe's documentation allows two behaviours, the user of the emulator chooses one."""

from __future__ import annotations

from dataclasses import dataclass

from aep_data_prep import CHOICES


@dataclass(frozen=True)
class Switch:
    """One choice.

    :param values: the first is the default, and the safer one: a client that works with it tends to work with the
        others
    """

    name: str
    values: tuple[str, ...]
    what: str


SWITCHES = (
    Switch("unique-names", ("no", "yes"), "whether Flow Service refuses a second object with the same name (400)"),
    Switch(
        "mapping-set-name",
        ("kept", "dropped"),
        "whether a mapping set stores its name: only the OpenAPI file contains it",
    ),
    Switch("run-params", ("echoed", "dropped"), "whether an on-demand run returns the window of its request"),
    Switch("secrets", ("masked", "absent"), "whether a base connection's passwords are returned as stars or omitted"),
    Switch(
        "test-failure",
        ("result", "error"),
        'how a connection test fails: {"result": false} with 200, or 1308-400',
    ),
    Switch(
        "flow-delete", ("alone", "cascades"), "whether deleting a flow also deletes its source and target connection"
    ),
    Switch(
        "partial-status",
        ("success", "partialSuccess", "PARTIAL_SUCCESS"),
        "the status of a run in which some records failed",
    ),
    Switch("draft-parents", ("checked", "free"), "whether only a draft may refer to a draft (1422-400)"),
    Switch(
        "re-trigger",
        ("same-run", "new-run"),
        "whether a retry of a failed run is the same run, or a new run of its window",
    ),
    Switch("window-end", ("exclusive", "inclusive"), "whether a run's window includes its end"),
    Switch(
        "expression-validation",
        ("object", "boolean"),
        'how the validation of an expression answers: {"validationStatus", "error"}, or true and false',
    ),
    *(Switch(name, choice.values, f"{choice.question} {choice.effect}") for name, choice in CHOICES.items()),
)
_BY_NAME = {s.name: s for s in SWITCHES}


def choices(assumptions: list[str]) -> dict[str, str]:
    """Return the value of every switch.

    :param assumptions: ``NAME=VALUE``; other switches have their default
    :raises ValueError: a switch or a value is unknown, or a switch is set twice
    """
    chosen = {s.name: s.values[0] for s in SWITCHES}
    for text in assumptions:
        name, _, value = text.partition("=")
        if name not in _BY_NAME:
            raise ValueError(f"unknown switch {name!r}. Use one of {', '.join(_BY_NAME)}")
        if value not in _BY_NAME[name].values:
            raise ValueError(f"{name} is {' or '.join(_BY_NAME[name].values)}, not {value!r}")
        if chosen[name] != _BY_NAME[name].values[0]:
            raise ValueError(f"{name} is set twice")
        chosen[name] = value
    return chosen
