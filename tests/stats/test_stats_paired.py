from __future__ import annotations

from math import comb, exp, lgamma, log

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar

from pytest_llmops.stats.paired import GAMMA, unconditional_p


def tables(cases):
    return ((losses, gains) for losses in range(cases + 1) for gains in range(cases + 1 - losses))


def brute_p(losses, gains, cases, rates=600):
    """Sum over all tables that are as clear, at each of many flip rates."""
    if losses <= gains:
        return 1.0
    flips = losses + gains
    weights = [0] * (cases + 1)
    for b, c in tables(cases):
        if b > c and (b - c) ** 2 * flips >= (losses - gains) ** 2 * (b + c):
            weights[b + c] += comb(cases, b + c) * comb(b + c, b)
    low, high = binomtest(flips, cases).proportion_ci(confidence_level=1 - GAMMA, method="exact")
    worst = 0.0
    for step in range(rates + 1):
        rate = low + (high - low) * step / rates
        tail = sum(
            weight * (rate / 2) ** count * (1 - rate) ** (cases - count)
            for count, weight in enumerate(weights)
            if weight
        )
        worst = max(worst, tail)
    return min(1.0, worst + GAMMA)


@pytest.mark.parametrize("cases", range(1, 13))
def test_every_small_table_agrees_with_brute_enumeration(cases):
    for losses, gains in tables(cases):
        found = unconditional_p(losses=losses, gains=gains, cases=cases)
        assert found == pytest.approx(brute_p(losses, gains, cases), abs=5e-5), (losses, gains)


@pytest.mark.parametrize(("losses", "gains"), [(1, 0), (5, 1), (8, 2), (20, 9), (40, 0), (21, 19)])
def test_forty_cases_agree_with_brute_enumeration(losses, gains):
    found = unconditional_p(losses=losses, gains=gains, cases=40)
    assert found == pytest.approx(brute_p(losses, gains, 40), abs=5e-5)


@pytest.mark.parametrize(("losses", "gains"), [(30, 15), (1_600, 1_500), (3_100, 2_900)])
def test_leaving_out_unlikely_counts_of_flips_changes_nothing(losses, gains):
    cases, flips = 6_000, losses + gains
    low, high = binomtest(flips, cases).proportion_ci(confidence_level=1 - GAMMA, method="exact")
    counts = np.arange(1, cases + 1)
    needed = np.ceil((counts + (losses - gains) * np.sqrt(counts / flips)) / 2 - 1e-9)
    clear = binom.sf(needed - 1, counts, 0.5)
    worst = max(float(binom.pmf(counts, cases, rate) @ clear) for rate in np.linspace(low, high, 120))
    assert unconditional_p(losses=losses, gains=gains, cases=cases) == pytest.approx(worst + GAMMA, rel=1e-9)


@pytest.mark.parametrize("cases", [20, 60, 200])
def test_it_lies_between_the_mid_p_and_the_exact_conditional_test(cases):
    for flips in range(6, cases + 1, cases // 10):
        for losses in range(flips // 2 + 2, flips + 1, 3):
            gains = flips - losses
            table = [[0, losses], [gains, cases - flips]]
            conditional = mcnemar(table, exact=True).pvalue / 2
            mid = conditional - binom.pmf(losses, flips, 0.5) / 2
            found = unconditional_p(losses=losses, gains=gains, cases=cases)
            assert 0.8 * mid <= found <= conditional + 2 * GAMMA, (losses, gains)


def test_a_large_suite_agrees_with_the_normal_tail():
    found = unconditional_p(losses=12_000, gains=11_700, cases=100_000)
    assert found == pytest.approx(norm.sf(300 / 23_700**0.5), rel=0.02)


def false_alarm(cases, fail_rate, pass_rate, alpha=0.05):
    """Add up the chance of every table that the test calls a drop."""
    same_rate = 1 - fail_rate - pass_rate
    total = 0.0
    for losses, gains in tables(cases):
        if losses > gains and unconditional_p(losses=losses, gains=gains, cases=cases) <= alpha:
            same = cases - losses - gains
            ways = lgamma(cases + 1) - lgamma(losses + 1) - lgamma(gains + 1) - lgamma(same + 1)
            total += exp(
                ways + losses * log(fail_rate) + (gains and gains * log(pass_rate)) + same * log(same_rate)
            )
    return total


@pytest.mark.parametrize("cases", [10, 23, 60])
@pytest.mark.parametrize("flip_rate", [0.02, 0.1, 0.3, 0.5, 0.9])
def test_chance_alone_is_called_a_drop_once_in_twenty_at_most(cases, flip_rate):
    assert false_alarm(cases, flip_rate / 2, flip_rate / 2) <= 0.05


@pytest.mark.parametrize(
    ("cases", "passing", "likeness", "drop", "expected"),
    [
        (10, 0.5, 0, 0, 0.0264),
        (50, 0.8, 0.3, 0, 0.0446),
        (20, 0.8, 0.3, 0.1, 0.1549),
        (50, 0.95, 0.7, 0.05, 0.3542),
    ],
)
def test_the_share_of_alarms_is_the_one_known(cases, passing, likeness, drop, expected):
    both = (passing**2 + likeness * passing * (1 - passing)) * (1 - drop / passing)
    found = false_alarm(cases, passing - both, passing - drop - both)
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("losses", "gains", "cases"), [(0, 0, 0), (0, 0, 1), (3, 3, 10), (2, 9, 50)])
def test_no_drop_is_no_evidence_of_a_drop(losses, gains, cases):
    assert unconditional_p(losses=losses, gains=gains, cases=cases) == 1.0


def test_five_losses_of_five_are_enough():
    assert unconditional_p(losses=5, gains=0, cases=5) <= 0.05
    assert unconditional_p(losses=4, gains=0, cases=4) > 0.05
