"""Say what a suite could see and what would settle it: more cases or more repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_llmops.stats.noise import Noise
from pytest_llmops.stats.verdict import MIN_UNITS, power_factor
from pytest_llmops.stats.weigh import RESOLUTION

MOST_REPEATS = 100
"""More repeats than this are not proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Be a size of suite that sees the margin, and its price in model calls."""

    cases: int
    baseline_repeats: int
    candidate_repeats: int
    baseline_calls: int
    """Calls for a new baseline, paid once; 0 where today's is enough."""

    @property
    def calls(self) -> int:
        """Return the calls of each comparison run."""
        return self.cases * self.candidate_repeats

    @property
    def price(self) -> int:
        """Return the calls up to and including the first comparison."""
        return self.calls + self.baseline_calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Hold the two ways to see a drop as large as the margin 4 times in 5."""

    more_cases: Way
    """Today's repeats, other cases; fewer than today's where these are more than enough."""
    more_repeats: Way | None
    """Today's cases; None where no number of repeats worth proposing is enough."""

    @property
    def cases(self) -> int:
        """Return how many cases it takes at today's repeats."""
        return self.more_cases.cases

    @property
    def cheaper(self) -> Way:
        """Return the way with fewer calls; on a tie more cases, which also tell more."""
        if self.more_repeats and self.more_repeats.price < self.more_cases.price:
            return self.more_repeats
        return self.more_cases


def mde80(
    noise: Noise, *, cases: int, baseline_repeats: float, candidate_repeats: float, alpha: float = 0.05
) -> float:
    """Return the smallest drop seen 4 times in 5, in score units; without a case none is.

    Args:
        noise: what makes the differences of cases differ.
        cases: paired cases.
        baseline_repeats: answers a case; their harmonic mean where cases differ.
        candidate_repeats: the same of the candidate.
        alpha: risk of a false alarm, one-sided.
    """
    if not cases:
        return math.inf
    return power_factor(alpha) * noise.sd(baseline_repeats, candidate_repeats) / math.sqrt(cases)


def needed(
    noise: Noise,
    *,
    margin: float,
    cases: int,
    baseline_repeats: int,
    candidate_repeats: int,
    alpha: float = 0.05,
) -> Need:
    """Return what would see a drop of `margin` 4 times in 5: more cases, or more repeats of today's.

    More repeats are asked of both sides; a side that has them already keeps what it has, so a baseline that
    was answered often enough costs nothing.

    Args:
        noise: what makes the differences of cases differ.
        margin: the drop to be seen, in score units, above 0.
        cases: today's paired cases.
        baseline_repeats: today's answers a case.
        candidate_repeats: the same of the candidate.
        alpha: risk of a false alarm, one-sided.
    """
    enough = (power_factor(alpha) * noise.sd(baseline_repeats, candidate_repeats) / margin) ** 2
    # Rounded first, lest a rounding error adds a case.
    grown = max(MIN_UNITS, math.ceil(round(enough, 9)))
    more_cases = Way(
        cases=grown,
        baseline_repeats=baseline_repeats,
        candidate_repeats=candidate_repeats,
        baseline_calls=grown * baseline_repeats if grown > cases else 0,
    )
    return Need(more_cases=more_cases, more_repeats=_repeated(noise, margin, more_cases, cases, alpha))


def _repeated(noise: Noise, margin: float, today: Way, cases: int, alpha: float) -> Way | None:
    if cases < MIN_UNITS:
        return None
    for repeats in range(1, MOST_REPEATS + 1):
        before, after = max(repeats, today.baseline_repeats), max(repeats, today.candidate_repeats)
        found = mde80(noise, cases=cases, baseline_repeats=before, candidate_repeats=after, alpha=alpha)
        if found <= margin * (1 + RESOLUTION):
            once = cases * before if before > today.baseline_repeats else 0
            return Way(cases=cases, baseline_repeats=before, candidate_repeats=after, baseline_calls=once)
    return None
