"""Draw suites whose truth is known.

The cells of the goals give the size of a suite, a pass rate or a kind of score, the correlation of the two
answers to one case (rho) and the true drop. How the goals' own simulation drew its suites is written down for
passes and failures with one answer (see `exact.py`); for the rest it is not, and was worked out from the
goals: each world says from what. So power there is a comparison with figures that helped to choose two or
three constants of the world; false alarms and misses are not: they hold in any world without a change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri

from pytest_llmops.stats.weigh import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

STARS = {
    "1 to 5": (0.05, 0.10, 0.20, 0.35, 0.30),
    "1 to 5, mostly 5": (0.01, 0.01, 0.03, 0.10, 0.85),
}
"""How often each value is given."""

BETA = (2.5, 1.0)
"""The distribution of scores from 0 to 1."""

CLUSTER_RATE = 0.8
CLUSTER_CORRELATION = 0.3
CLUSTER_CASES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Be suites of scores.

    Both answers are normal variables with correlation rho, turned into scores; a drop shifts the candidate's.
    The goals fix the share of ties and the spread of the differences for each rho and drop; the frequencies
    above are round numbers that meet all cells as closely as a second simulation of the same world would.
    """

    kind: str
    cases: int
    correlation: float
    drop: float
    """As a share of the range."""

    @property
    def span(self) -> float:
        """Return the width of the range."""
        return 4.0 if self.kind in STARS else 1.0

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw a suite."""
        before, after = self.answers(rng)
        return Sample(baseline=_column(before), candidate=_column(after), span=self.span)

    def answers(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw both scores of each case."""
        common, before, after = rng.standard_normal((3, self.cases))
        shared, own = math.sqrt(self.correlation), math.sqrt(1 - self.correlation)
        shift = _shift(self.kind, self.drop)
        return (
            _scores(self.kind, shared * common + own * before),
            _scores(self.kind, shared * common + own * after - shift),
        )


def _scores(kind: str, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind in STARS:
        return np.asarray(1.0 + np.searchsorted(_cuts(kind), normal), dtype=np.float64)
    return np.asarray(betaincinv(*BETA, ndtr(normal)), dtype=np.float64)


@cache
def _cuts(kind: str) -> NDArray[np.float64]:
    return np.asarray(ndtri(np.cumsum(STARS[kind])[:-1]), dtype=np.float64)


@cache
def _shift(kind: str, drop: float) -> float:
    """Return how far the normal variable falls where the mean score falls by a share of its range."""
    if not drop:
        return 0.0
    mean = _mean(kind, 0.0)
    width = 4.0 if kind in STARS else 1.0
    return float(brentq(lambda shift: mean - _mean(kind, shift) - drop * width, 0.0, 5.0))


def _mean(kind: str, shift: float) -> float:
    if kind in STARS:
        return 1.0 + float(ndtr(-_cuts(kind) - shift).sum())
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(-grid * grid / 2)
    return float((_scores(kind, grid - shift) * density).sum() / density.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Be suites of passes and failures in clusters of 5 cases that share some noise within a run.

    A case passes where a normal variable falls below a bound: rho of its variance belongs to the case, the
    rest to the run, of which a part is the cluster's. Pass rate 0.8 and rho 0.3 meet the goals' power without
    shared noise, and with it the false alarms of a test that takes cases for independent.
    """

    clusters: int
    shared: float
    """The part of a run's noise that is the cluster's."""
    drop: float

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw a suite."""
        common = math.sqrt(CLUSTER_CORRELATION) * rng.standard_normal((self.clusters, CLUSTER_CASES))
        before = common + self._noise(rng) < ndtri(CLUSTER_RATE)
        after = common + self._noise(rng) < ndtri(CLUSTER_RATE - self.drop)
        names = [str(index // CLUSTER_CASES) for index in range(before.size)]
        return Sample(
            baseline=_column(before.ravel()),
            candidate=_column(after.ravel()),
            clusters=names,
            pass_fail=True,
        )

    def _noise(self, rng: np.random.Generator) -> NDArray[np.float64]:
        cluster = rng.standard_normal((self.clusters, 1))
        case = rng.standard_normal((self.clusters, CLUSTER_CASES))
        noise = math.sqrt(self.shared) * cluster + math.sqrt(1 - self.shared) * case
        return math.sqrt(1 - CLUSTER_CORRELATION) * noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Be suites of passes and failures with several answers a case.

    As in `exact.py`, each answer on its own. The effect that differs by case moves a case's pass rate up or
    down by a coin toss, by a share of the way that is free on both sides, so it is 0 on average; the goals do
    not say how they drew it, but their false alarms are met.
    """

    before: int
    after: int
    cases: int
    rate: float
    correlation: float
    drop: float
    unlike: float
    """The share of the way."""

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw a suite."""
        strength = (1 - self.correlation) / self.correlation
        rates = rng.beta(self.rate * strength, (1 - self.rate) * strength, (self.cases, 1))
        turn = self.unlike * rng.choice([-1.0, 1.0], (self.cases, 1))
        later = (rates + turn * np.minimum(rates, 1 - rates)) * (1 - self.drop / self.rate)
        return Sample(
            baseline=(rng.random((self.cases, self.before)) < rates).tolist(),
            candidate=(rng.random((self.cases, self.after)) < later).tolist(),
            pass_fail=True,
        )


def _column(values: NDArray[np.generic]) -> list[list[float]]:
    return [[value] for value in values.tolist()]
