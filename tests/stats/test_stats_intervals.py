from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from pytest_llmops.stats.intervals import Interval, agreed, clopper_pearson, guarded_t, mover
from pytest_llmops.stats.paired import unconditional_p


@given(st.integers(1, 5_000), st.floats(0, 1), st.sampled_from([0.05, 0.01, 5e-5]))
def test_limits_of_a_share_agree_with_statsmodels(cases, share, alpha):
    count = round(share * cases)
    expected = proportion_confint(count, cases, alpha=2 * alpha, method="beta")
    assert clopper_pearson(count, cases, alpha=alpha) == pytest.approx(expected, abs=1e-10)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0, 1))
def test_mover_adds_the_squares_of_the_limits_of_both_shares(cases, flipping, losing):
    flips = round(flipping * cases)
    losses = round(losing * flips)
    gains = flips - losses
    p1, p2 = gains / cases, losses / cases
    l1, u1 = proportion_confint(gains, cases, alpha=0.1, method="beta")
    l2, u2 = proportion_confint(losses, cases, alpha=0.1, method="beta")
    phi = -math.sqrt(p1 * p2 / ((1 - p1) * (1 - p2))) if gains and losses else 0.0
    low = p1 - p2 - math.sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2))
    high = p1 - p2 + math.sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2))
    found = mover(losses=losses, gains=gains, cases=cases, alpha=0.05)
    assert found == pytest.approx((max(-1, low), min(1, high)), abs=1e-9)


def test_one_in_twenty_is_the_limit_of_a_suite_without_a_flip():
    low, high = mover(losses=0, gains=0, cases=59, alpha=0.05)
    assert high == -low == pytest.approx(1 - 0.05 ** (1 / 59))


@pytest.mark.parametrize("cases", [10, 30])
@pytest.mark.parametrize(("failing", "passing"), [(0.02, 0.02), (0.2, 0.2), (0.15, 0.05), (0.25, 0.05)])
def test_each_end_misses_the_true_change_once_in_twenty_at_most(cases, failing, passing):
    below = above = 0.0
    for losses in range(cases + 1):
        for gains in range(cases + 1 - losses):
            p_drop = unconditional_p(losses=losses, gains=gains, cases=cases)
            p_rise = unconditional_p(losses=gains, gains=losses, cases=cases)
            raw = mover(losses=losses, gains=gains, cases=cases, alpha=0.05)
            low, high = agreed(raw, p_drop=p_drop, p_rise=p_rise, alpha=0.05)
            same = cases - losses - gains
            ways = math.comb(cases, losses) * math.comb(cases - losses, gains)
            chance = ways * failing**losses * passing**gains * (1 - failing - passing) ** same
            below += chance * (high < passing - failing)
            above += chance * (low > passing - failing)
    assert below <= 0.05
    assert above <= 0.05


units = st.lists(
    st.tuples(st.floats(-3, 3).map(lambda total: round(total, 3)), st.integers(1, 6)), min_size=2, max_size=30
)


@given(units, st.sampled_from([0.05, 0.01]))
@settings(max_examples=60)
def test_the_guarded_interval_widens_the_cluster_robust_one(rows, alpha):
    totals, sizes = [total for total, _ in rows], [size for _, size in rows]
    groups = np.repeat(np.arange(len(rows)), sizes)
    scores = np.repeat([total / size for total, size in rows], sizes)
    fit = sm.OLS(scores, np.ones(len(scores))).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    cases, mean = len(scores), float(fit.params[0])
    changed = [total**2 for total in totals if total]
    guard = 2 * np.mean(changed) / cases**2 if changed else 2 / cases**2
    t = student.ppf(1 - alpha, len(rows) - 1)
    reach = t * math.sqrt(float(fit.bse[0]) ** 2 + guard)
    errors = np.array(totals) - np.array(sizes) * mean
    lean = 0.0
    if errors.std() > 1e-9:
        shift = (1 + 2 * t**2) / (6 * math.sqrt(len(rows)))
        lean = skew(errors) * shift * errors.std(ddof=1) * math.sqrt(len(rows)) / cases
    expected = (mean - reach + min(0, lean), mean + reach + max(0, lean))
    assert guarded_t(totals, sizes, span=1.0, alpha=alpha) == pytest.approx(expected, abs=1e-7)


def test_scores_at_the_ceiling_are_rarely_missed():
    rng = np.random.default_rng(20)
    levels, shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0]), [0.01, 0.02, 0.04, 0.08, 0.85]
    draws, below, above = 3_000, 0, 0
    for _ in range(draws):
        before, after = rng.choice(levels, (2, 20), p=shares)
        low, high = guarded_t(list(after - before), [1] * 20, span=1.0, alpha=0.05)
        below, above = below + (high < 0), above + (low > 0)
    assert below / draws <= 0.06
    assert above / draws <= 0.06


def test_without_any_change_the_range_of_the_metric_is_the_guard():
    low, high = guarded_t([0.0] * 10, [1] * 10, span=4.0, alpha=0.05)
    assert high == -low == pytest.approx(student.ppf(0.95, 9) * math.sqrt(2 * 16) / 10)


def test_one_unit_tells_nothing():
    assert guarded_t([0.5], [1], span=1.0, alpha=0.05) == Interval(-1.0, 1.0)
    assert guarded_t([-3.0], [1], span=1.0, alpha=0.05) == Interval(-3.0, 1.0)


@pytest.mark.parametrize(
    ("p_drop", "p_rise", "low", "high"),
    [
        (0.5, 0.5, -0.3, 0.2),
        (0.04, 0.9, -0.3, -0.0),
        (0.9, 0.04, 0.0, 0.2),
        (0.05, 0.9, -0.3, -0.0),
    ],
)
def test_an_end_that_contradicts_its_p_value_moves_to_zero(p_drop, p_rise, low, high):
    found = agreed(Interval(-0.3, 0.2), p_drop=p_drop, p_rise=p_rise, alpha=0.05)
    assert found == pytest.approx((low, high), abs=1e-300)
    assert (found.low > 0) == (p_rise <= 0.05)
    assert (found.high < 0) == (p_drop <= 0.05)


def test_an_end_beyond_zero_is_stretched_back_without_evidence():
    assert agreed(Interval(-0.3, -0.1), p_drop=0.06, p_rise=1.0, alpha=0.05) == Interval(-0.3, 0.0)
    assert agreed(Interval(0.1, 0.3), p_drop=1.0, p_rise=0.06, alpha=0.05) == Interval(0.0, 0.3)
    assert agreed(Interval(-0.3, -0.1), p_drop=0.04, p_rise=1.0, alpha=0.05) == Interval(-0.3, -0.1)
