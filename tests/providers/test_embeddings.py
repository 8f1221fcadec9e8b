from __future__ import annotations

import asyncio
import math
import struct
from base64 import b64encode
from typing import Any

import pytest
from fake_endpoint import Endpoint, Reply, error, vectors

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Usage
from pytest_llmops.errors import (
    BadAnswerError,
    CallError,
    FatalCallError,
    MisuseError,
    TransientCallError,
)
from pytest_llmops.providers.openai import OpenAIProvider

KEY = "sk-not-a-real-key-1234"


def packed(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def embed(endpoint: Endpoint, *texts: str, **parameters: Any) -> Embeddings:
    async def main() -> Embeddings:
        provider = OpenAIProvider(base_url=endpoint.base_url, api_key=KEY)
        try:
            return await provider.embed(
                EmbeddingRequest(provider="openai", model="fake-e", texts=texts, parameters=parameters)
            )
        finally:
            await provider.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize(
    "rows",
    [
        ([0.5, -1.0], [2.0, 3]),
        (packed(0.5, -1), packed(2, 3)),
        ({"index": 1, "embedding": [2, 3]}, {"index": 0, "embedding": packed(0.5, -1)}),
        ({"embedding": [0.5, -1]}, {"embedding": [2, 3]}),
    ],
)
def test_vectors_come_in_the_order_of_their_texts(endpoint: Endpoint, rows: tuple[Any, ...]) -> None:
    endpoint.script(vectors(*rows))

    found = embed(endpoint, "a", "b")

    assert found.vectors == ((0.5, -1.0), (2.0, 3.0))
    assert found.model == "fake-e-1"
    assert found.usage == Usage(input_tokens=5)
    assert found.request_id == "req-1"
    assert found.seconds > 0


def test_the_whole_request_reaches_the_server(endpoint: Endpoint) -> None:
    endpoint.script(vectors([1.0]))

    embed(endpoint, "a", dimensions=1, encoding_format="float", extra_query={"q": "1"}, later=True)

    [seen] = endpoint.seen
    assert seen.path == "/v1/embeddings?q=1"
    assert seen.body == {
        "model": "fake-e",
        "input": ["a"],
        "encoding_format": "float",
        "dimensions": 1,
        "later": True,
    }


@pytest.mark.parametrize(
    "rows",
    [
        (),
        ([1.0],),
        ([1.0], [2.0], [3.0]),
        ([1.0], [2.0, 3.0]),
        ([], []),
        ([1.0], None),
        ([1.0], ["2"]),
        ([1.0], packed(math.nan)),
        ([1.0], packed(math.inf)),
        ([1.0], "no base64!"),
        ([1.0], b64encode(b"12345").decode()),
        ({"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}),
        ({"index": 0, "embedding": [1]}, {"index": 2, "embedding": [2]}),
        ({"index": 0, "embedding": [1]}, {"index": [], "embedding": [2]}),
        ([True], [False]),
        ([1], [10**400]),
    ],
)
def test_what_is_not_one_vector_a_text_is_malformed(endpoint: Endpoint, rows: tuple[Any, ...]) -> None:
    endpoint.script(vectors(*rows))

    with pytest.raises(BadAnswerError, match="does not hold 2 vectors of equal length") as caught:
        embed(endpoint, "a", "b")

    assert (caught.value.kind, caught.value.request_id, caught.value.input_tokens) == (
        "malformed",
        "req-1",
        5,
    )


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(400), FatalCallError),
        (error(503), TransientCallError),
        (Reply(body={"error": "busy"}), TransientCallError),
        (Reply(body={"choices": []}), TransientCallError),
        (Reply(body="<html>"), TransientCallError),
        (vectors(1, data="x"), BadAnswerError),
        (vectors(1, data=["x"]), BadAnswerError),
        (vectors([1.0], model="other"), BadAnswerError),
    ],
)
def test_faults_have_the_classes_of_all_calls(
    endpoint: Endpoint, reply: Reply, kind: type[CallError]
) -> None:
    endpoint.script(reply)

    with pytest.raises(CallError) as caught:
        embed(endpoint, "a")

    assert type(caught.value) is kind


def test_a_parameter_that_cannot_travel_is_told(endpoint: Endpoint) -> None:
    with pytest.raises(MisuseError, match="timeout"):
        embed(endpoint, "a", timeout="long")
