"""Hold the statistics against other people's code, and against adding up every possible outcome."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test, sem
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from pytest_llmops.stats.family import holm
from pytest_llmops.stats.intervals import clopper_pearson
from pytest_llmops.stats.paired import GAMMA, RATES, unconditional_p
from pytest_llmops.stats.relabel import DRAWS
from pytest_llmops.stats.weigh import Sample, weigh


def enumerated(cases):
    """Yield each table of losses and gains with its p, adding the chance of every table as clear."""
    pairs = [(b, c) for b in range(cases + 1) for c in range(cases + 1 - b)]
    ways = np.array([float(math.comb(cases, b + c) * math.comb(b + c, b)) for b, c in pairs])
    losses, gains = np.array(pairs).T
    flips, lead = losses + gains, losses - gains
    for count in range(1, cases + 1):
        limits = binomtest(count, cases).proportion_ci(confidence_level=1 - GAMMA, method="exact")
        rates = np.linspace(*limits, RATES)[:, None]
        chances = ways * (rates / 2) ** flips * (1 - rates) ** (cases - flips)
        assert np.allclose(chances.sum(axis=1), 1)
        for lost in range(count // 2 + 1, count + 1):
            seen = 2 * lost - count
            as_clear = (lead > 0) & (lead**2 * count >= seen**2 * flips)
            yield lost, count - lost, min(1.0, chances[:, as_clear].sum(axis=1).max() + GAMMA)


@pytest.mark.parametrize("cases", range(1, 41))
def test_every_table_of_up_to_forty_cases_agrees_with_adding_up_all_as_clear(cases):
    for losses, gains, expected in enumerated(cases):
        found = unconditional_p(losses=losses, gains=gains, cases=cases)
        assert found == pytest.approx(expected, rel=1e-9), (losses, gains)


@pytest.mark.parametrize("cases", [5, 9, 14, 22, 31, 40])
def test_it_sees_all_that_the_exact_conditional_test_sees(cases):
    for flips in range(1, cases + 1):
        for losses in range(flips // 2 + 1, flips + 1):
            table = [[0, losses], [flips - losses, cases - flips]]
            found = unconditional_p(losses=losses, gains=flips - losses, cases=cases)
            both_sides = mcnemar(table, exact=True).pvalue
            for alpha in (0.05, 0.025, 0.01):
                assert found <= alpha or both_sides / 2 > alpha, (losses, flips)
            # By no more than the mid-p's own optimism with four flips, which chance gives 1 in 16.
            chance = math.comb(flips, losses) / 2**flips
            assert found >= 0.75 * (both_sides / 2 - chance / 2), (losses, flips)


@pytest.mark.parametrize("cases", [5, 12, 40])
def test_where_every_case_flips_it_is_the_exact_conditional_test(cases):
    for losses in range(cases // 2 + 1, cases + 1):
        conditional = mcnemar([[0, losses], [cases - losses, 0]], exact=True).pvalue / 2
        found = unconditional_p(losses=losses, gains=cases - losses, cases=cases)
        assert found == pytest.approx(conditional + GAMMA, rel=1e-9)


def test_a_large_suite_agrees_with_mcnemars_own_approximation():
    for losses, gains in ((3_100, 2_900), (1_030, 1_000), (660, 540)):
        table = [[0, losses], [gains, 20_000 - losses - gains]]
        expected = mcnemar(table, exact=False, correction=False).pvalue / 2
        found = unconditional_p(losses=losses, gains=gains, cases=20_000)
        assert found == pytest.approx(expected + GAMMA, rel=0.05)


@given(st.integers(1, 2_000), st.floats(0, 1), st.sampled_from([0.2, 0.05, 0.025, 5e-5]))
@settings(max_examples=50, deadline=None)
def test_each_limit_of_a_share_has_its_risk_on_its_own_side(cases, share, alpha):
    count = round(share * cases)
    low, high = clopper_pearson(count, cases, alpha=alpha)
    below = binomtest(count, cases, alternative="less").proportion_ci(1 - alpha, method="exact")
    above = binomtest(count, cases, alternative="greater").proportion_ci(1 - alpha, method="exact")
    assert (low, high) == pytest.approx((above.low, below.high), abs=1e-9)
    if count:
        assert binomtest(count, cases, low, alternative="greater").pvalue == pytest.approx(alpha)
    if count < cases:
        assert binomtest(count, cases, high, alternative="less").pvalue == pytest.approx(alpha)


@pytest.mark.parametrize(
    "values", [[0.02, 0.013, 0.05], [0.03, 0.03], [0.04, 0.02], [0.015, 0.02, 0.026], [0.017, 0.001, 0.04]]
)
def test_the_same_metrics_are_called_as_by_statsmodels(values):
    called = multipletests(values, alpha=0.05, method="holm")[0]
    for adjusted, expected in zip(holm(values), called, strict=True):
        # Where a product is alpha to the last digit, both are right.
        assert (adjusted <= 0.05) == expected or adjusted == pytest.approx(0.05, rel=1e-9)


rows = st.lists(
    st.tuples(
        st.lists(st.integers(0, 8).map(lambda eighths: eighths / 8), min_size=2, max_size=2),
        st.lists(st.integers(0, 8).map(lambda eighths: eighths / 8), min_size=1, max_size=1),
        st.sampled_from([None, *"abcdefg"]),
    ),
    min_size=4,
    max_size=40,
)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_the_standard_error_of_clusters_is_that_of_statsmodels(drawn):
    baseline, candidate, clusters = zip(*drawn, strict=True)
    names = [name or f"alone {index}" for index, name in enumerate(clusters)]
    groups = np.unique(names, return_inverse=True)[1]
    found = weigh(Sample(baseline=baseline, candidate=candidate, clusters=clusters))
    changes = np.array(candidate).mean(axis=1) - np.array(baseline).mean(axis=1)
    assert found.units == groups.max() + 1
    assert found.change == pytest.approx(changes.mean())
    if found.units > 1:
        fit = sm.OLS(changes, np.ones(len(changes))).fit(cov_type="cluster", cov_kwds={"groups": groups})
        assert found.sd / math.sqrt(found.cases) == pytest.approx(float(fit.bse[0]), abs=1e-9)


@given(rows)
@settings(max_examples=40, deadline=None)
def test_the_standard_error_of_cases_that_stand_alone_is_that_of_scipy(drawn):
    baseline, candidate, _ = zip(*drawn, strict=True)
    found = weigh(Sample(baseline=baseline, candidate=candidate))
    changes = np.array(candidate).mean(axis=1) - np.array(baseline).mean(axis=1)
    assert found.sd / math.sqrt(found.cases) == pytest.approx(sem(changes), abs=1e-12)


def clearness(totals, axis=-1):
    return totals.sum(axis=axis) / np.sqrt((totals**2).sum(axis=axis))


def flipped(totals, alternative):
    return permutation_test(
        (totals,),
        clearness,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
        alternative=alternative,
    )


def mid_p(totals, alternative):
    """Return scipy's p with half of the ties taken off."""
    found = flipped(totals, alternative)
    return found.pvalue - np.mean(np.abs(found.null_distribution - found.statistic) <= 1e-9) / 2


