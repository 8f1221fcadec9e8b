from __future__ import annotations

from collections import Counter
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.stats.units import grouped

RUNS = st.lists(st.floats(-1, 1), min_size=1, max_size=4)


@given(st.lists(st.tuples(RUNS, RUNS, st.integers(1, 5)), min_size=1, max_size=30))
def test_every_unit_is_in_the_group_of_its_shape(rows):
    baseline, candidate, cases = zip(*rows, strict=True)
    groups = grouped(baseline, candidate, cases)
    shapes = [group.shape for group in groups]
    assert sorted(set(shapes)) == shapes
    found = Counter(
        (tuple(before), tuple(after), size)
        for group in groups
        for before, after, size in zip(group.baseline, group.candidate, group.cases, strict=True)
    )
    assert found == Counter((tuple(sorted(b)), tuple(sorted(a)), size) for b, a, size in rows)
    assert sum(map(len, groups)) == len(rows)


def test_a_unit_is_one_case_where_nothing_else_is_said():
    (group,) = grouped([[1.0, 0.5], [0.0, 1.0]], [[0.5], [0.25]])
    assert group.shape == (2, 1)
    assert group.cases.tolist() == [1, 1]


@given(st.lists(st.tuples(RUNS, RUNS), min_size=1, max_size=10))
def test_the_difference_is_that_of_the_means(rows):
    for baseline, candidate in rows:
        (group,) = grouped([baseline], [candidate])
        assert group.differences(0.0) == pytest.approx([fmean(candidate) - fmean(baseline)], abs=1e-14)


def test_differences_up_to_the_resolution_are_none():
    (group,) = grouped([[0.5]] * 3, [[0.5 + 2**-20], [0.5 - 2**-20], [0.5 + 2**-19]])
    assert np.array_equal(group.differences(2**-20), [0.0, 0.0, 2**-19])
