from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from statistics import stdev

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_llmops.stats.intervals import mover
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.verdict import Verdict, decide
from pytest_llmops.stats.weigh import Sample, weigh

PASSES = st.sampled_from([0.0, 1.0])
SCORES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1.0]))


@st.composite
def samples(draw, max_size=25, max_repeats=3):
    pass_fail = draw(st.booleans())
    repeats = draw(st.integers(1, max_repeats))
    answers = st.lists(PASSES if pass_fail else SCORES, min_size=1, max_size=repeats)
    names = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"]))
    rows = draw(st.lists(st.tuples(answers, answers, names), min_size=1, max_size=max_size))
    return Sample(
        baseline=[row[0] for row in rows],
        candidate=[row[1] for row in rows],
        clusters=[row[2] for row in rows] if draw(st.booleans()) else None,
        pass_fail=pass_fail,
    )


def scored(before, after, **known):
    return Sample(baseline=[[score] for score in before], candidate=[[score] for score in after], **known)


def picked(sample, order):
    return replace(
        sample,
        baseline=[sample.baseline[index] for index in order],
        candidate=[sample.candidate[index] for index in order],
        clusters=sample.clusters and [sample.clusters[index] for index in order],
    )


@given(samples())
@settings(max_examples=150)
def test_exchanging_the_sides_mirrors_the_evidence(sample):
    found = weigh(sample)
    mirrored = weigh(replace(sample, baseline=sample.candidate, candidate=sample.baseline))
    assert (mirrored.p_drop, mirrored.p_rise) == (found.p_rise, found.p_drop)
    assert (mirrored.low, mirrored.high, mirrored.change) == (-found.high, -found.low, -found.change)
    assert mirrored.sd == found.sd


@given(samples(), st.randoms())
@settings(max_examples=150)
def test_the_order_of_the_cases_changes_nothing(sample, random):
    order = list(range(len(sample.baseline)))
    random.shuffle(order)
    assert repr(weigh(picked(sample, order))) == repr(weigh(sample))


@given(samples())
@example(Sample(baseline=[[0.1, 0.2, 0.3]] * 5, candidate=[[0.7, 0.6, 0.1]] * 5))
@settings(max_examples=150)
def test_the_order_of_the_runs_of_a_case_changes_nothing(sample):
    plain = replace(sample, clusters=None)
    turned = replace(
        plain,
        baseline=[answers[::-1] for answers in plain.baseline],
        candidate=[answers[::-1] for answers in plain.candidate],
    )
    assert repr(weigh(turned)) == repr(weigh(plain))


@given(samples())
@settings(max_examples=60)
def test_a_case_without_a_cluster_stands_alone(sample):
    plain = replace(sample, clusters=None)
    cases = len(plain.baseline)
    assert weigh(replace(plain, clusters=[None] * cases)) == weigh(plain)
    before, after = ([*side, [0.5, 0.25], [0.75, 0.5]] for side in (plain.baseline, plain.candidate))
    sparse, full = (
        weigh(Sample(baseline=before, candidate=after, clusters=[*alone, "same", "same"]))
        for alone in ([None] * cases, [f"case {index}" for index in range(cases)])
    )
    assert sparse == full
    assert sparse.units == cases + 1


@given(samples(), st.sampled_from([0.05, 0.2]))
@settings(max_examples=150)
def test_interval_and_p_value_agree(sample, alpha):
    found = weigh(sample, alpha=alpha)
    assert (found.low > 0) == (found.p_rise <= alpha)
    assert (found.high < 0) == (found.p_drop <= alpha)
    assert found.low <= found.change <= found.high
    assert 0 < found.p_drop <= 1
    assert 0 < found.p_rise <= 1
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)


@given(samples(max_size=8))
def test_another_tied_case_changes_no_tail_of_a_relabelling(sample):
    sample = replace(sample, pass_fail=False, clusters=None)
    found = weigh(sample)
    grown = weigh(replace(sample, baseline=[*sample.baseline, [0.7]], candidate=[*sample.candidate, [0.7]]))
    assert (grown.p_drop, grown.p_rise) == (found.p_drop, found.p_rise)
    assert grown.cases == found.cases + 1


@given(samples(max_size=10, max_repeats=1), st.sampled_from([2.0, 64.0, 2.0**-20]))
def test_the_unit_of_the_scale_does_not_matter(sample, factor):
    sample = replace(sample, pass_fail=False)
    found = weigh(sample)
    scaled = weigh(
        replace(
            sample,
            baseline=[[factor * score for score in scores] for scores in sample.baseline],
            candidate=[[factor * score for score in scores] for scores in sample.candidate],
            span=factor,
        )
    )
    assert (scaled.p_drop, scaled.p_rise) == (found.p_drop, found.p_rise)
    assert scaled.change == pytest.approx(factor * found.change)
    assert (scaled.low, scaled.high) == pytest.approx(
        (factor * found.low, factor * found.high), abs=factor * 1e-9
    )


