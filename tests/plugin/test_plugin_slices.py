"""Hold the comparison inside tags, and that the same data give the same report, with real pytest."""

from __future__ import annotations

import json
import os
import random
import re
import sys
from dataclasses import replace
from typing import Any

IN_PROCESS = ("-p", "no:xdist")

SAVE = "--llmops-save-baseline=production"
COMPARE = "--llmops-baseline=production"

TAGS = {"easy": range(30), "hard": range(30, 40)}

SCORED = """
import pytest
from pytest_llmops import Metric

class Length:
    metric = Metric(name="length", version="1", kind="score", range=(0, 3), threshold=1)

    async def score(self, case, response, caller):
        return self.metric.score(len(response.text))

@pytest.mark.llm_eval(prompt="ask", golden="items.jsonl")
@pytest.mark.llm_metric(Length())
def test_items(llm_case):
    assert llm_case.text == llm_case.expected
"""


def tagged(suite: Any, *, seed: int | None = None, more: str = "") -> None:
    """Write 40 golden rows, of which the last 10 are hard; with a seed in random order."""
    rows = [
        {"id": f"item-{n}", "inputs": {"n": n}, "expected": "yes", "tags": [tag, *([more] if more else [])]}
        for tag, numbers in TAGS.items()
        for n in numbers
    ]
    if seed is not None:
        random.Random(seed).shuffle(rows)
    (suite.root / "golden" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def saved(suite: Any) -> None:
    # In one process: how workers store is told elsewhere.
    result = replace(suite, workers=IN_PROCESS).run(SAVE)
    assert result.ret == 0, result.stdout.str()


def report(text: str) -> str:
    """Return the part of the output that is ours, but for the time that calls took."""
    _, _, ours = text.partition("= llmops =")
    ours = ours.partition("short test summary info")[0].rstrip("= \n")
    return re.sub(r"\d+ seconds? of waiting", "", ours)


def test_a_slice_that_is_not_gated_stands_in_brackets_and_is_green(suite: Any) -> None:
    tagged(suite)
    suite.prompt(wrong=range(8))
    saved(suite)
    suite.prompt(wrong=range(30, 38))
    result = suite.run(COMPARE, "--llmops-slice=hard", "--llmops-slice=easy")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "llmops: 1 inconclusive vs production (40 cases, *",
            "*passed *40 *inconclusive",
            "",
            "inside slices",
            "  slice *metric *n *change *verdict",
            "*hard *passed *10 *100.0 % *20.0 % *-80.0 pp* (regressed)",
            "*easy *passed *30 *73.3 % *100.0 % *+26.7 pp* (improved)",
            "(in brackets: not gated, so no change of it fails the build)",
        ]
    )
    result.stdout.no_fnmatch_line("*Holm*")


def test_slices_come_from_the_settings_file(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite)
    saved(suite)
    (suite.root / "llmops.toml").write_text('slice = ["hard"]\n')
    suite.prompt(say="Reply.")
    suite.run(COMPARE).stdout.fnmatch_lines(["inside slices", "*hard *passed *10 *"])


def test_a_case_with_two_tags_counts_in_both_slices(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite, more="all")
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, "--llmops-slice=hard", "--llmops-slice=all", "--llmops-slice=hard")
    result.stdout.fnmatch_lines(["*hard *passed *10 *", "*all *passed *40 *"])
    assert result.stdout.str().count("hard ") == 1


def test_every_metric_has_a_row_in_every_slice(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite)
    suite.body(SCORED)
    saved(suite)
    suite.prompt(wrong=range(30, 36))
    result = suite.run(COMPARE, "--llmops-slice=easy", "--llmops-slice=hard")
    result.stdout.fnmatch_lines(
        ["inside slices", "*easy *passed *", "*easy *length *", "*hard *passed *", "*hard *length *10 *3*"]
    )


def test_gated_and_shown_slices_stand_in_one_table(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite)
    saved(suite)
    suite.prompt(wrong=range(30, 38))
    result = suite.run(COMPARE, "--llmops-slice=easy", "--llmops-gate=passed@hard")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "llmops: 2 regressed vs production *",
            "*easy *passed *(inconclusive)",
            "*hard *passed *regressed",
            "Holm's correction covers 2 gated metrics, 1 slice among them: where nothing changed, *",
        ]
    )


def test_a_slice_of_too_few_cases_says_so_and_is_not_red_by_itself(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite)
    saved(suite)
    suite.prompt(wrong=[36, 37, 38, 39])
    result = suite.run(COMPARE, "--llmops-gate=passed@hard", "-k", "item-1 or item-36 or item-37")
    result.stdout.fnmatch_lines(["*hard *passed *2 *too few cases"])
    result.stdout.fnmatch_lines(["*passed@hard: too few cases, 2 units of at least 5; *"])


def test_an_unchanged_prompt_is_unchanged_in_its_slices(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite)
    saved(suite)
    result = suite.run(COMPARE, "--llmops-slice=hard", "--llmops-gate=passed@easy")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["llmops: 2 unchanged vs production*", "*hard *(unchanged)", "*easy * unchanged"]
    )


def test_a_tag_that_no_case_has_is_told_with_the_closest(plain_suite: Any) -> None:
    suite = plain_suite
    tagged(suite)
    saved(suite)
    suite.prompt(say="Reply.")
    result = suite.run(COMPARE, "--llmops-slice=esay", "--llmops-slice=hard", "--llmops-slice=xyz")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*hard *passed *",
            "no case has the tag 'esay', so nothing is compared inside it. Did you mean 'easy'?",
            "no case has the tag 'xyz', so nothing is compared inside it. Known: easy, hard.",
        ]
    )


def test_without_a_baseline_slices_are_no_matter(plain_suite: Any) -> None:
    tagged(plain_suite)
    result = plain_suite.run("--llmops-slice=esay")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*tag*")


def test_the_same_data_give_the_same_report_whoever_runs_them_in_whatever_order(
    make_suite: Any, monkeypatch: Any
) -> None:
    suite = make_suite(IN_PROCESS)
    suite.body(SCORED)
    tagged(suite)
    suite.prompt(wrong=range(3))
    saved(suite)
    suite.prompt(wrong=range(26, 36))
    arguments = [COMPARE, "--llmops-slice=easy", "--llmops-gate=passed@hard", "--llmops-cache=refresh"]
    reports = {}
    for seed, workers in enumerate([IN_PROCESS, ("-n0",), ("-n2",)]):
        tagged(suite, seed=seed)
        suite.workers = workers
        result = suite.run(*arguments)
        assert result.ret == 1
        reports[workers] = report(result.stdout.str())
    for seed in (7, 8):
        tagged(suite, seed=seed)
        monkeypatch.setenv("PYTHONHASHSEED", str(seed))
        command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments]
        reports[seed,] = report(suite.pytester.run(*command).stdout.str())
    assert os.environ["PYTHONHASHSEED"] == "8"
    (first, *others) = reports.values()
    assert "regressed" in first
    assert "length" in first
    for other in others:
        assert other == first
