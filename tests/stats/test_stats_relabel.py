from __future__ import annotations

import math
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom, permutation_test

from pytest_llmops.stats.relabel import DRAWS, relabelled
from pytest_llmops.stats.units import grouped

TINY = 1e-12


class Unit(NamedTuple):
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]


def tails(units):
    baseline, candidate = [unit.baseline for unit in units], [unit.candidate for unit in units]
    return relabelled(grouped(baseline, candidate), resolution=TINY)


def clearness(differences, axis=-1):
    spread = np.sqrt((differences**2).sum(axis=axis))
    return differences.sum(axis=axis) / np.where(spread > 0, spread, 1)


def pairs(differences):
    return [Unit(baseline=(0.5,), candidate=(0.5 + difference,)) for difference in differences]


def brute(units, tie):
    """Look at every relabelling, with plain Python."""
    options = []
    for unit in units:
        runs, chosen = [*unit.candidate, *unit.baseline], len(unit.candidate)
        mean = [
            sum(runs[i] for i in picked) / chosen
            - sum(runs[i] for i in range(len(runs)) if i not in picked) / (len(runs) - chosen)
            for picked in combinations(range(len(runs)), chosen)
        ]
        options.append(np.array(mean))
    totals = squares = np.zeros(1)
    for option in options:
        totals = np.add.outer(totals, option).ravel()
        squares = np.add.outer(squares, option**2).ravel()
    values = np.where(squares > 1e-20, totals / np.sqrt(np.maximum(squares, 1e-20)), 0)
    below, above = (values < values[0] - 1e-9).mean(), (values > values[0] + 1e-9).mean()
    level = 1 - below - above
    return below + tie * level, above + tie * level


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cases", [3, 6, 9])
def test_one_answer_each_is_the_sign_flip_test_of_scipy(seed, cases):
    rng = np.random.default_rng(seed)
    differences = rng.integers(-3, 4, cases) / 4 if seed % 2 else rng.normal(-0.2, 0.4, cases)
    if not differences.any():
        differences[0] = 0.25
    found = tails(pairs(differences))
    for tail, side in ((found.drop, "less"), (found.rise, "greater")):
        oracle = permutation_test(
            (differences,),
            lambda x, axis: clearness(x, axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
            alternative=side,
        )
        assert tail == pytest.approx(oracle.pvalue)


@pytest.mark.parametrize("cases", [10, 12])
def test_from_ten_units_on_ties_count_half(cases):
    differences = np.array([-0.5, -0.25, -0.25, 0.25, 0.25, -0.5, -1, 0, 0.5, -0.25, 0.25, -0.75])[:cases]
    signs = np.array(list(product((1, -1), repeat=cases)))
    values = clearness(signs * differences)
    below, level = (values < values[0] - 1e-9).mean(), (abs(values - values[0]) <= 1e-9).mean()
    found = tails(pairs(differences))
    assert found.drop == pytest.approx(below + level / 2)
    assert found.rise == pytest.approx(1 - below - level / 2)


repeats = st.lists(
    st.tuples(
        # With three runs on both sides three units have more relabellings than are all looked at.
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=2),
        st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=3),
    ).map(lambda sides: Unit(baseline=tuple(sides[0]), candidate=tuple(sides[1]))),
    min_size=1,
    max_size=3,
)


@given(repeats)
@settings(max_examples=60)
def test_repeats_agree_with_looking_at_every_choice_of_runs(units):
    drop, rise = brute(units, tie=1.0)
    found = tails(units)
    total = sum(sum(u.candidate) / len(u.candidate) - sum(u.baseline) / len(u.baseline) for u in units)
    if total < -1e-9:
        assert found.drop == pytest.approx(drop)
    if total > 1e-9:
        assert found.rise == pytest.approx(rise)


def test_a_sample_comes_near_the_whole():
    rng = np.random.default_rng(4)
    differences = rng.integers(-4, 4, 40)
    # With one answer each only the sum matters; its distribution is built up case by case.
    sums = {0: 1.0}
    for size in map(abs, map(int, differences)):
        grown: dict[int, float] = {}
        for total, chance in sums.items():
            for after in (total - size, total + size):
                grown[after] = grown.get(after, 0.0) + chance / 2
        sums = grown
    seen = int(differences.sum())
    exact = sum(chance * (1 if total < seen else 0.5 * (total == seen)) for total, chance in sums.items())
    found = tails(pairs(differences / 4))
    assert found.drop == pytest.approx(exact, abs=4 * (exact * (1 - exact) / DRAWS) ** 0.5)
    assert found.drop + found.rise == pytest.approx(1, abs=2 / DRAWS)


def lattice(shape, passes):
    """Yield the difference of a unit of passes and failures, in its smallest steps, and its chance."""
    before, after = shape
    step = math.lcm(before, after)
    for count in range(max(0, passes - before), min(passes, after) + 1):
        chance = hypergeom.pmf(count, before + after, passes, after)
        yield count * step // after - (passes - count) * step // before, chance


