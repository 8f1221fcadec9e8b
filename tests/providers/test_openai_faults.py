from __future__ import annotations

import asyncio
import gc
import gzip
import socket
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import DROP, HANG, Endpoint, Reply, Scripted, answer, error

from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import Request
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.prefetch import LoopThread, Prefetch
from pytest_llmops.calls.retry import Retry
from pytest_llmops.errors import BadAnswerError, CallError, FatalCallError, TransientCallError
from pytest_llmops.providers.openai import OpenAIProvider

KEY = "sk-not-a-real-key-1234"
ASKED = Request(provider="openai", model="fake-model", messages=({"role": "user", "content": "hello"},))
GOOD = b'{"choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}'
HEADERS = {"x-request-id": "req-1"}


def body(text: bytes | str | dict[str, Any], **headers: str) -> Reply:
    return Reply(body=text, headers={**HEADERS, **headers})


def call(arguments: object) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}


# name -> reply, class, bad answer's kind. Fatal and bad answers are asked once, passing faults again.
FAULTS: dict[str, tuple[Scripted, type[CallError], str | None]] = {
    **{
        f"status {status}": (error(status), FatalCallError, None)
        for status in (400, 401, 403, 404, 410, 413, 418, 422, 451, 501)
    },
    **{
        f"status {status}": (error(status), TransientCallError, None)
        for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)
    },
    "spent quota": (error(429, code="insufficient_quota"), FatalCallError, None),
    "spent quota that says to ask again": (
        error(429, code="insufficient_quota", x_should_retry="true"),
        FatalCallError,
        None,
    ),
    "400 that says to ask again": (error(400, x_should_retry="true"), TransientCallError, None),
    "500 that says not to ask again": (error(500, x_should_retry="false"), FatalCallError, None),
    "500 that says nothing clear": (error(500, x_should_retry="maybe"), TransientCallError, None),
    "400 without a word": (Reply(status=400, headers=HEADERS), FatalCallError, None),
    "400 with bytes": (Reply(status=400, body=b"\xff\xfe", headers=HEADERS), FatalCallError, None),
    "spent quota with 200": (body({"error": {"code": "insufficient_quota"}}), FatalCallError, None),
    "redirect": (
        Reply(status=307, headers={**HEADERS, "location": "http://127.0.0.1:9/"}),
        FatalCallError,
        None,
    ),
    "not modified": (Reply(status=304, headers={**HEADERS, "content-length": "0"}), FatalCallError, None),
    "error page": (
        Reply(status=502, body="<html>Bad gateway</html>", headers=HEADERS),
        TransientCallError,
        None,
    ),
    "200 with HTML": (body("<html>Log in</html>", **{"content-type": "text/html"}), TransientCallError, None),
    "200 with an error": (body({"error": {"message": "overloaded"}}), TransientCallError, None),
    "200 with an error in text": (body({"error": "overloaded"}), TransientCallError, None),
    "200 with an error that lasts": (
        body({"error": {"message": "no", "type": "invalid_request_error"}}),
        FatalCallError,
        None,
    ),
    "200 with a status that passes": (
        body({"error": {"message": "no", "code": 502, "type": "invalid_request_error"}}),
        TransientCallError,
        None,
    ),
    "200 with a status that lasts": (body({"error": {"code": "403"}}), FatalCallError, None),
    "200 with cut JSON": (body(GOOD[:-20]), TransientCallError, None),
    "200 with nothing": (body(b""), TransientCallError, None),
    "200 with null": (body("null"), TransientCallError, None),
    "200 with a list": (body("[]"), TransientCallError, None),
    "200 with bytes that are no UTF-8": (body(GOOD.replace(b"Hi", b"\xff\xfe")), TransientCallError, None),
    "200 with something else": (body({"status": "ok"}), TransientCallError, None),
    "no HTTP": (Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"), TransientCallError, None),
    "dropped connection": (DROP, TransientCallError, None),
    "shorter than announced": (
        Reply(body=GOOD, headers=HEADERS, length=len(GOOD) + 9),
        TransientCallError,
        None,
    ),
    "broken compression": (
        body(gzip.compress(GOOD)[:-12] + b"xxxxxxxxxxxx", **{"content-encoding": "gzip"}),
        TransientCallError,
        None,
    ),
    "length": (answer("Hi", finish_reason="length"), BadAnswerError, "length"),
    "content filter": (answer("", finish_reason="content_filter"), BadAnswerError, "content_filter"),
    "refusal": (answer(None, refusal="I cannot."), BadAnswerError, "refusal"),
    "empty": (answer(""), BadAnswerError, "empty"),
    "blank": (answer(" \n"), BadAnswerError, "empty"),
    "null content": (answer(None), BadAnswerError, "empty"),
    "no choices": (body({"choices": []}), BadAnswerError, "malformed"),
    "choices of null": (body({"choices": None}), BadAnswerError, "malformed"),
    "choice of text": (body({"choices": ["Hi."]}), BadAnswerError, "malformed"),
    "choice without message": (body({"choices": [{"finish_reason": "stop"}]}), BadAnswerError, "malformed"),
    "message of null": (body({"choices": [{"message": None}]}), BadAnswerError, "malformed"),
    "message of nothing": (body({"choices": [{"message": {}}]}), BadAnswerError, "malformed"),
    "content of parts": (
        body({"choices": [{"message": {"content": [{"text": "x"}]}}]}),
        BadAnswerError,
        "malformed",
    ),
    "tool calls of text": (answer(None, tool_calls=["x"]), BadAnswerError, "malformed"),
    "tool calls of a number": (answer(None, tool_calls=5), BadAnswerError, "malformed"),
    "tool call with cut arguments": (answer(None, tool_calls=[call('{"id": ')]), BadAnswerError, "malformed"),
    "tool call with a number": (answer(None, tool_calls=[call(4)]), BadAnswerError, "malformed"),
    "tool call cut at the limit": (
        answer(None, finish_reason="length", tool_calls=[call('{"id": ')]),
        BadAnswerError,
        "length",
    ),
    "another model": (answer("Hi.", model="other-model"), BadAnswerError, "other_model"),
    "another model that refuses": (answer(None, model="o", refusal="No."), BadAnswerError, "other_model"),
}

