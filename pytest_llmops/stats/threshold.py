"""Choose the score from which on an answer passes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence


def best_threshold(scores: Sequence[float], passes: Sequence[bool]) -> float | None:
    """Return the score from which on an answer should pass, by Youden's index.

    That is the sum of the shares of both kinds that come out right. It does not ask which kind is rarer: by
    plain accuracy a set that mostly passes would be judged best by passing all. Of several that are equally
    good the middle one is taken, and between two scores the shortest number.

    Args:
        scores: the judge's, higher for better.
        passes: what people say.

    Returns:
        None where people pass all or none, or all scores are equal.
    """
    good = sorted(score for score, passed in zip(scores, passes, strict=True) if passed)
    bad = sorted(score for score, passed in zip(scores, passes, strict=True) if not passed)
    levels = sorted({*good, *bad})
    if not good or not bad or len(levels) < 2:
        return None
    # In whole numbers, so that equally good ones come out equal and not a rounding error apart.
    quality = [
        (len(good) - bisect_left(good, level)) * len(bad) + bisect_left(bad, level) * len(good)
        for level in levels[1:]
    ]
    best = [index for index, found in enumerate(quality) if found == max(quality)]
    chosen = best[len(best) // 2]
    return _shortest_between(levels[chosen], levels[chosen + 1])


def _shortest_between(low: float, high: float) -> float:
    """Return the number above `low` and up to `high` with the fewest decimals, about in the middle."""
    middle = (low + high) / 2
    for decimals in range(17):
        found = math.ceil(middle * 10.0**decimals) / 10.0**decimals
        if low < found <= high:
            return found
    return high
