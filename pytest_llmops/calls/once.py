"""Have each answer made once, whichever tasks and processes ask for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from pytest_llmops.calls.cache import Cache, Hit
from pytest_llmops.calls.exchange import Response
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.owner import BEAT
from pytest_llmops.calls.together import Together
from pytest_llmops.errors import BudgetError, CacheMissError, CallError
from pytest_llmops.store.canonical import SHORT

Make = Callable[[], Awaitable[Response]]

FIRST_LOOK = 0.02
"""Seconds until the first look whether another process has the answer; each wait is longer."""

LAST_LOOK = 0.1
"""Longest wait between two looks, in seconds."""


def nothing_stored(key: str) -> Response | None:  # noqa: ARG001 - stands for a look-up
    """Return None: no baseline holds an answer."""
    return None


class Once:
    """Give the answers that are known, and have the others made by whoever claims them first.

    Args:
        cache: where answers are looked up and kept.
        ledger: where calls are claimed, and where it stands that they failed.
        stored: returns the answer that a stored run holds under a key.
        offline: have nothing made.
        sleep: waits for other processes; replaced in tests.
    """

    def __init__(
        self,
        cache: Cache,
        ledger: Ledger,
        *,
        stored: Callable[[str], Response | None] = nothing_stored,
        offline: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._cache = cache
        self._ledger = ledger
        self._stored = stored
        self._offline = offline
        self._sleep = sleep
        self._flying: dict[str, asyncio.Future[Response]] = {}
        self._saved: dict[str, float] = {}
        self._forgiven = 0.0
        self._draining = False
        self._heart: asyncio.Task[None] | None = None
        self._looks = Together[str, Hit | None](cache.get_all)
        self._claims = Together[str, bool](ledger.claim_all)
        self._puts = Together[tuple[str, Response], None](self._put)

    async def answer(self, key: str, make: Make, *, named: str) -> Response:
        """Return the answer under `key`; one that `make` gives is kept before this returns.

        Args:
            key: what names the question.
            make: calls the model; called at most once in a session, until `forgive`.
            named: the model, for messages.

        Raises:
            CacheMissError: calls are not allowed, and no answer is at hand.
            CallError: what `make` raised, here or in another process of the session.
        """
        while (flying := self._flying.get(key)) is not None:
            try:
                return await asyncio.shield(flying)
            except asyncio.CancelledError:
                # Where only the call we waited for was cancelled, the question is ours now.
                task = asyncio.current_task()
                if not flying.cancelled() or (task is not None and task.cancelling()):
                    raise
        return await self._first(key, make, named)

    def reused(self, key: str) -> bool:
        """Tell whether the answer under a key is from an earlier session."""
        return key in self._saved

    def forgive(self) -> None:
        """Have made again what failed in this session, when it is asked for."""
        self._forgiven = time.time()

    def drain(self) -> None:
        """Start nothing more; what is under way goes on, for other processes may wait for it."""
        self._draining = True

    def check_going_on(self) -> None:
        """Cancel who asks after `drain`."""
        if self._draining:
            raise asyncio.CancelledError

    async def aclose(self) -> None:
        """Write down what was saved."""
        if self._heart is not None:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
            self._heart = None
        saved, self._saved = self._saved, {}
        self._ledger.saved(saved)

    async def _first(self, key: str, make: Make, named: str) -> Response:
        flying = self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            response = await self._answered(key, make, named)
        except Exception as error:
            flying.set_exception(error)
            # Marks it as seen: mostly nobody else asked.
            flying.exception()
            raise
        except BaseException:
            flying.cancel()
            raise
        finally:
            del self._flying[key]
        flying.set_result(response)
        return response

    async def _answered(self, key: str, make: Make, named: str) -> Response:
        response = await self._known(key)
        if response is None and self._offline:
            raise CacheMissError(
                f"No answer of {named} to this request ({key[:SHORT]}) is cached, "
                "and --llmops-cache=offline forbids the call. Run once without it."
            )
        wait = FIRST_LOOK
        while response is None:
            self.check_going_on()
            if await self._claim(key):
                return await self._claimed(key, make)
            await self._sleep(wait)
            wait = min(2 * wait, LAST_LOOK)
            self._check_failed(key)
            response = await self._known(key)
        return response

    async def _claim(self, key: str) -> bool:
        claimed = self._claims.ask(key)
        try:
            return await asyncio.shield(claimed)
        except asyncio.CancelledError:
            # It may be ours all the same, and nobody would ever give it up.
            claimed.add_done_callback(partial(self._give_up, key))
            raise

    def _give_up(self, key: str, claimed: asyncio.Future[bool]) -> None:
        if claimed.exception() is None and claimed.result():
            self._ledger.release(key)

    async def _known(self, key: str) -> Response | None:
        hit = await self._looks.ask(key)
        if hit is not None and hit.this_session:
            return hit.response
        response = hit.response if hit is not None else self._stored(key)
        if response is not None:
            self._saved[key] = response.cost or 0.0
        return response

    async def _claimed(self, key: str, make: Make) -> Response:
        if self._heart is None:
            self._heart = asyncio.create_task(self._beat())
        try:
            # Between our look and our claim another process may have put its answer, or failed.
            response = await self._known(key)
            if response is None:
                self._check_failed(key)
                return await self._made(key, make)
        except BaseException:
            self._ledger.release(key)
            raise
        self._ledger.release(key)
        return response

    async def _made(self, key: str, make: Make) -> Response:
        try:
            response = await make()
        except BudgetError:
            raise
        except CallError as error:
            self._ledger.fail(key, error)
            raise
        # Kept before anything else is done with it: it is paid.
        await self._puts.ask((key, response))
        return response

    def _put(self, answers: Sequence[tuple[str, Response]]) -> list[None]:
        self._cache.put_all(answers, claimed_by=self._ledger.owner)
        return [None] * len(answers)

    def _check_failed(self, key: str) -> None:
        error = self._ledger.failure(key, since=self._forgiven)
        if error is not None:
            raise error

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self._ledger.beat()
