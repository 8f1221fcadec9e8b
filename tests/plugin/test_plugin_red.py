"""Hold every sentence about what makes the build red, with real pytest, with and without workers."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"

USAGE_ERROR = 4


def saved(suite: Any) -> None:
    result = suite.run(SAVE)
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(["*saved as production: test_items.py::test_items*"])


def test_without_a_baseline_a_miss_fails_like_any_test(suite: Any) -> None:
    suite.prompt(wrong=[3])
    result = suite.run()
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*FAILED test_items.py::test_items[[]item-3[]]*"])


def test_without_a_baseline_a_provider_fault_is_an_error_of_the_set_up(suite: Any) -> None:
    suite.prompt(lost=[3])
    result = suite.run()
    assert result.ret == 1
    result.assert_outcomes(passed=19, errors=1)
    result.stdout.fnmatch_lines(["*case 'item-3': status 401: no (request id req-3)*"])


def test_while_saving_a_miss_is_stored_and_not_red(suite: Any) -> None:
    suite.prompt(wrong=[3])
    result = suite.run(SAVE, "-rx")
    assert result.ret == 0
    result.assert_outcomes(passed=19, xfailed=1)
    result.stdout.fnmatch_lines(["*saved as production*", "*XFAIL*item-3*missed passed*"])


def test_a_regression_is_one_failed_report_and_its_cases_are_xfailed(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=range(10))
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=10, xfailed=10, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*passed*20*100.0 %*50.0 %*-50.0 pp*regressed*",
            "*FAILED test_items.py::test_items::llmops[[]passed[]] - passed regressed against production*",
        ]
    )


def test_a_small_change_is_not_red(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=[3])
    result = suite.run(COMPARE)
    assert result.ret == 0
    result.assert_outcomes(passed=19, xfailed=1)
    result.stdout.fnmatch_lines(["*passed*95.0 %*inconclusive*"])


def test_inconclusive_is_red_when_strict(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=[3])
    result = suite.run(COMPARE, "--llmops-strict")
    assert result.ret == 1
    result.assert_outcomes(passed=19, xfailed=1, failed=1)


def test_four_cases_that_all_fall_are_red(suite: Any) -> None:
    suite.golden(range(4))
    saved(suite)
    suite.prompt(wrong=range(4))
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*too few cases*"])


def test_a_broken_body_while_saving_is_red_and_saves_nothing(suite: Any) -> None:
    suite.body(
        """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case):
    assert llm_case.text == expectted
"""
    )
    result = suite.run(SAVE)
    assert result.ret == 1
    result.assert_outcomes(failed=20)
    result.stdout.fnmatch_lines(
        ["*not saved as production: test_items.py::test_items: 20 of 20 cases gave no result*"]
    )
    assert not (suite.root / ".llmops" / "refs").exists()


def test_a_broken_body_is_never_xfailed(suite: Any) -> None:
    saved(suite)
    suite.body(
        """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case):
    assert llm_case.text == llm_case.expectted
