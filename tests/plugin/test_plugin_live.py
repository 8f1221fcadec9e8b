"""Hold the comparison with an alias that answers in the same session, with real pytest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pytest_llmops.project import Project
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.settings import Settings

SAVE = "--llmops-save-baseline=production"
LIVE = "--llmops-baseline=alias:production"

USAGE_ERROR = 4

TIMED = """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("latency")
def test_items(llm_case):
    assert {body}
"""


def put_live(suite: Any, alias: str = "production", name: str = "ask") -> None:
    """Register the prompt as it is now, and point the alias at it."""
    registry = Project(Path(suite.root), Settings()).registry
    prompt = read_prompt(Path(suite.root) / "prompts" / f"{name}.prompt.yml")
    registry.alias(name, alias, registry.register(prompt))


def twice(numbers: range) -> Counter[str]:
    return Counter({str(n): 2 for n in numbers})


def test_both_versions_answer_each_case_once_and_a_drop_is_red(suite: Any) -> None:
    suite.prompt(wrong=[3])
    put_live(suite)
    suite.prompt(wrong=range(12))
    result = suite.run(LIVE)
    assert result.ret == 1
    result.assert_outcomes(passed=8, xfailed=12, failed=1)
    assert Counter(suite.calls) == twice(range(20))
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 regressed vs alias:production (20 cases, 40 calls, *",
            "*passed *20 *95.0 % *40.0 % *-55.0 pp* regressed",
            "*prompt changed: ask *",
            "  | - Answer. Wrong: 3. Item {{ n }}",
            "*FAILED test_items.py::test_items::llmops[[]passed[]] - passed regressed against alias:*",
        ]
    )


def test_an_improvement_is_green_and_nothing_is_stored_of_it(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(wrong=range(12))
    put_live(suite)
    suite.prompt(say="Reply.")
    before = suite.stored()
    result = suite.run(LIVE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["llmops: 1 improved vs alias:production *"])
    assert suite.stored() == before


def test_a_mistyped_alias_is_a_usage_error_with_the_closest(plain_suite: Any) -> None:
    put_live(plain_suite)
    result = plain_suite.run("--llmops-baseline=alias:prodution")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: * registers no prompt with the alias 'prodution'. Did you mean 'production'?"]
    )
    assert plain_suite.calls == []


def test_an_alias_without_a_name_is_a_usage_error(plain_suite: Any) -> None:
    result = plain_suite.run("--llmops-baseline=alias:")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --llmops-baseline=alias: names no alias*"])


def test_where_nothing_is_registered_the_alias_is_unknown(plain_suite: Any) -> None:
    result = plain_suite.run(LIVE)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: * registers no prompt with the alias 'production'. None is known."])
    assert plain_suite.calls == []


def test_a_prompt_without_the_alias_is_new_and_thresholds_decide(plain_suite: Any) -> None:
    suite = plain_suite
    put_live(suite)
    prompts = suite.root / "prompts"
    suite.prompt(wrong=[3])
    (prompts / "ask.prompt.yml").rename(prompts / "other.prompt.yml")
    suite.body((suite.root / "test_items.py").read_text().replace('"ask"', '"other"'))
    result = suite.run(LIVE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(
        ["new, so thresholds decide: alias:production holds no run of test_items.py::test_items"]
    )
    assert len(suite.calls) == 20


def test_the_same_version_on_both_sides_is_unchanged_and_asked_once(suite: Any) -> None:
    suite.prompt(wrong=[3])
    put_live(suite)
    result = suite.run(LIVE)
    assert result.ret == 0
    result.assert_outcomes(passed=19, xfailed=1)
    result.stdout.fnmatch_lines(["llmops: 1 unchanged vs alias:production (20 cases, 20 calls, *"])
    assert sorted(suite.calls, key=int) == [str(n) for n in range(20)]


def test_latency_may_be_gated_where_both_sides_answer_today(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TIMED.format(body="llm_case.text"))
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE, "--llmops-gate=latency")
    # The times are what they are: only a verdict is sure.
    result.stdout.no_fnmatch_line("*not comparable*")
    assert [line for line in result.outlines if line.split()[:2] == ["latency", "20"] and "(" not in line]


def test_latency_of_answers_from_the_cache_is_not_comparable(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TIMED.format(body="llm_case.text"))
    put_live(suite)
    suite.prompt(say="Reply.")
    suite.run(LIVE, "-k", "item-1")
    result = suite.run(LIVE, "--llmops-gate=latency")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 not comparable vs alias:production *",
            "*latency: not comparable, 22 answers are from an earlier session, and so is the time*",
        ]
    )
    assert suite.run(LIVE, "--llmops-gate=latency", "--llmops-strict").ret == 1
    result = suite.run(LIVE, "--llmops-gate=latency", "--llmops-cache=refresh")
    result.stdout.no_fnmatch_line("*not comparable*")


def test_a_call_that_the_control_lost_is_not_measured_and_counted(suite: Any) -> None:
    suite.prompt(lost=[4])
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE)
    assert result.ret == 0
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 inconclusive vs alias:production (19 cases, 1 not measured, *",
            "  not measured: 1 answer, lost to faults of a provider or a judge",
            "  left out, missing (status 401: no (request id req-4)): 1 case, item-4",
        ]
    )


def test_too_many_lost_calls_of_the_control_are_red(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(lost=[4, 5])
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE)
    assert result.ret == 1
    result.assert_outcomes(passed=20, failed=1)
    result.stdout.fnmatch_lines(["*FAILED *llmops[[]unmeasured[]]*2 of 20 cases could not be measured*"])


def test_lost_calls_of_both_sides_count_a_case_once(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(lost=[4])
    put_live(suite)
    suite.prompt(lost=[4], say="Reply.")
    result = suite.run(LIVE)
    assert result.ret == 0
    result.assert_outcomes(passed=19, skipped=1)


def test_an_unusable_answer_of_the_control_scores_worst(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(cut=range(12))
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*passed *20 *40.0 % *100.0 %* improved"])


def test_a_miss_of_the_control_fails_no_test(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TIMED.format(body='llm_case.json["label"] if llm_case.text == "no" else True'))
    suite.prompt(wrong=range(12))
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE)
    assert result.ret == 0
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(["*passed *20 *40.0 % *100.0 %* improved"])


def test_what_breaks_on_the_answer_of_the_control_leaves_its_case_out(suite: Any) -> None:
    suite.body(TIMED.format(body='{"yes": 1}[llm_case.text]'))
    suite.prompt(wrong=[2])
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE)
    assert result.ret == 0
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(
        ["  left out, missing (the body on the control's answer: KeyError: 'no'): 1 case, item-2"]
    )


def test_what_breaks_on_the_answer_of_the_candidate_is_red(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TIMED.format(body='{"yes": 1}[llm_case.text]'))
    put_live(suite)
    suite.prompt(wrong=[2])
    result = suite.run(LIVE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*FAILED test_items.py::test_items[[]item-2[]] - KeyError: 'no'*"])


def test_a_body_that_skips_the_answer_of_the_control_still_sees_that_of_the_candidate(
    plain_suite: Any,
) -> None:
    suite = plain_suite
    suite.body(TIMED.format(body='llm_case.text == "yes" or pytest.skip("unclear")'))
    suite.prompt(wrong=[2])
    put_live(suite)
    suite.prompt(say="Reply.")
    result = suite.run(LIVE)
    result.assert_outcomes(passed=20)
    result.stdout.fnmatch_lines(["  left out, missing (*Skipped: unclear): 1 case, item-2"])


def test_repeats_are_asked_on_both_sides(plain_suite: Any) -> None:
    suite = plain_suite
    put_live(suite)
    suite.prompt(wrong=range(12))
    result = suite.run(LIVE, "--llmops-repeat=2")
    assert result.ret == 1
    assert Counter(suite.calls) == Counter({str(n): 4 for n in range(20)})
    result.stdout.fnmatch_lines(["*passed *20 *100.0 % *40.0 %* regressed"])


def test_a_baseline_may_be_stored_beside_a_live_control(plain_suite: Any) -> None:
    suite = plain_suite
    put_live(suite)
    suite.prompt(wrong=[3])
    result = suite.run(LIVE, SAVE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["saved as production: test_items.py::test_items (20 results, *"])
    result.stdout.no_fnmatch_line("*is reused*")
    runs = [text for path, text in suite.stored().items() if path.startswith("runs/") and "meta" not in path]
    assert len(runs) == 1
    # It is the candidate's answers that are stored.
    assert runs[0].count(b'"output":"no"') == 1
    suite.calls  # noqa: B018
    result = suite.run("--llmops-baseline=production")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["llmops: 1 unchanged vs production (20 cases, 0 calls, *"])


def test_a_candidate_that_regressed_is_not_stored(plain_suite: Any) -> None:
    suite = plain_suite
    put_live(suite)
    before = suite.stored()
    suite.prompt(wrong=range(12))
    result = suite.run(LIVE, SAVE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["not saved as production: test_items.py::test_items: it regressed *"])
    assert suite.stored() == before


def test_slices_and_their_gate_work_with_a_live_control(plain_suite: Any) -> None:
    suite = plain_suite
    suite.golden(range(20), tags=["all"])
    put_live(suite)
    suite.prompt(wrong=range(12))
    result = suite.run(LIVE, "--llmops-gate=passed@all")
    assert result.ret == 1
    result.assert_outcomes(passed=8, xfailed=12, failed=2)
