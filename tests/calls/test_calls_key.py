"""Hold that the cache gives an answer only to the very question that it was given to."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai.resources.chat.completions import AsyncCompletions
from openai.resources.embeddings import AsyncEmbeddings

from pytest_llmops import ScriptedProvider
from pytest_llmops.calls.cache import Cache
from pytest_llmops.calls.client import Client
from pytest_llmops.calls.exchange import TRANSPORT_FIELDS, EmbeddingRequest, Request
from pytest_llmops.calls.ledger import Ledger

IDENTITY = {"base_url": "http://127.0.0.1/v1"}


def parameters_of(create: Any, *named: str) -> list[str]:
    """Return the parameters of the official client that are fields of their own in no request of ours."""
    return sorted(set(inspect.signature(create).parameters) - {"self", "model", *named})


CHAT = parameters_of(AsyncCompletions.create, "messages")
EMBEDDINGS = parameters_of(AsyncEmbeddings.create, "input")


def chat(**changes: Any) -> Request:
    message = {"role": "user", "content": "hi"}
    return Request(**{"provider": "scripted", "model": "m", "messages": (message,), **changes})


def vectors(**changes: Any) -> EmbeddingRequest:
    return EmbeddingRequest(**{"provider": "scripted", "model": "m", "texts": ("hi",), **changes})


def calls_of(folder: Path, requests: Sequence[Request | EmbeddingRequest]) -> int:
    """Return how many calls it takes to answer all requests in turn."""
    provider = ScriptedProvider("yes")

    async def ask() -> None:
        path = folder / "cache.sqlite"
        client = Client(
            cache=Cache(path, session="s"),
            ledger=Ledger(path, session="s"),
            provider_of=lambda name: provider,
        )
        for request in requests:
            await (client.acall(request) if isinstance(request, Request) else client.aembed(request))
        await client.aclose()
        assert client.warnings == []

    asyncio.run(ask())
    return len(provider.requests) + len(provider.embedding_requests)


def test_the_official_client_names_the_transport_fields() -> None:
    assert {"timeout", "extra_headers", "extra_query"} == TRANSPORT_FIELDS
    assert set(CHAT) >= TRANSPORT_FIELDS
    assert set(EMBEDDINGS) >= TRANSPORT_FIELDS
    assert "extra_body" in set(CHAT) & set(EMBEDDINGS) - TRANSPORT_FIELDS
    assert len(CHAT) > 35


@pytest.mark.parametrize(
    ("make", "names"), [(chat, CHAT), (vectors, EMBEDDINGS)], ids=["completions", "embeddings"]
)
def test_every_parameter_asks_anew_but_for_those_of_the_way(
    make: Any, names: Sequence[str], tmp_path: Path
) -> None:
    asked = {
        name: [make(), *(make(parameters={name: value}) for value in ("one", "two", "one"))] for name in names
    }
    calls = {name: calls_of(tmp_path / name, requests) for name, requests in asked.items()}
    assert calls == {name: 1 if name in TRANSPORT_FIELDS else 3 for name in names}


@pytest.mark.parametrize(
    "others",
    [
        [chat(), chat(model="n"), chat(messages=({"role": "user", "content": "ho"},))],
        [chat(), chat(repeat=2), chat(repeat=3)],
        [chat(parameters={"of_tomorrow": value}) for value in (None, 0, False)],
        [chat(parameters={"extra_body": {"of_tomorrow": value}}) for value in ([], {}, "")],
        [chat(parameters={"stop": value}) for value in (["ab"], ["a", "b"], "ab")],
        [vectors(), vectors(model="n"), vectors(texts=("ho",))],
        [vectors(), chat(), vectors(parameters={"messages": [{"role": "user", "content": "hi"}]})],
        [vectors(parameters={"of_tomorrow": value}) for value in (None, 0, False)],
    ],
)
def test_what_differs_is_asked_for_by_itself_and_once(others: list[Any], tmp_path: Path) -> None:
    assert calls_of(tmp_path, [*others, *others]) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"temperature": 1, "seed": 2}', '{"seed": 2.0, "temperature": 1.0}'),
        ('{"temperature": 1e0}', '{"temperature": 1}'),
        ('{"temperature": 0.5}', '{"temperature": 5e-1}'),
        ('{"seed": -0.0}', '{"seed": 0}'),
        ('{"tools": [{"a": 1, "b": {"c": 2, "d": 3}}]}', '{"tools": [{"b": {"d": 3, "c": 2}, "a": 1}]}'),
    ],
)
@pytest.mark.parametrize("make", [chat, vectors])
def test_another_spelling_is_no_other_question(make: Any, one: str, other: str, tmp_path: Path) -> None:
    asked = [make(parameters=json.loads(text)) for text in (one, other)]
    assert calls_of(tmp_path, asked) == 1


# Few letters and numbers: what differs, differs by little.
VALUES = st.sampled_from([None, True, False, 0, 1, 0.5, "", "0", "1", "a", "a,b", "null", [], ["a"], {}])
NAMES = st.sampled_from(["temperature", "seed", "stop", "timeout", "extra_body", "a", "repeat", "provider"])
TEXTS = st.text(alphabet='ab1",:{}é\ud800', max_size=4)
REQUESTS = st.builds(
    lambda provider, model, role, content, parameters, nested, repeat: chat(
        provider=provider,
        model=model,
        messages=({"role": role, "content": content},),
        parameters={**parameters, **nested},
        repeat=repeat,
    ),
    provider=st.sampled_from(["a", "b"]),
    model=TEXTS,
    role=st.sampled_from(["user", "system"]),
    content=TEXTS,
    parameters=st.dictionaries(NAMES, VALUES, max_size=3),
    nested=st.dictionaries(st.just("tools"), st.dictionaries(NAMES, VALUES, max_size=2), max_size=1),
    repeat=st.integers(1, 3),
)


@settings(max_examples=60)
@given(asked=st.lists(REQUESTS, min_size=20, max_size=20))
@example(asked=[chat(parameters={"a": 1}), chat(parameters={"a": True})])
@example(asked=[chat(parameters={"timeout": 1}), chat(parameters={"timeout": 2})])
def test_ten_thousand_pairs_do_not_collide(asked: list[Request]) -> None:
    # 190 pairs each time.
    known = [(request.digest(IDENTITY), list(parts(request))) for request in asked]
    for (one, one_asks), (two, two_asks) in combinations(known, 2):
        assert (one == two) == (one_asks == two_asks)


def parts(request: Request) -> Iterator[Any]:
    """Yield what makes a question, so that True and 1 differ, and 1 and 1.0 do not."""
    yield from (request.provider, request.model, request.messages, request.repeat)
    yield typed({name: item for name, item in request.parameters.items() if name not in TRANSPORT_FIELDS})


def typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value
