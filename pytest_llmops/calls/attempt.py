"""Make the attempts of one call: each in its turn, each counted, within one deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias, TypeVar

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Request, Response, Usage
from pytest_llmops.calls.ledger import Ledger, Turn
from pytest_llmops.calls.line import Line
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.retry import Retry
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import (
    BadAnswerError,
    BudgetError,
    FatalCallError,
    MisuseError,
    TransientCallError,
)

Asked: TypeAlias = Request | EmbeddingRequest

A = TypeVar("A", Response, Embeddings)


class Attempts:
    """Call providers.

    Args:
        ledger: counts what attempts cost, and holds them to the budget.
        retry: when a failed attempt is followed by another one.
        prices: what tokens cost.
        go_on: raises where no attempt may start any more.
    """

    def __init__(self, ledger: Ledger, retry: Retry, prices: Prices, go_on: Callable[[], None]) -> None:
        self._go_on = go_on
        self._ledger = ledger
        self._retry = retry
        self._prices = prices

    async def make(
        self, request: Asked, send: Callable[[], Awaitable[A]], line: Line
    ) -> tuple[A, float | None]:
        """Return what `send` gave, and its cost in US dollars, None where that is unknown.

        Args:
            request: what to ask.
            send: asks the provider once.
            line: where to wait for a turn; the first wait is no part of the call's deadline.

        Raises:
            BudgetError: an attempt could spend more than the session may, or its time has run out.
            CallError: no attempt gave a usable answer.
        """
        most = self._prices.most(request) if self._ledger.priced else None
        turns = [await self._turn(line, request, most, urgent=False)]

        async def attempt() -> tuple[A, float | None]:
            turn = turns.pop() if turns else await self._turn(line, request, most, urgent=True)
            try:
                self._go_on()
            except BaseException:
                self._ledger.ended(turn, Tally())
                line.leave()
                raise
            return await self._attempt(request, send, line, turn)

        try:
            async with asyncio.timeout(self._ledger.seconds_left()) as limit:
                return await self._retry.run(attempt)
        except TimeoutError:
            if not limit.expired():
                raise
            raise BudgetError("--llmops-max-seconds is reached.") from None

    async def _turn(self, line: Line, request: Asked, most: float | None, *, urgent: bool) -> Turn:
        try:
            return await line.enter(most, urgent=urgent)
        except BudgetError as error:
            raise BudgetError(f"{request.named} was not called: {error}.") from None

    async def _attempt(
        self, request: Asked, send: Callable[[], Awaitable[A]], line: Line, turn: Turn
    ) -> tuple[A, float | None]:
        start = time.monotonic()
        try:
            answer = await send()
        except TransientCallError as error:
            spent = Tally(calls=1, seconds=time.monotonic() - start)
            if error.overloaded:
                self._ledger.turned_away(turn, spent, error.retry_after)
            else:
                self._ledger.ended(turn, spent)
            raise
        except FatalCallError:
            self._ledger.ended(turn, Tally(calls=1, seconds=time.monotonic() - start))
            raise
        except MisuseError:
            # Nothing was sent.
            self._ledger.ended(turn, Tally())
            raise
        except BadAnswerError as error:
            usage = Usage(input_tokens=error.input_tokens, output_tokens=error.output_tokens)
            self._ledger.answered(turn, self._spent(request, usage, start)[1])
            raise
        except BaseException:
            # Cut off under way: it may have been answered, and paid.
            spent = Tally(calls=1, seconds=time.monotonic() - start, cost=turn.reserved, unpriced=1)
            self._ledger.ended(turn, spent)
            raise
        finally:
            line.leave()
        cost, spent = self._spent(request, answer.usage, start)
        self._ledger.answered(turn, spent)
        return answer, cost

    def _spent(self, request: Asked, usage: Usage, start: float) -> tuple[float | None, Tally]:
        if isinstance(request, EmbeddingRequest):
            # Vectors are paid by what goes in.
            usage = replace(usage, output_tokens=0)
        cost = self._prices.cost(request.provider, request.model, usage)
        return cost, Tally(
            calls=1,
            input_tokens=usage.input_tokens or 0,
            output_tokens=usage.output_tokens or 0,
            cost=cost or 0.0,
            unpriced=int(cost is None),
            seconds=time.monotonic() - start,
        )
