"""Hold that log-probabilities are read whole or not at all, and that a bare text is continued."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from fake_endpoint import MODEL, Endpoint, Reply, Seen, answer, chunk, stream
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops import ScriptedProvider
from pytest_llmops.calls.exchange import Request, Response
from pytest_llmops.errors import BadAnswerError, TransientCallError
from pytest_llmops.providers.azure import AzureProvider
from pytest_llmops.providers.compatible import CompatibleProvider
from pytest_llmops.providers.logprobs import read_logprobs
from pytest_llmops.providers.openai import OpenAIProvider
from pytest_llmops.store.canonical import canonical

KEY = "sk-not-a-real-key-1234"
CHAT = Request(provider="openai", model="fake-model", messages=({"role": "user", "content": "hello"},))
BARE = Request(
    provider="openai", model="fake-model", messages=(), parameters={"prompt": "One, two,", "logprobs": 1}
)
TOKENS = ({"token": " thr", "logprob": -0.5}, {"token": "ee", "logprob": 0.0})


def ask(endpoint: Endpoint, request: Request, *replies: Reply) -> Response:
    endpoint.script(*replies)

    async def main() -> Response:
        provider = OpenAIProvider(base_url=endpoint.base_url, api_key=KEY)
        try:
            return await provider.complete(request)
        finally:
            await provider.aclose()

    return asyncio.run(main())


def told(logprobs: Any, **fields: Any) -> Reply:
    reply = answer(" three")
    assert isinstance(reply.body, dict)
    return Reply(
        body={**reply.body, "choices": [{**reply.body["choices"][0], "logprobs": logprobs}], **fields}
    )


def completion(text: Any = " three", finish_reason: str | None = "stop", **fields: Any) -> Reply:
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, **fields}
    return Reply(body={"object": "text_completion", "model": MODEL, "choices": [choice]})


def piece(text: str, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "object": "text_completion",
        "model": MODEL,
        "choices": [{"index": 0, "text": text, "finish_reason": finish_reason, **fields}],
    }


def legacy(*entries: Any, **fields: Any) -> dict[str, Any]:
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        **fields,
    }


WHOLE = {"id": 7, "token": " three", "bytes": [32], "logprob": -0.25}
OTHERS = [{"id": 8, "token": " four", "bytes": [32], "logprob": -2}]


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        ({"content": list(TOKENS)}, TOKENS),
        ({"content": list(TOKENS), "refusal": None}, TOKENS),
        (
            {"content": [{**WHOLE, "top_logprobs": OTHERS}]},
            ({"token": " three", "logprob": -0.25, "top_logprobs": [{"token": " four", "logprob": -2.0}]},),
        ),
        ({"content": [{**WHOLE, "top_logprobs": None}]}, ({"token": " three", "logprob": -0.25},)),
        (legacy(*TOKENS), TOKENS),
        (legacy(*TOKENS, top_logprobs=None, text_offset=[9, 13]), TOKENS),
        (
            legacy(*TOKENS, top_logprobs=[{" four": -2}, None]),
            ({**TOKENS[0], "top_logprobs": [{"token": " four", "logprob": -2.0}]}, TOKENS[1]),
        ),
    ],
)
def test_both_forms_are_read(endpoint: Endpoint, logprobs: Any, expected: Any) -> None:
    assert ask(endpoint, CHAT, told(logprobs)).logprobs == expected
    assert ask(endpoint, BARE, completion(logprobs=logprobs)).logprobs == expected


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        [],
        "many",
        {"content": None},
        {"content": []},
        {"content": "x"},
        {"content": [None]},
        {"content": [TOKENS[0], {"token": "ee"}]},
        {"content": [TOKENS[0], {"token": "ee", "logprob": None}]},
        {"content": [TOKENS[0], {"token": "ee", "logprob": "-1"}]},
        {"content": [TOKENS[0], {"token": "ee", "logprob": True}]},
        {"content": [{"logprob": -1}]},
        {"content": [{**WHOLE, "top_logprobs": "x"}]},
        {"content": [{**WHOLE, "top_logprobs": [{"token": 1, "logprob": -1}]}]},
        {"tokens": ["a"]},
        {"token_logprobs": [-1]},
        {"tokens": ["a", "b"], "token_logprobs": [-1]},
        {"tokens": ["a", "b"], "token_logprobs": [None, -1]},
    ],
)
def test_what_is_not_told_of_each_token_is_not_told(endpoint: Endpoint, logprobs: Any) -> None:
    response = ask(endpoint, CHAT, told(logprobs))

    assert (response.text, response.logprobs) == (" three", ())
    assert "logprobs" not in response.to_json()
    assert ask(endpoint, BARE, completion(logprobs=logprobs)).logprobs == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["content", "tokens", "token_logprobs", "top_logprobs", "token"]), inner
        )
    ),
)


@given(json_values)
def test_nothing_that_a_server_says_is_a_crash(value: Any) -> None:
    for entry in read_logprobs(value) or ():
        assert isinstance(entry["token"], str)
        assert isinstance(entry["logprob"], float)


def test_the_cache_gives_them_back() -> None:
    response = Response(text=" three", model="m", logprobs=({**TOKENS[0], "top_logprobs": [TOKENS[1]]},))

    assert Response.from_json(json.loads(canonical(response.to_json()))) == response


def test_a_bare_text_goes_out_without_messages(endpoint: Endpoint) -> None:
    response = ask(endpoint, BARE, completion())

    [seen] = endpoint.seen
    assert (response.text, response.finish_reason, response.model) == (" three", "stop", "fake-model-1")
    assert seen.path == "/v1/completions"
    assert seen.body == {"model": "fake-model", "prompt": "One, two,", "logprobs": 1}


def test_a_prompt_beside_messages_is_a_field_like_any_other(endpoint: Endpoint) -> None:
    ask(endpoint, Request(provider="openai", model="m", messages=CHAT.messages, parameters={"prompt": "x"}))

    [seen] = endpoint.seen
    assert seen.path == "/v1/chat/completions"
    assert set(seen.body) == {"model", "messages", "prompt"}


def test_the_digest_of_a_bare_text_is_its_own() -> None:
    asked = [
        Request(provider="openai", model="m", messages=(), parameters=parameters)
        for parameters in ({}, {"prompt": ""}, {"prompt": "a"}, {"prompt": "a", "grammar": "b"})
    ]

    assert len({request.digest({}) for request in [*asked, CHAT]}) == 5


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (completion(""), "empty"),
        (completion(" \n"), "empty"),
        (completion(None), "empty"),
        (completion(7), "malformed"),
        (completion(" three", "length"), "length"),
        (completion(" three", "content_filter"), "content_filter"),
        (Reply(body={"choices": [{"index": 0}]}), "malformed"),
        (Reply(body={"choices": [{"text": "x", "message": None}]}), "malformed"),
    ],
)
def test_an_unusable_continuation_is_a_bad_answer(endpoint: Endpoint, reply: Reply, kind: str) -> None:
    with pytest.raises(BadAnswerError) as caught:
        ask(endpoint, BARE, reply)
    assert caught.value.kind == kind


STREAMED = Request(
    provider="openai", model="fake-model", messages=(), parameters={**BARE.parameters, "stream": True}
)


def test_they_are_gathered_from_the_chunks_of_a_continuation(endpoint: Endpoint) -> None:
    pieces = [piece(token["token"], logprobs=legacy(token)) for token in TOKENS]

    response = ask(endpoint, STREAMED, stream(*pieces, piece("", "stop", logprobs=None), "[DONE]"))

    assert (response.text, response.logprobs) == (" three", TOKENS)
    assert response.timing.ttft is not None


def with_logprobs(text: str, logprobs: Any) -> dict[str, Any]:
    made = dict(chunk(text))
    return {**made, "choices": [{**made["choices"][0], "logprobs": logprobs}]}


@pytest.mark.parametrize(
    ("second", "expected"),
    [({"content": [TOKENS[1]]}, TOKENS), ({"content": [{"token": "ee"}]}, ()), ("x", ())],
)
def test_they_are_gathered_from_the_chunks_of_a_chat(endpoint: Endpoint, second: Any, expected: Any) -> None:
    asked = Request(provider="openai", model="m", messages=CHAT.messages, parameters={"stream": True})
    pieces = [with_logprobs(" thr", {"content": [TOKENS[0]]}), with_logprobs("ee", second)]

    response = ask(endpoint, asked, stream(*pieces, chunk(finish_reason="stop"), "[DONE]"))

    assert (response.text, response.logprobs) == (" three", expected)


def test_a_continuation_that_is_cut_off_is_no_answer(endpoint: Endpoint) -> None:
    with pytest.raises(BadAnswerError, match="the stream ended"):
        ask(endpoint, STREAMED, stream(piece(" thr")))
    with pytest.raises(TransientCallError):
        ask(endpoint, STREAMED, stream(piece(" thr"), cut=True))


@pytest.mark.parametrize("azure", [False, True])
def test_a_bare_text_is_sent_as_by_the_official_client(endpoint: Endpoint, azure: bool) -> None:
    endpoint.otherwise = completion()
    root, parameters = f"http://{endpoint.host}", {"prompt": "Grüße,", "logprobs": 1, "temperature": 0}

    async def main() -> None:
        provider: CompatibleProvider = OpenAIProvider(base_url=endpoint.base_url, api_key=KEY)
        client = openai.AsyncOpenAI(base_url=endpoint.base_url, api_key=KEY)
        if azure:
            provider = AzureProvider(endpoint=root, api_key=KEY, api_version="2024-10-21")
            client = openai.AsyncAzureOpenAI(azure_endpoint=root, api_key=KEY, api_version="2024-10-21")
        await provider.complete(
            Request(provider="openai", model="fake-model", messages=(), parameters=parameters)
        )
        await provider.aclose()
        async with client:
            await client.completions.create(model="fake-model", **parameters)

    asyncio.run(main())

    def sent(seen: Seen) -> Any:
        return seen.path, seen.body, seen.headers.get("authorization"), seen.headers.get("api-key")

    ours, theirs = endpoint.seen
    assert sent(ours) == sent(theirs)


def test_a_scripted_model_is_given_the_bare_text() -> None:
    provider = ScriptedProvider({"One, two,": "three four"})

    response = asyncio.run(provider.complete(BARE))

    assert (response.text, response.usage.input_tokens) == ("three four", 2)
