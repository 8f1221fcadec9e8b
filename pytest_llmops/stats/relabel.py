"""Ask how often a change comes about by tossing which answers are called the baseline's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_llmops.stats.reference import Pools, drawn, every, ways
from pytest_llmops.stats.units import Units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EVERY = 2**12
"""Up to so many relabellings are all looked at; of more, a sample is drawn."""

DRAWS = 9_999
"""Relabellings in a sample."""

MID_P_UNITS = 10
"""From so many units on, a relabelling that ties with what was seen counts half."""

SAME = 1e-9
"""Statistics no further apart are ties: they differ by the order of a sum."""


class Tails(NamedTuple):
    """Hold how often chance alone gives a drop, and a rise, as clear as the one seen."""

    drop: float
    rise: float


def relabelled(groups: Sequence[Units], *, resolution: float) -> Tails:
    """Return both tails of the relabelling test.

    Under no change, which runs of a unit were the baseline's is a toss of its own. The clearness of a change
    is sum(D) / sqrt(sum(D * D)) over the differences D of the units. Units count the same in any order, runs
    too, and exchanging baseline and candidate exchanges the tails: the sample of relabellings is seeded by
    the sorted data, whichever side they come from.

    Args:
        groups: independent units, each shape once.
        resolution: differences that are not larger are rounding errors, in score units.
    """
    tie = 0.5 if sum(map(len, groups)) >= MID_P_UNITS else 1.0
    pools: Pools = {}
    seen: list[float] = []
    for group in groups:
        pool, differences = _pooled(group, resolution)
        if len(pool):
            pools[group.shape] = pool
            seen += differences
    if not pools:
        return Tails(1.0, 1.0)
    squares = math.fsum(difference * difference for difference in seen)
    observed = math.fsum(seen) / math.sqrt(squares) if squares else 0.0
    if math.prod(ways(shape) ** len(pool) for shape, pool in pools.items()) <= EVERY:
        return _counted(observed, every(pools, resolution=resolution), tie, itself=0)
    return _counted(observed, _sample(pools, observed, resolution), tie, itself=1)


def _pooled(group: Units, resolution: float) -> tuple[NDArray[np.float64], list[float]]:
    """Return the pool and the differences seen, without units that no relabelling gives a difference."""
    import numpy as np

    runs = np.concatenate((group.baseline, group.candidate), axis=1)
    lowest = runs.min(axis=1)
    telling = runs.max(axis=1) - lowest > resolution
    runs = (runs - lowest[:, np.newaxis])[telling]
    before, after = np.split(runs, [group.shape[0]], axis=1)
    seen = Units(baseline=before, candidate=after, cases=group.cases[telling])
    pool = np.sort(runs, axis=1)
    # The first column holds zeros only.
    return pool[np.lexsort(pool.T[1:])], seen.differences(resolution).tolist()


def _sample(pools: Pools, observed: float, resolution: float) -> NDArray[np.float64]:
    """Return the clearness of `DRAWS` relabellings."""
    import numpy as np

    straight = sorted((shape, pool.tobytes()) for shape, pool in pools.items())
    turned = sorted((shape[::-1], data) for shape, data in straight)
    if straight == turned:
        # The mirror image is as likely: each relabelling that is drawn brings its own along, and so does the
        # one that was observed.
        half = drawn(pools, DRAWS // 2, resolution=resolution)
        return np.concatenate((half, -half, [-observed]))
    if straight < turned:
        return drawn(pools, DRAWS, resolution=resolution)
    return -drawn({shape[::-1]: pool for shape, pool in pools.items()}, DRAWS, resolution=resolution)


def _counted(observed: float, reference: NDArray[np.float64], tie: float, *, itself: int) -> Tails:
    """Return the share of the reference beyond what was observed, which a sample does not hold itself."""
    total = len(reference) + itself
    below = int((reference < observed - SAME).sum())
    above = int((reference > observed + SAME).sum())
    level = tie * (len(reference) - below - above) + itself
    drop, rise = (below + level) / total, (above + level) / total
    # Where the sides have unequal repeats the reference is skewed, and might call a rise a clear drop.
    return Tails(drop if observed < 0 else max(drop, 0.5), rise if observed > 0 else max(rise, 0.5))
