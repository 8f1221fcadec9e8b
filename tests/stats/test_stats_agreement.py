from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm, spearmanr
from statsmodels.stats.inter_rater import cohens_kappa

from pytest_llmops.stats.agreement import auc, crossed, kappa, share, spearman, spearman_within
from pytest_llmops.stats.threshold import best_threshold

ALPHA = 0.05

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def test_a_share_of_no_cases_is_unknown():
    assert share(0, 0, alpha=ALPHA) is None
    assert share(7, 7, alpha=ALPHA).high == 1
    assert share(7, 7, alpha=ALPHA).low == pytest.approx(0.05 ** (1 / 7))


@pytest.mark.parametrize(
    "table", [[[40, 9], [6, 45]], [[3, 0], [1, 2]], [[10, 2, 1], [3, 8, 0], [0, 4, 12]], [[0, 5], [5, 0]]]
)
def test_kappa_is_that_of_statsmodels(table):
    found = kappa(table, alpha=ALPHA)
    assert found.value == pytest.approx(cohens_kappa(np.array(table)).kappa)
    assert found.low <= found.value < found.high


def test_kappa_is_that_of_cohens_example():
    # The table of Fleiss, Cohen and Everitt (1969): kappa .429.
    assert kappa([[53, 5, 2], [11, 14, 5], [1, 6, 3]], alpha=ALPHA).value == pytest.approx(0.429, abs=5e-4)


@pytest.mark.parametrize("table", [[[9, 0], [0, 0]], [[0, 0], [0, 0]]])
def test_kappa_of_one_class_is_unknown(table):
    assert kappa(table, alpha=ALPHA) is None


def test_kappa_of_full_agreement_still_has_an_interval():
    found = kappa([[10, 0], [0, 10]], alpha=ALPHA)
    assert found.value == found.high == 1
    assert 0.5 < found.low < 0.8


@given(SCORES, SCORES)
def test_auc_is_that_of_mann_and_whitney(good, bad):
    found = auc(good, bad, alpha=ALPHA)
    assert found.value == pytest.approx(mannwhitneyu(good, bad).statistic / (len(good) * len(bad)))
    assert 0 <= found.low <= found.value <= found.high <= 1
    turned = auc(bad, good, alpha=ALPHA)
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low))


@given(SCORES, SCORES)
def test_auc_leaves_out_one_half_exactly_where_the_test_finds_an_order(good, bad):
    assume(len({*good, *bad}) > 1)
    p = mannwhitneyu(good, bad, alternative="greater", use_continuity=False, method="asymptotic").pvalue
    assume(abs(p - ALPHA) > 1e-9)
    assert (auc(good, bad, alpha=ALPHA).low > 0.5) == (p < ALPHA)


def test_auc_of_one_class_is_unknown_and_of_equal_scores_anything():
    assert auc([1, 2], [], alpha=ALPHA) is None
    assert auc([], [1, 2], alpha=ALPHA) is None
    assert auc([1, 1], [1, 1], alpha=ALPHA) == (0.5, 0, 1)


def test_auc_of_full_order_still_has_an_interval():
    found = auc(range(10, 20), range(10), alpha=ALPHA)
    assert found.value == found.high == 1
    assert 0.7 < found.low < 0.95


CUTS = {"any number": None, "five marks": [-0.8, 0.0, 0.6, 1.4], "pass or fail": [0.8]}


@pytest.mark.parametrize("marks", CUTS)
@pytest.mark.parametrize(("good", "bad"), [(10, 10), (20, 20), (10, 60), (50, 50)])
@pytest.mark.parametrize("order", [0.5, 0.8, 0.95])
def test_the_interval_of_auc_holds_the_truth(order, good, bad, marks):
    # 800 draws a cell: a miss of 5 % at an end is found as up to .08 (4 standard errors: .031).
    random = np.random.default_rng(int(1000 * order) + good + bad)
    shift, cuts = norm.ppf(order) * math.sqrt(2), CUTS[marks]
    missed = [0, 0]
    for _ in range(800):
        sides = random.normal(shift, 1, good), random.normal(0, 1, bad)
        if cuts is not None:
            sides = [np.digitize(side, cuts) for side in sides]
        found = auc(*sides, alpha=ALPHA)
        truth = true_auc(shift, cuts) if cuts else order
        missed[0] += truth < found.low
        missed[1] += truth > found.high
    assert max(missed) / 800 < 0.085


def true_auc(shift, cuts):
    good = np.diff([0, *norm.cdf(np.array(cuts) - shift), 1])
    bad = np.diff([0, *norm.cdf(cuts), 1])
    return sum(good[i] * (bad[:i].sum() + bad[i] / 2) for i in range(len(good)))