def test_passes_and_failures_get_the_exact_test():
    before, after = [1.0] * 20, [0.0] * 6 + [1.0] * 14
    found = weigh(scored(before, after, pass_fail=True, clusters=[f"c{index}" for index in range(20)]))
    assert found.p_drop == unconditional_p(losses=6, gains=0, cases=20)
    assert found.p_rise == 1.0
    assert (found.low, found.high) == mover(losses=6, gains=0, cases=20, alpha=0.05)
    assert (found.cases, found.units, found.change) == (20, 20, -0.3)
    assert found.sd == pytest.approx(stdev(a - b for a, b in zip(after, before, strict=True)))


@pytest.mark.parametrize(
    "changed",
    [
        {"pass_fail": False},
        {"clusters": ["same", "same", *map(str, range(18))]},
        {"baseline": [[1.0, 1.0], *[[1.0]] * 19]},
        {"candidate": [[0.5], *[[0.0]] * 5, *[[1.0]] * 14]},
    ],
)
def test_everything_else_is_relabelled(changed):
    plain = scored([1.0] * 20, [0.0] * 6 + [1.0] * 14, pass_fail=True)
    found = weigh(replace(plain, **changed))
    # Six units, or five where two cases share one, are lost: half of the tie of all of them.
    assert found.p_drop in (0.5 / 2**6, 0.5 / 2**5, pytest.approx(0.5 / (3 * 2**5)))


def test_whole_runs_of_a_cluster_are_exchanged():
    before = [[[1.0, 0.5], [0.75, 1.0]], [[0.5, 0.25], [1.0, 0.0]], [[0.75, 0.75], [0.25, 0.5]]]
    after = [[[0.0, 0.5], [0.25, 0.5]], [[0.25, 0.5], [0.5, 0.25]], [[0.5, 0.25], [0.25, 0.25]]]
    choices = []
    for cluster_before, cluster_after in zip(before, after, strict=True):
        runs = [[case[run] for case in side] for side in (cluster_after, cluster_before) for run in range(2)]
        totals = [sum(run) for run in runs]
        picks = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
        choices.append([sum(totals[i] for i in pick) - sum(totals) / 2 for pick in picks])
    values = [sum(chosen) / math.sqrt(sum(d * d for d in chosen) or 1) for chosen in product(*choices)]
    expected = sum(value <= values[0] + 1e-9 for value in values) / len(values)
    found = weigh(
        Sample(
            baseline=[case for cluster in before for case in cluster],
            candidate=[case for cluster in after for case in cluster],
            clusters=["x", "x", "y", "y", "z", "z"],
        )
    )
    assert found.p_drop == pytest.approx(expected)
    assert (found.cases, found.units) == (6, 3)


