"""Say how large a change may be: intervals with alpha at each end."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class Interval(NamedTuple):
    """Be a range of changes."""

    low: float
    high: float


def clopper_pearson(count: int, cases: int, *, alpha: float) -> Interval:
    """Return the exact limits of a share, `alpha` beyond each."""
    from scipy.special import betainccinv, betaincinv

    low = float(betaincinv(count, cases - count + 1, alpha)) if count > 0 else 0.0
    high = float(betainccinv(count + 1, cases - count, alpha)) if count < cases else 1.0
    return Interval(low, high)


def mover(*, losses: int, gains: int, cases: int, alpha: float) -> Interval:
    """Return the limits of (gains - losses) / cases, squared and added from those of both shares.

    Newcombe's method (1998), with Clopper-Pearson limits because Wilson's miss too often near 0.

    Args:
        losses: cases that passed and now fail.
        gains: cases that failed and now pass.
        cases: all paired cases, at least 1.
        alpha: the risk accepted at each end.
    """
    rise, drop = gains / cases, losses / cases
    rise_low, rise_high = clopper_pearson(gains, cases, alpha=alpha)
    drop_low, drop_high = clopper_pearson(losses, cases, alpha=alpha)
    # A case that rises cannot drop: the shares lean against each other.
    lean = math.sqrt(rise * drop / ((1 - rise) * (1 - drop))) if losses and gains else 0.0
    below = _added(rise - rise_low, drop_high - drop, lean)
    above = _added(rise_high - rise, drop - drop_low, lean)
    change = (gains - losses) / cases
    return Interval(change - below, change + above)


def guarded_t(totals: ArrayLike, sizes: ArrayLike, *, span: float, alpha: float) -> Interval:
    """Return the limits of the mean change of a case, from the totals of independent units.

    Student's interval for a ratio of totals, guarded twice against suites where almost every case is tied:
    as if two more units had changed as much as those that did, and wider on the side that the units lean to
    (Johnson 1978). One unit alone tells nothing: the whole range is returned.

    Args:
        totals: summed change of the cases of each unit, in score units.
        sizes: number of cases of each unit.
        span: width of the metric's range, which stands in for the change where nothing changed.
        alpha: the risk accepted at each end.
    """
    import numpy as np
    from scipy.special import stdtrit

    summed, counts = np.asarray(totals, np.float64), np.asarray(sizes, np.int64)
    units, cases = len(summed), int(counts.sum())
    mean = _sum(summed) / cases
    if units < 2:
        return Interval(min(mean, -span), max(mean, span))
    t = float(stdtrit(units - 1, 1 - alpha))
    errors = summed - counts * mean
    changed = summed[summed != 0]
    guard = _sum(changed * changed) / len(changed) if len(changed) else span * span
    squares = _sum(errors * errors)
    reach = t * math.sqrt(squares + 2 * guard) / cases
    lean = _skewed_total(errors, math.sqrt(squares / (units - 1))) * (1 + 2 * t * t) / (6 * cases)
    return Interval(mean - reach + min(0.0, lean), mean + reach + max(0.0, lean))


def agreed(interval: Interval, *, p_drop: float, p_rise: float, alpha: float) -> Interval:
    """Return the interval with an end that contradicts its p-value cut or stretched to 0.

    Afterwards it lies above 0 exactly where `p_rise` is at most `alpha`, below 0 exactly where `p_drop` is.
    """
    # An end cut to 0 must still exclude 0.
    nothing = sys.float_info.min
    low = max(interval.low, nothing) if p_rise <= alpha else min(interval.low, 0.0)
    high = min(interval.high, -nothing) if p_drop <= alpha else max(interval.high, 0.0)
    return Interval(low, high)


def _added(one: float, other: float, lean: float) -> float:
    return math.sqrt(one * one + other * other + 2 * lean * (one * other))


def _sum(values: NDArray[np.float64]) -> float:
    """Return the sum, which does not depend on the order."""
    return math.fsum(values.tolist())


def _skewed_total(errors: NDArray[np.float64], sd: float) -> float:
    """Return skewness times standard deviation; 0 where all errors are."""
    if sd == 0:
        return 0.0
    count = len(errors)
    shares = errors / (sd * math.sqrt((count - 1) / count))
    return sd * _sum(shares * shares * shares) / count
