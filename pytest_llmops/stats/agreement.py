"""Say how well scores agree with the labels of people, each figure with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_llmops.stats.intervals import clopper_pearson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

FEWEST_RANKED = 5
"""Fewest pairs of which a rank correlation is taken: of fewer the variance is unknown or says nothing."""


class Estimate(NamedTuple):
    """Be a figure between the ends of its interval."""

    value: float
    low: float
    high: float


def share(count: int, cases: int, *, alpha: float) -> Estimate | None:
    """Return a share with its exact limits (Clopper-Pearson), `alpha` beyond each; None of no cases."""
    if not cases:
        return None
    return Estimate(count / cases, *clopper_pearson(count, cases, alpha=alpha))


def kappa(table: ArrayLike, *, alpha: float) -> Estimate | None:
    """Return Cohen's kappa: agreement beyond what two raters reach who know nothing of each other.

    Its limits are the exact ones of the share of agreement, turned into kappa with the agreement by chance
    that the table shows: the usual standard error (Fleiss, Cohen and Everitt 1969) gives full agreement no
    width, and misses high values of small tables too often.

    Args:
        table: counts, a row for each class of one rater, a column for each of the other.
        alpha: the risk accepted at each end.

    Returns:
        None where both raters gave all answers one and the same class: there is nothing to agree about.
    """
    import numpy as np

    counts = np.asarray(table, np.int64)
    total = int(counts.sum())
    if not total:
        return None
    by_chance = int(counts.sum(axis=1) @ counts.sum(axis=0)) / total**2
    agreed = share(int(counts.trace()), total, alpha=alpha)
    if by_chance == 1 or agreed is None:
        return None
    return Estimate(*((part - by_chance) / (1 - by_chance) for part in agreed))


def spearman(one: ArrayLike, other: ArrayLike, *, alpha: float) -> Estimate | None:
    """Return Spearman's correlation of ranks, ties sharing theirs, with the limits of `rank_limits`.

    Returns:
        None of fewer than `FEWEST_RANKED` pairs, and where one side never changes.
    """
    return spearman_within([0] * len(_flat(one)), one, other, alpha=alpha)


def spearman_within(
    groups: Sequence[object], one: ArrayLike, other: ArrayLike, *, alpha: float
) -> Estimate | None:
    """Return the correlation of ranks among those of equal group, pooled over the groups.

    Ranks are taken inside each group and divided by its size, so that what differs between groups counts
    nothing; the interval spends one pair for each group beyond the first.

    Returns:
        None where too few pairs are left, and where one side never changes inside a group.
    """
    import numpy as np

    first, second = _flat(one), _flat(other)
    names = [str(group) for group in groups]
    left, right = [], []
    for name in sorted(set(names)):
        members = np.array([each == name for each in names])
        left.append(_centred_ranks(first[members]))
        right.append(_centred_ranks(second[members]))
    pairs = len(names) - len(left) + 1
    x, y = np.concatenate(left), np.concatenate(right)
    scale = math.sqrt(float(x @ x) * float(y @ y))
    if pairs < FEWEST_RANKED or scale == 0:
        return None
    value = max(-1.0, min(1.0, float(x @ y) / scale))
    return _around(value, *rank_limits(value, pairs, alpha=alpha))


def rank_limits(value: float, pairs: int, *, alpha: float) -> tuple[float, float]:
    """Return the limits of a rank correlation: Fisher's z with the variance of Bonett and Wright (2000).

    Complete order is taken as if one pair in so many were a little out of it, for else it had no width.
    """
    from scipy.special import ndtri

    most = 1 - 1 / pairs
    inner = max(-most, min(most, value))
    reach = -float(ndtri(alpha)) * math.sqrt((1 + inner * inner / 2) / (pairs - 3))
    centre = math.atanh(inner)
    return math.tanh(centre - reach), math.tanh(centre + reach)


def auc(passed: ArrayLike, failed: ArrayLike, *, alpha: float) -> Estimate | None:
    """Return how often an answer that people pass scores above one that they fail, ties counting half.

    The interval is Newcombe's score interval (2006, method 5): all values whose own variance, by Hanley and
    McNeil (1982) with both samples of the middle size, makes the figure found likely. At 0.5 that variance is
    the Mann-Whitney test's. Ties make it smaller there, by that test's own correction, and less and less
    towards 0 and 1: so the interval leaves out 0.5 exactly where the test finds an order.

    Args:
        passed: scores of the answers that people pass.
        failed: scores of those that they fail.
        alpha: the risk accepted at each end.

    Returns:
        None where either is empty: then nothing can be told apart.
    """
    import numpy as np

    good, bad = _flat(passed), _flat(failed)
    if not len(good) or not len(bad):
        return None
    above = np.searchsorted(np.sort(bad), good, side="left").sum()
    reached = np.searchsorted(np.sort(bad), good, side="right").sum()
    value = float(above + reached) / (2 * len(good) * len(bad))
    tied = _tied_share(np.concatenate([good, bad]))
    if tied == 1:
        return Estimate(0.5, 0.0, 1.0)
    ends = (_auc_end(value, len(good), len(bad), tied, end, alpha=alpha) for end in (0.0, 1.0))
    return _around(value, *ends)


def crossed(one: Sequence[float], other: Sequence[float], classes: Sequence[float]) -> list[list[int]]:
    """Return the counts of each pair of classes, rows for `one`."""
    counts = {row: dict.fromkeys(classes, 0) for row in classes}
    for row, column in zip(one, other, strict=True):
        counts[row][column] += 1
    return [list(counts[row].values()) for row in classes]


def _auc_end(value: float, good: int, bad: int, tied: float, end: float, *, alpha: float) -> float:
    """Return the value towards `end` at which the figure found is just still likely, by bisection."""
    from scipy.special import ndtri

    reach = float(ndtri(alpha)) ** 2
    inner, outer = value, end
    for _ in range(60):
        middle = (inner + outer) / 2
        if (middle - value) ** 2 <= reach * _auc_variance(middle, good, bad, tied):
            inner = middle
        else:
            outer = middle
    return inner


def _auc_variance(value: float, good: int, bad: int, tied: float) -> float:
    rest = 1 - value
    middle_size = (good + bad) / 2 - 1
    spread = 1 + middle_size * (rest / (1 + rest) + value / (1 + value))
    fading = 1 - tied * 4 * value * rest
    return fading * value * rest * spread / (good * bad)


def _tied_share(scores: NDArray[np.float64]) -> float:
    """Return by how much ties make the variance of a sum of ranks smaller; 1 where all are equal."""
    import numpy as np

    _, counts = np.unique(scores, return_counts=True)
    total = len(scores)
    return float((counts.astype(np.float64) ** 3 - counts).sum()) / (total**3 - total)


def _centred_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks, equal values sharing theirs, about 0 and as a share of their number."""
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places.reshape(-1)]
    return np.asarray((ranks - (len(values) + 1) / 2) / len(values), np.float64)


def _flat(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, np.float64).reshape(-1)


def _around(value: float, low: float, high: float) -> Estimate:
    """Return the estimate; smoothing must not leave the figure itself outside."""
    return Estimate(value, min(low, value), max(high, value))
