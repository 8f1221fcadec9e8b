"""Work out exactly what the rules do with passes and failures: all tables of two runs, each with its chance.

A cell is a number of cases, the baseline's pass rate p, the correlation rho of the two answers to one case,
and the true drop D. How hard a case is follows a beta distribution with mean p; both runs answer it
independently, which makes the correlation. The candidate then keeps a pass with the chance 1 - D / p; where D
is negative, it turns a failure into a pass with the chance -D / (1 - p).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaln, xlogy

from benchmarks.calibration.goals_pass_fail import DROPS, MARGIN, REGRESSED, VERDICT_CORRELATION, VERDICTS
from benchmarks.calibration.naive import NAIVE, Flips, Tables
from pytest_llmops.stats.intervals import Interval, agreed, mover
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.verdict import Evidence, Verdict, decide

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
LABELS = (
    Verdict.REGRESSED,
    Verdict.WITHIN_MARGIN,
    Verdict.IMPROVED,
    Verdict.NO_REGRESSION,
    Verdict.INCONCLUSIVE,
)
"""The verdicts in the order of the goals."""
OWN = "this plugin"


class Cell(NamedTuple):
    """Be one kind of suite."""

    cases: int
    rate: float
    correlation: float
    drop: float

    @property
    def flips(self) -> Flips:
        """Return the chances of what may happen to a case."""
        rate, drop = self.rate, self.drop
        both = rate * rate + self.correlation * rate * (1 - rate)
        one = rate - both
        if drop >= 0:
            kept = 1 - drop / rate
            return Flips(losses=rate - both * kept, gains=one * kept, passes=both * kept)
        mended = -drop / (1 - rate)
        fails = 1 - rate - one
        return Flips(losses=one * (1 - mended), gains=one + fails * mended, passes=both + one * mended)

    def __str__(self) -> str:
        return f"n={self.cases} p={self.rate} rho={self.correlation} D={self.drop}"


class Found(NamedTuple):
    """Hold the shares of suites of one cell."""

    cell: Cell
    red: dict[str, float]
    """By rule, those that it fails."""
    misses: tuple[float, float]
    """Those whose interval lies above the truth, and those whose interval lies below."""
    misses_alone: tuple[float, float]
    """The same before the interval is made to agree with the test."""
    verdicts: tuple[float, ...]
    """Those with each verdict, in the order of `LABELS`."""


def found(cases: int) -> list[Found]:
    """Return what the rules do in all cells of the goals with so many cases."""
    sheet = Sheet(cases)
    return [sheet.found(cell) for cell in cells(cases)]


def cells(cases: int) -> Iterator[Cell]:
    """Yield the cells of the goals with so many cases, those of the verdicts too."""
    for size, rate, correlation in REGRESSED:
        if size == cases:
            yield from (Cell(cases, rate, correlation, drop) for drop in DROPS)
    for size, rate, drop in VERDICTS:
        if size == cases and drop not in DROPS:
            yield Cell(cases, rate, VERDICT_CORRELATION, drop)


def critical_losses(cases: int, level: float) -> NDArray[np.int64]:
    """Return for each number of flips how many losses the exact test calls a drop at the level.

    Where no number does it is one more than the flips. The p-value falls with the losses among so many flips,
    so the step from one number of flips to the next is a short walk.
    """
    least = np.empty(cases + 1, dtype=np.int64)
    losses = 0
    for flips in range(cases + 1):
        losses = max(losses, flips // 2 + 1)
        while losses <= flips and _p(losses, flips, cases) > level:
            losses += 1
        while losses > flips // 2 + 1 and _p(losses - 1, flips, cases) <= level:
            losses -= 1
        least[flips] = losses
    return least


def _p(losses: int, flips: int, cases: int) -> float:
    return unconditional_p(losses=losses, gains=flips - losses, cases=cases)


def _share(chances: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    return float(chances[chosen].sum())


def _missed(chances: NDArray[np.float64], ends: NDArray[np.float64], truth: float) -> tuple[float, float]:
    return _share(chances, ends[:, 0] > truth), _share(chances, ends[:, 1] < truth)


class Sheet:
    """Be all tables of two runs with a number of cases, and what is said of each."""

    def __init__(self, cases: int) -> None:
        losses, gains = np.meshgrid(np.arange(cases + 1), np.arange(cases + 1), indexing="ij")
        possible = losses + gains <= cases
        self.cases = cases
        self.losses, self.gains = losses[possible], gains[possible]
        least = critical_losses(cases, ALPHA)
        self.drops = self.losses >= least[self.losses + self.gains]
        self.rises = self.gains >= least[self.losses + self.gains]
        self.ways = gammaln(cases + 1) - (
            gammaln(self.losses + 1) + gammaln(self.gains + 1) + gammaln(cases - self.losses - self.gains + 1)
        )

    def found(self, cell: Cell) -> Found:
        """Return the shares of one cell."""
        flips = cell.flips
        chances = self.chances(flips)
        likely = chances > 1e-15
        few = chances[likely]
        tables = Tables(self.losses[likely], self.gains[likely], self.cases, flips)
        red = {name: float((few * rule(tables)).sum()) for name, rule in NAIVE.items()}
        red[OWN] = _share(chances, self.drops)
        return Found(
            cell,
            red,
            _missed(chances, self.intervals, -cell.drop),
            _missed(chances, self.intervals_alone, -cell.drop),
            tuple(_share(chances, self.verdicts == index) for index in range(len(LABELS))),
        )

    def chances(self, flips: Flips) -> NDArray[np.float64]:
        """Return the chance of each table."""
        ties = self.cases - self.losses - self.gains
        chances: NDArray[np.float64] = np.exp(
            self.ways
            + xlogy(self.losses, flips.losses)
            + xlogy(self.gains, flips.gains)
            + xlogy(ties, flips.ties)
        )
        return chances

    @cached_property
    def intervals_alone(self) -> NDArray[np.float64]:
        """Return both ends for each table, before they are made to agree with the test."""
        counts = zip(self.losses.tolist(), self.gains.tolist(), strict=True)
        return np.array(
            [mover(losses=loss, gains=gain, cases=self.cases, alpha=ALPHA) for loss, gain in counts]
        )

    @cached_property
    def intervals(self) -> NDArray[np.float64]:
        """Return the ends made to agree with the test: of its p only the side of alpha counts there."""
        return np.array(
            [
                agreed(
                    Interval(low, high), p_drop=0.0 if drop else 1.0, p_rise=0.0 if rise else 1.0, alpha=ALPHA
                )
                for (low, high), drop, rise in zip(
                    self.intervals_alone.tolist(), self.drops.tolist(), self.rises.tolist(), strict=True
                )
            ]
        )

    @cached_property
    def verdicts(self) -> NDArray[np.int64]:
        """Return the verdict on each table, by its place in `LABELS`."""
        number = {verdict: index for index, verdict in enumerate(LABELS)}
        sides = zip(self.intervals.tolist(), self.drops.tolist(), strict=True)
        return np.array([number[self._verdict(low, high, drop)] for (low, high), drop in sides])

    def _verdict(self, low: float, high: float, drop: bool) -> Verdict:
        p = 0.0 if drop else 1.0
        evidence = Evidence(
            cases=self.cases, units=self.cases, change=0.0, low=low, high=high, p_drop=p, p_rise=1.0, sd=0.0
        )
        return decide(evidence, p_family=p, margin=MARGIN, alpha=ALPHA)
