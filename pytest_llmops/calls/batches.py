"""Ask for the vectors of many texts in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Response, Timing
from pytest_llmops.store.canonical import canonical, parse_json

MOST_TEXTS = 128
"""Texts of one call."""

MOST_CHARACTERS = 100_000
"""Characters of one call: providers limit its tokens."""

GATHERING = 0.005
"""Seconds in which texts that are asked for one by one come together."""

Embed = Callable[[EmbeddingRequest], Awaitable[tuple[Embeddings, float | None]]]


class Batches:
    """Gather texts for the same model, and send them together; belongs to one event loop.

    Args:
        embed: makes one call, and returns the vectors and their cost.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._open: list[tuple[EmbeddingRequest, list[tuple[str, asyncio.Future[Response]]]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def add(self, request: EmbeddingRequest) -> Response:
        """Return the vector of the one text of `request` as the text of an answer.

        Raises:
            CallError: the call that it went out with gave no vectors.
        """
        (text,) = request.texts
        vector: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        texts = self._batch(replace(request, texts=()), len(text))
        texts.append((text, vector))
        return await vector

    def _batch(self, model: EmbeddingRequest, length: int) -> list[tuple[str, asyncio.Future[Response]]]:
        for asked, texts in self._open:
            fits = sum(len(text) for text, _ in texts) + length <= MOST_CHARACTERS
            if asked == model and len(texts) < MOST_TEXTS and fits:
                return texts
        texts = []
        self._open.append((model, texts))
        task = asyncio.create_task(self._send(model, texts))
        # The loop itself holds tasks weakly.
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return texts

    async def _send(self, model: EmbeddingRequest, texts: list[tuple[str, asyncio.Future[Response]]]) -> None:
        await asyncio.sleep(GATHERING)
        self._open = [batch for batch in self._open if batch[1] is not texts]
        wanted = [(text, vector) for text, vector in texts if not vector.done()]
        try:
            found, cost = await self._embed(replace(model, texts=tuple(text for text, _ in wanted)))
        except BaseException as error:
            for _, vector in wanted:
                if isinstance(error, Exception) and not vector.done():
                    vector.set_exception(error)
                vector.cancel()
            if not isinstance(error, Exception):
                raise
            return
        share = cost / len(wanted) if cost is not None else None
        for (_, vector), numbers in zip(wanted, found.vectors, strict=True):
            if not vector.done():
                vector.set_result(_response(found, numbers, share))


def vector_of(response: Response) -> tuple[float, ...]:
    """Return the vector that `Batches.add` made an answer of."""
    return tuple(map(float, cast("list[float]", parse_json(response.text))))


def _response(found: Embeddings, numbers: tuple[float, ...], cost: float | None) -> Response:
    return Response(
        text=canonical(numbers),
        model=found.model,
        timing=Timing(seconds=found.seconds),
        request_id=found.request_id,
        cost=cost,
    )