WITHOUT_HEADERS = {"no HTTP", "dropped connection"}
"""Faults in which no headers, and so no request id, arrive."""


def fault(endpoint: Endpoint, *, timeout: float = 30.0) -> CallError:
    async def main() -> None:
        provider = OpenAIProvider(base_url=endpoint.base_url, api_key=KEY, timeout=timeout)
        try:
            await provider.complete(ASKED)
        finally:
            await provider.aclose()

    with pytest.raises(CallError) as caught:
        asyncio.run(main())
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_one_class(endpoint: Endpoint, name: str) -> None:
    reply, kind, bad = FAULTS[name]
    endpoint.script(reply)

    caught = fault(endpoint)

    assert type(caught) is kind
    assert getattr(caught, "kind", None) == bad
    assert len(endpoint.seen) == 1
    if name not in WITHOUT_HEADERS:
        assert caught.request_id == "req-1"
        assert "(request id req-1)" in str(caught)


def test_a_bad_answer_says_what_it_cost(endpoint: Endpoint) -> None:
    for reply in (answer("Hi", finish_reason="length"), answer(None, tool_calls=5), answer("x", model="o")):
        endpoint.script(reply)

        caught = fault(endpoint)

        assert isinstance(caught, BadAnswerError)
        assert (caught.input_tokens, caught.output_tokens) == (7, 3)


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_server_without_room_is_told_from_a_broken_one(endpoint: Endpoint, status: int) -> None:
    endpoint.script(error(status))

    caught = fault(endpoint)

    assert isinstance(caught, TransientCallError)
    assert caught.overloaded is (status != 500)


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://me:pass-word@else.example/v2?key=tok-12345", "a redirect to https://else.example/v2."),
        ("/login?key=tok-12345", "/login."),
        ("", "a redirect to nowhere."),
        ("http://[::1", "a place that is no URL."),
    ],
)
def test_a_redirect_is_not_followed_and_says_where_it_points(
    endpoint: Endpoint, location: str, shown: str
) -> None:
    endpoint.script(Reply(status=308, headers={"location": location}))

    told = str(fault(endpoint))

    assert "answered 308" in told
    assert shown in told
    assert "pass-word" not in told
    assert "tok-12345" not in told


