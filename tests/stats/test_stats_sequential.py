from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.sequential import BREAKER_SHARE, LOOKS, e_value, nominal_levels, unharmed

few = st.integers(0, 60)
many = st.integers(0, 10**6)


@given(few, few)
def test_the_e_value_is_the_integral_over_all_loss_shares(losses, gains):
    def ratio(share):
        return 2 * (2 * share) ** losses * (2 * (1 - share)) ** gains

    assert e_value(losses, gains) == pytest.approx(quad(ratio, 0.5, 1, epsabs=0)[0], rel=1e-9)


@given(few, few)
def test_on_average_one_more_flip_changes_no_e_value(losses, gains):
    later = (e_value(losses + 1, gains) + e_value(losses, gains + 1)) / 2
    assert later == pytest.approx(e_value(losses, gains), rel=1e-12)


@given(many, many)
def test_no_count_makes_an_e_value_that_is_not_a_number(losses, gains):
    value = e_value(losses, gains)
    assert value > 0
    assert e_value(losses + 1, gains) >= value >= e_value(losses, gains + 1)


@pytest.mark.parametrize(
    ("losses", "gains", "value"),
    [(0, 0, 1.0), (1, 0, 1.5), (0, 10**6, 1 / (10**6 + 1)), (10**6, 0, math.inf)],
)
def test_e_values_that_are_known(losses, gains, value):
    assert e_value(losses, gains) == pytest.approx(value, rel=1e-12)


def test_chance_alone_trips_the_breaker_as_rarely_as_it_may():
    # Every path of 400 flips: where it is, and how likely it got there without being stopped.
    limit, tripped, running = 1 / (BREAKER_SHARE * 0.05), 0.0, {0: 1.0}
    for flips in range(1, 401):
        after: dict[int, float] = {}
        for losses, chance in running.items():
            for more in (0, 1):
                after[losses + more] = after.get(losses + more, 0.0) + chance / 2
        stopped = {losses for losses in after if e_value(losses, flips - losses) >= limit}
        tripped += sum(after.pop(losses) for losses in stopped)
        running = after
    assert 0.5 * BREAKER_SHARE * 0.05 < tripped <= BREAKER_SHARE * 0.05


def test_the_levels_are_those_of_the_published_bounds():
    # O'Brien-Fleming-type spending of .025 at four equal looks, as group-sequential software prints it.
    levels = nominal_levels(0.025 / (1 - BREAKER_SHARE))
    assert norm.isf(levels) == pytest.approx([4.3326, 2.9631, 2.3590, 2.0141], abs=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 0.2, 0.05, 0.01])
def test_the_levels_spend_what_the_breaker_leaves(alpha):
    bounds = norm.isf(nominal_levels(alpha))
    assert _stopped(bounds) == pytest.approx((1 - BREAKER_SHARE) * alpha, rel=2e-4)


def _stopped(bounds):
    """Return the chance that a Brownian motion exceeds any of the bounds."""
    shares = np.array(LOOKS)
    together = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    joint = multivariate_normal(np.zeros(4), together, maxpts=400_000, abseps=1e-7, seed=1)
    return 1 - joint.cdf(bounds)


@given(st.floats(1e-5, 0.5))
@settings(deadline=None)
def test_levels_rise_from_look_to_look_and_with_alpha(alpha):
    levels = nominal_levels(alpha)
    assert list(levels) == sorted(levels)
    assert levels[0] > 0
    assert levels[-1] < alpha
    assert all(np.array(nominal_levels(alpha / 2)) < levels)


def test_nothing_stops_green_where_nothing_may():
    assert not unharmed(0.25, 1.0)
    assert not unharmed(1.0, 1.0)


@pytest.mark.parametrize(("share", "p"), [(0.5, 0.5), (0.75, 0.3)])
def test_a_session_stops_green_where_no_drop_shows(share, p):
    assert unharmed(share, p)
    assert not unharmed(share, p - 1e-9)


@given(few, few, st.integers(1, 200))
def test_half_way_a_session_stops_green_where_no_more_cases_fail_than_pass(losses, gains, tied):
    # Where every single case flips, one loss more than gains is a toss-up too: hence at least one tie.
    p_drop = unconditional_p(losses=losses, gains=gains, cases=losses + gains + tied)
    assert unharmed(0.5, p_drop) == (losses <= gains)
