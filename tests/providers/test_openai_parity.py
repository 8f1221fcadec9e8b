"""Hold what is sent against what the official client sends, configured in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from fake_endpoint import Endpoint, Seen, stream, vectors
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.calls.exchange import EmbeddingRequest, Request
from pytest_llmops.errors import TransientCallError
from pytest_llmops.providers.azure import AzureProvider
from pytest_llmops.providers.compatible import CompatibleProvider
from pytest_llmops.providers.openai import OpenAIProvider
from pytest_llmops.providers.server import query_text

KEY = "sk-not-a-real-key-1234"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
MESSAGES = ({"role": "user", "content": "Grüße, 👋"},)
SENDER = ("user-agent", "x-stainless-", "accept-encoding", "connection")
"""Begins of headers that tell of the sending program, not of its configuration."""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def configured(seen: Seen) -> dict[str, Any]:
    headers = {name: value for name, value in seen.headers.items() if not name.startswith(SENDER)}
    # The order of fields in a body says nothing.
    del headers["content-length"]
    return {
        "method": seen.method,
        "path": seen.path,
        "headers": headers,
        "body": seen.body,
        "bytes": len(seen.raw),
    }


async def ours(provider: CompatibleProvider, model: str, parameters: Mapping[str, Any]) -> None:
    request = Request(provider="openai", model=model, messages=MESSAGES, parameters=parameters)
    try:
        await provider.complete(request)
    finally:
        await provider.aclose()


async def theirs(client: openai.AsyncOpenAI, model: str, parameters: Mapping[str, Any]) -> None:
    async with client:
        reply = await client.chat.completions.create(model=model, messages=MESSAGES, **parameters)
        if parameters.get("stream"):
            assert [chunk async for chunk in reply]


def assert_parity(
    endpoint: Endpoint,
    provider: CompatibleProvider,
    client: openai.AsyncOpenAI,
    *,
    model: str = "fake-model",
    **parameters: Any,
) -> Seen:
    asyncio.run(ours(provider, model, parameters))
    asyncio.run(theirs(client, model, parameters))
    sent, expected = endpoint.seen
    assert configured(sent) == configured(expected)
    return sent


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj_1"},
        {"OPENAI_ORG_ID": ""},
        {"OPENAI_CUSTOM_HEADERS": "X-Team: evals: prompts\n x-empty :\nno header\nX-Team-2:b"},
        {"OPENAI_CUSTOM_HEADERS": "authorization: Bearer another\nOpenAI-Project: mine"},
        {"OPENAI_ADMIN_KEY": "admin-key", "OPENAI_WEBHOOK_SECRET": "hook"},
        {"AZURE_OPENAI_API_KEY": "azure", "OPENAI_API_VERSION": "2024-10-21"},
    ],
)
@pytest.mark.parametrize("end", ["", "/", "/deeper/"])
def test_the_environment_is_read_as_by_the_official_client(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], end: str
) -> None:
    environment = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": endpoint.base_url + end,
        "OPENAI_PROJECT_ID": "proj_0",
        **environment,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert_parity(endpoint, OpenAIProvider(), openai.AsyncOpenAI(max_retries=0))


def test_user_info_of_the_base_url_is_sent_as_by_the_official_client(endpoint: Endpoint) -> None:
    url = endpoint.base_url.replace("//", "//me:p%40ss%20w%C3%B6rd@")

    sent = assert_parity(
        endpoint, OpenAIProvider(base_url=url, api_key=KEY), openai.AsyncOpenAI(base_url=url, api_key=KEY)
    )

    assert sent.headers["authorization"].startswith("Basic ")


def test_the_query_of_the_base_url_is_the_official_clients_default_query(endpoint: Endpoint) -> None:
    # Where its base URL has a query, the official client writes the path behind it.
    client = openai.AsyncOpenAI(
        base_url=endpoint.base_url, api_key=KEY, default_query={"code": "a b&ü=", "v": "2"}
    )
    url = f"{endpoint.base_url}/?code=a%20b%26%C3%BC%3D&v=2"

    assert_parity(endpoint, OpenAIProvider(base_url=url, api_key=KEY), client, extra_query={"v": 3})


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 0.5, "tools": [], "stop": None},
        {"extra_headers": {"X-Team": "a"}, "extra_query": {"q": ["1", 2], "d": {"e": True}, "n": None}},
        {"extra_headers": {"AUTHORIZATION": "Bearer other"}},
        {"extra_body": {"top_k": 3, "temperature": 1}, "temperature": 0, "timeout": 20},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": False},
    ],
)
def test_parameters_travel_as_with_the_official_client(
    endpoint: Endpoint, parameters: dict[str, Any]
) -> None:
    if parameters.get("stream"):
        endpoint.otherwise = stream(
            {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}, "[DONE]"
        )

    assert_parity(
        endpoint,
        OpenAIProvider(base_url=endpoint.base_url, api_key=KEY),
        openai.AsyncOpenAI(base_url=endpoint.base_url, api_key=KEY),
        **parameters,
    )


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("user", ["", "me:p%40ss@"])
def test_a_proxy_is_used_as_by_the_official_client(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, variable: str, user: str
) -> None:
    monkeypatch.setenv(variable, f"http://{user}{endpoint.host}")
    url = "http://model.example/v1"

    sent = assert_parity(
        endpoint, OpenAIProvider(base_url=url, api_key=KEY), openai.AsyncOpenAI(base_url=url, api_key=KEY)
    )

    assert sent.path == "http://model.example/v1/chat/completions"
    assert ("proxy-authorization" in sent.headers) is bool(user)


def test_a_proxy_of_an_encrypted_server_sees_no_key(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:pass@{endpoint.host}")
    url = "https://model.example/v1"

    with pytest.raises(TransientCallError, match="The proxy on the way to https://model"):
        asyncio.run(ours(OpenAIProvider(base_url=url, api_key=KEY), "fake-model", {}))
    with pytest.raises(openai.APIConnectionError):
        asyncio.run(theirs(openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0), "fake-model", {}))

    sent, expected = endpoint.seen
    assert (sent.method, sent.path) == (expected.method, expected.path) == ("CONNECT", "model.example:443")
    assert sent.headers["proxy-authorization"] == expected.headers["proxy-authorization"]
    assert "authorization" not in sent.headers


@pytest.mark.parametrize(
    "credentials",
    [
        {"AZURE_OPENAI_API_KEY": KEY},
        {"AZURE_OPENAI_AD_TOKEN": "token-1234"},
        {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_AD_TOKEN": "token-1234"},
        {
            "AZURE_OPENAI_API_KEY": KEY,
            "OPENAI_ORG_ID": "org-1",
            "OPENAI_CUSTOM_HEADERS": "x-team: a\nAuthorization: Bearer gateway\napi-key: other",
        },
        {"AZURE_OPENAI_API_KEY": KEY, "OPENAI_API_KEY": "other", "OPENAI_BASE_URL": "http://else.example"},
    ],
)
@pytest.mark.parametrize("model", ["my-deployment", "gpt-4o (eu)/ü:1@2+,;=&$!'*~%"])
def test_azure_is_reached_as_by_the_official_client(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, credentials: dict[str, str], model: str
) -> None:
    environment = {
        "AZURE_OPENAI_ENDPOINT": f"http://{endpoint.host}/",
        "OPENAI_API_VERSION": "2024-10-21",
        **credentials,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    sent = assert_parity(
        endpoint, AzureProvider(), openai.AsyncAzureOpenAI(max_retries=0), model=model, extra_query={"q": "1"}
    )

    assert sent.path.endswith("/chat/completions?api-version=2024-10-21&q=1")


@pytest.mark.parametrize("azure", [False, True])
@pytest.mark.parametrize("parameters", [{}, {"encoding_format": "float", "dimensions": 2}])
def test_texts_are_sent_as_by_the_official_client(
    endpoint: Endpoint, azure: bool, parameters: dict[str, Any]
) -> None:
    endpoint.otherwise = vectors([1.0, 2.0])
    place = {"api_key": KEY, "api_version": "2024-10-21"} if azure else {"api_key": KEY}
    texts = ["Grüße"]

    async def main() -> None:
        request = EmbeddingRequest(provider="openai", model="e", texts=tuple(texts), parameters=parameters)
        root = f"http://{endpoint.host}"
        provider: CompatibleProvider = (
            AzureProvider(endpoint=root, **place)
            if azure
            else OpenAIProvider(base_url=endpoint.base_url, **place)
        )
        await provider.embed(request)
        await provider.aclose()
        client = (
            openai.AsyncAzureOpenAI(azure_endpoint=root, **place)
            if azure
            else openai.AsyncOpenAI(base_url=endpoint.base_url, **place)
        )
        async with client:
            await client.embeddings.create(model="e", input=texts, **parameters)

    asyncio.run(main())

    sent, expected = endpoint.seen
    assert configured(sent) == configured(expected)


OFFICIAL = openai.AsyncOpenAI(api_key=KEY)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
queries = st.dictionaries(
    st.text(),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
)


@given(queries)
def test_queries_are_spelled_as_by_the_official_client(values: dict[str, Any]) -> None:
    try:
        expected = OFFICIAL.qs.stringify(values)
    except UnicodeEncodeError:
        return
    assert query_text(values) == expected
