"""Ask how often a change comes about by tossing which answers are called the baseline's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import combinations, groupby
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EVERY = 2**12
"""Up to so many relabellings are all looked at; of more, a sample is drawn."""

DRAWS = 9_999
"""Relabellings in a sample."""

MID_P_UNITS = 10
"""From so many units on, a relabelling that ties with what was seen counts half."""

JOINT = 2**9
"""Most entries of the joint table from which a sample is drawn: it stays in the processor's cache."""

BLOCKS = 8
"""Joint tables made at once, which bounds the memory used."""

SAME = 1e-9
"""Statistics no further apart are ties: they differ by the order of a sum."""

Runs: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""The totals of a unit in each baseline run and in each candidate run, each in ascending order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Be cases that stand or fall together; mostly one case."""

    baseline: tuple[float, ...]
    """Summed score of the cases, one sum a run."""
    candidate: tuple[float, ...]
    cases: int = 1


class Tails(NamedTuple):
    """Hold how often chance alone gives a drop, and a rise, as clear as the one seen."""

    drop: float
    rise: float


def relabelled(units: Sequence[Unit], *, resolution: float) -> Tails:
    """Return both tails of the relabelling test.

    Under no change, which runs of a unit were the baseline's is a toss of its own. The clearness of a change
    is sum(D) / sqrt(sum(D * D)) over the differences D of the units. Units count the same in any order, runs
    too, and exchanging baseline and candidate exchanges the tails: the sample of relabellings is seeded by
    the sorted data.

    Args:
        units: independent units, at least one run on either side of each.
        resolution: differences that are not larger are rounding errors, in score units.
    """
    runs = list(_telling(units, resolution))
    if not runs:
        return Tails(1.0, 1.0)
    tie = 0.5 if len(units) >= MID_P_UNITS else 1.0
    straight, turned = sorted(runs), sorted((candidate, baseline) for baseline, candidate in runs)
    drop, rise = _tails(min(straight, turned), resolution, tie)
    if straight == turned:
        # The data are their own mirror image, the sample is not.
        return Tails((drop + rise) / 2, (drop + rise) / 2)
    return Tails(drop, rise) if straight < turned else Tails(rise, drop)


def _telling(units: Iterable[Unit], resolution: float) -> Iterator[Runs]:
    """Yield the runs of the units that not every relabelling leaves without a difference."""
    for unit in units:
        lowest = min(*unit.baseline, *unit.candidate)
        if max(*unit.baseline, *unit.candidate) - lowest > resolution:
            yield (
                tuple(sorted(total - lowest for total in unit.baseline)),
                tuple(sorted(total - lowest for total in unit.candidate)),
            )


def _tails(runs: Sequence[Runs], resolution: float, tie: float) -> Tails:
    if math.prod(map(_ways, runs)) > EVERY:
        observed, reference = _sample(runs, resolution)
        return _counted(observed, reference, tie, itself=1)
    tables = (_tables([unit], _labellings(*map(len, unit)), resolution) for unit in runs)
    reference = _clearness(reduce(_joined, tables)[0])
    return _counted(float(reference[0]), reference, tie, itself=0)


def _ways(unit: Runs) -> int:
    baseline, candidate = map(len, unit)
    return math.comb(baseline + candidate, candidate)


def _counted(observed: float, reference: NDArray[np.float64], tie: float, *, itself: int) -> Tails:
    """Return the share of the reference beyond what was observed, which a sample does not hold itself."""
    total = len(reference) + itself
    below = int((reference < observed - SAME).sum())
    above = int((reference > observed + SAME).sum())
    level = tie * (len(reference) - below - above) + itself
    drop, rise = (below + level) / total, (above + level) / total
    # Where the sides have unequal repeats the reference is skewed, and might call a rise a clear drop.
    return Tails(drop if observed < 0 else max(drop, 0.5), rise if observed > 0 else max(rise, 0.5))


def _sample(runs: Sequence[Runs], resolution: float) -> tuple[float, NDArray[np.float64]]:
    """Return the clearness that was observed, and that of `DRAWS` relabellings."""
    import numpy as np

    data = np.array([total for unit in runs for side in unit for total in side], dtype="<f8")
    rng = np.random.default_rng(np.random.SeedSequence(data.view("<u4").astype(np.uint32)))
    observed, drawn = np.zeros((2, 1)), np.zeros((2, DRAWS))
    small = sorted((unit for unit in runs if _ways(unit) <= EVERY), key=_shape)
    for shape, units in groupby(small, key=_shape):
        for block in _blocks(list(units), _labellings(*shape), resolution):
            observed += block[:, :1]
            drawn += block.take(rng.integers(block.shape[1], size=DRAWS), axis=1)
    for baseline, candidate in (unit for unit in runs if _ways(unit) > EVERY):
        labels = np.array([1 / len(candidate)] * len(candidate) + [-1 / len(baseline)] * len(baseline))
        totals = np.array(candidate + baseline)
        observed += _with_squares(labels[np.newaxis] @ totals, resolution)
        drawn += _with_squares(rng.permuted(np.tile(labels, (DRAWS, 1)), axis=1) @ totals, resolution)
    return float(_clearness(observed)[0]), _clearness(drawn)


def _shape(unit: Runs) -> tuple[int, int]:
    return len(unit[0]), len(unit[1])


def _blocks(
    units: Sequence[Runs], labels: NDArray[np.float64], resolution: float
) -> Iterator[NDArray[np.float64]]:
    """Yield joint tables of several units each, as large as allowed: one draw then serves them all."""
    import numpy as np

    ways = len(labels)
    joint = next(count for count in range(1, JOINT) if ways ** (count + 1) > JOINT)
    for start in range(0, len(units), joint * BLOCKS):
        tables = _tables(units[start : start + joint * BLOCKS], labels, resolution)
        # Units without a difference fill the last block up.
        missing = -len(tables) % joint
        tables = np.concatenate((tables, np.zeros((missing, 2, ways)))).reshape(-1, joint, 2, ways)
        yield from reduce(_joined, tables.swapaxes(0, 1))


def _joined(tables: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums over two units for all pairs of their relabellings, for a stack of such pairs."""
    return (tables[:, :, :, None] + others[:, :, None, :]).reshape(len(tables), 2, -1)


def _tables(units: Sequence[Runs], labels: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    """Return each unit's differences under all its relabellings, the one seen first, and their squares."""
    import numpy as np

    totals = np.array([candidate + baseline for baseline, candidate in units])
    return _with_squares(totals @ labels.T, resolution).swapaxes(0, 1)


@cache
def _labellings(baseline: int, candidate: int) -> NDArray[np.float64]:
    """Return the weights of the runs in the difference, a row for each choice of candidate runs."""
    import numpy as np

    chosen = np.array(list(combinations(range(baseline + candidate), candidate)))
    weights = np.full((len(chosen), baseline + candidate), -1 / baseline)
    np.put_along_axis(weights, chosen, 1 / candidate, axis=1)
    return weights


def _with_squares(differences: NDArray[np.float64], resolution: float) -> NDArray[np.float64]:
    import numpy as np

    clean = np.where(np.abs(differences) <= resolution, 0.0, differences)
    return np.stack((clean, clean * clean))


def _clearness(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sum(D) / sqrt(sum(D * D)), 0 where all D are 0."""
    import numpy as np

    spread = np.sqrt(sums[1])
    return np.where(spread > 0, sums[0] / np.where(spread > 0, spread, 1.0), 0.0)
