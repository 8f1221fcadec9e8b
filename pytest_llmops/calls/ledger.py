"""Share out calls among processes, hold them to the budget and the pace, and count what they cost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from pytest_llmops.calls.budget import Budget, Spent
from pytest_llmops.calls.database import Database
from pytest_llmops.calls.failures import read_failure, write_failure
from pytest_llmops.calls.owner import Owner
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import BudgetError, CallError

T = TypeVar("T")

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

PACE = attrgetter(*Pace.__dataclass_fields__)

FIND_PACE = """
SELECT slots, most, rate, free_at, cut_at, begun, refused_at, refused, latency, best
FROM paces WHERE session = ? AND provider = ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Be leave to make one attempt of a call."""

    number: int
    provider: str
    began: float
    reserved: float
    """US dollars put aside for it."""
    slots: float
    """Calls that may be under way."""


class Ledger:
    """Hold claims, slots, budget and counts in the file of the cache.

    A claim says that one process is asking for an answer, so that all others wait for it. A turn is leave
    to make one attempt. What a process holds is void as soon as it has ended.

    Args:
        path: the SQLite file; made on the first claim, turn or count.
        session: the name that all processes of one test session share.
        budget: the most that the session may spend.
    """

    def __init__(self, path: Path, *, session: str, budget: Budget | None = None) -> None:
        self._database = Database(path)
        self._session = session
        self._budget = budget or Budget()
        self._owner = Owner()
        self._began = False

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the file, one sentence for each kind of trouble."""
        return self._database.warnings

    @property
    def priced(self) -> bool:
        """Tell whether an attempt needs a price before it is made."""
        return self._budget.cost is not None

    def claim(self, key: str) -> bool:
        """Return whether the call for `key` is now ours; False while another process is on it."""
        return self._change(lambda connection: _claim(connection, key, self._owner))

    def release(self, key: str) -> None:
        """Give up our claim on `key`."""
        self._database.change("DELETE FROM claims WHERE key = ? AND owner = ?", key, self._owner.name)

    def failure(self, key: str, *, since: float) -> CallError | None:
        """Return how the call for `key` failed in this session, None where it did not since then."""
        rows = self._database.rows(
            "SELECT failure FROM failures WHERE session = ? AND key = ? AND created > ?",
            self._session,
            key,
            since,
        )
        return read_failure(rows[0][0]) if rows else None

    def fail(self, key: str, error: CallError) -> None:
        """Say that the call for `key` gave no answer, to all processes of the session."""
        now, failure = time.time(), write_failure(error)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM failures WHERE created < ?", (now - DAY,))
            connection.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", (self._session, key, failure, now)
            )
            self._count(connection, Tally(failed=1))

        self._database.transact(work)

    def turn(self, provider: str, pace: Pace, most: float | None) -> Turn | float | None:
        """Return leave for one attempt; else the seconds to wait, None until another attempt ends.

        Args:
            provider: whose slots are shared.
            pace: how fast the session starts; from then on the shared pace holds.
            most: US dollars that the attempt can cost; None where its price is unknown.

        Raises:
            BudgetError: the attempt could spend more than the session may.
        """
        turn = self._change(lambda connection: self._turn(connection, provider, pace, most))
        self._began = self._began or isinstance(turn, Turn)
        return turn

    def answered(self, turn: Turn, spent: Tally) -> None:
        """Give back a turn whose attempt was answered, `spent.seconds` after it began."""
        self._end(turn, spent, lambda pace: pace.answered(time.time(), spent.seconds))

    def turned_away(self, turn: Turn, spent: Tally, asked: float | None) -> None:
        """Give back a turn whose attempt was refused for want of room; `asked` is the wait asked for."""
        self._end(turn, spent, lambda pace: pace.turned_away(time.time(), turn.began, asked))

    def ended(self, turn: Turn, spent: Tally) -> None:
        """Give back a turn whose attempt ended in a way that says nothing about the provider's room."""
        self._end(turn, spent, lambda pace: pace)

    def seconds_left(self) -> float | None:
        """Return how long calls may still take; None for no limit."""
        if self._budget.seconds is None:
            return None
        rows = self._database.rows("SELECT began FROM counts WHERE session = ?", self._session)
        return self._budget.seconds - (time.time() - rows[0][0] if rows else 0.0)

    def beat(self) -> None:
        """Give a sign of life for all that we hold; due every `BEAT` seconds."""
        self._database.transact(self._owner.beat)

    def saved(self, costs: Mapping[str, float]) -> None:
        """Add answers that no call was needed for, with what they cost once; a key counts once."""
        now = time.time()
        rows = [(self._session, key, cost, now) for key, cost in costs.items()]
        if rows:
            self._database.change("DELETE FROM saved WHERE created < ?", now - DAY)
            self._database.change_all("INSERT OR IGNORE INTO saved VALUES (?, ?, ?, ?)", rows)

    def tally(self) -> Tally:
        """Return the sums over all processes of the session."""
        rows = self._database.rows(FIND_COUNTS, self._session)
        calls, failed, given, made, cost, unpriced, seconds = rows[0] if rows else [0] * 7
        kept = self._database.rows("SELECT count(*), sum(cost) FROM saved WHERE session = ?", self._session)
        saved, saved_cost = kept[0] if kept else (0, 0.0)
        return Tally(
            calls=calls,
            failed=failed,
            saved=saved,
            saved_cost=saved_cost or 0.0,
            input_tokens=given,
            output_tokens=made,
            cost=float(cost),
            unpriced=unpriced,
            seconds=float(seconds),
        )

    def close(self) -> None:
        """Give up all that we hold and close the file."""
        if self._database.rows("SELECT 1 FROM owners WHERE owner = ? LIMIT 1", self._owner.name):
            self._database.transact(self._owner.leave)
        self._database.close()

    def _turn(
        self, connection: sqlite3.Connection, provider: str, pace: Pace, most: float | None
    ) -> Turn | float | None:
        now = time.time()
        pace = self._pace(connection, provider) or pace
        wait = pace.wait(now, self._running(connection, provider))
        if wait:
            return wait
        if wait is None or not self._affords(connection, most):
            # Others must end first, and some of them may have ended without a word.
            self._owner.void_ended(connection)
            return None
        if not self._began:
            # From now on the session's time runs.
            self._count(connection, Tally())
        self._put(connection, provider, pace.started(now))
        reserved = most or 0.0
        number = connection.execute(
            "INSERT INTO attempts (session, provider, owner, reserved) VALUES (?, ?, ?, ?)",
            (self._session, provider, self._owner.name, reserved),
        ).lastrowid
        return Turn(number=number or 0, provider=provider, began=now, reserved=reserved, slots=pace.slots)

    def _end(self, turn: Turn, spent: Tally, change: Callable[[Pace], Pace]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM attempts WHERE id = ?", (turn.number,))
            self._count(connection, spent)
            pace = self._pace(connection, turn.provider)
            if pace is not None:
                self._put(connection, turn.provider, change(pace))

        self._database.transact(work)

    def _affords(self, connection: sqlite3.Connection, most: float | None) -> bool:
        """Tell whether the budget allows an attempt now; False where others under way must end first."""
        if not self._budget.limited:
            return True
        if self._budget.cost is not None and most is None:
            raise BudgetError(
                "--llmops-max-cost needs its price, which is unknown; add it under `prices` in the settings"
            )
        spent = self._spent(connection)
        refusal = self._budget.refusal(spent, most or 0.0)
        if refusal:
            raise BudgetError(refusal)
        return not self._budget.must_wait(spent, most or 0.0)

    def _spent(self, connection: sqlite3.Connection) -> Spent:
        row = connection.execute("SELECT calls, cost, began FROM counts WHERE session = ?", (self._session,))
        calls, cost, began = row.fetchone() or (0, 0.0, time.time())
        row = connection.execute(
            "SELECT count(*), total(reserved) FROM attempts WHERE session = ?", (self._session,)
        )
        running, reserved = row.fetchone()
        return Spent(calls=calls + running, cost=cost, reserved=reserved, seconds=time.time() - began)

    def _pace(self, connection: sqlite3.Connection, provider: str) -> Pace | None:
        row = connection.execute(FIND_PACE, (self._session, provider)).fetchone()
        return Pace(*row) if row else None

    def _put(self, connection: sqlite3.Connection, provider: str, pace: Pace) -> None:
        values = (self._session, provider, *PACE(pace))
        connection.execute("INSERT OR REPLACE INTO paces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _running(self, connection: sqlite3.Connection, provider: str) -> int:
        row = connection.execute(
            "SELECT count(*) FROM attempts WHERE session = ? AND provider = ?", (self._session, provider)
        )
        return int(row.fetchone()[0])

    def _count(self, connection: sqlite3.Connection, spent: Tally) -> None:
        values = (
            self._session,
            time.time(),
            spent.calls,
            spent.failed,
            spent.input_tokens,
            spent.output_tokens,
            spent.cost,
            spent.unpriced,
            spent.seconds,
        )
        connection.execute(ADD_COUNTS, values)

    def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, signed with our name."""

        def signed(connection: sqlite3.Connection) -> T:
            self._owner.sign(connection)
            return work(connection)

        result = self._database.transact(signed)
        self._owner.signed()
        return result


def _claim(connection: sqlite3.Connection, key: str, owner: Owner) -> bool:
    values = (key, owner.name)
    if connection.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", values).rowcount:
        return True
    owner.void_ended(connection)
    return bool(connection.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", values).rowcount)