def test_a_small_reply_that_unpacks_to_a_huge_one_is_not_read_whole(endpoint: Endpoint) -> None:
    packed = gzip.compress(b" " * (80 << 20))
    assert len(packed) < 1 << 20
    endpoint.script(body(packed, **{"content-encoding": "gzip"}))

    caught = fault(endpoint)

    assert type(caught) is FatalCallError
    assert "sent more than 64 MiB in one reply" in str(caught)
    assert caught.request_id == "req-1"


def test_other_headers_name_the_call_too(endpoint: Endpoint) -> None:
    endpoint.script(Reply(status=500, headers={"request-id": "req-2"}))

    assert fault(endpoint).request_id == "req-2"


def test_passing_faults_are_asked_again_and_no_fault_is_cached(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    cache = Cache(file, session="s")
    client = Client(
        cache=cache,
        ledger=Ledger(file, session="s"),
        provider_of=lambda name: OpenAIProvider(base_url=endpoint.base_url, api_key=KEY),
        retry=Retry(sleep=lambda seconds: asyncio.sleep(0)),
    )

    async def outcome(name: str, reply: Scripted) -> tuple[str, int, bool]:
        asked = Request(provider="openai", model="m", messages=({"role": "user", "content": name},))
        before = len(endpoint.seen)
        endpoint.script(reply, reply)
        endpoint.otherwise = answer("Hi.")
        try:
            given = (await client.acall(asked)).text
        except CallError as caught:
            given = type(caught).__name__
            endpoint.unscript()
        return given, len(endpoint.seen) - before, cache.get(client.digest(asked)) is not None

    async def main() -> dict[str, tuple[str, int, bool]]:
        try:
            return {name: await outcome(name, reply) for name, (reply, _, _) in FAULTS.items()}
        finally:
            await client.aclose()

    assert asyncio.run(main()) == {
        name: ("Hi.", 3, True) if kind is TransientCallError else (kind.__name__, 1, False)
        for name, (_, kind, _) in FAULTS.items()
    }


def test_a_silent_server_is_left(endpoint: Endpoint) -> None:
    endpoint.script(HANG)

    assert type(fault(endpoint, timeout=0.2)) is TransientCallError


def hanging_client(endpoint: Endpoint, tmp_path: Path, deadline: float) -> Client:
    endpoint.otherwise = HANG
    return Client(
        cache=Cache(tmp_path / "cache.sqlite", session="s"),
        ledger=Ledger(tmp_path / "cache.sqlite", session="s"),
        provider_of=lambda name: OpenAIProvider(base_url=endpoint.base_url, api_key=KEY),
        retry=Retry(deadline=deadline),
    )


def test_a_silent_server_is_left_at_the_deadline(endpoint: Endpoint, tmp_path: Path) -> None:
    client = hanging_client(endpoint, tmp_path, deadline=0.3)

    async def main() -> None:
        try:
            await client.acall(ASKED)
        finally:
            await client.aclose()

    with pytest.raises(TransientCallError, match="Given up after 1 attempt"):
        asyncio.run(main())


def test_stopping_in_the_midst_of_calls_leaves_nothing_open(endpoint: Endpoint, tmp_path: Path) -> None:
    client, loop = hanging_client(endpoint, tmp_path, deadline=120.0), LoopThread()
    ahead = Prefetch(loop, [lambda: client.acall(ASKED)], ahead=lambda: 1)
    endpoint.wait_for(1)
    ahead.stop()
    loop.run(client.aclose())
    loop.close()
    # Warnings about what is left open come when it is collected, and are errors here.
    gc.collect()

    other = Ledger(tmp_path / "cache.sqlite", session="t")
    assert other.claim(client.digest(ASKED))
    other.close()


def test_a_closed_port_is_a_passing_fault() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        provider = OpenAIProvider(base_url=f"http://127.0.0.1:{free.getsockname()[1]}/v1", api_key=KEY)

        async def main() -> None:
            try:
                await provider.complete(ASKED)
            finally:
                await provider.aclose()

        with pytest.raises(TransientCallError, match="gave no answer"):
            asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "300"}, 300.0),
        ({"retry-after": "30", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_asked_wait_is_kept(endpoint: Endpoint, headers: dict[str, str], wait: float | None) -> None:
    endpoint.script(error(429, **headers))

    caught = fault(endpoint)

    assert isinstance(caught, TransientCallError)
    assert caught.retry_after == wait


def test_a_date_to_wait_for_is_kept(endpoint: Endpoint) -> None:
    endpoint.script(error(503, retry_after=formatdate(0, usegmt=True)))

    caught = fault(endpoint)

    assert isinstance(caught, TransientCallError)
    assert caught.retry_after == 0.0


@pytest.mark.parametrize("status", [401, 500])
def test_the_key_is_hidden_from_messages(endpoint: Endpoint, status: int) -> None:
    endpoint.script(error(status, message=f"Incorrect key {KEY} given"))

    told = str(fault(endpoint))

    assert "Incorrect key [redacted] given" in told
    assert KEY not in told


def test_secrets_of_the_base_url_are_hidden_from_messages(endpoint: Endpoint) -> None:
    url = endpoint.base_url.replace("//", "//me:pass-word@") + "?token=tok-12345"
    endpoint.script(body("<html>pass-word tok-12345</html>"))

    async def main() -> None:
        provider = OpenAIProvider(base_url=url, api_key=KEY)
        try:
            await provider.complete(ASKED)
        finally:
            await provider.aclose()

    with pytest.raises(TransientCallError) as caught:
        asyncio.run(main())
    assert "pass-word" not in str(caught.value)
    assert "tok-12345" not in str(caught.value)


def test_words_of_the_query_are_hidden_where_a_library_names_the_url(endpoint: Endpoint) -> None:
    endpoint.script(Reply(raw=b"SSH-2.0-OpenSSH\r\n\r\n"))

    async def main() -> None:
        provider = OpenAIProvider(base_url=f"{endpoint.base_url}?k=tiny", api_key=KEY)
        try:
            await provider.complete(ASKED)
        finally:
            await provider.aclose()

    with pytest.raises(TransientCallError, match="gave no answer") as caught:
        asyncio.run(main())
    assert "tiny" not in str(caught.value)


def test_long_pages_are_cut_in_messages(endpoint: Endpoint) -> None:
    endpoint.script(Reply(status=500, body="<p>\n" * 5000))

    assert len(str(fault(endpoint))) < 500


def test_half_a_character_is_told(endpoint: Endpoint) -> None:
    async def main() -> None:
        provider = OpenAIProvider(base_url=endpoint.base_url, api_key=KEY)
        asked = Request(provider="openai", model="m", messages=({"role": "user", "content": "\ud800"},))
        try:
            await provider.complete(asked)
        finally:
            await provider.aclose()

    with pytest.raises(FatalCallError, match="half a character"):
        asyncio.run(main())


def test_an_answer_that_drips_until_the_deadline_names_its_request(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    def drops() -> Iterator[bytes]:
        yield b'{"choices": '
        endpoint.hang()

    client = hanging_client(endpoint, tmp_path, deadline=0.5)
    endpoint.otherwise = Reply(portions=drops(), headers={"x-request-id": "req-7"})

    async def main() -> None:
        try:
            await client.acall(ASKED)
        finally:
            await client.aclose()

    with pytest.raises(TransientCallError, match=r"Given up after 1 attempt .*\(request id req-7\)"):
        asyncio.run(main())