"""
    )
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(failed=20)


def test_a_new_row_that_misses_is_red(suite: Any) -> None:
    saved(suite)
    suite.golden(range(21))
    suite.prompt(wrong=[20])
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=20, failed=1)
    result.stdout.fnmatch_lines(["*FAILED*item-20*"])


def test_an_edited_row_that_misses_is_red(suite: Any) -> None:
    saved(suite)
    path = suite.root / "golden" / "items.jsonl"
    path.write_text(path.read_text().replace('"n": 7}', '"n": 77}'))
    suite.prompt(wrong=[77])
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*FAILED*item-7*"])


def test_a_new_test_that_misses_is_red(suite: Any) -> None:
    saved(suite)
    suite.body((suite.root / "test_items.py").read_text().replace("def test_items", "def test_others"))
    suite.prompt(wrong=[3])
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*new*production holds no run of test_items.py::test_others*"])


def test_a_mistyped_baseline_name_is_a_usage_error(suite: Any) -> None:
    saved(suite)
    result = suite.run("--llmops-baseline=prodution")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR:*stores no baseline 'prodution'. Did you mean 'production'?*"])
    assert len(suite.calls) == 20


def test_with_no_baseline_at_all_thresholds_decide(suite: Any) -> None:
    suite.prompt(wrong=[3])
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*no baseline is stored yet, so thresholds decide*"])


def test_with_no_baseline_at_all_one_can_be_required(suite: Any) -> None:
    result = suite.run(COMPARE, "--llmops-require-baseline")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR:*stores no baseline at all*--llmops-save-baseline=production*"])


@pytest.mark.parametrize(
    "partial", [["-k", "item-1"], ["--llmops-limit=7"], ["--deselect", "test_items.py::test_items[item-5]"]]
)
def test_saving_refuses_a_partial_run(suite: Any, partial: list[str]) -> None:
    saved(suite)
    before = suite.stored()
    suite.prompt(say="Reply.")
    result = suite.run(SAVE, *partial)
    result.stdout.fnmatch_lines(["*not saved as production: test_items.py::test_items: * did not run*"])
    assert suite.stored() == before


def test_a_partial_run_that_would_save_does_not_hide_its_misses(suite: Any) -> None:
    suite.prompt(wrong=[11])
    result = suite.run(SAVE, "-k", "item-1")
    assert result.ret == 1
    result.assert_outcomes(passed=10, failed=1)


def test_saving_refuses_a_run_that_stopped_early(suite: Any) -> None:
    suite.prompt(lost=[0])
    result = suite.run(SAVE, "-x")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*stopped early: nothing was compared or saved*"])
    assert not (suite.root / ".llmops" / "refs").exists()


def test_saving_replaces_complete_tests_and_leaves_others_alone(suite: Any) -> None:
    (suite.root / "test_others.py").write_text((suite.root / "test_items.py").read_text())
    assert suite.run(SAVE).ret == 0
    before = suite.stored()
    suite.prompt(say="Reply.")
    assert suite.run(SAVE, "test_items.py").ret == 0
    after = suite.stored()
    assert before.items() <= after.items()
    moves = [
        json.loads(text) for path, text in after.items() if path.startswith("refs/") and path not in before
    ]
    assert [move["ref"] for move in moves] == ["baselines/production/test_items.py::test_items"]


def test_runxfail_shows_misses_as_failures(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=[3])
    result = suite.run(COMPARE, "--runxfail")
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)


def test_one_lost_call_in_twenty_is_skipped_and_not_saved(suite: Any) -> None:
    saved(suite)
    before = suite.stored()
    suite.prompt(lost=[4])
    result = suite.run(COMPARE, SAVE, "-rs")
    assert result.ret == 0
    result.assert_outcomes(passed=19, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*not saved as production*1 of 20 cases*",
            "*SKIPPED*not measured: status 401: no (request id req-4)*",
        ]
    )
    assert suite.stored() == before


def test_many_lost_calls_are_unmeasured_and_red(suite: Any) -> None:
    saved(suite)
    suite.prompt(lost=[4, 5])
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=18, skipped=2, failed=1)
    result.stdout.fnmatch_lines(["*FAILED test_items.py::test_items::llmops[[]unmeasured[]]*2 of 20 cases*"])


def test_an_unusable_answer_scores_worst(suite: Any) -> None:
    saved(suite)
    suite.prompt(cut=range(10))
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=10, xfailed=10, failed=1)
    result.stdout.fnmatch_lines(["*passed*100.0 %*50.0 %*regressed*"])


def test_lf_runs_the_newly_failing_cases(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=range(10))
    assert suite.run(COMPARE).ret == 1
    result = suite.run("--lf")
    assert result.ret == 1
    result.assert_outcomes(failed=10)


def test_junit_counts_the_regression_as_one_failure(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=range(10))
    suite.run(COMPARE, "--junit-xml=out.xml")
    root = ET.parse(suite.root / "out.xml").getroot().find("testsuite")
    assert root is not None
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "21", "failures": "1", "errors": "0", "skipped": "10"}
    failed = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["llmops[passed]"]


def test_save_and_compare_in_one_session_saves_only_what_did_not_regress(suite: Any) -> None:
    saved(suite)
    before = suite.stored()
    suite.prompt(wrong=range(10))
    result = suite.run(COMPARE, SAVE)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*not saved as production*regressed*"])
    assert suite.stored() == before
    suite.prompt(wrong=[3])
    assert suite.run(COMPARE, SAVE).ret == 0
    assert suite.stored() != before


def test_required_markers_fail_their_cases_always(suite: Any) -> None:
    suite.body(
        """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("exact", value="yes", required=True)
