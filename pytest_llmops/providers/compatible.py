"""Ask any server that speaks OpenAI's chat completions, completions and embeddings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Request, Response, Timing
from pytest_llmops.errors import MisuseError
from pytest_llmops.providers.completion import bad_answer, check_model, read_usage, to_response
from pytest_llmops.providers.embeddings import read_vectors
from pytest_llmops.providers.faults import no_answer, told_error
from pytest_llmops.providers.server import Server, lowered
from pytest_llmops.providers.streaming import gather_stream
from pytest_llmops.providers.transport import Letter, Reply, Transport
from pytest_llmops.store.canonical import JsonValue, parse_json

WHOLE = ("application/json", "text/html")
"""Media types of replies that are no stream, though one was asked for."""


class CompatibleProvider:
    """Send requests to one server.

    Args:
        server: which.
        timeout: seconds that it may be silent.
        served_as: the names under which it answers, by the names asked; see `is_served`.
    """

    concurrency: int | None = None

    def __init__(self, server: Server, *, timeout: float, served_as: Mapping[str, str] | None = None) -> None:
        self._server = server
        self._timeout = timeout
        self._served_as = served_as or {}
        self._transport: Transport | None = None

    def identity(self, request: Request) -> Mapping[str, JsonValue]:  # noqa: ARG002 - the protocol's
        """Return the base URL, without user info and query."""
        return {"base_url": self._server.base_url}

    async def complete(self, request: Request) -> Response:
        """Return the answer, put together from a stream where the request asks for one.

        Raises:
            CallError: its subclass says whether asking again may help.
            MisuseError: the key is missing, or a parameter says how to travel and cannot be understood.
        """
        transport = self._opened()
        operation = "completions" if request.bare else "chat/completions"
        letter = self._letter(operation, request.payload)
        if letter.payload.get("stream"):
            return await self._streamed(transport, letter, request)
        start = time.monotonic()
        async with transport.post(letter) as reply:
            content = await reply.read()
        return self._response(content, reply, request, Timing(seconds=time.monotonic() - start))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return the vectors of the request's texts.

        Raises:
            CallError: its subclass says whether asking again may help.
            MisuseError: the key is missing, or a parameter says how to travel and cannot be understood.
        """
        asked = {"model": request.model, "input": list(request.texts), "encoding_format": "base64"}
        transport = self._opened()
        letter = self._letter("embeddings", {**asked, **request.parameters})
        start = time.monotonic()
        async with transport.post(letter) as answer:
            content = await answer.read()
        seconds = time.monotonic() - start
        reply = self._read(content, answer.headers, "data")
        request_id, usage = self._server.request_id(answer.headers), read_usage(reply.get("usage"))
        answered = reply.get("model")
        check_model(request.model, answered, served_as=self._served_as, usage=usage, request_id=request_id)
        vectors = read_vectors(reply, len(request.texts))
        if vectors is None:
            told = f"the answer is malformed: it does not hold {len(request.texts)} vectors of equal length."
            raise bad_answer(request.model, "malformed", told=told, usage=usage, request_id=request_id)
        return Embeddings(
            vectors=vectors,
            model=str(answered or request.model),
            usage=usage,
            seconds=seconds,
            request_id=request_id,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    def _check_key(self) -> None:
        """Raise a MisuseError where no call can be made for want of a key."""
        raise NotImplementedError

    def _opened(self) -> Transport:
        if self._transport is None:
            self._check_key()
            self._transport = Transport(self._server, timeout=self._timeout)
        return self._transport

    def _letter(self, operation: str, payload: Mapping[str, Any]) -> Letter:
        body = {**payload}
        headers, query = (_mapping(body.pop(name, None), name) for name in ("extra_headers", "extra_query"))
        timeout = _seconds(body.pop("timeout", None))
        body |= _mapping(body.pop("extra_body", None), "extra_body")
        if body.get("stream"):
            body = {"stream_options": {"include_usage": True}, **body}
        path = self._server.path(operation, str(body["model"]), query)
        return Letter(path=path, payload=body, headers=lowered(headers, "extra_headers"), timeout=timeout)

    async def _streamed(self, transport: Transport, letter: Letter, request: Request) -> Response:
        start = time.monotonic()
        async with transport.post(letter) as reply:
            if reply.media_type in WHOLE:
                content = await reply.read()
                return self._response(content, reply, request, Timing(seconds=time.monotonic() - start))
            gathered = await gather_stream(reply, self._server, start=start)
            await reply.drain()
        request_id = self._server.request_id(reply.headers)
        if not gathered.whole:
            usage = read_usage(gathered.reply["usage"])
            raise bad_answer(request.model, "cut_stream", usage=usage, request_id=request_id)
        return to_response(
            gathered.reply,
            request=request,
            served_as=self._served_as,
            timing=gathered.timing,
            request_id=request_id,
        )

    def _response(self, content: bytes, reply: Reply, request: Request, timing: Timing) -> Response:
        return to_response(
            self._read(content, reply.headers, "choices"),
            request=request,
            served_as=self._served_as,
            timing=timing,
            request_id=self._server.request_id(reply.headers),
        )

    def _read(self, content: bytes, headers: Mapping[str, str], field: str) -> Mapping[str, Any]:
        try:
            reply = parse_json(content.decode())
        except ValueError:
            reply = None
        if isinstance(reply, Mapping) and reply.get("error"):
            raise told_error(self._server, reply["error"], headers)
        if not isinstance(reply, Mapping) or field not in reply:
            raise no_answer(self._server, content, headers)
        return reply


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise MisuseError(f"The parameter {name} is {value!r}; it takes names and values.")


def _seconds(value: object) -> float | None:
    if value is None or (isinstance(value, float | int) and not isinstance(value, bool) and value > 0):
        return value
    raise MisuseError(f"The parameter timeout is {value!r}; it takes seconds, more than 0.")
