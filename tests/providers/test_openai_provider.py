from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from fake_endpoint import HANG, Endpoint, Reply, answer

from pytest_llmops.calls.exchange import Request, Response, Usage
from pytest_llmops.errors import MisuseError, TransientCallError
from pytest_llmops.providers.openai import OpenAIProvider

KEY = "sk-not-a-real-key-1234"


def request(text: str = "hello", **parameters: Any) -> Request:
    return Request(
        provider="openai",
        model="fake-model",
        messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": text}),
        parameters=parameters,
    )


def ask(provider: OpenAIProvider, *requests: Request) -> list[Response]:
    async def main() -> list[Response]:
        try:
            return [await provider.complete(each) for each in requests]
        finally:
            await provider.aclose()

    return asyncio.run(main())


def test_an_answer_is_read_whole(endpoint: Endpoint) -> None:
    endpoint.script(answer("Hi."))

    [response] = ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request())

    assert response.text == "Hi."
    assert response.model == "fake-model-1"
    assert response.finish_reason == "stop"
    assert response.usage == Usage(input_tokens=7, output_tokens=3)
    assert response.request_id == "req-1"
    assert response.timing.seconds > 0
    assert response.timing.ttft is None


def test_the_whole_request_reaches_the_server(endpoint: Endpoint) -> None:
    asked = request(temperature=0, seed=7, top_k=3, chat_template_kwargs={"thinking": False})

    ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), asked)

    [seen] = endpoint.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    # Fields that the SDK does not know arrive like all others.
    assert seen.body == {
        "model": "fake-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        "temperature": 0,
        "seed": 7,
        "top_k": 3,
        "chat_template_kwargs": {"thinking": False},
    }


def test_transport_fields_travel_beside_the_body(endpoint: Endpoint) -> None:
    asked = request(extra_headers={"x-team": "a"}, extra_query={"q": "1"}, extra_body={"top_k": 3}, top_a=2)

    ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), asked)

    [seen] = endpoint.seen
    assert seen.headers["x-team"] == "a"
    assert seen.path == "/v1/chat/completions?q=1"
    assert set(seen.body) == {"model", "messages", "top_k", "top_a"}


def test_tool_calls_are_an_answer_without_text(endpoint: Endpoint) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"id": 4}'}}
    endpoint.script(answer(None, finish_reason="tool_calls", tool_calls=[call]))

    [response] = ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request())

    assert response.text == ""
    assert response.tool_calls == (call,)


def test_a_missing_finish_reason_is_accepted_with_text(endpoint: Endpoint) -> None:
    endpoint.script(answer("Hi.", finish_reason=None))

    [response] = ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request())

    assert (response.text, response.finish_reason) == ("Hi.", None)


@pytest.mark.parametrize("usage", [None, "many", {"prompt_tokens": "7"}, {"prompt_tokens": -7}])
def test_unusable_token_counts_are_unknown(endpoint: Endpoint, usage: object) -> None:
    reply = answer("Hi.")
    assert isinstance(reply.body, dict)
    endpoint.script(Reply(body={**reply.body, "usage": usage}))

    [response] = ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request())

    assert response.usage == Usage()


def test_the_environment_is_honoured(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in endpoint.environment.items():
        monkeypatch.setenv(name, value)

    provider = OpenAIProvider()
    ask(provider, request())

    assert provider.identity(request()) == {"base_url": endpoint.base_url}
    assert len(endpoint.seen) == 1


def test_a_missing_key_is_told_at_the_first_call_and_not_before(endpoint: Endpoint) -> None:
    provider = OpenAIProvider(base_url=endpoint.base_url)

    assert provider.identity(request()) == {"base_url": endpoint.base_url}
    with pytest.raises(MisuseError, match="set the environment variable OPENAI_API_KEY"):
        ask(provider, request())
    assert endpoint.seen == []


def test_a_key_that_no_header_can_carry_is_told(endpoint: Endpoint) -> None:
    with pytest.raises(MisuseError, match="No valid API key"):
        ask(OpenAIProvider(base_url=endpoint.base_url, api_key="sk-…-1234"), request())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "long"),
        ("timeout", 0),
        ("timeout", True),
        ("extra_headers", ["x"]),
        ("extra_headers", {"x team": "a"}),
        ("extra_headers", {"x-team": "a\r\nx-other: b"}),
        ("extra_headers", {"x-team": 4}),
        ("extra_query", "q=1"),
        ("extra_body", [1]),
    ],
)
def test_a_parameter_that_cannot_travel_is_told(endpoint: Endpoint, name: str, value: object) -> None:
    with pytest.raises(MisuseError, match=name):
        ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request(**{name: value}))
    assert endpoint.seen == []


def test_the_timeout_of_a_request_wins(endpoint: Endpoint) -> None:
    endpoint.script(HANG)

    with pytest.raises(TransientCallError, match="gave no answer"):
        ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request(timeout=0.1))
    assert set(endpoint.seen[0].body) == {"model", "messages"}


@pytest.mark.parametrize("arguments", ['{"id": 4}', "", {"id": 4}, None])
def test_arguments_of_tool_calls_may_be_text_or_read_or_none(endpoint: Endpoint, arguments: object) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
    endpoint.script(answer(None, tool_calls=[call]))

    [response] = ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request())

    assert response.tool_calls == (call,)


def test_connections_are_kept(endpoint: Endpoint) -> None:
    ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), *[request()] * 5)

    assert len({seen.port for seen in endpoint.seen}) == 1


def test_no_cookie_is_kept(endpoint: Endpoint) -> None:
    endpoint.script(Reply(body=answer().body, headers={"set-cookie": "a=b"}))

    ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request(), request())

    assert "cookie" not in endpoint.seen[1].headers


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://API.example.com/v1/", "https://api.example.com/v1"),
        ("https://user:pass@example.com:443/v1?key=secret#top", "https://example.com/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_the_identity_is_the_bare_base_url(url: str, shown: str) -> None:
    assert OpenAIProvider(base_url=url).identity(request()) == {"base_url": shown}


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:port/v1", "http://[::1"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(MisuseError, match="OPENAI_BASE_URL"):
        OpenAIProvider(base_url=url)


def test_user_info_and_query_of_the_base_url_reach_the_server(endpoint: Endpoint) -> None:
    url = endpoint.base_url.replace("http://", "http://me:pass%20word@") + "?version=2"

    ask(OpenAIProvider(base_url=url, api_key=KEY), request())

    [seen] = endpoint.seen
    assert seen.path == "/v1/chat/completions?version=2"
    assert seen.headers["authorization"] == "Basic bWU6cGFzcyB3b3Jk"


def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    ask(OpenAIProvider(base_url=endpoint.base_url, api_key=KEY), request())

    assert len(endpoint.seen) == 1


def test_making_a_provider_imports_no_sdk() -> None:
    code = (
        "import sys; from pytest_llmops.providers.openai import OpenAIProvider; OpenAIProvider();"
        "sys.exit(bool({'openai', 'aiohttp'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