@pytest.mark.parametrize(
    ("cases", "passes", "right"), [(20, 0.5, 0.95), (20, 0.8, 0.7), (60, 0.8, 0.9), (60, 0.5, 0.5)]
)
def test_the_interval_of_kappa_holds_the_truth(cases, passes, right):
    shares = np.array(
        [[passes * right, passes * (1 - right)], [(1 - passes) * (1 - right), (1 - passes) * right]]
    )
    by_chance = shares.sum(1) @ shares.sum(0)
    truth = (shares.trace() - by_chance) / (1 - by_chance)
    random = np.random.default_rng(cases)
    missed = [0, 0]
    for table in random.multinomial(cases, shares.ravel(), 1500):
        found = kappa(table.reshape(2, 2), alpha=ALPHA)
        if found is not None:
            missed[0] += truth < found.low
            missed[1] += truth > found.high
    # 4 standard errors of .05 are .023.
    assert max(missed) / 1500 < 0.073


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=5, max_size=40))
def test_spearman_is_that_of_scipy(pairs):
    one, other = zip(*pairs, strict=True)
    found = spearman(one, other, alpha=ALPHA)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert found is None
        return
    assert found.value == pytest.approx(spearmanr(one, other).statistic)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low


def test_spearman_of_few_pairs_is_unknown():
    assert spearman([1, 2, 3, 4], [1, 2, 3, 4], alpha=ALPHA) is None


@pytest.mark.parametrize("strength", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("cases", [12, 40])
def test_the_interval_of_spearman_holds_the_truth(cases, strength):
    truth = 6 / math.pi * math.asin(strength / 2)
    random = np.random.default_rng(cases)
    missed = [0, 0]
    for _ in range(1000):
        x = random.normal(size=cases)
        y = strength * x + math.sqrt(1 - strength**2) * random.normal(size=cases)
        found = spearman(x, y, alpha=ALPHA)
        missed[0] += truth < found.low
        missed[1] += truth > found.high
    assert max(missed) / 1000 < 0.078


def test_ranks_within_groups_do_not_see_what_differs_between_them():
    lengths = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]
    scores = [3, 1, 4, 1, 5, 2, 13, 11, 14, 11, 15, 12]
    groups = [0] * 6 + [1] * 6
    whole, within = (
        spearman(lengths, scores, alpha=ALPHA),
        spearman_within(groups, lengths, scores, alpha=ALPHA),
    )
    assert whole.low > 0.4
    assert within.low < 0 < within.high
    assert within.value == pytest.approx(spearmanr(lengths[:6], scores[:6]).statistic)


def test_counts_are_crossed():
    assert crossed([1, 1, 0, 0, 0], [1, 0, 0, 0, 1], (1, 0)) == [[1, 1], [1, 2]]


def test_the_threshold_parts_both_kinds():
    assert best_threshold([0.1, 0.2, 0.61, 0.68], [False, False, True, True]) == 0.5
    assert best_threshold([0.6, 0.61, 0.68, 0.9], [False, False, True, True]) == 0.65
    assert best_threshold([1, 2, 4, 5], [False, False, True, True]) == 3
    assert best_threshold([1, 2, 3, 3, 4, 5], [False, False, False, False, True, True]) == 4


def test_the_threshold_does_not_ask_which_kind_is_rarer():
    # Passing all would be right 18 times of 20, the best cut 17 times.
    scores, passes = [5] * 15 + [3] * 3 + [2] * 2, [True] * 18 + [False] * 2
    assert best_threshold(scores, passes) == 3
    assert best_threshold([5] * 15 + [2] * 3 + [2] * 2, passes) == 4


@pytest.mark.parametrize(
    ("scores", "passes"),
    [([1, 2], [True, True]), ([1, 2], [False, False]), ([2, 2], [True, False]), ([], [])],
)
def test_where_nothing_differs_there_is_no_threshold(scores, passes):
    assert best_threshold(scores, passes) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=20))
def test_no_threshold_is_better(answers):
    scores, passes = zip(*answers, strict=True)
    found = best_threshold(scores, passes)
    assume(found is not None)

    def youden(limit):
        good = [score >= limit for score, passed in answers if passed]
        bad = [score < limit for score, passed in answers if not passed]
        return sum(good) * len(bad) + sum(bad) * len(good)

    assert youden(found) == max(youden(limit) for limit in scores if limit > min(scores))


def test_spearman_of_full_order_still_has_an_interval():
    found = spearman(range(10), range(10), alpha=ALPHA)
    assert found.value == found.high == 1
    assert 0.5 < found.low < 0.9


def test_each_group_beyond_the_first_costs_a_pair():
    ranks = [1, 2, 3, 1, 2]
    assert spearman_within([0, 0, 0, 0, 0], ranks, ranks, alpha=ALPHA) is not None
    assert spearman_within([0, 0, 0, 1, 1], ranks, ranks, alpha=ALPHA) is None


def test_of_equally_good_thresholds_the_middle_one_is_taken():
    # From 2 and from 4 on three of four are right, from 3 on only two.
    scores, passes = [1, 2, 3, 4], [False, True, False, True]
    assert best_threshold(scores, passes) == 4
