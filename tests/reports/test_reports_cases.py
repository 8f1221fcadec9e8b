"""A case that several metrics lost shows its outputs once."""

from __future__ import annotations

from dataclasses import replace

from pytest_llmops.reports.cases import worst_lines
from pytest_llmops.reports.page import Page
from pytest_llmops.runs.comparison import CaseChange, MetricComparison
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict

CHANGE = CaseChange(
    case_id="a",
    inputs={"q": "When?"},
    expected="nine",
    baseline_score=1.0,
    candidate_score=0.0,
    baseline_output="At nine.",
    candidate_output="No idea.",
    reason="it names no time",
)


def shown(compared, told):
    return [line.text.strip() for line in worst_lines(compared, Page(width=80, secrets=()), told=told)]


def test_outputs_stand_once_and_each_metric_gives_its_reason():
    first = MetricComparison(
        metric=Metric(name="right", version="1"), verdict=Verdict.REGRESSED, worse=(CHANGE,)
    )
    second = replace(
        first,
        metric=Metric(name="polite", version="1"),
        worse=(replace(CHANGE, reason="it is curt"), replace(CHANGE, case_id="b")),
    )
    told: set[str] = set()

    assert "candidate No idea." in shown(first, told)
    assert shown(second, told) == [
        "worst cases of polite (worse in 2 cases)",
        "a: pass -> fail",
        "reason    it is curt",
        "b: pass -> fail",
        "input     When?",
        "expected  nine",
        "baseline  At nine.",
        "candidate No idea.",
        "reason    it names no time",
    ]
