"""The emulator's state: one SQLite file, written in transactions, safe to kill at any time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FORMAT = 3
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, org TEXT NOT NULL, sandbox TEXT NOT NULL,
  id TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL, body TEXT NOT NULL, added REAL NOT NULL,
  created INTEGER NOT NULL, updated INTEGER NOT NULL, due REAL,
  UNIQUE (kind, org, sandbox, id));
CREATE INDEX IF NOT EXISTS by_name ON objects (kind, org, sandbox, name);
CREATE INDEX IF NOT EXISTS by_parent ON objects (kind, org, sandbox, parent);
CREATE INDEX IF NOT EXISTS by_creation ON objects (kind, org, sandbox, created);
CREATE INDEX IF NOT EXISTS by_update ON objects (kind, org, sandbox, updated);
CREATE INDEX IF NOT EXISTS by_due ON objects (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS uses (
  org TEXT NOT NULL, sandbox TEXT NOT NULL, kind TEXT NOT NULL, user TEXT NOT NULL, used TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_user ON uses (org, sandbox, kind, user);
CREATE INDEX IF NOT EXISTS by_used ON uses (org, sandbox, used);
CREATE TABLE IF NOT EXISTS tokens (value TEXT PRIMARY KEY, client_id TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  query TEXT NOT NULL, operation TEXT NOT NULL, sandbox TEXT NOT NULL, status INTEGER NOT NULL, code TEXT NOT NULL,
  fault TEXT NOT NULL, request_id TEXT NOT NULL, warnings TEXT NOT NULL, headers TEXT NOT NULL, body TEXT NOT NULL);
"""

KEPT_REQUESTS = 100_000
"""Maximum number of requests in the journal; older ones are deleted."""

_JOURNAL = ("at method path query operation sandbox status code fault request_id warnings headers body").split()
_FIRST_CHUNK, _LAST_CHUNK = 32, 1024
"""Rows that are read at a time: few at first, because most lists are short."""

_CREATED = ("createdAt", "created", "createdDate")
_UPDATED = ("updatedAt", "updated", "modifiedDate")
_ORDERS = {"created", "updated", "name", "seq"}

Body = dict[str, Any]
Place = tuple[Any, int]
"""The position of an object in an order: the value of the sort key, and the object's number."""


@dataclass(frozen=True)
class Scope:
    """The organization and sandbox of an object."""

    org: str
    sandbox: str


