"""Hold the embeddings to the same table of faults as the completions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from benchmarks.reliability.faults import FAULTS
from benchmarks.reliability.laws import CLASSES
from benchmarks.reliability.replies import vector_of
from benchmarks.server import Entry, serving
from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings
from pytest_llmops.errors import CallError
from pytest_llmops.providers.openai import OpenAIProvider

KINDS = [kind for kind, fault in FAULTS.items() if fault.fits == "all" and not fault.lasts]

TEXTS = ("one text", "another")


@pytest.fixture(scope="module")
def met() -> tuple[Mapping[str, Embeddings | CallError], Sequence[Entry]]:
    """Return what came of each fault, once asked for, and of none."""
    with serving() as server:
        found = asyncio.run(asked(server.base_url, ["none", *KINDS]))
        return found, server.log()


async def asked(base_url: str, kinds: Sequence[str]) -> dict[str, Embeddings | CallError]:
    provider = OpenAIProvider(base_url=base_url, api_key="no-key-needed")

    async def vectors(kind: str) -> Embeddings | CallError:
        texts = TEXTS if kind == "none" else (f"fault={kind}", *TEXTS)
        try:
            return await provider.embed(EmbeddingRequest(provider="openai", model="a-model", texts=texts))
        except CallError as error:
            return error

    try:
        return dict(zip(kinds, await asyncio.gather(*map(vectors, kinds)), strict=True))
    finally:
        await provider.aclose()


def test_vectors_come_in_the_order_of_the_texts(met: tuple) -> None:
    right = met[0]["none"]
    assert right.vectors == tuple(tuple(vector_of(text)) for text in TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_has_the_class_of_the_table(met: tuple, kind: str) -> None:
    found, log = met
    (entry,) = [entry for entry in log if entry.fault == kind]
    assert CLASSES[type(found[kind])] == FAULTS[kind].comes_of
    if FAULTS[kind].names_request:
        assert found[kind].request_id == entry.request_id
        assert entry.request_id in str(found[kind])
