"""Work out what other relabellings of the same data would have shown: all of them, or a random sample."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, reduce
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JOINT = 2**11
"""Most entries of a joint table of several units: it stays in the processor's cache."""

ENTRIES = 2**16
"""Table entries made at once, to bound the memory; a unit of more relabellings is shuffled in each draw."""

Shape: TypeAlias = tuple[int, int]
"""The number of baseline runs and of candidate runs."""

Pools: TypeAlias = "dict[Shape, NDArray[np.float64]]"
"""By shape, the totals of each unit (row) in all its runs, whosever they are: rows and columns ascend."""


def ways(shape: Shape) -> int:
    """Return how many relabellings a unit has."""
    return math.comb(sum(shape), shape[0])


def every(pools: Pools, *, resolution: float) -> NDArray[np.float64]:
    """Return the clearness of all relabellings."""
    tables = (
        table[None]
        for shape, pool in pools.items()
        for table in _tables(pool, _labellings(*shape), resolution)
    )
    return _clearness(reduce(_joined, tables)[0])


def drawn(pools: Pools, draws: int, *, resolution: float) -> NDArray[np.float64]:
    """Return the clearness of random relabellings, seeded by the data."""
    import numpy as np

    ordered = sorted(pools.items(), key=lambda item: item[0])
    data = np.concatenate([pool.ravel() for _, pool in ordered]).astype("<f8")
    rng = np.random.default_rng(data.view("<u4").astype(np.uint32))
    sums = np.zeros(draws, np.complex128)
    for shape, pool in ordered:
        if ways(shape) > ENTRIES:
            _add_shuffled(sums, rng, pool, shape, resolution)
            continue
        for tables in _joint_tables(pool, _labellings(*shape), resolution):
            _add_picked(sums, rng, tables)
    return _clearness(sums)


def _add_picked(
    sums: NDArray[np.complex128], rng: np.random.Generator, tables: NDArray[np.complex128]
) -> None:
    """Add a random entry of each table to each sum."""
    size = tables.shape[1]
    # One random number serves several tables: each takes a digit of it.
    digits = int(62 / math.log2(size))
    for start in range(0, len(tables), digits):
        served = tables[start : start + digits]
        number = rng.integers(size ** len(served), size=len(sums))
        for table in served:
            rest = number // size
            sums += table.take(number - rest * size)
            number = rest


def _add_shuffled(
    sums: NDArray[np.complex128],
    rng: np.random.Generator,
    pool: NDArray[np.float64],
    shape: Shape,
    resolution: float,
) -> None:
    """Add each unit under a random relabelling of its own to each sum."""
    import numpy as np

    weights = np.repeat([-1 / shape[0], 1 / shape[1]], shape)
    for runs in pool:
        labels = rng.permuted(np.tile(weights, (len(sums), 1)), axis=1)
        sums += _with_squares(np.einsum("dr,r->d", labels, runs), resolution)


def _joint_tables(
    pool: NDArray[np.float64], labels: NDArray[np.float64], resolution: float
) -> Iterator[NDArray[np.complex128]]:
    """Yield joint tables (rows) of several units each, as large as allowed: one draw then serves them all."""
    import numpy as np

    count = labels.shape[1]
    joint = next(joint for joint in range(1, JOINT) if count ** (joint + 1) > JOINT)
    batch = joint * max(1, ENTRIES // count**joint)
    for start in range(0, len(pool), batch):
        part = pool[start : start + batch]
        # Units without a difference fill the last table up.
        part = np.concatenate((part, np.zeros((-len(part) % joint, part.shape[1]))))
        tables = _tables(part, labels, resolution).reshape(-1, joint, count)
        yield reduce(_joined, tables.swapaxes(0, 1))


def _joined(tables: NDArray[np.complex128], others: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return the sums over two units for all pairs of their relabellings, for a stack of such pairs."""
    return (others[:, :, None] + tables[:, None, :]).reshape(len(tables), -1)


def _tables(
    pool: NDArray[np.float64], labels: NDArray[np.float64], resolution: float
) -> NDArray[np.complex128]:
    """Return each unit's differences under all its relabellings, with their squares."""
    import numpy as np

    # Not as a product of matrices: its library takes all cores, and is many times slower where they are busy.
    return _with_squares(np.einsum("ur,rl->ul", pool, labels), resolution)


@cache
def _labellings(baseline: int, candidate: int) -> NDArray[np.float64]:
    """Return the weights of the runs (rows) in the difference, a column for each choice of candidate runs."""
    import numpy as np

    chosen = np.array(list(combinations(range(baseline + candidate), candidate)))
    weights = np.full((len(chosen), baseline + candidate), -1 / baseline)
    np.put_along_axis(weights, chosen, 1 / candidate, axis=1)
    return np.ascontiguousarray(weights.T)


def _with_squares(differences: NDArray[np.float64], resolution: float) -> NDArray[np.complex128]:
    """Return the differences as real parts and their squares as imaginary parts, to be summed together."""
    import numpy as np

    clean = np.where(np.abs(differences) <= resolution, 0.0, differences)
    return clean + 1j * (clean * clean)


def _clearness(sums: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return sum(D) / sqrt(sum(D * D)), 0 where all D are 0."""
    import numpy as np

    spread = np.sqrt(sums.imag)
    return np.where(spread > 0, sums.real / np.where(spread > 0, spread, 1.0), 0.0)
