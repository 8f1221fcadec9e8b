"""Hold what turns the build red to what the gate and the margins say, with real pytest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

IN_PROCESS = ("-p", "no:xdist")

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"

USAGE_ERROR = 4
INTERRUPTED = 2

TWO_METRICS = """
import pytest

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric("regex", value="^[a-z]+$")
@pytest.mark.llm_metric("latency")
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""

FAILED = "*FAILED test_items.py::test_items::llmops[[]{}[]]*"


def tagged(suite: Any, tags: dict[str, range]) -> None:
    """Write golden rows whose numbers are those of all tags together."""
    rows = [
        {"id": f"item-{n}", "inputs": {"n": n}, "expected": "yes", "tags": [tag]}
        for tag, numbers in tags.items()
        for n in numbers
    ]
    (suite.root / "golden" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def saved(suite: Any) -> None:
    # In one process: how workers store is told elsewhere.
    result = replace(suite, workers=IN_PROCESS).run(SAVE)
    assert result.ret == 0, result.stdout.str()
    assert suite.calls


def test_a_named_metric_replaces_the_default_gate(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TWO_METRICS)
    saved(suite)
    suite.prompt(wrong=range(10))
    result = suite.run(COMPARE, "--llmops-gate=regex")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 inconclusive vs production (20 cases, 20 calls, *",
            "*passed *100.0 %*50.0 %*(regressed)*",
            "*regex *100.0 %*100.0 %* inconclusive*",
            "(in brackets: not gated, so no change of it fails the build)*",
        ]
    )
    assert "llmops[" not in result.stdout.str()


def test_a_metric_that_is_not_gated_regresses_in_green_and_its_misses_count_no_more(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TWO_METRICS)
    saved(suite)
    suite.prompt(wrong=range(10))
    result = suite.run(COMPARE, "--llmops-gate=regex", "--junit-xml=out.xml")
    assert result.ret == 0
    result.assert_outcomes(passed=10, xfailed=10)
    counts = ET.parse(suite.root / "out.xml").getroot().find("testsuite")
    assert counts is not None
    assert {name: counts.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "20",
        "failures": "0",
        "errors": "0",
        "skipped": "10",
    }
    assert suite.run(COMPARE).ret == 1


def test_several_gated_metrics_share_the_risk(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TWO_METRICS)
    saved(suite)
    suite.prompt(wrong=range(4))
    alone = suite.run(COMPARE, "--llmops-gate=passed", "--llmops-alpha=0.04")
    assert alone.ret == 1
    alone.stdout.fnmatch_lines([FAILED.format("passed")])
    alone.stdout.no_fnmatch_line("*Holm*")
    both = suite.run(COMPARE, "--llmops-gate=passed", "--llmops-gate=regex", "--llmops-alpha=0.04")
    assert both.ret == 0
    both.stdout.fnmatch_lines(
        [
            "Holm's correction covers 2 gated metrics: where nothing changed, at most 4 %*",
            "*suspect: alone, without the correction*",
        ]
    )


def test_a_slice_turns_red_where_the_whole_does_not(suite: Any) -> None:
    tagged(suite, {"easy": range(30), "hard": range(30, 40)})
    suite.prompt(wrong=range(8))
    saved(suite)
    suite.prompt(wrong=range(30, 38))
    result = suite.run(COMPARE, "--llmops-gate=passed@hard", "--junit-xml=out.xml")
    assert result.ret == 1
    result.assert_outcomes(passed=32, xfailed=8, failed=1)
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 regressed, 1 inconclusive vs production (40 cases, *",
            "test_items.py::test_items *passed *40 *80.0 % *80.0 % *0.0 pp* inconclusive",
            "inside slices",
            "*hard *passed *10 *100.0 % *20.0 % *-80.0 pp* regressed",
            "Holm's correction covers 2 gated metrics, 1 slice among them: *",
            FAILED.format("passed@hard").rstrip("*") + " - passed@hard regressed against production*",
        ]
    )
    result.stdout.no_fnmatch_line(FAILED.format("passed"))
    failed = [
        case
        for case in ET.parse(suite.root / "out.xml").iter("testcase")
        if len(case) and case[0].tag == "failure"
    ]
    assert [case.get("name") for case in failed] == ["llmops[passed@hard]"]


def test_the_cases_of_a_red_slice_run_again_with_lf(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite, {"easy": range(30), "hard": range(30, 40)})
    saved(suite)
    suite.prompt(wrong=range(31, 40))
    assert suite.run(COMPARE, "--llmops-gate=passed@hard").ret == 1
    result = suite.run("--lf")
    result.assert_outcomes(failed=9)


