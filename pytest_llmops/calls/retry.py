"""Decide whether and when a failed call is tried again, and try it."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import NoReturn, TypeVar

from pytest_llmops.errors import TransientCallError

T = TypeVar("T")

REQUEST_ID = "request_id"
"""Attribute of the cancellation of a call that was under way when its time ran out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try a call again while its faults may pass; durations are in seconds."""

    deadline: float = 120.0
    """For all attempts and waits of one call together."""
    base: float = 0.5
    """The first wait; each further one is twice as long."""
    cap: float = 8.0
    """The longest wait, unless the provider asks for more."""
    attempts: int = 8
    """Most attempts: a server that is not there fails in half a minute, not at the deadline."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives.

        Raises:
            TransientCallError: the deadline has passed, the next attempt would come after it, or all attempts
                have failed.
            CallError: whatever `call` raises that asking again cannot help.
        """
        start = self.clock()
        last: TransientCallError | None = None
        for attempt in count(1):
            limit = asyncio.timeout(self.deadline - (self.clock() - start))
            try:
                async with limit:
                    return await call()
            except TimeoutError as error:
                if not limit.expired():
                    raise
                self._give_up(_late(error, last), attempt, start)
            except TransientCallError as error:
                last = error
                wait = self.wait(attempt, error.retry_after, overloaded=error.overloaded)
                if attempt == self.attempts or self.clock() - start + wait >= self.deadline:
                    self._give_up(error, attempt, start)
            await self.sleep(wait)
        raise AssertionError("unreachable")

    def wait(self, attempt: int, asked: float | None, *, overloaded: bool = False) -> float:
        """Return the wait after the failed `attempt`, from 1; never shorter than the provider `asked`.

        A provider without room is spared by the pace of all calls together, so each of them waits less.
        """
        cap = self.cap / 4 if overloaded else self.cap
        # Half of it is left to chance, so that calls that failed together do not come back together.
        own = min(cap, self.base * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(own, asked or 0.0)

    def _give_up(self, error: TransientCallError, attempts: int, start: float) -> NoReturn:
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        asked = f" The provider asks to wait {error.retry_after:.0f} s." if error.retry_after else ""
        raise TransientCallError(
            f"{error.args[0]} Given up after {tries} in {self.clock() - start:.1f} s; "
            f"the deadline is {self.deadline:g} s.{asked}",
            request_id=error.request_id,
            retry_after=error.retry_after,
            overloaded=error.overloaded,
        ) from None


def _late(error: TimeoutError, before: TransientCallError | None) -> TransientCallError:
    """Return what to say of an attempt that was cut off, and of the one before it."""
    request_id = getattr(error.__cause__, REQUEST_ID, None)
    if before is None:
        return TransientCallError("No answer came in time.", request_id=request_id)
    if request_id is None:
        # It may never have arrived: what is known is how the one before it ended.
        return before
    return TransientCallError(
        f"No answer came in time; the attempt before it: {before.args[0]}",
        request_id=request_id,
        overloaded=before.overloaded,
    )


def asked_wait(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds that a provider asks to wait, None where it asks for none or for nonsense.

    Args:
        headers: of the answer, with names in lower case or a mapping that ignores case.
        now: what a `Retry-After` date is compared with; the present by default.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _seconds(text)
    return _until(text, now or datetime.now(UTC)) if seconds is None else seconds


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _until(text: str | None, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