def moved(table, down, right):
    """Return the table moved by so many rows and columns, which leaves its border empty."""
    return np.roll(table, (down, right), axis=(0, 1))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 1), (1, 3), (5, 5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_sample_of_repeats_comes_near_the_whole(shape, seed):
    # The joint distribution of sum and sum of squares is built up unit by unit.
    rng = np.random.default_rng(seed)
    step, count = math.lcm(*shape), 35
    before = (rng.random((count, shape[0])) < 0.6).astype(float)
    after = (rng.random((count, shape[1])) < 0.45).astype(float)
    width, height = step * count, step * step * count
    whole = np.zeros((2 * width + 1, height + 1))
    whole[width, 0] = 1
    for passes in (before.sum(axis=1) + after.sum(axis=1)).astype(int):
        whole = sum(chance * moved(whole, d, d * d) for d, chance in lattice(shape, passes))
    assert whole.sum() == pytest.approx(1)
    sums, squares = np.arange(-width, width + 1)[:, None], np.maximum(1, np.arange(height + 1))
    values = sums / np.sqrt(squares)
    observed = clearness(after.mean(axis=1) - before.mean(axis=1))
    below, level = whole[values < observed - 1e-9].sum(), whole[abs(values - observed) <= 1e-9].sum()
    exact = below + level / 2
    found = tails([Unit(tuple(b), tuple(a)) for b, a in zip(before, after, strict=True)])
    assert found.drop == pytest.approx(exact, abs=4 * (exact * (1 - exact) / DRAWS) ** 0.5)


def test_a_unit_of_very_many_relabellings_is_shuffled():
    # More relabellings than a table lists; of passes and failures only their number counts.
    shape = (9, 10)
    units = [
        Unit(baseline=(1.0,) * 8 + (0.0,), candidate=(1.0,) * 5 + (0.0,) * 5),
        Unit(baseline=(1.0,) * 6 + (0.0,) * 3, candidate=(1.0,) * 6 + (0.0,) * 4),
    ]
    outcomes = [list(lattice(shape, int(sum(unit.baseline + unit.candidate)))) for unit in units]
    chances = np.array([one[1] * other[1] for one, other in product(*outcomes)])
    values = clearness(np.array([[one[0], other[0]] for one, other in product(*outcomes)]))
    seen = np.array([np.mean(unit.candidate) - np.mean(unit.baseline) for unit in units])
    exact = chances[values <= clearness(seen) + 1e-9].sum()
    error = 4 * (exact * (1 - exact) / DRAWS) ** 0.5
    assert tails(units).drop == pytest.approx(exact, abs=error)
    assert tails([Unit(unit.candidate, unit.baseline) for unit in units]).rise == tails(units).drop


def test_with_equal_repeats_the_sample_holds_each_mirror_image():
    rng = np.random.default_rng(6)
    before, after = rng.random((40, 3)), rng.random((40, 3))
    found = tails([Unit(tuple(b), tuple(a)) for b, a in zip(before, after, strict=True)])
    # What was seen counts as a tie on both sides, and nothing else ties.
    assert found.drop + found.rise == pytest.approx(1 + 1 / (DRAWS + 1))
    assert found.drop * (DRAWS + 1) == pytest.approx(round(found.drop * (DRAWS + 1)))


def test_a_sample_favours_neither_side_of_data_that_mirror_themselves():
    sizes = [size / 64 for size in range(1, 11)]
    found = tails(pairs([*sizes, *(-size for size in sizes)]))
    assert found.drop == found.rise == pytest.approx(0.5, abs=0.02)


def test_units_of_all_shapes_are_sampled_together():
    rng = np.random.default_rng(9)
    large = Unit(baseline=tuple(rng.random(8)), candidate=tuple(rng.random(7) - 0.2))
    units = [large, *pairs([-0.25, 0.5, -0.75]), Unit(baseline=(0.5, 0.75), candidate=(0.25,))]
    drop, rise = brute(units, tie=1.0)
    found = tails(units)
    assert found.drop == pytest.approx(drop, abs=4 * (drop * (1 - drop) / DRAWS) ** 0.5)
    assert found.rise == pytest.approx(rise, abs=4 * (rise * (1 - rise) / DRAWS) ** 0.5)


def test_many_identical_answers_on_one_side_are_no_false_alarm():
    # Five stored answers against one new one, where the plain sign flip calls 1 in 9 a drop.
    rng = np.random.default_rng(11)
    draws = 500
    alarms = np.zeros(2)
    for _ in range(draws):
        chance = rng.beta(1.9, 0.47, 20)
        before, after = rng.random((20, 5)) < chance[:, None], rng.random(20) < chance
        units = [
            Unit(baseline=tuple(map(float, b)), candidate=(float(a),))
            for b, a in zip(before, after, strict=True)
        ]
        alarms += np.array(tails(units)) <= 0.05
    assert (alarms / draws <= 0.075).all()


def test_differences_that_are_rounding_errors_are_none():
    noise = pairs([1e-17 + 2**-52] * 30)
    assert tails(noise) == (1.0, 1.0)
    uneven = [Unit(baseline=(0.1, 0.2, 0.3), candidate=(0.2,))] * 5
    assert tails(uneven).rise >= 0.5
    assert tails(uneven).drop >= 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_a_rare_fall_is_no_rise(sign):
    # Most relabellings give both units the same fall, as clear as can be; a fall less even is rare.
    units = [
        Unit(baseline=(0.0,) * 98 + (sign * 1000.0,), candidate=(sign * answer,)) for answer in (5.0, 0.0)
    ]
    found = tails(units)
    assert (found.rise if sign > 0 else found.drop) >= 0.5


def test_without_a_difference_both_tails_are_whole():
    assert tails(pairs([0.0] * 12)) == (1.0, 1.0)
    assert tails([]) == (1.0, 1.0)