def test_a_slice_is_gated_beside_the_default_gate(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite, {"easy": range(30), "hard": range(30, 40)})
    saved(suite)
    suite.prompt(wrong=range(15))
    result = suite.run(COMPARE, "--llmops-gate=passed@hard")
    assert result.ret == 1
    result.stdout.fnmatch_lines([FAILED.format("passed")])
    result.stdout.no_fnmatch_line(FAILED.format("passed@hard"))


def test_a_mistyped_metric_stops_before_the_first_call(suite: Any) -> None:
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, "--llmops-gate=pased@hard")
    told = "--llmops-gate: no test measures 'pased'. Did you mean 'passed'?"
    if "-n2" in suite.workers:
        assert result.ret == INTERRUPTED
        result.stdout.fnmatch_lines([f"*Interrupted: {told}*"])
        assert "INTERNALERROR" not in result.stdout.str()
    else:
        assert result.ret == USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {told}"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert suite.calls == []


def test_one_mistyped_metric_among_right_ones_is_told(plain_suite: Any) -> None:
    saved(plain_suite)
    result = plain_suite.run(COMPARE, "--llmops-gate=passed", "--llmops-gate=regx")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["--llmops-gate: no test of this session measures 'regx'. Known: passed."])


def test_a_metric_of_a_test_that_is_new_is_measured(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    (suite.root / "test_others.py").write_text(TWO_METRICS)
    result = suite.run(COMPARE, "--llmops-gate=passed", "--llmops-gate=regex")
    result.stdout.fnmatch_lines(["new, so thresholds decide: production holds no run of test_others.py::*"])
    result.stdout.no_fnmatch_line("--llmops-gate: *")


def test_a_gated_slice_without_a_case_is_told(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite, {"easy": range(10), "hard": range(10, 20)})
    saved(suite)
    suite.prompt(wrong=range(11, 20))
    result = suite.run(COMPARE, "--llmops-gate=passed@hadr")
    result.stdout.fnmatch_lines(
        ["no case has the tag 'hadr', so nothing is compared inside it. Did you mean 'hard'?"]
    )
    result.stdout.no_fnmatch_line("inside slices")


def test_a_tag_whose_cases_an_early_stop_left_out_is_a_tag(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite, {"easy": range(39), "hard": range(39, 40)})
    saved(suite)
    suite.prompt(wrong=range(40))
    result = suite.run(COMPARE, "--llmops-early-stop", "--llmops-slice=hard")
    result.assert_outcomes(failed=1, xfailed=11, skipped=29)
    result.stdout.no_fnmatch_line("*no case has the tag*")


@pytest.mark.parametrize("metric", ["latency", "latency@hard"])
def test_times_of_another_day_cannot_be_gated(plain_suite: Any, metric: str) -> None:
    suite = plain_suite
    suite.body(TWO_METRICS)
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, f"--llmops-gate={metric}")
    assert result.ret == USAGE_ERROR
    told = "ERROR: --llmops-gate: 'latency' of a stored baseline is from another day*"
    result.stderr.fnmatch_lines([f"{told}--llmops-baseline=alias:NAME*"])
    assert suite.calls == []


def test_latency_is_shown_in_brackets_and_not_gated_by_itself(plain_suite: Any) -> None:
    plain_suite.body(TWO_METRICS)
    saved(plain_suite)
    plain_suite.prompt(say="Reply.")
    result = plain_suite.run(COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*latency *20*(*)"])


def test_without_a_baseline_the_gate_is_not_looked_at(plain_suite: Any) -> None:
    assert plain_suite.run("--llmops-gate=pased").ret == 0


def test_the_gate_comes_from_the_settings_file_too(plain_suite: Any) -> None:
    suite = plain_suite
    suite.body(TWO_METRICS)
    saved(suite)
    suite.prompt(wrong=range(10))
    (suite.root / "llmops.toml").write_text('gate = ["regex"]\n')
    assert suite.run(COMPARE).ret == 0
    # An option is stronger than the file.
    assert suite.run(COMPARE, "--llmops-gate=passed").ret == 1


def test_a_margin_by_option_wins_over_the_table(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite, {"easy": range(60)})
    saved(suite)
    suite.prompt(wrong=range(9))
    (suite.root / "llmops.toml").write_text("[margins]\npassed = 0.4\n")
    result = suite.run(COMPARE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*passed*60*100.0 %*85.0 %*-15.0 pp*within margin*"])
    result.stdout.fnmatch_lines(
        ["*passed: down by 15.0 percentage points, where 40.0 percentage points may be*"]
    )
    assert suite.run(COMPARE, "--llmops-margin=passed=0.05").ret == 1


def test_a_margin_that_is_none_is_a_usage_error(plain_suite: Any) -> None:
    (plain_suite.root / "llmops.toml").write_text("[margins]\npassed = 2\n")
    result = plain_suite.run()
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: margins in the llmops settings of *is not a margin*"])
    assert plain_suite.calls == []
