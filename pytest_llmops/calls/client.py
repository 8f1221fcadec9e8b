"""Answer requests: cache, stored answers, claims, budget, retries, the provider, and fallback models."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pytest_llmops.calls.attempt import Attempts
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import Provider, Request, Response
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.line import Line
from pytest_llmops.calls.owner import BEAT
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.retry import Retry
from pytest_llmops.errors import BudgetError, CacheMissError, CallError, FatalCallError, TransientCallError
from pytest_llmops.store.canonical import SHORT

FIRST_SLOTS = 32
"""Calls under way at once when a session starts, unless the user says how many."""

MOST_SLOTS = 256
"""Calls under way at once that a session may grow to, unless the user says how many."""

FIRST_LOOK = 0.02
"""Seconds until the first look whether another process has the answer; each wait is longer."""

LAST_LOOK = 0.1
"""Longest wait between two looks, in seconds."""


def nothing_stored(key: str) -> Response | None:  # noqa: ARG001 - stands for a look-up
    """Return None: no baseline holds an answer."""
    return None


class Client:
    """Answer each request at the least cost; a `Caller`.

    All methods but `digest`, `reused`, `holds` and `slots` belong to one event loop.

    Args:
        cache: where answers are looked up and kept; closed by `aclose`.
        ledger: where calls are claimed and counted; closed by `aclose`, and still good for `tally`.
        provider_of: returns the provider of a name; asked once a name, closed by `aclose`.
        stored: returns the answer that a stored run holds for a request digest.
        offline: make no calls.
        concurrency: most calls at once to one provider; None to follow what the provider takes.
        retry: when a failed call is tried again, and how long a call may take.
        prices: what tokens cost.
        sleep: waits for other processes; replaced in tests.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        ledger: Ledger,
        provider_of: Callable[[str], Provider],
        stored: Callable[[str], Response | None] = nothing_stored,
        offline: bool = False,
        concurrency: int | None = None,
        retry: Retry | None = None,
        prices: Prices | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._cache = cache
        self._ledger = ledger
        self._provider_of = provider_of
        self._stored = stored
        self._offline = offline
        self._concurrency = concurrency
        self._attempts = Attempts(ledger, retry or Retry(), prices or Prices())
        self._sleep = sleep
        self._providers: dict[str, Provider] = {}
        self._lines: dict[str, Line] = {}
        self._flying: dict[str, asyncio.Future[Response]] = {}
        self._saved: dict[str, float] = {}
        self._forgiven = 0.0
        self._draining = False
        self._heart: asyncio.Task[None] | None = None

    def digest(self, request: Request) -> str:
        """Return the request digest: the key of its answer."""
        return request.digest(self._provider(request.provider).identity(request))

    async def acall(self, request: Request, *, again: bool = False) -> Response:
        """Return the answer to `request`; a new one is kept before this returns.

        Args:
            request: what to ask.
            again: ask in this session, once, whatever is known from earlier ones.

        Raises:
            CacheMissError: calls are not allowed, and no answer is at hand.
            BudgetError: the call could spend more than the session may.
            CallError: the call gave no usable answer, nor did one to a fallback model.
        """
        try:
            return await self._asked(request, again=again)
        except (FatalCallError, TransientCallError):
            for stand_in in request.stand_ins():
                with contextlib.suppress(FatalCallError, TransientCallError):
                    response = await self._asked(stand_in, again=again)
                    return replace(response, fallback=f"{stand_in.provider}:{stand_in.model}")
            raise

    def forgive(self) -> None:
        """Ask again for what failed in this session, when it is asked for."""
        self._forgiven = time.time()

    @property
    def slots(self) -> int:
        """Return about how many calls may be under way at once, over all providers."""
        lines = self._lines.values()
        return int(sum(line.slots for line in lines)) if lines else self._concurrency or FIRST_SLOTS

    def reused(self, key: str) -> bool:
        """Tell whether the answer that `acall` gave under a request digest is from an earlier session."""
        return key in self._saved

    def holds(self, key: str) -> bool:
        """Tell whether the cache holds the answer under a request digest."""
        return self._cache.get(key) is not None

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the file of cache and ledger, each trouble once."""
        return list(dict.fromkeys([*self._cache.warnings, *self._ledger.warnings]))

    def drain(self) -> None:
        """Start no more calls; those under way go on, for other processes may wait for their answers."""
        self._draining = True

    async def aclose(self) -> None:
        """Write down what was saved, and close providers and files."""
        if self._heart is not None:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
            self._heart = None
        saved, self._saved = self._saved, {}
        self._ledger.saved(saved)
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.aclose()
        self._cache.close()
        self._ledger.close()

    async def _asked(self, request: Request, *, again: bool) -> Response:
        # Under a key of its own, for an answer of today must not replace the one that others rely on.
        key = f"{self.digest(request)} {self._cache.session}" if again else self.digest(request)
        while (flying := self._flying.get(key)) is not None:
            try:
                return await asyncio.shield(flying)
            except asyncio.CancelledError:
                # Where only the call we waited for was cancelled, the question is ours now.
                task = asyncio.current_task()
                if not flying.cancelled() or (task is not None and task.cancelling()):
                    raise
        return await self._first(key, request)

    async def _first(self, key: str, request: Request) -> Response:
        flying = self._flying[key] = asyncio.get_running_loop().create_future()
        try:
            response = await self._answered(key, request)
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

    async def _answered(self, key: str, request: Request) -> Response:
        response = self._known(key)
        if response is None and self._offline:
            raise CacheMissError(
                f"No answer of {request.provider}:{request.model} to this request ({key[:SHORT]}) is cached, "
                "and --llmops-cache=offline forbids the call. Run once without it."
            )
        wait = FIRST_LOOK
        while response is None:
            self._check_going_on()
            self._check_failed(key)
            if self._ledger.claim(key):
                return await self._claimed(key, request)
            await self._sleep(wait)
            wait = min(2 * wait, LAST_LOOK)
            response = self._known(key)
        return response

    def _known(self, key: str) -> Response | None:
        hit = self._cache.get(key)
        if hit is not None and hit.this_session:
            return hit.response
        response = hit.response if hit is not None else self._stored(key)
        if response is not None:
            self._saved[key] = response.cost or 0.0
        return response

    async def _claimed(self, key: str, request: Request) -> Response:
        if self._heart is None:
            self._heart = asyncio.create_task(self._beat())
        try:
            # Between our look and our claim another process may have put its answer, or failed.
            response = self._known(key)
            if response is None:
                self._check_failed(key)
                response = await self._called(key, request)
        finally:
            self._ledger.release(key)
        return response

    async def _called(self, key: str, request: Request) -> Response:
        line = self._line(request.provider)
        try:
            response = await self._attempts.make(
                request, self._provider(request.provider), line, self._check_going_on
            )
        except BudgetError:
            raise
        except CallError as error:
            self._ledger.fail(key, error)
            raise
        # Kept before anything else is done with it: it is paid.
        self._cache.put(key, response)
        return response

    def _check_failed(self, key: str) -> None:
        error = self._ledger.failure(key, since=self._forgiven)
        if error is not None:
            raise error

    def _check_going_on(self) -> None:
        if self._draining:
            raise asyncio.CancelledError

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self._ledger.beat()

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            self._providers[name] = self._provider_of(name)
        return self._providers[name]

    def _line(self, name: str) -> Line:
        if name not in self._lines:
            own = self._provider(name).concurrency
            first, most = self._concurrency or FIRST_SLOTS, self._concurrency or MOST_SLOTS
            pace = Pace(slots=min(first, own or first), most=min(most, own or most))
            self._lines[name] = Line(self._ledger, name, pace)
        return self._lines[name]