def test_shared_noise_of_a_cluster_is_no_false_alarm():
    # All five cases of a cluster rise or fall together: tests of single cases call 1 in 7 a drop.
    rng = np.random.default_rng(2)
    draws, alarms = 300, 0
    for _ in range(draws):
        shock = np.repeat(rng.normal(0, 0.2, (12, 2)), 5, axis=0) + rng.normal(0, 0.1, (60, 2))
        sample = scored(shock[:, 0], shock[:, 1], clusters=[str(index // 5) for index in range(60)])
        alarms += weigh(sample).p_drop <= 0.05
    assert alarms / draws <= 0.085


def test_a_repeat_that_is_lacking_in_a_cluster_leaves_the_change_as_it_is():
    sample = Sample(
        baseline=[[1.0, 0.0, 1.0], [1.0, 0.5]], candidate=[[0.5], [0.25, 0.75, 0.5]], clusters=["a", "a"]
    )
    assert weigh(sample).change == pytest.approx(((0.5 - 2 / 3) + (0.5 - 0.75)) / 2)


@pytest.mark.parametrize("cases", [1, 2, 5, 10, 300])
@pytest.mark.parametrize("value", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("pass_fail", [True, False])
@pytest.mark.parametrize("repeats", [1, 3])
def test_a_constant_score_shows_no_change(cases, value, pass_fail, repeats):
    sample = Sample(baseline=[[value]] * cases, candidate=[[value] * repeats] * cases, pass_fail=pass_fail)
    found = weigh(sample)
    assert (found.change, found.sd, found.p_drop, found.p_rise) == (0.0, 0.0, 1.0, 1.0)
    assert found.low < 0 < found.high


def test_a_constant_drop_is_seen():
    found = weigh(scored([0.9] * 12, [0.7] * 12))
    assert found.high < 0
    assert found.change == pytest.approx(-0.2)
    assert found.sd == pytest.approx(0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"baseline": [], "candidate": []}, "no case"),
        ({"candidate": [[1.0]]}, "case 1 lacks its pair"),
        ({"clusters": ["a", "b", "c"]}, "case 2 lacks its pair"),
        ({"baseline": [[1.0], []]}, "Case 1 has no baseline answer"),
        ({"candidate": [[], [1.0]]}, "Case 0 has no candidate answer"),
        ({"candidate": [[1.0], [math.nan]]}, "Case 1 has a candidate score"),
        ({"baseline": [[1.0], [0.5, -math.inf]]}, "Case 1 has a baseline score"),
        ({"baseline": [[1e200], [0.5]]}, "Case 0 has a baseline score"),
        ({"baseline": [[0.5], [10**400]]}, "Case 1 has a baseline score"),
        (
            {"candidate": [[0.5], ["0.5"]]},
            r"Case 1 has a candidate score that is no usable number: \['0.5'\]",
        ),
        ({"candidate": ["1", [1.0]]}, "Case 0 has a candidate score"),
        ({"candidate": [[None], [1.0]]}, "Case 0 has a candidate score"),
        ({"baseline": [[1.0], [1j]]}, "Case 1 has a baseline score"),
        ({"baseline": [[1.0], [Decimal(1)]]}, "Case 1 has a baseline score"),
        ({"baseline": [[1.0], [0.5, True]]}, "Case 1 has a baseline score"),
        ({"baseline": [[1.0], None]}, "Case 1 has no list of baseline scores: None"),
        ({"candidate": [0.5, [1.0]]}, "Case 0 has no list of candidate scores: 0.5"),
        ({"candidate": [np.array([0.5]), np.array([])]}, "Case 1 has no candidate answer"),
        ({"span": 0.0}, "span"),
        ({"span": math.nan}, "span"),
    ],
)
def test_what_cannot_be_weighed_is_named(changed, message):
    with pytest.raises(ValueError, match=message):
        weigh(replace(scored([1.0, 0.0], [1.0, 1.0]), **changed))


@pytest.mark.parametrize("bad", [math.nan, math.inf, "0.5", None, True])
@given(samples(max_size=8), st.integers(0, 7), st.integers(0, 2), st.booleans())
@settings(max_examples=30)
def test_what_is_no_score_never_reaches_a_sum(bad, sample, index, run, old):
    side = "baseline" if old else "candidate"
    rows = [list(answers) for answers in getattr(sample, side)]
    index %= len(rows)
    rows[index][run % len(rows[index])] = bad
    with pytest.raises(ValueError, match=f"Case {index} has a {side} score"):
        weigh(replace(sample, pass_fail=False, **{side: rows}))


@pytest.mark.parametrize("kind", [int, bool, np.float32, np.float64, np.int64, Fraction])
def test_numbers_of_all_kinds_weigh_the_same(kind):
    before, after = [1.0] * 20, [0.0] * 6 + [1.0] * 14
    other = scored(map(kind, before), map(kind, after), pass_fail=True)
    assert weigh(other) == weigh(scored(before, after, pass_fail=True))


@pytest.mark.parametrize("alpha", [0, 0.5, math.nan])
def test_alpha_must_be_a_risk(alpha):
    with pytest.raises(ValueError, match="alpha"):
        weigh(scored([1.0], [1.0]), alpha=alpha)


SHUFFLED = """
import random, sys
from pytest_llmops.stats.weigh import Sample, weigh
rows = [([i * 7 % 11 / 11], [i * 5 % 13 / 13, i * 3 % 7 / 7], f"c{i % 40}") for i in range(90)]
random.Random(int(sys.argv[1])).shuffle(rows)
before, after, clusters = zip(*rows)
print(weigh(Sample(baseline=before, candidate=after, clusters=clusters)))
"""


def test_another_process_with_other_hashes_says_the_same():
    said = {
        subprocess.run(
            [sys.executable, "-c", SHUFFLED, seed],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def verdicts(cases, failing, passing):
    """Add up the chance of each verdict over all tables."""
    mix = dict.fromkeys(Verdict, 0.0)
    for losses in range(cases + 1):
        for gains in range(cases + 1 - losses):
            same = cases - losses - gains
            found = weigh(
                scored(
                    [1.0] * losses + [0.0] * (cases - losses),
                    [0.0] * (losses + same) + [1.0] * gains,
                    pass_fail=True,
                )
            )
            ways = math.comb(cases, losses) * math.comb(cases - losses, gains)
            chance = ways * failing**losses * passing**gains * (1 - failing - passing) ** same
            mix[decide(found, p_family=found.p_drop, margin=0.05, alpha=0.05)] += chance
    return mix


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (0.0, {"regressed": 0.0476, "improved": 0.0476, "no regression": 0.1866, "inconclusive": 0.7182}),
        (0.1, {"regressed": 0.5378, "improved": 0.0003, "no regression": 0.0029, "inconclusive": 0.4591}),
    ],
)
def test_fifty_cases_give_the_mix_of_verdicts_that_is_known(drop, expected):
    both = (0.95**2 + 0.3 * 0.95 * 0.05) * (1 - drop / 0.95)
    mix = verdicts(50, 0.95 - both, 0.95 - drop - both)
    assert {name: mix[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_the_spread_is_the_cluster_robust_one() -> None:
    import numpy as np
    import statsmodels.api as sm

    chance = np.random.default_rng(4)
    groups = np.repeat(np.arange(12), 5)
    changes = chance.normal(size=12)[groups] + chance.normal(scale=0.3, size=60)
    sample = Sample(
        baseline=[[0.0]] * 60,
        candidate=[[float(change)] for change in changes],
        clusters=[str(group) for group in groups],
        span=10.0,
    )
    fit = sm.OLS(changes, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert weigh(sample).sd / np.sqrt(60) == pytest.approx(float(fit.bse[0]))
