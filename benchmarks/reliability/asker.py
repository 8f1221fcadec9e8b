"""Ask questions one after the other until killed, and say so as soon as an answer is returned; see kills.py.

It imports no more than a client needs, since a thousand of these are started.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.store.canonical import JsonValue, digest_text

LATENCY = 0.002
"""Seconds until an answer, so that a kill meets calls under way."""

AT_ONCE = 16

MODEL = "a-model"


class Provider:
    """Answer with a digest of the question, and say that it was asked."""

    concurrency: int | None = None

    def identity(self, request: Request) -> Mapping[str, JsonValue]:  # noqa: ARG002 - the protocol's
        """Return nothing: all answers are of one kind."""
        return {}

    async def complete(self, request: Request) -> Response:
        """Return the answer."""
        number = str(request.messages[0]["content"])
        say("called", number)
        await asyncio.sleep(LATENCY)
        return Response(text=digest_text(number), model=request.model, finish_reason="stop")

    async def aclose(self) -> None:
        """Hold nothing to let go of."""


def say(word: str, told: object) -> None:
    """Write a line at once, and whole: what is in the pipe outlives this process."""
    os.write(sys.stdout.fileno(), f"{word} {told}\n".encode())


async def ask(client: Client, numbers: Iterator[int]) -> None:
    """Ask for one number after the other."""
    for number in numbers:
        message = {"role": "user", "content": str(number)}
        answer = await client.acall(Request(provider="a", model=MODEL, messages=(message,)))
        say("kept" if answer.text == digest_text(str(number)) else "wrong", number)
        for warning in client.warnings:
            say("warned", warning)


async def main(path: Path, session: str) -> None:
    """Ask for the numbers from the first that standard input names up to the last, or without an end."""
    first, _, last = sys.stdin.readline().partition(" ")
    numbers = iter(range(int(first), int(last)) if last.strip() else count(int(first)))
    client = Client(
        cache=Cache(path, session=session),
        ledger=Ledger(path, session=session),
        provider_of=lambda name: Provider(),  # noqa: ARG005 - there is one
    )
    await asyncio.gather(*(ask(client, numbers) for _ in range(AT_ONCE)))
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
