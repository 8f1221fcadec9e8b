"""Vectors of texts go through the same cache, claims and counts as answers, many texts in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_llmops.calls.batches import MOST_TEXTS
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import EmbeddingRequest
from pytest_llmops.calls.ledger import Ledger
from pytest_llmops.calls.prices import Prices
from pytest_llmops.calls.tally import Tally
from pytest_llmops.errors import CacheMissError, FatalCallError, MisuseError
from pytest_llmops.providers.scripted import ScriptedProvider
from pytest_llmops.setting_values import Price

T = TypeVar("T")

Make = Callable[..., Client]


def request(*texts: str, **parameters: Any) -> EmbeddingRequest:
    return EmbeddingRequest(provider="scripted", model="m", texts=texts, parameters=parameters)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    path = tmp_path / "local" / "cache.sqlite"

    def client(provider: Any, session: str = "s", **options: Any) -> Client:
        return Client(
            cache=Cache(path, session=session),
            ledger=Ledger(path, session=session),
            provider_of=lambda name: provider,
            **options,
        )

    return client


def run(client: Client, work: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        try:
            return await work()
        finally:
            await client.aclose()

    return asyncio.run(main())


def test_each_text_is_asked_once_and_all_together(make: Make) -> None:
    model = ScriptedProvider("", embed=lambda text: [float(len(text)), 1.0])
    client = make(model)
    found = run(client, lambda: client.aembed(request("a", "bcd", "a")))

    assert found == ((1.0, 1.0), (3.0, 1.0), (1.0, 1.0))
    assert [asked.texts for asked in model.embedding_requests] == [("a", "bcd")]

    again = make(model, "t")
    assert run(again, lambda: again.aembed(request("bcd", "ef"))) == ((3.0, 1.0), (2.0, 1.0))
    assert [asked.texts for asked in model.embedding_requests[1:]] == [("ef",)]


def test_texts_asked_for_one_by_one_go_out_together(make: Make) -> None:
    model = ScriptedProvider("", embed=lambda text: [float(text)])
    client = make(model)
    texts = [str(number) for number in range(MOST_TEXTS + 1)]

    async def work() -> list[Any]:
        return await asyncio.gather(*(client.aembed(request(text)) for text in texts))

    assert run(client, work) == [((float(text),),) for text in texts]
    assert [len(asked.texts) for asked in model.embedding_requests] == [MOST_TEXTS, 1]


def test_other_models_and_parameters_are_other_vectors(make: Make) -> None:
    model = ScriptedProvider("", embed=lambda text: [1.0])
    client = make(model)

    async def work() -> None:
        await asyncio.gather(client.aembed(request("a")), client.aembed(request("a", dimensions=1)))

    run(client, work)
    assert [asked.parameters for asked in model.embedding_requests] == [{}, {"dimensions": 1}]


def test_vectors_are_counted_and_priced_by_what_goes_in(make: Make) -> None:
    client = make(
        ScriptedProvider("", embed=lambda text: [1.0]), prices=Prices({"m": Price(input=1e6, output=5e6)})
    )
    run(client, lambda: client.aembed(request("two words", "three more words")))

    ledger = make(None)._ledger
    assert ledger.tally() == Tally(calls=1, input_tokens=5, cost=5.0, seconds=ledger.tally().seconds)
    ledger.close()


def test_a_failed_call_fails_each_of_its_texts(make: Make) -> None:
    def refuse(text: str) -> list[float]:
        raise FatalCallError("status 400: too long")

    client = make(ScriptedProvider("", embed=refuse))

    async def work() -> list[Any]:
        return await asyncio.gather(
            client.aembed(request("a")), client.aembed(request("b")), return_exceptions=True
        )

    assert [str(error) for error in run(client, work)] == ["status 400: too long"] * 2


def test_offline_no_vector_is_asked_for(make: Make) -> None:
    client = make(ScriptedProvider(""), offline=True)
    with pytest.raises(CacheMissError, match="No answer of scripted:m"):
        run(client, lambda: client.aembed(request("a")))


def test_a_provider_without_vectors_says_so(make: Make) -> None:
    class Answers:
        concurrency = None

        def identity(self, asked: EmbeddingRequest) -> dict[str, Any]:
            return {}

        async def aclose(self) -> None: ...

    client = make(Answers())
    with pytest.raises(MisuseError, match="has no `embed`"):
        run(client, lambda: client.aembed(request("a")))
