"""Answer from a script: the test double for users' own tests."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from pytest_llmops.calls.exchange import Request, Response, Usage
from pytest_llmops.errors import BadAnswerError, MisuseError, closest
from pytest_llmops.store.canonical import JsonValue

Reply: TypeAlias = str | Response | Exception
"""One scripted reply; an exception is raised."""

Script: TypeAlias = str | Mapping[str, Reply] | Callable[[Request], Reply | Awaitable[Reply]]
"""One reply to all, replies by the text of the last message, or a function, sync or async."""


class ScriptedProvider:
    """Reply from a script in place of a model, and keep the requests seen.

    Tokens are counted as words, so that reports have numbers. The script's own text is part of the
    request digest: a changed script is another model, and old cached answers do not come back.

    Args:
        reply: the script; see `Script`.
    """

    concurrency: int | None = None

    def __init__(self, reply: Script) -> None:
        self._reply = reply
        self._identity = {"script": _source(reply)}
        self.requests: list[Request] = []
        """All requests that were answered or refused, in the order of their coming."""

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
            MisuseError: the script holds no reply for the last message.
        """
        self.requests.append(request)
        reply = await self._scripted(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Response):
            return reply
        if not reply:
            raise BadAnswerError(f"{request.model}: the answer is empty.", kind="empty")
        given = sum(len(_text(message).split()) for message in request.messages)
        usage = Usage(input_tokens=given, output_tokens=len(reply.split()))
        return Response(text=reply, model=request.model, finish_reason="stop", usage=usage)

    async def aclose(self) -> None:
        """Hold nothing to let go of."""

    async def _scripted(self, request: Request) -> Reply:
        script = self._reply
        if isinstance(script, str):
            return script
        if isinstance(script, Mapping):
            asked = _text(request.messages[-1]) if request.messages else ""
            if asked not in script:
                raise MisuseError(f"The script has no reply to {asked!r}. {closest(asked, script)}")
            return script[asked]
        reply = script(request)
        return await reply if inspect.isawaitable(reply) else reply


def _text(message: Mapping[str, JsonValue]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _source(script: Script) -> JsonValue:
    if isinstance(script, str):
        return script
    if isinstance(script, Mapping):
        return {asked: reply if isinstance(reply, str) else repr(reply) for asked, reply in script.items()}
    kind = script if inspect.isroutine(script) else type(script)
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return kind.__qualname__
