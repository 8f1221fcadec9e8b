"""Be the rules that are in use elsewhere: each tells the chance that it fails a suite with given flips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from scipy.special import bdtr, bdtrc

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z = 1.959963984540054
"""Two-sided 5 % of the normal distribution."""

Counts: TypeAlias = "NDArray[np.int64]"
Shares: TypeAlias = "NDArray[np.float64]"


class Flips(NamedTuple):
    """Hold the chances of what may happen to a case."""

    losses: float
    """It passed and now fails."""
    gains: float
    """It failed and now passes."""
    passes: float
    """It passes twice."""

    @property
    def ties(self) -> float:
        """Return the chance that nothing changes."""
        return 1 - self.losses - self.gains


class Tables(NamedTuple):
    """Hold tables of two runs with the same number of cases, as far as two runs tell."""

    losses: Counts
    gains: Counts
    cases: int
    flips: Flips
    """Chances of a case, for what the flips alone do not tell."""


def mcnemar(tables: Tables) -> Shares:
    """Fail a drop that McNemar's exact two-sided test finds at 5 %, as statsmodels has it by default."""
    losses, gains = tables.losses, tables.gains
    p = np.minimum(1.0, 2 * bdtr(np.minimum(losses, gains), losses + gains, 0.5))
    return np.asarray((p <= 0.05) & (losses > gains), dtype=np.float64)


def unpaired_z(tables: Tables) -> Shares:
    """Fail a drop of more than 1.96 standard errors, those of two runs that share no cases.

    Which suites that fails depends on the cases that pass twice: the squared standard error is a parabola in
    their number, so they must be few enough or many enough.
    """
    losses, gains, cases, flips = tables
    changed = losses + gains
    ties = cases - changed
    clear = (losses - gains) ** 2 * ((cases - 1) / Z**2)
    inside = ties.astype(np.float64) ** 2 - 2.0 * (losses**2 + gains**2 - cases * changed + clear)
    width = np.sqrt(np.maximum(inside, 0.0))
    share = flips.passes / flips.ties
    fewer, more = (ties - width) / 2, (ties + width) / 2
    few = np.where(fewer > 0, bdtr(np.maximum(np.ceil(fewer) - 1, 0), ties, share), 0.0)
    many = np.where(more < ties, bdtrc(np.minimum(np.floor(more), ties), ties, share), 0.0)
    return np.where(losses > gains, np.where(inside < 0, 1.0, few + many), 0.0)


def any_drop(tables: Tables) -> Shares:
    """Fail when the mean drops at all."""
    return np.asarray(tables.losses > tables.gains, dtype=np.float64)


def five_points(tables: Tables) -> Shares:
    """Fail when the mean drops by more than 5 points."""
    return np.asarray(20 * (tables.losses - tables.gains) > tables.cases, dtype=np.float64)


def any_case(tables: Tables) -> Shares:
    """Fail when any case newly fails."""
    return np.asarray(tables.losses > 0, dtype=np.float64)


NAIVE: Mapping[str, Callable[[Tables], Shares]] = {
    "McNemar's exact test, two-sided": mcnemar,
    "unpaired z test, two-sided": unpaired_z,
    "fail if the mean drops at all": any_drop,
    "fail if it drops by more than 5 points": five_points,
    "fail if any case newly fails": any_case,
}
