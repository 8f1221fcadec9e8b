"""Run a suite on the embedded model itself: nothing scripted on the way."""

from __future__ import annotations

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
