"""Let the calls of this process wait in line for their turns."""

from __future__ import annotations

import asyncio
from collections import deque

from pytest_llmops.calls.ledger import Ledger, Turn
from pytest_llmops.calls.pace import Pace

LOOK = 0.05
"""Seconds between two looks whether another process has freed a slot."""

LONGEST = 1.0
"""Longest wait in seconds without a look, for the pace may have changed."""


class Line:
    """Give turns at one provider in the order of coming; belongs to one event loop.

    Args:
        ledger: where all processes share their slots.
        provider: the provider's name.
        pace: how fast the session starts.
    """

    def __init__(self, ledger: Ledger, provider: str, pace: Pace) -> None:
        self._ledger = ledger
        self._provider = provider
        self._pace = pace
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._looking = False
        self._changed = asyncio.Event()
        self._running = 0
        self.slots = pace.slots
        """Calls that may be under way, as far as this process knows."""

    async def enter(self, most: float | None, *, urgent: bool = False) -> Turn:
        """Return leave for one attempt; who gets it must `leave`.

        Args:
            most: US dollars that the attempt can cost; None where its price is unknown.
            urgent: go before all who wait: this call has waited before.

        Raises:
            BudgetError: the attempt could spend more than the session may.
        """
        await self._first_in_line(urgent=urgent)
        try:
            while not isinstance(turn := self._turn(most), Turn):
                await self._change_within(turn)
        finally:
            self._looking = False
            self._wake_next()
        self._running += 1
        self.slots = turn.slots
        return turn

    def leave(self) -> None:
        """Say that an attempt of this process has ended."""
        self._running -= 1
        self._changed.set()

    def _turn(self, most: float | None) -> Turn | float | None:
        # While our own calls take all slots, the file need not be asked.
        full = self._running >= max(1, int(self.slots))
        self._changed.clear()
        return None if full else self._ledger.turn(self._provider, self._pace, most)

    async def _first_in_line(self, *, urgent: bool) -> None:
        if not self._looking:
            self._looking = True
            return
        place = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if urgent else self._waiting.append)(place)
        try:
            await place
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not place.cancelled():
                # It was our turn to look already: the next one takes it.
                self._looking = False
                self._wake_next()
            raise

    def _wake_next(self) -> None:
        while self._waiting and not self._looking:
            place = self._waiting.popleft()
            if not place.done():
                self._looking = True
                place.set_result(None)

    async def _change_within(self, seconds: float | None) -> None:
        """Wait until an attempt of ours has ended, but not longer than `seconds`."""
        alarm = asyncio.get_running_loop().call_later(
            LOOK if seconds is None else min(seconds, LONGEST), self._changed.set
        )
        try:
            await self._changed.wait()
        finally:
            alarm.cancel()
