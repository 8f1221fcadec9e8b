"""Spend what budgets allow, together with other processes: one order a line; see budgets.py."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_llmops.calls.budget import Budget
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Request, Response, Usage
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.retry import Retry
from pytest_llmops.errors import BudgetError, TransientCallError
from pytest_llmops.setting_values import Price
from pytest_llmops.store.canonical import JsonValue

MODEL = "a-model"

PRICE = Price(input=1.0, output=10.0)
"""US dollars for a million tokens."""

MOST_OUTPUT = 1000
"""Tokens of an answer, at most: most answers take far fewer."""

LATENCY = 0.005
"""Seconds until an answer, at most."""

FAILING = 0.1
"""Share of attempts that fail in a way that may pass: each is a call of the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Say what one session asks for, and what it may spend."""

    path: str
    """Of the cache file."""
    session: str
    calls: int | None
    cost: float | None
    requests: list[int]
    """Numbers of this process's questions."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Be what one process asked and was told."""

    attempts: int
    """That reached the provider."""
    tokens: list[tuple[int, int]]
    """In and out, of each answer that was made."""
    answered: list[int]
    """Numbers of the questions that this process has answers to."""
    refused: list[int]
    """Numbers of those that the budget did not allow."""


class Provider:
    """Answer at random lengths, at most as long as allowed, and fail now and then."""

    concurrency: int | None = None

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.attempts = 0
        self.tokens: list[tuple[int, int]] = []

    def identity(self, request: Request) -> Mapping[str, JsonValue]:  # noqa: ARG002 - the protocol's
        """Return nothing: all answers are of one kind."""
        return {}

    async def complete(self, request: Request) -> Response:
        """Return the answer.

        Raises:
            TransientCallError: it is one of those that fail.
        """
        self.attempts += 1
        await asyncio.sleep(self._chance.uniform(0.0, LATENCY))
        if self._chance.random() < FAILING:
            raise TransientCallError("status 500: try again")
        # Mostly short: what is put aside for an answer comes back.
        made = int(MOST_OUTPUT * self._chance.random() ** 4) + 1
        given = len(request.messages[0]["content"])  # type: ignore[arg-type]
        self.tokens.append((given, made))
        return Response(
            text=answer_to(request),
            model=request.model,
            finish_reason="stop",
            usage=Usage(input_tokens=given, output_tokens=made),
        )

    async def aclose(self) -> None:
        """Hold nothing to let go of."""


def asking(number: int) -> Request:
    """Return the request with a number."""
    return Request(
        provider="a",
        model=MODEL,
        messages=({"role": "user", "content": f"Question {number}?"},),
        parameters={"max_tokens": MOST_OUTPUT},
    )


def answer_to(request: Request) -> str:
    """Return the right answer."""
    return f"The answer to {request.messages[0]['content']}"


async def spend(order: Order) -> Spending:
    """Ask all questions of an order at once, as one process of a session."""
    provider = Provider(order.seed)
    client = Client(
        cache=Cache(Path(order.path), session=order.session),
        ledger=Ledger(
            Path(order.path), session=order.session, budget=Budget(calls=order.calls, cost=order.cost)
        ),
        provider_of=lambda name: provider,  # noqa: ARG005 - there is one
        retry=Retry(base=0.001, cap=0.01),
        prices=Prices({f"a:{MODEL}": PRICE}),
    )
    found = await asyncio.gather(*(_is_answered(client, number) for number in order.requests))
    await client.aclose()
    assert not client.warnings, client.warnings
    return Spending(
        attempts=provider.attempts,
        tokens=provider.tokens,
        answered=[number for number, right in zip(order.requests, found, strict=True) if right],
        refused=[number for number, right in zip(order.requests, found, strict=True) if not right],
    )


async def _is_answered(client: Client, number: int) -> bool:
    request = asking(number)
    try:
        response = await client.acall(request)
    except BudgetError:
        return False
    assert response.text == answer_to(request)
    return True


def main() -> None:
    """Follow one order a line until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(asdict(asyncio.run(spend(Order(**json.loads(line)))))), flush=True)


if __name__ == "__main__":
    main()
