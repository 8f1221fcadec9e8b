"""Sign what this process holds in the shared file, and void what ended processes left there."""

from __future__ import annotations

import sqlite3
import time
import uuid

from pytest_llmops.calls.process import Process

BEAT = 10.0
"""Seconds between two signs of life."""

EXPIRY = 60.0
"""Seconds without a sign of life after which an owner is void; where processes can be seen, no wait."""

FIND_HELD = """
SELECT session, count(*), total(reserved) FROM attempts WHERE owner = ? GROUP BY session
"""

ADD_HELD = """
UPDATE counts SET calls = calls + ?, unpriced = unpriced + ?, cost = cost + ? WHERE session = ?
"""


class Owner:
    """Be this process in the shared file; the methods run inside a transaction of the caller."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self._process = Process.this()
        self._signed = False

    def sign(self, connection: sqlite3.Connection) -> None:
        """Say who holds what is signed with our name."""
        if not self._signed:
            self.beat(connection)

    def signed(self) -> None:
        """Note that the transaction that we signed in was kept."""
        self._signed = True

    def beat(self, connection: sqlite3.Connection) -> None:
        """Give a sign of life; due every `BEAT` seconds."""
        process = self._process
        connection.execute(
            "INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?, ?)",
            (self.name, process.place, process.pid, process.started, time.time()),
        )

    def leave(self, connection: sqlite3.Connection) -> None:
        """Give up all that is ours."""
        _void(connection, self.name)
        self._signed = False

    def void_ended(self, connection: sqlite3.Connection) -> None:
        """Give up what processes hold that have ended, or that are stuck."""
        held = connection.execute(
            "SELECT owner, place, cast(pid AS INTEGER), started, cast(beat AS REAL) FROM owners"
        )
        for name, place, pid, started, beat in held.fetchall():
            expired = abs(time.time() - beat) > EXPIRY
            if name != self.name and (expired or Process(place=place, pid=pid, started=started).is_gone()):
                _void(connection, name)
        # Of one that was taken for stuck and went on.
        for table in ("attempts", "claims"):
            connection.execute(f"DELETE FROM {table} WHERE owner NOT IN (SELECT owner FROM owners)")  # noqa: S608


def _void(connection: sqlite3.Connection, name: str) -> None:
    # A call that was under way may have been answered, and paid: what was put aside for it is spent.
    for session, calls, reserved in connection.execute(FIND_HELD, (name,)).fetchall():
        connection.execute(ADD_HELD, (calls, calls, reserved, session))
    for table in ("attempts", "claims", "owners"):
        connection.execute(f"DELETE FROM {table} WHERE owner = ?", (name,))  # noqa: S608 - names of our own
