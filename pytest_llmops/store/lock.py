"""Let one process at a time do what must not be done twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pytest_llmops.errors import MisuseError
from pytest_llmops.store.folder import make_local

PATIENCE = 30.0
"""Seconds that a process waits for the others."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `path` against all processes of this machine; make its folder.

    The lock is a transaction of an empty SQLite file: it works on every system, and ends with its process.

    Raises:
        MisuseError: the file cannot be locked, or other processes hold it for half a minute.
    """
    import sqlite3

    try:
        make_local(path.parent)
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise MisuseError(f"{path} cannot be locked: {error}.") from None
    with contextlib.closing(connection):
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise MisuseError(
                f"{path} cannot be locked: {error}. Another process may hold it; else delete the file."
            ) from None
        yield
