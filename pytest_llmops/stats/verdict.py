"""Decide what the evidence says of one metric: the verdicts and when each holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

MIN_UNITS = 5
"""With fewer paired units, one answer each, no result can reach 5 %: 2**-4 is .06."""

POWER = 0.8
"""The chance to see a drop that "can be seen" stands for."""


class Verdict(StrEnum):
    """Name what is known about one metric of one test."""

    REGRESSED = "regressed"
    WITHIN_MARGIN = "within margin"
    IMPROVED = "improved"
    NO_REGRESSION = "no regression"
    INCONCLUSIVE = "inconclusive"
    TOO_FEW = "too few cases"
    NOT_COMPARABLE = "not comparable"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Hold what the paired answers say of one metric; more is better in all of it."""

    cases: int
    """Paired cases."""
    units: int
    """Independent units: clusters where cases share one, else cases."""
    change: float
    """Mean of candidate minus baseline over cases, in score units (natural log for ratios)."""
    low: float
    """Lower end of the interval, alpha on its own side."""
    high: float
    """Upper end of the interval, alpha on its own side."""
    p_drop: float
    """How often chance alone gives a drop this large."""
    p_rise: float
    """How often chance alone gives a rise this large."""
    sd: float
    """Spread of the differences, in score units: over sqrt(cases) it is the standard error of `change`."""
    alpha: float = 0.05
    """The risk that was accepted at each end of the interval."""

    @property
    def mde80(self) -> float:
        """Return the smallest drop that a suite of this size sees 4 times in 5, in score units.

        Where no case changed there is no spread to reckon with: then it is the drop that the interval leaves
        open.
        """
        if not self.cases:
            return math.inf
        if not self.sd:
            return max(0.0, -self.low)
        return power_factor(self.alpha) * self.sd / math.sqrt(self.cases)


def power_factor(alpha: float) -> float:
    """Return how many standard errors a drop must have to be seen 4 times in 5: 2.486 where alpha is .05.

    It is the sum of two quantiles of the standard normal distribution.

    Args:
        alpha: the risk of a false alarm that is accepted, one-sided.
    """
    from scipy.special import ndtri

    return float(ndtri(1 - alpha) + ndtri(POWER))


def decide(evidence: Evidence, *, p_family: float, margin: float, alpha: float) -> Verdict:
    """Return the verdict on one metric.

    Args:
        evidence: what the paired answers say.
        p_family: `evidence.p_drop` after the correction for all gated metrics of the session.
        margin: the largest drop that is acceptable, in score units, above 0.
        alpha: the risk of a false alarm that is accepted, one-sided.
    """
    if evidence.units < MIN_UNITS:
        return Verdict.TOO_FEW
    if evidence.low > 0:
        return Verdict.IMPROVED
    if evidence.high < 0:
        if evidence.low >= -margin:
            return Verdict.WITHIN_MARGIN
        return Verdict.REGRESSED if p_family <= alpha else Verdict.INCONCLUSIVE
    return Verdict.NO_REGRESSION if evidence.low >= -margin else Verdict.INCONCLUSIVE
