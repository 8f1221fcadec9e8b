"""The vectors of the embedded table are those of the package that brings it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wordllama
from safetensors import safe_open
from tokenizers import Tokenizer

from pytest_llmops.calls.exchange import EmbeddingRequest, Request
from pytest_llmops.errors import MisuseError
from pytest_llmops.providers.wordllama import DEFAULT_MODEL, WordllamaProvider
from pytest_llmops.scorers.similarity import cosine

TEXTS = (
    "The cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "Prices of coal fell sharply in March.",
    "Größe, naïve café, 東京 🙂",
    "a",
    "word " * 3_000,
)


def request(*texts, **more):
    return EmbeddingRequest(**{"provider": "wordllama", "model": DEFAULT_MODEL, "texts": texts, **more})


def embedded(*texts, **more):
    return asyncio.run(WordllamaProvider().embed(request(*texts, **more)))


def test_the_vectors_are_those_of_the_package():
    root = Path(wordllama.__file__).parent
    with safe_open(root / "weights" / "l2_supercat_256.safetensors", "np") as file:
        table = file.get_tensor("embedding.weight")
    tokenizer = Tokenizer.from_file(str(root / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    wanted = wordllama.WordLlamaInference(table, tokenizer).embed(list(TEXTS))
    found = embedded(*TEXTS)
    np.testing.assert_allclose(np.array(found.vectors), wanted, atol=2e-6)
    assert found.usage.input_tokens > 3_000


def test_texts_of_one_meaning_are_nearer():
    same, other, far = embedded(*TEXTS[:3]).vectors
    assert cosine(same, other) > 2 * cosine(same, far)


def test_a_text_alone_has_the_vector_that_it_has_among_others():
    assert embedded(*TEXTS).vectors[0] == embedded(TEXTS[0]).vectors[0]


def test_a_text_without_tokens_is_all_zeros():
    (vector,) = embedded("").vectors
    assert vector == (0.0,) * 256


def test_the_identity_is_that_of_weights_tokenizer_and_package():
    provider = WordllamaProvider()
    identity = provider.identity(Request(provider="wordllama", model=DEFAULT_MODEL, messages=()))
    assert identity["weights"] != identity["tokenizer"]
    assert len(identity["weights"]) == len(identity["tokenizer"]) == 64
    assert identity["package"] == wordllama.__version__


def test_it_makes_vectors_only_of_the_model_that_it_has_and_takes_no_parameters():
    with pytest.raises(MisuseError, match=r"holds no model 'l2'. .*l2_supercat_256"):
        embedded("x", model="l2")
    with pytest.raises(MisuseError, match="takes no parameters"):
        embedded("x", parameters={"dimensions": 64})
    with pytest.raises(MisuseError, match="no answers"):
        asyncio.run(
            WordllamaProvider().complete(Request(provider="wordllama", model=DEFAULT_MODEL, messages=()))
        )


def test_nothing_is_sent_or_written_and_the_package_is_not_imported(tmp_path):
    code = """
import asyncio, sys
seen = []
def audit(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir"}:
        seen.append(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append(str(arguments))
sys.addaudithook(audit)
from pytest_llmops.calls.exchange import EmbeddingRequest
from pytest_llmops.providers.wordllama import DEFAULT_MODEL, WordllamaProvider
asked = EmbeddingRequest(provider="wordllama", model=DEFAULT_MODEL, texts=("x",))
asyncio.run(WordllamaProvider().embed(asked))
print(seen, [name for name in ("wordllama", "requests", "huggingface_hub") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] []"
