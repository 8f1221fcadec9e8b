from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, cast

import pytest
from fake_endpoint import USAGE, Endpoint, Reply, answer, chunk, error, stream

from pytest_llmops.calls.exchange import Request, Response, Usage
from pytest_llmops.errors import BadAnswerError, CallError, FatalCallError, TransientCallError
from pytest_llmops.providers.openai import OpenAIProvider
from pytest_llmops.providers.server import server_at
from pytest_llmops.providers.streaming import gather_stream
from pytest_llmops.providers.transport import Reply as IncomingReply

KEY = "sk-not-a-real-key-1234"
END = (chunk(finish_reason="stop"), "[DONE]")


def ask(endpoint: Endpoint, *replies: Reply, timeout: float = 30.0, **parameters: Any) -> list[Response]:
    async def main() -> list[Response]:
        provider = OpenAIProvider(base_url=endpoint.base_url, api_key=KEY, timeout=timeout)
        asked = Request(
            provider="openai",
            model="fake-model",
            messages=({"role": "user", "content": "hello"},),
            parameters={"stream": True, **parameters},
        )
        try:
            return [await provider.complete(asked) for _ in replies]
        finally:
            await provider.aclose()

    endpoint.script(*replies)
    return asyncio.run(main())


def fault(endpoint: Endpoint, reply: Reply, *, timeout: float = 30.0) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(endpoint, reply, timeout=timeout)
    return caught.value


def raw(*portions: bytes, **headers: str) -> Reply:
    return Reply(portions=portions, headers={"x-request-id": "req-1", **headers})


def test_a_streamed_answer_is_put_together(endpoint: Endpoint) -> None:
    [response] = ask(
        endpoint, stream(chunk("", role="assistant"), chunk("Hel"), chunk("lo."), END[0], USAGE, "[DONE]")
    )

    assert response.text == "Hello."
    assert response.model == "fake-model-1"
    assert response.finish_reason == "stop"
    assert response.usage == Usage(input_tokens=7, output_tokens=3)
    assert response.request_id == "req-1"
    assert response.timing.ttft is not None
    assert 0 < response.timing.ttft <= response.timing.seconds


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": False}),
        ({"stream": False, "extra_body": {"stream": True}}, {"include_usage": True}),
    ],
)
def test_usage_is_asked_for_unless_the_request_says_otherwise(
    endpoint: Endpoint, parameters: dict[str, Any], options: dict[str, bool]
) -> None:
    ask(endpoint, stream(chunk("Hi."), *END), **parameters)

    [seen] = endpoint.seen
    assert seen.body["stream"] is True
    assert seen.body["stream_options"] == options


def test_the_time_to_the_first_token_ends_with_content(endpoint: Endpoint) -> None:
    moments = []

    def portions() -> Iterator[bytes]:
        moments.append(time.monotonic())
        yield f"data: {json.dumps(chunk('', role='assistant'))}\n\n".encode()
        # As long as a model takes before its first word.
        threading.Event().wait(0.05)
        moments.append(time.monotonic())
        yield f"data: {json.dumps(chunk('Hi.', finish_reason='stop'))}\n\ndata: [DONE]\n\n".encode()

    [response] = ask(endpoint, Reply(portions=portions()))

    assert response.timing.ttft is not None
    assert response.timing.ttft >= moments[1] - moments[0]


def test_the_time_to_the_first_token_is_that_of_the_first() -> None:
    moments = []

    class Incoming:
        headers: Mapping[str, str] = {}

        async def chunks(self) -> AsyncGenerator[bytes, None]:
            yield b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
            moments.append(time.monotonic())
            yield b'data: {"choices":[{"delta":{"content":"lo"}}]}\n\n'

    start = time.monotonic()
    server = server_at("http://model.example", source="", headers={}, key="")
    gathered = asyncio.run(gather_stream(cast("IncomingReply", Incoming()), server, start=start))

    assert gathered.timing.ttft is not None
    assert start + gathered.timing.ttft <= moments[0]


