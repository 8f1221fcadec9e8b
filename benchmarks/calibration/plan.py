"""Say how much is drawn, and draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from benchmarks.calibration.cells import (
    Cell,
    Values,
    cluster_cells,
    miss_cells,
    repeat_cells,
    score_cells,
)
from benchmarks.calibration.early import family_cells, session_cells
from benchmarks.calibration.early_scores import score_session_cells
from benchmarks.calibration.outcome import Check

AGAIN = 4
"""A cell that breaks its limit is drawn once more, so many times as often: of several hundred cells a few do
by chance alone. Only the second figure counts then."""

CELLS: Mapping[str, Callable[[], Iterator[Cell]]] = {
    "scores": score_cells,
    "intervals of scores": miss_cells,
    "clusters": cluster_cells,
    "repeats": repeat_cells,
    "early stop": session_cells,
    "20 gated metrics": family_cells,
    "early stop of scores": score_session_cells,
}

_From = TypeVar("_From")
_To = TypeVar("_To")


class Spread(Protocol):
    """Apply a function to all items, perhaps in several processes."""

    def __call__(self, function: Callable[[_From], _To], items: Iterable[_From], /) -> Iterable[_To]:
        """Return the results in the order of the items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Say which cells are looked at, and how often each is drawn."""

    sizes: tuple[int, ...]
    """Numbers of cases for which passes and failures are worked out exactly."""
    draws: Mapping[str, int]
    """By part."""
    every: int = 1
    """Only every so-manieth cell of a part is drawn."""

    def readings(self, part: str, seed: int, spread: Spread) -> list[Reading]:
        """Draw the cells of a part."""
        cells = islice(CELLS[part](), 0, None, self.every)
        return readings(cells, self.draws[part], (seed, list(CELLS).index(part)), spread)


FULL = Plan(
    sizes=(10, 20, 50, 100, 200, 500, 1000),
    draws={
        "scores": 3_000,
        "intervals of scores": 6_000,
        "clusters": 6_000,
        "repeats": 2_500,
        "early stop": 20_000,
        "20 gated metrics": 4_000,
        "early stop of scores": 1_500,
    },
)

QUICK = Plan(
    sizes=(10, 20, 50, 100, 200, 500),
    draws={
        "scores": 500,
        "intervals of scores": 1_000,
        "clusters": 500,
        "repeats": 500,
        "early stop": 4_000,
        "20 gated metrics": 250,
        "early stop of scores": 100,
    },
    # No multiple of the numbers of drops and correlations, so all of them occur.
    every=5,
)


class Job(NamedTuple):
    """Be a cell to draw."""

    cell: Cell
    draws: int
    seed: tuple[int, ...]


class Reading(NamedTuple):
    """Be what was drawn."""

    cell: Cell
    draws: int
    values: Values
    checks: tuple[Check, ...]
    first: tuple[Check, ...] = ()
    """The broken checks after which the cell was drawn again."""

    @property
    def broken(self) -> tuple[Check, ...]:
        """Return the checks whose limit is broken."""
        return tuple(check for check in self.checks if not check.kept)


def readings(cells: Iterable[Cell], draws: int, seed: tuple[int, ...], spread: Spread) -> list[Reading]:
    """Draw cells, and those again that break a limit."""
    jobs = [Job(cell, draws, (*seed, index, 0)) for index, cell in enumerate(cells)]
    found = _drawn(jobs, spread)
    broken = [index for index, reading in enumerate(found) if reading.broken]
    again = [Job(found[index].cell, AGAIN * draws, (*seed, index, 1)) for index in broken]
    for index, reading in zip(broken, _drawn(again, spread), strict=True):
        found[index] = reading._replace(first=found[index].broken)
    return found


def _drawn(jobs: Sequence[Job], spread: Spread) -> list[Reading]:
    """Draw the longest first, which keeps several processes busy to the end."""
    order = sorted(range(len(jobs)), key=lambda index: -jobs[index].cell.weight * jobs[index].draws)
    found = dict(zip(order, spread(read, [jobs[index] for index in order]), strict=True))
    return [found[index] for index in range(len(jobs))]


def read(job: Job) -> Reading:
    """Draw one cell."""
    values = job.cell.read(np.random.default_rng(job.seed), job.draws)
    return Reading(job.cell, job.draws, values, tuple(job.cell.checks(values, job.draws)))
