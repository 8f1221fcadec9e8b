"""Numbers are written as people read them."""

from __future__ import annotations

import pytest

from pytest_llmops.reports.figures import (
    amount_text,
    change_text,
    counted,
    dollars_text,
    interval_text,
    p_text,
    value_text,
)
from pytest_llmops.scorers.score import Metric

SHARE = Metric(name="passed", version="1")
UNIT = Metric(name="rouge", version="1", kind="score")
STARS = Metric(name="judge", version="1", kind="score", range=(1.0, 5.0))
POINTS = Metric(name="points", version="1", kind="score", range=(0.0, 100.0))
SECONDS = Metric(name="latency", version="1", kind="ratio", range=None, unit="s")
DOLLARS = Metric(name="cost", version="1", kind="ratio", range=None, unit="USD")


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        (SHARE, 0.98, "98.0 %"),
        (SHARE, 1.0, "100.0 %"),
        (UNIT, 0.12345, "0.123"),
        (STARS, 4.2049, "4.20"),
        (POINTS, 71.26, "71.3"),
        (SECONDS, 0.82312, "0.823 s"),
        (SECONDS, 1234.5, "1,234 s"),
        (DOLLARS, 0.000423, "$0.000423"),
        (DOLLARS, 0.0, "$0"),
        (SHARE, None, "-"),
    ],
)
def test_values(metric, value, text):
    assert value_text(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "change", "text"),
    [
        (SHARE, -0.08, "-8.0 pp"),
        (SHARE, 0.0004, "0.0 pp"),
        (SHARE, -0.0004, "0.0 pp"),
        (UNIT, 0.0123, "+0.012"),
        (STARS, -0.004, "0.00"),
        (SECONDS, 0.125, "+12.5 %"),
        (SECONDS, None, "-"),
    ],
)
def test_changes(metric, change, text):
    assert change_text(metric, change) == text


def test_intervals_have_signs_at_both_ends():
    assert interval_text(SHARE, -0.141, -0.023) == "-14.1 to -2.3"
    assert interval_text(STARS, -0.1, 0.1) == "-0.10 to +0.10"
    assert interval_text(SHARE, 0.0, None) == "-"


def test_amounts_have_no_sign():
    assert amount_text(SHARE, -0.05) == "5.0 percentage points"
    assert amount_text(SECONDS, 0.1) == "10.0 %"
    assert amount_text(STARS, -0.2) == "0.20"


@pytest.mark.parametrize(
    ("dollars", "unpriced", "text"),
    [
        (0.0, 0, "$0.00"),
        (0.0312, 0, "$0.03"),
        (0.00042, 0, "$0.00042"),
        (1234.5, 0, "$1,234.50"),
        (0.0, 3, "cost unknown"),
        (0.5, 3, "$0.50 or more"),
    ],
)
def test_dollars(dollars, unpriced, text):
    assert dollars_text(dollars, unpriced) == text


def test_counts_agree_with_their_nouns():
    assert [counted(number, "case") for number in (0, 1, 2, 1234)] == [
        "0 cases",
        "1 case",
        "2 cases",
        "1,234 cases",
    ]


def test_small_probabilities_are_bounds():
    assert [p_text(p) for p in (0.05, 0.0007, 0.0001, 0.00009)] == [
        "p = 0.05",
        "p = 0.0007",
        "p = 0.0001",
        "p < 0.0001",
    ]
