"""Estimate a mean from few labels of people and many scores of a judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from pytest_llmops.stats.agreement import Estimate
from pytest_llmops.stats.intervals import Interval, guarded_t

FEWEST: Final = 10
"""Fewest labelled cases of which anything is said."""


def prediction_powered(
    labelled: Sequence[tuple[float, float]], unlabelled: Sequence[float], *, span: float, alpha: float
) -> Estimate | None:
    """Return the mean that people would find over all cases, as far as their labels and the judge tell.

    With y the people's value of a labelled case, f the judge's and m its mean over all cases, the estimate is
    lambda * m + mean(y - lambda * f): the judge's mean, put right by what it gets wrong where that is known
    (Angelopoulos et al. 2023). lambda = cov(y, f) / var(f), cut to 0 and above, makes it least uncertain
    (PPI++, Angelopoulos, Duchi and Zrnic 2023, with the labelled cases among all): a judge that tells nothing
    gets none and the labels alone count.

    The same estimate is mean(y - k * f) over the labelled cases plus k * mean(f) over the others, with
    k = lambda * others / all: independent parts, whose guarded Student limits are squared and added. Where
    the labels alone are more certain, they alone count.

    Args:
        labelled: for each labelled case the people's value and the judge's, in any unit each.
        unlabelled: the judge's values of the other cases.
        span: width of the range of a single value of people, as `guarded_t` takes it.
        alpha: the risk accepted at each end.

    Returns:
        None of fewer than `FEWEST` labelled cases.
    """
    count, others = len(labelled), len(unlabelled)
    if count < FEWEST:
        return None
    people = [value for value, _ in labelled]
    alone = _mean_limits(people, span=span, alpha=alpha)
    weight = _slope(labelled) * others / (count + others)
    if weight <= 0 or others < 2:
        return alone
    rest = _mean_limits([value - weight * judge for value, judge in labelled], span=span, alpha=alpha)
    most = max(map(abs, unlabelled)) or 1.0
    judged = _mean_limits([weight * judge for judge in unlabelled], span=weight * most, alpha=alpha)
    value = rest.value + judged.value
    powered = Estimate(
        value,
        value - math.hypot(rest.value - rest.low, judged.value - judged.low),
        value + math.hypot(rest.high - rest.value, judged.high - judged.value),
    )
    return powered if powered.high - powered.low < alone.high - alone.low else alone


def _slope(labelled: Sequence[tuple[float, float]]) -> float:
    """Return how much the people's value rises with the judge's; 0 where the judge's never changes."""
    means = [math.fsum(values) / len(labelled) for values in zip(*labelled, strict=True)]
    pairs = [(value - means[0], judge - means[1]) for value, judge in labelled]
    squares = math.fsum(judge * judge for _, judge in pairs)
    return math.fsum(value * judge for value, judge in pairs) / squares if squares else 0.0


def _mean_limits(values: Sequence[float], *, span: float, alpha: float) -> Estimate:
    mean = math.fsum(values) / len(values)
    limits: Interval = guarded_t(list(values), [1] * len(values), span=span, alpha=alpha)
    return Estimate(mean, *limits)
