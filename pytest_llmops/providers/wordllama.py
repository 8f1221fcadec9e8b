"""Make vectors of texts in this process, from the weights that come inside the package wordllama."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from pytest_llmops.calls.exchange import EmbeddingRequest, Embeddings, Request, Response, Usage
from pytest_llmops.errors import MisuseError, closest
from pytest_llmops.store.canonical import JsonValue, digest_bytes

PACKAGE: Final = "wordllama"

DEFAULT_MODEL: Final = "l2_supercat_256"
"""Vectors of 256 numbers; the token embeddings stem from those of Llama 2."""

INSTALL: Final = "pip install 'pytest-llmops[similarity]'"


def is_installed() -> bool:
    """Tell whether the package is here; imports nothing of it."""
    try:
        return bool(version(PACKAGE))
    except PackageNotFoundError:
        return False


class WordllamaProvider:
    """Average the vectors of a text's tokens.

    The package's own loader looks for the tokenizer in a folder that it does not ship and then downloads it,
    so weights and tokenizer are read here, and the package itself is not imported.
    """

    concurrency: int | None = 1

    def __init__(self) -> None:
        self._identities: dict[str, Mapping[str, JsonValue]] = {}
        self._loaded: dict[str, tuple[Any, Any]] = {}

    def identity(self, request: Request) -> Mapping[str, JsonValue]:
        """Return the digests of weights and tokenizer and the package's version; all decide the vectors.

        Raises:
            MisuseError: the package is not installed, or holds no such model.
        """
        model = request.model
        if model not in self._identities:
            weights, tokenizer = self._files(model)
            self._identities[model] = {
                "weights": digest_bytes(weights.read_bytes()),
                "tokenizer": digest_bytes(tokenizer.read_bytes()),
                "package": version(PACKAGE),
            }
        return self._identities[model]

    async def complete(self, request: Request) -> Response:
        """Refuse: these models make vectors only.

        Raises:
            MisuseError: always.
        """
        raise MisuseError(f"The model {request.named} makes vectors of texts and no answers.")

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Return the vectors of the request's texts; a text without tokens has a vector of zeros.

        Raises:
            MisuseError: the package is not installed, holds no such model, or parameters are given.
        """
        if request.parameters:
            raise MisuseError(f"The model {request.named} takes no parameters: {sorted(request.parameters)}.")
        start = time.monotonic()
        vectors, tokens = await asyncio.to_thread(self._vectors, request)
        return Embeddings(
            vectors=vectors,
            model=request.model,
            usage=Usage(input_tokens=tokens),
            seconds=time.monotonic() - start,
        )

    async def aclose(self) -> None:
        """Let go of the weights."""
        self._loaded.clear()

    def _vectors(self, request: EmbeddingRequest) -> tuple[tuple[tuple[float, ...], ...], int]:
        import numpy as np

        table, tokenizer = self._model(request.model)
        encoded = tokenizer.encode_batch(list(request.texts), add_special_tokens=False)
        rows = [np.minimum(np.array(each.ids, dtype=np.int64), len(table) - 1) for each in encoded]
        means = [
            table[ids].mean(axis=0, dtype=np.float32) if len(ids) else np.zeros(table.shape[1])
            for ids in rows
        ]
        return tuple(tuple(map(float, mean)) for mean in means), sum(map(len, rows))

    def _model(self, name: str) -> tuple[Any, Any]:
        if name not in self._loaded:
            from safetensors import safe_open
            from tokenizers import Tokenizer

            weights, words = self._files(name)
            with safe_open(weights, "np") as file:
                table = file.get_tensor("embedding.weight")
            tokenizer = Tokenizer.from_file(str(words))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            self._loaded[name] = (table, tokenizer)
        return self._loaded[name]

    def _files(self, model: str) -> tuple[Path, Path]:
        """Return the paths of weights and tokenizer."""
        weights = self._folder / "weights" / f"{model}.safetensors"
        tokenizer = self._folder / "tokenizers" / f"{model.rpartition('_')[0]}_tokenizer_config.json"
        known = [path.stem for path in (self._folder / "weights").glob("*.safetensors")]
        if model not in known or not tokenizer.is_file():
            raise MisuseError(f"The package wordllama holds no model {model!r}. {closest(model, known)}")
        return weights, tokenizer

    @cached_property
    def _folder(self) -> Path:
        found = find_spec(PACKAGE) if is_installed() else None
        if found is None or not found.submodule_search_locations:
            raise MisuseError(f"Models of wordllama need its package: {INSTALL}.")
        return Path(found.submodule_search_locations[0])
