"""Read a streamed answer while it comes in."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from pytest_llmops.calls.exchange import Timing
from pytest_llmops.providers.chunks import DONE, Assembly
from pytest_llmops.providers.events import EventReader
from pytest_llmops.providers.faults import no_answer, told_error
from pytest_llmops.providers.server import Server
from pytest_llmops.providers.transport import Reply
from pytest_llmops.store.canonical import parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Be a stream that was read to its end."""

    reply: Mapping[str, Any]
    """The chat completion that it makes."""
    timing: Timing
    whole: bool
    """Whether the server said that this was all."""


async def gather_stream(reply: Reply, server: Server, *, start: float) -> Gathered:
    """Return the answer that `reply` streams.

    Args:
        reply: a stream of server-sent events.
        server: whose it is.
        start: when the request was sent, on the monotonic clock.

    Raises:
        CallError: the server tells of an error, or sends something else.
    """
    assembly, ttft, done = Assembly(), None, False
    async with aclosing(_events(reply, server)) as events:
        async for event in events:
            if event.strip() == DONE:
                done = True
                break
            if assembly.add(_chunk(event, reply, server)) and ttft is None:
                ttft = time.monotonic() - start
    timing = Timing(seconds=time.monotonic() - start, ttft=ttft)
    return Gathered(
        reply=assembly.reply(), timing=timing, whole=assembly.finished or (done and not assembly.begun)
    )


async def _events(reply: Reply, server: Server) -> AsyncGenerator[str, None]:
    reader = EventReader()
    async for portion in reply.chunks():
        try:
            events = reader.feed(portion)
        except UnicodeDecodeError:
            raise no_answer(server, portion, reply.headers) from None
        for event in events:
            yield event
    # An event that was cut off is none: what is missing shows in what came.
    with suppress(ValueError):
        for event in reader.end():
            if event.strip() != DONE:
                parse_json(event)
            yield event


def _chunk(event: str, reply: Reply, server: Server) -> Mapping[str, Any]:
    try:
        chunk = parse_json(event)
    except ValueError:
        chunk = None
    if not isinstance(chunk, Mapping):
        raise no_answer(server, event.encode(), reply.headers)
    if chunk.get("error"):
        raise told_error(server, chunk["error"], reply.headers)
    return chunk
