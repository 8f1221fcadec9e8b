from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
from embedded_model import CONTEXT_WORDS, ask, own_cache, shared_server, wait_until_gone

from pytest_llmops.errors import FatalCallError, MisuseError, TransientCallError
from pytest_llmops.providers.local import LocalProvider

T = TypeVar("T")

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}
LABEL = {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": SCHEMA}}
SENTIMENT = 'Is the sentiment of this review positive or negative? Answer as JSON with the key "label".'

WORDS = "warm cold broken late lovely refund battery screen shipping price support manual noise fast slow"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_cache(tmp_path_factory.mktemp("local") / "cache")


@pytest.fixture(scope="module")
def _running(cache: Path) -> Iterator[None]:
    """Keep one server for the whole file, whoever else comes and goes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMOPS_CACHE_DIR", str(cache))
        server = shared_server()
        server.join()
        yield
        pid = server.join().pid
        server.leave()
    wait_until_gone(pid)


@pytest.fixture
def _here(_running: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", str(cache))


def using(work: Callable[[LocalProvider], Awaitable[T]]) -> T:
    """Return what `work` gives for a provider of its own."""

    async def inside() -> T:
        provider = LocalProvider()
        try:
            return await work(provider)
        finally:
            await provider.aclose()

    return asyncio.run(inside())


@pytest.mark.embedded
@pytest.mark.usefixtures("_here")
def test_it_answers_with_the_schema_that_was_asked_for() -> None:
    def review(text: str) -> Awaitable[object]:
        return using(lambda provider: provider.complete(ask(f"{SENTIMENT}\n\n{text}", response_format=LABEL)))

    good = review("Lovely food, warm staff, and we will come back.")
    bad = review("The food was cold and the staff was rude. Never again.")
    assert json.loads(good.text) == {"label": "positive"}
    assert json.loads(bad.text) == {"label": "negative"}
    assert (good.model, good.finish_reason) == ("smollm2-135m", "stop")
    assert good.usage.input_tokens > 20
    assert good.usage.output_tokens > 4
