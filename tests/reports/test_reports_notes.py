"""Each verdict says what it rests on, and what would settle it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reports_built import NEED_411

from pytest_llmops.reports.notes import note_lines
from pytest_llmops.reports.page import Page
from pytest_llmops.runs.comparison import Comparison, MetricComparison
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.verdict import Verdict

PASSED = MetricComparison(
    gated=True,
    metric=Metric(name="passed", version="1"),
    verdict=Verdict.INCONCLUSIVE,
    cases=94,
    units=94,
    baseline=0.85,
    candidate=0.819,
    change=-0.031,
    low=-0.102,
    high=0.038,
    p=0.04,
    p_family=0.12,
    margin=0.05,
    smallest_seen=0.104,
    need=NEED_411,
)
POWER = (
    "passed: 94 cases could have shown a drop of 10.4 percentage points or more; "
    "to tell a drop of 5.0 percentage points takes 411 cases (411 calls a run and 411 once for the "
    "baseline) or --llmops-repeat=5 (470 calls a run and 470 once for the baseline); cases are cheaper."
)


def said(compared, family=3):
    comparison = Comparison(baseline_name="production", alpha=0.05, family=family, tests=())
    return [(line.text.strip(), line.style) for line in note_lines(compared, comparison, Page(width=600))]


def test_inconclusive_says_what_it_could_see_and_what_it_needs():
    assert said(PASSED) == [(POWER, "yellow")]


def test_where_less_is_better_a_rise_is_looked_for():
    errors = Metric(name="errors", version="1", kind="score", higher_is_better=False, threshold=0.1)

    assert "a rise of 0.104 or more" in said(replace(PASSED, metric=errors))[0][0]


def test_suspect_says_why():
    text = said(replace(PASSED, suspect=True))[0][0]

    assert "down by 3.1 percentage points, where 5.0 percentage points may be lost" in text
    assert "chance alone does that with p = 0.04 (p = 0.12 after Holm's correction)" in text
    assert "suspect: alone, without the correction" in text


def test_one_metric_needs_no_correction():
    text = said(replace(PASSED, verdict=Verdict.REGRESSED), family=1)[0][0]

    assert "chance alone does that with p = 0.04." in text
    assert "Holm" not in text


def test_enough_cases_are_not_asked_for_more():
    enough = replace(NEED_411, more_cases=replace(NEED_411.more_cases, cases=80))

    assert said(replace(PASSED, need=enough))[0][0].endswith(
        "that is enough for a drop of 5.0 percentage points, but the change is too near to it to tell."
    )


def test_lost_cases_are_the_reason_and_not_the_size_of_the_suite():
    lost = replace(PASSED, need=None, reason="more than 10 % of the baseline's cases are changed or missing")

    assert said(lost)[0][0].endswith(
        "10.4 percentage points or more; more than 10 % of the baseline's cases are changed or missing."
    )


def test_repeats_are_named_where_they_are_cheaper():
    paid = replace(NEED_411.more_repeats, cases=94, candidate_repeats=2, baseline_calls=0)

    text = said(replace(PASSED, need=replace(NEED_411, more_repeats=paid)))[0][0]

    assert "or --llmops-repeat=2 (188 calls a run); repeats are cheaper." in text


def test_a_baseline_that_needs_fewer_repeats_than_the_run_says_how_many():
    fewer = replace(NEED_411.more_repeats, baseline_repeats=2, candidate_repeats=3, baseline_calls=188)

    text = said(replace(PASSED, need=replace(NEED_411, more_repeats=fewer)))[0][0]

    assert "or --llmops-repeat=3 with 2 stored answers a case (282 calls a run and 188 once" in text


def test_where_no_number_of_repeats_is_enough_it_says_so():
    text = said(replace(PASSED, need=replace(NEED_411, more_repeats=None)))[0][0]

    assert text.endswith("(411 calls a run and 411 once for the baseline); no number of repeats is enough.")


@pytest.mark.parametrize("verdict", [Verdict.NO_REGRESSION, Verdict.IMPROVED, Verdict.REGRESSED])
def test_few_cases_say_first_what_they_could_see(verdict):
    text = said(replace(PASSED, verdict=verdict, cases=12, units=12))[0][0]

    assert text.startswith("passed: only 12 cases, which could have shown a drop of 10.4 percentage points")


def test_too_few_cases():
    few = replace(PASSED, verdict=Verdict.TOO_FEW, cases=4, units=4)

    assert said(few) == [("passed: too few cases, 4 units of at least 5; the thresholds decide.", "yellow")]
    assert "no case is paired" in said(replace(few, reason="no case is paired"))[0][0]


def test_clusters_are_named():
    assert "the 94 cases form 20 clusters, which count as one each" in said(replace(PASSED, units=20))[0][0]


def test_not_comparable_gives_reason_and_cure():
    other = replace(
        PASSED, verdict=Verdict.NOT_COMPARABLE, reason="the test's body has changed; --llmops-rescore helps"
    )

    assert said(other) == [
        ("passed: not comparable, the test's body has changed; --llmops-rescore helps.", "yellow")
    ]


@pytest.mark.parametrize("verdict", [Verdict.NO_REGRESSION, Verdict.IMPROVED, Verdict.UNCHANGED])
def test_good_verdicts_need_no_word(verdict):
    assert said(replace(PASSED, verdict=verdict)) == []


def test_what_is_not_gated_needs_no_word_unless_it_is_not_comparable():
    score = Metric(name="rouge", version="1", kind="score")

    assert said(replace(PASSED, metric=score, gated=False)) == []
    assert (
        said(replace(PASSED, metric=score, gated=False, verdict=Verdict.NOT_COMPARABLE, reason="x"))[0][1]
        == "dim"
    )
