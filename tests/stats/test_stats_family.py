from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from pytest_llmops.stats.family import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(p_values)
@settings(max_examples=25)  # the oracle is slow
def test_holm_agrees_with_statsmodels(values):
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


@given(p_values, st.randoms())
def test_each_p_value_keeps_its_place(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    straight = holm(values)
    assert holm([values[index] for index in order]) == [straight[index] for index in order]


def test_one_metric_needs_no_correction():
    assert holm([0.03]) == [0.03]


def test_an_empty_family_has_nothing_to_correct():
    assert holm([]) is None
