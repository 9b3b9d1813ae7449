"""Airflow's commands, each in a fork of a process that has made Airflow ready for tasks: that takes ten seconds.

Run as a program it reads a JSON object a line, ``{"command": [...], "environment": {...}, "output": file}``, and writes
the exit code of each. What the provider does is imported after the fork. Airflow 3.3 keeps what is ready; earlier ones
make it again.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


class Airflow:
    """An Airflow home with an empty metadata database, and commands in it.

    :param home: of all commands
    """

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        self.home, self._process = home, process

    def __call__(self, *command: str, environment: dict[str, str]) -> tuple[int, str]:
        """The exit code of a command, and all that it printed."""
        assert self._process.stdin
        assert self._process.stdout
        output = self.home / "command.log"
        asked = {"command": command, "environment": environment, "output": str(output)}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline()), output.read_text()


@contextmanager
def airflow_in(home: Path) -> Generator[Airflow, None, None]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",  # it prepares its logging, too
        "NO_COLOR": "1",
    }
    process = subprocess.Popen(
        [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield Airflow(home, process)


async def first_request(app: Any) -> None:
    """What the API for tasks puts off until then is what takes longest."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        await client.get("/health")


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    from airflow import settings
    from airflow.__main__ import main as airflow
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from airflow.utils.db import initdb

    initdb()
    asyncio.run(first_request(in_process_api_server().app))
    settings.dispose_orm()
    assert "airflow_provider_aep.client" not in sys.modules
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if not (child := os.fork()):
            with open(asked["output"], "wb") as out:
                for stream in (1, 2):
                    os.dup2(out.fileno(), stream)
            os.environ.clear()
            os.environ.update(asked["environment"])
            settings.configure_vars()
            settings.configure_orm()
            sys.argv = ["airflow", *asked["command"]]
            sys.exit(airflow())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


if __name__ == "__main__":
    main()
