"""The commands and their arguments, as data: ``airflow aep`` and ``airflow-aep`` are made of them.

Airflow imports this module for each of its commands, so it imports no other module of the provider.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

NAME = "aep"
HELP = "Onboard sources into Adobe Experience Platform, one file per source"


@dataclass(frozen=True)
class Argument:
    """An argument of a command, with the options of ``argparse``."""

    flags: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """A command; the function of its name in ``airflow_provider_aep.cli.commands`` carries it out."""

    name: str
    help: str
    arguments: tuple[Argument, ...]


_PATHS = Argument(
    ("paths",), {"nargs": "*", "default": ["onboardings"], "help": "files and folders (default: onboardings)"}
)
_ENV = Argument(("--env",), {"help": "the environment, as in aep.yaml"})
_NEEDED_ENV = Argument(("--env",), {"help": "the environment, as in aep.yaml", "required": True})
_FORMAT = Argument(
    ("-o", "--output"),
    {"choices": ("text", "json", "github", "sarif"), "default": "text", "help": "format of the output (default: text)"},
)
_PLAN_FORMAT = Argument(
    ("-o", "--output"), {"choices": ("text", "json"), "default": "text", "help": "format of the output (default: text)"}
)
_EXIT_CODE = Argument(
    ("--exit-code",), {"action": "store_true", "help": "end with 2 if there are changes, and with 5 if you must decide"}
)
_OUT = Argument(("--out",), {"metavar": "FILE", "help": "also save the plan as JSON, for apply --plan"})
_PLAN = Argument(
    ("--plan",), {"metavar": "FILE", "help": "a saved plan; nothing is written if an apply would do something else"}
)
_YES = Argument(("--yes",), {"action": "store_true", "help": "do not ask"})

COMMANDS = (
    Command("validate", "Check files without AEP, and report all errors", (_PATHS, _ENV, _FORMAT)),
    Command("test", "Run the tests of the files' mappings without AEP", (_PATHS, _ENV, _FORMAT)),
    Command(
        "plan",
        "Show what an apply would change; AEP is only read",
        (_PATHS, _NEEDED_ENV, _PLAN_FORMAT, _OUT, _EXIT_CODE),
    ),
    Command("apply", "Create and change the objects of the files, once each", (_PATHS, _NEEDED_ENV, _PLAN, _YES)),
    Command("explain", "Show each value of a file after defaults and overlay, with its place", (_PATHS, _ENV)),
    Command("schema", "Print the JSON Schema of an onboarding file", ()),
)


def airflow_commands() -> list[CLICommand]:
    """Return the commands for Airflow (3.2 and later)."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

    def argument(one: Argument) -> Arg:
        return Arg(one.flags, **one.options)

    subcommands = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=lazy_load_command(f"airflow_provider_aep.cli.commands.{command.name}"),
            args=tuple(map(argument, command.arguments)),
        )
        for command in COMMANDS
    ]
    return [GroupCommand(name=NAME, help=HELP, subcommands=subcommands)]
