"""Hold what is foreseen from a stored baseline against the statistics of the same data."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, variance
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_built import ERRORS, GRADE, PASSED, SECONDS, answers, compared, only, result, run

from pytest_llmops.calls.exchange import Usage
from pytest_llmops.runs.foresight import MetricForesight, foresee_metrics, spent_before
from pytest_llmops.scorers.score import Metric
from pytest_llmops.stats.planning import foreseen, planned
from pytest_llmops.stats.power import needed
from pytest_llmops.stats.verdict import Verdict

KINDNESS = replace(ERRORS, name="kindness", higher_is_better=True)


def foresee(
    values: Sequence[Any], metric: Metric, *, repeats: int = 1, margin: float = 0.05, **more: Any
) -> list[MetricForesight]:
    baseline = run(answers(values, "old", metric, **more), metric)
    ids = {each.case_id for each in baseline.results}
    return list(foresee_metrics(baseline, ids, [metric], repeats=repeats, margins={"": margin}))


def suite(metric: Metric, *, cases: int = 40, stored: int = 1, seed: int = 1) -> list[list[float]]:
    rng = random.Random(seed)
    low, high = metric.limits
    eases = [rng.uniform(0.3, 1.0) for _ in range(cases)]
    return [[high if rng.random() < ease else low for _ in range(stored)] for ease in eases]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([PASSED, GRADE, ERRORS]),
    st.integers(5, 60),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 2, 5]),
    st.sampled_from([0.02, 0.05, 0.2]),
    st.integers(0, 999),
)
def test_it_is_what_the_statistics_say_of_the_same_scores(
    metric: Metric, cases: int, stored: int, repeats: int, margin: float, seed: int
) -> None:
    values = suite(metric, cases=cases, stored=stored, seed=seed)
    (found,) = foresee(values, metric, repeats=repeats, margin=margin)
    low, high = metric.limits
    up = values if metric.higher_is_better else [[-value for value in each] for each in values]
    worst, span = (low if metric.higher_is_better else -high), high - low
    noise = planned(up, drop=margin * span, worst=worst, span=span)
    assert found.smallest_seen == foreseen(up, candidate_repeats=repeats, worst=worst, span=span)
    assert found.need == needed(
        noise, margin=margin * span, cases=cases, baseline_repeats=stored, candidate_repeats=repeats
    )
    assert (found.cases, found.margin, found.assumed) == (cases, pytest.approx(margin * span), stored == 1)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.sampled_from([0.0, 2.5, 10.0]), min_size=2, max_size=2), min_size=5, max_size=30))
def test_where_less_is_better_the_same_is_seen(values: list[list[float]]) -> None:
    (errors,) = foresee(values, ERRORS, repeats=2)
    (kindness,) = foresee([[10.0 - value for value in each] for each in values], KINDNESS, repeats=2)
    assert errors.smallest_seen == pytest.approx(kindness.smallest_seen, rel=1e-9)
    assert errors.need.cases == pytest.approx(kindness.need.cases, abs=1)
    assert (errors.cases, errors.assumed) == (kindness.cases, kindness.assumed)


def test_the_noise_is_that_of_repeats_to_one_case() -> None:
    values = suite(GRADE, cases=200, stored=4, seed=5)
    noise = planned(values, span=4.0)
    assert noise.baseline == pytest.approx(mean(variance(each) for each in values))
    one, five = foresee(values, GRADE)[0], foresee(values, GRADE, repeats=5)[0]
    assert five.smallest_seen < one.smallest_seen
    assert five.need.cases < one.need.cases
    assert not one.assumed


def test_what_is_foreseen_is_seen_four_times_in_five() -> None:
    rng = random.Random(9)
    eases = [rng.uniform(0.6, 1.0) for _ in range(80)]
    stored = [[float(rng.random() < ease) for _ in range(5)] for ease in eases]
    (found,) = foresee(stored, PASSED)
    rates = [mean(each) for each in stored]
    kept = 1 - found.smallest_seen / mean(rates)
    seen = 0
    for _ in range(150):
        before = [[float(rng.random() < rate) for _ in range(5)] for rate in rates]
        after = [float(rng.random() < rate * kept) for rate in rates]
        sides = answers(before, "old"), answers(after, "new")
        verdict = only(compared(*(run(side, PASSED) for side in sides), margins={"": 0.001})).verdict
        seen += verdict is Verdict.REGRESSED
    # Five standard errors of 150 draws would be .16.
    assert 0.66 < seen / 150 < 0.93


def test_ratios_are_left_out() -> None:
    assert foresee([1.0, 2.0, 3.0, 1.5, 2.5], SECONDS) == []


@pytest.mark.parametrize("bad", ["high", math.nan, math.inf, 7.0, 10**400])
def test_a_stored_score_that_is_none_foresees_nothing(bad: Any) -> None:
    assert foresee([1.0, 5.0, bad, 4.0, 3.0], GRADE) == []


def test_a_metric_that_the_baseline_does_not_hold_is_left_out() -> None:
    baseline = run(answers([1.0] * 9, "old"), PASSED)
    ids = {each.case_id for each in baseline.results}
    found = foresee_metrics(baseline, ids, [GRADE, PASSED], repeats=1, margins={})
    assert [each.metric.name for each in found] == ["passed"]


def test_only_cases_that_would_be_paired_count() -> None:
    values = suite(PASSED, cases=40, stored=3)
    baseline = run(answers(values, "old"), PASSED)
    ids = {f"case-{number:03}" for number in range(10, 30)} | {"case-new"}
    (found,) = foresee_metrics(baseline, ids, [PASSED], repeats=2, margins={"passed": 0.1})
    assert found == foresee(values[10:30], PASSED, repeats=2, margin=0.1)[0]


def test_unusable_and_lost_answers_count_as_in_a_comparison() -> None:
    whole = answers([1.0] * 20, "old")
    spoilt = [
        replace(each, status="bad_answer", scores={}, output=None) if number < 5 else each
        for number, each in enumerate(whole)
    ]
    lost = [*spoilt[:19], replace(spoilt[19], scores={}, status="unmeasured")]
    ids = {each.case_id for each in whole}
    (found,) = foresee_metrics(run(lost, PASSED), ids, [PASSED], repeats=1, margins={})
    assert replace(found, margin=0.05) == foresee([0.0] * 5 + [1.0] * 14, PASSED)[0]


def test_a_baseline_without_a_case_in_common_foresees_nothing() -> None:
    baseline = run(answers([1.0] * 9, "old"), PASSED)
    assert list(foresee_metrics(baseline, set(), [PASSED], repeats=1, margins={})) == []


def priced(number: int, *, tokens: tuple[int, int] | None = (100, 20), cost: float | None = 0.01) -> Any:
    usage = Usage() if tokens is None else Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    return result(number, {"passed": 1.0}, usage=usage, cost=cost)


def test_what_was_spent_before_is_spread_over_the_calls() -> None:
    baseline = run([priced(0), priced(1, tokens=(300, 40), cost=0.03)], PASSED)
    assert spent_before(baseline, 10) == ((2000, 300), pytest.approx(0.2))
    assert spent_before(baseline, 0) == ((0, 0), 0.0)


def test_answers_without_tokens_say_nothing_of_the_others() -> None:
    baseline = run([priced(0), priced(1, tokens=None, cost=None)], PASSED)
    assert spent_before(baseline, 10) == ((1000, 200), pytest.approx(0.1))


def test_one_unknown_price_leaves_the_price_unknown() -> None:
    baseline = run([priced(0), priced(1, cost=None)], PASSED)
    assert spent_before(baseline, 10) == ((1000, 200), None)


def test_a_baseline_that_tells_nothing_foresees_no_spending() -> None:
    assert spent_before(run([priced(0, tokens=None)], PASSED), 10) == (None, None)
    assert spent_before(run([], PASSED), 10) == (None, None)
