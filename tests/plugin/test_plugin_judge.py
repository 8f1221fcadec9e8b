"""Hold that a judge in a suite is asked once an answer, gated, and never a score when it fails."""

from __future__ import annotations

from typing import Any

CONFTEST = r"""
import os
import re
from pytest_llmops import ScriptedProvider


def reply(request):
    text = request.messages[-1]["content"]
    judged = "response_format" in request.parameters
    with open(os.environ["CALLS"], "a") as file:
        file.write("judge\n" if judged else "answer\n")
    if not judged:
        item = int(text.rpartition("Item ")[2])
        return "rude" if text.startswith("Rude") and item < 10 else "polite"
    output = re.search(r"<output [0-9a-f]+>\n(.*?)\n</output", text, re.DOTALL)[1]
    if os.environ.get("BROKEN_JUDGE"):
        return "I would say pass."
    verdict = "pass" if output == "polite" else "fail"
    return '{"reason": "as it reads", "verdict": "%s"}' % verdict


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
"""

BODY = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_judge("The reply keeps a friendly tone.", name="tone")
def test_items(llm_case):
    """The judge decides."""
'''

CANARIES = 3
"""Known-wrong answers that each judge is tried on."""

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"


def judged(suite: Any) -> Any:
    (suite.root / "conftest.py").write_text(CONFTEST)
    suite.body(BODY)
    return suite


def test_a_judge_is_asked_once_an_answer_and_its_metric_is_gated(suite: Any) -> None:
    suite = judged(suite)
    result = suite.run(SAVE)
    assert result.ret == 0, result.stdout.str()
    assert sorted(suite.calls) == ["answer"] * 20 + ["judge"] * (20 + CANARIES)
    assert suite.run(COMPARE).ret == 0
    assert suite.calls == []
    suite.prompt(say="Rude.")
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=10, xfailed=10, failed=1)
    result.stdout.fnmatch_lines(["*tone*100.0 %*50.0 %*regressed*", "*llmops[[]tone[]]*"])


def test_another_rubric_judges_again_and_asks_for_no_new_answer(plain_suite: Any) -> None:
    suite = judged(plain_suite)
    assert suite.run(SAVE).ret == 0
    assert len(suite.calls) == 40 + CANARIES
    suite.body(BODY.replace("a friendly tone", "a friendly and brief tone"))
    result = suite.run(COMPARE)
    assert result.ret == 0
    assert suite.calls == ["judge"] * (20 + CANARIES)
    result.stdout.fnmatch_lines(["*tone*not comparable*"])
    result = suite.run(COMPARE, "--llmops-rescore")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*tone*unchanged*"])


def test_a_judge_without_a_valid_verdict_measures_nothing(suite: Any, monkeypatch: Any) -> None:
    suite = judged(suite)
    assert suite.run(SAVE).ret == 0
    monkeypatch.setenv("BROKEN_JUDGE", "1")
    # Refreshed, since the stored verdicts on the same answers would do.
    result = suite.run(COMPARE, "--llmops-cache=refresh")
    assert result.ret == 1
    result.assert_outcomes(skipped=20, failed=1)
    result.stdout.fnmatch_lines(["*llmops[[]unmeasured[]]*"])
    result = suite.run("--llmops-cache=refresh")
    result.assert_outcomes(errors=20)
