"""Is the right passage found, and the question answered from it?"""

import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from pytest_llmops import Response

HERE = Path(__file__).parent
PASSAGES = (HERE / "passages.txt").read_text(encoding="utf-8").splitlines()
SETTINGS = json.loads((HERE / "retriever.json").read_text(encoding="utf-8"))


def words(text):
    """Return the words that tell texts apart."""
    return [word for word in re.findall(r"\w+", text.lower()) if word not in SETTINGS["frequent words"]]


def find(question):
    """Return the passages that share the rarest words with the question, the best first (BM25)."""
    texts = [words(passage) for passage in PASSAGES]
    spread = Counter(word for text in texts for word in set(text))
    usual = sum(map(len, texts)) / len(texts)

    def score(text):
        rarity = {w: math.log(1 + (len(texts) - spread[w] + 0.5) / (spread[w] + 0.5)) for w in text}
        length = 0.375 + 1.125 * len(text) / usual
        asked = sorted(set(words(question)) & set(text))
        return sum(rarity[w] * text.count(w) * 2.5 / (text.count(w) + length) for w in asked)

    ranked = sorted(range(len(texts)), key=lambda at: -score(texts[at]))
    return tuple(PASSAGES[at] for at in ranked[: SETTINGS["passages"]])


def pipeline(inputs, llm):
    found = find(inputs["question"])
    answer = llm("answer", question=inputs["question"], passages="\n".join(found))
    return Response(text=answer.text, model=answer.model, context=found)


evaluated = pytest.mark.llm_eval(
    target=pipeline,
    golden="retrieval.jsonl",
    concurrent=True,
    artifacts=["answer", "retriever.json", "passages.txt"],
)


@evaluated
def test_found(llm_case):
    assert llm_case.expected["passage"] in llm_case.context


@evaluated
def test_answered(llm_case):
    assert llm_case.expected["answer"].lower() in llm_case.text.lower()
