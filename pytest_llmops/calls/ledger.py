"""Share out calls among processes, hold them to the budget and the pace, and count what they cost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_llmops.calls.book import Book, OwnBook
from pytest_llmops.calls.budget import Budget
from pytest_llmops.calls.database import Database, batches, placeholders
from pytest_llmops.calls.owner import Owner
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.shared_book import SharedBook
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import BudgetError, CallError

T = TypeVar("T")


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
    """Hold claims in the file of the cache, and the book of the session there or in memory.

    A claim says that one process is asking for an answer, so that all others wait for it. A turn is leave
    to make one attempt. What a process holds is void as soon as it has ended.

    Args:
        path: the SQLite file; made on the first claim, turn or count.
        session: the name that all processes of one test session share.
        budget: the most that the session may spend.
        alone: the session is this process, so nobody else need see what it spends.
    """

    def __init__(
        self, path: Path, *, session: str, budget: Budget | None = None, alone: bool = False
    ) -> None:
        self._database = Database(path)
        self._session = session
        self._budget = budget or Budget()
        self._owner = Owner()
        self._own = OwnBook() if alone else None

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the file, one sentence for each kind of trouble."""
        return self._database.warnings

    @property
    def priced(self) -> bool:
        """Tell whether an attempt needs a price before it is made."""
        return self._budget.cost is not None

    @property
    def owner(self) -> str:
        """Return the name that our claims are signed with."""
        return self._owner.name

    def claim(self, key: str) -> bool:
        """Return whether the call for `key` is now ours; False while another process is on it."""
        return self.claim_all([key])[0]

    def claim_all(self, keys: Sequence[str]) -> list[bool]:
        """Return for each of the calls for `keys`, all different, whether it is now ours."""
        taken = self._signed(lambda connection: _claim(connection, keys, self._owner))
        return [key not in taken for key in keys]

    def release(self, key: str) -> None:
        """Give up our claim on `key`."""
        self._database.change("DELETE FROM claims WHERE key = ? AND owner = ?", key, self._owner.name)

    def failure(self, key: str, *, since: float) -> CallError | None:
        """Return how the call for `key` failed in this session, None where it did not since then."""
        return self._look(lambda book: book.failure(key, since))

    def fail(self, key: str, error: CallError) -> None:
        """Say that the call for `key` gave no answer, to all processes of the session."""

        def work(book: Book) -> None:
            book.fail(key, error)
            book.count(Tally(failed=1))

        self._write(work)

    def turn(self, provider: str, pace: Pace, most: float | None) -> Turn | float | None:
        """Return leave for one attempt; else the seconds to wait, None until another attempt ends.

        Args:
            provider: whose slots are shared.
            pace: how fast the session starts; from then on the shared pace holds.
            most: US dollars that the attempt can cost; None where its price is unknown.

        Raises:
            BudgetError: the attempt could spend more than the session may.
        """
        return self._write(lambda book: self._turn(book, provider, pace, most))

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
        began = self._look(lambda book: book.began())
        return self._budget.seconds - (time.time() - began if began else 0.0)

    def beat(self) -> None:
        """Give a sign of life for all that we hold; due every `BEAT` seconds."""
        self._database.transact(self._owner.beat)

    def saved(self, costs: Mapping[str, float]) -> None:
        """Add answers that no call was needed for, with what they cost once; a key counts once."""
        if costs:
            self._write(lambda book: book.save(costs))

    def tally(self) -> Tally:
        """Return the sums over all processes of the session."""
        return self._look(lambda book: book.tally()) or Tally()

    @property
    def unseen(self) -> Tally:
        """Return what was spent here that no other process can see, since the file cannot be used."""
        return self.tally() if self._own is None and self._database.in_memory else Tally()

    def close(self) -> None:
        """Give up all that we hold and close the file."""
        if self._database.rows("SELECT 1 FROM owners WHERE owner = ? LIMIT 1", self._owner.name):
            self._database.transact(self._owner.leave)
        self._database.close()

    def _turn(self, book: Book, provider: str, pace: Pace, most: float | None) -> Turn | float | None:
        now = time.time()
        pace = book.pace(provider) or pace
        wait = pace.wait(now, book.running(provider))
        if wait:
            return wait
        if wait is None or not self._affords(book, most):
            # Others must end first, and some of them may have ended without a word.
            book.void_ended()
            return None
        book.put_pace(provider, pace.started(now))
        reserved = most or 0.0
        number = book.begin(provider, reserved)
        return Turn(number=number, provider=provider, began=now, reserved=reserved, slots=pace.slots)

    def _end(self, turn: Turn, spent: Tally, change: Callable[[Pace], Pace]) -> None:
        def work(book: Book) -> None:
            book.end(turn.number)
            book.count(spent)
            pace = book.pace(turn.provider)
            if pace is not None:
                book.put_pace(turn.provider, change(pace))

        self._write(work)

    def _affords(self, book: Book, most: float | None) -> bool:
        """Tell whether the budget allows an attempt now; False where others under way must end first."""
        if not self._budget.limited:
            return True
        if self._budget.cost is not None and most is None:
            raise BudgetError(
                "--llmops-max-cost needs its price, which is unknown; add it under `prices` in the settings"
            )
        if self._own is None and self._database.in_memory:
            raise BudgetError("its budget cannot be shared: mend the file of the warning, or run without -n")
        spent = book.spent()
        refusal = self._budget.refusal(spent, most or 0.0)
        if refusal:
            raise BudgetError(refusal)
        return not self._budget.must_wait(spent, most or 0.0)

    def _look(self, work: Callable[[Book], T]) -> T | None:
        """Read in the book; None where nobody has written in it."""
        if self._own is not None:
            return work(self._own)
        return self._database.look(lambda connection: work(self._shared(connection)))

    def _write(self, work: Callable[[Book], T]) -> T:
        if self._own is not None:
            return work(self._own)
        return self._signed(lambda connection: work(self._shared(connection)))

    def _shared(self, connection: sqlite3.Connection) -> SharedBook:
        return SharedBook(connection, self._session, self._owner)

    def _signed(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction, signed with our name."""

        def signed(connection: sqlite3.Connection) -> T:
            self._owner.sign(connection)
            return work(connection)

        result = self._database.transact(signed)
        self._owner.signed()
        return result


def _claim(connection: sqlite3.Connection, keys: Sequence[str], owner: Owner) -> set[str]:
    """Claim what is free, and return what is taken."""
    taken = _taken(connection, keys)
    if taken:
        owner.void_ended(connection)
        taken = _taken(connection, keys)
    for some in batches([key for key in keys if key not in taken]):
        values = ", ".join(["(?, ?)"] * len(some))
        connection.execute(
            f"INSERT INTO claims VALUES {values}",  # noqa: S608 - question marks
            [value for key in some for value in (key, owner.name)],
        )
    return taken


def _taken(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    return {
        key
        for some in batches(keys)
        for (key,) in connection.execute(
            f"SELECT key FROM claims WHERE key IN ({placeholders(some)})",  # noqa: S608
            some,
        )
    }
