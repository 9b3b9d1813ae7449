"""The console script ``airflow-aep``: the commands of ``airflow aep``, without Airflow's metadata database."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from airflow_provider_aep.cli.definitions import COMMANDS, HELP


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = argparse.ArgumentParser(prog="airflow-aep", description=HELP)
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.arguments:
            sub.add_argument(*argument.flags, **argument.options)
    return root


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; a result that is no success ends the process with the code of the command."""
    args = parser().parse_args(argv)
    getattr(import_module("airflow_provider_aep.cli.commands"), args.command)(args)
