"""A session without a baseline shows its scores; any session shows what its calls took."""

from __future__ import annotations

import pytest

from pytest_llmops.calls.tally import Tally
from pytest_llmops.reports.headline import tally_lines
from pytest_llmops.reports.page import Page
from pytest_llmops.reports.terminal import scores_lines
from pytest_llmops.runs.record import CaseResult, Header, Run
from pytest_llmops.scorers.score import Metric, Score

PASSED = Metric(name="passed", version="1")
JUDGE = Metric(name="judge", version="1", kind="score", range=(1.0, 5.0), free=False)


def result(index, status="measured", **values):
    metrics = {"passed": PASSED, "judge": JUDGE}
    return CaseResult(
        test_key="t",
        case_id=f"case-{index}",
        row_digest="",
        inputs={},
        status=status,
        scores={name: metrics[name].score(value) for name, value in values.items()},
    )


@pytest.fixture
def run():
    results = [result(index, passed=index != 3, judge=4.0) for index in range(10)]
    results += [result(10, "bad_answer"), result(11, "unmeasured")]
    header = Header(
        test_key="evals/test_a.py::test_a",
        prompt_name="p",
        prompt_digest="0",
        model="openai:m",
        golden_name="g",
        golden_digest="0",
        metrics={"passed": PASSED, "judge": JUDGE},
    )
    return Run(header=header, results=tuple(results))


def words(lines):
    return [line.split() for line in lines]


def test_the_table_counts_what_is_scored_and_what_is_not(run):
    lines = [line.text for line in scores_lines([run], Tally(saved=12), width=100)]

    assert lines[0] == "llmops: 9 of 11 answers passed, no baseline (1 test, 1 not measured, 0 calls, $0.00)"
    assert words(lines[2:6]) == [
        ["test", "metric", "scored", "mean", "missed"],
        [lines[3]],
        ["evals/test_a.py::test_a", "passed", "11", "of", "12", "81.8", "%", "2"],
        ["judge", "11", "of", "12", "3.73", "-"],
    ]
    assert lines[-1] == "0 calls made, 12 answers from the cache"


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_too_wide(run, width):
    lines = [
        line.text for line in scores_lines([run], Tally(calls=1_000, cost=12.5, seconds=99), width=width)
    ]

    assert max(map(len, lines)) <= width


def test_a_session_without_runs_still_has_a_headline():
    lines = [line.text for line in scores_lines([], Tally(), width=80)]

    assert lines[0] == "llmops: 0 of 0 answers passed, no baseline (0 tests, 0 calls, $0.00)"


def test_an_unknown_score_is_not_counted(run):
    unknown = CaseResult(
        test_key="t",
        case_id="x",
        row_digest="",
        inputs={},
        scores={"passed": Score(value=None, error="no price")},
    )
    lines = [
        line.text for line in scores_lines([Run(header=run.header, results=(unknown,))], Tally(), width=100)
    ]

    assert "0 of 1" in next(line for line in lines if "passed " in line and "evals" in line)


@pytest.mark.parametrize(
    ("tally", "text"),
    [
        (Tally(saved=214), "0 calls made, 214 answers from the cache"),
        (Tally(saved=1), "0 calls made, 1 answer from the cache"),
        (
            Tally(calls=1, input_tokens=1_200, output_tokens=30, cost=0.004, seconds=1.2),
            "1 call made, 0 answers from the cache, 1,200 tokens in and 30 out, $0.004, "
            "1 second of waiting for models",
        ),
        (
            Tally(calls=12, failed=2, saved=3, cost=0.5, unpriced=2, seconds=61.8),
            "12 calls made (2 failed), 3 answers from the cache, 0 tokens in and 0 out, $0.50 or more "
            "(2 calls of unknown price), 62 seconds of waiting for models",
        ),
    ],
)
def test_the_tally_in_words(tally, text):
    (line,) = tally_lines(tally, Page(width=200))

    assert line.text == text
