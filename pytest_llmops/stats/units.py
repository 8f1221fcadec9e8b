"""Bring paired answers into arrays: units with equally many runs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Be independent units with equally many runs on a side; mostly each is one case."""

    baseline: NDArray[np.float64]
    """Summed score of the cases of each unit (row) in each baseline run, ascending."""
    candidate: NDArray[np.float64]
    cases: NDArray[np.int64]
    """Number of cases in each unit."""

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of baseline runs and of candidate runs."""
        return self.baseline.shape[1], self.candidate.shape[1]

    def differences(self, resolution: float) -> NDArray[np.float64]:
        """Return mean candidate minus mean baseline run of each unit; 0 up to `resolution`."""
        import numpy as np

        means = [side.sum(axis=1) / side.shape[1] for side in (self.candidate, self.baseline)]
        found = means[0] - means[1]
        return np.where(np.abs(found) > resolution, found, 0.0)


def grouped(
    baseline: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    cases: Sequence[int] | None = None,
) -> list[Units]:
    """Return the units by the number of their runs, each pair of numbers once.

    Args:
        baseline: totals of each unit in each run, at least one run.
        candidate: the same units in the same order; the number of runs may differ.
        cases: number of cases in each unit; 1 where not given.
    """
    import numpy as np

    sides = [(run_counts(side), flat(side)) for side in (baseline, candidate)]
    sizes = np.ones(len(baseline), np.int64) if cases is None else np.array(cases, np.int64)
    (before, _), (after, _) = sides
    groups = []
    for shape in sorted(set(zip(before.tolist(), after.tolist(), strict=True))):
        members = np.flatnonzero((before == shape[0]) & (after == shape[1]))
        rows = (
            _rows(counts, values, members, runs) for (counts, values), runs in zip(sides, shape, strict=True)
        )
        groups.append(Units(baseline=next(rows), candidate=next(rows), cases=sizes[members]))
    return groups


def run_counts(side: Sequence[Sequence[float]]) -> NDArray[np.int64]:
    """Return how many runs each unit has."""
    import numpy as np

    return np.fromiter(map(len, side), np.int64, len(side))


def flat(side: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the totals of all units, one after the other."""
    import numpy as np

    return np.fromiter(chain.from_iterable(side), np.float64)


def _rows(
    counts: NDArray[np.int64], values: NDArray[np.float64], members: NDArray[np.int64], runs: int
) -> NDArray[np.float64]:
    import numpy as np

    starts = (np.cumsum(counts) - counts)[members]
    return np.sort(values[starts[:, np.newaxis] + np.arange(runs)], axis=1)
