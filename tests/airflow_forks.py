"""Runs Airflow's commands in forks of one process that has imported Airflow: importing it takes ten seconds.

Run as a program it reads a JSON object a line, ``{"command": [module, argument, ...], "environment": {...}, "output":
file}``, and writes one number for each: the command's exit code, or its process id if the object has ``"background":
true``. The program's arguments are modules that it imports, too; ``package.*`` is a package with all its modules.
Airflow 3.3 keeps what is ready; earlier versions make it again.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from runpy import run_module
from typing import Any

import httpx

IMPORTED_BY_TASKS = (
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_aep.client.*",
    "airflow_provider_aep.onboarding.*",
    "airflow_provider_aep.operators.*",
    "airflow_provider_aep.runs.*",
    "airflow_provider_aep.runtime.*",
    "airflow_provider_aep.sensors.*",
    "airflow_provider_aep.triggers.*",
)
"""Modules that each task would import again."""


class Airflow:
    """An Airflow home with an empty metadata database, and commands in it.

    :param home: of all commands
    """

    def __init__(self, home: Path, process: subprocess.Popen[str]) -> None:
        self.home, self._process = home, process

    def __call__(self, *command: str, environment: dict[str, str]) -> tuple[int, str]:
        """Run a command to its end. Return its exit code and its output."""
        return self.run_module("airflow", *command, environment=environment)

    def run_module(self, module: str, *arguments: str, environment: dict[str, str]) -> tuple[int, str]:
        """Run a module as a program to its end. Return its exit code and its output."""
        output = self.home / "command.log"
        output.unlink(missing_ok=True)
        return self._ask([module, *arguments], environment, output), output.read_text()

    def start(self, *command: str, environment: dict[str, str], output: Path) -> int:
        """Start a command in a process group of its own. Return its process id.

        :param output: a file, to which the command's output is appended
        """
        return self._ask(["airflow", *command], environment, output, background=True)

    def _ask(self, command: Sequence[str], environment: dict[str, str], output: Path, **options: Any) -> int:
        assert self._process.stdin
        assert self._process.stdout
        asked = {"command": command, "environment": environment, "output": str(output), **options}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, (self.home / "forks.log").read_text()[-3000:]
        return int(answer)


@contextmanager
def airflow_in(home: Path, *modules: str, **environment: str) -> Generator[Airflow, None, None]:
    """Start the process that forks, in an Airflow home.

    :param modules: names of modules that it imports before the first fork; ``package.*`` is a package with its modules
    :param environment: more variables for it. Modules that read Airflow's configuration when they are imported see it.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    inherited |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",  # it prepares its logging, too
        "NO_COLOR": "1",
    }
    command = [sys.executable, __file__, *modules]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        (home / "forks.log").open("wb") as log,
        subprocess.Popen(command, env=inherited | environment, stderr=log, **pipes) as process,
    ):
        yield Airflow(home, process)


async def first_request(app: Any) -> None:
    """Ask the API for tasks once: it makes most of itself at its first request."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        await client.get("/health")


_background: set[int] = set()


def reap(*_: Any) -> None:
    """Collect the exit codes of background commands that have ended, so that none stays a zombie."""
    for pid in [*_background]:
        with suppress(ChildProcessError):
            if not os.waitpid(pid, os.WNOHANG)[0]:
                continue
        _background.discard(pid)


def run_in_fork(asked: dict[str, Any]) -> None:
    """Become the command: the process that called is a fork."""
    from airflow import settings

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if asked.get("background"):
        os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with open(asked["output"], "ab") as out:
        for stream in (1, 2):
            os.dup2(out.fileno(), stream)
    os.environ.clear()
    os.environ.update(asked["environment"])
    settings.configure_vars()
    settings.configure_orm()
    module, *_ = sys.argv = asked["command"]
    try:
        run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # to tear down all that is imported takes seconds


def import_all(name: str) -> None:
    """Import a module, or a package with its modules if the name ends with ``.*``, unless this Airflow lacks it."""
    try:
        module = import_module(name.removesuffix(".*"))
    except ModuleNotFoundError as e:
        if not (e.name or "").startswith("airflow."):
            raise
        return
    if name.endswith(".*"):
        for found in walk_packages(module.__path__, f"{module.__name__}."):
            import_module(found.name)


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    from airflow import settings
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from airflow.utils.db import initdb

    initdb()
    asyncio.run(first_request(in_process_api_server().app))
    assert "airflow_provider_aep.client" not in sys.modules  # Airflow itself must not pay for it
    for module in sys.argv[1:]:
        import_all(module)
    settings.dispose_orm()
    gc.freeze()  # so that a fork's garbage collection does not copy what is shared
    signal.signal(signal.SIGCHLD, reap)
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if not (child := os.fork()):
            run_in_fork(asked)
        if asked.get("background"):
            _background.add(child)
        else:
            child = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(child, file=answers, flush=True)
    for group in _background:  # nobody is left to end them
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
