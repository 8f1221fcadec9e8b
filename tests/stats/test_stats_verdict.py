from __future__ import annotations

import math

import pytest

from pytest_llmops.stats.verdict import Evidence, Verdict, decide


def evidence(low, high, *, units=50, p_drop=0.01, sd=0.4):
    return Evidence(
        cases=units,
        units=units,
        change=(low + high) / 2,
        low=low,
        high=high,
        p_drop=p_drop,
        p_rise=0.5,
        sd=sd,
    )


@pytest.mark.parametrize(
    ("low", "high", "p_family", "expected"),
    [
        (-0.2, -0.01, 0.05, Verdict.REGRESSED),
        (-0.2, -0.01, 0.06, Verdict.INCONCLUSIVE),
        (-0.05, -0.01, 0.01, Verdict.WITHIN_MARGIN),
        (0.01, 0.2, 1.0, Verdict.IMPROVED),
        (-0.05, 0.2, 0.5, Verdict.NO_REGRESSION),
        (-0.06, 0.2, 0.5, Verdict.INCONCLUSIVE),
        (-0.06, 0.0, 0.06, Verdict.INCONCLUSIVE),
    ],
)
def test_the_interval_and_the_corrected_p_decide(low, high, p_family, expected):
    assert decide(evidence(low, high), p_family=p_family, margin=0.05, alpha=0.05) is expected


@pytest.mark.parametrize(("units", "expected"), [(4, Verdict.TOO_FEW), (5, Verdict.REGRESSED)])
def test_fewer_than_five_units_give_no_verdict(units, expected):
    found = evidence(-0.2, -0.01, units=units)
    assert decide(found, p_family=0.01, margin=0.05, alpha=0.05) is expected


def test_the_smallest_drop_seen_shrinks_with_the_root_of_the_cases():
    assert evidence(-0.1, 0.1, units=100).mde80 == pytest.approx(2.486 * 0.4 / 10, rel=1e-3)
    assert evidence(-0.1, 0.1, units=0).mde80 == math.inf


def test_without_any_change_the_open_end_of_the_interval_stands_for_both():
    found = evidence(-0.26, 0.26, units=10, sd=0.0)
    assert found.mde80 == 0.26
    assert evidence(0.01, 0.2, sd=0.0).mde80 == 0.0