@pytest.mark.parametrize("seed", range(8))
def test_whole_clusters_are_flipped_as_by_scipy(seed):
    chance = np.random.default_rng(seed)
    groups = np.concatenate((np.arange(7), chance.integers(0, 7, 18)))
    before, after = chance.integers(0, 5, (2, 25)) / 4
    after = np.maximum(0.0, after - 0.25)
    sample = Sample(
        baseline=before[:, None].tolist(),
        candidate=after[:, None].tolist(),
        clusters=[f"group {group}" for group in groups],
    )
    found = weigh(sample)
    totals = np.bincount(groups, weights=after - before)
    assert found.p_drop == pytest.approx(flipped(totals, "less").pvalue)
    assert found.p_rise == pytest.approx(flipped(totals, "greater").pvalue)


@pytest.mark.parametrize("cases", [10, 11, 12])
@pytest.mark.parametrize("ties", [True, False])
def test_from_ten_cases_on_half_of_scipys_ties_count(cases, ties):
    chance = np.random.default_rng(cases)
    drops = chance.integers(-4, 3, cases) / 4 if ties else chance.normal(-0.1, 0.2, cases)
    found = weigh(Sample(baseline=[[2.0]] * cases, candidate=(2.0 + drops)[:, None].tolist(), span=4.0))
    assert found.p_drop == pytest.approx(mid_p(drops, "less"))
    assert found.p_rise == pytest.approx(mid_p(drops, "greater"))


@pytest.mark.parametrize("seed", range(4))
def test_a_sample_of_relabellings_comes_near_all_of_scipys(seed):
    chance = np.random.default_rng(seed)
    drops = chance.integers(-5, 4, 15) / 4 if seed % 2 else chance.normal(-0.1, 0.3, 15)
    found = weigh(Sample(baseline=[[2.0]] * 15, candidate=(2.0 + drops)[:, None].tolist(), span=4.0))
    for tail, side in ((found.p_drop, "less"), (found.p_rise, "greater")):
        expected = mid_p(drops, side)
        assert tail == pytest.approx(
            expected, abs=4 * math.sqrt(expected * (1 - expected) / DRAWS) + 1 / DRAWS
        )
