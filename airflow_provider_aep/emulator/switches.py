"""Where Adobe is silent and two behaviours are possible: which one this emulator shows is its starter's choice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Switch:
    """:param values: the first is the default: what works with it works with the others, as far as one can"""

    name: str
    values: tuple[str, ...]
    what: str


SWITCHES = (
    Switch(
        "unique-names", ("no", "yes"), "whether a second object of a kind and name is refused in Flow Service (400)"
    ),
    Switch(
        "mapping-set-name",
        ("kept", "dropped"),
        "whether a mapping set remembers its name: it is in the OpenAPI file, and in no printed request",
    ),
    Switch("run-params", ("echoed", "dropped"), "whether a run on demand shows the window that it was asked for"),
    Switch("secrets", ("masked", "absent"), "how a base connection's passwords are read: as stars, or not at all"),
    Switch(
        "test-failure",
        ("result", "error"),
        'how a test of a connection fails: {"result": false} with 200, or 1308-400',
    ),
    Switch("flow-delete", ("alone", "cascades"), "whether a deleted flow takes its source and target connection along"),
    Switch(
        "partial-status",
        ("success", "partialSuccess", "PARTIAL_SUCCESS"),
        "the status of a run in which some records failed",
    ),
    Switch("draft-parents", ("checked", "free"), "whether only a draft may stand on a draft (1422-400)"),
    Switch(
        "diagnostics",
        ("enabled", "as-asked"),
        "whether failed rows can be read where a flow does not say errorDiagnosticsEnabled",
    ),
    Switch(
        "re-trigger",
        ("same-run", "new-run"),
        "whether a failed run that is triggered again goes on as itself, or as another run of its window",
    ),
    Switch("window-end", ("exclusive", "inclusive"), "whether a row of the very end of a run's window belongs to it"),
)
_BY_NAME = {s.name: s for s in SWITCHES}


def choices(given: list[str]) -> dict[str, str]:
    """Value by switch, from ``NAME=VALUE``.

    :raises ValueError: there is no such switch, or it has no such value
    """
    chosen = {s.name: s.values[0] for s in SWITCHES}
    for text in given:
        name, _, value = text.partition("=")
        if name not in _BY_NAME:
            raise ValueError(f"{name!r} is no switch; there are {', '.join(_BY_NAME)}")
        if value not in _BY_NAME[name].values:
            raise ValueError(f"{name} is {' or '.join(_BY_NAME[name].values)}, not {value!r}")
        if chosen[name] != _BY_NAME[name].values[0]:
            raise ValueError(f"{name} is given twice")
        chosen[name] = value
    return chosen
