"""Answer from a script: the test double for users' own tests."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Request, Response, Usage
from pytest_llmops.errors import BadAnswerError, MisuseError, closest
from pytest_llmops.store.canonical import JsonValue, digest_text

Reply: TypeAlias = str | Response | Exception
"""One scripted reply; an exception is raised."""

Script: TypeAlias = (
    str | Sequence[Reply] | Mapping[str, Reply] | Callable[[Request], Reply | Awaitable[Reply]]
)
"""One reply to all, one to each in turn, replies by the text of the last message (or of the bare prompt), or
a function."""

DIMENSIONS = 64
"""Of the vectors that are made where no function gives them."""


class ScriptedProvider:
    """Reply from a script in place of a model, and keep the requests seen.

    A reply is a text, a whole `Response` with tool calls, usage and timing of its own, or an exception,
    which is raised: `TransientCallError("busy")` is tried again, a `BadAnswerError` scores worst. A function,
    sync or async, is given the request and returns one of these.

    Tokens are counted as words, so that reports have numbers. The script's own text is part of the
    request digest: a changed script is another model, and old cached answers do not come back.

    Args:
        reply: the script; see `Script`. Replies in turn are for each process by itself.
        embed: returns the vector of a text; by default texts that share words have similar vectors.
    """

    concurrency: int | None = None

    def __init__(self, reply: Script, *, embed: Callable[[str], Sequence[float]] | None = None) -> None:
        self._reply = reply
        self._embed = embed or _bag_of_words
        self._identity = {"script": _source(reply), **({"embed": _source_of(embed)} if embed else {})}
        self.requests: list[Request] = []
        """All requests that were answered or refused, in the order of their coming."""
        self.embedding_requests: list[EmbeddingRequest] = []
        """All requests for vectors, in the order of their coming."""

    @property
    def calls(self) -> int:
        """Return the number of requests seen."""
        return len(self.requests)

    def identity(self, request: Request) -> Mapping[str, JsonValue]:  # noqa: ARG002 - the protocol's
        """Return the script's own text."""
        return self._identity

    async def complete(self, request: Request) -> Response:
        """Return the scripted reply.

        Raises:
            BadAnswerError: the reply is empty.
            MisuseError: the script holds no reply for the last message, or no more replies.
        """
        self.requests.append(request)
        reply = await self._scripted(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Response):
            return reply
        given = sum(len(text.split()) for text in _texts(request))
        if not reply:
            raise BadAnswerError(
                f"{request.model}: the answer is empty.", kind="empty", input_tokens=given, output_tokens=0
            )
        usage = Usage(input_tokens=given, output_tokens=len(reply.split()))
        return Response(text=reply, model=request.model, finish_reason="stop", usage=usage)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return the vectors of the request's texts."""
        self.embedding_requests.append(request)
        return Embeddings(
            vectors=tuple(tuple(map(float, self._embed(text))) for text in request.texts),
            model=request.model,
            usage=Usage(input_tokens=sum(len(text.split()) for text in request.texts)),
        )

    async def aclose(self) -> None:
        """Hold nothing to let go of."""

    async def _scripted(self, request: Request) -> Reply:
        script = self._reply
        if isinstance(script, str):
            return script
        if isinstance(script, Mapping):
            asked = _texts(request)[-1]
            if asked not in script:
                raise MisuseError(f"The script has no reply to {asked!r}. {closest(asked, script)}")
            return script[asked]
        if isinstance(script, Sequence):
            if self.calls > len(script):
                raise MisuseError(f"The script holds {len(script)} replies, and one more call came.")
            return script[self.calls - 1]
        reply = script(request)
        return await reply if inspect.isawaitable(reply) else reply


def _texts(request: Request) -> list[str]:
    told = [message.get("content") for message in request.messages] or [request.parameters.get("prompt")]
    return [text if isinstance(text, str) else "" for text in told]


def _source(script: Script) -> JsonValue:
    if isinstance(script, str):
        return script
    if isinstance(script, Mapping):
        return {asked: reply if isinstance(reply, str) else repr(reply) for asked, reply in script.items()}
    if isinstance(script, Sequence):
        return [reply if isinstance(reply, str) else repr(reply) for reply in script]
    return _source_of(script)


def _source_of(script: Callable[..., object]) -> str:
    kind = script if inspect.isroutine(script) else type(script)
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return kind.__qualname__


def _bag_of_words(text: str) -> list[float]:
    # Each word has a direction of its own, read from the bits of its digest; a text is the sum of its words.
    words = [int(digest_text(word)[: DIMENSIONS // 4], 16) for word in re.findall(r"\w+", text.casefold())]
    vector = [sum(1.0 if word >> bit & 1 else -1.0 for word in words) for bit in range(DIMENSIONS)]
    length = math.hypot(*vector) or 1.0
    return [number / length for number in vector]
