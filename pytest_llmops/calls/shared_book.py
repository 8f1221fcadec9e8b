"""Keep what a session of several processes spends in the file that they share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from operator import attrgetter

from pytest_llmops.calls.budget import Spent
from pytest_llmops.calls.failures import read_failure, write_failure
from pytest_llmops.calls.owner import Owner
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import CallError

DAY = 86400.0
"""Seconds after which the rows of another session are removed."""

ADD_COUNTS = """
INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session) DO UPDATE SET
    calls = calls + excluded.calls, failed = failed + excluded.failed,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced,
    seconds = seconds + excluded.seconds
"""

FIND_COUNTS = """
SELECT calls, failed, input_tokens, output_tokens, cost, unpriced, seconds FROM counts WHERE session = ?
"""

FIND_PACE = """
SELECT slots, most, rate, free_at, cut_at, begun, refused_at, refused, latency, best
FROM paces WHERE session = ? AND provider = ?
"""

COUNTS = attrgetter("calls", "failed", "input_tokens", "output_tokens", "cost", "unpriced", "seconds")

PACE = attrgetter(*Pace.__dataclass_fields__)


class SharedBook:
    """Keep the book of a session of several processes, inside a transaction of the caller.

    Args:
        connection: the file of the cache, in a transaction.
        session: the name that all processes of one test session share.
        owner: this process.
    """

    def __init__(self, connection: sqlite3.Connection, session: str, owner: Owner) -> None:
        self._connection = connection
        self._session = session
        self._owner = owner

    def pace(self, provider: str) -> Pace | None:
        """Return a provider's pace; None before its first attempt."""
        row = self._connection.execute(FIND_PACE, (self._session, provider)).fetchone()
        return Pace(*row) if row else None

    def put_pace(self, provider: str, pace: Pace) -> None:
        """Keep a provider's pace."""
        statement = "INSERT OR REPLACE INTO paces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._connection.execute(statement, (self._session, provider, *PACE(pace)))

    def running(self, provider: str) -> int:
        """Return how many attempts are under way."""
        statement = "SELECT count(*) FROM attempts WHERE session = ? AND provider = ?"
        return int(self._connection.execute(statement, (self._session, provider)).fetchone()[0])

    def spent(self) -> Spent:
        """Return what is spent and put aside."""
        found = self._connection.execute(
            "SELECT calls, cost, began FROM counts WHERE session = ?", (self._session,)
        )
        calls, cost, began = found.fetchone() or (0, 0.0, time.time())
        found = self._connection.execute(
            "SELECT count(*), total(reserved) FROM attempts WHERE session = ?", (self._session,)
        )
        running, reserved = found.fetchone()
        return Spent(calls=calls + running, cost=cost, reserved=reserved, seconds=time.time() - began)

    def began(self) -> float | None:
        """Return when the first attempt started; None before."""
        found = self._connection.execute("SELECT began FROM counts WHERE session = ?", (self._session,))
        row = found.fetchone()
        return float(row[0]) if row else None

    def begin(self, provider: str, reserved: float) -> int:
        """Note an attempt with the dollars put aside for it, and return its number."""
        # The row of the counts says since when the session spends.
        self.count(Tally())
        found = self._connection.execute(
            "INSERT INTO attempts (session, provider, owner, reserved) VALUES (?, ?, ?, ?)",
            (self._session, provider, self._owner.name, reserved),
        )
        return found.lastrowid or 0

    def end(self, number: int) -> None:
        """Strike an attempt out."""
        self._connection.execute("DELETE FROM attempts WHERE id = ?", (number,))

    def void_ended(self) -> None:
        """Strike out what processes began that have ended."""
        self._owner.void_ended(self._connection)

    def count(self, spent: Tally) -> None:
        """Add to the counts."""
        self._connection.execute(ADD_COUNTS, (self._session, time.time(), *COUNTS(spent)))

    def fail(self, key: str, error: CallError) -> None:
        """Note how the call for `key` failed."""
        now = time.time()
        self._connection.execute("DELETE FROM failures WHERE created < ?", (now - DAY,))
        values = (self._session, key, write_failure(error), now)
        self._connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", values)

    def failure(self, key: str, since: float) -> CallError | None:
        """Return how the call for `key` failed; None where it did not since then."""
        statement = "SELECT failure FROM failures WHERE session = ? AND key = ? AND created > ?"
        row = self._connection.execute(statement, (self._session, key, since)).fetchone()
        return read_failure(row[0]) if row else None

    def save(self, costs: Mapping[str, float]) -> None:
        """Note answers that no call was needed for; a key counts once."""
        now = time.time()
        self._connection.execute("DELETE FROM saved WHERE created < ?", (now - DAY,))
        rows = [(self._session, key, cost, now) for key, cost in costs.items()]
        self._connection.executemany("INSERT OR IGNORE INTO saved VALUES (?, ?, ?, ?)", rows)

    def tally(self) -> Tally:
        """Return the sums."""
        row = self._connection.execute(FIND_COUNTS, (self._session,)).fetchone()
        calls, failed, given, made, cost, unpriced, seconds = row or [0] * 7
        found = self._connection.execute(
            "SELECT count(*), total(cost) FROM saved WHERE session = ?", (self._session,)
        )
        saved, saved_cost = found.fetchone()
        return Tally(
            calls=calls,
            failed=failed,
            saved=saved,
            saved_cost=saved_cost,
            input_tokens=given,
            output_tokens=made,
            cost=float(cost),
            unpriced=unpriced,
            seconds=float(seconds),
        )