def test_items(llm_case):
    ...
"""
    )
    saved(suite)
    suite.prompt(wrong=[3])
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)


def test_a_changed_body_is_not_comparable_until_the_stored_outputs_are_scored_again(suite: Any) -> None:
    suite.prompt(wrong=[3])
    saved(suite)
    suite.body((suite.root / "test_items.py").read_text() + "    assert llm_case.text\n")
    result = suite.run(COMPARE)
    assert result.ret == 1
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(["*not comparable*", "*body has changed*--llmops-rescore*"])
    result = suite.run(COMPARE, "--llmops-rescore")
    assert result.ret == 0
    result.assert_outcomes(passed=19, xfailed=1)
    result.stdout.fnmatch_lines(["*passed*unchanged*"])


def test_the_same_answers_with_other_scores_are_not_comparable(suite: Any) -> None:
    suite.body(
        """
import pytest
from judge import right

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
def test_items(llm_case):
    assert right(llm_case)
"""
    )
    judge = suite.root / "judge.py"
    judge.write_text("def right(case):\n    return True\n")
    saved(suite)
    judge.write_text("def right(case):\n    return case.id != 'item-3'\n")
    result = suite.run(COMPARE, "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*not comparable*", "*same answer*item-3*"])
    result = suite.run(COMPARE, "--llmops-rescore")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*unchanged*"])


def test_own_text_metrics_are_scored_again_without_asking(suite: Any) -> None:
    metric = """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("regex", value="{}")
def test_items(llm_case):
    ...
"""
    suite.body(metric.format("yes"))
    saved(suite)
    suite.body(metric.format("^yes$"))
    result = suite.run(COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*regex*unchanged*"])


def test_workers_store_the_same_bytes_as_one_process(make_suite: Any) -> None:
    suite = make_suite(("-n0",))
    suite.prompt(wrong=[3, 5])
    saved(suite)
    first = {path: text for path, text in suite.stored().items() if path.startswith(("runs/", "prompts/"))}
    suite.workers = ("-n2",)
    assert suite.run("--llmops-save-baseline=other", "--llmops-cache=refresh").ret == 0
    second = {path: text for path, text in suite.stored().items() if path.startswith(("runs/", "prompts/"))}
    assert first == second
    assert len([path for path in first if path.endswith(".jsonl") and "meta" not in path]) == 1


def test_verbose_shows_every_case_that_got_worse(plain_suite: Any) -> None:
    saved(plain_suite)
    plain_suite.prompt(wrong=[3, 7])
    result = plain_suite.run(COMPARE)
    result.stdout.no_fnmatch_line("*item-3: pass -> fail*")
    result = plain_suite.run(COMPARE, "--llmops-verbose")
    result.stdout.fnmatch_lines(["*item-3: pass -> fail*", "*item-7: pass -> fail*"])


def test_stopping_early_still_shows_what_was_measured(plain_suite: Any) -> None:
    plain_suite.prompt(wrong=[3])
    result = plain_suite.run("-x")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["llmops: 3 of 4 answers passed*", "*passed*4 of 4*75.0 %*"])
