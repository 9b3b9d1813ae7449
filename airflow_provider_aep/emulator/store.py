"""The emulator's state: one SQLite file, written in transactions, safe to kill at any moment."""

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
"""Entries of the journal; older ones are dropped."""

_JOURNAL = ("at method path query operation sandbox status code fault request_id warnings headers body").split()
_FIRST_CHUNK, _LAST_CHUNK = 32, 1024
"""Rows that are read at a time: few, as most lists are short, then more."""

_CREATED = ("createdAt", "created", "createdDate")
_UPDATED = ("updatedAt", "updated", "modifiedDate")
_ORDERS = {"created", "updated", "name", "seq"}

Body = dict[str, Any]
Place = tuple[Any, int]
"""Where an object stands in an order: the value it is ordered by, and its number."""


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
            raise SystemExit(f"{path} is no state of an emulator: {e}. Use a new file.") from None
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
        """Everything inside is written, or nothing."""
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
        """32 hexadecimal digits: the next ones of the seed and stream, or random ones where there is no seed."""
        if self.seed is None:
            return uuid.uuid4().hex
        stream = stream or getattr(self._hidden, "stream", "objects")
        with self._lock:
            self._drawn[stream] = number = self._drawn.get(stream, 0) + 1
            return hashlib.sha256(f"{self.seed}:{stream}:{number}".encode()).hexdigest()[:32]

    @contextmanager
    def drawing(self, stream: str) -> Generator[None, None, None]:
        """Within it, this thread draws from a stream of its own."""
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
        """:param uses: ids of what this object needs; ``_emulator.due`` in ``body``: when something happens to it"""
        with self._lock:
            self._db.execute(
                "INSERT INTO objects (kind, org, sandbox, id, name, parent, body, added, created, updated, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (kind, *_pair(scope), id_, name, parent, json.dumps(body), self.now(), *_moments(body), _due(body)),
            )
            self._use(kind, scope, id_, uses)

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
        created, updated = _moments(body)
        with self._lock:
            self._db.execute(
                "UPDATE objects SET body = ?, name = coalesce(?, name), created = ?, updated = ?, due = ? "
                "WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (json.dumps(body), name, created, updated, _due(body), kind, *_pair(scope), id_),
            )
            if uses is not None:
                self._forget(kind, scope, id_)
                self._use(kind, scope, id_, uses)

    def _use(self, kind: str, scope: Scope, id_: str, uses: Iterable[str]) -> None:
        rows = [(*_pair(scope), kind, id_, used) for used in uses]
        if rows:
            self._db.executemany("INSERT INTO uses (org, sandbox, kind, user, used) VALUES (?, ?, ?, ?, ?)", rows)

    def _forget(self, kind: str, scope: Scope, id_: str) -> None:
        self._db.execute(
            "DELETE FROM uses WHERE org = ? AND sandbox = ? AND kind = ? AND user = ?", (*_pair(scope), kind, id_)
        )

    def users(self, kind: str, scope: Scope, id_: str) -> list[Body]:
        """The objects of a kind that need the one with this id."""
        with self._lock:
            rows = self._db.execute(
                "SELECT o.body FROM uses u JOIN objects o ON (o.kind, o.org, o.sandbox, o.id) "
                "= (u.kind, u.org, u.sandbox, u.user) WHERE u.org = ? AND u.sandbox = ? AND u.used = ? AND u.kind = ? "
                "ORDER BY o.seq",
                (*_pair(scope), id_, kind),
            ).fetchall()
        return [json.loads(body) for (body,) in rows]

    def get(self, kind: str, scope: Scope, id_: str) -> Body | None:
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (kind, *_pair(scope), id_),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def delete(self, kind: str, scope: Scope, id_: str) -> None:
        with self._lock:
            self._db.execute(
                "DELETE FROM objects WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?", (kind, *_pair(scope), id_)
            )
            self._forget(kind, scope, id_)

    def delete_all(self, kind: str, scope: Scope, parent: str) -> None:
        """Those of a kind that belong to an object."""
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
        """In the order of creation, read while they are asked for; ``name`` and ``parent`` use an index."""
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
        """Objects and their places in an order, read while they are asked for.

        :param containing: texts, of each group at least one occurs in the stored JSON: a first, coarse sieve
        :param order: ``created``, ``updated`` or ``name``, with ``-`` for descending; equal ones likewise by creation
        :param after: where to go on
        """
        column, down = order.lstrip("-") or "seq", order.startswith("-")
        assert column in _ORDERS
        where, values = self._where(kind, scope, name, parent, containing, ids)
        way, beyond = ("DESC", "<") if down else ("ASC", ">")
        chunk = _FIRST_CHUNK
        while True:
            sql, given = where, list(values)
            if after is not None:
                sql += f" AND ({column}, seq) {beyond} (?, ?)"
                given += after
            with self._lock:
                rows = self._db.execute(
                    f"SELECT body, {column}, seq FROM objects WHERE {sql} "
                    f"ORDER BY {column} {way}, seq {way} LIMIT {chunk}",
                    given,
                ).fetchall()
            for body, value, seq in rows:
                yield json.loads(body), (value, seq)
            if len(rows) < chunk:
                return
            after, chunk = (rows[-1][1], rows[-1][2]), min(2 * chunk, _LAST_CHUNK)

    def count(self, kind: str, scope: Scope, *, name: str | None = None, parent: str | None = None) -> int:
        where, values = self._where(kind, scope, name, parent)
        with self._lock:
            return int(self._db.execute(f"SELECT count(*) FROM objects WHERE {where}", values).fetchone()[0])

    def size(self, scope: Scope) -> int:
        """How many objects there are of all kinds."""
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
    def hiding(self, since: float) -> Generator[None, None, None]:
        """Within it, this thread finds nothing that was added later: a list that lags behind writes."""
        self._hidden.since = since
        try:
            yield
        finally:
            self._hidden.since = None

    def due(self, now: float) -> list[tuple[str, Scope, str]]:
        """Kind, scope and id of everything to which something happens by now, the most urgent first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT kind, org, sandbox, id FROM objects WHERE due <= ? ORDER BY due, seq", (now,)
            ).fetchall()
        return [(kind, Scope(org, sandbox), id_) for kind, org, sandbox, id_ in rows]

    def everywhere(self, kind: str) -> list[tuple[Scope, Body]]:
        """All objects of a kind, in every org and sandbox."""
        with self._lock:
            rows = self._db.execute("SELECT org, sandbox, body FROM objects WHERE kind = ? ORDER BY seq", (kind,))
            return [(Scope(org, sandbox), json.loads(body)) for org, sandbox, body in rows.fetchall()]

    def park(self, kind: str, scope: Scope, id_: str) -> None:
        """Let nothing happen to an object by itself any more."""
        with self._lock:
            self._db.execute(
                "UPDATE objects SET due = NULL WHERE kind = ? AND org = ? AND sandbox = ? AND id = ?",
                (kind, *_pair(scope), id_),
            )

    def next_due(self) -> float | None:
        with self._lock:
            found: float | None = self._db.execute("SELECT min(due) FROM objects WHERE due IS NOT NULL").fetchone()[0]
        return found

    # -- snapshots --------------------------------------------------------------------------------------------------

    def dump(self) -> list[Body]:
        """Every object, in the order of creation."""
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
        """Put these objects in the place of all there are."""
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
        """How many ids the seed has given, by stream."""
        return dict(self._drawn)

    def _empty(self) -> None:
        for table in ("objects", "uses", "tokens", "journal"):
            self._db.execute(f"DELETE FROM {table}")
        self._db.execute("DELETE FROM sqlite_sequence")

    def clear(self) -> None:
        self.load([], {})

    # -- tokens -----------------------------------------------------------------------------------------------------

    def add_token(self, client_id: str, expires: float) -> str:
        value = f"emulated.{self.draw('tokens')}{self.draw('tokens')}"
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
        marks = ", ".join("?" * (len(_JOURNAL) + 1))
        with self._lock, self.transaction():
            if self.seed is not None:  # a token or a request id may have been drawn
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
        """Requests in their order; ``*`` in a text stands for anything."""
        where, values = self._chosen(after, operation, method, sandbox, status, seq)
        with self._lock:
            cursor = self._db.execute(f"SELECT * FROM journal WHERE {where} ORDER BY seq LIMIT ?", [*values, limit])
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count_requests(
        self, after: int = 0, *, operation: str = "*", method: str = "*", sandbox: str = "*", status: int | None = None
    ) -> int:
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
        """The last requests, the newest first, without what they carried."""
        with self._lock:
            cursor = self._db.execute(
                "SELECT seq, at, method, path, operation, status, code, fault, warnings FROM journal "
                "WHERE sandbox IN (?, '') ORDER BY seq DESC LIMIT ?",
                (sandbox, size),
            )
            names = [c[0] for c in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def close(self) -> None:
        with self._lock:
            self._db.close()
            if self._claim:
                self._claim.close()


def _moments(body: Body) -> tuple[int, int]:
    """When an object was created and changed, in milliseconds, whichever names its service has for it."""
    created = next((body[k] for k in _CREATED if isinstance(body.get(k), int)), 0)
    return created, next((body[k] for k in _UPDATED if isinstance(body.get(k), int)), created)


def _due(body: Body) -> float | None:
    own = body.get("_emulator")
    return own.get("due") if isinstance(own, dict) else None


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