class Store:
    """Objects by kind within an organization and sandbox, tokens, and the journal of requests.

    It has one connection behind one lock: SQLite allows one writer, and reads are short.
    """

    def __init__(self, path: Path | None) -> None:
        self.now: Callable[[], float] = time.time
        self.seed: int | None = None
        self._drawn: dict[str, int] = {}
        self._hidden = threading.local()
        self._lock = threading.RLock()
        self._claim = _claimed(path) if path else None
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            if path:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
            found = self._meta("format") if self._tables() else None
            if found is None or int(found) == FORMAT:
                self._db.executescript(_TABLES)
        except sqlite3.Error as e:
            raise SystemExit(f"{path} is not a state of an emulator: {e}. Use a new file.") from None
        if found is None:
            self._db.execute("INSERT INTO meta VALUES ('format', ?), ('drawn', '{}')", (str(FORMAT),))
        elif int(found) != FORMAT:
            raise SystemExit(f"{path} has state format {found}; this emulator reads format {FORMAT}. Use a new file.")
        self._drawn = json.loads(self._meta("drawn") or "{}")

    def _tables(self) -> bool:
        return bool(self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone())

    def _meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Write everything in the block, or nothing."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            drawn = dict(self._drawn)
            try:
                yield
                if drawn != self._drawn:
                    self._keep_drawn()
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _keep_drawn(self) -> None:
        self._db.execute("UPDATE meta SET value = ? WHERE key = 'drawn'", (json.dumps(self._drawn),))

    def draw(self, stream: str = "") -> str:
        """Return 32 hexadecimal digits: the next ones of the seed and stream, or random ones without a seed."""
        if self.seed is None:
            return uuid.uuid4().hex
        stream = stream or getattr(self._hidden, "stream", "objects")
        with self._lock:
            self._drawn[stream] = number = self._drawn.get(stream, 0) + 1
            return hashlib.sha256(f"{self.seed}:{stream}:{number}".encode()).hexdigest()[:32]

    @contextmanager
    def drawing(self, stream: str) -> Generator[None, None, None]:
        """Use another stream for this thread's ids in the block."""
        self._hidden.stream = stream
        try:
            yield
        finally:
            del self._hidden.stream

    # -- objects ----------------------------------------------------------------------------------------------------

    def add(
        self,
        kind: str,
        scope: Scope,
        id_: str,
        body: Body,
        *,
        name: str = "",
        parent: str = "",
        uses: Iterable[str] = (),
    ) -> None:
        """Add an object. Its next event is due at ``_emulator.due`` in ``body``.

        :param uses: ids of the objects that it refers to
        """
        with self._lock:
            self._db.execute(
                "INSERT INTO objects (kind, org, sandbox, id, name, parent, body, added, created, updated, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (kind, *_pair(scope), id_, name, parent, json.dumps(body), self.now(), *_moments(body), _due(body)),
            )
            self._mark_used(kind, scope, id_, uses)

    def put(
        self,
        kind: str,
        scope: Scope,
        id_: str,
        body: Body,
        *,
        name: str | None = None,
        uses: Iterable[str] | None = None,
    ) -> None:
        """Replace the body of an object.

        :param name: its new name; ``None``: unchanged
        :param uses: ids of the objects that it refers to; ``None``: unchanged
        """
        created, updated = _moments(body)
        with self._lock:
            self._db.execute(
                "UPDATE objects SET body = ?, name = coalesce(?, name), created = ?, updated = ?, due = ? "
                "WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (json.dumps(body), name, created, updated, _due(body), kind, *_pair(scope), id_),
            )
            if uses is not None:
                self._forget(kind, scope, id_)
                self._mark_used(kind, scope, id_, uses)

    def _mark_used(self, kind: str, scope: Scope, id_: str, uses: Iterable[str]) -> None:
        rows = [(*_pair(scope), kind, id_, used) for used in uses]
        if rows:
            self._db.executemany("INSERT INTO uses (org, sandbox, kind, user, used) VALUES (?, ?, ?, ?, ?)", rows)

    def _forget(self, kind: str, scope: Scope, id_: str) -> None:
        self._db.execute(
            "DELETE FROM uses WHERE org = ? AND sandbox = ? AND kind = ? AND user = ?", (*_pair(scope), kind, id_)
        )

    def users(self, kind: str, scope: Scope, id_: str) -> list[Body]:
        """Return the objects of a kind that refer to the object with this id."""
        with self._lock:
            rows = self._db.execute(
                "SELECT o.body FROM uses u JOIN objects o ON (o.kind, o.org, o.sandbox, o.id) "
                "= (u.kind, u.org, u.sandbox, u.user) WHERE u.org = ? AND u.sandbox = ? AND u.used = ? AND u.kind = ? "
                "ORDER BY o.seq",
                (*_pair(scope), id_, kind),
            ).fetchall()
        return [json.loads(body) for (body,) in rows]

    def get(self, kind: str, scope: Scope, id_: str) -> Body | None:
        """Return an object's body, or ``None``."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (kind, *_pair(scope), id_),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, kind: str, scope: Scope, id_: str) -> None:
        """Delete an object, if it exists."""
        with self._lock:
            self._db.execute(
                "DELETE FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?", (kind, *_pair(scope), id_)
            )
            self._forget(kind, scope, id_)

    def delete_all(self, kind: str, scope: Scope, parent: str) -> None:
        """Delete the objects of a kind with this parent."""
        with self._lock:
            self._db.execute(
                "DELETE FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND parent = ?",
                (kind, *_pair(scope), parent),
            )

    def find(
        self,
        kind: str,
        scope: Scope,
        *,
        name: str | None = None,
        parent: str | None = None,
    ) -> Iterator[Body]:
        """Yield objects in the order of creation; ``name`` and ``parent`` use an index."""
        return (body for body, _ in self.rows(kind, scope, name=name, parent=parent))

    def rows(
        self,
        kind: str,
        scope: Scope,
        *,
        name: str | None = None,
        parent: str | None = None,
        ids: Iterable[str] | None = None,
        containing: list[list[str]] | None = None,
        order: str = "",
        after: Place | None = None,
    ) -> Iterator[tuple[Body, Place]]:
        """Yield objects with their positions in an order; rows are read as the caller consumes them.

        :param containing: groups of texts; at least one text of each group occurs in the stored JSON: a coarse filter
        :param order: ``created``, ``updated`` or ``name``, with ``-`` for descending; ties are in the order of creation
        :param after: the position after which to continue
        """
        column, down = order.lstrip("-") or "seq", order.startswith("-")
        assert column in _ORDERS
        where, values = self._where(kind, scope, name, parent, containing, ids)
        way, beyond = ("DESC", "<") if down else ("ASC", ">")
        chunk = _FIRST_CHUNK
        while True:
            sql, arguments = where, list(values)
            if after is not None:
                sql += f" AND ({column}, seq) {beyond} (?, ?)"
                arguments += after
            with self._lock:
                rows = self._db.execute(
                    f"SELECT body, {column}, seq FROM objects WHERE {sql} "
                    f"ORDER BY {column} {way}, seq {way} LIMIT {chunk}",
                    arguments,
                ).fetchall()
            for body, value, seq in rows:
                yield json.loads(body), (value, seq)
            if len(rows) < chunk:
                return
            after, chunk = (rows[-1][1], rows[-1][2]), min(2 * chunk, _LAST_CHUNK)

    def count(self, kind: str, scope: Scope, *, name: str | None = None, parent: str | None = None) -> int:
        """Return the number of objects of a kind."""
        where, values = self._where(kind, scope, name, parent)
        with self._lock:
            return int(self._db.execute(f"SELECT count(*) FROM objects WHERE {where}", values).fetchone()[0])

    def size(self, scope: Scope) -> int:
        """Return the number of objects of all kinds in a scope."""
        with self._lock:
            row = self._db.execute(
                "SELECT count(*) FROM objects WHERE org = ? AND sandbox = ?", _pair(scope)
            ).fetchone()
        return int(row[0])

    def _where(
        self,
        kind: str,
        scope: Scope,
        name: str | None,
        parent: str | None,
        containing: list[list[str]] | None = None,
        ids: Iterable[str] | None = None,
    ) -> tuple[str, list[Any]]:
        sql, values = "kind = ? AND org = ? AND sandbox = ?", [kind, *_pair(scope)]
        for column, value in (("name", name), ("parent", parent)):
            if value is not None:
                sql += f" AND {column} = ?"
                values.append(value)
        if ids is not None:
            wanted = [*ids]
            sql += f" AND id IN ({', '.join('?' * len(wanted))})"
            values += wanted
        for texts in containing or []:
            sql += f" AND ({' OR '.join(['instr(body, ?)'] * len(texts))})"
            values += [json.dumps(t)[1:-1] for t in texts]
        if (since := getattr(self._hidden, "since", None)) is not None:
            sql += " AND added <= ?"
            values.append(since)
        return sql, values

    @contextmanager
    def hide_newer_than(self, since: float) -> Generator[None, None, None]:
        """Hide newer objects from the reads of this thread, for a ``with`` block: the read lag of AEP's lists.

        :param since: objects that were added later are hidden, in seconds since the epoch
        """
        self._hidden.since = since
        try:
            yield
        finally:
            self._hidden.since = None

    def due(self, now: float) -> list[tuple[str, Scope, str]]:
        """Return kind, scope and id of all objects with an event that is due, the earliest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT kind, org, sandbox, id FROM objects WHERE due <= ? ORDER BY due, seq", (now,)
            ).fetchall()
        return [(kind, Scope(org, sandbox), id_) for kind, org, sandbox, id_ in rows]

    def everywhere(self, kind: str) -> list[tuple[Scope, Body]]:
        """Return all objects of a kind, in all organizations and sandboxes."""
        with self._lock:
            rows = self._db.execute("SELECT org, sandbox, body FROM objects WHERE kind = ? ORDER BY seq", (kind,))
            return [(Scope(org, sandbox), json.loads(body)) for org, sandbox, body in rows.fetchall()]

    def park(self, kind: str, scope: Scope, id_: str) -> None:
        """Cancel the next event of an object."""
        with self._lock:
            self._db.execute(
                "UPDATE objects SET due = NULL WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (kind, *_pair(scope), id_),
            )

    def next_due(self) -> float | None:
        """Return the time of the next event, or ``None``."""
        with self._lock:
            found: float | None = self._db.execute("SELECT min(due) FROM objects WHERE due IS NOT NULL").fetchone()[0]
        return found

    # -- snapshots --------------------------------------------------------------------------------------------------

    def dump(self) -> list[Body]:
        """Return all objects, in the order of creation."""
        with self._lock:
            uses: dict[tuple[str, str, str, str], list[str]] = {}
            for org, sandbox, kind, user, used in self._db.execute("SELECT org, sandbox, kind, user, used FROM uses"):
                uses.setdefault((kind, org, sandbox, user), []).append(used)
            rows = self._db.execute(
                "SELECT kind, org, sandbox, id, name, parent, added, body FROM objects ORDER BY seq"
            ).fetchall()
        names = ("kind", "org", "sandbox", "id", "name", "parent", "added")
        return [
            {
                **dict(zip(names, row[:-1], strict=True)),
                "uses": uses.get((row[0], row[1], row[2], row[3]), []),
                "body": json.loads(row[-1]),
            }
            for row in rows
        ]

    def load(self, objects: list[Body], drawn: dict[str, int]) -> None:
        """Replace all objects."""
        with self.transaction():
            self._empty()
            self._db.executemany(
                "INSERT INTO objects (kind, org, sandbox, id, name, parent, added, body, created, updated, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(o[k] for k in ("kind", "org", "sandbox", "id", "name", "parent", "added")),
                        json.dumps(o["body"]),
                        *_moments(o["body"]),
                        _due(o["body"]),
                    )
                    for o in objects
                ],
            )
            self._db.executemany(
                "INSERT INTO uses (org, sandbox, kind, user, used) VALUES (?, ?, ?, ?, ?)",
                [(o["org"], o["sandbox"], o["kind"], o["id"], used) for o in objects for used in o["uses"]],
            )
            self._drawn = dict(drawn)
            self._keep_drawn()

    @property
    def drawn(self) -> dict[str, int]:
        """The number of ids that were drawn from the seed, by stream."""
        return dict(self._drawn)

    def _empty(self) -> None:
        for table in ("objects", "uses", "tokens", "journal"):
            self._db.execute(f"DELETE FROM {table}")
        self._db.execute("DELETE FROM sqlite_sequence")

    def clear(self) -> None:
        """Delete all objects, tokens and requests."""
        self.load([], {})

    # -- tokens -----------------------------------------------------------------------------------------------------

    def add_token(self, client_id: str, expires: float) -> str:
        """Add a token of a client, and return it."""
        value = f"emulated.{self.draw('tokens')}{self.draw('tokens')}"
        with self._lock:
            self._db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (value, client_id, expires))
        return value

    def drop_token(self, value: str) -> None:
        """Revoke a token."""
        with self._lock:
            self._db.execute("DELETE FROM tokens WHERE value = ?", (value,))

    def token_client(self, value: str, now: float) -> str | None:
        """Return the client id of a valid token, or ``None``."""
        with self._lock:
            row = self._db.execute("SELECT client_id, expires FROM tokens WHERE value = ?", (value,)).fetchone()
        return row[0] if row and row[1] > now else None

    # -- journal ----------------------------------------------------------------------------------------------------

    def record(self, entry: Body) -> None:
        """Add an entry to the journal."""
        marks = ", ".join("?" * (len(_JOURNAL) + 1))
        with self._lock, self.transaction():
            if self.seed is not None:  # drawn ids of tokens and requests must be stored, too
                self._keep_drawn()
            cursor = self._db.execute(
                f"INSERT INTO journal (seq, {', '.join(_JOURNAL)}) VALUES ({marks})",
                [None, *(entry[k] for k in _JOURNAL)],
            )
            if (newest := cursor.lastrowid or 0) % 1000 == 0:
                self._db.execute("DELETE FROM journal WHERE seq <= ?", (newest - KEPT_REQUESTS,))

    def journal(
        self,
        after: int = 0,
        *,
        operation: str = "*",
        method: str = "*",
        sandbox: str = "*",
        status: int | None = None,
        seq: int | None = None,
        limit: int = KEPT_REQUESTS,
    ) -> list[Body]:
        """Return requests in their order; ``*`` in a text matches anything."""
        where, values = self._chosen(after, operation, method, sandbox, status, seq)
        with self._lock:
            cursor = self._db.execute(f"SELECT * FROM journal WHERE {where} ORDER BY seq LIMIT ?", [*values, limit])
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count_requests(
        self, after: int = 0, *, operation: str = "*", method: str = "*", sandbox: str = "*", status: int | None = None
    ) -> int:
        """Return the number of requests after ``after`` that match."""
        where, values = self._chosen(after, operation, method, sandbox, status, None)
        with self._lock:
            return int(self._db.execute(f"SELECT count(*) FROM journal WHERE {where}", values).fetchone()[0])

    @staticmethod
    def _chosen(
        after: int, operation: str, method: str, sandbox: str, status: int | None, seq: int | None
    ) -> tuple[str, list[Any]]:
        sql = "seq > ? AND operation GLOB ? AND method GLOB ? AND sandbox GLOB ?"
        values: list[Any] = [after, operation, method, sandbox]
        for column, value in (("status", status), ("seq", seq)):
            if value is not None:
                sql += f" AND {column} = ?"
                values.append(value)
        return sql, values

    def newest_requests(self, size: int, sandbox: str) -> list[Body]:
        """Return the last requests, the newest first, without headers and bodies."""
        with self._lock:
            cursor = self._db.execute(
                "SELECT seq, at, method, path, operation, status, code, fault, warnings FROM journal "
                "WHERE sandbox IN (?, '') ORDER BY seq DESC LIMIT ?",
                (sandbox, size),
            )
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        """Close the database, and release the state file."""
        with self._lock:
            self._db.close()
            if self._claim:
                self._claim.close()


def _moments(body: Body) -> tuple[int, int]:
    """Return creation and update time in milliseconds; each service has its own names for them."""
    created = next((body[k] for k in _CREATED if isinstance(body.get(k), int)), 0)
    return created, next((body[k] for k in _UPDATED if isinstance(body.get(k), int)), created)


def _due(body: Body) -> float | None:
    own = body.get("_emulator")
    return own.get("due") if isinstance(own, dict) else None


def _claimed(path: Path) -> IO[str]:
    """Lock a file beside the state file until the process ends: two emulators would start the same runs."""
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