@pytest.mark.parametrize("indexed", [True, False])
def test_tool_calls_are_put_together(endpoint: Endpoint, indexed: bool) -> None:
    first: Any = {"index": 0} if indexed else {}
    second: Any = {"index": 1} if indexed else {}
    pieces = [
        {**first, "id": "a", "type": "function", "function": {"name": "find", "arguments": ""}},
        {**first, "function": {"arguments": '{"id"'}},
        {**first, "function": {"name": None, "arguments": ": 4}"}},
        {**second, "id": "b", "type": "function", "function": {"name": "stop"}},
        {**second, "function": {"arguments": "{}"}},
    ]
    events = [chunk(tool_calls=[piece]) for piece in pieces]

    [response] = ask(endpoint, stream(*events, chunk(finish_reason="tool_calls"), "[DONE]"))

    assert response.tool_calls == (
        {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"id": 4}'}},
        {"id": "b", "type": "function", "function": {"name": "stop", "arguments": "{}"}},
    )
    assert response.timing.ttft is not None


@pytest.mark.parametrize(
    ("events", "text", "finish"),
    [
        ((chunk("Hi."), chunk(finish_reason="stop")), "Hi.", "stop"),
        ((chunk("Hi."), *END[:1], *END), "Hi.", "stop"),
        ((chunk("Hi."), chunk("!", finish_reason="stop"), chunk("!", finish_reason="stop")), "Hi.!", "stop"),
        ((chunk("Hi."), *END, chunk("more"), "no JSON"), "Hi.", "stop"),
        (({"choices": None}, {"choices": [{"index": 1, "delta": {"content": "No."}}]}, chunk("Hi."), *END),
         "Hi.", "stop"),
    ],
)  # fmt: skip
def test_ends_are_told_in_several_ways(
    endpoint: Endpoint, events: tuple[Any, ...], text: str, finish: str | None
) -> None:
    [response] = ask(endpoint, stream(*events))

    assert (response.text, response.finish_reason) == (text, finish)


@pytest.mark.parametrize(
    "portions",
    [
        (b": ping\n\nid: 1\nretry: 5\nda", b'ta:{"choices":[{"delta":{"content":"\xc3', b'\xbc"},"finish_reason":"stop"}]}'),  # noqa: E501
        (b'data: {"choices":[{"delta":\r', b'\ndata: {"content":"\xc3\xbc"},"finish_reason":"stop"}]}\r\n\r', b"\ndata: [DONE]"),  # noqa: E501
        (b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"\xc3\xbc"},"finish_reason":"stop"}]}\r\rdata: [DONE]\r\r',),  # noqa: E501
    ],
)  # fmt: skip
def test_all_shapes_of_events_are_read(endpoint: Endpoint, portions: tuple[bytes, ...]) -> None:
    [response] = ask(endpoint, raw(*portions, b"\n\ndata: [DONE]\n\n"))

    assert response.text == "ü"


def test_the_connection_is_kept_after_a_stream(endpoint: Endpoint) -> None:
    def portions() -> Iterator[bytes]:
        yield b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        # Many servers close the stream a moment after its last event.
        threading.Event().wait(0.05)

    ask(endpoint, *[Reply(portions=portions()) for _ in range(3)])

    assert len({seen.port for seen in endpoint.seen}) == 1


def test_a_server_that_does_not_stream_is_understood(endpoint: Endpoint) -> None:
    [response] = ask(endpoint, answer("Hi."))

    assert response.text == "Hi."
    assert response.timing.ttft is None


