"""Draw sessions that may stop early, and families of many metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from benchmarks.calibration.cells import Cell, Goal, Shown, Values, false_alarms, power
from benchmarks.calibration.exact import ALPHA
from benchmarks.calibration.exact import Cell as Truth
from benchmarks.calibration.goals_sampled import EARLY, EARLY_DRAWS, EARLY_DROPS, FAMILY
from benchmarks.calibration.outcome import Check
from pytest_llmops.stats.family import holm
from pytest_llmops.stats.paired import unconditional_p
from pytest_llmops.stats.sequential import BREAKER_SHARE, LOOKS, e_value, nominal_levels, unharmed
from pytest_llmops.stats.verdict import Verdict, decide
from pytest_llmops.stats.weigh import Sample, weigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

RHO = 0.3
METRICS = 20
METRIC_CASES = 60
METRIC_RATE = 0.8
MARGIN = 0.05


class Session:
    """Be a test of passes and failures in random order that may stop early, and the same run to its end."""

    def __init__(self, cases: int, rate: float, drop: float, goals: tuple[float, float, float]) -> None:
        self.truth = Truth(cases, rate, RHO, drop)
        self.fixed, self.early, self.used = goals
        self.part = "early stop"
        self.name = str(self.truth)
        self.weight = 0.05 + cases / 1500

    def read(self, rng: np.random.Generator, draws: int) -> Values:
        """Return the shares of red sessions with and without early stops, and of the cases that were run."""
        losses, gains = self._paths(rng, draws)
        cases = self.truth.cases
        ends = ended(losses, gains)
        used = ends.cases / cases
        p = _p_values(losses[:, -1], gains[:, -1], cases)
        return {
            "fixed": float((p <= ALPHA).mean()),
            "red": float(ends.red.mean()),
            "used": float(used.mean()),
            "spread": float(used.std()),
        }

    def _paths(self, rng: np.random.Generator, draws: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the losses and gains of each session (row) up to each case (column)."""
        flips = self.truth.flips
        dice = rng.random((draws, self.truth.cases))
        losses = np.cumsum(dice < flips.losses, axis=1, dtype=np.int64)
        gains = np.cumsum(dice >= 1 - flips.gains, axis=1, dtype=np.int64)
        return losses, gains

    def checks(self, values: Values, draws: int) -> Iterator[Check]:
        """Yield the checks of false alarms or power, and of the cases that were run."""
        if not self.truth.drop:
            yield false_alarms(self.part, self.name, values["red"], draws)
        else:
            goal = Goal(share=self.early, draws=EARLY_DRAWS)
            yield power(self.part, self.name, values["red"], draws, goal)
        error = values["spread"] * math.sqrt(1 / draws + 1 / EARLY_DRAWS)
        limit = self.used + 2 * error
        yield Check(
            what=f"{self.part}: share of cases run",
            cell=self.name,
            value=values["used"],
            limit=limit,
            error=error,
        )

    def shown(self, values: Values) -> Iterator[Shown]:
        """Yield the shares of red sessions, both ways, and of the cases that were run."""
        row = f"{self.truth.cases} cases, drop {self.truth.drop}"
        yield Shown(row, "red at the end only", values["fixed"], self.fixed)
        yield Shown(row, "red with early stops", values["red"], self.early)
        yield Shown(row, "share of cases run", values["used"], self.used)


class Ends(NamedTuple):
    """Hold how sessions ended."""

    red: NDArray[np.bool_]
    cases: NDArray[np.int64]
    """How many had been run."""


def ended(losses: NDArray[np.int64], gains: NDArray[np.int64]) -> Ends:
    """Return how sessions (rows) end, from their losses and gains up to each case (columns)."""
    sessions, cases = losses.shape
    tripped = _tripped(losses, gains)
    ends = Ends(np.zeros(sessions, dtype=bool), np.full(sessions, cases))
    running = np.ones(sessions, dtype=bool)
    for share, level in zip(LOOKS, nominal_levels(ALPHA), strict=True):
        count = math.ceil(share * cases)
        # The breaker looks after every case, so also after this one, and first.
        broken = running & (tripped <= count)
        ends.red[broken] = True
        ends.cases[broken] = tripped[broken]
        running &= ~broken
        rows = np.flatnonzero(running)
        p = _p_values(losses[rows, count - 1], gains[rows, count - 1], count)
        red = p <= level
        stopped = red | np.array([unharmed(share, value) for value in p.tolist()], dtype=bool)
        ends.red[rows] = red
        ends.cases[rows[stopped]] = count
        running[rows[stopped]] = False
    return ends


