"""Measure how long it takes to weigh large suites, and the memory that this takes.

Every shape of data is weighed in a process of its own, several times, without the imports. The shortest time
counts, of the processor and of the clock: they differ where others use the cores too. Memory is the most that
is held at once beyond the data themselves.

    python -m benchmarks.compare_speed [--times 5] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from pytest_llmops.stats.weigh import Sample, weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Describe the data of one metric, and what weighing it may take."""

    cases: int
    baseline: int
    """Answers of the baseline to each case."""
    candidate: int
    levels: int | None
    """Values that a score may have, evenly spaced on [0, 1]; None for any."""
    cluster: int = 1
    """Cases in a cluster."""
    limit: float | None = None
    """Seconds of the processor; None where nothing is promised."""

    @property
    def name(self) -> str:
        """Return one line for the table."""
        kind = {2: "pass/fail", None: "any score"}.get(self.levels, f"{self.levels} levels")
        clusters = f", clusters of {self.cluster}" if self.cluster > 1 else ""
        return f"{self.cases:,} cases, {kind}, {self.baseline}/{self.candidate} answers{clusters}"


SHAPES = (
    Shape(cases=10_000, baseline=1, candidate=1, levels=2, limit=0.015),
    Shape(cases=10_000, baseline=1, candidate=1, levels=None, limit=0.060),
    Shape(cases=10_000, baseline=1, candidate=1, levels=5, limit=0.060),
    Shape(cases=10_000, baseline=3, candidate=3, levels=None, limit=0.130),
    Shape(cases=10_000, baseline=3, candidate=3, levels=5, limit=0.130),
    Shape(cases=10_000, baseline=3, candidate=3, levels=2, limit=0.130),
    Shape(cases=10_000, baseline=5, candidate=1, levels=None),
    Shape(cases=10_000, baseline=5, candidate=5, levels=None),
    Shape(cases=10_000, baseline=8, candidate=8, levels=None),
    Shape(cases=10_000, baseline=3, candidate=3, levels=None, cluster=5),
    Shape(cases=100_000, baseline=1, candidate=1, levels=2, limit=1.0),
    Shape(cases=100_000, baseline=1, candidate=1, levels=None, limit=1.0),
    Shape(cases=100_000, baseline=1, candidate=1, levels=11, limit=1.0),
)


def main() -> int:
    """Print a table and return 0 when every shape keeps its limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    width = max(len(shape.name) for shape in SHAPES)
    print(f"{'':{width}}  processor    clock    limit       MB", flush=True)
    kept = True
    for shape in SHAPES:
        # A fresh process: no shape finds the memory that another one has left.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            busy, passed, peak = pool.submit(measured, shape, options.times, options.seed).result()
        limit = "" if shape.limit is None else f"{shape.limit:.3f}"
        line = f"{shape.name:{width}}  {busy:9.3f}  {passed:7.3f}  {limit:>7}  {peak / 1e6:7.1f}"
        print(line, flush=True)
        kept = kept and (shape.limit is None or busy <= shape.limit)
    return 0 if kept else 1


def measured(shape: Shape, times: int, seed: int) -> tuple[float, float, int]:
    """Return the shortest times of the processor and of the clock, in seconds, and the bytes held at most."""
    sample = drawn(shape, random.Random(seed))
    weigh(sample)
    busy, passed = [], []
    for _ in range(times):
        busy_before, before = time.process_time(), time.perf_counter()
        weigh(sample)
        busy.append(time.process_time() - busy_before)
        passed.append(time.perf_counter() - before)
    tracemalloc.start()
    weigh(sample)
    return min(busy), min(passed), tracemalloc.get_traced_memory()[1]


def drawn(shape: Shape, rng: random.Random) -> Sample:
    """Return a sample of cases of unlike difficulty, without a change."""

    def answers(count: int, ease: float) -> list[float]:
        if shape.levels is None:
            return [rng.betavariate(8 * ease, 8 * (1 - ease)) for _ in range(count)]
        steps = shape.levels - 1
        return [sum(rng.random() < ease for _ in range(steps)) / steps for _ in range(count)]

    eases = [rng.uniform(0.3, 0.99) for _ in range(shape.cases)]
    return Sample(
        baseline=[answers(shape.baseline, ease) for ease in eases],
        candidate=[answers(shape.candidate, ease) for ease in eases],
        clusters=[str(index // shape.cluster) for index in range(shape.cases)] if shape.cluster > 1 else None,
        pass_fail=shape.levels == 2,
    )


if __name__ == "__main__":
    raise SystemExit(main())
