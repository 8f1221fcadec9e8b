"""Share out calls among processes, and count what they cost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from pytest_llmops.calls.database import Database
from pytest_llmops.calls.process import Process
from pytest_llmops.calls.tally import Tally

BEAT = 10.0
"""Seconds between two signs of life of an owner of claims."""

EXPIRY = 60.0
"""Seconds without a sign of life after which a claim is void; where processes can be seen, no wait."""

DAY = 86400.0
"""Seconds after which the rows of another session are removed."""

FIND_CLAIM = """
SELECT owner, place, cast(pid AS INTEGER), started, cast(beat AS REAL) FROM claims WHERE key = ?
"""

ADD_COUNTS = """
INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session, owner) DO UPDATE SET
    calls = calls + excluded.calls, failed = failed + excluded.failed,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cost = cost + excluded.cost, unpriced = unpriced + excluded.unpriced,
    seconds = seconds + excluded.seconds
"""

SUM_COUNTS = """
SELECT sum(calls), sum(failed), sum(input_tokens), sum(output_tokens), sum(cost), sum(unpriced), sum(seconds)
FROM counts WHERE session = ?
"""


class Ledger:
    """Hold claims and counts in the file of the cache.

    A claim says that one process is asking for an answer, so that all others wait for it. Claims of a
    process that has ended are taken over at once, those of one that is stuck after `EXPIRY`.

    Args:
        path: the SQLite file; made on the first claim or count.
        session: the name that all processes of one test session share.
    """

    def __init__(self, path: Path, *, session: str) -> None:
        self._database = Database(path)
        self._session = session
        self._owner = uuid.uuid4().hex
        self._process = Process.this()

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the file, one sentence for each kind of trouble."""
        return self._database.warnings

    def claim(self, key: str) -> bool:
        """Return whether the call for `key` is now ours; False while another process is on it."""
        rows = self._database.rows(FIND_CLAIM, key)
        if not rows:
            return self._insert(key)
        owner, place, pid, started, beat = rows[0]
        expired = abs(time.time() - beat) > EXPIRY
        if expired or Process(place=place, pid=pid, started=started).is_gone():
            # Of several processes that see the dead owner, the one that deletes its row goes on.
            gone = self._database.change("DELETE FROM claims WHERE key = ? AND owner = ?", key, owner)
            return bool(gone) and self._insert(key)
        return False

    def release(self, key: str) -> None:
        """Give up our claim on `key`."""
        self._database.change("DELETE FROM claims WHERE key = ? AND owner = ?", key, self._owner)

    def beat(self) -> None:
        """Give a sign of life for all our claims; due every `BEAT` seconds."""
        self._database.change("UPDATE claims SET beat = ? WHERE owner = ?", time.time(), self._owner)

    def record(self, spent: Tally) -> None:
        """Add what one call spent, all its attempts together; `spent.saved` is not looked at."""
        self._database.change(
            ADD_COUNTS,
            self._session,
            self._owner,
            spent.calls,
            spent.failed,
            spent.input_tokens,
            spent.output_tokens,
            spent.cost,
            spent.unpriced,
            spent.seconds,
        )

    def saved(self, keys: Iterable[str]) -> None:
        """Add answers that no call was needed for; a key counts once in a session."""
        now = time.time()
        rows = [(self._session, key, now) for key in keys]
        if rows:
            self._database.change("DELETE FROM saved WHERE created < ?", now - DAY)
            self._database.change_all("INSERT OR IGNORE INTO saved VALUES (?, ?, ?)", rows)

    def tally(self) -> Tally:
        """Return the sums over all processes of the session."""
        sums = [value for row in self._database.rows(SUM_COUNTS, self._session) for value in row]
        calls, failed, given, made, cost, unpriced, seconds = (value or 0 for value in sums or [0] * 7)
        keys = self._database.rows("SELECT count(*) FROM saved WHERE session = ?", self._session)
        return Tally(
            calls=calls,
            failed=failed,
            saved=keys[0][0] if keys else 0,
            input_tokens=given,
            output_tokens=made,
            cost=float(cost),
            unpriced=unpriced,
            seconds=float(seconds),
        )

    def close(self) -> None:
        """Give up all our claims and close the file."""
        if self._database.rows("SELECT 1 FROM claims WHERE owner = ? LIMIT 1", self._owner):
            self._database.change("DELETE FROM claims WHERE owner = ?", self._owner)
        self._database.close()

    def _insert(self, key: str) -> bool:
        process = self._process
        return bool(
            self._database.change(
                "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?, ?, ?)",
                key,
                self._owner,
                process.place,
                process.pid,
                process.started,
                time.time(),
            )
        )
