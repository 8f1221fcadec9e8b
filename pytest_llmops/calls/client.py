"""Answer requests: cache, claims, budget, retries, the provider, and fallback models, in this order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from pytest_llmops.calls.attempt import Attempts
from pytest_llmops.calls.batches import Batches, vector_of
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.exchange import (
    Embedder,
    EmbeddingRequest,
    Embeddings,
    Provider,
    Request,
    Response,
)
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.line import Line
from pytest_llmops.calls.once import Once, nothing_stored
from pytest_llmops.calls.pace import Pace
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.retry import Retry
from pytest_llmops.errors import FatalCallError, MisuseError, TransientCallError

FIRST_SLOTS = 32
"""Calls under way at once when a session starts, unless the user says how many."""

MOST_SLOTS = 256
"""Calls under way at once that a session may grow to, unless the user says how many."""


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
        self._concurrency = concurrency
        self._once = Once(cache, ledger, stored=stored, offline=offline, sleep=sleep)
        self._attempts = Attempts(ledger, retry or Retry(), prices or Prices(), self._once.check_going_on)
        self._batches = Batches(self._embedded)
        self._providers: dict[str, Provider] = {}
        self._lines: dict[str, Line] = {}

    def digest(self, request: Request | EmbeddingRequest) -> str:
        """Return the request digest: the key of its answer."""
        bare = Request(provider=request.provider, model=request.model, messages=())
        asked = request if isinstance(request, Request) else bare
        return request.digest(self._provider(request.provider).identity(asked))

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

    async def aembed(self, request: EmbeddingRequest) -> tuple[tuple[float, ...], ...]:
        """Return the vectors of the request's texts, in their order.

        Each text is a question of its own to the cache; those that are asked for together go out together.

        Raises:
            CacheMissError: calls are not allowed, and a vector is not at hand.
            BudgetError: the call could spend more than the session may.
            CallError: the call gave no vectors.
        """
        return tuple(await asyncio.gather(*(self._vector(each) for each in request.each())))

    def forgive(self) -> None:
        """Ask again for what failed in this session, when it is asked for."""
        self._once.forgive()

    @property
    def slots(self) -> int:
        """Return about how many calls may be under way at once, over all providers."""
        lines = self._lines.values()
        return int(sum(line.slots for line in lines)) if lines else self._concurrency or FIRST_SLOTS

    def reused(self, key: str) -> bool:
        """Tell whether the answer that `acall` gave under a request digest is from an earlier session."""
        return self._once.reused(key)

    def holds(self, key: str) -> bool:
        """Tell whether the cache holds the answer under a request digest."""
        return self._cache.get(key) is not None

    @property
    def warnings(self) -> list[str]:
        """Return what went wrong with the file of cache and ledger, each trouble once."""
        return list(dict.fromkeys([*self._cache.warnings, *self._ledger.warnings]))

    def drain(self) -> None:
        """Start no more calls; those under way go on, for other processes may wait for their answers."""
        self._once.drain()

    async def aclose(self) -> None:
        """Write down what was saved, and close providers and files."""
        try:
            await self._once.aclose()
            providers, self._providers = self._providers, {}
            for provider in providers.values():
                await provider.aclose()
        finally:
            # Cut off by an interrupt, it leaves nothing claimed.
            self._cache.close()
            self._ledger.close()

    async def _asked(self, request: Request, *, again: bool) -> Response:
        # Under a key of its own, for an answer of today must not replace the one that others rely on.
        key = f"{self.digest(request)} {self._cache.session}" if again else self.digest(request)
        return await self._once.answer(key, partial(self._completed, request), named=request.named)

    async def _completed(self, request: Request) -> Response:
        complete = partial(self._provider(request.provider).complete, request)
        response, cost = await self._attempts.make(request, complete, self._line(request.provider))
        return replace(response, cost=cost)

    async def _vector(self, request: EmbeddingRequest) -> tuple[float, ...]:
        make = partial(self._batches.add, request)
        return vector_of(await self._once.answer(self.digest(request), make, named=request.named))

    async def _embedded(self, request: EmbeddingRequest) -> tuple[Embeddings, float | None]:
        provider = self._provider(request.provider)
        if not isinstance(provider, Embedder):
            raise MisuseError(f"The provider {request.provider!r} has no `embed`, so it gives no vectors.")
        embed = partial(provider.embed, request)
        return await self._attempts.make(request, embed, self._line(request.provider))

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
