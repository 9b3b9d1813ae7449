"""The emulator's state: one SQLite file, written in transactions, safe to kill at any moment."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FORMAT = 2
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, org TEXT NOT NULL, sandbox TEXT NOT NULL,
  id TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL, body TEXT NOT NULL, added REAL NOT NULL,
  UNIQUE (kind, org, sandbox, id));
CREATE INDEX IF NOT EXISTS by_name ON objects (kind, org, sandbox, name);
CREATE INDEX IF NOT EXISTS by_parent ON objects (kind, org, sandbox, parent);
CREATE TABLE IF NOT EXISTS tokens (value TEXT PRIMARY KEY, client_id TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  operation TEXT NOT NULL, sandbox TEXT NOT NULL, status INTEGER NOT NULL, code TEXT NOT NULL,
  fault TEXT NOT NULL,  request_id TEXT NOT NULL);
"""

Body = dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """The partition every object lives in."""

    org: str
    sandbox: str


class Store:
    """Objects by kind within an org and sandbox, tokens, and the journal of requests.

    One connection behind one lock: SQLite has one writer anyway, and reads are short.
    """

    def __init__(self, path: Path | None) -> None:
        self.now: Callable[[], float] = time.time
        self._hidden = threading.local()
        self._lock = threading.RLock()
        self._claim = _claimed(path) if path else None
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            if path:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
            found = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        except sqlite3.Error as e:
            raise SystemExit(f"{path} is no state of an emulator: {e}. Use a new file.") from None
        if found is None:
            self._db.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
        elif int(found[0]) != FORMAT:
            raise SystemExit(
                f"{path} has state format {found[0]}; this emulator reads format {FORMAT}. Use a new file."
            )

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Everything inside is written, or nothing."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # -- objects ----------------------------------------------------------------------------------------------------

    def add(self, kind: str, scope: Scope, id_: str, body: Body, *, name: str = "", parent: str = "") -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO objects (kind, org, sandbox, id, name, parent, body, added) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (kind, scope.org, scope.sandbox, id_, name, parent, json.dumps(body), self.now()),
            )

    def put(self, kind: str, scope: Scope, id_: str, body: Body, *, name: str | None = None) -> None:
        with self._lock:
            self._db.execute(
                "UPDATE objects SET body = ?, name = coalesce(?, name) "
                "WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (json.dumps(body), name, kind, scope.org, scope.sandbox, id_),
            )

    def get(self, kind: str, scope: Scope, id_: str) -> Body | None:
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (kind, scope.org, scope.sandbox, id_),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, kind: str, scope: Scope, id_: str) -> None:
        with self._lock:
            self._db.execute(
                "DELETE FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (kind, scope.org, scope.sandbox, id_),
            )

    def find(self, kind: str, scope: Scope, *, name: str | None = None, parent: str | None = None) -> list[Body]:
        """In the order of creation; ``name`` and ``parent`` use an index."""
        sql = "SELECT body FROM objects WHERE kind = ? AND org = ? AND sandbox = ?"
        values: list[Any] = [kind, *_pair(scope)]
        for column, value in (("name", name), ("parent", parent)):
            if value is not None:
                sql += f" AND {column} = ?"
                values.append(value)
        if (since := getattr(self._hidden, "since", None)) is not None:
            sql += " AND added <= ?"
            values.append(since)
        with self._lock:
            rows = self._db.execute(f"{sql} ORDER BY seq", values).fetchall()
        return [json.loads(body) for (body,) in rows]

    @contextmanager
    def hiding(self, since: float) -> Generator[None, None, None]:
        """Within it, this thread finds nothing that was added later: a list that lags behind writes."""
        self._hidden.since = since
        try:
            yield
        finally:
            self._hidden.since = None

    def everywhere(self, kind: str) -> list[tuple[Scope, Body]]:
        """All objects of a kind, in every org and sandbox."""
        with self._lock:
            rows = self._db.execute("SELECT org, sandbox, body FROM objects WHERE kind = ? ORDER BY seq", (kind,))
            return [(Scope(org, sandbox), json.loads(body)) for org, sandbox, body in rows.fetchall()]

    # -- tokens -----------------------------------------------------------------------------------------------------

    def add_token(self, client_id: str, expires: float) -> str:
        value = f"emulated.{uuid.uuid4().hex}{uuid.uuid4().hex}"
        with self._lock:
            self._db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (value, client_id, expires))
        return value

    def drop_token(self, value: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM tokens WHERE value = ?", (value,))

    def token_client(self, value: str, now: float) -> str | None:
        with self._lock:
            row = self._db.execute("SELECT client_id, expires FROM tokens WHERE value = ?", (value,)).fetchone()
        return row[0] if row and row[1] > now else None

    # -- journal ----------------------------------------------------------------------------------------------------

    def record(self, entry: Body) -> None:
        keys = ("at", "method", "path", "operation", "sandbox", "status", "code", "fault", "request_id")
        with self._lock:
            self._db.execute(
                f"INSERT INTO journal ({', '.join(keys)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [entry[k] for k in keys]
            )

    def journal(self, after: int = 0) -> list[Body]:
        with self._lock:
            cursor = self._db.execute("SELECT * FROM journal WHERE seq > ? ORDER BY seq", (after,))
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        with self._lock:
            self._db.close()
            if self._claim:
                self._claim.close()


def _claimed(path: Path) -> IO[str]:
    """A lock beside the state file: two emulators would both start the same runs. It ends with its process."""
    try:
        claim = path.with_name(f"{path.name}.lock").open("w")
    except OSError as e:
        raise SystemExit(f"The state {path} cannot be written: {e.strerror}.") from None
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"The state {path} is in use by another emulator.") from None
    return claim


def _pair(scope: Scope) -> tuple[str, str]:
    return scope.org, scope.sandbox
