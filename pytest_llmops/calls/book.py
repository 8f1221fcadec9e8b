"""Keep what a session spends: in the file where several processes share it, else in memory."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from operator import attrgetter
from typing import Protocol

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


class Book(Protocol):
    """Keep attempts under way, paces, failures and counts of one session."""

    def pace(self, provider: str) -> Pace | None:
        """Return a provider's pace; None before its first attempt."""
        ...

    def put_pace(self, provider: str, pace: Pace) -> None:
        """Keep a provider's pace."""
        ...

    def running(self, provider: str) -> int:
        """Return how many attempts are under way."""
        ...

    def spent(self) -> Spent:
        """Return what is spent and put aside."""
        ...

    def began(self) -> float | None:
        """Return when the first attempt started; None before."""
        ...

    def begin(self, provider: str, reserved: float) -> int:
        """Note an attempt with the dollars put aside for it, and return its number."""
        ...

    def end(self, number: int) -> None:
        """Strike an attempt out."""
        ...

    def void_ended(self) -> None:
        """Strike out what processes began that have ended."""
        ...

    def count(self, spent: Tally) -> None:
        """Add to the counts."""
        ...

    def fail(self, key: str, error: CallError) -> None:
        """Note how the call for `key` failed."""
        ...

    def failure(self, key: str, since: float) -> CallError | None:
        """Return how the call for `key` failed; None where it did not since then."""
        ...

    def save(self, costs: Mapping[str, float]) -> None:
        """Note answers that no call was needed for; a key counts once."""
        ...

    def tally(self) -> Tally:
        """Return the sums."""
        ...


class OwnBook:
    """Keep the book of a session that is one process."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}
        self._attempts: dict[int, tuple[str, float]] = {}
        self._running: dict[str, int] = {}
        self._number = 0
        self._began: float | None = None
        self._tally = Tally()
        self._failures: dict[str, tuple[CallError, float]] = {}
        self._saved: dict[str, float] = {}

    def pace(self, provider: str) -> Pace | None:
        """Return a provider's pace; None before its first attempt."""
        return self._paces.get(provider)

    def put_pace(self, provider: str, pace: Pace) -> None:
        """Keep a provider's pace."""
        self._paces[provider] = pace

    def running(self, provider: str) -> int:
        """Return how many attempts are under way."""
        return self._running.get(provider, 0)

    def spent(self) -> Spent:
        """Return what is spent and put aside."""
        return Spent(
            calls=self._tally.calls + len(self._attempts),
            cost=self._tally.cost,
            reserved=sum(reserved for _, reserved in self._attempts.values()),
            seconds=time.time() - (self._began or time.time()),
        )

    def began(self) -> float | None:
        """Return when the first attempt started; None before."""
        return self._began

    def begin(self, provider: str, reserved: float) -> int:
        """Note an attempt with the dollars put aside for it, and return its number."""
        self._began = self._began or time.time()
        self._number += 1
        self._attempts[self._number] = (provider, reserved)
        self._running[provider] = self.running(provider) + 1
        return self._number

    def end(self, number: int) -> None:
        """Strike an attempt out."""
        provider, _ = self._attempts.pop(number)
        self._running[provider] -= 1

    def void_ended(self) -> None:
        """Do nothing: no other process shares the book."""

    def count(self, spent: Tally) -> None:
        """Add to the counts."""
        self._tally += spent

    def fail(self, key: str, error: CallError) -> None:
        """Note how the call for `key` failed."""
        self._failures[key] = (error, time.time())

    def failure(self, key: str, since: float) -> CallError | None:
        """Return how the call for `key` failed; None where it did not since then."""
        error, moment = self._failures.get(key, (None, 0.0))
        return error if moment > since else None

    def save(self, costs: Mapping[str, float]) -> None:
        """Note answers that no call was needed for; a key counts once."""
        self._saved |= costs

    def tally(self) -> Tally:
        """Return the sums."""
        return self._tally + Tally(saved=len(self._saved), saved_cost=sum(self._saved.values()))


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
