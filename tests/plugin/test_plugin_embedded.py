"""Run a suite on the embedded model itself: nothing scripted on the way."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_llmops.providers.weights import cache_dir

PROMPT = """
model: local:smollm2-135m
modelParameters:
  temperature: 0
  maxTokens: 16
messages:
  - role: user
    content: |-
      Is the sentiment of this review positive or negative? Answer as JSON with the key "label".
      Review: {{ text }}
responseFormat: json_schema
jsonSchema:
  type: object
  properties:
    label: {enum: [positive, negative]}
  required: [label]
  additionalProperties: false
"""

TEST = """
import pytest

@pytest.mark.llm_eval(prompt="mood", golden="mood.jsonl")
@pytest.mark.llm_schema({"type": "object", "required": ["label"]})
def test_mood(llm_case):
    assert llm_case.json["label"] == llm_case.expected
"""

GOLDEN = """
{"id": "1", "inputs": {"text": "I love this lamp, it is wonderful."}, "expected": "positive"}
{"id": "2", "inputs": {"text": "Terrible. It broke on the first day."}, "expected": "negative"}
{"id": "3", "inputs": {"text": "A great meal, kind service."}, "expected": "positive"}
{"id": "4", "inputs": {"text": "The worst hotel ever, dirty and loud."}, "expected": "negative"}
{"id": "5", "inputs": {"text": "Excellent sound and beautiful design."}, "expected": "positive"}
{"id": "6", "inputs": {"text": "Awful film, boring and far too long."}, "expected": "negative"}
"""


# Read before the tests' own home folder takes the place of the user's.
CACHE = str(cache_dir())


@pytest.mark.embedded
def test_a_suite_on_the_embedded_model(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", CACHE)
    (suite.root / "prompts" / "mood.prompt.yml").write_text(PROMPT)
    (suite.root / "golden" / "mood.jsonl").write_text(GOLDEN.lstrip())
    suite.body(TEST)
    result = suite.run("--llmops-save-baseline=production")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*schema*6 of 6*100.0 %*", "*6 calls made*$0.00*", "*saved as production*"])
    result = suite.run("--llmops-baseline=production", "--llmops-cache=refresh")
    assert result.ret == 0, result.stdout.str()
    # At temperature 0 the same weights and runtime give the same answers again.
    result.stdout.fnmatch_lines(["*passed*unchanged*", "*6 calls made*"])


EXAMPLES = Path(__file__).parents[2] / "examples"

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("example", "changed", "old", "new", "named"),
    [
        ("chain", "prompts/mood.prompt.yml", "Review:", "Opinion:", "chain * -> *, in mood"),
        # The function uses what the file holds, so it is another one too.
        ("agent", "shop.json", "29 euros", "28 euros", "agent * -> *, in shop.json, code"),
        (
            "retrieval",
            "retriever.json",
            '"passages": 1',
            '"passages": 2',
            "pipeline * -> *, in retriever.json",
        ),
    ],
)
def test_an_example_of_a_target(
    plain_suite: Any,
    monkeypatch: pytest.MonkeyPatch,
    example: str,
    changed: str,
    old: str,
    new: str,
    named: str,
) -> None:
    monkeypatch.setenv("LLMOPS_CACHE_DIR", CACHE)
    root = plain_suite.root
    shutil.copytree(EXAMPLES / example, root / "evals")
    rows = (EXAMPLES.parent / "golden" / f"{example}.jsonl").read_text().splitlines(keepends=True)
    (root / "golden" / f"{example}.jsonl").write_text("".join(rows[:5]))
    result = plain_suite.run("evals", SAVE)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*saved as production: evals/*(5 results*"])
    result = plain_suite.run("evals", COMPARE)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*passed*unchanged*", "0 calls made*"])
    file = root / "evals" / changed
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    result = plain_suite.run("evals", COMPARE)
    result.stdout.fnmatch_lines([f"*target changed: {named}"])
