from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_endpoint import Endpoint, answer, error

from pytest_llmops.calls.exchange import Request
from pytest_llmops.errors import CallError, FatalCallError, MisuseError
from pytest_llmops.providers.azure import AzureProvider

KEY = "azure-not-a-real-key"
ASKED = Request(provider="azure", model="my-deployment", messages=({"role": "user", "content": "hello"},))


@pytest.fixture(autouse=True)
def _no_azure_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "API_KEY", "AD_TOKEN"):
        monkeypatch.delenv(f"AZURE_OPENAI_{name}", raising=False)
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)


def provider(server: Endpoint, **changes: Any) -> AzureProvider:
    place = f"http://{server.host}"
    return AzureProvider(**{"endpoint": place, "api_key": KEY, "api_version": "2024-10-21", **changes})


def complete(asked: AzureProvider) -> str:
    async def main() -> str:
        try:
            return (await asked.complete(ASKED)).model
        finally:
            await asked.aclose()

    return asyncio.run(main())


def test_a_deployment_may_answer_under_any_name(endpoint: Endpoint) -> None:
    endpoint.script(answer("Hi.", model="gpt-4o-2024-08-06"))

    assert complete(provider(endpoint)) == "gpt-4o-2024-08-06"


def test_an_endpoint_that_names_a_deployment_keeps_it(endpoint: Endpoint) -> None:
    complete(provider(endpoint, endpoint=f"http://{endpoint.host}/openai/deployments/mine"))

    assert endpoint.seen[0].path.startswith("/openai/deployments/mine/openai/chat/completions?")


def test_endpoint_and_version_are_parts_of_the_identity(endpoint: Endpoint) -> None:
    assert provider(endpoint, endpoint="https://me:pass@x.example/?k=v").identity(ASKED) == {
        "base_url": "https://x.example/openai",
        "api_version": "2024-10-21",
    }


@pytest.mark.parametrize(
    ("changes", "variable"),
    [({"endpoint": None}, "AZURE_OPENAI_ENDPOINT"), ({"api_version": None}, "OPENAI_API_VERSION")],
)
def test_what_is_missing_is_named(endpoint: Endpoint, changes: dict[str, None], variable: str) -> None:
    with pytest.raises(MisuseError, match=variable):
        provider(endpoint, **changes)


def test_an_endpoint_that_is_no_url_is_refused(endpoint: Endpoint) -> None:
    with pytest.raises(MisuseError, match="AZURE_OPENAI_ENDPOINT"):
        provider(endpoint, endpoint="my-resource")


def test_a_missing_key_is_told_at_the_first_call_and_not_before(endpoint: Endpoint) -> None:
    asked = provider(endpoint, api_key=None)

    with pytest.raises(MisuseError, match="set the environment variable AZURE_OPENAI_API_KEY or"):
        complete(asked)
    assert endpoint.seen == []


@pytest.mark.parametrize("name", ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"])
def test_the_key_is_hidden_from_messages(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, KEY)
    endpoint.script(error(401, message=f"wrong: {KEY}"))

    with pytest.raises(CallError, match=r"wrong: \[redacted\]") as caught:
        complete(provider(endpoint, api_key=None))

    assert type(caught.value) is FatalCallError
