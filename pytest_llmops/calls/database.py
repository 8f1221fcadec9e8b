"""Open the one SQLite file in which all processes of a project meet."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.folder import make_local

T = TypeVar("T")
V = TypeVar("V")

VERSION = 3
"""Kept in `user_version`: raised when a table or the stored form of an answer changes."""

SCHEMA = """
CREATE TABLE answers (
    key TEXT PRIMARY KEY, response BLOB NOT NULL, checksum BLOB NOT NULL,
    session TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE owners (
    owner TEXT PRIMARY KEY, place TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL,
    beat REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (
    session TEXT NOT NULL, key TEXT NOT NULL, failure BLOB NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (session, key)
) WITHOUT ROWID;
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, provider TEXT NOT NULL, owner TEXT NOT NULL,
    reserved REAL NOT NULL
);
CREATE TABLE paces (
    session TEXT NOT NULL, provider TEXT NOT NULL, slots REAL NOT NULL, most REAL NOT NULL,
    rate REAL NOT NULL, free_at REAL NOT NULL, cut_at REAL NOT NULL, begun REAL NOT NULL,
    refused_at REAL NOT NULL, refused REAL NOT NULL, latency REAL NOT NULL, best REAL NOT NULL,
    PRIMARY KEY (session, provider)
) WITHOUT ROWID;
CREATE TABLE counts (
    session TEXT PRIMARY KEY, began REAL NOT NULL, calls INTEGER NOT NULL, failed INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL NOT NULL,
    unpriced INTEGER NOT NULL, seconds REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE saved (
    session TEXT NOT NULL, key TEXT NOT NULL, cost REAL NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (session, key)
) WITHOUT ROWID;
CREATE TABLE results (
    session TEXT NOT NULL, test TEXT NOT NULL, note TEXT NOT NULL, created REAL NOT NULL
);
CREATE INDEX results_of ON results (session, test)
"""

TROUBLE = (sqlite3.DatabaseError, OSError, MisuseError, UnicodeDecodeError)
"""What a file that cannot be used raises; where SQLite quotes its bytes, even an error of decoding."""

MOST_ROWS = 100
"""Rows of one statement: SQLite takes 999 values at least."""

PATIENCE = 30.0
"""Seconds to wait for other processes that write."""


class Database:
    """Run statements in a file that is made on the first write, and not before.

    A file that cannot be read or written (damaged, read-only, disk full) never stops a run: one warning
    says so, and from then on this process works in memory. A file of another version is left alone, and
    a file beside it is used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self.warnings: list[str] = []
        self.in_memory = False
        """Whether the file could not be used, so that no other process sees what is written."""

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of `query`; none where there is no file yet."""
        try:
            connection = self._connection or self._found()
            return connection.execute(query, values).fetchall() if connection else []
        except sqlite3.ProgrammingError:
            raise
        except TROUBLE as error:
            return self._in_memory(error).execute(query, values).fetchall()

    def look(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run `work`, which only reads, and return what it returns; None where there is no file yet."""
        try:
            connection = self._connection or self._found()
            return work(connection) if connection else None
        except sqlite3.ProgrammingError:
            raise
        except TROUBLE as error:
            return work(self._in_memory(error))

    def change(self, statement: str, *values: object) -> int:
        """Run `statement` in a transaction of its own and return the number of rows it changed."""
        return self.change_all(statement, [values])

    def change_all(self, statement: str, rows: Iterable[Sequence[object]]) -> int:
        """Run `statement` once a row, in one transaction, and return the number of changed rows."""
        rows = list(rows)
        try:
            return _run(self._connection or self._made(), statement, rows)
        except sqlite3.ProgrammingError:
            raise
        except TROUBLE as error:
            return _run(self._in_memory(error), statement, rows)

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, and return what it returns; it may be run twice."""
        try:
            return _transacted(self._connection or self._made(), work)
        except sqlite3.ProgrammingError:
            raise
        except TROUBLE as error:
            return _transacted(self._in_memory(error), work)

    def warn(self, message: str) -> None:
        """Keep `message`, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _found(self) -> sqlite3.Connection | None:
        return self._made() if self._path.exists() else None

    def _made(self) -> sqlite3.Connection:
        make_local(self._path.parent)
        own = self._path.with_stem(f"{self._path.stem}-{VERSION}")
        self._connection = _opened(self._path) or _opened(own)
        if self._connection is None:
            raise sqlite3.DatabaseError(f"{own.name} has another version than its name says")
        return self._connection

    def _in_memory(self, error: Exception) -> sqlite3.Connection:
        self.close()
        self.warn(
            f"{self._path} cannot be used ({error}); answers are not kept in this run. "
            "If this stays so, delete the file or mend the folder's permissions."
        )
        self.in_memory = True
        self._connection = _connected(":memory:")
        _prepare(self._connection)
        return self._connection


def batches(values: Sequence[V]) -> Iterator[Sequence[V]]:
    """Yield `values` in parts that one statement can take."""
    for start in range(0, len(values), MOST_ROWS):
        yield values[start : start + MOST_ROWS]


def placeholders(values: Sequence[object]) -> str:
    """Return a question mark for each value, as a statement has them."""
    return ", ".join("?" * len(values))


def _transacted(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        return work(connection)


def _run(connection: sqlite3.Connection, statement: str, rows: list[Sequence[object]]) -> int:
    if len(rows) == 1:
        return connection.execute(statement, rows[0]).rowcount
    return _transacted(connection, lambda found: found.executemany(statement, rows).rowcount)


def _opened(path: Path) -> sqlite3.Connection | None:
    connection = _connected(path)
    try:
        if _version(connection) == 0:
            _patiently_switch_to_wal(connection)
            _prepare(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        fits = _version(connection) == VERSION
    except BaseException:
        connection.close()
        raise
    if fits:
        return connection
    connection.close()
    return None


def _connected(path: Path | str) -> sqlite3.Connection:
    # The terminal summary reads the counts from another thread than the one that called; never at once.
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    # A damaged text must be one bad row, not an error of the whole file.
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection


def _version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def _patiently_switch_to_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait when several processes switch a new file at once: it refuses.
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if _version(connection) == 0:
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
