"""Remove answers from the file that holds them, whoever uses it meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_llmops.calls.answers_file import opened, size_of, sound_answer
from pytest_llmops.calls.database import PATIENCE
from pytest_llmops.errors import MisuseError, closest

RECENT = 3600.0
"""Seconds for which a session that put an answer may be running, where any process uses the file."""

PACKED = "length(key) + length(response)"
"""What an answer's share of the file goes by."""

RUNNING = """
SELECT rowid FROM answers WHERE key IN (SELECT key FROM claims)
    OR session IN (SELECT session FROM answers WHERE cast(created AS REAL) > ?)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Say which answers may go: all, or the too old and the too many, of one model or of any."""

    model: str | None = None
    before: float | None = None
    """The moment, in seconds since 1970, before which an answer is too old."""
    max_size: int | None = None
    """Bytes that the file may take: the oldest answers go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Be what was removed, or would be."""

    removed: int
    kept: int
    """Answers that would have gone, were they not those of a running session."""
    freed: int
    """Bytes by which the file shrank."""
    in_use: bool
    """Whether other processes use the file, so that it could not shrink."""


def prune(file: Path, rule: Rule, *, dry_run: bool = False) -> Pruned:
    """Remove the answers that `rule` names, and give their room back to the system.

    While other processes use the file, answers that are claimed or of a running session stay, and so does
    the room, for new answers: SQLite may number rows anew when it packs a file.

    Args:
        file: the file of answers.
        rule: what may go.
        dry_run: only say what would go.

    Raises:
        MisuseError: no answer is of the rule's model, or the file cannot be changed.
    """
    before, removed, kept = size_of(file), 0, 0
    with opened(file) as connection:
        alone = _taken(connection)
        if rule.model is not None:
            _check(rule.model, _models(connection))
        while True:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                chosen = _chosen(connection, rule)
                going = chosen if alone else chosen - _running(connection)
                if not dry_run:
                    connection.executemany("DELETE FROM answers WHERE rowid = ?", [(row,) for row in going])
            removed, kept = removed + len(going), len(chosen) - len(going)
            # Only a packed file shows its size, so a second look may find some more that have to go.
            if dry_run or not alone or not going:
                break
            connection.execute("VACUUM")
    freed = 0 if dry_run else max(before - size_of(file), 0)
    return Pruned(removed=removed, kept=kept, freed=freed, in_use=not alone)


def _check(model: str, known: Collection[str]) -> None:
    if model not in known:
        raise MisuseError(f"The cache holds no answer of a model {model!r}. {closest(model, known)}")


def _taken(connection: sqlite3.Connection) -> bool:
    """Take the file for this connection alone, until it closes; False where another one has it open."""
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    try:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        connection.execute("PRAGMA locking_mode = NORMAL")
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")
    return True


def _chosen(connection: sqlite3.Connection, rule: Rule) -> set[int]:
    """Return the rows that `rule` names."""
    rows = connection.execute(
        f"SELECT rowid, cast(created AS REAL), {PACKED} FROM answers ORDER BY 2, 1"  # noqa: S608 - no input
    ).fetchall()
    if rule.model is not None:
        of_model = _models(connection).get(rule.model, set())
        rows = [row for row in rows if row[0] in of_model]
    if rule.before is None and rule.max_size is None:
        return {row for row, _, _ in rows}
    old = {row for row, created, _ in rows if rule.before is not None and created < rule.before}
    return old if rule.max_size is None else old | _too_many(connection, rows, rule.max_size)


def _models(connection: sqlite3.Connection) -> dict[str, set[int]]:
    """Return the rows of each model's sound answers."""
    rows: dict[str, set[int]] = {}
    for row, *answer in connection.execute("SELECT rowid, key, response, checksum FROM answers"):
        response = sound_answer(*answer)
        if response is not None:
            rows.setdefault(response.model, set()).add(row)
    return rows


def _too_many(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, float, int]], max_size: int
) -> set[int]:
    """Return the first of `rows`, so many that the file without them takes about `max_size` bytes."""
    pages, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    everything = connection.execute(f"SELECT total({PACKED}) FROM answers").fetchone()[0]  # noqa: S608
    size = (pages - free) * page
    left, gone = size, set()
    for row, _, own in rows:
        if left <= max_size:
            break
        gone.add(row)
        left -= size * own / everything
    return gone


def _running(connection: sqlite3.Connection) -> set[int]:
    """Return the rows that are claimed, or of a session that put an answer lately."""
    return {row for (row,) in connection.execute(RUNNING, (time.time() - RECENT,))}
