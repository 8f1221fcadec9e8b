"""Hold what a plan says, and that it calls, runs and writes nothing, with real pytest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_llmops.project import Project
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.settings import Settings

IN_PROCESS = ("-p", "no:xdist")

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"
PLAN = "--llmops-plan"

INTERRUPTED = 2
USAGE_ERROR = 4

BESIDE = """

def test_plain():
    raise AssertionError("a plan runs nothing")
"""

JUDGED = """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_judge("Is it polite?", model="scripted:judge")
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""


def saved(suite: Any, *arguments: str) -> None:
    # In one process: how workers store is told elsewhere.
    result = replace(suite, workers=IN_PROCESS).run(SAVE, *arguments)
    assert result.ret == 0, result.stdout.str()
    assert suite.calls


def told(result: Any) -> str:
    """Return the output with its broken lines joined."""
    return " ".join(line.strip() for line in result.outlines)


def files(suite: Any) -> dict[str, bytes]:
    """Return all files of the project, but for what pytest and Python keep for themselves."""
    own = {".pytest_cache", "__pycache__"}
    paths = [path for path in suite.root.rglob("*") if path.is_file() and not own & set(path.parts)]
    return {str(path.relative_to(suite.root)): path.read_bytes() for path in paths}


def test_a_plan_calls_runs_and_writes_nothing(suite: Any) -> None:
    suite.body((suite.root / "test_items.py").read_text() + BESIDE)
    before = files(suite)
    result = suite.run(PLAN, SAVE)
    assert result.ret == 0
    assert files(suite) == before
    assert not (suite.root / ".llmops").exists()
    result.assert_outcomes()
    result.stdout.fnmatch_lines(
        [
            "collected 21 items",
            "llmops plan: 1 test, 20 calls for answers; nothing was called",
            "test_items.py::test_items",
            "  20 cases x 1 answer by scripted:model: 0 answers at hand, 20 calls to make",
            "  no stored baseline, so nothing tells what it could see",
        ]
    )
    assert "= FAILURES =" not in result.stdout.str()


def test_a_plan_says_what_the_stored_noise_lets_it_see_and_what_the_margin_takes(suite: Any) -> None:
    suite.prompt(wrong=range(4))
    saved(suite)
    suite.prompt(say="Reply.")
    before = files(suite)
    result = suite.run(PLAN, COMPARE)
    assert result.ret == 0
    assert files(suite) == before
    result.stdout.fnmatch_lines(["llmops plan: 1 test, 20 calls for answers; nothing was called"])
    text = told(result)
    assert "20 calls to make, about 160 tokens in and 20 out, cost unknown, going by the stored run" in text
    assert "passed: 20 paired cases would show a drop of " in text
    assert " percentage points or more, 4 times in 5; to tell a drop of 5.0 percentage points takes " in text
    assert " cases are cheaper" in text or " repeats are cheaper" in text
    assert "one answer a case, which does not tell its noise: the worst is assumed" in text
    assert suite.calls == []


