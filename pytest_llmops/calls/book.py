"""Keep what a session spends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from pytest_llmops.calls.budget import Spent
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import CallError


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