def _tripped(losses: NDArray[np.int64], gains: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return after how many cases the circuit breaker stops each session; one too many if it does not."""
    least = np.array([_fatal(gain) for gain in range(int(gains.max()) + 1)])
    over = losses >= least[gains]
    first: NDArray[np.int64] = np.where(over.any(axis=1), over.argmax(axis=1), losses.shape[1])
    return first + 1


@cache
def _fatal(gains: int) -> int:
    """Return how many losses trip the breaker beside so many gains."""
    losses = _fatal(gains - 1) if gains else 0
    while e_value(losses, gains) < 1 / (BREAKER_SHARE * ALPHA):
        losses += 1
    return losses


def _p_values(losses: NDArray[np.int64], gains: NDArray[np.int64], cases: int) -> NDArray[np.float64]:
    return np.array(
        [_p(loss, gain, cases) for loss, gain in zip(losses.tolist(), gains.tolist(), strict=True)]
    )


@cache
def _p(losses: int, gains: int, cases: int) -> float:
    return unconditional_p(losses=losses, gains=gains, cases=cases)


class Family:
    """Be a session of 20 gated pass/fail metrics of 60 cases without any change.

    Each metric passes where a normal variable falls below a bound; the variables of the metrics are
    correlated, those of the two runs by rho = 0.3.
    """

    def __init__(self, correlation: float) -> None:
        self.correlation = correlation
        self.part = "20 gated metrics"
        self.name = f"correlation {correlation}"
        self.weight = 8.0

    def read(self, rng: np.random.Generator, draws: int) -> Values:
        """Return the share of sessions with any metric called regressed."""
        return {"red": sum(self._red(rng) for _ in range(draws)) / draws}

    def _red(self, rng: np.random.Generator) -> bool:
        common, before, after = (self._noise(rng) for _ in range(3))
        shared, own, bound = math.sqrt(RHO), math.sqrt(1 - RHO), ndtri(METRIC_RATE)
        found = [
            weigh(Sample(baseline=_column(one), candidate=_column(other), pass_fail=True), alpha=ALPHA)
            for one, other in zip(
                shared * common + own * before < bound, shared * common + own * after < bound, strict=True
            )
        ]
        corrected = holm([evidence.p_drop for evidence in found]) or []
        return any(
            decide(evidence, p_family=p, margin=MARGIN, alpha=ALPHA) is Verdict.REGRESSED
            for evidence, p in zip(found, corrected, strict=True)
        )

    def _noise(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a normal variable for each metric (row) and case, correlated between metrics."""
        shared = rng.standard_normal((1, METRIC_CASES))
        own = rng.standard_normal((METRICS, METRIC_CASES))
        return math.sqrt(self.correlation) * shared + math.sqrt(1 - self.correlation) * own

    def checks(self, values: Values, draws: int) -> Iterator[Check]:
        """Yield the check of red sessions."""
        yield false_alarms(self.part, self.name, values["red"], draws)

    def shown(self, values: Values) -> Iterator[Shown]:
        """Yield the share of red sessions."""
        yield Shown(self.name, "sessions with anything red", values["red"], FAMILY[self.correlation])


def _column(values: NDArray[np.bool_]) -> list[list[float]]:
    return [[value] for value in values.tolist()]


def session_cells() -> Iterator[Cell]:
    """Yield the cells of early stops."""
    for (cases, rate), rows in EARLY.items():
        for drop, goals in zip(EARLY_DROPS, rows, strict=True):
            yield Session(cases, rate, drop, goals)


def family_cells() -> Iterator[Cell]:
    """Yield the cells of many metrics."""
    for correlation in FAMILY:
        yield Family(correlation)
