"""The number of an answer is found as people read it, and held against the expected one."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmops.errors import MisuseError
from pytest_llmops.scorers.number import numbers_in
from pytest_llmops.scorers.text import text_scorer


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("42", 42),
        ("The answer is 42.", 42),
        ("**42**", 42),
        ("42 km, that is 42", 42),
        ("12km", 12),
        ("50 %", 50),
        ("-5", -5),
        ("\u22125 °C", -5),
        ("$1,234.50 USD", "1234.5"),
        ("-$5", -5),
        ("1,234,567.89", "1234567.89"),
        ("1.234,56 €", "1234.56"),
        ("1.234.567", 1234567),
        ("12 345 km", 12345),
        ("1\u202f000\u202f000", 1000000),
        ("1'234'567", 1234567),
        ("1,234", 1234),
        ("3,14", "3.14"),
        ("0,123", "0.123"),
        (".5", "0.5"),
        ("...42", 42),
        ("1e3", 1000),
        ("2.50 or 2.5", "2.5"),
        ("\u0664\u0662", 42),
        ("\u0663\u066b\u0665", "3.5"),
        ("GPT-4 and H2O say 7", 7),
    ],
)
def test_one_number_is_found(score, answer, number):
    assert list(numbers_in(answer)) == [Fraction(number)]
    assert score(text_scorer("number"), answer, expected=float(number)).passed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer holds no number"),
        ("forty-two", "the answer holds no number"),
        ("GPT-4 on H2O", "the answer holds no number"),
        ("version 1.2.3", "the answer holds no number"),
        ("1e999999", "the answer holds no number"),
        ("9" * 101, "the answer holds no number"),
        ("\ud800", "the answer holds no number"),
        ("42 or 43", "the answer holds several numbers: 42, 43"),
        ("42-43", "the answer holds several numbers: 42, 43"),
        ("1 / 2 / 3 / 4 / 5", "the answer holds several numbers: 1, 2, 3, 4, ..."),
        ("It is 41.", "the answer's number is 41, not 42"),
        ("-42", "the answer's number is -42, not 42"),
    ],
)
def test_a_miss_says_why(score, answer, reason):
    assert score(text_scorer("number"), answer, expected=42).reason == reason


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**30), 10**30))
def test_numbers_as_python_writes_them_are_found(number, whole):
    assert list(numbers_in(f"it is {number!r} kg")) == [Fraction(repr(number))]
    assert list(numbers_in(f"{whole:,}")) == list(numbers_in(f"{whole}")) == [Fraction(whole)]


@pytest.mark.parametrize(
    ("tolerance", "answer", "expected", "right"),
    [
        (None, "0.30000000000000004", 0.3, False),
        (0.01, "3.15", 3.14, True),
        (0.01, "3.151", 3.14, False),
        (0, "3", 3.0, True),
        ("1%", "101", 100, True),
        ("1%", "101.1", 100, False),
        ("1 %", "-99", -100, True),
        ("50%", "0.1", 0, False),
        (0.5, "1,000.5", "1000", True),
    ],
)
def test_a_tolerance_is_absolute_or_a_share(score, tolerance, answer, expected, right):
    assert score(text_scorer("number", tolerance=tolerance), answer, expected=expected).passed is right


@pytest.mark.parametrize("tolerance", ["0.1", "-1%", -1, True, "%", [1], float("nan"), float("inf")])
def test_a_wrong_tolerance_is_refused(tolerance):
    with pytest.raises(
        MisuseError, match=r"neither a number of at least 0|is not a number that JSON can hold"
    ):
        text_scorer("number", tolerance=tolerance)


@pytest.mark.parametrize("expected", [True, "none", "1 or 2", [1], {"n": 1}])
def test_what_is_no_number_is_refused(score, expected):
    with pytest.raises(MisuseError, match=r"'case-1' expects .* is not one number"):
        score(text_scorer("number"), "1", expected=expected)


@pytest.mark.parametrize(
    "hostile", ["1" * 10**6, "1." * 500_000, "111," * 250_000, "1,234 " * 150_000, "- " * 500_000]
)
def test_long_answers_are_read(score, hostile):
    assert not score(text_scorer("number"), hostile, expected=5).passed


def test_the_tolerance_is_part_of_the_version():
    versions = {text_scorer("number", tolerance=each).metric.version for each in (None, 0.1, 0.2, "1%")}
    assert len(versions) == 4
