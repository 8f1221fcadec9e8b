"""Ask models from a test or a target, through cache, budget and retries: the fixture `llm`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from pytest_llmops.calls.exchange import EmbeddingRequest, Request, Response, split_model
from pytest_llmops.calls.prefetch import LoopThread
from pytest_llmops.errors import MisuseError
from pytest_llmops.project import Project
from pytest_llmops.prompts.prompt import Prompt

T = TypeVar("T")

Asked: TypeAlias = str | Prompt | Request
"""A prompt's name, a prompt, or a request that is ready to go."""

Vectors: TypeAlias = tuple[tuple[float, ...], ...]


class Llm:
    """Ask models: `llm("triage", text="…")`, and `await llm.acall("triage", text="…")` in async code.

    Args:
        project: whose prompts, cache and budget these are.
        near: the test file: prompts are looked up from there.
        loop: carries the calls.
        model: `provider:model` that the test names.
        repeat: which of the repeated answers is asked for, from 1.
        told: is called with each request and its answer.
    """

    def __init__(
        self,
        project: Project,
        near: Path,
        loop: LoopThread,
        *,
        model: str | None = None,
        repeat: int = 1,
        told: Callable[[Request, Response], object] | None = None,
    ) -> None:
        self._project = project
        self._near = near
        self._loop = loop
        self._model = model
        self._repeat = repeat
        self._told = told

    def __call__(self, prompt: Asked, /, **inputs: Any) -> Response:
        """Return the answer to a prompt.

        Raises:
            MisuseError: there is no such prompt, or an input is missing.
            CallError: no usable answer could be had.
        """
        return self._loop.run(self._ask(self.request(prompt, **inputs)))

    async def acall(self, prompt: Asked, /, **inputs: Any) -> Response:
        """Return the answer to a prompt; others can be asked meanwhile.

        Raises:
            MisuseError: there is no such prompt, or an input is missing.
            CallError: no usable answer could be had.
        """
        return await _awaited(self._loop.submit(self._ask(self.request(prompt, **inputs))))

    def request(self, prompt: Asked, /, **inputs: Any) -> Request:
        """Return the request that a prompt makes, to be changed and then asked: `llm(request)`.

        Raises:
            MisuseError: there is no such prompt, or an input is missing.
        """
        if isinstance(prompt, Request):
            return prompt
        chosen = self._project.prompt(prompt, self._near) if isinstance(prompt, str) else prompt
        return chosen.render(inputs, model=self._project.model_of(chosen, self._model), repeat=self._repeat)

    def embed(self, texts: Sequence[str], *, model: str) -> Vectors:
        """Return the vectors of some texts, in their order.

        Args:
            texts: what is to be compared or searched.
            model: `provider:model` that makes vectors.

        Raises:
            MisuseError: the provider is unknown, or makes no vectors.
            CallError: they could not be had.
        """
        return self._loop.run(self._project.client.aembed(_embedding(texts, model)))

    async def aembed(self, texts: Sequence[str], *, model: str) -> Vectors:
        """Return the vectors of some texts, as `embed` does."""
        return await _awaited(self._loop.submit(self._project.client.aembed(_embedding(texts, model))))

    async def _ask(self, request: Request) -> Response:
        response = await self._project.client.acall(request)
        if self._told is not None:
            self._told(request, response)
        return response


class TestLlm(Llm):
    """Ask models from a test, where a mistake is told without a traceback: the fixture `llm`."""

    __test__ = False  # pytest would collect the name

    def __call__(self, prompt: Asked, /, **inputs: Any) -> Response:
        """Return the answer to a prompt."""
        try:
            return super().__call__(prompt, **inputs)
        except MisuseError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    async def acall(self, prompt: Asked, /, **inputs: Any) -> Response:
        """Return the answer to a prompt; others can be asked meanwhile."""
        try:
            return await super().acall(prompt, **inputs)
        except MisuseError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None


def _embedding(texts: Sequence[str], model: str) -> EmbeddingRequest:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise MisuseError(f"embed({texts!r:.80}): give a list of texts.")
    provider, name = split_model(model)
    return EmbeddingRequest(provider=provider, model=name, texts=tuple(texts))


async def _awaited(future: Future[T]) -> T:
    # The caller's loop is another than the one that carries the calls.
    return await asyncio.wrap_future(future)
