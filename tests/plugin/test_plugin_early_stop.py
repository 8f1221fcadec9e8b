"""Hold when a test stops early, what then runs, and that all processes agree, with real pytest."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pytest_llmops.project import Project
from pytest_llmops.prompts.files import read_prompt
from pytest_llmops.settings import Settings

IN_PROCESS = ("-p", "no:xdist")

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"
EARLY = "--llmops-early-stop"

USAGE_ERROR = 4


def saved(suite: Any, *arguments: str, cases: int = 40) -> None:
    suite.golden(range(cases))
    # In one process: how workers store is told elsewhere.
    result = replace(suite, workers=IN_PROCESS).run(SAVE, *arguments)
    assert result.ret == 0, result.stdout.str()
    assert suite.calls


def clustered(suite: Any, size: int, cases: int = 40) -> dict[str, int]:
    """Write golden rows in clusters, those of one far apart in the file, and return the cluster of each."""
    clusters = {str(n): n % (cases // size) for n in range(cases)}
    rows = [
        {"id": f"item-{n}", "inputs": {"n": int(n)}, "expected": "yes", "cluster": f"talk-{cluster}"}
        for n, cluster in clusters.items()
    ]
    (suite.root / "golden" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return clusters


def told(result: Any) -> str:
    """Return the output with its broken lines joined."""
    return " ".join(line.strip() for line in result.outlines)


def verdicts(result: Any) -> str:
    """Return our report without what depends on which process ran ahead how far."""
    text = result.stdout.str().partition("= llmops =")[2].partition("short test summary info")[0]
    text = re.sub(r"\d+ calls?\b|\$[\d.]+|cost unknown", "", text)
    return re.sub(r"(?s)\n made.*", "", text)


def outcomes(path: Path) -> dict[str, set[str]]:
    """Return the names of the test cases of a JUnit file by outcome."""
    found: dict[str, set[str]] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        kind = case[0].tag if len(case) else "passed"
        found.setdefault(kind, set()).add(str(case.get("name")))
    return found


def test_a_look_finds_a_regression_and_the_rest_is_not_run(suite: Any) -> None:
    saved(suite)
    suite.prompt(wrong=range(0, 40, 2))
    result = suite.run(COMPARE, EARLY, "-rfs")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 regressed vs production (20 cases, *",
            "*passed *20 *100.0 % *50.0 % *-50.0 pp* regressed",
            "An early stop was possible: the risk of 5 % is spent over the looks after 25, 50, 75 and 100 %*",
            "  stopped early after 20 of 40 cases, passed regressed; 20 others not run, or too late to*",
            "*FAILED test_items.py::test_items::llmops[[]passed[]]*",
        ]
    )
    result.stdout.no_fnmatch_line("*left out*")
    counts = result.parseoutcomes()
    assert counts["failed"] == 1
    if "-n2" in suite.workers:
        # What another worker had begun when the verdict was clear has run, and counts on no side.
        assert counts.get("skipped", 0) <= 20
    else:
        assert counts == {"failed": 1, "passed": 10, "xfailed": 10, "skipped": 20}
        result.stdout.fnmatch_lines(
            ["SKIPPED [[]20[]] *: not run, early stop after 20 of 40 cases, passed regr*"]
        )
        assert len(suite.calls) == 20
    assert sum(counts.values()) == 41


def test_a_total_loss_trips_the_breaker_between_the_looks(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(wrong=range(40))
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["llmops: 1 regressed vs production (11 cases, *"])
    why = "nearly every flip of passed was a loss"
    stopped = f"stopped early after 11 of 40 cases, {why}; 29 others not run, or too late to count; "
    assert f"{stopped}p had to be 0.005 or" in told(result)


def test_no_drop_at_half_of_the_cases_stops_green(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 0
    assert (
        "stopped early after 20 of 40 cases, no drop was to be seen; 20 others not run, or too late to count"
        in told(result)
    )
    result.stdout.fnmatch_lines(["llmops: 1 inconclusive vs production (20 cases, *"])
    result.stdout.no_fnmatch_line("*left out*")


def test_strict_goes_on_where_a_green_stop_would_be_inconclusive(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, EARLY, "--llmops-strict")
    assert result.ret == 1
    result.assert_outcomes(passed=40, failed=1)
    result.stdout.no_fnmatch_line("*stopped early*")
    wide = suite.run(COMPARE, EARLY, "--llmops-strict", "--llmops-margin=0.3")
    assert wide.ret == 0
    wide.assert_outcomes(passed=20, skipped=20)
    wide.stdout.fnmatch_lines(["llmops: 1 no regression vs production (20 cases, *"])


def test_a_prompt_that_did_not_change_never_stops(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(wrong=range(3))
    saved(suite)
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 0
    result.assert_outcomes(passed=37, xfailed=3)
    result.stdout.fnmatch_lines(["llmops: 1 unchanged vs production (40 cases, 0 calls, *"])
    result.stdout.no_fnmatch_line("*arly stop*")
    assert suite.calls == []


def test_a_test_that_runs_to_its_end_says_that_it_could_have_stopped(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(wrong=range(0, 40, 10))
    result = suite.run(COMPARE, EARLY)
    result.stdout.fnmatch_lines(["An early stop was possible: *"])
    result.stdout.no_fnmatch_line("*stopped early*")
    assert len(suite.calls) == 40


def test_a_run_that_stopped_early_is_not_stored(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    before = suite.stored()
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, EARLY, "--llmops-save-baseline=next")
    assert result.ret == 0
    assert "not saved as next: test_items.py::test_items: 20 of 40 cases did not run" in told(result)
    assert suite.stored() == before


def test_all_processes_come_to_the_same_report(make_suite: Any) -> None:
    suite = make_suite(IN_PROCESS)
    saved(suite)
    for wrong in (range(40), range(0)):
        suite.prompt(wrong=wrong, say="Reply.")
        reports = []
        for workers in (IN_PROCESS, ("-n0",), ("-n2",)):
            suite.workers = workers
            reports.append(verdicts(suite.run(COMPARE, EARLY, "--llmops-cache=refresh")))
        assert "stopped early" in reports[0]
        assert reports[1] == reports[0]
        assert reports[2] == reports[0]


def test_the_order_is_random_and_fixed(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(say="Reply.")
    shown = []
    for _ in range(2):
        result = suite.run(COMPARE, EARLY, "--llmops-cache=refresh", "-v")
        shown.append(re.findall(r"item-(\d+)\]", "\n".join(line for line in result.outlines if "::" in line)))
    assert shown[0] == shown[1]
    assert sorted(shown[0], key=int) == [str(n) for n in range(40)] != shown[0]


def test_without_a_baseline_nothing_stops_and_the_order_stays(plain_suite: Any) -> None:
    suite = plain_suite
    suite.prompt(wrong=range(20))
    result = suite.run(EARLY, "-v")
    result.assert_outcomes(failed=20)
    ran = [line for line in result.outlines if "::" in line and "%]" in line]
    assert [int(number) for line in ran for number in re.findall(r"item-(\d+)\]", line)] == list(range(20))


def test_cases_of_a_cluster_run_together_and_count_as_one(plain_suite: Any) -> None:
    suite = plain_suite
    clusters = clustered(suite, size=2, cases=80)
    assert suite.run(SAVE).ret == 0
    suite.calls  # noqa: B018
    suite.prompt(wrong=range(80))
    result = suite.run(COMPARE, EARLY, "--junit-xml=out.xml")
    assert result.ret == 1
    # 11 clusters all lost trip the breaker, as 11 cases do.
    assert "stopped early after 22 of 80 cases, nearly every flip of passed was a loss; 58 others" in told(
        result
    )
    found = outcomes(suite.root / "out.xml")
    junit = ET.parse(suite.root / "out.xml").getroot()
    skipped = [
        str(case.get("name"))
        for case in junit.iter("testcase")
        if len(case) and "not run" in str(case[0].get("message"))
    ]
    left = Counter(clusters[name.partition("item-")[2].rstrip("]")] for name in skipped)
    assert len(left) == 29
    assert set(left.values()) == {2}
    assert found["failure"] == {"llmops[passed]"}


def test_repeats_of_a_case_count_as_one(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite, "--llmops-repeat=2", cases=20)
    suite.prompt(wrong=range(20))
    result = suite.run(COMPARE, EARLY, "--llmops-repeat=2")
    assert result.ret == 1
    # The first look that may turn red comes after a quarter, and the breaker not before 11 losses.
    result.stdout.fnmatch_lines(["  stopped early after * of 20 cases, *"])
    stopped = int(re.findall(r"stopped early after (\d+) of 20", told(result))[0])
    assert result.parseoutcomes() == {"failed": 1, "xfailed": 2 * stopped, "skipped": 2 * (20 - stopped)}


def test_a_live_control_is_asked_no_more_either(suite: Any) -> None:
    suite.golden(range(40))
    registry = Project(Path(suite.root), Settings()).registry
    prompt = read_prompt(Path(suite.root) / "prompts" / "ask.prompt.yml")
    registry.alias("ask", "live", registry.register(prompt))
    suite.prompt(wrong=range(0, 40, 2))
    result = suite.run("--llmops-baseline=alias:live", EARLY)
    assert result.ret == 1
    assert (
        "stopped early after 20 of 40 cases, passed regressed; 20 others not run, or too late to count"
        in told(result)
    )
    result.stdout.fnmatch_lines(["llmops: 1 regressed vs alias:live (20 cases, *"])
    asked = Counter(suite.calls)
    assert set(asked.values()) == {2}
    if "-n2" not in suite.workers:
        assert len(asked) == 20


def test_a_gated_slice_and_an_early_stop_exclude_each_other(plain_suite: Any) -> None:
    saved(plain_suite)
    result = plain_suite.run(COMPARE, EARLY, "--llmops-gate=passed@hard")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --llmops-early-stop * so a slice cannot be gated with it*"])
    assert plain_suite.calls == []


def test_a_shown_slice_may_stand_beside_an_early_stop(plain_suite: Any) -> None:
    suite = plain_suite
    suite.golden(range(40), tags=["all"])
    assert suite.run(SAVE).ret == 0
    suite.prompt(wrong=range(0, 40, 2))
    result = suite.run(COMPARE, EARLY, "--llmops-slice=all")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["inside slices", "*all *passed *20 *(regressed)"])


def test_junit_knows_the_cases_that_did_not_run_as_skipped(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(wrong=range(40))
    suite.run(COMPARE, EARLY, "--junit-xml=out.xml")
    root = ET.parse(suite.root / "out.xml").getroot().find("testsuite")
    assert root is not None
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "41", "failures": "1", "errors": "0", "skipped": "40"}


@pytest.mark.parametrize(("chosen", "count"), [(["-k", "item-1 or item-2"], 22), (["--llmops-limit=20"], 20)])
def test_looks_are_shares_of_the_cases_that_were_chosen(
    plain_suite: Any, chosen: list[str], count: int
) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, EARLY, *chosen)
    assert result.ret == 0
    half = count // 2
    why = "no drop was to be seen"
    assert (
        f"stopped early after {half} of {count} cases, {why}; {half} others not run, or too late to count"
        in told(result)
    )
    assert len(suite.calls) == count // 2


def test_new_cases_run_whatever_the_others_show(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.golden(range(45))
    suite.prompt(wrong=[*range(40), 44])
    result = suite.run(COMPARE, EARLY, "-v")
    assert result.ret == 1
    for new in range(40, 44):
        result.stdout.fnmatch_lines([f"*[[]item-{new}[]] PASSED*"])
    # A new case that misses fails by itself.
    result.assert_outcomes(failed=2, passed=4, xfailed=11, skipped=29)


def test_each_test_stops_by_itself_and_plain_tests_run(suite: Any) -> None:
    (suite.root / "test_others.py").write_text(
        (suite.root / "test_items.py").read_text().replace('"ask"', '"other"')
        + "\n\ndef test_plain():\n    ...\n"
    )
    prompts = suite.root / "prompts"
    (prompts / "other.prompt.yml").write_text((prompts / "ask.prompt.yml").read_text())
    saved(suite)
    suite.prompt(wrong=range(40))
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 1
    # The other prompt is as it was: all its cases are there and unchanged.
    result.stdout.fnmatch_lines(["llmops: 1 regressed, 1 unchanged vs production *"])
    assert result.parseoutcomes()["passed"] == 41


def test_two_tests_that_may_stop_share_the_risk(plain_suite: Any) -> None:
    suite = plain_suite
    (suite.root / "test_others.py").write_text((suite.root / "test_items.py").read_text())
    saved(suite)
    suite.prompt(wrong=range(40))
    result = suite.run(COMPARE, EARLY)
    result.stdout.fnmatch_lines(["llmops: 2 regressed vs production *"])
    text = told(result)
    assert "each of 2 gated metrics a part of it" in text
    # Half of the risk takes one loss more to be sure.
    assert text.count("stopped early after 12 of 40 cases") == 2


def test_the_cases_that_got_worse_run_again_with_lf(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(wrong=range(40))
    assert suite.run(COMPARE, EARLY).ret == 1
    suite.run("--lf").assert_outcomes(failed=11)


def test_lost_calls_do_not_stop_a_test(plain_suite: Any) -> None:
    suite = plain_suite
    saved(suite)
    suite.prompt(lost=[0, 1], wrong=range(2, 40, 2))
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 1
    assert re.search(r"stopped early after \d+ of 40 cases, passed regressed", told(result))


@pytest.mark.parametrize("cases", [3, 8])
def test_no_test_ends_before_it_has_cases_enough_for_a_verdict(plain_suite: Any, cases: int) -> None:
    suite = plain_suite
    saved(suite, cases=cases)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, EARLY)
    ran = result.parseoutcomes()["passed"]
    assert ran == (3 if cases == 3 else 6)
    # Each case that ran is held to its threshold where nothing can be compared.
    suite.prompt(wrong=range(cases))
    assert suite.run(COMPARE, EARLY).ret == 1


def test_a_case_that_must_not_miss_is_never_left_out_for_lack_of_a_drop(plain_suite: Any) -> None:
    suite = plain_suite
    marked = '@pytest.mark.llm_metric("regex", value="^yes", required=True)\ndef test_items'
    suite.body((suite.root / "test_items.py").read_text().replace("def test_items", marked))
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, EARLY)
    result.assert_outcomes(passed=40)
    suite.prompt(wrong=range(40))
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 1
    # A regression still ends the test.
    assert result.parseoutcomes()["skipped"] == 28


def test_a_body_that_cannot_be_compared_is_held_to_every_case(plain_suite: Any) -> None:
    suite = plain_suite
    marked = '@pytest.mark.llm_metric("regex", value="^[a-z]*$")\ndef test_items'
    suite.body((suite.root / "test_items.py").read_text().replace("def test_items", marked))
    saved(suite)
    suite.body((suite.root / "test_items.py").read_text() + "    assert llm_case.text\n")
    suite.prompt(wrong=[int(n) for n in range(40) if n % 10 == 0])
    result = suite.run(COMPARE, EARLY)
    assert result.ret == 1
    result.assert_outcomes(passed=36, failed=4)
