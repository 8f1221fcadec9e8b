"""Hold the check whether the model behind a stored baseline has moved, with real pytest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

IN_PROCESS = ("-p", "no:xdist")

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"
CANARY = "--llmops-canary=8"

USAGE_ERROR = 4

MOVED = '''
import os
import re

from pytest_llmops import FatalCallError, Response, ScriptedProvider


def reply(request):
    """Be a model that moves: the environment says up to which item it answers otherwise."""
    item = request.messages[-1]["content"].rpartition("Item ")[2].strip()
    with open(os.environ["CALLS"], "a") as file:
        file.write(item + "\\n")
    if int(item) < int(os.environ.get("LOST", 0)):
        raise FatalCallError("status 401: no")
    if int(item) < int(os.environ.get("WORDY", 0)):
        return "yes indeed"
    return "no" if int(item) < int(os.environ.get("MOVED", 0)) else "yes"


def pytest_llmops_provider(name):
    return ScriptedProvider(reply) if name == "scripted" else None
'''

LOOSE = """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case):
    assert llm_case.text.startswith("yes")
"""


@pytest.fixture
def movable(plain_suite: Any) -> Any:
    """Return a suite in one process whose model can move, with a stored baseline."""
    return prepared(plain_suite)


def prepared(suite: Any) -> Any:
    suite.pytester.makeconftest(MOVED)
    suite.body(LOOSE)
    # In one process: how workers store is told elsewhere.
    result = replace(suite, workers=IN_PROCESS).run(SAVE)
    assert result.ret == 0, result.stdout.str()
    assert len(suite.calls) == 20
    return suite


def ours(result: Any) -> list[str]:
    """Return our part of the output, first line first, without empty lines."""
    lines = [line for line in result.outlines if line]
    start = next(index for index, line in enumerate(lines) if line.strip("=") == " llmops ")
    return lines[start + 1 :]


def test_where_nothing_moved_one_calm_line_says_so_at_the_end(suite: Any, monkeypatch: Any) -> None:
    prepared(suite)
    result = suite.run(COMPARE, CANARY)
    assert result.ret == 0
    lines = ours(result)
    assert lines[0].startswith("llmops: 1 unchanged vs production (20 cases, 8 calls, ")
    result.stdout.fnmatch_lines(
        [
            "*passed *unchanged",
            "canary of test_items.py::test_items: 8 stored cases asked again, no score moved beyond *",
            "8 calls made, 20 answers from the cache, *",
        ]
    )
    # Each drawn case is asked once, whoever runs it; the candidate's answers are the stored ones.
    first = suite.calls
    assert len(first) == len(set(first)) == 8
    # The draw is fixed, and the next session asks again.
    assert suite.run(COMPARE, CANARY).ret == 0
    assert sorted(suite.calls) == sorted(first)


def test_a_move_is_the_first_line_and_leaves_the_exit_status_alone(suite: Any, monkeypatch: Any) -> None:
    prepared(suite)
    monkeypatch.setenv("MOVED", "20")
    result = suite.run(COMPARE, CANARY)
    assert result.ret == 0
    result.assert_outcomes(passed=20)
    told = " ".join(line.strip() for line in ours(result))
    assert told.startswith(
        "the model has moved, not the prompt alone: scripted:model answers the baseline's own prompt "
        "otherwise than when it was stored (passed 100.0 % -> 0.0 %, p = 0.0"
    )
    assert (
        "; 8 of 8 answers differ) canary of test_items.py::test_items: 8 stored cases asked again; " in told
    )
    assert told.index("store the baseline again") < told.index("llmops: 1 unchanged vs production")
    # A prompt that did not change keeps its stored answers.
    assert len(suite.calls) == 8


def test_a_move_for_the_better_is_a_move(plain_suite: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MOVED", "20")
    movable = prepared(plain_suite)
    monkeypatch.delenv("MOVED")
    result = movable.run(COMPARE, "--llmops-canary=20")
    assert result.ret == 0
    assert ours(result)[0].startswith("the model has moved")


def test_what_the_canary_found_does_not_replace_what_is_known(movable: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MOVED", "20")
    before = movable.stored()
    movable.run(COMPARE, CANARY)
    assert movable.stored() == before
    movable.calls  # noqa: B018
    result = movable.run(COMPARE)
    assert movable.calls == []
    result.stdout.fnmatch_lines(["llmops: 1 unchanged vs production*"])
    result.stdout.no_fnmatch_line("*moved*")


def test_a_moved_model_is_told_apart_from_a_prompt_that_changed(movable: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MOVED", "20")
    movable.prompt(say="Reply.")
    result = movable.run(COMPARE, CANARY)
    assert result.ret == 1
    lines = ours(result)
    assert lines[0].startswith("the model has moved")
    assert any(line.startswith("llmops: 1 regressed vs production") for line in lines)
    assert len(movable.calls) == 28


def test_other_words_with_the_same_score_are_no_move(movable: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("WORDY", "20")
    result = movable.run(COMPARE, CANARY)
    assert ours(result)[0].startswith("llmops: 1 unchanged")
    told = " ".join(line.strip() for line in ours(result))
    assert "8 stored cases asked again, no score moved beyond chance; 8 of 8 answers differ" in told


def test_a_move_within_chance_comes_with_what_would_be_seen(movable: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MOVED", "1")
    told = " ".join(line.strip() for line in ours(movable.run(COMPARE, "--llmops-canary=20")))
    assert "no score moved beyond chance; 1 of 20 answers differ; passed would show a move of " in told


def test_a_canary_larger_than_the_set_asks_all_of_it(movable: Any) -> None:
    movable.run(COMPARE, "--llmops-canary=500").stdout.fnmatch_lines(
        ["canary *: 20 stored cases asked again*"]
    )
    assert sorted(movable.calls, key=int) == [str(n) for n in range(20)]


def test_a_canary_of_a_few_cases_says_that_they_are_too_few(movable: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("MOVED", "20")
    result = movable.run(COMPARE, "--llmops-canary=4")
    assert result.ret == 0
    told = " ".join(line.strip() for line in ours(result))
    assert "4 of 4 answers differ; passed: too few cases" in told
    assert len(movable.calls) == 4


def test_cases_that_the_canary_lost_are_counted(movable: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOST", "20")
    result = movable.run(COMPARE, "--llmops-canary=20")
    assert result.ret == 0
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(
        ["canary of test_items.py::test_items: 0 stored cases asked again, 20 not meas*"]
    )


def test_what_breaks_on_an_answer_of_the_canary_fails_no_test(plain_suite: Any, monkeypatch: Any) -> None:
    suite = prepared(plain_suite)
    suite.body(LOOSE.replace('llm_case.text.startswith("yes")', '{"yes": 1}[llm_case.text]'))
    suite.run(SAVE)
    monkeypatch.setenv("MOVED", "20")
    result = suite.run(COMPARE, CANARY)
    assert result.ret == 0
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(["canary of test_items.py::test_items: 0 stored cases asked again, 8 not *"])


def test_repeats_do_not_multiply_the_canary(movable: Any) -> None:
    movable.run(COMPARE, CANARY, "--llmops-repeat=2")
    # 20 second answers of the candidate, and 8 cases once.
    assert len(movable.calls) == 28


def test_a_canary_needs_a_stored_baseline(movable: Any) -> None:
    for arguments in ([], ["--llmops-baseline=alias:production"]):
        result = movable.run(CANARY, *arguments)
        assert result.ret == USAGE_ERROR
        result.stderr.fnmatch_lines(
            ["ERROR: --llmops-canary asks a stored baseline's prompt again: name one *"]
        )
    assert movable.calls == []


def test_a_canary_cannot_be_offline(movable: Any) -> None:
    result = movable.run(COMPARE, CANARY, "--llmops-cache=offline")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --llmops-canary must call the model, and --llmops-cache=offline *"])
    assert movable.calls == []


def test_a_prompt_version_that_is_gone_cannot_be_asked_and_that_is_told(plain_suite: Any) -> None:
    suite = plain_suite
    prepared(suite)
    shutil.rmtree(suite.root / ".llmops" / "prompts")
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, CANARY)
    assert result.ret == 0
    told = " ".join(line.strip() for line in ours(result))
    assert "no canary of test_items.py::test_items: the registry does not hold ask:" in told
    assert len(suite.calls) == 20


def test_a_session_without_stored_cases_has_no_canary_and_says_so(movable: Any) -> None:
    movable.golden(range(30))
    result = movable.run(COMPARE, CANARY, "-k", "item-25")
    result.stdout.fnmatch_lines(["no canary of test_items.py::test_items: none of the baseline's cases ran"])
    assert movable.calls == ["25"]


def test_cases_are_drawn_from_those_that_run(movable: Any) -> None:
    movable.run(COMPARE, CANARY, "-k", "item-1")
    assert len(movable.calls) == 8
    movable.run(COMPARE, CANARY, "--llmops-limit=3")
    assert sorted(movable.calls) == ["0", "1", "2"]


def test_with_no_baseline_stored_yet_there_is_none_to_ask(plain_suite: Any) -> None:
    result = plain_suite.run(COMPARE, CANARY)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["no baseline is stored yet, so thresholds decide: *"])
    assert len(plain_suite.calls) == 20
