from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_endpoint import Endpoint, answer

from pytest_llmops.calls.exchange import Request
from pytest_llmops.errors import BadAnswerError
from pytest_llmops.providers.openai import OpenAIProvider
from pytest_llmops.providers.served import ANY_MODEL, is_served


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "GPT-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4", "gpt-4-1106-preview"),
        ("gpt-4o", "openai/gpt-4o-2024-08-06"),
        ("openai/gpt-4o", "gpt-4o"),
        ("openai/gpt-4o", "azure/gpt-4o"),
        ("claude-sonnet", "claude-sonnet@20250101"),
        ("claude-sonnet-latest", "claude-sonnet-20250101"),
        ("mistral-large-latest", "mistral-large-latest"),
        ("gemini-flash", "gemini-flash-preview-05-20"),
        ("llama3", "llama3:latest"),
        ("vendor/model:free", "vendor/model"),
        ("meta-llama/Llama-3.1-8B", "accounts/fireworks/models/llama-3.1-8b"),
        ("m", None),
        ("m", ""),
        ("m", 4),
    ],
)
def test_names_of_the_same_model(asked: str, answered: object) -> None:
    assert is_served(asked, answered, {})


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-3.5-turbo"),
        ("gpt-4o", "gpt-4"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
        ("gpt-4", "gpt-4o"),
        ("llama3:8b", "llama3:70b"),
        ("openai/gpt-4o", "openai/gpt-4.1"),
    ],
)
def test_names_of_other_models(asked: str, answered: str) -> None:
    assert not is_served(asked, answered, {})


@pytest.mark.parametrize(
    ("served_as", "known"),
    [
        ({"fast": "gpt-4o-mini*"}, True),
        ({"*": "gpt-*"}, True),
        (ANY_MODEL, True),
        ({"fast": "gpt-4.1*", "*": "*"}, False),
        ({"slow": "*"}, False),
    ],
)
def test_a_gateway_may_answer_under_another_name(endpoint: Endpoint, served_as: Any, known: bool) -> None:
    endpoint.script(answer("Hi.", model="gpt-4o-mini-2024-07-18"))

    async def main() -> str:
        provider = OpenAIProvider(base_url=endpoint.base_url, api_key="none", served_as=served_as)
        asked = Request(provider="openai", model="fast", messages=())
        try:
            return (await provider.complete(asked)).model
        except BadAnswerError as error:
            return error.kind
        finally:
            await provider.aclose()

    assert asyncio.run(main()) == ("gpt-4o-mini-2024-07-18" if known else "other_model")
