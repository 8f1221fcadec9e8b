"""A metric says which values are scores of it, and refuses all others by name."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.score import LARGEST_RATIO, Metric

PASSED = Metric(name="passed", version="1")
GRADE = Metric(name="grade", version="1", kind="score", range=(1.0, 5.0), threshold=3.0)
ERRORS = replace(GRADE, name="errors", range=(0.0, 10.0), higher_is_better=False)
SECONDS = Metric(name="seconds", version="1", kind="ratio", range=None, higher_is_better=False)


@pytest.mark.parametrize(
    ("metric", "limits"),
    [(PASSED, (0, 1)), (GRADE, (1, 5)), (ERRORS, (0, 10)), (SECONDS, (0, LARGEST_RATIO))],
)
def test_the_limits_are_the_range_and_belong_to_it(metric, limits):
    assert metric.limits == limits
    for end in limits:
        assert metric.refusal(end) == ""
        assert metric.score(end).value == end


@pytest.mark.parametrize("metric", [PASSED, GRADE, ERRORS, SECONDS])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("high", "'high', which is not a number"),
        (None, "None, which is not a number"),
        ([1.0], "[1.0], which is not a number"),
        (1j, "1j, which is not a number"),
        (math.nan, "nan, which is not a finite number"),
        (math.inf, "inf, which is not a finite number"),
        (-math.inf, "-inf, which is not a finite number"),
    ],
)
def test_what_is_no_finite_number_is_refused(metric, value, words):
    assert metric.refusal(value) == words
    with pytest.raises(MisuseError) as caught:
        metric.score(value)
    assert str(caught.value) == f"The metric {metric.name!r} gave {words}."


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        (PASSED, 1.5, "1.5, outside its range 0 to 1"),
        (PASSED, -1, "-1, outside its range 0 to 1"),
        (GRADE, 0.99, "0.99, outside its range 1 to 5"),
        (GRADE, False, "False, outside its range 1 to 5"),
        (ERRORS, 11, "11, outside its range 0 to 10"),
        (SECONDS, -0.001, "-0.001, outside its range 0 to 1e+100"),
        (SECONDS, 1e101, "1e+101, outside its range 0 to 1e+100"),
        pytest.param(PASSED, 1 << 5000, "a number of 5001 bits, outside its range 0 to 1", id="huge"),
        pytest.param(
            SECONDS, -(1 << 20_000), "a number of 20001 bits, outside its range 0 to 1e+100", id="very huge"
        ),
    ],
)
def test_what_lies_outside_the_range_is_refused(metric, value, words):
    assert metric.refusal(value) == words
    with pytest.raises(MisuseError, match="outside its range"):
        metric.score(value)


@pytest.mark.parametrize(("value", "number"), [(True, 1.0), (False, 0.0), (1, 1.0)])
def test_true_and_false_are_scores(value, number):
    score = PASSED.score(value)
    assert (score.value, type(score.value), score.passed) == (number, float, number == 1.0)


@settings(deadline=None)
@given(
    st.sampled_from([PASSED, GRADE, ERRORS, SECONDS]),
    st.one_of(st.floats(), st.integers(), st.booleans(), st.text(), st.none(), st.complex_numbers()),
)
def test_a_value_is_a_score_exactly_within_the_limits(metric, value):
    low, high = metric.limits
    is_score = isinstance(value, int | float) and low <= value <= high
    assert (metric.refusal(value) == "") is is_score
