"""The marker for similarity, and what suites import that ask for no such thing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

BODY = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("similarity", threshold=0.9)
@pytest.mark.llm_metric("similarity", name="near", model="scripted:vectors")
def test_items(llm_case):
    """The metrics decide."""
'''

SAVE, COMPARE = "--llmops-save-baseline=production", "--llmops-baseline=production"


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "n2"])
def test_vectors_are_made_once_and_a_second_run_is_unchanged(suite: Any) -> None:
    suite.body(BODY)
    result = suite.run(SAVE)
    assert result.ret == 0, result.stdout.str()
    # 20 answers, and the one text "yes" as a vector of each model.
    result.stdout.fnmatch_lines(["*similarity*1.00*", "*near*1.00*", "*22 calls made*"])
    result = suite.run(COMPARE)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*similarity*unchanged*", "*near*unchanged*", "*0 calls made*"])
    suite.prompt(wrong=range(12))
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*similarity*regressed*", "*llmops[[]similarity[]]*"])


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ('"similarity", treshold=1', "does not know the argument 'treshold'. Did you mean 'threshold'"),
        ('"similarity", model=5', "llm_metric(model=5): give text."),
        ('"similarity", threshold=2', "The threshold 2 of similarity"),
        ('"similarity", value=[]', "The value of the metric similarity is []"),
    ],
)
def test_a_mistake_in_the_marker_is_one_message(plain_suite: Any, marker: str, told: str) -> None:
    plain_suite.body(BODY.replace('"similarity", threshold=0.9', marker))
    result = plain_suite.run()
    assert result.ret != 0
    assert told in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


RUBRIC = '''
import pytest


@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_judge("The reply is kind.")
@pytest.mark.llm_metric("contains", value="pass")
def test_items(llm_case):
    """The metrics decide."""
'''

CONFTEST = r"""
from pytest_llmops import ScriptedProvider


def reply(request):
    if "response_format" not in request.parameters:
        return "pass"
    verdict = "pass" if ">\npass\n</output" in request.messages[-1]["content"] else "fail"
    return '{"reason": "as it reads", "verdict": "%s"}' % verdict


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
"""


def test_a_suite_with_rubric_judges_imports_neither_deepeval_nor_openai(plain_suite: Any) -> None:
    root = plain_suite.root
    plain_suite.body(RUBRIC)
    (root / "conftest.py").write_text(CONFTEST)
    code = """
import sys, pytest
assert pytest.main(["-q", "-p", "no:xdist", "-p", "no:hypothesispytest", "-p", "no:asyncio", "."]) == 0
heavy = {"deepeval", "openai", "wordllama", "tokenizers", "safetensors"}
print("LOADED", sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