@pytest.mark.parametrize(
    ("reply", "kind", "bad"),
    [
        (stream(chunk("Hi")), BadAnswerError, "cut_stream"),
        (stream(chunk("Hi"), "[DONE]"), BadAnswerError, "cut_stream"),
        (stream(chunk("Hi"), chunk(finish_reason=""), "[DONE]"), BadAnswerError, "cut_stream"),
        (stream(), BadAnswerError, "cut_stream"),
        (raw(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: {"cho'), BadAnswerError, "cut_stream"),
        (raw(b'data: {"choices":[{"delta":{"content":"Hi \xc3'), BadAnswerError, "cut_stream"),
        (stream(chunk("Hi"), chunk(finish_reason="length"), "[DONE]"), BadAnswerError, "length"),
        (stream(chunk(finish_reason="content_filter"), "[DONE]"), BadAnswerError, "content_filter"),
        (stream(chunk(refusal="I "), chunk(refusal="cannot."), *END), BadAnswerError, "refusal"),
        (stream(chunk(""), *END), BadAnswerError, "empty"),
        (stream("[DONE]"), BadAnswerError, "malformed"),
        (stream({"choices": ["Hi"]}, "[DONE]"), BadAnswerError, "malformed"),
        (stream(chunk("Hi"), chunk(content=[1]), *END), BadAnswerError, "malformed"),
        (stream(chunk("Hi"), chunk(tool_calls="x"), *END), BadAnswerError, "malformed"),
        (
            stream(chunk(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]), *END),
            BadAnswerError,
            "malformed",
        ),
        (
            stream({**chunk("Hi", finish_reason="stop"), "model": "other"}, "[DONE]"),
            BadAnswerError,
            "other_model",
        ),
        (stream(chunk("Hi"), cut=True), TransientCallError, None),
        (stream(chunk("Hi"), "{broken", *END), TransientCallError, None),
        (stream(chunk("Hi"), "[]", *END), TransientCallError, None),
        (raw(b"data: \xff\xfe\n\n", b"data: [DONE]\n\n"), TransientCallError, None),
        (stream(chunk("Hi"), {"error": {"message": "overloaded"}}), TransientCallError, None),
        (stream(chunk("Hi"), {"error": {"message": "no", "code": 502}}), TransientCallError, None),
        (stream(chunk("Hi"), {"error": {"message": "no", "code": 401}}), FatalCallError, None),
        (stream(chunk("Hi"), {"error": {"code": "insufficient_quota"}}), FatalCallError, None),
        (stream({"error": {"type": "invalid_request_error"}}), FatalCallError, None),
        (Reply(body="<html>", headers={"content-type": "Text/HTML; x", "x-request-id": "req-1"}),
         TransientCallError, None),
        (Reply(body={"error": "busy"}, headers={"x-request-id": "req-1"}), TransientCallError, None),
        (error(429), TransientCallError, None),
        (error(404), FatalCallError, None),
    ],
)  # fmt: skip
def test_each_fault_of_a_stream_has_one_class(
    endpoint: Endpoint, reply: Reply, kind: type[CallError], bad: str | None
) -> None:
    caught = fault(endpoint, reply)

    assert type(caught) is kind
    assert getattr(caught, "kind", None) == bad
    assert caught.request_id == "req-1"
    assert len(endpoint.seen) == 1


def test_a_cut_stream_says_what_it_cost(endpoint: Endpoint) -> None:
    caught = fault(endpoint, stream(chunk("Hi"), USAGE))

    assert isinstance(caught, BadAnswerError)
    assert (caught.kind, caught.input_tokens, caught.output_tokens) == ("cut_stream", 7, 3)


def test_a_stalled_stream_is_left(endpoint: Endpoint) -> None:
    over = threading.Event()

    def portions() -> Iterator[bytes]:
        yield b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
        over.wait()

    try:
        caught = fault(endpoint, Reply(portions=portions(), headers={"x-request-id": "r"}), timeout=0.2)
    finally:
        over.set()

    assert type(caught) is TransientCallError
    assert caught.request_id == "r"


def test_an_endless_stream_is_left(endpoint: Endpoint) -> None:
    caught = fault(endpoint, raw(*[b":" + b"." * (1 << 20) + b"\n"] * 70))

    assert type(caught) is FatalCallError
    assert "sent more than 64 MiB" in str(caught)


def test_the_request_digest_tells_a_stream_from_a_whole_answer() -> None:
    asked = Request(provider="openai", model="m", messages=())
    streamed = Request(provider="openai", model="m", messages=(), parameters={"stream": True})

    assert asked.digest({}) != streamed.digest({})