def test_a_plan_is_what_the_run_then_does(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(say="Reply.")
    suite.run(COMPARE, "-k", "item-1")
    assert len(suite.calls) == 11
    result = suite.run(PLAN, COMPARE)
    result.stdout.fnmatch_lines(
        ["  20 cases x 1 answer by scripted:model: 11 answers at hand, 9 calls to make, *"]
    )
    suite.run(COMPARE)
    assert len(suite.calls) == 9
    suite.run(PLAN, COMPARE, "--llmops-cache=refresh").stdout.fnmatch_lines(
        ["*: 0 answers at hand, 20 calls*"]
    )


def test_an_unchanged_prompt_has_all_its_answers_at_hand(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    result = suite.run(PLAN, COMPARE)
    result.stdout.fnmatch_lines(
        [
            "llmops plan: 1 test, 0 calls for answers; nothing was called",
            "  20 cases x 1 answer by scripted:model: 20 answers at hand, 0 calls to make",
        ]
    )
    result.stdout.no_fnmatch_line("*tokens*")


def test_an_answer_that_could_not_be_stored_is_not_at_hand(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(cut=[3])
    saved(suite)
    result = suite.run(PLAN, COMPARE)
    result.stdout.fnmatch_lines(["*: 19 answers at hand, 1 call to make*"])
    suite.run(COMPARE)
    assert suite.calls == ["3"]


def test_repeats_see_more_and_cost_more(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(wrong=range(4))
    saved(suite)
    suite.prompt(say="Reply.")
    once, thrice = (told(suite.run(PLAN, COMPARE, *more)) for more in ([], ["--llmops-repeat=3"]))
    assert "20 cases x 3 answers by scripted:model: 0 answers at hand, 60 calls to make" in thrice
    assert _seen(thrice) < _seen(once)
    assert suite.calls == []


def _seen(text: str) -> float:
    return float(text.partition("would show a drop of ")[2].split()[0])


def test_a_baseline_with_repeats_tells_its_noise(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(wrong=range(4))
    saved(suite, "--llmops-repeat=2")
    suite.prompt(say="Reply.")
    text = told(suite.run(PLAN, COMPARE, "--llmops-repeat=2"))
    assert "passed: 20 paired cases would show a drop of " in text
    assert "the worst is assumed" not in text


def test_a_wide_margin_is_enough(plain_suite: Any) -> None:
    saved(plain_suite)
    plain_suite.prompt(say="Reply.")
    text = told(plain_suite.run(PLAN, COMPARE, "--llmops-margin=0.6"))
    assert "; that is enough for the margin of 60.0 percentage points" in text


def test_only_chosen_cases_are_planned(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(say="Reply.")
    for chosen, count in ((["-k", "item-1"], 11), (["--llmops-limit=7"], 7)):
        result = suite.run(PLAN, COMPARE, *chosen)
        result.stdout.fnmatch_lines(
            [f"  {count} cases x 1 answer by *: 0 answers at hand, {count} calls to *"]
        )
        assert f"passed: {count} paired cases would show" in told(result)


def test_new_rows_are_asked_and_not_paired(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.golden(range(25))
    text = told(suite.run(PLAN, COMPARE))
    assert (
        "25 cases x 1 answer by scripted:model: 20 answers at hand, 5 calls to make, about 15 tokens in"
        in text
    )
    assert "passed: 20 paired cases would show" in text


def test_two_tests_that_ask_the_same_are_planned_to_ask_once(plain_suite: Any) -> None:
    suite = plain_suite
    (suite.root / "test_others.py").write_text((suite.root / "test_items.py").read_text())
    result = suite.run(PLAN)
    result.stdout.fnmatch_lines(
        [
            "llmops plan: 2 tests, 20 calls for answers; nothing was called",
            "test_items.py::test_items",
            "  20 cases *: 0 answers at hand, 20 calls to make",
            "test_others.py::test_items",
            "  20 cases *: 20 answers at hand, 0 calls to make",
        ]
    )
    suite.run()
    assert len(suite.calls) == 20


def test_a_live_control_is_planned_beside_the_candidate(plain_suite: Any) -> None:
    suite = plain_suite
    registry = Project(Path(suite.root), Settings()).registry
    prompt = read_prompt(Path(suite.root) / "prompts" / "ask.prompt.yml")
    registry.alias("ask", "live", registry.register(prompt))
    live = "--llmops-baseline=alias:live"
    # The same version on both sides is asked once.
    suite.run(PLAN, live).stdout.fnmatch_lines(["llmops plan: 1 test, 20 calls for answers; *"])
    suite.prompt(say="Reply.")
    text = told(suite.run(PLAN, live))
    assert (
        "20 cases x 1 answer by scripted:model and 20 answers beside them: 0 answers at hand, 40 calls"
        in text
    )
    assert suite.calls == []


def test_a_canary_is_planned_as_calls(plain_suite: Any) -> None:
    saved(plain_suite)
    result = plain_suite.run(PLAN, COMPARE, "--llmops-canary=8")
    text = told(result)
    assert (
        "and 8 answers beside them: 20 answers at hand, 8 calls to make, about 24 tokens in and 8 out" in text
    )
    assert plain_suite.calls == []


def test_calls_of_judges_are_counted(plain_suite: Any) -> None:
    plain_suite.body(JUDGED)
    result = plain_suite.run(PLAN)
    assert "20 calls for answers, at most 20 calls to judges; nothing was called" in told(result)


def test_a_metric_that_is_not_gated_is_not_planned_for(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(
        (suite.root / "test_items.py")
        .read_text()
        .replace("def test_items", '@pytest.mark.llm_metric("regex", value="^yes")\ndef test_items')
    )
    saved(suite)
    suite.prompt(say="Reply.")
    both = told(suite.run(PLAN, COMPARE))
    assert "passed: 20 paired cases" in both
    assert "regex: 20 paired cases" in both
    one = told(suite.run(PLAN, COMPARE, "--llmops-gate=regex"))
    assert "passed: 20 paired cases" not in one
    assert "regex: 20 paired cases" in one


def test_a_broken_file_interrupts_the_plan(suite: Any) -> None:
    (suite.root / "test_broken.py").write_text("import nothing_of_this_name\n")
    result = suite.run(PLAN)
    assert result.ret == INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR collecting test_broken.py*", "*Interrupted: 1 error* during collection*"]
    )
    assert "INTERNALERROR" not in result.stdout.str()
    assert suite.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--llmops-baseline=prodution"], "*stores no baseline 'prodution'. Did you mean 'production'?"),
        ([COMPARE, "--llmops-gate=pased"], "*no test measures 'pased'. Did you mean 'passed'?"),
        (["--llmops-baseline=alias:prod"], "*registers no prompt with the alias 'prod'. *"),
    ],
)
def test_a_wrong_name_is_a_usage_error_of_the_plan_too(
    plain_suite: Any, arguments: list[str], message: str
) -> None:
    saved(plain_suite)
    result = plain_suite.run(PLAN, *arguments)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert plain_suite.calls == []


def test_a_session_without_eval_tests_has_nothing_to_plan(plain_suite: Any) -> None:
    plain_suite.body("def test_plain():\n    raise AssertionError\n")
    result = plain_suite.run(PLAN)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["llmops plan: 0 tests, 0 calls for answers; nothing was called"])


def test_a_stricter_session_could_see_less(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    usual, strict = (told(suite.run(PLAN, COMPARE, *more)) for more in ([], ["--llmops-alpha=0.01"]))
    smallest = [float(text.partition("would show a drop of ")[2].split()[0]) for text in (usual, strict)]
    assert smallest[0] < smallest[1]
